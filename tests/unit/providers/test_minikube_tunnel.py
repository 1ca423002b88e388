"""minikube's tunnel: it does not start where it could not add its route, and says if one is left at the end."""

import sys
from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, LeftoverError, SetupError
from kubetasks.providers.minikube import tunnel
from kubetasks.terminal import shell

TABLE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
ROUTE = "br-1\t0000600A\t0231A8C0\t0003\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
NODE = "192.168.49.2"
PROGRAM = """\
import pathlib, sys
pathlib.Path(sys.argv[1]).write_text(sys.argv[2])
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's table, without a route to the services; and a sudo."""
    path = tmp_path / "route"
    path.write_text(TABLE)
    monkeypatch.setattr(tunnel, "ROUTES", path)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return path


def test_without_sudo_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(SetupError, match="needs sudo on PATH, also as root") as told:
        tunnel.keep(["false"], {}, NODE)
    assert "apt-get install sudo" in told.value.hint


def test_beside_a_route_of_another_tunnel_none_is_started(routes: Path) -> None:
    routes.write_text(TABLE + ROUTE)
    with pytest.raises(ClusterError, match=r"A route to 10\.96\.0\.0/12 exists already, via 192\.168\.49\.2"):
        tunnel.keep(["false"], {}, "192.168.58.2")


@pytest.mark.parametrize(
    ("before", "after", "code", "error"),
    [
        (TABLE, TABLE, 1, ClusterError),
        (TABLE, TABLE + ROUTE, 1, LeftoverError),
        (TABLE + ROUTE, TABLE + ROUTE, 81, ClusterError),  # it refused a second tunnel: the route is that of the first
        (TABLE + ROUTE, TABLE, 0, ClusterError),  # of one that was killed: minikube took it over
    ],
)
def test_one_that_ends_by_itself_says_so_and_what_is_left(
    routes: Path, before: str, after: str, code: int, error: type[Exception]
) -> None:
    routes.write_text(before)
    with pytest.raises(error) as told:
        tunnel.keep([sys.executable, "-c", PROGRAM, str(routes), after, str(code)], {}, NODE)
    assert (f"ended with {code}" in str(told.value)) == (error is ClusterError)


def test_a_route_that_is_left_is_said_also_after_ctrl_c(routes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **_more: object) -> int:
        routes.write_text(TABLE + ROUTE)
        raise KeyboardInterrupt

    monkeypatch.setattr(shell, "show", interrupted)
    with pytest.raises(LeftoverError, match=r"the route to 10\.96\.0\.0/12 is left") as told:
        tunnel.keep(["minikube", "tunnel"], {}, NODE)
    assert told.value.hint == "sudo ip route delete 10.96.0.0/12"
