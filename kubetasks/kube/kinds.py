"""Tables of kinds by name. Everything else about an object is decided by its fields."""

_FIRST = """
    Namespace CustomResourceDefinition PriorityClass RuntimeClass StorageClass LimitRange ResourceQuota
    ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding NetworkPolicy
    ConfigMap Secret PersistentVolume PersistentVolumeClaim Service
"""  # kinds that others need come first; all other kinds follow, in the order of the files
ORDER = {kind: place for place, kind in enumerate(_FIRST.split())}
SECRET = "Secret"  # noqa: S105  has values that are not shown
CONFIGURATION = ("ConfigMap", SECRET)  # pods read these once, so they are replaced if one changes
CLAIM = "PersistentVolumeClaim"
DATA = (CLAIM, "PersistentVolume", "Namespace")  # contain the user's data
DEFINITION = "CustomResourceDefinition"  # its kind is served once it is established
# the status fields that count pods: all, updated to the newest template, available
COUNTS = {  # `kubectl rollout status` waits for them
    "Deployment": ("replicas", "updatedReplicas", "availableReplicas"),
    "StatefulSet": ("replicas", "updatedReplicas", "availableReplicas"),
    "DaemonSet": ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable"),
}
DESIRED = "desiredNumberScheduled"  # in the status of a DaemonSet, which has no spec.replicas
# the condition that each of these kinds reaches in the end: `kubectl wait --for=condition=...` waits for it
CONDITIONS = {"Job": "Complete", "Pod": "Ready", DEFINITION: "Established"}
COMMON_CONDITIONS = ("Ready", "Available")  # conditions that another kind may have
RUN_ONCE = ("Job", "Pod")  # these run once: to run again, the object must be replaced
ENDPOINTS = "Endpoints"  # has the labels of its service, but no owner reference to it
