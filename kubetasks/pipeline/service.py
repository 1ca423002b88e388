"""The service: its address, a tunnel to it, and the pods that answer there."""

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any

from kubetasks.errors import ExposeError, ProgramError
from kubetasks.kube import client, kubectl, manifests
from kubetasks.kube.service import is_internal
from kubetasks.pipeline import probe
from kubetasks.pipeline.judge import Exposure
from kubetasks.pipeline.run import LOOK_SECONDS, Run
from kubetasks.pipeline.seen import Seen
from kubetasks.project.application import Application
from kubetasks.project.words import INV
from kubetasks.setup import requirements
from kubetasks.terminal import shell
from kubetasks.terminal.door import At

LEAST_REQUESTS = 60


class Forward:
    """A port of this machine, forwarded to a pod of a service that has no address outside the cluster.

    It is opened by the first call of `url`, and stays open until `close` or the end of this process. `run` gives a fresh look.
    """

    def __init__(self, run: Callable[[], Run]) -> None:
        self._run = run
        self._opened = ExitStack()
        self._pod, self._at = "", ""
        self.close = self._opened.close
        weakref.finalize(self, self.close)

    def url(self) -> str:
        """Return its URL. The same port switches pods if one gets no requests. Raises ExposeError, SetupError, ProgramError."""
        run = self._run()
        ports, url = _require_ready(run.seen).ports, f"http://{self._at}/"
        if self._pod not in ports or all(probe.health(run.app, url) is None for _ in range(2)):  # tolerate one slow answer
            self.close()
            self._pod = min(ports)
            same = self._at.rpartition(":")[2]
            _, *words = run.kubectl("port-forward", f"pod/{self._pod}", f"{same}:{ports[self._pod]}")
            forward = kubectl.forward([requirements.kubectl().reference, *words], run.provider.environment)
            self._at = self._opened.enter_context(forward)
        return f"http://{self._at}/"


def urls(run: Run) -> Iterator[str]:
    """Yield the URL that answers, or else the preferred one; for a ClusterIP, the URL of a port forwarded until Ctrl-C.

    Raises ExposeError, SettingError, SetupError, ProgramError.
    """
    if _inside(run):
        yield from run.do(run.kubectl("port-forward", run.app.deployment, f":{run.app.port}"), lambda _: _forwarded(run)) or ()
    elif url := run.do(run.provider.service_command(run.kubectl_flags), lambda _: run.seen.address().url):
        yield url


def _inside(run: Run) -> str:
    """Return the port of a ClusterIP service, or of its manifest if it does not exist, otherwise "". Raises SettingError."""
    item = run.do.unless_dry(lambda: run.seen.service) or manifests.named(run.manifests, run.app.service)
    if not is_internal(item):
        return ""
    manifests.service_edits(item, run.app, None)  # raises SettingError if it has no port
    return str(item["spec"]["ports"][0].get("port"))


def _forwarded(run: Run) -> Iterator[str]:
    with closing(Forward(lambda: run)) as forward, suppress(KeyboardInterrupt):
        yield forward.url()
        run.report.say("Ctrl-C closes the port.")
        while True:
            time.sleep(LOOK_SECONDS)
            with suppress(ExposeError, ProgramError):  # the only pod may be restarting, or have just ended
                forward.url()
    run.report.say("The port is closed.")


def tunnel(run: Run) -> None:
    """Keep a tunnel to the service's load balancer address open until Ctrl-C.

    Raises ExposeError if there is no service, SetupError or ClusterError if the tunnel cannot be opened.
    """
    provider, report = run.provider, run.report
    if not provider.tunnelled:
        report.say(f"Cluster {provider.name} needs no tunnel: {INV} service prints the address.")
        return
    run.do.unless_dry(lambda: run.seen.require_addresses())
    try:
        provider.tunnel()
    except KeyboardInterrupt:
        report.say("The tunnel is closed.")


def traffic(run: Run, requests: int | None) -> dict[str, Any] | None:
    """Send requests and return which pods answered; None under --dry. Raises ExposeError, ApiError.

    By default, send enough to miss a ready pod only once in a million runs, and at least LEAST_REQUESTS. If answers do not name
    their pod, the API server asks each ready pod once, and the pods' requests are None.
    """
    seen = run.do.unless_dry(lambda: run.seen)
    url = seen.require_answer() if seen and _require_ready(seen) else ""
    number = requests or max(LEAST_REQUESTS, probe.enough(len(seen.exposure.ready)) if seen else 0)
    one = f"curl --silent $({INV} service){run.app.traffic[1:]}"
    if port := _inside(run):
        proxied = client.path("Service", run.settings.namespace, f"{run.app.name}:{port}", "proxy")
        one = shell.line(run.kubectl("get", "--raw", f"{proxied}{run.app.traffic}"))
    where = f"{url}{run.app.traffic[1:]}" if url else f"{run.app.service} through the API server"
    text = f"Sending {number} requests to {where}" if seen else ""
    command = f"for i in $(seq {number}); do {one}; done"
    return run.do(command, lambda at: _send(run.app, seen, url, number, at) if seen else None, text)


def _require_ready(seen: Seen) -> Exposure:
    """Return the service's exposure, with at least one ready pod. Raises ExposeError."""
    if not is_internal(seen.service):
        seen.require_addresses()
    exposed = seen.exposure
    if not exposed.ready:
        if exposed.deployment is None:
            raise ExposeError("Nothing is deployed.", f"{INV} build deploy")
        raise ExposeError("No pod is ready to answer.", f"{INV} diagnose" if exposed.wanted else f"{INV} scale")
    return exposed


def _send(app: Application, seen: Seen, url: str, number: int, at: At) -> dict[str, Any]:
    pods = probe.spread(app, partial(seen.send, url), number, lambda sent: at("", sent, number))
    failed = number - sum(pod["requests"] for pod in pods)
    ready = seen.exposure.ready
    if not app.pod_key:
        pods = [{"pod": pod, "requests": None} for pod in sorted(ready) if not seen.silence(pod)]
    return {"url": url, "requests": number, "failed": failed, "ready": len(ready), "pods": pods}
