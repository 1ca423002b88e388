"""The clusters to run on, an adapter a file."""
