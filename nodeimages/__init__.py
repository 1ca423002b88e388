"""Build node images, a base image with Python, kind and minikube from package registries, if no image registry answers.

`inv setup` finds it if it is there. Nothing of settings that pull images belongs here.
"""
