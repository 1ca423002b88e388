"""minikube's tunnel: it does not start where it could not add its route, and says if one is left at the end."""

from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, LeftoverError, TaskError
from kubetasks.providers.minikube import tunnel
from kubetasks.terminal import shell

TABLE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
ROUTE = "br-1\t0000600A\t0231A8C0\t0003\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
NODE = "192.168.49.2"


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's table, without a route to the services; and a sudo."""
    path = tmp_path / "route"
    path.write_text(TABLE)
    monkeypatch.setattr(tunnel, "ROUTES", path)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return path


def test_beside_a_route_of_another_tunnel_none_is_started(routes: Path) -> None:
    routes.write_text(TABLE + ROUTE)
    with pytest.raises(ClusterError, match=r"A route to 10\.96\.0\.0/12 exists already, via 192\.168\.49\.2"):
        tunnel.keep(["minikube", "tunnel"], {}, "192.168.58.2")


@pytest.mark.parametrize(
    ("before", "after", "code", "error", "told"),
    [
        (TABLE, TABLE, 1, ClusterError, "ended with 1"),
        (TABLE, TABLE + ROUTE, 1, LeftoverError, "the route to 10.96.0.0/12 is left"),
        (TABLE, TABLE + ROUTE, None, LeftoverError, "the route to 10.96.0.0/12 is left"),
        (TABLE + ROUTE, TABLE + ROUTE, 81, ClusterError, "ended with 81"),  # a second one: the route is that of the first
        (TABLE + ROUTE, TABLE, 0, ClusterError, "ended with 0"),  # of one that was killed: minikube took it over
    ],
)
def test_one_that_ends_by_itself_or_at_ctrl_c_says_so_and_what_is_left(
    routes: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, code: int | None, error: type[TaskError], told: str
) -> None:
    def show(*_: object, **_more: object) -> int:
        routes.write_text(after)
        if code is None:
            raise KeyboardInterrupt
        return code

    routes.write_text(before)
    monkeypatch.setattr(shell, "show", show)
    with pytest.raises(error, match=told) as raised:
        tunnel.keep(["minikube", "tunnel"], {}, NODE)
    assert (raised.value.hint == "sudo ip route delete 10.96.0.0/12") == (error is LeftoverError)
