"""External exposure: the service answers from this machine, at the addresses that the tasks print."""

import pytest

from tests.integration import answers
from tests.integration.driver import Tasks


def ways(app: Tasks) -> dict[str, str]:
    return {end["way"]: end["url"] for end in app.json("status")["addresses"]}


@pytest.mark.usefixtures("mapped_port")
@pytest.mark.xdist_group("mapped port")
def test_it_answers_at_the_load_balancers_address_and_at_the_mapped_port(app: Tasks) -> None:
    app("build", "deploy", "expose")
    found = ways(app)
    assert set(found) == {"mapped port", "load balancer"}
    for way, url in found.items():
        assert answers.health(url), f"the {way} answers from here"
    assert found["mapped port"].startswith("http://127.0.0.1:")
    assert app.typed("service").stdout == f"{found['mapped port']}\n", "`service` prints exactly that URL"


@pytest.mark.usefixtures("mapped_port")
@pytest.mark.xdist_group("mapped port")
def test_the_mapped_port_belongs_to_one_service_and_the_next_one_is_told(app: Tasks) -> None:
    app("build", "deploy")
    app.kubectl("create", "service", "nodeport", "theirs", "--tcp=80", "--node-port=30080")
    said = app("expose").stderr
    assert f"belongs to service theirs in namespace {app.namespace}" in said
    (way,) = ways(app).items()
    assert way[0] == "load balancer"
    assert app("service").stdout == f"{way[1]}\n"


def test_unexpose_ends_it_and_a_second_expose_keeps_the_address(app: Tasks) -> None:
    app("build", "deploy", "expose")
    first = ways(app)["load balancer"]
    app("expose")
    assert ways(app)["load balancer"] == first
    assert answers.health(first)
    app("unexpose")
    assert answers.health(first) is None
    assert ways(app) == {}
    assert app("service", code=7).stderr.splitlines()[-1] == "  ./inv expose"
