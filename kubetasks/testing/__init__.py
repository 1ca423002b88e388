"""What stands behind the fixtures of `pytest_plugin`: a run's cluster, the application in a namespace of it, and requests."""
