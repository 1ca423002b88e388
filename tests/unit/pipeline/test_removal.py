"""Which images on the nodes are kept."""

from pathlib import Path

import pytest

from kubetasks.kube.client import Object
from kubetasks.pipeline import removal
from tests.unit.pipeline.living import world


def running(*images: str) -> Object:
    return {"containers": [{"name": image, "image": image} for image in images]}


def test_images_that_a_pod_or_a_deployment_of_anybody_uses_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch)
    used = running("docker.io/library/simple-server:v1") | {"initContainers": [{"name": "b", "image": "simple-server:init"}]}
    idle = running("simple-server", "a@sha256:b")
    there.kube._put("Pod", "theirs", "used", {"spec": used})
    there.kube._put("Deployment", "theirs", "idle", {"spec": {"template": {"spec": idle}}})
    ending = {"deletionTimestamp": "2026-11-24T14:45:42Z"}
    there.kube._put("Pod", "theirs", "ending", {"metadata": ending, "spec": running("simple-server:old")})
    kept = ["simple-server:v1", "simple-server:init", "simple-server:latest"]
    there.provider.node_images = [*kept, "simple-server:old"]
    assert removal.remove_images(there.run)
    assert there.provider.node_images == kept
