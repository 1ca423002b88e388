"""Builds, from package registries alone, what an image registry would give: a kind node image and a base with Python."""
