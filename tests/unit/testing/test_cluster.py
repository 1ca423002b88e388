"""The cluster and the application of a test, on a cluster in memory; and which parts of them are noted, kept and removed."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from kubetasks.errors import ExposeError, ImageError, ProgramError, RolloutError, SettingError
from kubetasks.pipeline.run import Run
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV
from kubetasks.terminal.report import Report
from kubetasks.testing import cluster
from kubetasks.testing.app import App
from kubetasks.testing.cluster import Cluster
from kubetasks.testing.ledger import Entry, Ledger, _entries, remove_dead
from kubetasks.testing.namespace import Namespace
from tasks import PROJECT
from tests.support.source import built_from
from tests.unit.failing import raising
from tests.unit.pipeline.living import World, world

OWNER = PROJECT.application.owner
OWN = {"cluster.provider": "kind", "cluster.name": "demo"}
THEIRS = {"cluster.provider": "existing", "cluster.context": "theirs", "cluster.kubeconfig": "/kube"}


@pytest.fixture(params=[False])
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The cluster in memory that every run uses; an existing one if the test asks for it."""
    made = world(tmp_path, monkeypatch, shared=request.param)
    made.kube._put("Namespace", "", "mine", {"metadata": {"labels": OWNER.labels}})

    def run(settings: Settings, report: Report, *, agreed: bool) -> Run:
        source = dataclasses.replace(settings.app, source=built_from(tmp_path / "source"))
        another = copy.copy(made.run)
        another.settings = dataclasses.replace(settings, project=dataclasses.replace(settings.project, application=source))
        another.report, another._agreed = report, agreed
        another.forget("images", "manifests")
        return another

    monkeypatch.setattr(cluster, "Run", run)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def ledger(there: World) -> Iterator[Ledger]:  # noqa: ARG001  whose cache folder it is in
    made = Ledger("mine")
    yield made
    made.end(lambda _entry, _ledger: None)


def ours(ledger: Ledger | None = None) -> Cluster:
    return Cluster(PROJECT, {"cluster.name": "demo", "app.timeout": "1"}, ledger, {})


def noted(ledger: Ledger) -> list[Entry]:
    return _entries(ledger.path.read_text()) if ledger.path.exists() else []


@pytest.mark.parametrize("broken", [False, True])
def test_an_image_that_tests_need_is_built_and_delivered_while_the_cluster_starts(
    there: World, ledger: Ledger, broken: bool
) -> None:
    there.provider._phase = "missing"
    if broken:
        there.engine.building = raising(ImageError("The build failed."))
    cluster = ours(ledger)
    cluster.start(with_image=True)
    reference = cluster.run().image.reference
    assert there.provider.phase() == "running", "whoever deploys it is told"
    assert there.kube.done == ([] if broken else [f"preload {reference}"])
    assert [entry.get("image", "") for entry in noted(ledger)] == ["", reference]


def test_what_a_person_types_for_it_names_the_cluster_and_the_namespace() -> None:
    named, theirs = "INVOKE_CLUSTER_PROVIDER=kind INVOKE_CLUSTER_NAME=demo", Cluster(PROJECT, THEIRS, environment={})
    assert ours().command() == f"{named} ./inv"
    ours().run("mine")
    assert str(INV) == f"{named} INVOKE_APP_NAMESPACE=mine ./inv"
    assert theirs.command() == (
        "INVOKE_CLUSTER_PROVIDER=existing INVOKE_CLUSTER_CONTEXT=theirs INVOKE_CLUSTER_KUBECONFIG=/kube ./inv"
    )
    assert (theirs.shared, theirs.name, theirs.kubeconfig) == (True, "theirs", Path("/kube"))
    broken = Cluster(PROJECT, {"cluster.nodes": "many"}, environment={})
    with pytest.raises(SettingError, match="INVOKE_CLUSTER_NODES must be"):
        broken.run()
    assert str(INV) == "./inv", "the settings may be what is wrong"


def test_a_note_says_all_that_another_process_needs_to_find_it_again() -> None:
    for given in (OWN, THEIRS):
        made = Cluster(PROJECT, given, environment={})
        again = cluster.of_entry(made.entry())
        assert (again.given, again.command(), again.project.folder) == (given, made.command(), PROJECT.folder)
        assert again.project.application.owner == OWNER


def test_the_application_is_deployed_asked_scaled_and_rolled_out(there: World, ledger: Ledger, tmp_path: Path) -> None:
    app = App(ours(ledger), "mine")
    assert (app.urls, app.pods()) == ({}, frozenset())
    with pytest.raises(ExposeError) as told:
        app.url  # noqa: B018
    assert str(told.value).endswith("INVOKE_APP_NAMESPACE=mine ./inv expose")
    app.deploy()
    ((_, first),) = [(entry["given"], entry["image"]) for entry in noted(ledger)]
    assert first in there.engine.images
    assert app.url == "http://127.0.0.1:8080/"
    assert app.urls == {"mapped port": "http://127.0.0.1:8080/", "load balancer": "http://172.18.255.223:8080/"}
    app.scale(2)
    pods = app.pods()
    assert len(pods) == 2
    assert app.rollout() == first.partition(":")[2]
    assert (app.pods(), len(noted(ledger))) == (pods, 1), "nothing has changed"
    (tmp_path / "edited").mkdir()
    (tmp_path / "edited" / "Dockerfile").write_text("FROM scratch\n# edited\n")
    build = app.rollout(tmp_path / "edited")
    assert build != first.partition(":")[2]
    assert [entry["image"] for entry in noted(ledger)] == [first, f"simple-server:{build}"]
    assert not app.pods() & pods
    there.kube.answering = "nobody"
    assert app.cluster.diagnosis("mine").endswith("INVOKE_APP_NAMESPACE=mine ./inv logs")


@pytest.mark.parametrize("there", [False, True], indirect=True)
def test_what_is_created_is_noted_first_and_removed_but_of_others_only_the_namespace(there: World, ledger: Ledger) -> None:
    shared, mine = there.provider.shared, ours(ledger)
    mine.start()
    mine.create_namespace("new", {"level": "baseline"})
    named = [entry.get("namespace", "the cluster") for entry in noted(ledger)]
    assert named == (["new"] if shared else ["the cluster", "new"])
    assert there.kube.one("Namespace", "new", "")["metadata"]["labels"] == {"level": "baseline", **OWNER.labels}
    there.kube.objects["Service", "new", "simple-server"] = {"metadata": {"uid": "1", "name": "simple-server"}}
    there.kube.done.clear()
    mine.delete_namespace("new", wait=False)
    assert there.kube.done == ["DELETE all of service in new", "DELETE namespace/new"]
    mine.delete_namespace("new", wait=False)

    there.kube._put("Namespace", "", "new", {"metadata": {"labels": OWNER.labels}})
    for entry in 2 * noted(ledger):  # twice: it may already be gone
        cluster.remove(entry, ledger)
    assert (("Namespace", "", "new") in there.kube.objects, there.provider.phase()) == (
        (False, "running") if shared else (True, "missing")
    )


def test_only_an_image_that_no_other_run_has_noted_is_removed_with_what_pushing_it_left(there: World, ledger: Ledger) -> None:
    images = {"simple-server:1": "a", "host:5000/simple-server:1": "a", "simple-server:v1": "a", "simple-server:2": "b"}
    there.engine.images.update(images)
    there.engine.image_tags = lambda repository: sorted(one for one in images if one in there.engine.images and repository)  # type: ignore[method-assign]
    entry = ours().entry(image="simple-server:1")
    ledger.note(entry)
    killed = Ledger("killed").path
    for other_ended in (False, True):
        killed.write_text(f"{json.dumps(entry)}\n")
        remove_dead(cluster.remove)
        assert (there.engine.images == images, killed.exists()) == (not other_ended, False)
        ledger.end(lambda _entry, _ledger: None)
    assert sorted(there.engine.images) == ["simple-server:2", "simple-server:v1"]
    assert cluster.kept(entry) == ""


@pytest.mark.parametrize("there", [False, True], indirect=True)
def test_what_is_kept_is_told_with_the_commands_that_reach_and_remove_it(there: World) -> None:
    shared, mine = there.provider.shared, ours()
    kubectl = f"KUBECONFIG={there.provider.kubeconfig} kubectl --context context"
    told = cluster.kept(mine.entry(namespace="mine"))
    more = f"\n  {kubectl} delete namespace mine removes it" if shared else ""
    assert told == f"Kept namespace mine: {kubectl} --namespace mine get pods{more}"
    assert cluster.kept(mine.entry(namespace="gone")) == ""
    there.kube.one("Namespace", "mine", "")["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert cluster.kept(mine.entry(namespace="mine")) == ""
    told, _, removed = cluster.kept(mine.entry()).partition("\n")
    assert told == f"Kept cluster {there.provider.name}: {kubectl} get pods --all-namespaces"
    assert removed.endswith("./inv delete removes it")
    there.provider._phase = "missing"
    assert cluster.kept(mine.entry()) == "", "a test has deleted it"


@pytest.mark.usefixtures("there")
def test_a_namespace_says_what_kubectl_says_and_takes_what_a_test_may_give(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[str] = []
    events = [{"lastTimestamp": "2026-11-25T12:00:00Z"}, {"lastTimestamp": None, "eventTime": "2026-11-25T12:00:01.000000Z"}, {}]

    def kubectl(_: object, *words: str, **_more: object) -> str:
        typed.append(" ".join(words))
        if words[0] == "wait":
            raise ProgramError(["kubectl"], 1, next(printed))
        return json.dumps({"items": events if words[1] == "events" else []})

    monkeypatch.setattr(Cluster, "kubectl", kubectl)
    mine, printed = Namespace(ours(), "mine"), iter(["error: condition not met for pods/web", "no such pod"])
    assert mine.events() == [events[2], events[0], events[1]], "the newest last"
    mine.apply("k8s/web.yaml")
    mine.logs("pod/web")
    mine.logs("deployment/web")
    for said in ("was not met within 0 s", "pod/web: no such pod"):
        with pytest.raises(RolloutError, match=said):
            mine.wait("pod/web", "Ready=false", timeout=0)
    logs = "--all-containers --tail=-1"
    waited = "wait pod/web --for=condition=Ready=false --timeout=0.0s"
    assert typed[1:] == [
        "apply --server-side --force-conflicts --filename k8s/web.yaml",
        f"logs pod/web {logs}",
        f"logs deployment/web {logs} --all-pods",
        waited,
        "get pod/web --output=json",
        waited,
    ]


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("comes", [False, True])
def test_a_wait_ends_when_its_object_has_failed_unless_that_is_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    failed = {"type": "Failed", "status": "True", "message": "no more attempts"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "status": {"conditions": [failed]}}
    waits = iter(
        ["error: timed out waiting for the condition on jobs/once", "" if comes else "error: condition not met for jobs/once"]
    )

    def kubectl(_: object, *words: str, **_more: object) -> str:
        if words[0] == "wait" and (told := next(waits)):
            raise ProgramError(["kubectl"], 1, told)
        return json.dumps(job)

    monkeypatch.setattr(Cluster, "kubectl", kubectl)
    with nullcontext() if comes else pytest.raises(RolloutError, match=r"^job/once: it has failed: no more attempts"):
        Namespace(ours(), "mine").wait("job/once", "Failed" if comes else "Complete")


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("comes", [False, True])
def test_a_wait_allows_a_controller_to_create_its_pod_again(monkeypatch: pytest.MonkeyPatch, comes: bool) -> None:
    missing = 'Error from server (NotFound): pods "database-0" not found'
    printed = {"create": iter([""] if comes else ["timed out"]), "condition=Ready": iter([missing, ""])}

    def kubectl(_: object, *words: str, **_more: object) -> str:
        if words[0] == "wait" and (said := next(printed[words[2].removeprefix("--for=")])):
            raise ProgramError(["kubectl"], 1, said)
        return json.dumps({"items": []})

    monkeypatch.setattr(Cluster, "kubectl", kubectl)
    with nullcontext() if comes else pytest.raises(RolloutError, match=r'^pod/database-0: .*"database-0" not found'):
        Namespace(ours(), "mine").wait("pod/database-0", "Ready")
