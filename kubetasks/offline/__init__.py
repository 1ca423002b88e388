"""Build node images, a base image with Python, kind and minikube from package registries, if no image registry answers.

Only `machine` knows this package. Nothing of settings that pull images belongs here.
"""
