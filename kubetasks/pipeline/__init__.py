"""What each command does, a module of the same name for each theme.

Each action prints its equivalent commands, changes nothing under --dry, and can be run twice. What is wanted is data
(`desired`), `converge` applies it and waits, `seen` reads the cluster, and `judge` decides about what was read. `run` is what
the actions of one invocation share. Options and tables belong to `kubetasks.tasks`.
"""
