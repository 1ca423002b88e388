"""`setup --remove` checks everything first, and removes nothing that setup did not create."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hostengine import engine as machine_engine
from hostengine import removal
from kubetasks.engine import access, client
from kubetasks.engine.client import Created
from kubetasks.errors import SetupError, TaskError
from kubetasks.setup import receipt
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report
from tests.support.eventually import until
from tests.unit.configured import configured, door
from tests.unit.setup.recorded import BUILT, FakeEngine, Programs

DIGEST = "kindest/node:v1.36.3@sha256:1111"
NO_SPACE = SetupError("The container engine did not start:\n  no space left on device")
STOPPED = "the engine that setup started"


class Machine:
    """A machine with an engine that setup installed: `here` answers at its socket, `data` is its data folder.

    `starts` is the engine that answers once it is started, the error if it cannot be started, or None if none is installed.
    `elsewhere` is the engine that the tasks use if `named` is set.
    """

    def __init__(self, folder: Path) -> None:
        self.data, self.etc, self.cache = folder / "data", folder / "etc", folder / "cache"
        self.data.mkdir()
        self.etc.mkdir()
        (self.etc / "key.json").touch()
        self.user, self.named, self.setting = 0, "", "install"
        self.here: FakeEngine | None = FakeEngine()
        self.starts: FakeEngine | TaskError | None = None
        self.elsewhere = FakeEngine()
        self.done: list[str] = []
        self.write(folders=[str(self.data), str(self.etc)], engine_pid=7)

    def start(self, *_: object) -> None:
        self.done.append("started")
        if isinstance(self.starts, TaskError):
            raise self.starts
        self.here = self.starts
        with receipt.changed(self.cache) as made:
            made.engine_unit = machine_engine.UNIT

    def stop(self, *_: object) -> bool:
        self.done.append("stopped")
        return True

    def write(self, **made: Any) -> None:
        receipt.write(self.cache, Receipt(**made))

    def remove(self) -> list[str]:
        return removal.remove(configured(cache=self.cache, engine=self.setting), door())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(access, "named", lambda: made.named)
    monkeypatch.setattr(client, "connect", lambda: made.elsewhere)
    monkeypatch.setattr(os, "geteuid", lambda: made.user)
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/sbin/{program}" if made.starts else None)
    monkeypatch.setattr(FakeEngine, "root", made.data)
    monkeypatch.setattr(machine_engine, "DATA", str(made.data))
    monkeypatch.setattr(machine_engine, "local", lambda _socket: made.here)
    monkeypatch.setattr(machine_engine, "running", lambda it: bool(it.engine_pid or it.engine_unit))
    monkeypatch.setattr(machine_engine, "start", made.start)
    monkeypatch.setattr(machine_engine, "stop_locked", made.stop)
    return made


@pytest.mark.parametrize("unit", [machine_engine.UNIT, ""], ids=["it runs", "it is started to be asked"])
def test_images_engine_folders_and_cache_are_removed(machine: Machine, unit: str) -> None:
    engine = FakeEngine(f"image {DIGEST}")
    machine.here, machine.starts = engine if unit else None, engine
    machine.write(folders=[str(machine.data), str(machine.etc)], engine_unit=unit, pulled=[DIGEST])
    gone, folders = machine.remove(), (machine.data, machine.etc, machine.cache)
    assert engine.removed == [*BUILT, DIGEST]
    assert gone == [*engine.removed, STOPPED, *map(str, folders)]
    assert not any(path.exists() for path in folders)
    assert machine.remove() == []


def purged_with_its_package(machine: Machine) -> None:
    """Record the package but no folder: purging Debian's docker.io empties /var/lib/docker in any case."""
    machine.here = FakeEngine("volume theirs")
    machine.write(packages=["docker.io"], engine_pid=7)


def having(*things: str, **more: Any) -> Callable[[Machine], None]:
    """Return a change that gives the engine these objects and attributes."""
    return lambda it: setattr(it, "here", FakeEngine(*things, **more))


def named(machine: Machine) -> None:
    machine.named, machine.here = "DOCKER_HOST", FakeEngine("image theirs:1")


def stopped(starts: FakeEngine | TaskError | None, setting: str = "install") -> Callable[[Machine], None]:
    return lambda it: vars(it).update(here=None, starts=starts, setting=setting)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (having("image postgres:17"), "has objects that setup did not create: image postgres:17"),
        (having(*(f"volume {number}" for number in range(13))), "volume 9 and 3 more"),
        (lambda it: (it.etc / "daemon.json").touch(), "did not create: file .*/etc/daemon.json"),
        (purged_with_its_package, "did not create: volume theirs"),
        (named, "did not create: image theirs:1"),
        (having("container shop", clusters=(Created("shop", "", "", "", ""),)), "still exist: shop"),
        (lambda it: setattr(it, "user", 1000), "Only root"),
        (lambda it: it.write(folders=[str(it.data)]), "setup did not start it"),
        (lambda it: setattr(it.here, "root", it.cache), "cannot say whether .*/data .* keeps its data in .*/cache"),
        (stopped(None), "cannot say(?s:.*) None answers on(?s:.*)rm -r .*/data .*/etc$"),
        (stopped(NO_SPACE), "cannot say(?s:.*) no space left on device"),
        (stopped(FakeEngine(), "refuse"), "cannot say(?s:.*) INVOKE_SETUP_ENGINE=refuse"),
    ],
)
def test_an_engine_that_may_be_of_use_to_others_or_cannot_be_asked_is_kept(
    machine: Machine, changed: Callable[[Machine], object], words: str
) -> None:
    changed(machine)
    with pytest.raises(TaskError, match=words):
        machine.remove()
    assert all(path.exists() for path in (machine.data, machine.etc, machine.cache / receipt.NAME))
    assert "stopped" not in machine.done
    assert [engine.removed for engine in (machine.here, machine.elsewhere) if engine and engine.removed] == []


@pytest.mark.parametrize(
    ("changed", "made", "gone", "done"),
    [
        (having("image theirs:1", used=DIGEST), {"pulled": [DIGEST]}, BUILT, []),
        (stopped(None), {}, [], []),
        (stopped(FakeEngine()), {}, [*BUILT, STOPPED], ["started", "stopped"]),
        (having(), {"engine_unit": machine_engine.UNIT}, BUILT, []),
        (having(), {"engine_pid": 7}, [*BUILT, STOPPED], ["stopped"]),
    ],
    ids=["it has things of others", "there is none", "a service that did not run", "a service that ran", "a process of setup"],
)
def test_an_engine_that_setup_did_not_install_is_as_before_but_for_images_and_processes_of_setup(
    machine: Machine, changed: Callable[[Machine], object], made: dict[str, Any], gone: list[str], done: list[str]
) -> None:
    changed(machine)
    machine.write(**made)
    assert machine.remove() == [*gone, str(machine.cache)]
    assert machine.done == done


def test_with_docker_host_set_a_stopped_engine_of_this_machine_is_left_alone(machine: Machine) -> None:
    machine.named, machine.here, machine.starts = "DOCKER_HOST", None, FakeEngine()
    machine.write(pulled=[DIGEST])
    assert machine.remove() == [*machine.elsewhere.removed, str(machine.cache)]
    assert (machine.elsewhere.removed, machine.done) == ([*BUILT, DIGEST], [])


# apt's simulated autoremove, with only setup's packages marked as automatically installed: nothing else needs these
UNNEEDED = "Remv mmdebstrap [1.3.5-7]\nRemv tini [0.19.0-1+b3]\n"


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


@pytest.mark.parametrize("second", [Machine.remove, lambda it: machine_engine.stop(it.cache, door())], ids=["remove", "stop"])
def test_a_second_setup_waits_for_the_first_and_says_so_and_goes_on_in_a_new_cache(
    machine: Machine, capsys: pytest.CaptureFixture[str], second: Callable[[Machine], object]
) -> None:
    with ThreadPoolExecutor() as pool, receipt.locked(machine.cache, Report().tell):
        waits = pool.submit(second, machine)
        until(lambda: "Another setup is running; waiting for it to end." in capsys.readouterr().err, timeout=60)
        assert (machine.done, machine.data.exists()) == ([], True)
        receipt.discard(machine.cache, Report().say)
    waits.result()
    assert not machine.cache.exists()
