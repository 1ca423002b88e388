"""The automation behind the tasks: a small server on a real Kubernetes cluster, and everything that it needs."""
