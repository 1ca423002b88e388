"""The application in a namespace of a cluster. Failures raise TaskError, whose message has the project's own commands."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from kubetasks.kube.client import Object
from kubetasks.pipeline import build, converge
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.pipeline.service import Forward
from kubetasks.project.application import Project
from kubetasks.project.settings import MOST_REPLICAS, whole_number
from kubetasks.testing.namespace import Namespace


@dataclass(frozen=True)
class App(Namespace):
    """The application in a namespace of a cluster."""

    @property
    def project(self) -> Project:
        return self.cluster.project

    def _run(self) -> Run:
        return self.cluster.run(self.namespace)

    @property
    def url(self) -> str:
        """A URL that answers, the preferred one if several do. Raises ExposeError if none does.

        For a service without an address outside the cluster, a local port is forwarded until `close`.
        """
        return self._run().seen.require_answer() or self._forward.url()

    @cached_property
    def _forward(self) -> Forward:
        return Forward(self._run)

    def close(self) -> None:
        """Stop the port forwarding that `url` may have started; the fixture calls this."""
        self._forward.close()

    def sending(self) -> Callable[[], Object | None]:
        """Return a function that sends one request and returns the answer, or None without a good one. Raises ExposeError."""
        seen = self._run().seen
        return partial(seen.send, seen.require_answer())

    @property
    def urls(self) -> dict[str, str]:
        """The URLs at which it may answer, by "mapped port", "load balancer" or "node port"; {} if it is not exposed."""
        return {address.way: address.url for address in self._run().seen.addresses}

    def pods(self) -> frozenset[str]:
        """Return the names of the pods to which its service sends requests."""
        return self._run().seen.ready_pods

    def scale(self, replicas: int) -> None:
        """Scale to `replicas` pods; wait until each answers. Raises SettingError, RolloutError with a diagnosis, ExposeError."""
        wanted = whole_number("replicas", replicas, 0, MOST_REPLICAS)
        converge.converge(self._run(), Desired(replicas=wanted), serve="always")

    def rollout(self, source: Path | None = None) -> str:
        """Build the folder `source`, by default the project's own, roll it out, wait until its pods answer; return its build id.

        The manifests and the other images are still the project's. Raises ImageError, RolloutError with a diagnosis, ExposeError.
        """
        run = self._run()
        if source:
            app = self.project.application
            own, folder = app.source, source.resolve()
            changed = replace(own, context=folder, dockerfile=folder / os.path.relpath(own.dockerfile, own.context))
            project = replace(self.project, application=replace(app, source=changed))
            run.settings = replace(run.settings, project=project)
        return self._roll_out(run, exposed=False)

    def deploy(self) -> None:
        """Build, deploy and expose the application. Raises what `rollout` raises."""
        self._roll_out(self._run(), exposed=True)

    def _roll_out(self, run: Run, *, exposed: bool) -> str:
        self.cluster.note_images(run)
        images = build.build(run, tagged=False)
        converge.converge(run, Desired(images, exposed=exposed), run.image.build, "always")
        return run.image.build
