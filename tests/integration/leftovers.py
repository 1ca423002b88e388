"""Leftovers: what a run has made in the engine, found by our label and by the run's name."""

from contextlib import closing

import docker

from kubetasks import engine
from kubetasks.labels import CLUSTER_LABEL, SELECTOR


def our_clusters() -> list[str]:
    """The names of the clusters that have a network or a volume with our label."""
    return sorted(labels[CLUSTER_LABEL] for labels in engine.connect().our_clusters())


def remove(prefix: str) -> None:
    """Remove the containers and images whose names begin with `prefix`: a worker that was killed leaves them."""
    for container in engine.connect().containers(SELECTOR):
        if str(container.name).startswith(prefix):
            container.remove(force=True, v=True)
    with closing(docker.from_env().api) as api:
        for reference in [name for image in api.images(filters={"label": SELECTOR}) for name in image["RepoTags"] or ()]:
            if reference.startswith(prefix):
                api.remove_image(reference, force=True)
