"""kind: a cluster whose nodes are containers. kind has no Python SDK, so its program is run."""
