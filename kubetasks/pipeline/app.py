"""The application: deployed, exposed, scaled, rolled back, and brought up at once."""

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

    The cluster is started first if it does not run. Raises SettingError, ImageError, ClusterError, RolloutError, ExposeError,
    OwnershipError.
    """
    made = run.image
    desired.check(run.app, run.manifests)
    run.do.unless_dry(lambda: build.require_built(run))  # before a cluster is created for nothing
    came_up = cluster.ensure(run)  # then the same pods may not answer yet
    converge(run, Desired(run.images), made.build, "always" if came_up else "if changed")
    return made


def expose(run: Run) -> Sequence[Address]:
    """Give the deployment a service, and return the addresses that answer. Raises ExposeError, RolloutError, OwnershipError."""
    return converge(run, Desired(exposed=True)).addresses


def scale(run: Run, replicas: int) -> None:
    """Scale the deployment, and wait until every pod answers or, not exposed, is ready. Raises RolloutError, ExposeError."""
    converge(run, Desired(replicas=replicas), serve="always")


def rollback(run: Run) -> None:
    """Roll back to the revision that served before, and wait until its pods answer. Raises RolloutError, ExposeError."""
    converge(run, Desired(back=True), serve="always")


class Up(NamedTuple):
    """The image that is served, and an address that answers; "" under --dry."""

    made: Image
    url: str


def up(run: Run) -> Up:
    """Start, build, deploy, expose and scale. Image and cluster are created side by side."""
    desired.check(run.app, run.manifests, exposed=True)
    if run.do.unless_dry(lambda: prepare(run)) is None:  # one after the other, as they would be pasted
        cluster.ensure(run)
        build.build(run)
    wanted = Desired(run.images, exposed=True, replicas=run.settings.replicas)
    answering = converge(run, wanted, run.image.build, "always").addresses
    return Up(run.image, answering[0].url if answering else "")


def prepare(run: Run, *, tagged: bool = True) -> bool:
    """Build the images while the cluster starts, and deliver them as soon as a cluster that is new takes them; return True.

    `tagged` is that of `build`. The cluster is up even if ImageError is raised. Raises what `build` and `ensure` raise.
    """
    failed: list[BaseException] = []
    over, creating, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        try:
            for made in build.build(run, over.is_set, tagged=tagged):
                if created and not over.is_set():
                    with suppress(TaskError):  # only a head start: what it did not do, `deploy` does
                        created.preload(made, over.is_set)
        except BaseException as error:  # noqa: BLE001  raised again in the main thread
            failed.append(error)
            if isinstance(error, TaskError) and creating.is_set() and not over.is_set():  # print now: it can be fixed meanwhile
                run.report.say(str(error.message))
        finally:
            ended.set()

    # each is made once, before there are two threads
    provider, _, _ = run.provider, run.engine, run.images  # an image that cannot be read is refused before a cluster is created
    created = provider if isinstance(provider, Own) and provider.phase() in ("missing", "incomplete") else None
    if created:
        created.check()
    with run.do.step("Cluster and image"):
        builder = threading.Thread(target=work, daemon=True)  # a daemon, or Ctrl-C would wait for the build
        creating.set()
        try:
            builder.start()
            cluster.ensure(run)  # in this thread: a signal must reach the clean-up of a half-created cluster
            creating.clear()
            while not ended.wait(LOOK_SECONDS):  # before Python 3.13, a join takes a thread that a signal interrupts for ended
                interruption.check()
        except BaseException:
            over.set()
            # or its image would come after a clean-up that follows
            if builder.ident and not ended.wait(build.ABANDON_SECONDS) and interruption.terminate_all():
                ended.wait(build.ABANDON_SECONDS)
            raise
        if failed:
            raise failed[0]
    return True
