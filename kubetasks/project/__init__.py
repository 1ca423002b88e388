"""The project, its application, and its settings. Nothing here queries a cluster or an engine."""
