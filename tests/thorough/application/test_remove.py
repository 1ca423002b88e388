"""Clean removal: everything is as it was before, and other users' objects are untouched."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import answers, snapshot, source
from tests.support.driver import Tasks, docker
from tests.support.eventually import answer
from tests.support.fixtures import OTHER_CLUSTERS
from tests.support.marks import every_provider
from tests.support.processes import begun, ended, until_line
from tests.support.snapshot import Snapshot

pytestmark = every_provider


def of_others(found: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return the objects without the ones that a new cluster still creates for itself, in its own namespaces."""
    return {item for item in found if not {"kube-system", "metallb-system"} & set(item)}


@pytest.mark.promise(
    "To remove the service, the deployment",
    "the whole clean-up",
    "If you run a task twice",
    "For `status`, `diagnose`",
    "An untagged image of the first stage",
    "The cluster has its own kubeconfig file",
)
def test_clean_leaves_cluster_engine_and_home_as_they_were(
    snapshot_of_everything: Callable[[], Snapshot], throwaway: Tasks, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # from another source, because `clean` refuses to remove an image that a user's container was created from
    another = source.changed(tmp_path_factory.mktemp("source"))
    before = snapshot_of_everything()
    throwaway("start")
    started_again = throwaway.json("start")
    assert started_again["cluster"] == throwaway.cluster
    objects_before = snapshot.settled(lambda: snapshot.objects(throwaway, everywhere=True))
    throwaway.typed("build", "deploy", folder=another)
    throwaway("expose", "scale")
    assert len(throwaway.json("traffic")["pods"]) == 3
    urls = throwaway.addresses()
    for url in urls.values():
        answer(url, throwaway.pods())

    cleaned = throwaway.json("clean")
    assert cleaned["cleaned"]
    assert all(one["seconds"] > 0 for one in cleaned["stages"])
    for way, url in urls.items():
        assert answers.silent(url), f"the {way} is closed"
    assert of_others(objects_before ^ snapshot.objects(throwaway, everywhere=True)) == set()
    (node,) = throwaway.nodes()
    on_node = docker("exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet")
    assert "simple-server" not in on_node, "nor has the node an image of it"

    throwaway.typed("build", folder=another)
    assert throwaway("clean").stderr.endswith("Clean.\n"), "also half way, where there is an image and no deployment"
    assert of_others(objects_before ^ snapshot.objects(throwaway, everywhere=True)) == set()
    throwaway("clean")  # nothing is left to remove

    with begun(throwaway, "dev", "--clean", folder=another) as process:
        until_line(process, "Watching")
        os.killpg(process.pid, signal.SIGINT)
        output = ended(process, 120)
    assert process.returncode == 0, output
    assert throwaway.json("status")["state"] == "missing"
    throwaway("clean", "--all")  # removes what a clone keeps of a cluster that another clone deleted
    assert snapshot_of_everything() ^ before == set()

    throwaway("clean", "--all")  # nothing is left to remove
    assert snapshot_of_everything() ^ before == set()
    assert (home / ".kube" / "config").read_text() == OTHER_CLUSTERS
    for port in (urlsplit(url).port for way, url in urls.items() if way == "mapped port"):
        socket.create_server(("127.0.0.1", port or 0)).close()  # nothing listens there any more
