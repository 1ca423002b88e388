"""What a bare machine lacks: found, installed, and removed again. Clusters and the application do not belong here."""
