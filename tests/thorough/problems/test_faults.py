"""Fault injection: the service excludes a pod that is not ready, and a crashed pod restarts."""

import http.client
import json
import urllib.request

import pytest

from kubetasks.errors import RolloutError
from tests.support import answers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks
from tests.support.eventually import SECONDS, answer, eventually
from tests.support.marks import every_provider

MANY = 600  # requests: more than are sent after the crash
CAUSE = "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8080/fault/{name}', method='POST'))"

pytestmark = every_provider


def cause(app: Tasks, pod: str, name: str) -> None:
    """Inject a fault into a pod."""
    app.kubectl("exec", pod, "--", "python3", "-c", CAUSE.format(name=name))


@eventually(SECONDS)
def diagnosed(app: Tasks, problem: str) -> None:
    """Wait until `diagnose` reports the problem, after its grace period."""
    told = app("diagnose", "--json", code=None)
    assert (told.code, json.loads(told.stdout)["code"]) == (RolloutError.code, problem)


@eventually(SECONDS)
def restarted(app: Tasks) -> str:
    """Wait until one pod has restarted and both are ready, and return the one that restarted."""
    pods = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0] for pod in app.get("pods")["items"]}
    assert sorted(status["restartCount"] for status in pods.values()) == [0, 1]
    assert all(status["ready"] for status in pods.values())
    return str(next(name for name, status in pods.items() if status["restartCount"]))


def test_a_pod_that_is_not_ready_gets_no_requests_and_one_that_crashes_restarts(app: Tasks) -> None:
    app("build", "deploy", "expose")
    app.kubectl("set", "env", "deployment/simple-server", "FAULTS=1")
    app.kubectl("rollout", "status", "deployment/simple-server", "--timeout=60s")
    app("scale", "--replicas=2")
    url = app.url()
    first, second = pods = sorted(answers.spread(url, REQUESTS).requests)

    cause(app, first, "not-ready")
    answer(url, {second})
    assert "1/2" in app("status").stdout
    diagnosed(app, "not-ready")
    cause(app, first, "ready")
    answer(url, set(pods))

    before = answers.spread(url, MANY).counts
    crash = urllib.request.Request(f"{url}fault/crash", method="POST")
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(crash, timeout=SECONDS)
    crashed = restarted(app)
    answer(url, set(pods))
    assert answers.spread(url, REQUESTS).counts[crashed] < before[crashed], "its count starts again"
