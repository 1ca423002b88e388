"""Installing Debian packages, with apt's and dpkg's own output: new ones are recorded, and none is removed."""

import signal
from pathlib import Path
from typing import Any

import pytest

from hostengine import packages
from kubetasks.errors import SetupError
from kubetasks.setup import receipt
from kubetasks.terminal import interruption, shell
from tests.unit.setup.recorded import Programs

# from Debian 12, shortened
POLICY = """\
docker.io:
  Installed: (none)
  Candidate: 20.10.24+dfsg1-1+deb12u1+b6
podman-docker:
  Installed: (none)
  Candidate: 4.3.1+ds1-8+deb12u1+b3
awk:
  Installed: (none)
  Candidate: (none)
"""
INSTALLING_DOCKER = """\
Inst runc (1.1.5+ds1-1+deb12u1 Debian:12.15/oldstable [amd64])
Inst containerd (1.6.20~ds1-1+deb12u3 Debian:12.15/oldstable [amd64])
Inst tini (0.19.0-1+b3 Debian:12.15/oldstable [amd64])
Inst docker.io (20.10.24+dfsg1-1+deb12u1+b6 Debian:12.15/oldstable [amd64])
Conf runc (1.1.5+ds1-1+deb12u1 Debian:12.15/oldstable [amd64])
"""
REPLACING_DOCKER = """\
Inst login [1:4.13+dfsg1-1+deb12u1] (1:4.13+dfsg1-1+deb12u2 Debian:12.15/oldstable [amd64])
Remv docker.io [20.10.24+dfsg1-1+deb12u1+b6]
Inst podman-docker (4.3.1+ds1-8+deb12u1+b3 Debian:12.15/oldstable [amd64])
"""


def listing(*names: str, state: str = "ii ") -> str:
    """Return dpkg-query's output for packages in this state."""
    return "".join(f"{state}\t{name}\n" for name in names)


IPTABLES, DOCKER = listing("iptables", "libip6tc2", "libnftnl11"), listing("docker.io")
OTHERS = listing("containerd", "libc6", "mmdebstrap", "runc", "tini")


def apt(patch: pytest.MonkeyPatch, simulated: str, *listings: str) -> Programs:
    apts = {"apt-cache policy": POLICY, "apt-get --simulate": simulated, "apt-get": "", "apt-mark": ""}
    return Programs(patch, {"dpkg-query": list(listings), **apts})


@pytest.mark.parametrize(
    ("before", "after", "recorded"),
    [
        (IPTABLES, IPTABLES + DOCKER + OTHERS, ["containerd", "docker.io", "runc", "tini"]),
        (listing("runc", state="iU ") + listing("tini", state="rc "), OTHERS, ["containerd", "tini"]),
    ],
    ids=["mmdebstrap is not in apt's plan", "another apt is unpacking runc, and of tini a configuration is left"],
)
def test_what_came_new_is_recorded_with_its_dependencies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str, after: str, recorded: list[str]
) -> None:
    apt(monkeypatch, INSTALLING_DOCKER, before, after)
    packages.install(["docker.io"], tmp_path, tmp_path / "log")
    assert receipt.read(tmp_path).packages == recorded


def test_what_an_interrupted_installation_has_installed_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt(monkeypatch, INSTALLING_DOCKER, IPTABLES, IPTABLES + OTHERS)
    run = shell.run

    def interrupted(argv: list[str], **options: Any) -> str:
        interruption.check()
        if argv[:2] == ["apt-get", "install"]:
            monkeypatch.setattr(interruption, "_first", signal.SIGINT)
            raise KeyboardInterrupt
        return run(argv, **options)

    monkeypatch.setattr(shell, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packages.install(["docker.io"], tmp_path, tmp_path / "log")
    assert receipt.read(tmp_path).packages == ["containerd", "runc", "tini"]


def test_installed_packages_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = apt(monkeypatch, "", OTHERS)
    packages.install(["runc", "tini"], tmp_path, tmp_path / "log", if_known=["docker-cli"])
    assert len(programs.calls) == 1, "dpkg is asked once"


def test_an_installation_that_would_remove_another_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = apt(monkeypatch, REPLACING_DOCKER, DOCKER)
    with pytest.raises(SetupError, match=r"would remove packages that setup did not install: docker\.io\.") as caught:
        packages.install(["podman-docker"], tmp_path, tmp_path / "log")
    assert caught.value.hint.endswith("apt-get install --no-install-recommends podman-docker")
    assert not programs.called("apt-get install")
    assert receipt.read(tmp_path).packages == []


@pytest.mark.parametrize("name", ["chromium-browser", "awk"])
def test_a_name_that_apt_cannot_install_is_an_error_unless_only_some_releases_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    programs = apt(monkeypatch, INSTALLING_DOCKER, IPTABLES)
    with pytest.raises(SetupError, match=f"apt has no package {name}"):
        packages.install(["docker.io", name], tmp_path, tmp_path / "log")
    assert not programs.called("apt-get install")
    packages.install(["docker.io"], tmp_path, tmp_path / "log", if_known=[name, "podman-docker"])
    (real,) = programs.called("apt-get install")
    assert real.endswith(" --no-remove docker.io podman-docker")
