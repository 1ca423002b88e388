"""Build a kind node image, a base image with Python and kind itself from package registries, if no image registry answers.

Only `machine` knows this package. Nothing of settings that pull images belongs here.
"""
