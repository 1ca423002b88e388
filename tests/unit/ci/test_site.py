"""The documentation website, as its task builds and serves it, without Sphinx."""

from pathlib import Path

import pytest

from ci import site
from kubetasks.errors import TaskError
from tasks import ns
from tests.unit.tasks.test_command_line import invoke


def test_a_port_that_cannot_be_used_is_refused_before_anything_is_built() -> None:
    assert (invoke("docs", "--port=0").returncode, invoke("docs", "--port=x").returncode) == (2, 2)
    with site.server(0) as server:
        assert server.server_address[0] == "127.0.0.1", "this machine alone"
        port = server.server_port
        with pytest.raises(TaskError, match=f"Port {port} of 127.0.0.1 cannot be used: ") as raised:
            site.server(port)
    assert raised.value.hint == f"./inv docs --port={port + 1}"


def test_every_task_has_its_section(tmp_path: Path) -> None:
    site.assemble(tmp_path, ns)
    text = (tmp_path / "tasks.md").read_text()
    assert "\n## scale\n" in text
    assert "| `--replicas` |" in text
