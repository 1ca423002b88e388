"""The labels that say what is ours, in the cluster and in the engine."""

OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "simple-server-tasks"
CLUSTER_LABEL = "simple-server-tasks/cluster"  # on a network or a volume: which cluster it belongs to
PROVIDER_LABEL = "simple-server-tasks/provider"  # beside it, unless that is the default
STATE_LABEL = "simple-server-tasks/state"  # beside it: the folder of that cluster's files, if nobody can do without them
KUBERNETES_LABEL = "simple-server-tasks/kubernetes"  # beside it: the minor that it was created with, if nothing else tells it

LABELS = {OWNER_LABEL: OWNER}
SELECTOR = f"{OWNER_LABEL}={OWNER}"
