"""Scaling by others: an autoscaler keeps its number of pods."""

from tasks import PROJECT
from tests.support.driver import Tasks
from tests.support.eventually import SECONDS, eventually
from tests.support.marks import every_provider

pytestmark = every_provider


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
