"""The application without a server."""

import wsgiref.util
from wsgiref.validate import validator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simple_server.app import create_app
from simple_server.readiness import Readiness
from tests.unit.simple_server.wsgi import BROWSER, PATHS, Answer, application, call, count_of


def samples(answer: Answer) -> dict[tuple[str, ...], float]:
    """Parse metrics with Prometheus' own parser; the key is the name and the label values, sorted by label."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("accept", ["", BROWSER])
def test_it_conforms_to_wsgi(method: str, path: str, accept: str) -> None:
    readiness = Readiness()
    readiness.stop()
    app = validator(create_app(readiness=readiness))
    answer = call(app, path, method, accept, SCRIPT_NAME="", QUERY_STRING="close")
    assert not [name for name in answer.headers if wsgiref.util.is_hop_by_hop(name)]


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_no_response_may_be_stored_or_sniffed(path: str) -> None:
    headers = call(application(), path).headers
    assert (headers["Cache-Control"], headers["Vary"], headers["X-Content-Type-Options"]) == ("no-store", "Accept", "nosniff")


def test_each_application_has_its_own_count() -> None:
    assert [count_of(application()) for _ in range(2)] == [1, 1]


def test_pod_node_and_build_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "pod-from-environment")
    monkeypatch.setenv("NODE_NAME", "node-from-environment")
    monkeypatch.setenv("BUILD_ID", "0123456789ab")
    answer = call(create_app(), "/version").json
    assert (answer["pod"], answer["node"]) == ("pod-from-environment", "node-from-environment")
    assert answer["build"] == "0123456789ab"
    assert set(answer) == {"pod", "node", "build", "started", "python", "bottle"}


def test_it_is_ready_until_it_stops() -> None:
    readiness = Readiness()
    app = application(readiness=readiness)
    assert (call(app, "/readyz").status, call(app, "/readyz").json["status"]) == (200, "ready")
    readiness.stop()
    assert (call(app, "/readyz").status, call(app, "/readyz").json["status"]) == (503, "stopping")
    assert call(app, "/healthz").status == 200, "a draining pod is alive"
    assert count_of(app) == 1, "and still answers"


def test_with_close_connections_the_page_closes_its_connection_and_other_responses_do_not() -> None:
    readiness = Readiness()
    app = application(readiness=readiness, close_connections=True)
    asked = [("/", BROWSER, "", "close"), ("/", "", "close", "close"), ("/", "", "", None), ("/healthz", BROWSER, "", None)]
    for path, accept, query, connection in asked:
        assert call(app, path, accept=accept, QUERY_STRING=query).headers.get("Connection") == connection, (path, query)
    readiness.stop()
    for path, accept, query, _ in asked:
        assert call(app, path, accept=accept, QUERY_STRING=query).headers.get("Connection") == "close", (path, query)


def test_metrics_count_the_responses() -> None:
    app = application()
    for path, method in [("/", "GET"), ("/", "GET"), ("/", "POST"), ("/healthz", "GET"), ("/a", "GET"), ("/b", "GET")]:
        call(app, path, method)
    answer = call(app, "/metrics")
    told = samples(answer)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {labels[1:]: value for labels, value in told.items() if labels[0] == "http_requests_total"} == {
        ("/", "200"): 2,
        ("/", "405"): 1,
        ("/healthz", "200"): 1,
        ("other", "404"): 2,
    }
    assert told["simple_server_counted_requests_total",] == 2
    assert told["simple_server_build_info", "build-1", "pod-1"] == 1
    assert told["http_requests_in_flight",] == 1, "the scrape itself"
    assert told["http_request_duration_seconds_count",] == 6
    assert told["http_request_duration_seconds_bucket", "+Inf"] == 6
    assert told["process_resident_memory_bytes",] > 1_000_000
    told = samples(call(app, "/metrics"))
    assert told["http_requests_total", "/metrics", "200"] == 1
    assert told["http_requests_in_flight",] == 1


def test_unknown_paths_and_methods_create_no_series() -> None:
    app = application()
    call(app, "/x")
    call(app, "/metrics")
    before = len(samples(call(app, "/metrics")))
    for number in range(50):
        call(app, f"/{number}", f"METHOD{number}")
    assert len(samples(call(app, "/metrics"))) == before


@pytest.mark.parametrize("name", ["crash", "hang", "not-ready", "ready"])
def test_fault_injection_is_off_by_default(name: str) -> None:
    for method in ("GET", "POST"):
        assert call(application(), f"/fault/{name}", method).status == 404


def test_not_ready_can_be_injected_and_cleared() -> None:
    app = application(faults=True)
    assert call(app, "/fault/not-ready", "POST").status == 200
    assert (call(app, "/readyz").status, call(app, "/readyz").json["status"]) == (503, "not ready")
    assert call(app, "/healthz").status == 200
    call(app, "/fault/ready", "POST")
    assert call(app, "/readyz").status == 200
    wrong = call(app, "/fault/not-ready")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


def test_a_stopping_server_cannot_be_made_ready() -> None:
    readiness = Readiness()
    app = application(readiness=readiness, faults=True)
    readiness.stop()
    call(app, "/fault/ready", "POST")
    assert call(app, "/readyz").json["status"] == "stopping"
