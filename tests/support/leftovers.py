"""Leftovers: what a run has made in the engine, found by our label and by its name."""

from contextlib import closing

import docker

from kubetasks.engine import client


def our_clusters() -> list[str]:
    """The names of the clusters of every project."""
    return [one.name for one in client.connect().clusters()]


def remove(prefix: str) -> None:
    """Remove the containers, networks and images whose names begin with `prefix`, which is that of one run or test alone."""
    with closing(docker.from_env()) as client:
        for container in client.containers.list(all=True, filters={"name": f"^/{prefix}"}):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters={"name": f"^{prefix}"}):
            network.remove()
        # not the list of the client: it asks again for each image, which another test may just have removed
        for reference in [name for image in client.api.images() for name in image["RepoTags"] or ()]:
            if reference.startswith(prefix):
                client.images.remove(reference, force=True)
