"""The contract of the interface: what every provider must do, on a real cluster of the run's provider."""

import dataclasses
from pathlib import Path

import pytest

from kubetasks.engine.image import Delivered, Image
from tasks import PROJECT
from tests.support.driver import Tasks
from tests.support.marks import every_provider

pytestmark = every_provider


def test_an_image_that_the_nodes_have_is_not_loaded_again(app: Tasks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = app.renamed(tmp_path)
    tasks("build", "deploy")
    (reference,) = {pod["spec"]["containers"][0]["image"] for pod in tasks.get("pods")["items"]}
    image = Image(dataclasses.replace(PROJECT.application.source, name=tasks.app), reference.partition(":")[2], "")
    provider = tasks.provider()
    for _ in range(2):  # twice, because the kubelet reports image names late
        assert provider.deliver(image) == Delivered(reference, pulled=False)
        assert capsys.readouterr().err == "", "nothing was loaded"
        assert provider.remove_images(lambda: {reference}) == [], "what is in use stays"


def test_a_proxy_that_cannot_reach_the_cluster_does_not_matter(app: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    app.typed("build", "deploy", "expose", "scale", "--replicas=2")
    assert app.json("status")["deployment"]["ready"] == 2, "as kubectl does, the tasks reach a loopback address without it"
