"""minikube: a cluster whose node is a container, as in the tutorial. minikube has no SDK, so its program is run."""
