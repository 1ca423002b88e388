"""`setup --remove` looks first, and removes nothing that is not ours."""

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from hostengine import engine as machine_engine
from hostengine import removal
from kubetasks.engine import client
from kubetasks.engine.client import Created
from kubetasks.errors import SetupError, TaskError
from kubetasks.setup import receipt
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.setup.recorded import BUILT, FakeEngine, Programs

DIGEST = "kindest/node:v1.36.3@sha256:1111"
SHOP = Created("shop", "", "kubetasks-shop", "/home/me/shop", "kubetasks")


class Machine:
    """A machine with an engine that setup installed: `here` answers at its socket, `data` is where it keeps its data.

    `starts` is what answers once it is started; an error, if it cannot be; None, if none is installed.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.data, self.etc, self.cache = folder / "data", folder / "etc", folder / "cache"
        for path in (self.data, self.etc, self.cache / "engine"):
            path.mkdir(parents=True)
        (self.etc / "key.json").touch()
        self.settings = configured(cache=self.cache)
        self.user = 0
        self.here: FakeEngine | None = FakeEngine()
        self.starts: FakeEngine | TaskError | None = None
        self.elsewhere = FakeEngine()  # on another machine
        self.unit = ""  # the service that starts it, if it is one
        self.done: list[str] = []
        self.write(folders=[str(self.data), str(self.etc)], engine_pid=7)
        self._patch = patch
        patch.delenv("DOCKER_HOST", raising=False)
        patch.setattr(client, "connect", lambda: self.elsewhere)
        patch.setattr(os, "geteuid", lambda: self.user)
        patch.setattr(shutil, "which", lambda program: f"/usr/sbin/{program}" if self.starts else None)
        patch.setattr(FakeEngine, "root", self.data)
        patch.setattr(machine_engine, "DATA", str(self.data))
        patch.setattr(machine_engine, "local", lambda _socket: self.here)
        patch.setattr(machine_engine, "running", lambda made: bool(made.engine_pid or made.engine_unit))
        patch.setattr(machine_engine, "start", self._start)
        patch.setattr(machine_engine, "stop_locked", self._stop)

    def _start(self, *_: object) -> None:
        self.done.append("started")
        if isinstance(self.starts, TaskError):
            raise self.starts
        self.here = self.starts
        with receipt.changed(self.cache) as made:
            made.engine_unit, made.engine_pid = self.unit, 0 if self.unit else 8

    def _stop(self, *_: object) -> bool:
        self.done.append("stopped")
        return True

    def holds(self, *things: str) -> None:
        self.here = FakeEngine(*things)

    def names_another(self) -> None:
        self._patch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")

    def write(self, **made: Any) -> None:
        receipt.write(self.cache, Receipt(**made))

    def remove(self, report: Report | None = None) -> list[str]:
        return removal.remove(self.settings, report or Report())

    def refuses(self, words: str) -> str:
        """Removing raises that, and nothing was changed; return the hint."""
        with pytest.raises(TaskError, match=words) as told:
            self.remove()
        assert self.unchanged()
        return told.value.hint

    def unchanged(self) -> bool:
        engines = [engine for engine in (self.here, self.elsewhere) if isinstance(engine, FakeEngine)]
        removed = [name for engine in engines for name in engine.removed]
        there = all(path.exists() for path in (self.data, self.etc, self.cache / "engine"))
        return there and removed == [] and "stopped" not in self.done


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_images_engine_folders_and_cache_are_removed(machine: Machine) -> None:
    machine.here = engine = FakeEngine(f"image {DIGEST}")
    machine.write(folders=[str(machine.data), str(machine.etc)], engine_pid=7, pulled=[DIGEST])
    gone, folders = machine.remove(), (machine.data, machine.etc, machine.cache)
    assert engine.removed == [*BUILT, DIGEST]
    assert gone == [*engine.removed, "the engine that setup started", *map(str, folders)]
    assert not any(path.exists() for path in folders)
    assert machine.remove() == []


# an engine that setup installed


def purged_with_its_package(machine: Machine) -> None:
    """Debian's docker.io empties /var/lib/docker when it is purged, whoever made that folder."""
    machine.holds("volume theirs")
    machine.write(packages=["docker.io"], engine_pid=7)


def keeps_its_data_elsewhere(machine: Machine) -> None:
    machine.here = engine = FakeEngine()
    engine.root = machine.data.with_name("other")


def another_is_named(machine: Machine) -> None:
    machine.names_another()
    machine.holds("image theirs:1")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda it: it.holds("image postgres:17"), "holds what is not ours: image postgres:17"),
        (lambda it: it.holds(*(f"volume {number}" for number in range(13))), "volume 9 and 3 more"),
        (lambda it: (it.etc / "daemon.json").touch(), "not ours: file .*/etc/daemon.json"),
        (purged_with_its_package, "not ours: volume theirs"),
        (keeps_its_data_elsewhere, "cannot be asked whether .*/data .* keeps its data in .*/other"),
        (lambda it: it.write(folders=[str(it.data)]), "setup did not start it"),
        (lambda it: setattr(it, "user", 1000), "Only root"),
        (lambda it: setattr(it, "here", FakeEngine("container shop", clusters=(SHOP,))), "still exist: shop"),
        (another_is_named, "not ours: image theirs:1"),
    ],
    ids="image,many,configuration,package's data,data elsewhere,started by others,not root,cluster,DOCKER_HOST".split(","),
)
def test_an_engine_that_may_be_of_use_to_others_is_kept(
    machine: Machine, changed: Callable[[Machine], object], words: str
) -> None:
    changed(machine)
    machine.refuses(words)


NO_SPACE = SetupError("The container engine did not start:\n  no space left on device")


@pytest.mark.parametrize(
    ("starts", "setting", "why"),
    [
        (None, "install", "None answers on"),
        (NO_SPACE, "install", "no space left on device"),
        (FakeEngine(), "refuse", "INVOKE_SETUP_ENGINE=refuse"),
    ],
)
def test_data_is_not_removed_if_its_engine_cannot_be_asked(
    machine: Machine, starts: FakeEngine | TaskError | None, setting: str, why: str
) -> None:
    machine.here, machine.starts = None, starts
    machine.settings = dataclasses.replace(machine.settings, engine=setting)
    hint = machine.refuses(rf"cannot be asked whether {machine.data} (.|\n)*{why}")
    assert hint.endswith(f"rm -r {machine.data} {machine.etc}")
    assert machine.done == (["started"] if starts is NO_SPACE else [])


def test_a_stopped_engine_is_started_to_be_asked(machine: Machine) -> None:
    machine.here, machine.starts = None, FakeEngine()
    machine.write(folders=[str(machine.data)])
    assert "the engine that setup started" in machine.remove()
    assert not machine.data.exists()


# an engine that was there before


def test_an_engine_that_setup_did_not_install_keeps_what_others_have_in_it(machine: Machine) -> None:
    machine.here = FakeEngine("image theirs:1", used=DIGEST)
    machine.write(pulled=[DIGEST])
    assert machine.remove() == [*BUILT, str(machine.cache)]
    assert machine.done == [], "and it runs on"


@pytest.mark.parametrize("ran", [False, True])
def test_a_service_runs_afterwards_only_if_it_ran_before(machine: Machine, ran: bool) -> None:
    machine.unit, machine.starts = "docker.service", FakeEngine()
    machine.here = FakeEngine() if ran else None
    machine.write(engine_unit="docker.service" if ran else "")
    machine.remove()
    assert machine.done == ([] if ran else ["started", "stopped"])


def test_without_any_engine_the_cache_is_removed(machine: Machine) -> None:
    machine.here = None
    machine.write()
    assert machine.remove() == [str(machine.cache)]


def test_with_docker_host_set_a_stopped_engine_of_this_machine_is_left_alone(machine: Machine) -> None:
    machine.names_another()
    machine.here, machine.starts = None, FakeEngine()
    machine.write(pulled=[DIGEST])
    assert machine.remove() == [*machine.elsewhere.removed, str(machine.cache)]
    assert (machine.elsewhere.removed, machine.done) == ([*BUILT, DIGEST], [])


# apt is told that somebody asked for all packages but ours: what it removes then, nothing else needs
UNNEEDED = (
    "0 upgraded, 0 newly installed, 2 to remove and 135 not upgraded.\nRemv mmdebstrap [1.3.5-7]\nRemv tini [0.19.0-1+b3]\n"
)


def test_packages_are_removed_but_for_those_that_others_need(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = ["iptables", "libip6tc2", "mmdebstrap", "tini"]
    listing = "".join(f"ii \t{name}\n" for name in (*ours, "theirs"))
    programs = Programs(monkeypatch, {"dpkg-query": listing, "dpkg": "amd64\n", "apt-get --simulate": UNNEEDED, "apt": ""})
    machine.write(packages=[*ours, "removed-by-hand"])
    assert machine.remove()[-3:] == ["mmdebstrap", "tini", str(machine.cache)]
    (simulated,) = programs.called("apt-get --simulate")
    assert simulated.endswith(" autoremove")
    assert programs.calls[-2:] == ["apt-mark auto iptables libip6tc2", "apt-get purge --quiet --yes mmdebstrap tini"]
    assert "Kept packages that others need: iptables, libip6tc2." in capsys.readouterr().err


class Waiting(Report):
    """Does that as soon as it says that another setup is running."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then
        self.said: list[str] = []

    def tell(self, text: str) -> None:
        self.said.append(text)
        self._then()


@pytest.mark.parametrize(
    "second",
    [lambda it, report: it.remove(report), lambda it, report: machine_engine.stop(it.cache, report)],
    ids=["remove", "stop"],
)
def test_a_second_setup_waits_for_the_first_and_says_so(machine: Machine, second: Callable[[Machine, Report], object]) -> None:
    first = filelock.FileLock(machine.cache / receipt.LOCK)
    first.acquire()

    def ends() -> None:
        assert machine.unchanged()
        first.release()

    report = Waiting(ends)
    second(machine, report)
    assert report.said[0] == "Another setup is running; waiting for it to end."
    assert machine.done == ["stopped"]


def test_who_waited_for_a_removal_goes_on_in_a_new_cache(machine: Machine) -> None:
    waits, entered = threading.Event(), threading.Event()

    def second() -> None:
        with receipt.locked(machine.cache, Waiting(waits.set)):
            entered.set()

    thread = threading.Thread(target=second)
    with receipt.locked(machine.cache, Report()):
        thread.start()
        assert waits.wait(10)
        receipt.discard(machine.cache, Report())
    thread.join(10)
    assert entered.is_set()
    assert not machine.cache.exists()
