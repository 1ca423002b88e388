"""Which requests count, and that each number occurs once."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest

from simple_server.counter import Counter
from tasks import PROJECT
from tests.unit.simple_server.process import running
from tests.unit.simple_server.wsgi import PATHS, application, call, count_of


def test_the_json_counts_from_one_and_is_as_its_page_describes_it() -> None:
    page = (PROJECT.folder / "docs" / "server.md").read_text()
    (block,) = re.findall(r"```json\n(\{\s*\"\$schema\".+?)```", page, re.DOTALL)
    jsonschema.Draft202012Validator.check_schema(json.loads(block))
    checker = jsonschema.Draft202012Validator(json.loads(block))
    with running() as server:
        response, body = server.get()
        version = json.loads(server.get("/version")[1])
        assert server.count() == 2
    assert response.getheader("Content-Type") == "application/json"
    answer = json.loads(body)
    identity = {"pod": "pod-1", "node": "node-1", "build": "build-1", "started": version["started"]}
    assert answer == {"count": 1, **identity}
    assert version.items() >= identity.items()
    assert version.keys() == {*identity, "python", "bottle"}
    checker.validate(answer)
    for name in answer:
        assert not checker.is_valid(answer | {name: 0}), name
        assert not checker.is_valid({key: value for key, value in answer.items() if key != name}), name


METHODS = ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "get", "", "G\xff"]
UNKNOWN = ["", "//", "/.", "/healthz/", "/HEALTHZ", "/fault/crash", "/\xff", "/%2f", "/\n", "/\0", "healthz", "/favicon.ico"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", path, 200) for path in PATHS[1:]),
        *((method, path, 405) for path in PATHS for method in METHODS),
        *(("GET", path, 404) for path in UNKNOWN),
    ],
)
def test_another_path_or_method_does_not_count(method: str, path: str, status: int) -> None:
    app = application()
    answer = call(app, path, method)
    assert answer.status == status
    assert answer.headers.get("Allow") == ("GET" if status == 405 else None)
    assert status != 404 or answer.body == b"404 Not Found\n"
    assert count_of(app) == 1


class Switching(int):
    """A number that switches threads in the middle of each addition, so that counting without a lock goes wrong."""

    def __add__(self, other: int) -> "Switching":
        os.sched_yield()
        time.sleep(0)  # releases the GIL
        return Switching(int(self) + other)


def test_64_threads_get_each_number_once() -> None:
    counter = Counter()
    counter._count = Switching(0)
    with ThreadPoolExecutor(64) as threads:
        numbers = list(threads.map(lambda _: counter.next(), range(3200)))
    assert sorted(numbers) == list(range(1, 3201))
