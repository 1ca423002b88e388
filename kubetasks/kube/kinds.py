"""The tables of kinds by name; all other questions about an object go by its fields."""

_FIRST = """
    Namespace CustomResourceDefinition PriorityClass RuntimeClass StorageClass LimitRange ResourceQuota
    ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding NetworkPolicy
    ConfigMap Secret PersistentVolume PersistentVolumeClaim Service
"""  # what others need comes first; any other kind follows, in the order of the files
ORDER = {kind: place for place, kind in enumerate(_FIRST.split())}
SECRET = "Secret"  # noqa: S105  has values that are not shown
CONFIGURATION = ("ConfigMap", SECRET)  # pods read it once: they are replaced if it changes
CLAIM = "PersistentVolumeClaim"
DATA = (CLAIM, "PersistentVolume", "Namespace")  # have data of a person
DEFINITION = "CustomResourceDefinition"  # of a kind that is served once it is established
# the fields of a status that count the pods: all, those of the newest template, the available ones
COUNTS = {  # `kubectl rollout status` waits for them
    "Deployment": ("replicas", "updatedReplicas", "availableReplicas"),
    "StatefulSet": ("replicas", "updatedReplicas", "availableReplicas"),
    "DaemonSet": ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable"),
}
WANTED = "desiredNumberScheduled"  # a daemon set's status has it, where others have spec.replicas
# the condition that each of these has in the end, and not yet when it was created: `kubectl wait --for=condition=...`
CONDITIONS = {"Job": "Complete", "Pod": "Ready", DEFINITION: "Established"}
GENERAL = ("Ready", "Available")  # what another kind may say of itself
ENDING = ("Job", "Pod")  # run once: another run needs another object of that name
COPIED = "Endpoints"  # has the labels of a service, and nothing that says that it is the service's
