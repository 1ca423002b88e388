"""Deployment: the built image runs, the same image is not deployed again, and another one replaces it."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubetasks.errors import OwnershipError
from kubetasks.kube import objects
from kubetasks.project.labels import TOOL
from kubetasks.terminal import locking
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.support import answers, leftovers, source
from tests.support.driver import Tasks, docker
from tests.support.eventually import SECONDS, eventually, until
from tests.support.marks import every_provider
from tests.support.processes import begun, ended, until_line

pytestmark = every_provider


def identity(app: Tasks) -> tuple[int, set[tuple[str, int]]]:
    """Return the deployment's generation, and each pod's uid and restart count."""
    pods = app.get("pods")["items"]
    return app.get("deployment", "simple-server")["metadata"]["generation"], {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods
    }


@pytest.mark.promise(
    "With `--json`, a task prints",
    "For `status`, `diagnose`",
    "`stages` gives the duration",
    "An untagged image of the first stage",
)
def test_as_json_a_task_tells_its_outcome_and_the_seconds_of_its_stages(app: Tasks, tmp_path: Path) -> None:
    built = app.json("build")
    assert built["image"] == f"simple-server:{built['build']}"
    project = source.changed(tmp_path)

    def stage_is_kept() -> bool:
        source.edit_uniquely(project)
        app.typed("build", folder=project)
        nameless = docker("images", "--quiet", "--filter=dangling=true", f"--filter=label={TOOL.selector}")
        return bool(nameless or docker("images", "--quiet", leftovers.STAGES))

    until(stage_is_kept)  # another test may have just removed it
    assert app.json("deploy")["build"] == built["build"]
    exposed, known = app.json("expose")["addresses"], app.json("status")["addresses"]
    assert exposed
    assert all(address in known for address in exposed)
    scaled = app.json("scale", "--replicas=2")
    assert scaled["replicas"] == len(app.pods()) == 2
    assert [one["stage"] for one in scaled["stages"]] == ["Scaling to 2", "Waiting for traffic"]
    assert all(one["seconds"] > 0 for one in scaled["stages"])
    brought = app.json("up")
    assert brought["build"] == built["build"]
    assert brought["url"] in {address["url"] for address in app.json("status")["addresses"]}


@pytest.mark.promise("`kubectl apply -f k8s/` works too", "The tasks refuse objects")
def test_restricted_pod_security_admits_its_pods_without_a_warning(app: Tasks) -> None:
    labels = app.get("namespace", app.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    app("build", "deploy")
    (pod,) = app.get("pods")["items"]
    assert pod["status"]["phase"] == "Running"
    app("undeploy")
    as_they_are = ["--warnings-as-errors", f"--filename={PROJECT.folder / 'k8s'}"]
    app.kubectl("apply", "--dry-run=server", "--validate=strict", *as_they_are)
    app.kubectl("apply", *as_they_are)
    refused = app("deploy", code=OwnershipError.code).stderr
    assert "was not created by these tasks" in refused, "what a person applied is that person's"
    app.kubectl("delete", f"--filename={PROJECT.folder / 'k8s'}")
    app("deploy", "expose")


def test_an_object_that_has_taken_the_place_of_ours_since_it_was_read_is_not_changed(app: Tasks) -> None:
    kube = app.as_cluster().run(app.namespace).kube
    metadata = {"name": "text", "namespace": app.namespace, "labels": TOOL.labels}
    ours = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    objects.apply(kube, ours)
    before = objects.read_owned(kube, ours)
    assert before
    assert objects.apply(kube, ours, before)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    app.kubectl("delete", "configmap", "text")
    app.kubectl("create", "configmap", "text", "--from-literal=whose=theirs")
    with pytest.raises(OwnershipError):
        objects.apply(kube, ours, before)
    assert app.get("configmap", "text")["data"] == {"whose": "theirs"}
    app.kubectl("delete", "configmap", "text")
    assert objects.apply(kube, ours, before), "one that has gone is created"


@pytest.mark.promise("If you run a task twice", "An unchanged source is not", "`deploy` keeps the number of pods")
def test_a_second_deploy_changes_nothing_and_restarts_no_pod(app: Tasks) -> None:
    app("build", "deploy")
    first = identity(app)
    app("deploy")
    assert identity(app) == first

    app("scale", "--replicas=2")
    scaled = identity(app)
    app("deploy")
    assert identity(app) == scaled, "also after scale: it does not take the replicas back"


def test_the_documented_autoscaler_is_accepted_and_deploy_leaves_its_replicas_alone(app: Tasks) -> None:
    app("build", "deploy")
    app.kubectl("apply", "--filename", str(PROJECT.folder / "docs" / "scale-hpa.yaml"))
    raised(app)  # to minReplicas: no metric is needed for that
    app("deploy")
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3


@eventually(SECONDS)
def raised(app: Tasks) -> None:
    """Wait until the autoscaler has raised the replicas to its minimum."""
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3


def test_two_sources_that_are_deployed_at_once_come_one_after_the_other(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy", "expose")
    projects = [tmp_path / name for name in ("one", "other")]
    for project in projects:
        project.mkdir()
        source.edit_uniquely(source.changed(project))
        app.typed("build", folder=project)
    with ExitStack() as stack, ExitStack() as held:
        provider = app.provider()
        where = provider.name, app.settings.provider, app.namespace
        held.enter_context(locking.application(app.settings.cache, *where, Report().tell))
        processes = [stack.enter_context(begun(app, "deploy", folder=project)) for project in projects]
        outputs = [until_line(process, f"Another run is changing namespace {app.namespace}") for process in processes]
        held.close()  # both are waiting by now
        outputs = [output + ended(process, 120) for output, process in zip(outputs, processes, strict=True)]
    assert [process.returncode for process in processes] == [0, 0], outputs
    builds = {build for output in outputs for build in re.findall(r"Rolling out simple-server:([0-9a-f]{12}): done", output)}
    assert len(builds) == 2, outputs
    assert answers.build(app.url()) in builds
