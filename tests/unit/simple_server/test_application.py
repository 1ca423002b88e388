"""The application without a server."""

import wsgiref.util
from wsgiref.validate import validator

import pytest

from simple_server.app import create_app
from simple_server.readiness import Readiness
from tests.unit.simple_server.wsgi import BROWSER, PATHS, application, call, count_of


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("accept", ["", BROWSER])
def test_each_response_conforms_to_wsgi_and_may_be_neither_stored_nor_sniffed(method: str, path: str, accept: str) -> None:
    readiness = Readiness()
    readiness.stop()
    app = validator(create_app(readiness=readiness))
    answer = call(app, path, method, accept, SCRIPT_NAME="", QUERY_STRING="close")
    assert not [name for name in answer.headers if wsgiref.util.is_hop_by_hop(name)]
    common = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
    assert answer.headers.items() >= common.items()


def test_it_is_ready_until_a_fault_is_injected_and_never_again_once_it_stops() -> None:
    readiness = Readiness()
    app = application(readiness=readiness, faults=True)

    def told() -> tuple[int, str]:
        answer = call(app, "/readyz")
        return answer.status, answer.json["status"]

    assert told() == (200, "ready")
    assert call(app, "/fault/not-ready", "POST").status == 200
    assert told() == (503, "not ready")
    assert call(app, "/healthz").status == 200, "the kubelet need not restart it"
    call(app, "/fault/ready", "POST")
    assert told() == (200, "ready")
    readiness.stop()
    call(app, "/fault/ready", "POST")
    assert told() == (503, "stopping")
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
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    told = answer.body.decode().splitlines()
    assert sorted(line for line in told if line.startswith("http_requests_total")) == [
        'http_requests_total{path="/",status="200"} 2.0',
        'http_requests_total{path="/",status="405"} 1.0',
        'http_requests_total{path="/healthz",status="200"} 1.0',
        'http_requests_total{path="other",status="404"} 2.0',
    ]
    assert "simple_server_counted_requests_total 2.0" in told
    assert 'simple_server_build_info{build="build-1",pod="pod-1"} 1.0' in told
    assert "http_requests_in_flight 1.0" in told, "the scrape itself"
    assert "http_request_duration_seconds_count 6.0" in told
    assert 'http_request_duration_seconds_bucket{le="+Inf"} 6.0' in told
    assert [line for line in told if line.startswith("process_resident_memory_bytes ")]
    told = call(app, "/metrics").body.decode().splitlines()
    assert 'http_requests_total{path="/metrics",status="200"} 1.0' in told
    assert "http_requests_in_flight 1.0" in told


@pytest.mark.parametrize("name", ["crash", "hang", "not-ready", "ready"])
def test_faults_are_injected_only_by_post_and_only_if_enabled(name: str) -> None:
    for method in ("GET", "POST"):
        assert call(application(), f"/fault/{name}", method).status == 404
    wrong = call(application(faults=True), f"/fault/{name}")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
