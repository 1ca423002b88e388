"""kind: a cluster whose nodes are containers. kind has no SDK, so it is called as a program."""
