"""Access to the Kubernetes API, and pure functions of its objects. Nothing here depends on how the cluster was created."""
