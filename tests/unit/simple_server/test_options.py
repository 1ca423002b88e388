"""The command line and its environment variables."""

import dataclasses
import re

import pytest

from simple_server import options
from tasks import PROJECT
from tests.unit.simple_server.process import refused, running


def test_each_option_has_a_default_and_a_variable_and_overrides_both() -> None:
    assert options.read([], {}) == options.Options("127.0.0.1", 8080, 1.0, "json", False, False, 0.0)
    environment = {"LISTEN_HOST": "::1", "LISTEN_PORT": "81", "DRAIN_SECONDS": "2.5", "LOG_FORMAT": "text"}
    environment |= {"LOG_PROBES": "1", "FAULTS": "1", "START_DELAY_SECONDS": "3"}
    assert options.read([], environment) == options.Options("::1", 81, 2.5, "text", True, True, 3.0)
    typed = ["--host=0.0.0.0", "--port=82", "--drain=0", "--log-format=none", "--start-delay=1"]
    assert options.read(typed, environment) == options.Options("0.0.0.0", 82, 0.0, "none", True, True, 1.0)


def test_help_and_page_name_each_option_with_its_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    page = (PROJECT.folder / "docs" / "server.md").read_text()
    documented = re.findall(r"^\| `(--[a-z-]+)` \| `([A-Z_]+)` \| `([^`]+)`", page, re.MULTILINE)
    assert len(documented) == len(dataclasses.fields(options.Options))
    with pytest.raises(SystemExit) as ended:
        options.read(["--help"], {})
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split("and exit")[1].split())
    assert re.findall(r"(--[a-z-]+) .*?\[([A-Z_]+), default: (.+?)\]", told) == documented


@pytest.mark.parametrize(
    "typed",
    [
        *(f"--port={value}" for value in ("-1", "65536", "web", "", "\N{FULLWIDTH DIGIT EIGHT}")),
        *(f"--drain={value}" for value in ("-1", "nan", "inf", "601", "soon")),
        *("--log-format=xml", "--host=", "--host=a\nb", "--start-delay=1", "--hos=1", "--nothing", "more"),
        *("LISTEN_PORT=web", "DRAIN_SECONDS=soon", "LOG_FORMAT=xml", "LOG_PROBES=yes", "FAULTS=2"),
    ],
)
def test_a_wrong_option_or_variable_prints_one_sentence_that_names_it(typed: str) -> None:
    name, _, value = typed.partition("=")
    result = refused(**{name: value}) if name.isupper() else refused(typed)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"[A-Z].+\. See: python -m simple_server --help\n", result.stderr), result.stderr
    assert name in result.stderr


def test_a_port_in_use_prints_one_sentence() -> None:
    with running() as server:
        second = refused(f"--port={server.port}")
        assert server.count() == 1
    told = f"Cannot listen on 127.0.0.1:{server.port}: Address already in use. Try --host ADDRESS or --port PORT.\n"
    assert (second.returncode, second.stdout, second.stderr) == (3, "", told)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a..b", "..", 64 * "a", "::g"])
def test_an_address_of_another_machine_prints_one_sentence(host: str) -> None:
    result = refused(f"--host={host}", "--port=0")
    assert result.returncode == 3
    assert result.stderr.startswith(f"Cannot listen on {host}:0: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["localhost", "127.1"])
def test_a_host_may_be_a_name(host: str) -> None:
    with running(f"--host={host}") as server:
        assert server.process.poll() is None
