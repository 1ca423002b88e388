"""Everything that talks to the Kubernetes API, and pure functions of its objects. Which cluster it is does not matter here."""
