"""A ClusterIP service, without an address outside the cluster: exposed, reached through the API server, and port-forwarded."""

import dataclasses
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubetasks import App, Cluster, Traffic
from tests.support import answers, source
from tests.support.driver import Tasks, run
from tests.support.eventually import eventually
from tests.support.processes import begun, ended, until_line

REQUESTS = 100  # must be answered after a change


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with such a service."""
    folder = source.clone(tmp_path_factory.mktemp("inside"))
    service = folder / "k8s" / "service.yaml"
    service.write_text(service.read_text().replace("type: LoadBalancer", "type: ClusterIP"))
    return folder


def test_it_is_exposed_scaled_and_asked_and_a_port_leads_to_it_until_ctrl_c(app: Tasks, folder: Path) -> None:
    inside = dataclasses.replace(app, folder=folder)
    said = inside("build", "deploy", "expose").stderr
    assert f"service/{app.app} is a ClusterIP: it answers inside the cluster; ./inv service forwards a port to it" in said
    assert inside.json("status")["addresses"] == [{"url": "", "way": "cluster-internal"}]
    inside("scale", "--replicas=3")
    asked = inside.json("traffic")
    assert ({pod["pod"] for pod in asked["pods"]}, asked["failed"]) == (app.pods(), 0)
    pasted = run(["bash", "-eu"], stdin=inside("--dry", "traffic", "--requests=2").stdout).stdout
    assert set() < set(re.findall(r'"pod": ?"(.*?)"', pasted)) <= app.pods(), "it does the same"
    with begun(inside, "service") as process:
        url = until_line(process, "http://").split()[-1]

        @eventually(30)
        def leads_to(*gone: str) -> str:
            pod = answers.pod(url)
            assert pod in app.pods() - {*gone}
            return str(pod)

        app.kubectl("delete", f"pod/{(first := leads_to())}", "--wait=false")
        leads_to(first)
        process.send_signal(signal.SIGINT)
        assert ended(process, 30).endswith("The port is closed.\n")
        assert process.returncode == 0
    assert answers.silent(url), "kubectl has ended too"
    inside("unexpose")
    assert json.loads(inside("status", "--json").stdout)["addresses"] == []


@pytest.fixture(scope="module")
def k8s_cluster(k8s_cluster: Cluster, folder: Path) -> Cluster:
    """The shared cluster, for the project with the manifests of the copy."""
    application = dataclasses.replace(k8s_cluster.project.application, manifests=folder / "k8s")
    return dataclasses.replace(k8s_cluster, project=dataclasses.replace(k8s_cluster.project, application=application))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """URLs that must no longer answer after the teardown of the test's other fixtures."""
    urls: list[str] = []
    yield urls
    assert [url for url in urls if not answers.silent(url)] == []


def test_its_url_stays_and_no_request_is_lost_while_its_pods_are_replaced(
    opened: list[str], k8s_app: App, k8s_traffic: Traffic, tmp_path: Path
) -> None:
    opened.append(k8s_app.url)
    assert {answers.pod(k8s_app.url)} == k8s_app.pods()
    with k8s_traffic.load() as load:
        k8s_app.scale(2)
        before = k8s_app.pods()
        assert k8s_app.rollout(source.changed(tmp_path)) == answers.build(k8s_app.url)
        load.at_least(load.answered + REQUESTS)
    assert k8s_app.url == opened[0]
    assert answers.pod(k8s_app.url) in k8s_app.pods() - before
    assert (set(load.pods), load.failed) == ({*before, *k8s_app.pods()}, 0)
