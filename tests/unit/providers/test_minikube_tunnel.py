"""minikube's tunnel: nothing starts without the right to add a route, and nothing is left at the end."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, LeftoverError, SetupError
from kubetasks.providers.minikube import tunnel
from tests.support.waiting import until

TABLE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
ROUTE = "br-1\t0000600A\t0231A8C0\t0003\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
STATUS = """\
Status:
\tmachine: demo
\tpid: 1
\troute: 10.96.0.0/12 -> 192.168.49.2
\tminikube: Running
\tservices: [simple-server]
    errors:
\t\tminikube: no errors
\t\trouter: {router}
\t\tloadbalancer emulator: no errors
"""
# ends as minikube does, after it was interrupted; says so first
PROGRAM = """\
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's table, without a route to the services."""
    path = tmp_path / "route"
    path.write_text(TABLE)
    monkeypatch.setattr(tunnel, "ROUTES", path)
    return path


def test_without_sudo_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(SetupError, match="needs sudo on PATH, also as root") as told:
        tunnel.require_rights()
    assert "apt-get install sudo" in told.value.hint


def test_whom_sudo_does_not_let_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\ntest "$1" != --validate\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SetupError, match="sudo does not let you"):
        tunnel.require_rights()
    sudo.write_text("#!/bin/sh\n")
    tunnel.require_rights()


def test_a_route_of_another_tunnel_is_named(routes: Path) -> None:
    tunnel.require_free("192.168.49.2")
    routes.write_text(TABLE + ROUTE)
    tunnel.require_free("192.168.49.2")  # of a tunnel of this cluster that was killed: minikube takes it over
    with pytest.raises(ClusterError, match=r"A route to 10\.96\.0\.0/12 exists already, via 192\.168\.49\.2"):
        tunnel.require_free("192.168.58.2")


def opened(tmp_path: Path, text: str = PROGRAM) -> AbstractContextManager[tunnel.Tunnel]:
    return tunnel.opened([sys.executable, "-c", text], {}, tmp_path / "log")


def until_ready(through: tunnel.Tunnel) -> None:
    def ready() -> bool:
        assert through.process.poll() is None
        return "ready" in through.log.read_text()

    until(ready, timeout=60)


def test_at_the_end_of_the_block_it_has_ended_and_left_no_file(routes: Path, tmp_path: Path) -> None:  # noqa: ARG001
    with opened(tmp_path) as through:
        until_ready(through)
    assert through.process.returncode == 0
    assert not through.log.exists()


def test_a_route_that_is_left_is_said_also_after_ctrl_c(routes: Path, tmp_path: Path) -> None:
    def interrupted() -> None:
        with opened(tmp_path) as through:
            until_ready(through)
            routes.write_text(TABLE + ROUTE)
            raise KeyboardInterrupt

    with pytest.raises(LeftoverError, match=r"the route to 10\.96\.0\.0/12 is left") as told:
        interrupted()
    assert told.value.hint == "sudo ip route delete 10.96.0.0/12"


def test_one_that_does_not_end_is_killed(routes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr(tunnel, "CLOSING_SECONDS", 0.1)
    with opened(
        tmp_path, PROGRAM.replace("sys.exit(0)", "None").replace("signal.pause()", "[signal.pause() for _ in range(9)]")
    ) as it:
        until_ready(it)
    assert it.process.returncode == -9


def test_one_that_ended_by_itself_says_why(routes: Path, tmp_path: Path) -> None:  # noqa: ARG001
    with opened(tmp_path, "print('X Exiting due to SVC_TUNNEL_ALREADY_RUNNING'); raise SystemExit(81)") as through:
        with pytest.raises(ClusterError, match="SVC_TUNNEL_ALREADY_RUNNING"):
            through.wait()
        assert through.problem().startswith("minikube tunnel ended with 81")


def test_a_second_one_that_minikube_refuses_leaves_the_first_its_route(routes: Path, tmp_path: Path) -> None:
    routes.write_text(TABLE + ROUTE)

    def second() -> None:
        with opened(tmp_path, "print('X Exiting due to SVC_TUNNEL_ALREADY_RUNNING'); raise SystemExit(81)") as through:
            through.wait()

    with pytest.raises(ClusterError, match="SVC_TUNNEL_ALREADY_RUNNING"):
        second()


@pytest.mark.parametrize(
    ("router", "problem"), [("no errors", ""), ("error adding Route: not permitted", "router: error adding Route: not permitted")]
)
def test_what_minikube_reports_is_a_problem_unless_it_is_none(tmp_path: Path, router: str, problem: str) -> None:
    log = tmp_path / "log"
    log.write_text(STATUS.format(router="of an earlier report") + STATUS.format(router=router))
    with subprocess.Popen(["sleep", "9"]) as process:
        assert tunnel.Tunnel(process, log).problem() == problem
        process.kill()
