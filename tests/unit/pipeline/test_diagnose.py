"""What `diagnose` says of engine, cluster, namespace and service; what it says of pods is in tests/unit/kube."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubetasks.errors import ClusterError, TaskError
from kubetasks.kube.client import ApiError
from kubetasks.kube.diagnosis import HEALTHY
from kubetasks.pipeline import diagnose
from kubetasks.project.application import Project
from kubetasks.project.labels import TOOL
from tasks import PROJECT
from tests.unit.failing import raising
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import NAMESPACE, FakeKube
from tests.unit.pipeline.fakes import FACTS, FakeProvider, run_on

DELIVERED = recorded("ready")


def found(kube: FakeKube, provider: FakeProvider | None = None, *, reachable: bool = False) -> tuple[str, int]:
    provider = provider or FakeProvider()
    provider.shared = not reachable
    theirs = run_on(provider, kube)
    theirs.cluster = FACTS
    told = diagnose.now(theirs)
    assert told is not None
    assert told.sentence
    return told.code, told.exit_code


def test_without_an_engine_there_is_a_code_all_the_same() -> None:
    assert found(FakeKube(), FakeProvider(None)) == ("engine-unavailable", 3)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClusterError("The API server of cluster theirs does not answer.", "look"), "api-unavailable"),
        (ApiError("GET /", 403, "Forbidden", "no right", "docs"), "api-refused"),
    ],
)
def test_an_api_server_that_cannot_be_asked_has_a_code(monkeypatch: pytest.MonkeyPatch, error: TaskError, code: str) -> None:
    kube = FakeKube()
    monkeypatch.setattr(kube, "get", raising(error))
    assert found(kube) == (code, 4)


def test_a_namespace_without_a_deployment_and_one_that_is_missing() -> None:
    assert found(FakeKube(Namespace=NAMESPACE)) == ("not-deployed", 6)
    assert found(FakeKube()) == ("namespace-missing", 4)


@pytest.mark.parametrize(
    ("selected", "reachable", "ours", "told"),
    [
        ("simple-server", False, True, (HEALTHY, 0)),
        ("other", False, True, ("service-mismatch", 7)),
        ("simple-server", True, True, ("no-answer", 7)),
        ("other", True, False, (HEALTHY, 0)),
    ],
)
def test_a_service_that_gets_no_answer_is_a_problem_unless_it_is_of_others(
    selected: str, reachable: bool, ours: bool, told: tuple[str, int]
) -> None:
    service: dict[str, Any] = {
        "metadata": {"name": "simple-server", "labels": TOOL.labels if ours else {}},
        "spec": {"selector": {"app.kubernetes.io/name": selected}, "ports": []},
        "status": {},
    }
    kube = FakeKube(
        Deployment=[DELIVERED["deployment"]], ReplicaSet=DELIVERED["replica_sets"], Pod=DELIVERED["pods"], Service=[service]
    )
    assert found(kube, reachable=reachable) == told


def test_the_file_with_the_details_has_the_words_of_the_project(tmp_path: Path) -> None:
    crashing = recorded("crashing", "shop")
    app = replace(PROJECT.application, name="shop", manifests=None)
    kube = FakeKube(Deployment=[crashing["deployment"]], ReplicaSet=crashing["replica_sets"], Pod=crashing["pods"])
    theirs = run_on(FakeProvider(), kube, app=app)
    theirs.report.spoken = Project(tmp_path, app).spoken
    told = diagnose.now(theirs)
    assert told
    written = Path(told.details).read_text()
    assert "kubetasks logs" in written
    assert "./inv" not in written
