"""The contract of the interface: what every adapter must do, on a real cluster of the run's provider."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks import providers
from kubetasks.engine import client as engine_client
from kubetasks.engine.image import Delivered, Image
from kubetasks.providers.base import Provider
from kubetasks.providers.existing import Existing
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.support.driver import Tasks
from tests.support.marks import every_provider

pytestmark = every_provider


Make = Callable[[Tasks, Report], Provider]


def own(tasks: Tasks, report: Report) -> Provider:
    """The adapter of the run's provider."""
    return providers.select(tasks.settings, report, engine_client.connect)


def existing(tasks: Tasks, report: Report) -> Provider:
    """The run's cluster, as if a stranger had created it."""
    facts, settings = tasks.provider().cluster(), tasks.settings
    theirs = dataclasses.replace(settings, provider="existing", context=facts.context, kubeconfig=facts.kubeconfig)
    return Existing(theirs, report, engine_client.connect)


@pytest.fixture(params=[own, existing])
def adapter(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def test_an_image_that_the_nodes_have_is_not_loaded_again(
    app: Tasks, adapter: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = app.renamed(tmp_path)
    tasks("build", "deploy")
    (reference,) = {pod["spec"]["containers"][0]["image"] for pod in tasks.get("pods")["items"]}
    image = Image(dataclasses.replace(PROJECT.application, name=tasks.app), reference.partition(":")[2], "")
    provider = adapter(tasks, Report())
    for _ in range(2):  # the kubelet names images late
        assert provider.deliver(image) == Delivered(reference, pulled=False)
        told = capsys.readouterr().err
        if adapter is own:
            assert told == "", "nothing was loaded"
            assert provider.remove_images(lambda: {reference}) == [], "what is in use stays"
        else:
            assert f"must have loaded {reference}" in told
            assert provider.remove_images(set) == [], "the nodes of others keep their images"


def test_a_proxy_that_cannot_reach_the_cluster_does_not_matter(app: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    app.typed("build", "deploy", "expose", "scale", "--replicas=2")
    assert app.json("status")["deployment"]["ready"] == 2, "as kubectl does, the tasks reach a loopback address without it"
