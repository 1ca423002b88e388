"""The labels that say what is whose, in the cluster and in the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

OWNER_LABEL = "app.kubernetes.io/managed-by"  # one of Kubernetes' recommended labels


@dataclass(frozen=True)
class Owner:
    """Whoever created something: `name` is the value of OWNER_LABEL, and the prefix of the other labels."""

    name: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels of objects, images, containers, networks and volumes."""
        return {OWNER_LABEL: self.name}

    @property
    def selector(self) -> str:
        """The same as kubectl and docker select it."""
        return f"{OWNER_LABEL}={self.name}"

    def key(self, name: str) -> str:
        """A label on the network or volume that says of a cluster whose it is.

        `cluster` is that cluster, `folder` the project's, and `command` what a person types there before the name of a task;
        beside them, if nothing else tells it, `provider` (if it is not the default), `state` (the folder of its files) and
        `kubernetes` (the minor that it was created with).
        """
        return f"{self.name}/{name}"

    def owns(self, labels: Mapping[str, str] | None) -> bool:
        """Whether something with these labels is the owner's."""
        return (labels or {}).get(OWNER_LABEL) == self.name


TOOL = Owner("simple-server-tasks")  # what these tasks install on a machine for every project
