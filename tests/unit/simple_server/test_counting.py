"""Which requests count, and that each number occurs once."""

import itertools
import json
import os
import re
import threading
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from simple_server import counter as counting
from tasks import PROJECT
from tests.unit.simple_server.process import running
from tests.unit.simple_server.wsgi import BROWSER, PATHS, application, call, count_of


def schema() -> dict[str, Any]:
    (block,) = re.findall(r"```json\n(\{\s*\"\$schema\".+?)```", (PROJECT.folder / "docs/server.md").read_text(), re.DOTALL)
    read: dict[str, Any] = json.loads(block)
    return read


def test_it_counts_from_one_and_reports_its_identity() -> None:
    app = application()
    assert [call(app).json for _ in range(2)] == [
        {"count": 1, "pod": "pod-1", "node": "node-1", "build": "build-1", "started": "2026-01-02T03:04:05Z"},
        {"count": 2, "pod": "pod-1", "node": "node-1", "build": "build-1", "started": "2026-01-02T03:04:05Z"},
    ]


def test_the_json_conforms_to_its_documented_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    checker = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())
    with running() as server:
        response, body = server.get()
    checker.validate(json.loads(body))
    assert response.getheader("Content-Type") == "application/json"
    valid = {"count": 1, "pod": "p", "node": "n", "build": "b", "started": "2026-01-02T03:04:05Z"}
    checker.validate(valid)
    assert not checker.is_valid(valid | {"count": 0})
    for name in valid:
        assert not checker.is_valid({key: value for key, value in valid.items() if key != name}), f"without {name}"


@pytest.mark.parametrize("path", PATHS[1:])
def test_other_paths_do_not_count(path: str) -> None:
    app = application()
    assert call(app, path).status == 200
    assert count_of(app) == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "get"])
def test_another_method_is_not_allowed(method: str, path: str) -> None:
    app = application()
    answer = call(app, path, method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert count_of(app) == 1


@pytest.mark.parametrize(
    "path", ["", "//", "/.", "/x", "/healthz/", "/HEALTHZ", "/fault/crash", "/\xff", "/%2f", "/\n", "/favicon.ico"]
)
def test_another_path_is_not_found(path: str) -> None:
    app = application()
    answer = call(app, path)
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")
    assert count_of(app) == 1


class Switching(int):
    """A number that switches threads in the middle of each addition: a count without a lock goes wrong."""

    def __add__(self, other: int) -> "Switching":
        os.sched_yield()
        time.sleep(0)  # releases the interpreter's lock
        return Switching(int(self) + other)


def test_64_threads_get_each_number_once(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, made = list[int](), counting.Counter.__init__

    def with_a_switching_number(self: counting.Counter) -> None:
        made(self)
        self._count = Switching(0)

    monkeypatch.setattr(counting.Counter, "__init__", with_a_switching_number)
    app = application()
    threads = [threading.Thread(target=lambda: numbers.extend(count_of(app) for _ in range(50))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 64 * 50 + 1))


def test_64_concurrent_connections_kept_or_fresh_get_each_number_once() -> None:
    with running("--log-format=none") as server:
        numbers = list[int]()

        def kept() -> None:
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            answers = server.send(request * 9 + last)  # pipelined: all are sent before the first is answered
            numbers.extend(int(number) for number in re.findall(rb'"count": (\d+)', answers))

        def fresh() -> None:
            numbers.extend(server.count() for _ in range(10))

        threads = [threading.Thread(target=work) for work in itertools.islice(itertools.cycle((kept, fresh)), 64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(numbers) == list(range(1, 641))


TEXT = some.text(some.characters(codec="latin-1"), max_size=40)  # as in WSGI: one character per byte


@settings(deadline=None, database=None)
@given(
    method=some.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]) | TEXT,
    path=some.sampled_from(PATHS) | TEXT | TEXT.map(lambda text: f"/{text}"),
    query=TEXT,
    accept=TEXT | some.sampled_from([BROWSER, "text/html;q=", "text/html;q=nan", "*/*"]),
    headers=some.dictionaries(
        some.sampled_from(
            ["CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_COOKIE", "HTTP_HOST", "HTTP_RANGE", "HTTP_X_HTTP_METHOD_OVERRIDE"]
        ),
        TEXT,
    ),
)
def test_no_request_causes_an_error_or_loses_a_count(
    method: str, path: str, query: str, accept: str, headers: dict[str, str]
) -> None:
    app = application()
    answer = call(app, path, method, accept, QUERY_STRING=query, **headers)
    known = path in PATHS
    assert answer.status == (404 if not known else 200 if method == "GET" else 405)
    assert count_of(app) == 1 + ((method, path) == ("GET", "/"))
