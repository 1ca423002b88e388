"""Everything that talks to the container engine. Clusters and Kubernetes do not belong here."""
