"""Scaling: as many pods answer as were asked for."""

from collections.abc import Callable

from kubetasks.application import PROJECT
from tests.integration import answers
from tests.integration.answers import REQUESTS
from tests.integration.driver import Tasks
from tests.integration.eventually import SECONDS, eventually
from tests.integration.marks import every_provider

pytestmark = every_provider


def ready(app: Tasks) -> set[str]:
    """The pods that the service sends requests to."""
    slices = app.get("endpointslices", "--selector=kubernetes.io/service-name=simple-server")["items"]
    return {end["targetRef"]["name"] for one in slices for end in one.get("endpoints") or [] if end["conditions"]["ready"]}


def test_three_pods_answer_and_their_counts_add_up(app: Tasks, record_property: Callable[[str, object], None]) -> None:
    app("build", "deploy", "expose", "scale")
    pods = ready(app)
    assert len(pods) == 3
    url = app("service").stdout.strip()
    answered = answers.spread(url, REQUESTS)
    record_property("traffic", ", ".join(f"{pod} {number}" for pod, number in sorted(answered.requests.items())))
    assert answered.failed == 0
    assert set(answered.requests) == pods, "these three pods answer over fresh connections"
    assert sum(answered.counts.values()) == REQUESTS, "their counts add up to the requests sent"


def test_from_three_to_one_and_back(app: Tasks) -> None:
    app("build", "deploy", "expose", "scale")
    url = app("service").stdout.strip()
    for replicas in (1, 3):
        app("scale", f"--replicas={replicas}")
        pods = ready(app)
        assert len(pods) == replicas
        answered = answers.spread(url, REQUESTS)
        assert (set(answered.requests), answered.failed) == (pods, 0)


def test_scaled_to_nothing_nobody_answers_and_status_says_so(app: Tasks) -> None:
    app("build", "deploy", "expose", "scale", "--replicas=0")
    document = app.json("status")
    assert (document["deployment"]["ready"], document["deployment"]["replicas"]) == (0, 0)
    assert not any(pod["ready"] for pod in document["pods"])
    assert document["addresses"]
    for end in document["addresses"]:
        assert answers.silent(end["url"])
    assert "0/0" in app("status").stdout
    assert "No pod is ready" in app("traffic", code=7).stderr


def test_the_documented_autoscaler_is_accepted_and_deploy_leaves_its_replicas_alone(app: Tasks) -> None:
    app("build", "deploy")
    app.kubectl("apply", "--filename", str(PROJECT / "docs" / "scale-hpa.yaml"))
    raised(app)  # to minReplicas: no metric is needed for that
    app("deploy")
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3


@eventually(SECONDS)
def raised(app: Tasks) -> None:
    """The autoscaler has raised one replica to its minimum."""
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3
