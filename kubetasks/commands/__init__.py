"""The tasks that a person types, a theme a file."""
