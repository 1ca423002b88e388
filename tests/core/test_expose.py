"""`expose`: the service answers outside the cluster at each address that is printed, until `unexpose`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import answers
from tests.support.driver import Tasks
from tests.support.marks import every_provider

WAYS = {"kind": ["mapped port", "load balancer"], "minikube": ["node port"], "existing": ["node port"]}


@pytest.mark.promise(
    "`kubectl expose deployment simple-server --type=LoadBalancer`",
    "`minikube service simple-server`",
    "`minikube tunnel`",
    "`kubectl delete service simple-server`",
)
@every_provider
@pytest.mark.usefixtures("mapped_port")
def test_it_answers_in_each_way_that_the_provider_has_until_unexpose(
    app: Tasks, kubectl: Callable[..., str], tmp_path: Path
) -> None:
    app("build", "deploy", "expose")
    found, pods = app.addresses(), app.pods()
    assert list(found) == WAYS[app.settings.provider]
    assert len(pods) == 1
    for way, url in found.items():
        assert answers.pod(url) in pods, f"the {way} answers from here"
    assert app.printed() == found
    preferred = next(iter(found.values()))
    assert app.typed("service").stdout == f"{preferred}\n", "`service` prints exactly that URL"
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    app.typed("service", "--open", BROWSER=f"{browser} %s")
    assert opened.read_text() == preferred
    app("unexpose")
    assert kubectl("get", "services", "--output=name") == ""
    for way, url in found.items():
        assert answers.silent(url), f"the {way} is closed"
