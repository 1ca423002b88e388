"""The project, its application, and its settings. Nothing here asks a cluster or an engine."""
