"""What each command does, a module of the same name for each theme.

Each action prints its equivalent commands, changes nothing under --dry, and can be run twice. `context` holds what an action
works with; `state` reads the application's state in the cluster and waits for it. Options and tables belong to `commands`.
"""
