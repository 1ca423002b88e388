"""Scaling: as many pods answer as were asked for."""

import pytest

from tasks import PROJECT
from tests.support import answers
from tests.support.driver import Tasks
from tests.support.eventually import SECONDS, eventually
from tests.support.marks import every_provider

pytestmark = every_provider


@pytest.mark.promise("`kubectl get deployments,pods`")
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
    app.kubectl("apply", "--filename", str(PROJECT.folder / "docs" / "scale-hpa.yaml"))
    raised(app)  # to minReplicas: no metric is needed for that
    app("deploy")
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3


@eventually(SECONDS)
def raised(app: Tasks) -> None:
    """The autoscaler has raised one replica to its minimum."""
    assert app.get("deployment", "simple-server")["spec"]["replicas"] == 3
