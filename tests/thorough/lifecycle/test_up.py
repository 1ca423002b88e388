"""The whole path as a user takes it: on the real command line, and by hand with the commands that it prints."""

import json
import socket
from collections.abc import Callable

import pytest

from tests.support import answers, snapshot
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks
from tests.support.eventually import answer, until
from tests.support.marks import every_provider
from tests.support.processes import paste
from tests.support.snapshot import Snapshot

pytestmark = every_provider


@pytest.mark.promise(
    "everything so far",
    "`minikube stop`, `minikube delete`",
    "If you run a task twice",
    "For `status`, `diagnose`",
    "Each gets the next free port",
)
@pytest.mark.long
def test_all_of_it_on_the_command_line_beside_another_cluster_and_there_again_after_a_stop(
    app: Tasks, throwaway: Tasks, record_property: Callable[[str, object], None]
) -> None:
    with socket.create_server(("127.0.0.1", throwaway.port)):
        made = throwaway.typed("up")
    record_property("stages", made.stderr)
    if throwaway.provider().node_port:
        assert f"Port {throwaway.port} of 127.0.0.1 is taken" in made.stderr
    url = made.stdout.strip()
    pods = throwaway.pods()
    assert len(pods) == 3
    assert answers.pod(url) in pods, "a free port serves"

    again = throwaway.typed("build", "deploy", "expose", "scale", "service")
    assert again.stdout == made.stdout
    for words in ("is already built", "is deployed", "Already exposed", "Already scaled to 3"):
        assert words in again.stderr, "a second time changes nothing"
    seen = json.loads(throwaway.typed("traffic", f"--requests={REQUESTS}", "--json").stdout)
    assert ({pod["pod"] for pod in seen["pods"]}, seen["failed"]) == (pods, 0)
    assert sum(pod["count"] for pod in seen["pods"]) == REQUESTS

    app("build", "deploy", "expose")
    for tasks, other in ((app, throwaway), (throwaway, app)):
        assert other.cluster in {one["name"] for one in tasks.json("status")["others"]}
        own = tasks.pods()
        for end in tasks.json("status")["addresses"]:
            answered = answers.spread(end["url"], REQUESTS)
            assert (set(answered.requests), answered.failed) == (own, 0), "each cluster answers with its own pods"

    before = snapshot.objects(throwaway)
    for task in (("stop",), ("delete",), ("clean", "--all")):
        assert throwaway.typed("--dry", *task).stdout, task
        assert snapshot.objects(throwaway) == before, task

    throwaway("stop")
    assert throwaway("stop").stderr == f"Cluster {throwaway.cluster} is not running.\n"
    refused = throwaway("scale", code=4)
    assert refused.stderr.splitlines() == [f"Cluster {throwaway.cluster} is stopped.", "  ./inv start"]
    throwaway("start")
    assert len(throwaway.json("traffic")["pods"]) == 3, "what ran before the stop runs again"
    answered = answers.spread(url, REQUESTS)
    assert (set(answered.requests), answered.failed) == (pods, 0), "at the same address"
    throwaway("unexpose")
    assert answers.silent(url)


@pytest.mark.promise("`./inv --echo TASK` prints")
def test_dry_changes_nothing(snapshot_of_everything: Callable[[], Snapshot], clusterless: Tasks) -> None:
    before = snapshot_of_everything()
    for words in (("up",), ("clean", "--all")):
        clusterless.typed("--dry", *words)
    assert "node image" in clusterless.typed("--dry", "setup").stdout
    assert snapshot_of_everything() ^ before == set()


@pytest.mark.promise("`kubectl get deployments,pods`", "`./inv --echo TASK` prints")
@pytest.mark.long
def test_the_mirrored_commands_do_the_same_when_they_are_pasted(throwaway: Tasks) -> None:
    paste(throwaway.typed("--dry", "up").stdout)

    status = throwaway.json("status")
    assert (status["deployment"]["ready"], status["deployment"]["replicas"]) == (3, 3)
    urls = [end["url"] for end in status["addresses"]]
    for url in urls:
        answer(url, throwaway.pods())
    paste(throwaway.typed("--dry", "service").stdout)
    assert set(urls) == set(throwaway.addresses().values()), "also the pasted address pool's"
    exposed = throwaway("--echo", "expose", "scale", "unexpose", "undeploy")
    for lines in (throwaway("--echo", "deploy", "expose", "scale", "--replicas=1").stdout, exposed.stdout):
        paste(lines)
    status = throwaway.json("status")
    assert (status["deployment"], status["addresses"]) == (None, [])
    until(lambda: all(map(answers.silent, urls)))
    paste(throwaway.typed("--dry", "delete").stdout)
    assert throwaway.json("status")["state"] == "missing"
