"""One look at the application. It only reads."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property

from kubetasks.errors import ClusterError, ExposeError, RolloutError
from kubetasks.kube import client, objects, problems, service, states
from kubetasks.kube.client import FORBIDDEN, HTTP_ERROR, ApiError, Kube, Object, UnservedError, describe, within
from kubetasks.kube.kinds import COUNTS, RUN_ONCE
from kubetasks.kube.problems import Evidence
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.service import Address
from kubetasks.pipeline import judge, probe
from kubetasks.pipeline.judge import Exposure
from kubetasks.project.application import Application
from kubetasks.project.words import INV
from kubetasks.providers.base import Cluster


class Seen:
    """An application in a namespace. Its deployment, service and endpoints are read once, on first use.

    After a change, or while waiting for one, use a new Seen. Everything that reads raises ApiError and ClusterError.
    """

    def __init__(self, kube: Kube, app: Application, namespace: str, cluster: Cluster) -> None:
        self._kube = kube
        self._app = app
        self._namespace = namespace
        self._cluster = cluster

    # the deployment

    @cached_property
    def deployment(self) -> Object | None:
        """The application's own deployment, or None."""
        return self._kube.get("Deployment", self._app.name, self._namespace)

    @cached_property
    def rollout(self) -> Rollout:
        """The rollout of the application's own deployment."""
        return self._rollout(self.deployment, self._app.selector)

    def rollout_of(self, item: Object) -> Rollout:
        """Return the rollout of any of the application's objects; all except its own deployment are read again each time."""
        return self.rollout if describe(item) == self._app.deployment else self._rollout_of(self._read(item))

    def _rollout_of(self, live: Object | None) -> Rollout:
        labels = within(live, "spec", "selector", "matchLabels")
        return self._rollout(live, ",".join(f"{key}={value}" for key, value in labels.items()))

    def roots(self) -> list[Rollout]:
        """Return the rollouts of the namespace's workloads, jobs and pods that may be listed and that none of the others owns."""
        known = {*COUNTS, *RUN_ONCE, "ReplicaSet"}
        found = (item for kind in (*COUNTS, *RUN_ONCE) for item in self._visible(kind) or ())
        own = [item for item in found if not known & {owner["kind"] for owner in item["metadata"].get("ownerReferences", [])}]
        return [*map(self._rollout_of, own)]

    def _rollout(self, workload: Object | None, selector: str) -> Rollout:
        if not selector:
            pods = [workload] if workload and "containers" in within(workload, "spec") else []
            return Rollout(workload, pods=pods, evidence=self._evidence(pods))
        pods, replica_sets = self._kube.list("Pod", self._namespace, labelSelector=selector), list[Object]()
        direct = owned(pods, [workload]) if workload else []  # other workloads' pods may have the same labels
        if not direct:
            replica_sets = self._kube.list("ReplicaSet", self._namespace, labelSelector=selector)
            replica_sets = owned(replica_sets, [workload]) if workload else replica_sets
            pods = owned(pods, replica_sets) if workload else pods
        return Rollout(workload, replica_sets, direct or pods, self._evidence(direct or pods))

    def read_owned(self, item: Object) -> Object | None:
        """Return the live object of that kind and name, or None. Raises OwnershipError if it lacks the owner's label."""
        name = describe(item)
        if name in (self._app.deployment, self._app.service):
            live = self.deployment if name == self._app.deployment else self.service
        else:
            live = self._read(item)
        if live:
            objects.require_ours(self._kube, live)
        return live

    def _read(self, item: Object) -> Object | None:
        with suppress(UnservedError):  # a kind that is not served has no objects
            return self._kube.read(self._kube.in_namespace(item, self._namespace))
        return None

    def require_deployment(self) -> Object:
        """Return the deployment. Raises RolloutError if missing or terminating, OwnershipError without the owner's label."""
        deployment = self.read_owned(client.reference("Deployment", self._app.name))
        if deployment is None:
            raise RolloutError(f"There is no deployment {self._app.name} in namespace {self._namespace}.", f"{INV} deploy")
        if states.terminating(deployment):
            raise RolloutError(
                f"The deployment {self._app.name} is being deleted.", f"{INV} deploy waits until it is gone, and creates it again"
            )
        return deployment

    def require_namespace(self) -> None:
        """Raise ClusterError if the namespace does not exist."""
        if self._kube.get("Namespace", self._namespace) is None:
            create = f"{self._kube.kubectl_line} create namespace {self._namespace}"
            raise ClusterError(f"The namespace {self._namespace} does not exist.", create)

    # read only if something is wrong

    def _evidence(self, pods: Sequence[Object]) -> Evidence:
        """Collect the evidence about pods that do not start."""
        now = datetime.now(UTC)
        nodes = self._visible("Node") if any(problems.unschedulable(pod) is not None for pod in pods) else None
        unusual = any(unready.unusual for unready in (problems.unready(pod, now) for pod in pods) if unready)
        unhealthy = self._events("Unhealthy") if unusual else []
        creating = any(problems.creating(pod, now) for pod in pods)
        failed = [event for reason in problems.NOT_CREATED for event in self._events(reason)] if creating else []
        kubectl = f"{self._kube.kubectl_line} --namespace {self._namespace}"
        return Evidence(now, nodes, problems.probe_answers(unhealthy), problems.creation_failures(failed), kubectl=kubectl)

    def _events(self, reason: str) -> list[Object]:
        return self._visible("Event", fieldSelector=f"reason={reason}") or []

    def events(self) -> list[Object]:
        """Return the namespace's events; [] if they may not be listed."""
        return self._visible("Event") or []

    def labelled(self, *kinds: str) -> list[Object]:
        """Return the objects of these kinds with the owner's label, except those that may not be listed."""
        selector = self._app.owner.selector
        return [item for kind in kinds for item in self._visible(kind, labelSelector=selector) or ()]

    def _visible(self, kind: str, **selectors: str) -> list[Object] | None:
        """Return the objects of a kind, only the namespace's if the kind is namespaced; None if they may not be listed."""
        with _as_allowed():
            return self._kube.list(kind, self._namespace, **selectors)
        return None

    # the service

    @cached_property
    def service(self) -> Object | None:
        """The application's own service, or None."""
        return self._kube.get("Service", self._app.name, self._namespace)

    @cached_property
    def _slices(self) -> list[Object]:
        return self._kube.list("EndpointSlice", self._namespace, labelSelector=f"kubernetes.io/service-name={self._app.name}")

    @property
    def ready_pods(self) -> frozenset[str]:
        """The names of the pods that the service sends requests to."""
        return frozenset(service.ready_ports(None, self._slices))

    @cached_property
    def addresses(self) -> list[Address]:
        """Every address at which the service may answer this machine, the preferred one first; [] without a service."""
        if self.service is None:
            return []
        # with rights in one namespace only, nodes cannot be listed: a load balancer's address is enough
        nodes = (self._visible("Node") if self._cluster.node_ports else None) or []
        return service.addresses(self.service, self._cluster.mapped_port, nodes)

    @property
    def balanced(self) -> bool:
        """Whether a load balancer gives the service an address."""
        return self._cluster.load_balancer and within(self.service, "spec").get("type") == "LoadBalancer"

    @cached_property
    def exposure(self) -> Exposure:
        """The service with its addresses and pods."""
        if self.service is None:
            return Exposure()
        awaited = self.balanced and not self.service["status"].get("loadBalancer", {}).get("ingress")
        ports = service.ready_ports(self.service, self._slices)
        return Exposure(self.service, self.deployment, self.addresses, ports, awaited)

    def require_addresses(self) -> Sequence[Address]:
        """Return the service's addresses. Raises ExposeError without a service or address, or if it is a ClusterIP."""
        if self.service is None:
            raise ExposeError(f"There is no service {self._app.name} in namespace {self._namespace}.", f"{INV} expose")
        if service.is_internal(self.service):
            raise ExposeError(f"{self._app.service} {judge.INSIDE}.", f"{INV} service forwards a port to it")
        if not self.addresses:
            raise ExposeError("The service has no address yet.", f"{INV} expose waits for one")
        return self.addresses

    def address(self) -> Address:
        """Return an address that answers, otherwise the preferred one. Raises ExposeError as `require_addresses` does."""
        known = self.require_addresses()
        return probe.first_answering(self._app, known) or known[0]

    def require_answer(self) -> str:
        """Return the first URL that answers, "" for a ClusterIP. Raises ExposeError if no URL answers or a ready pod does not."""
        known = [] if service.is_internal(self.service) else self.require_addresses()
        if first := probe.first_answering(self._app, known):
            return first.url
        silent = None
        with _as_allowed() if known else nullcontext():  # if it has addresses, the pods could only say why
            silent = self.silent(sorted(self.ready_pods))
        if silent:
            raise ExposeError(*judge.no_good_answer(self.exposure, self._app.health, *silent))
        if not known:
            return ""
        urls = " or ".join(address.url for address in known)
        raise ExposeError(f"Nothing answers at {urls}.", f"{INV} expose applies the service again; {INV} logs")

    def silent(self, pods: Iterable[str]) -> tuple[str, str] | None:
        """Return the first of these pods that gives no good answer through the API server, and why; None if all do."""
        return next(((pod, why) for pod in pods if (why := self.silence(pod))), None)

    def silence(self, pod: str) -> str:
        """Return why a ready pod gives no good answer through the API server, or ""."""
        status, text = self._kube.ask("Pod", self._namespace, pod, self.exposure.ports[pod], self._app.health)
        return "" if 0 < status < HTTP_ERROR else f"it answers {status}" if status else text

    def send(self, url: str) -> Object | None:
        """Send a traffic request to the URL or, if "", to any ready pod through the API server; return the answer or None."""
        app = self._app
        if url:
            return probe.ask(app, url, app.traffic)
        port = within(self.service, "spec")["ports"][0]["port"]
        with suppress(ClusterError, ValueError):
            return probe.parsed_answer(app, *self._kube.ask("Service", self._namespace, app.name, port, app.traffic))
        return None


@contextmanager
def _as_allowed() -> Iterator[None]:
    """End the block quietly if the cluster forbids a request."""
    try:
        yield
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise


def owned(items: Iterable[Object], owners: Iterable[Object]) -> list[Object]:
    """Return the objects that have an owner reference to one of the owners."""
    known = {owner["metadata"]["uid"] for owner in owners}
    return [item for item in items if any(owner["uid"] in known for owner in item["metadata"].get("ownerReferences", []))]
