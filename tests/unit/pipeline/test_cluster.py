"""What the actions ask of a provider, whichever it is."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine import access
from kubetasks.errors import ClusterError, EngineError, TaskError
from kubetasks.kube.client import ApiError, CredentialsError
from kubetasks.pipeline import app, cluster, removal
from kubetasks.pipeline import nodes as nodes_action
from kubetasks.project.labels import TOOL
from kubetasks.setup import requirements
from kubetasks.terminal.report import Report
from kubetasks.terminal.wait import Failed, Pending, State
from tests.unit.failing import raising
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import NAMESPACE, FakeKube, LiveKube, nodes
from tests.unit.pipeline.fakes import FACTS, FakeProvider, OwnProvider, RefusedError, run_on

SINCE = datetime(2026, 11, 24, 12, tzinfo=UTC)  # when the nodes started


def test_a_cluster_of_others_is_used_and_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = run_on(FakeProvider(), FakeKube(Namespace=NAMESPACE))
    assert not cluster.ensure(theirs)
    assert capsys.readouterr().err == "Cluster theirs is running.\n"
    for action in (cluster.stop, cluster.delete):
        with pytest.raises(ClusterError, match="theirs is not ours to stop or delete"):
            action(theirs)


def test_a_namespace_that_is_missing_is_named() -> None:
    with pytest.raises(ClusterError, match="namespace default does not exist") as refused:
        cluster.ensure(run_on(FakeProvider(), FakeKube()))
    assert refused.value.hint == "kubectl --context theirs create namespace default"


def test_under_dry_an_engine_that_cannot_be_used_is_a_comment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = OwnProvider(changed=True)
    error = EngineError("The container engine is on another machine.", "Run ./inv there")
    monkeypatch.setattr(provider, "start_lines", raising(error))
    assert not cluster.ensure(run_on(provider, dry=True))
    assert capsys.readouterr().out == "# The container engine is on another machine.\n# Run ./inv there\n"


def test_a_cluster_of_our_own_is_started_stopped_and_deleted() -> None:
    provider = OwnProvider(changed=True)
    ours = run_on(provider, LiveKube())
    assert cluster.ensure(ours)
    assert cluster.stop(ours)
    assert cluster.delete(ours)
    assert provider.called == ["start", "stop", "delete"]


def test_a_broken_deployment_does_not_keep_a_started_cluster_from_being_used(capsys: pytest.CaptureFixture[str]) -> None:
    broken = recorded("crashing")
    objects = {"Deployment": [broken["deployment"]], "ReplicaSet": broken["replica_sets"], "Pod": broken["pods"]}
    ours = run_on(OwnProvider(changed=True), FakeKube(**nodes(), **objects))
    cluster.start(ours)
    assert "The cluster is up; the deployment is not ready" in capsys.readouterr().err
    (file,) = (ours.settings.cache / "logs").iterdir()
    assert "the log of" in file.read_text()


@pytest.mark.promise("`eval $(minikube docker-env)`", "`eval $(minikube docker-env -u)`")
@pytest.mark.parametrize(
    ("node", "unset", "words"),
    [
        ("", False, "./inv build` uses yours"),
        ("", True, "nothing to unset"),
        ("other", True, "INVOKE_CLUSTER_NAME=other ./inv docker-env --unset"),
    ],
)
def test_without_an_engine_in_the_node_docker_env_is_a_comment_that_a_shell_may_evaluate(
    monkeypatch: pytest.MonkeyPatch, node: str, unset: bool, words: str
) -> None:
    monkeypatch.setenv(access.NODE_VARIABLE, node)
    told = cluster.docker_env(run_on(OwnProvider(changed=False)), unset)
    assert words in told
    assert all(line.startswith("# ") for line in told.splitlines())


@pytest.mark.parametrize("phase", ["stopped", "incomplete"])
def test_a_cluster_that_cannot_be_cleaned_as_it_is_says_so(phase: str) -> None:
    with pytest.raises(ClusterError, match=f"Cluster theirs is {phase}"):
        cluster.runs(run_on(FakeProvider(phase)))  # type: ignore[arg-type]


def test_without_an_engine_there_is_nothing_to_clean_unless_a_cluster_was_created_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost = run_on(FakeProvider(None))
    monkeypatch.setattr(type(lost.settings), "state_folder", tmp_path / "absent")
    assert not removal.clean(lost, everything=True)
    monkeypatch.setattr(type(lost.settings), "state_folder", tmp_path)
    with pytest.raises(EngineError):
        removal.clean(lost, everything=True)


def test_images_that_a_pod_or_a_deployment_of_anybody_uses_are_kept() -> None:
    spec = {"containers": [{"image": "docker.io/library/simple-server:v1"}], "initContainers": [{"image": "host:5000/theirs"}]}
    idle = {"template": {"spec": {"containers": [{"image": "simple-server"}, {"image": "a@sha256:b"}]}}}
    ending = {"metadata": {"deletionTimestamp": "2026-11-24T14:45:42Z"}, "spec": {"containers": [{"image": "simple-server:old"}]}}
    kube = FakeKube(Pod=[{"metadata": {}, "spec": spec}, ending], Deployment=[{"metadata": {}, "spec": idle}])
    assert removal._used_images(run_on(FakeProvider(), kube)) == {"simple-server:v1", "simple-server:latest"}


def test_nothing_of_others_is_changed_unless_somebody_agrees() -> None:
    deployment = {"metadata": {"name": "simple-server", "labels": TOOL.labels, "uid": "1"}, "spec": {}}
    theirs = run_on(FakeProvider(), FakeKube(Namespace=NAMESPACE, Deployment=[deployment], Service=[deployment]))
    for change in (lambda: app.scale(theirs, 3), lambda: removal.undeploy(theirs), lambda: removal.unexpose(theirs)):
        with pytest.raises(RefusedError, match="namespace default of context theirs"):
            change()
    ours = run_on(OwnProvider(changed=False), FakeKube())
    ours.agree()


def test_who_agreed_once_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def agrees(_report: Report, question: str) -> bool:
        asked.append(question)
        return True

    theirs = run_on(FakeProvider(), FakeKube())
    monkeypatch.setattr(type(theirs.report), "agrees", agrees)
    for _task in range(2):
        theirs.agree()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ClusterError("Nobody answers.", "look"), Pending("Nobody answers")),
        (ApiError("GET", 503, "", "starting"), Pending("GET was refused by the cluster: starting")),
        (CredentialsError("It does not fit.", "log in"), Failed("It does not fit.", "log in", "credentials", grace=5)),
        (
            ApiError("GET", 401, "", "who?", "log in"),
            Failed("GET was refused by the cluster: who?", "log in", "credentials", grace=5),
        ),
    ],
)
def test_an_api_server_that_is_not_up_is_waited_for_and_one_that_refuses_the_kubeconfig_is_not(
    monkeypatch: pytest.MonkeyPatch, error: TaskError, state: State
) -> None:
    kube = FakeKube()
    monkeypatch.setattr(kube, "list", raising(error))
    assert nodes_action._answers(run_on(OwnProvider(changed=True), kube)) == state


@pytest.mark.parametrize(
    ("last", "hint"),
    [
        ("too many open files", "sudo sysctl fs.inotify.max_user_instances=512"),
        ("no route to host", "./inv delete start creates it again"),
    ],
)
def test_what_crashes_in_a_cluster_that_does_not_come_up_is_named_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, last: str, hint: str
) -> None:
    crashing = recorded("crashing")["pods"]
    kube = FakeKube(Node=nodes()["Node"], Pod=crashing)  # without a lease, no node is ready
    monkeypatch.setattr(kube, "log", lambda *_, **_options: f"{last}\n")
    monkeypatch.setattr(nodes_action, "CRASHING_SECONDS", 0.0)
    with pytest.raises(ClusterError, match=f"does not come up. Pod {crashing[0]['metadata']['name']} .* {last}") as told:
        cluster.ensure(run_on(OwnProvider(changed=True), kube))
    assert hint in told.value.hint


def test_nodes_that_came_back_by_themselves_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kube, provider = LiveKube(), OwnProvider(changed=False)
    provider.facts = dataclasses.replace(FACTS, since={nodes()["Node"][0]["metadata"]["name"]: SINCE})
    known, before = kube.list, iter([SINCE - timedelta(minutes=1)] * 2)  # leases from before the nodes stopped

    def find(kind: str, namespace: str = "") -> list[dict[str, Any]]:
        found = known(kind, namespace)
        if kind == "Lease":
            found = [{**found[0], "spec": {"renewTime": next(before, SINCE + timedelta(seconds=1)).isoformat()}}]
        return found

    monkeypatch.setattr(kube, "list", find)
    assert cluster.ensure(run_on(provider, kube)), "start then waits for the pods too"
    assert next(before, None) is None
    assert "Waiting for the node" in capsys.readouterr().err


@pytest.mark.parametrize("since_when", [0, 2])
def test_an_api_server_that_is_not_up_is_waited_for_before_the_nodes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, since_when: int
) -> None:
    kube = LiveKube()
    known, away = kube.list, iter([ClusterError("Nobody answers.", "look")] * since_when)

    def find(kind: str) -> list[dict[str, Any]]:
        for error in away:
            raise error
        return known(kind)

    monkeypatch.setattr(kube, "list", find)
    assert nodes_action.wait_for_api(run_on(OwnProvider(changed=True), kube)) == bool(since_when)
    assert ("Waiting for the API" in capsys.readouterr().err) == bool(since_when)


METALLB = """\
{apiVersion: v1, kind: Namespace, metadata: {name: metallb-system}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: l2advertisements.metallb.io}
spec: {group: metallb.io, versions: []}
"""


def test_the_load_balancer_starts_as_soon_as_there_is_a_node_for_it() -> None:
    kube, provider = LiveKube(), OwnProvider(changed=True)
    provider.facts = dataclasses.replace(FACTS, subnet="172.18.0.0/16")
    ours = run_on(provider, kube)
    with pytest.raises(ClusterError, match="MetalLB's manifest is missing"):
        cluster.ensure(ours)
    manifest = Path(requirements.LOAD_BALANCER.find(None, ours.settings).reference)
    manifest.parent.mkdir(parents=True)
    manifest.write_text(METALLB)
    cluster.ensure(ours)
    assert [what.partition("/")[0] for what in kube.done] == [
        *("namespace", "secret", "customresourcedefinition", "ipaddresspool", "l2advertisement"),
        "nodes",
    ]
    kube.done.clear()
    cluster.ensure(ours)
    assert kube.done == ["nodes"], "what is there is not installed again"


def test_under_dry_the_kubeconfigs_path_needs_no_cluster() -> None:
    assert cluster.kubeconfig(run_on(FakeProvider("missing"), dry=True)) == FakeProvider.kubeconfig
