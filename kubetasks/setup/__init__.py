"""Find, install and remove what a bare machine lacks. Clusters and the application do not belong here."""
