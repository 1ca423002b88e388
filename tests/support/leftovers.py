"""Leftovers: what a run makes in the engine goes, and a person's images of the application are put aside meanwhile.

Only their names change, so a container made from one of them is not touched.
"""

from kubetasks.engine import client
from kubetasks.project.labels import TOOL
from tests.support.driver import docker
from tests.support.source import NAME

ASIDE = f"{NAME}-aside"
STAGES = f"{NAME}-stages"


def our_clusters() -> list[str]:
    """The names of the clusters of every project."""
    return [one.name for one in client.connect().clusters()]


def remove(prefix: str) -> None:
    """Remove the containers, networks and images whose names begin with `prefix`, which is that of one run or test alone."""
    for container in docker("ps", "--all", "--quiet", f"--filter=name=^{prefix}").split():
        docker("rm", "--force", "--volumes", container)
    for network in docker("network", "ls", "--quiet", f"--filter=name=^{prefix}").split():
        docker("network", "rm", network)
    for name in docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={prefix}*").split():
        docker("rmi", "--force", name)


def put_aside() -> None:
    """Leave no image under the application's name, whoever built it; what a killed run put aside is put back first."""
    restore()
    _rename(NAME, ASIDE)


def put_back() -> None:
    """Remove the images of the run, and give a person's images their names again."""
    remove_images()
    restore()


def remove_images() -> None:
    """Remove the images that the tasks built, and their stages; one that has another name only loses this one."""
    _untag(NAME)
    client.connect().remove_dangling()


def keep_stages() -> None:
    """Name the earlier stages of the build, so that a clean-up does not remove them and the next build is quick."""
    stages = docker("images", "--quiet", "--filter=dangling=true", f"--filter=label={TOOL.selector}").split()
    for number, stage in enumerate(stages):
        docker("tag", stage, f"{STAGES}:{number}")


def restore() -> None:
    """Put back what is aside, and remove the kept stages."""
    _untag(STAGES)
    _rename(ASIDE, NAME)


def _untag(name: str) -> None:
    connection = client.connect()
    for reference in connection.image_tags(name):
        connection.remove_image(reference)


def _rename(old: str, new: str) -> None:
    """Move every name of one repository to another."""
    for tag in docker("images", old, "--format={{.Tag}}").split():
        if tag != "<none>":  # a digest is all that it has
            docker("tag", f"{old}:{tag}", f"{new}:{tag}")
            docker("rmi", f"{old}:{tag}")
