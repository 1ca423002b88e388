"""minikube: a cluster whose node is a container, as in the tutorial. minikube has no SDK, so it is called as a program."""
