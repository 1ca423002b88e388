"""The work behind the tasks, a module of the same name for each theme.

Each action can be run twice, and makes its changes through a door that prints the command for each (`terminal/door`). What is
wanted is data (`desired`), `converge` makes the change and `waits` for it. `seen` is one look at the cluster: `kube.readiness`
decides about its rollout, and `judge` about its service. `run` is what the actions of one invocation share. Options and tables
belong to `kubetasks.tasks`.
"""
