"""The steps that tasks are made of. Each shows its mirrored commands, changes nothing under --dry, and can be run twice."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubetasks import image, loadbalancer, manifests, shell, wait
from kubetasks.commands.session import Session
from kubetasks.errors import (
    ClusterError,
    EngineError,
    ExposeError,
    LeftoverError,
    RolloutError,
)
from kubetasks.kube import endpoints, objects, rollout
from kubetasks.kube.client import ApiError, Object
from kubetasks.kube.endpoints import Endpoint
from kubetasks.providers import kind
from kubetasks.settings import APP, OWNER, OWNER_LABEL
from kubetasks.setup import images

if TYPE_CHECKING:
    from tenacity import AttemptManager

SELECTOR = f"app.kubernetes.io/name={APP}"
SLICES = f"kubernetes.io/service-name={APP}"
OTHERS_SECONDS = 2.0  # that a second address gets once one answers: not every machine can reach a load balancer's


# the cluster


def start(session: Session) -> None:
    """A running cluster with a load balancer, made or started where needed."""
    report, settings = session.report, session.settings
    if settings.provider == "kind" and (report.echo or report.dry):
        _mirror_start(session)
    if report.dry:
        return
    started = datetime.now(UTC)
    cluster, changed = session.provider.ensure()
    if changed:
        _wait_for_nodes(session, started)
    if settings.provider == "kind":
        _install_load_balancer(session)
    if not changed:
        report.say(f"Cluster {cluster.name} is running.")


def _mirror_start(session: Session) -> None:
    report = session.report
    try:
        condition = session.kind.condition()
    except EngineError:
        report.mirror("# no container engine answers: ./inv setup")
        return
    if condition == "missing":
        report.mirror(*kind.mirror_create(session.kind.recipe()), "kubectl wait --for=condition=Ready nodes --all")
        if report.dry:
            report.mirror(*loadbalancer.mirror(images.metallb_manifest(session.settings)))
    elif condition == "stopped":
        report.mirror(kind.mirror_start(session.settings.cluster))


def _wait_for_nodes(session: Session, started: datetime) -> None:
    """Until the API answers and every node is ready. Raises ClusterError."""
    kube = session.kube

    def check() -> wait.State:
        return rollout.node_state(kube.list("Node"), kube.list("Lease", "kube-node-lease"), started)

    with session.report.step("Waiting for the node") as step:
        for attempt in _until_answered(session.settings.timeout):
            with attempt:
                kube.list("Node")
        with kube.changes([("Node", "", {}), ("Lease", "kube-node-lease", {})]) as changes:
            end = wait.until(check, timeout=session.settings.timeout, changed=changes.wait, on_change=step.at)
        if not isinstance(end, wait.Done):
            raise ClusterError(
                f"Cluster {session.cluster.name} did not become ready in {session.settings.timeout:.0f} s.",
                f"docker logs {session.cluster.name}-control-plane says more; ./inv delete start makes it anew",
            )


def _until_answered(seconds: float) -> "Iterable[AttemptManager]":
    """Attempts at what may not be up yet: an API server that has just been started."""
    import tenacity

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((ClusterError, ApiError)),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_random(0.1, 0.4),
        reraise=True,
    )


def _install_load_balancer(session: Session) -> None:
    if loadbalancer.installed(session.kube):
        return
    manifest = images.metallb_manifest(session.settings)
    if not manifest.exists():
        raise ClusterError("MetalLB's manifest is missing.", "./inv setup")
    session.report.mirror(*loadbalancer.mirror(manifest, session.cluster.subnet))
    with session.report.step("Installing the load balancer (MetalLB)"):
        loadbalancer.install(session.kube, manifest, session.cluster.subnet)


# the image and the deployment


def build(session: Session) -> None:
    """The image of the present source, in the engine."""
    report, made = session.report, session.image
    if not report.mirror(made.mirror()):
        return
    if session.engine.image_id(made.reference):
        image.build(session.engine, made, lambda _line: None)
        report.say(f"{made.reference} is built already.")
        return
    with report.step(f"Building {made.reference}") as step:
        image.build(session.engine, made, step.at)


def require_built(session: Session) -> None:
    """Raises ImageError where the present source has not been built."""
    if not session.report.dry:
        image.require_built(session.engine, session.image)


def deploy(session: Session) -> None:
    """The image of the present source, on the nodes and rolled out."""
    report, made, settings = session.report, session.image, session.settings
    mirrored = (
        shell.line(["kind", "load", "docker-image", "--name", settings.cluster, image.HUMAN_TAG, made.reference]),
        " | ".join(
            (
                f"kubectl set image --local -f k8s/deployment.yaml {APP}={made.reference} -o yaml",
                f"kubectl label --local -f - {OWNER_LABEL}={OWNER} -o yaml",
                f"{session.kubectl} apply --server-side --force-conflicts --field-manager={OWNER} -f -",
            )
        ),
        f"{session.kubectl} rollout status deployment/{APP}",
    )
    if not report.mirror(*mirrored[settings.provider != "kind" :]):
        return
    require_built(session)
    session.require_namespace()
    session.provider.deliver(made)
    changed = objects.apply(
        session.kube, manifests.deployment(session.manifest("deployment"), made.reference, settings.namespace)
    )
    wait_for_rollout(session, f"Rolling out {made.reference}" if changed else f"{made.reference} is deployed")


def wait_for_rollout(session: Session, text: str) -> None:
    """Until the deployment is what was asked for. Raises RolloutError."""
    kube, namespace = session.kube, session.settings.namespace

    def check() -> wait.State:
        pods = kube.list("Pod", namespace, labelSelector=SELECTOR)
        return rollout.deployment_state(kube.get("Deployment", APP, namespace), pods)

    sources = [
        ("Deployment", namespace, {"fieldSelector": f"metadata.name={APP}"}),
        ("Pod", namespace, {"labelSelector": SELECTOR}),
    ]
    with session.report.step(text) as step, kube.changes(sources) as changes:
        end = wait.until(check, timeout=session.settings.timeout, changed=changes.wait, on_change=step.at)
        if isinstance(end, wait.Failed):
            raise RolloutError(end.reason, end.hint)
        if isinstance(end, wait.Pending):
            raise RolloutError(
                f"The roll-out is not done after {session.settings.timeout:.0f} s: {end.detail}.",
                "./inv status; INVOKE_APP_TIMEOUT=SECONDS waits longer",
            )


def scale(session: Session, replicas: int) -> None:
    """That many replicas, done when as many pods answer (exposed) or are ready endpoints."""
    report, namespace = session.report, session.settings.namespace
    if not report.mirror(
        f"{session.kubectl} scale deployments/{APP} --replicas={replicas}",
        f"{session.kubectl} rollout status deployment/{APP}",
    ):
        return
    require_deployed(session)
    changed = objects.scale(session.kube, APP, namespace, replicas)
    wait_for_rollout(session, f"Scaling to {replicas}" if changed else f"Scaled to {replicas} already")
    wait_for_traffic(session, replicas)


def require_deployed(session: Session) -> Object:
    """The deployment. Raises RolloutError, OwnershipError."""
    found = session.deployed()
    if found is None:
        raise RolloutError(f"There is no deployment {APP} in namespace {session.settings.namespace}.", "./inv deploy")
    objects.require_ours({"kind": "Deployment", **found})
    return found


def undeploy(session: Session) -> bool:
    """No deployment and no pod of it."""
    settings = session.settings
    if not session.report.mirror(f"{session.kubectl} delete deployment {APP}") or not cluster_runs(session):
        return False
    with session.report.step("Deleting the deployment"):
        return objects.delete(session.kube, "Deployment", APP, settings.namespace, settings.timeout)


# traffic


def find_service(session: Session) -> Object | None:
    """The service, if there is one."""
    return session.kube.get("Service", APP, session.settings.namespace)


def service_endpoints(session: Session, service: Object) -> list[Endpoint]:
    """Every URL that may answer from here."""
    addresses = []
    if session.settings.provider == "existing":
        addresses = [
            address["address"]
            for node in session.kube.list("Node")
            for address in node["status"].get("addresses", [])
            if address["type"] == "InternalIP"
        ]
    return endpoints.candidates(service, session.cluster.mapped_port, addresses)


def expose(session: Session) -> list[Endpoint]:
    """A service with an address that answers from here. Raises ExposeError."""
    report, settings = session.report, session.settings
    if not report.mirror(
        f"kubectl label --local -f k8s/service.yaml {OWNER_LABEL}={OWNER} -o yaml"
        f" | kubectl patch --local -f - --type=json -o yaml -p '{_node_port_patch()}'"
        f" | {session.kubectl} apply --server-side --force-conflicts --field-manager={OWNER} -f -"
        if settings.provider == "kind"
        else f"{session.kubectl} expose deployment {APP} --type=LoadBalancer"
    ):
        return []
    require_deployed(session)
    changed = objects.apply(session.kube, manifests.service(session.manifest("service"), settings.namespace, _node_port(session)))
    with report.step("Exposing" if changed else "Exposed already") as step:
        return _wait_for_address(session, step.at)


def _node_port_patch() -> str:
    return f'[{{"op": "add", "path": "/spec/ports/0/nodePort", "value": {kind.NODE_PORT}}}]'


def _node_port(session: Session) -> int | None:
    """The node port that is mapped to this machine, unless another service of the cluster has it."""
    mapped = session.cluster.mapped_port
    if mapped is None:
        return None
    for service in session.kube.list("Service"):
        metadata = service["metadata"]
        if (metadata["namespace"], metadata["name"]) == (session.settings.namespace, APP):
            continue
        if any(port.get("nodePort") == mapped[0] for port in service["spec"].get("ports", [])):
            session.report.say(
                f"Port {mapped[1]} of 127.0.0.1 belongs to service {metadata['name']} in namespace"
                f" {metadata['namespace']}: this one gets a load balancer's address alone."
            )
            return None
    return mapped[0]


def _wait_for_address(session: Session, at: Callable[[str], None]) -> list[Endpoint]:
    """The endpoints that answer, or, where no pod is ready, that would. Raises ExposeError."""
    kube, settings = session.kube, session.settings
    answering: list[Endpoint] = []
    first_answer = 0.0

    def check() -> wait.State:
        nonlocal answering, first_answer
        service = find_service(session)
        if service is None:
            return wait.Failed("The service is gone.", "./inv expose")
        known = service_endpoints(session, service)
        if not service["status"].get("loadBalancer", {}).get("ingress"):
            return wait.Pending("waiting for the load balancer's address")
        slices = kube.list("EndpointSlice", settings.namespace, labelSelector=SLICES)
        if not rollout.ready_endpoints(slices):
            answering = known
            deployed = session.deployed()
            idle = deployed is None or deployed["spec"].get("replicas", 1) == 0
            return wait.Done() if idle else wait.Pending("waiting for a pod to be ready")
        answering = [endpoint for endpoint in known if endpoints.ask(endpoint.url, endpoints.HEALTH)]
        if not answering:
            return wait.Pending("waiting for an answer")
        first_answer = first_answer or time.monotonic()
        if len(answering) < len(known) and time.monotonic() - first_answer < OTHERS_SECONDS:
            return wait.Pending("waiting for the other address")
        return wait.Done()

    with kube.changes([("Service", settings.namespace, {"fieldSelector": f"metadata.name={APP}"})]) as changes:
        end = wait.until(
            check,
            timeout=settings.timeout,
            changed=changes.wait,
            on_change=at,
            longest_pause=0.2,
        )
    if answering:
        return answering
    if isinstance(end, wait.Failed):
        raise ExposeError(end.reason, end.hint)
    raise ExposeError(f"No address of the service answers after {settings.timeout:.0f} s.", "./inv status; ./inv logs")


def wait_for_traffic(session: Session, replicas: int) -> None:
    """Until `replicas` pods are ready endpoints and, where the service answers from here, each has answered.

    A finished roll-out is not yet traffic: kube-proxy needs some tenths of a second more. Raises ExposeError.
    """
    kube, settings = session.kube, session.settings
    service = find_service(session)
    if service is None:
        return
    seen: set[str] = set()
    known = service_endpoints(session, service)
    url = ""

    def check() -> wait.State:
        nonlocal url
        ready = rollout.ready_endpoints(kube.list("EndpointSlice", settings.namespace, labelSelector=SLICES))
        if len(ready) != replicas:
            return wait.Pending(f"{len(ready)} of {replicas} endpoints ready")
        if replicas == 0:
            return wait.Done()
        url = url or next((end.url for end in known if endpoints.ask(end.url, endpoints.HEALTH)), "")
        if not url:
            # another's cluster may have addresses that this machine cannot reach
            return wait.Done() if settings.provider == "existing" else wait.Pending("no address answers yet")
        for _ in range(10 * replicas):
            answer = endpoints.ask(url, endpoints.HEALTH)
            seen.update({str(answer["pod"])} if answer else ())
            if seen >= ready:
                return wait.Done()
        return wait.Pending(f"{len(seen & ready)} of {replicas} pods have answered")

    with session.report.step("Waiting for traffic") as step:
        end = wait.until(check, timeout=settings.timeout, on_change=step.at, longest_pause=0.1)
        if isinstance(end, wait.Pending):
            raise ExposeError(f"After {settings.timeout:.0f} s {end.detail}.", "./inv status; ./inv logs")


def unexpose(session: Session) -> bool:
    """No service."""
    settings = session.settings
    if not session.report.mirror(f"{session.kubectl} delete service {APP}") or not cluster_runs(session):
        return False
    with session.report.step("Deleting the service"):
        return objects.delete(session.kube, "Service", APP, settings.namespace, settings.timeout)


def answering_url(session: Session) -> str:
    """The URL to prefer. Raises ExposeError where there is no service or none of its addresses is known."""
    service = find_service(session)
    if service is None:
        raise ExposeError(f"There is no service {APP} in namespace {session.settings.namespace}.", "./inv expose")
    known = service_endpoints(session, service)
    for endpoint in known:
        if endpoints.ask(endpoint.url, endpoints.HEALTH):
            return endpoint.url
    if not known:
        raise ExposeError("The service has no address yet.", "./inv expose waits for one")
    return known[0].url


# removal


def remove_images(session: Session, *, from_nodes: bool) -> list[str]:
    """No image of the application in the engine and, where asked for, on the nodes."""
    report = session.report
    references = session.engine.image_tags(APP) if not report.dry else [image.HUMAN_TAG]
    if not report.mirror(*([shell.line(["docker", "rmi", "--force", *references])] if references else [])):
        return []
    with report.step("Removing the images"):
        gone = image.remove(session.engine)
        if from_nodes:
            session.provider.withdraw()
    left = session.engine.image_tags(APP)
    if left:
        raise LeftoverError(f"Images are still there: {', '.join(left)}.", "docker ps --all shows what holds them")
    return gone


def delete(session: Session) -> bool:
    """No cluster, no network of it, no file of it."""
    name = session.settings.cluster
    if not session.report.mirror(
        shell.line(["kind", "delete", "cluster", "--name", name]), shell.line(["docker", "network", "rm", name])
    ):
        return False
    return session.provider.delete()


def cluster_runs(session: Session) -> bool:
    """Whether there is a cluster to clean. Raises ClusterError where it is stopped."""
    condition = session.provider.condition()
    if condition == "missing":
        return False
    if condition == "stopped":
        raise ClusterError(
            f"Cluster {session.settings.cluster} is stopped.", "./inv start, or ./inv delete to remove it as it is"
        )
    return True
