"""What a removal asks, and what it says that it keeps."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetasks.pipeline import cluster, removal
from kubetasks.pipeline.run import Run
from kubetasks.project.labels import TOOL
from tasks import PROJECT
from tests.unit.kube.fakes import FakeKube
from tests.unit.pipeline.fakes import FakeProvider, OwnProvider, RefusedError, run_on

WHERE = "in namespace default of context theirs (https://theirs:6443)?"


def ours(kind: str, name: str = "simple-server") -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, "labels": TOOL.labels, "uid": name}, "spec": {}}


@pytest.fixture
def objects() -> dict[str, list[dict[str, Any]]]:
    return {"Deployment": [ours("Deployment")], "PersistentVolumeClaim": [ours("PersistentVolumeClaim", "data")]}


def with_claim(folder: Path, provider: FakeProvider, objects: dict[str, list[dict[str, Any]]]) -> Run:
    """A run whose manifests are the deployment, the service and a claim."""
    for name in ("deployment", "service"):
        (folder / f"{name}.yaml").write_text((PROJECT.folder / "k8s" / f"{name}.yaml").read_text())
    (folder / "claim.yaml").write_text(yaml.safe_dump(ours("PersistentVolumeClaim", "data")))
    return run_on(provider, FakeKube(**objects), app=dataclasses.replace(PROJECT.application, manifests=folder))


@pytest.mark.parametrize(
    ("volumes", "exposed", "going"),
    [
        (False, True, "service/simple-server, deployment/simple-server"),
        (False, False, "deployment/simple-server"),
        (True, True, "service/simple-server, deployment/simple-server, persistentvolumeclaim/data"),
    ],
)
def test_who_cleans_an_existing_cluster_is_asked_once_with_each_kind_and_name(
    tmp_path: Path, objects: dict[str, list[dict[str, Any]]], volumes: bool, exposed: bool, going: str
) -> None:
    theirs = with_claim(tmp_path, FakeProvider(), objects | ({"Service": [ours("Service")]} if exposed else {}))
    with pytest.raises(RefusedError) as asked:
        removal.clean(theirs, everything=False, volumes=volumes)
    assert str(asked.value) == f"Delete {going} {WHERE}"


def test_a_claim_alone_is_kept_and_told_and_nobody_is_asked(
    tmp_path: Path, objects: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = with_claim(tmp_path, FakeProvider(), {**objects, "Deployment": []})
    assert not removal.undeploy(theirs)
    assert capsys.readouterr().err == ("Kept with its data: persistentvolumeclaim/data. ./inv undeploy --volumes removes it.\n")


def test_who_deletes_a_cluster_is_told_which_claims_go_with_it(
    tmp_path: Path, objects: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    provider = OwnProvider(changed=False)
    assert cluster.delete(with_claim(tmp_path, provider, objects))
    assert provider.called == ["delete"]
    assert "With the cluster goes persistentvolumeclaim/data, and the data in it." in capsys.readouterr().err
