"""The application: its image built, its deployment rolled out, scaled and removed."""

from kubetasks import image, manifests, shell, wait
from kubetasks.errors import LeftoverError, RolloutError
from kubetasks.kube import objects, rollout
from kubetasks.kube.client import Object
from kubetasks.settings import APP, OWNER, OWNER_LABEL
from kubetasks.steps import cluster, traffic
from kubetasks.steps.session import Session

KINDS = ("Deployment", "PodDisruptionBudget")
SELECTOR = f"app.kubernetes.io/name={APP}"


def start(session: Session) -> None:
    """A running cluster, in which what was deployed before a stop runs and answers again. Raises ClusterError, RolloutError."""
    since = cluster.start(session)
    deployed = session.deployed() if since else None
    if since is None or deployed is None:
        return
    kube, namespace = session.kube, session.settings.namespace
    selected = {"labelSelector": SELECTOR}
    with session.report.step("Waiting for the pods") as step, kube.changes([("Pod", namespace, selected)]) as changes:
        end = wait.until(
            lambda: rollout.back_state(kube.list("Pod", namespace, **selected), since),
            timeout=session.settings.timeout,
            changed=changes.wait,
            on_change=step.at,
        )
        if isinstance(end, wait.Pending):
            raise RolloutError(f"After {session.settings.timeout:.0f} s {end.detail}.", "./inv status; ./inv logs")
    traffic.wait_for_all(session, deployed["spec"].get("replicas", 1))


def build(session: Session) -> None:
    """The image of the present source, in the engine. Raises ImageError."""
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
    """The image of the present source, on the nodes, rolled out and, where exposed, answering.

    Raises ImageError, RolloutError, ExposeError, OwnershipError.
    """
    report, made, settings = session.report, session.image, session.settings
    load = shell.line(["kind", "load", "docker-image", "--name", settings.cluster, image.HUMAN_TAG, made.reference])
    if not report.mirror(
        *([load] if settings.provider == "kind" else []),
        session.applied("poddisruptionbudget"),
        session.applied("deployment", f"kubectl set image --local -f - {APP}={made.reference} -o yaml"),
        f"{session.kubectl} rollout status deployment/{APP}",
    ):
        return
    require_built(session)
    session.require_namespace()
    item = manifests.deployment(session.manifest("deployment"), made.reference, settings.namespace)
    budget = manifests.owned(session.manifest("poddisruptionbudget"), settings.namespace)
    _refuse_others(session)
    session.provider.deliver(made)
    objects.apply(session.kube, budget)
    changed = objects.apply(session.kube, item)
    _wait_for_rollout(session, f"Rolling out {made.reference}" if changed else f"{made.reference} is deployed")
    deployed = session.deployed() if changed else None
    if deployed:
        traffic.wait_for_all(session, deployed["spec"].get("replicas", 1))


def state(session: Session) -> tuple[wait.State, Object | None, list[Object]]:
    """How far the roll-out is, with the deployment and its pods."""
    kube, namespace = session.kube, session.settings.namespace
    deployment = session.deployed()
    replica_sets = kube.list("ReplicaSet", namespace, labelSelector=SELECTOR)
    pods = kube.list("Pod", namespace, labelSelector=SELECTOR)
    return rollout.deployment_state(deployment, replica_sets, pods), deployment, pods


def _wait_for_rollout(session: Session, text: str) -> None:
    namespace = session.settings.namespace
    sources = [
        ("Deployment", namespace, {"fieldSelector": f"metadata.name={APP}"}),
        ("Pod", namespace, {"labelSelector": SELECTOR}),
    ]
    with session.report.step(text) as step, session.kube.changes(sources) as changes:
        end = wait.until(lambda: state(session)[0], timeout=session.settings.timeout, changed=changes.wait, on_change=step.at)
        if isinstance(end, wait.Failed):
            raise RolloutError(end.reason, end.hint)
        if isinstance(end, wait.Pending):
            raise RolloutError(
                f"The roll-out is not done after {session.settings.timeout:.0f} s: {end.detail}.",
                "./inv status; INVOKE_APP_TIMEOUT=SECONDS waits longer",
            )


def scale(session: Session, replicas: int) -> None:
    """That many replicas, done when as many pods answer (exposed) or are ready endpoints. Raises RolloutError, ExposeError."""
    if not session.report.mirror(
        f"{session.kubectl} scale deployments/{APP} --replicas={replicas}",
        f"{session.kubectl} rollout status deployment/{APP}",
    ):
        return
    session.require_deployed()
    changed = objects.scale(session.kube, APP, session.settings.namespace, replicas)
    _wait_for_rollout(session, f"Scaling to {replicas}" if changed else f"Scaled to {replicas} already")
    traffic.wait_for_all(session, replicas)


def _refuse_others(session: Session) -> None:
    """Before anything is changed: all of KINDS or none. Raises OwnershipError."""
    for kind in KINDS:
        objects.there(session.kube, kind, APP, session.settings.namespace)


def undeploy(session: Session) -> bool:
    """No deployment, no pod of it, no budget for them; False where there was none. Raises OwnershipError, LeftoverError."""
    settings = session.settings
    if not session.report.mirror(*(f"{session.kubectl} delete {kind.lower()} {APP}" for kind in KINDS)):
        return True
    if not cluster.runs(session):
        return False
    with session.report.step("Deleting the deployment"):
        _refuse_others(session)
        gone = [objects.delete(session.kube, kind, APP, settings.namespace, settings.timeout) for kind in KINDS]
        return any(gone)


def remove_images(session: Session) -> bool:
    """No image of the application in the engine, and on the nodes only what a deployment of ours runs.

    False where there was none. Raises LeftoverError.
    """
    report = session.report
    if report.dry:
        return not report.mirror(f"docker rmi --force {image.HUMAN_TAG} {session.image.reference}")
    references = session.engine.image_tags(APP)
    if references:
        report.mirror(shell.line(["docker", "rmi", "--force", *references]))
    with report.step("Removing the images"):
        gone = image.remove(session.engine)
        if session.provider.condition() == "running":
            gone += session.provider.withdraw(_used_images(session))
    left = session.engine.image_tags(APP)
    if left:
        raise LeftoverError(f"Images are still there: {', '.join(left)}.", "./inv rmi again")
    return bool(gone)


def _used_images(session: Session) -> set[str]:
    """The images that deployments of ours run, in whichever namespace."""
    return {
        container["image"]
        for deployment in session.kube.list("Deployment", labelSelector=f"{OWNER_LABEL}={OWNER}")
        for container in deployment["spec"]["template"]["spec"]["containers"]
    }
