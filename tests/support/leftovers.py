"""Leftovers: remove what a run creates in the engine; until then, put the user's images of the application aside.

Only their names change, so the containers created from them are not affected.
"""

from kubetasks.engine import client
from kubetasks.project.labels import TOOL
from tests.support.driver import docker
from tests.support.source import NAME

ASIDE = f"{NAME}-aside"
STAGES = f"{NAME}-stages"


def our_clusters() -> list[str]:
    """Return the names of the clusters of all projects."""
    return [one.name for one in client.connect().clusters()]


def remove(prefix: str) -> None:
    """Remove the containers, networks and images whose names start with `prefix`, which only one run or test uses."""
    for container in docker("ps", "--all", "--quiet", f"--filter=name=^{prefix}").split():
        docker("rm", "--force", "--volumes", container)
    for network in docker("network", "ls", "--quiet", f"--filter=name=^{prefix}").split():
        docker("network", "rm", network)
    for name in docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={prefix}*").split():
        docker("rmi", "--force", name)


def put_aside() -> None:
    """Leave no image under the application's name, whoever built it; first put back what a killed run put aside."""
    restore()
    _rename(NAME, ASIDE)


def put_back() -> None:
    """Remove the run's images, and give the user's images their names back."""
    remove_images()
    restore()


def remove_images() -> None:
    """Remove the images that the tasks built, and their build stages; an image that has another name too keeps it."""
    _untag(NAME)
    client.connect().remove_dangling()


def keep_stages() -> None:
    """Tag the earlier build stages, so that a clean-up does not remove them and the next build is quick."""
    stages = docker("images", "--quiet", "--filter=dangling=true", f"--filter=label={TOOL.selector}").split()
    for number, stage in enumerate(stages):
        docker("tag", stage, f"{STAGES}:{number}")


def restore() -> None:
    """Put back the images that were put aside, and remove the kept build stages."""
    _untag(STAGES)
    _rename(ASIDE, NAME)


def _untag(name: str) -> None:
    connection = client.connect()
    for reference in connection.image_tags(name):
        connection.remove_image(reference)


def _rename(old: str, new: str) -> None:
    """Move every tag of one repository to another."""
    for tag in docker("images", old, "--format={{.Tag}}").split():
        if tag != "<none>":  # it has only a digest
            docker("tag", f"{old}:{tag}", f"{new}:{tag}")
            docker("rmi", f"{old}:{tag}")
