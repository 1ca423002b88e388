"""What is known of kinds by name; all else that is asked about an object goes by what it has."""

from collections.abc import Mapping
from typing import NamedTuple

# what others need comes first; any other kind follows, in the order of the files
ORDER = (
    "Namespace CustomResourceDefinition PriorityClass StorageClass LimitRange ResourceQuota ServiceAccount ClusterRole"
    " ClusterRoleBinding Role RoleBinding NetworkPolicy ConfigMap Secret PersistentVolume PersistentVolumeClaim Service"
).split()
SECRET = "Secret"  # noqa: S105  has values that are not shown
CONFIGURATION = ("ConfigMap", SECRET)  # pods read it once: they are replaced if it changes
CLAIM = "PersistentVolumeClaim"  # has data of a person
DEFINITION = "CustomResourceDefinition"  # of a kind that is served once it is established


class Counts(NamedTuple):
    """The fields of a status that count the pods: all, those of the newest template, and the available ones; and that of how
    many are wanted, "" if the specification has it.
    """

    total: str = "replicas"
    updated: str = "updatedReplicas"
    available: str = "availableReplicas"
    wanted: str = ""


COUNTS: Mapping[str, Counts] = {  # `kubectl rollout status` waits for them
    "Deployment": Counts(),
    "StatefulSet": Counts(),
    "DaemonSet": Counts("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled"),
}
# the condition that each of these has in the end, and not yet when it was created: `kubectl wait --for=condition=...`
CONDITIONS = {"Job": "Complete", "Pod": "Ready", DEFINITION: "Established"}
GENERAL = ("Ready", "Available", "Established")  # what another kind may say of itself
ENDING = ("Job", "Pod")  # cannot be changed, and run again from the start if they are replaced
COPIED = "Endpoints"  # has the labels of a service, and nothing that says that it is the service's
