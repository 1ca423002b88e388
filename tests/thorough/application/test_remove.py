"""Clean removal: afterwards everything is as it was before, and what others made is untouched."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kubetasks.errors import OwnershipError
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tasks import PROJECT
from tests.support import answers, cluster, snapshot, source
from tests.support.driver import Tasks, docker
from tests.support.eventually import answer
from tests.support.fixtures import OTHER_CLUSTERS
from tests.support.marks import every_provider
from tests.support.processes import ended, started
from tests.support.snapshot import Snapshot
from tests.support.waiting import until

pytestmark = every_provider


def of_others(found: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Without what a young cluster still makes for itself, in namespaces of its own."""
    return {item for item in found if not {"kube-system", "metallb-system"} & set(item)}


@pytest.mark.promise(
    "To remove the service, the deployment",
    "the whole clean-up",
    "If you run a task twice",
    "For `status`, `diagnose`",
    "A build also keeps its first",
    "The cluster has its own kubeconfig file",
)
def test_clean_leaves_cluster_engine_and_home_as_they_were(
    snapshot_of_everything: Callable[[], Snapshot],
    throwaway: Tasks,
    home: Path,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # of another source, because `clean` refuses an image that a person's container was made from
    another = source.changed(tmp_path_factory.mktemp("source"))
    before = snapshot_of_everything()
    cluster.create(throwaway, pytestconfig)
    started_again = throwaway.json("start")
    assert started_again["cluster"] == throwaway.cluster
    objects_before = snapshot.settled(lambda: snapshot.objects(throwaway))
    throwaway.typed("build", "deploy", folder=another)
    throwaway("expose", "scale")
    assert len(throwaway.json("traffic")["pods"]) == 3
    urls = {end["way"]: end["url"] for end in throwaway.json("status")["addresses"]}
    assert set(urls) == throwaway.ways()
    for url in urls.values():
        answer(url, throwaway.pods())

    cleaned = throwaway.json("clean")
    assert cleaned["cleaned"]
    assert all(one["seconds"] > 0 for one in cleaned["stages"])
    for way, url in urls.items():
        assert answers.silent(url), f"the {way} is closed"
    assert of_others(objects_before ^ snapshot.objects(throwaway)) == set()
    (node,) = throwaway.nodes()
    words = ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet"]
    assert "simple-server" not in subprocess.check_output(words, text=True), "nor has the node an image of it"

    throwaway.typed("build", folder=another)
    assert throwaway("clean").stderr.endswith("Clean.\n"), "also half way, where there is an image and no deployment"
    assert of_others(objects_before ^ snapshot.objects(throwaway)) == set()
    throwaway("clean")  # on nothing

    with started([sys.executable, "-m", "kubetasks", "dev", "--clean"], throwaway.environment, another) as process:
        assert process.stdout
        assert any("Watching" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        output = ended(process, 120)
    assert process.returncode == 0, output
    assert throwaway.json("status")["state"] == "missing"
    throwaway("clean", "--all")  # what this clone kept of a cluster that another one has deleted
    assert snapshot_of_everything().since(before) == {}

    throwaway.typed("build", folder=another)  # an engine that builds may keep a layer that nobody waits for any more
    with started([sys.executable, "-m", "kubetasks", "dev", "--clean"], throwaway.environment, another) as process:
        until(lambda: docker("ps", "--quiet", f"--filter=name={throwaway.cluster}") != "")
        for number in (signal.SIGINT, signal.SIGTERM):
            os.killpg(process.pid, number)
        output = ended(process, 120)
    assert process.returncode == INTERRUPTED, output
    assert snapshot_of_everything().since(before) == {}

    throwaway("clean", "--all")  # on nothing
    assert snapshot_of_everything().since(before) == {}
    assert (home / ".kube" / "config").read_text() == OTHER_CLUSTERS
    for port in (urlsplit(url).port for way, url in urls.items() if way == "mapped port"):
        socket.create_server(("127.0.0.1", port or 0)).close()  # nobody listens there any more


def test_clean_refuses_what_is_not_ours_before_it_deletes_anything(app: Tasks) -> None:
    app("build", "deploy", "expose")
    app.kubectl("label", "deployment/simple-server", f"{OWNER_LABEL}-")
    before = snapshot.objects_of_namespace(app)
    app.typed("clean", code=OwnershipError.code)
    assert snapshot.objects_of_namespace(app) == before
    assert answers.health(app.url())


def test_what_cannot_be_deleted_is_named_with_what_keeps_it(app: Tasks) -> None:
    budget = "poddisruptionbudget", "simple-server"
    app.kubectl("apply", f"--filename={PROJECT.folder / 'k8s' / 'poddisruptionbudget.yaml'}")
    app.kubectl("label", *budget, TOOL.selector)
    app.kubectl("patch", *budget, "--type=merge", "--patch", '{"metadata": {"finalizers": ["example.com/kept"]}}')
    said = app.typed("undeploy", code=10, INVOKE_APP_TIMEOUT="1").stderr
    assert "poddisruptionbudget/simple-server was not deleted, with nothing new for 1 s: it waits for example.com/kept" in said
    app.kubectl("patch", *budget, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    assert "There was no deployment" in app("undeploy").stderr
