"""Images: a person's images of the application are put aside during a run, and put back at its end.

Only their names change, so a container made from one of them is not touched.
"""

from contextlib import closing

import docker

from kubetasks.engine import client
from kubetasks.engine.image import familiar
from kubetasks.project.labels import TOOL
from tasks import PROJECT
from tests.support import source

ASIDE = f"{PROJECT.application.name}-aside"
STAGES = f"{PROJECT.application.name}-stages"


def built_image(text: str) -> str:
    """The name that the one image in the text got when it was built, without a registry's."""
    return f"simple-server:{source.build(text)}"


def put_aside() -> None:
    """Leave no image under the application's name, whoever built it; what a killed run put aside is put back first."""
    _restore()
    _rename(PROJECT.application.name, ASIDE)


def put_back() -> None:
    """Remove the images of the run, and give a person's images their names again."""
    remove()
    _restore()


def remove() -> None:
    """Remove the images that the tasks built under the application's name; one that has another name only loses this one."""
    connection = client.connect()
    for reference in connection.image_tags(PROJECT.application.name):
        connection.remove_image(reference)
    connection.remove_dangling()


def keep_stages() -> None:
    """Name the earlier stages of the build, so that a clean-up does not remove them and the next build is quick."""
    with closing(docker.from_env().api) as api:
        for number, stage in enumerate(api.images(filters={"label": TOOL.selector, "dangling": True})):
            api.tag(stage["Id"], STAGES, str(number))


def _restore() -> None:
    """Put back what is aside, and remove the kept stages."""
    connection = client.connect()
    for reference in connection.image_tags(STAGES):
        connection.remove_image(reference)
    _rename(ASIDE, PROJECT.application.name)


def _rename(old: str, new: str) -> None:
    """Move every name of one repository to another."""
    with closing(docker.from_env().api) as api:
        for reference in [name for image in api.images(name=old) for name in image["RepoTags"] or ()]:
            repository, _, tag = familiar(reference).rpartition(":")
            if repository == old:
                api.tag(reference, new, tag)
                api.remove_image(reference)
