"""The status of the cluster, the deployment, its pods and addresses, and the logs."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.kube import readiness, service, states, template
from kubetasks.kube.client import ApiError, Object, describe
from kubetasks.kube.kinds import COUNTS
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.service import Address
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.project.settings import DEFAULTS
from kubetasks.providers.own import Own
from kubetasks.terminal import shell
from kubetasks.terminal.wait import Failed


def status(run: Run) -> dict[str, Any] | None:
    """Return the cluster, its phase and Kubernetes version, the deployment (or None), parts, pods, addresses, other clusters.

    The other clusters are those with the owner's label. None under --dry. Raises ClusterError if the namespace is missing.
    """
    return run.do(run.kubectl("get", "deployments,pods,services"), lambda _: _document(run))


def _document(run: Run) -> dict[str, Any]:
    phase = run.provider.phase()
    document: dict[str, Any] = {"cluster": run.provider.name, "state": phase, "kubernetes": "", "deployment": None}
    document |= {"parts": [], "pods": [], "addresses": [], "others": _other_clusters(run)}
    if phase != "running":
        return document
    with suppress(ApiError):  # an existing cluster may forbid it
        document["kubernetes"] = run.kube.version()
    rollout = run.seen.rollout
    deployment, pods = rollout.workload, rollout.pods
    if deployment is None:
        run.seen.require_namespace()
    else:
        newest = readiness.newest_pods(rollout)
        document["deployment"] = {
            "image": _container(deployment["spec"]["template"]["spec"], run.app)["image"],
            "replicas": readiness.replicas(deployment),
            "ready": sum(map(states.pod_ready, newest)),
            "earlier": sum(states.pod_ready(pod) for pod in pods if pod not in newest),
            "state": _state(run, rollout),
        }
    read = [(item, run.seen.rollout_of(item)) for item in run.others]
    document["parts"] = [
        {"name": describe(item), "state": _state(run, found), "images": _images(found.workload or item)} for item, found in read
    ]
    document["parts"] += [
        {
            "name": describe(item),
            "state": f"in no manifest: {rollout.evidence.kubectl} delete {describe(item)} removes it",
            "images": _images(item),
        }
        for item in _forgotten(run)
    ]
    document["pods"] = [
        {
            "name": pod["metadata"]["name"],
            "ready": states.pod_ready(pod),
            "state": states.pod_phase(pod),
            "restarts": sum(container["restartCount"] for container in pod["status"].get("containerStatuses", [])),
        }
        for pod in [*pods, *(pod for _, found in read for pod in found.pods)]
    ]
    inside = [Address("", service.INTERNAL)] if service.is_internal(run.seen.service) else []
    document["addresses"] = [asdict(address) for address in [*run.seen.addresses, *inside]]
    return document


def _forgotten(run: Run) -> list[Object]:
    """Return the workloads and services with the owner's label that are in no manifest, left by an earlier version.

    Return none on an existing cluster, where this would need more rights, or if the manifests are broken.
    """
    with suppress(SettingError):
        if run.provider.shared:
            return []
        named = {manifest.name for manifest in run.manifests}
        return [item for item in run.seen.labelled(*COUNTS, "Service") if describe(item) not in named]
    return []


def _state(run: Run, found: Rollout) -> str:
    if found.workload is None:
        return "not deployed"
    state = readiness.rollout_state(found, run.cluster.since, run.settings.grace_period)
    return state.reason if isinstance(state, Failed) else state.detail or "ready"


def _images(item: Object) -> list[str]:
    """Return the images of the object's pods, without duplicates."""
    return list(dict.fromkeys(str(container.get("image")) for container in template.containers(item)))


def _other_clusters(run: Run) -> list[dict[str, str]]:
    """Return name and provider of the owner's other clusters; none on an existing cluster, which needs no engine."""
    if not isinstance(run.provider, Own):
        return []
    default = DEFAULTS["cluster"]["provider"]
    ours = [cluster for cluster in run.host_engine.clusters() if cluster.owner == run.app.owner.name]
    clusters = [{"name": cluster.name, "provider": cluster.provider or default} for cluster in ours]
    return [cluster for cluster in clusters if cluster != {"name": run.provider.name, "provider": run.settings.provider}]


def logs(run: Run, lines: int) -> Iterator[str]:
    """Return the last `lines` log lines of each container, after the pod's name: the application's own first, then those of
    other pods, also after the container's name. Raises ApiError at the end if one could not be read.
    """
    prefix, others = ("logs", "--prefix", f"--tail={lines}"), [describe(item) for item in run.others if template.of(item)]
    words = [(*prefix, f"--selector={run.app.selector}"), *((*prefix, "--all-containers", "--all-pods", name) for name in others)]
    command = "\n".join(shell.line(run.kubectl(*each)) for each in words)
    return run.do(command, lambda _: _tails(run, lines)) or iter(())


def _tails(run: Run, lines: int) -> Iterator[str]:
    namespace, refused = run.settings.namespace, None
    own = run.kube.list("Pod", namespace, labelSelector=run.app.selector)
    named = [(pod["metadata"]["name"], _container(pod["spec"], run.app)["name"], "") for pod in own]
    for pod in (pod for item in run.others for pod in run.seen.rollout_of(item).pods):
        named += [(pod["metadata"]["name"], each["name"], f" {each['name']}") for each in template.containers(pod)]
    for name, container, label in named:
        try:
            text = run.kube.log(namespace, name, container, lines)
        except ApiError as error:  # its node may be unreachable
            refused = error
            continue
        yield from (f"[{name}{label}] {line}" for line in text.splitlines())
    if refused:
        raise refused


def _container(spec: Object, app: Application) -> Object:
    """Return the application's container in a pod's spec, or the first one if none has its name."""
    containers: list[Object] = spec["containers"]
    return next((container for container in containers if container["name"] == app.name), containers[0])
