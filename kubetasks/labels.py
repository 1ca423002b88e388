"""The labels that say what is ours, in the cluster and in the engine."""

OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "simple-server-tasks"
CLUSTER_LABEL = "simple-server-tasks/cluster"  # on a network: which cluster it belongs to

LABELS = {OWNER_LABEL: OWNER}
SELECTOR = f"{OWNER_LABEL}={OWNER}"
