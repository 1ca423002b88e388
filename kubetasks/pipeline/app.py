"""Deploy, expose, scale and roll back the application, or bring it up in one go."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from kubetasks.engine.image import Image
from kubetasks.errors import TaskError
from kubetasks.kube.service import Address
from kubetasks.pipeline import build, cluster, desired
from kubetasks.pipeline.converge import converge
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import LOOK_SECONDS, Run
from kubetasks.providers.own import Own
from kubetasks.terminal import interruption


def deploy(run: Run) -> Image:
    """Roll out the images of the current source, and return the application's own.

    Start the cluster first if it is not running. Raises SettingError, ImageError, ClusterError, RolloutError, ExposeError,
    OwnershipError.
    """
    image = run.image
    desired.check(run.app, run.manifests)
    run.do.unless_dry(lambda: build.require_built(run))  # before a cluster is created for nothing
    came_up = cluster.ensure(run)  # if so, even unchanged pods may not answer yet
    converge(run, Desired(run.images), image.build, "always" if came_up else "if changed")
    return image


def expose(run: Run) -> Sequence[Address]:
    """Expose the deployment, and return the addresses that answer. Raises ExposeError, RolloutError, OwnershipError."""
    return converge(run, Desired(exposed=True)).addresses


def scale(run: Run, replicas: int) -> None:
    """Scale the deployment, and wait until every pod answers or, if not exposed, is ready. Raises RolloutError, ExposeError."""
    converge(run, Desired(replicas=replicas), serve="always")


def rollback(run: Run) -> None:
    """Roll back to the revision that served before, and wait until its pods answer. Raises RolloutError, ExposeError."""
    converge(run, Desired(back=True), serve="always")


class Up(NamedTuple):
    """The image that is served, and a URL that answers: "" for a ClusterIP and under --dry."""

    image: Image
    url: str


def up(run: Run) -> Up:
    """Start, build, deploy, expose and scale. The images are built while the cluster starts."""
    desired.check(run.app, run.manifests, exposed=True)
    if run.do.unless_dry(lambda: prepare(run)) is None:  # --dry: one after the other, as a user pastes them
        cluster.ensure(run)
        build.build(run)
    wanted = Desired(run.images, exposed=True, replicas=run.settings.replicas)
    answering = converge(run, wanted, run.image.build, "always").addresses
    return Up(run.image, answering[0].url if answering else "")


def prepare(run: Run, *, tagged: bool = True) -> bool:
    """Build the images while the cluster starts, and deliver them to a new cluster as soon as it accepts them; return True.

    `tagged` is that of `build`. If ImageError is raised, the cluster is up. Raises what `build` and `ensure` raise.
    """
    failed: list[BaseException] = []
    over, creating, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        try:
            for image in build.build(run, over.is_set, tagged=tagged):
                if created and not over.is_set():
                    with suppress(TaskError):  # only a head start: `deploy` delivers what is missing
                        created.preload(image, over.is_set)
        except BaseException as error:  # noqa: BLE001  raised again in the main thread
            failed.append(error)
            if isinstance(error, TaskError) and creating.is_set() and not over.is_set():  # print now: it can be fixed meanwhile
                run.report.say(str(error.message))
        finally:
            ended.set()

    # created before the second thread starts, so that each is created only once
    provider, _, _ = run.provider, run.engine, run.images  # an unreadable source is refused before a cluster is created
    created = provider if isinstance(provider, Own) and provider.phase() in ("missing", "incomplete") else None
    if created:
        created.check()
    with run.do.step("Cluster and image"):
        builder = threading.Thread(target=work, daemon=True)  # daemon: Ctrl-C must not wait for the build
        creating.set()
        try:
            builder.start()
            cluster.ensure(run)  # in this thread: a signal must reach the clean-up of a half-created cluster
            creating.clear()
            while not ended.wait(LOOK_SECONDS):  # before Python 3.13, a join that a signal interrupts marks the thread as ended
                interruption.check()
        except BaseException:
            over.set()
            # wait, or the image would appear after a clean-up that follows
            if builder.ident and not ended.wait(build.ABANDON_SECONDS) and interruption.terminate_all():
                ended.wait(build.ABANDON_SECONDS)
            raise
        if failed:
            raise failed[0]
    return True
