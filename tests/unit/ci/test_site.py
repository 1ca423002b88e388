"""The website of the documentation as its task builds and serves it, without Sphinx."""

import socket
import urllib.request
from pathlib import Path
from threading import Thread

import pytest

from ci import site
from kubetasks.errors import TaskError
from tasks import ns
from tests.unit.tasks.test_command_line import invoke


def test_dry_shows_how_it_is_built_and_served() -> None:
    *_, build, serve = invoke("--dry", "docs", "--port=8123").stdout.splitlines()
    assert [build, serve] == ["tox run -e docs", "python3 -m http.server --bind=127.0.0.1 --directory=reports/site 8123"]


def test_a_port_that_cannot_be_used_is_refused_before_anything_is_built() -> None:
    assert (invoke("docs", "--port=0").returncode, invoke("docs", "--port=x").returncode) == (2, 2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TaskError, match=f"Port {port} of 127.0.0.1 cannot be used: ") as raised:
            site.server(port)
    assert raised.value.hint == f"./inv docs --port={port + 1}"


def test_it_is_served_on_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    with site.server(0, tmp_path) as server:
        assert server.server_address[0] == "127.0.0.1"
        thread = Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
            assert answer.read() == b"hello"
        thread.join()


def test_links_fit_the_places_of_the_pages_in_the_site(tmp_path: Path) -> None:
    site.assemble(tmp_path, ns)
    assert "](tutorial.md)" in (tmp_path / "index.md").read_text()
    assert "](index.md)" in (tmp_path / "tutorial.md").read_text()
    assert "](files/docs/existing-rbac.yaml)" in (tmp_path / "existing.md").read_text()
    assert (tmp_path / "files" / "docs" / "existing-rbac.yaml").exists()


def test_every_task_has_its_section(tmp_path: Path) -> None:
    site.assemble(tmp_path, ns)
    text = (tmp_path / "tasks.md").read_text()
    assert "\n## scale\n" in text
    assert "| `--replicas` |" in text
