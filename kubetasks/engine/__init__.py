"""Everything that talks to the container engine, and nothing about clusters or Kubernetes."""
