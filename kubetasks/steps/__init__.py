"""The steps that tasks are made of: each shows its mirrored commands, changes nothing under --dry, and can be run twice."""
