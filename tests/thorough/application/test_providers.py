"""The contract of the interface: what every adapter must do, on a real cluster of the run's provider."""

import json
import os
import subprocess
from collections.abc import Callable

import pytest

from kubetasks import providers
from kubetasks.engine import client as engine_client
from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ClusterError
from kubetasks.kube import client
from kubetasks.providers.base import Provider
from kubetasks.providers.existing import Existing
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.own import Own
from kubetasks.setup import requirements
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.support import answers
from tests.support.driver import Tasks, docker
from tests.support.marks import every_provider

pytestmark = every_provider


class Everything(set[str]):
    """As if a pod used each image: others' tests use this node too."""

    def __contains__(self, _name: object) -> bool:
        return True


Make = Callable[[Tasks, Report], Provider]


def own(tasks: Tasks, report: Report) -> Provider:
    """The adapter of the run's provider."""
    return providers.select(tasks.settings, report, engine_client.connect)


def existing(tasks: Tasks, report: Report) -> Provider:
    """The run's cluster, as if a stranger had created it."""
    return Existing(tasks.existing(), report, engine_client.connect)


ADAPTERS = [own, existing]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def networks(name: str) -> list[dict[str, str]]:
    """How the engine configured a network."""
    (network,) = json.loads(docker("network", "inspect", name))
    return list(network["IPAM"]["Config"])


def test_its_facts_lead_to_the_cluster(app: Tasks, adapter: Make) -> None:
    provider = adapter(app, Report())
    assert provider.phase() == "running"
    assert provider.name
    facts = provider.cluster()
    kube = client.connect(
        PROJECT.application.owner,
        facts.kubeconfig,
        facts.context,
        facts.unreachable_hint,
        facts.credentials_hint,
        not provider.shared,
        "kubectl",
    )
    (node,) = kube.list("Node")
    command = [requirements.kubectl().reference, *provider.kubectl, "get", "nodes", "--output=name"]
    environment = os.environ | dict(provider.environment)
    listed = subprocess.check_output(command, env=environment, text=True)
    assert listed == f"node/{node['metadata']['name']}\n", "kubectl reaches the same cluster"
    (inspected,) = json.loads(docker("inspect", node["metadata"]["name"]))
    published = {
        (int(inside.partition("/")[0]), int(binding["HostPort"]))
        for inside, bindings in inspected["NetworkSettings"]["Ports"].items()
        for binding in bindings or ()
    }
    if isinstance(provider, Kind):
        assert facts.mapped_port, "kind maps a port"
        assert facts.subnet, "and gives addresses from its network"
    assert facts.mapped_port is None or facts.mapped_port in published, "the engine maps that port"
    assert provider.node_port == (facts.mapped_port[0] if facts.mapped_port else None)
    subnets = [one["Subnet"] for name in inspected["NetworkSettings"]["Networks"] for one in networks(name)]
    assert not facts.subnet or str(facts.subnet) in subnets, "the node is in the network of the load balancer's addresses"
    assert not facts.subnet or facts.load_balancer


@pytest.mark.usefixtures("alone")  # the tutorial's name is the engine's: another test's build would take it in between
def test_an_image_that_the_nodes_have_is_not_loaded_again(app: Tasks, adapter: Make, capsys: pytest.CaptureFixture[str]) -> None:
    app("build", "deploy")
    image = app.get("pods")["items"][0]["spec"]["containers"][0]["image"]
    build = image.partition(":")[2]
    provider = adapter(app, Report())
    if adapter is own:  # the kubelet names images late
        assert provider.deliver(Image(PROJECT.application, build, "")) == Delivered(image, pulled=False)
        assert capsys.readouterr().err == "", "nothing was loaded"
        assert provider.remove_images(Everything) == [], "what is in use stays"
        provider.deliver(Image(PROJECT.application, build, ""))
        assert capsys.readouterr().err == ""
    else:
        assert provider.deliver(Image(PROJECT.application, build, "")) == Delivered(image, pulled=False)
        assert f"must have loaded {image}" in capsys.readouterr().err
        assert provider.remove_images(set) == [], "the nodes of others keep their images"


def test_a_cluster_of_others_has_no_lifecycle_and_dry_changes_nothing_in_one_of_ours(app: Tasks, adapter: Make) -> None:
    provider = adapter(app, Report(dry=True))
    if adapter is own:
        assert isinstance(provider, Own)
        assert provider.start_lines() == ()
        assert provider.stop()
        assert provider.delete()
    else:
        with pytest.raises(ClusterError, match=f"{provider.name} is not ours"):
            providers.lifecycle(provider)
    assert provider.phase() == "running", "nothing changed"


def test_a_proxy_that_cannot_reach_the_cluster_does_not_matter(app: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    app.typed("build", "deploy", "expose", "scale", "--replicas=2")
    assert app.json("status")["deployment"]["ready"] == 2, "as kubectl does, the tasks reach a loopback address without it"


def test_the_tasks_run_on_a_cluster_of_others(app: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    app("build", "deploy", "expose")
    (address, *_) = app.json("status")["addresses"]
    for name, value in app.existing_environment().items():
        monkeypatch.setenv(name, value)
    app.typed("--yes", "expose", "scale", "--replicas=2")
    assert set(answers.spread(address["url"], answers.REQUESTS).requests) == {
        pod["metadata"]["name"] for pod in app.get("pods")["items"]
    }
    for task in ("stop", "delete"):
        assert "is not ours to stop or delete" in app.typed(task, code=4).stderr
    app.typed("unexpose", "undeploy", "--yes")
    assert app.get("pods")["items"] == []
