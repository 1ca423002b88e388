"""The equivalent commands that only one action prints."""

import pytest

from kubetasks.pipeline import diagnose, removal, status
from tasks import PROJECT
from tests.unit.pipeline.fakes import FakeProvider, run_on


@pytest.mark.promise("`kubectl delete service simple-server`")
def test_the_service_is_deleted_as_in_the_tutorial(capsys: pytest.CaptureFixture[str]) -> None:
    removal.unexpose(run_on(FakeProvider(), dry=True))
    assert capsys.readouterr().out == "kubectl --context theirs delete service simple-server\n"


def test_what_only_looks_asks_the_same_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    dry = run_on(FakeProvider(), dry=True)
    assert (diagnose.now(dry), list(status.logs(dry, 10))) == (None, [])
    assert capsys.readouterr().out.splitlines() == [
        "kubectl --context theirs get deployments,pods,services",
        "kubectl --context theirs get events --sort-by=.lastTimestamp",
        f"kubectl --context theirs logs --prefix --tail=10 --selector={PROJECT.application.selector}",
    ]
