"""The application's state in the cluster: read, and waited for."""

from kubetasks import probe, wait
from kubetasks.actions.context import Context
from kubetasks.errors import ExposeError, RolloutError
from kubetasks.kube import objects, readiness, service
from kubetasks.kube.client import ApiError, Object
from kubetasks.kube.service import Address

STRANGER_REQUESTS = 10  # for each pod: misses one pod too many once in 20,000 times: e^-10
LOGS = "./inv status; ./inv logs"
SUPERSEDED = wait.Failed("Something newer is to be rolled out.")


def deployment(context: Context) -> Object | None:
    return context.kube.get("Deployment", context.app.name, context.settings.namespace)


def require_deployment(context: Context) -> None:
    """Raises RolloutError if there is no deployment, OwnershipError if it is not ours."""
    name, namespace = context.app.name, context.settings.namespace
    if objects.there(context.kube, "Deployment", name, namespace) is None:
        raise RolloutError(f"There is no deployment {name} in namespace {namespace}.", "./inv deploy")


def rollout(context: Context) -> tuple[wait.State, Object | None, list[Object]]:
    """How far the rollout is, with the deployment and its pods."""
    kube, namespace = context.kube, context.settings.namespace
    found = deployment(context)
    replica_sets = kube.list("ReplicaSet", namespace, labelSelector=context.app.selector)
    pods = kube.list("Pod", namespace, labelSelector=context.app.selector)
    return readiness.deployment_state(found, replica_sets, pods, context.cluster.since), found, pods


def wait_for_rollout(context: Context, text: str) -> None:
    """Show `text` until the rollout is complete. Raises RolloutError."""
    namespace = context.settings.namespace
    sources = [
        ("Deployment", namespace, {"fieldSelector": f"metadata.name={context.app.name}"}),
        ("Pod", namespace, {"labelSelector": context.app.selector}),
    ]
    with context.report.step(text) as step, context.kube.changes(sources) as changes:
        wait.until_done(
            lambda: SUPERSEDED if context.superseded() else rollout(context)[0],
            RolloutError,
            "The rollout is not complete",
            "./inv status; INVOKE_APP_TIMEOUT=SECONDS waits longer",
            timeout=context.settings.timeout,
            changed=changes.wait,
            on_change=step.at,
        )


def find_service(context: Context) -> Object | None:
    return context.kube.get("Service", context.app.name, context.settings.namespace)


def addresses(context: Context, found: Object) -> list[Address]:
    """Every address at which the service may answer this machine, the preferred one first."""
    nodes = _nodes(context) if context.cluster.node_ports else []
    return service.addresses(context.app, found, context.cluster.mapped_port, nodes)


def _nodes(context: Context) -> list[Object]:
    try:
        return context.kube.list("Node")
    except ApiError as error:
        if error.status != 403:  # whoever may use a namespace alone knows no node: a load balancer's address is enough
            raise
        return []


def address(context: Context) -> Address:
    """An address that answers, otherwise the preferred one. Raises ExposeError if there is no service or no address."""
    found = find_service(context)
    if found is None:
        raise ExposeError(f"There is no service {context.app.name} in namespace {context.settings.namespace}.", "./inv expose")
    known = addresses(context, found)
    if not known:
        raise ExposeError("The service has no address yet.", "./inv expose waits for one")
    return probe.first_answering(context.app, known) or known[0]


def ready_pods(context: Context) -> set[str]:
    """The names of the pods that the service sends requests to."""
    slices = context.kube.list("EndpointSlice", context.settings.namespace, labelSelector=context.app.slices)
    return service.ready_pods(slices)


def wait_for_traffic(context: Context, replicas: int, build: str = "") -> int:
    """Wait until `replicas` endpoints are ready and, if an address answers here, each of them and no other pod answers.

    Each must answer with that build id, if one is given. Return how many pods have answered. A complete rollout is not yet
    traffic: kube-proxy needs some tenths of a second more. Raises ExposeError.
    """
    app = context.app
    found = find_service(context)
    if found is None:
        return 0
    known = addresses(context, found)
    seen: set[str] = set()
    chosen: Address | None = None

    def check() -> wait.State:
        nonlocal chosen
        if context.superseded():
            return SUPERSEDED
        ready = ready_pods(context)
        if len(ready) != replicas:
            return wait.Pending(f"{len(ready)} of {replicas} endpoints ready")
        if replicas == 0:  # a terminating pod answers until its end if there is no other
            return wait.Pending("a pod still answers") if probe.first_answering(app, known) else wait.Done()
        chosen = chosen or probe.first_answering(app, known)
        if chosen is None:
            return wait.Pending("no address answers yet") if context.cluster.reachable else wait.Done()
        for _ in range(STRANGER_REQUESTS * replicas):
            answer = probe.ask(app, chosen.url, app.health)
            pod = "" if answer is None else str(answer[app.pod_key])
            if answer is None or pod not in ready:
                return wait.Pending("a terminating pod still gets requests")
            if build and answer.get("build", build) != build:
                return wait.Failed(f"Pod {pod} serves build {answer['build']}, not {build}.", "./inv status; ./inv build deploy")
            seen.add(pod)
        return wait.Done() if seen >= ready else wait.Pending(f"{len(seen)} of {replicas} pods have answered")

    with context.report.step("Waiting for traffic") as step:
        wait.until_done(
            check,
            ExposeError,
            "Not every pod gets requests",
            LOGS,
            timeout=context.settings.timeout,
            on_change=step.at,
            longest_pause=0.1,
        )
    return len(seen)
