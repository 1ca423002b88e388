"""The labels that show who owns an object, in the cluster and in the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

OWNER_LABEL = "app.kubernetes.io/managed-by"  # one of Kubernetes' recommended labels


@dataclass(frozen=True)
class Owner:
    """The creator of objects: `name` is the value of OWNER_LABEL, and the prefix of the other labels."""

    name: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels that objects, images, containers, networks and volumes carry."""
        return {OWNER_LABEL: self.name}

    @property
    def selector(self) -> str:
        """The label selector for kubectl and docker."""
        return f"{OWNER_LABEL}={self.name}"

    def key(self, name: str) -> str:
        """Return the key of another label or annotation of the owner.

        On a cluster's network or volume, `cluster` is the cluster's name, `folder` the project's folder, and `command` what the
        user types there before the name of a task. If nothing else records them, there are also `provider` (if it is not the
        default one), `state` (the folder of the cluster's files) and `kubernetes` (the minor version at creation).
        """
        return f"{self.name}/{name}"

    def owns(self, labels: Mapping[str, str] | None) -> bool:
        """Return whether something with these labels belongs to the owner."""
        return (labels or {}).get(OWNER_LABEL) == self.name


TOOL = Owner("simple-server-tasks")  # the owner of what these tasks install on a machine for all projects
