"""`setup --remove` looks first, and removes nothing that is not ours."""

import dataclasses
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import filelock
import pytest

from hostengine import engine as machine_engine
from hostengine import removal
from kubetasks.engine import client
from kubetasks.engine.client import Created
from kubetasks.errors import ClusterError, EngineError, ProgramError, SetupError, TaskError
from kubetasks.setup import receipt
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.setup.recorded import BUILT, FakeEngine, Programs

DIGEST = "kindest/node:v1.36.3@sha256:1111"


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
        self.here: FakeEngine | TaskError | None = FakeEngine()
        self.starts: FakeEngine | TaskError | None = None
        self.unit = ""  # the service that starts it, if it is one
        self.done: list[str] = []
        self.write(folders=[str(self.data), str(self.etc)], engine_pid=7)
        patch.delenv("DOCKER_HOST", raising=False)
        patch.setattr(os, "geteuid", lambda: 0)
        patch.setattr(shutil, "which", lambda program: f"/usr/sbin/{program}" if self.starts else None)
        patch.setattr(machine_engine, "local", lambda _socket: answer(self.here))
        patch.setattr(FakeEngine, "root", self.data)
        patch.setattr(machine_engine, "running", lambda made: bool(made.engine_pid or made.engine_unit))
        patch.setattr(machine_engine, "start", self._start)
        patch.setattr(machine_engine, "stop_locked", self._stop)

    def _start(self, *_: object) -> None:
        self.done.append("started")
        self.here = answer(self.starts)
        with receipt.changed(self.cache) as made:
            made.engine_unit, made.engine_pid = self.unit, 0 if self.unit else 8

    def _stop(self, *_: object) -> bool:
        self.done.append("stopped")
        return True

    def write(self, **made: Any) -> None:
        receipt.write(self.cache, Receipt(**made))

    def remove(self) -> list[str]:
        return removal.remove(self.settings, Report())

    def refuses(self, words: str, error: type[TaskError] = SetupError) -> str:
        """Removing raises that, and nothing was changed; return the hint."""
        with pytest.raises(error, match=words) as told:
            self.remove()
        assert self.unchanged()
        assert not isinstance(self.here, FakeEngine) or self.here.removed == []
        return told.value.hint

    def unchanged(self) -> bool:
        return all(path.exists() for path in (self.data, self.etc, self.cache / "engine")) and "stopped" not in self.done


def answer(found: FakeEngine | TaskError | None) -> FakeEngine | None:
    if isinstance(found, TaskError):
        raise found
    return found


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


# whose things they are


@pytest.mark.parametrize(
    "thing",
    [
        "image postgres:17",
        "image sha256:0123456789ab",  # without a tag
        "image kindest/node:v1.3",  # the beginning of a name of ours
        "container db",
        "volume data",
    ],
)
def test_an_engine_that_holds_something_of_others_is_kept(machine: Machine, thing: str) -> None:
    machine.here = FakeEngine(thing)
    machine.write(folders=[str(machine.data)], engine_pid=7, pulled=[DIGEST])
    machine.refuses(f"holds what is not ours: {thing}")
    assert receipt.read(machine.cache).pulled == [DIGEST]


def test_many_things_of_others_are_counted(machine: Machine) -> None:
    machine.here = FakeEngine(*(f"volume {number}" for number in range(13)))
    machine.refuses("volume 9 and 3 more")


def test_a_persons_configuration_of_the_engine_is_kept(machine: Machine) -> None:
    (machine.etc / "daemon.json").touch()
    machine.refuses(f"not ours: file {machine.etc}/daemon.json")


def test_a_cluster_forbids_the_removal(machine: Machine) -> None:
    machine.here = FakeEngine(
        "container one-control-plane", clusters=(Created("one", "", "kubetasks-shop", "/home/me/shop", "kubetasks"),)
    )
    machine.refuses("still exist: one", ClusterError)


def test_only_root_removes_an_engine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.refuses("Only root")


def test_an_engine_that_somebody_else_started_is_not_stopped(machine: Machine) -> None:
    machine.write(folders=[str(machine.data)])
    machine.refuses("setup did not start it")


def test_purging_the_engines_package_counts_as_removing_its_data(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Debian's docker.io empties /var/lib/docker when it is purged, whoever made that folder
    monkeypatch.setattr(machine_engine, "DATA", str(machine.data))
    machine.here = FakeEngine("volume theirs")
    machine.write(packages=["docker.io"], engine_pid=7)
    machine.refuses("volume theirs")


# which engine is asked


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine of another machine, which DOCKER_HOST names."""
    found = FakeEngine()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    monkeypatch.setattr(client, "connect", lambda: found)
    return found


def test_the_engine_of_this_machine_is_inspected_whatever_docker_host_names(machine: Machine, elsewhere: FakeEngine) -> None:
    machine.here = FakeEngine("image theirs:1")
    machine.refuses("image theirs:1")
    assert elsewhere.removed == []


def test_an_engine_whose_data_is_elsewhere_is_not_the_one_to_ask(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEngine, "root", machine.data.with_name("other"))
    machine.refuses(f"cannot be asked whether {machine.data}.* keeps its data in {machine.data.with_name('other')}")


NO_SPACE = SetupError("The container engine did not start:\n  no space left on device")
NO_UNIT = ProgramError(["systemctl", "start", "docker.service"], 1, "no such unit")
DENIED = EngineError("You may not use the container engine's socket.")


@pytest.mark.parametrize(
    ("here", "starts", "setting", "why"),
    [
        (None, None, "install", "None answers on"),
        (None, NO_SPACE, "install", "no space left on device"),
        (None, NO_UNIT, "install", "ended with 1"),
        (None, FakeEngine(), "refuse", "INVOKE_SETUP_ENGINE=refuse"),
        (DENIED, None, "install", "You may not use"),
    ],
)
def test_data_is_not_removed_if_its_engine_cannot_be_asked(
    machine: Machine, here: TaskError | None, starts: FakeEngine | TaskError | None, setting: str, why: str
) -> None:
    machine.here, machine.starts = here, starts
    machine.settings = dataclasses.replace(machine.settings, engine=setting)
    hint = machine.refuses(rf"cannot be asked whether {machine.data} (.|\n)*{why}")
    assert hint.endswith(f"rm -r {machine.data} {machine.etc}")
    assert machine.done == (["started"] if starts in (NO_SPACE, NO_UNIT) else [])


def test_a_stopped_engine_is_started_to_be_asked(machine: Machine) -> None:
    machine.here, machine.starts = None, FakeEngine()
    machine.write(folders=[str(machine.data)])
    assert "the engine that setup started" in machine.remove()
    assert not machine.data.exists()


# an engine that was there before


def test_an_engine_that_setup_did_not_install_keeps_what_others_have_in_it(machine: Machine) -> None:
    machine.here = FakeEngine("image theirs:1", "volume theirs", used=DIGEST)
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


def test_with_docker_host_set_a_stopped_engine_of_this_machine_is_left_alone(machine: Machine, elsewhere: FakeEngine) -> None:
    machine.here, machine.starts = None, FakeEngine()
    machine.write(pulled=[DIGEST])
    assert machine.remove() == [*elsewhere.removed, str(machine.cache)]
    assert (elsewhere.removed, machine.done) == ([*BUILT, DIGEST], [])


# packages


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


# one at a time


class Listening(Report):
    """Sets an event at the first line."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.heard = threading.Event()

    def tell(self, text: str) -> None:
        self.said.append(text)
        self.heard.set()


@pytest.mark.parametrize("what", ["remove", "stop"])
def test_a_second_setup_waits_for_the_first_and_says_so(machine: Machine, what: str) -> None:
    report = Listening()
    work = {
        "remove": lambda: removal.remove(machine.settings, report),
        "stop": lambda: machine_engine.stop(machine.cache, report),
    }
    with filelock.FileLock(machine.cache / receipt.LOCK):
        thread = threading.Thread(target=work[what])
        thread.start()
        assert report.heard.wait(10)
        assert report.said == ["Another setup is running; waiting for it to end."]
        assert machine.unchanged()
    thread.join(10)
    assert machine.done == ["stopped"]


def test_who_waited_for_a_removal_goes_on_in_a_new_cache(machine: Machine) -> None:
    first, second = Report(), Listening()
    entered = threading.Event()

    def wait() -> None:
        with receipt.locked(machine.cache, second):
            entered.set()

    with receipt.locked(machine.cache, first):
        thread = threading.Thread(target=wait)
        thread.start()
        assert second.heard.wait(10)
        receipt.discard(machine.cache, Report())
    thread.join(10)
    assert entered.is_set()
    assert not machine.cache.exists()
