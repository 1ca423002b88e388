"""`setup --remove` on a container engine that the test starts, next to the one that the suite uses."""

import dataclasses
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from hostengine import engine as machine_engine
from hostengine import removal
from kubetasks.errors import SetupError
from kubetasks.project import settings
from kubetasks.project.labels import TOOL
from kubetasks.setup import receipt, requirements
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal import shell, wait
from tasks import PROJECT
from tests.support import driver
from tests.unit.configured import door

SECONDS = 60
HARMLESS = ("docker", "umount")
OURS, THEIRS = f"{requirements.NODE_REPOSITORY}:test", "theirs:1"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dockerd"), reason="starting a second engine needs root and dockerd"
)


@dataclass
class OtherEngine:
    """An engine with its own socket and folders, and the settings and receipt of a setup that installed it."""

    socket: Path
    data: Path
    process: subprocess.Popen[bytes]
    settings: settings.Settings

    def add_image(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Import an empty image."""
        changes = [f'--change=LABEL {label}="{value}"' for label, value in (labels or {}).items()]
        driver.docker(f"--host=unix://{self.socket}", "import", *changes, "-", name, stdin=driver.EMPTY)

    def images(self) -> set[str]:
        with self.client() as client:
            return {name for image in client.images.list() for name in image.tags}

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        client = docker.DockerClient(base_url=f"unix://{self.socket}", timeout=SECONDS)
        try:
            yield client
        finally:
            client.close()

    def remove(self) -> list[str]:
        return removal.remove(self.settings, door(), self.socket)


@contextmanager
def started() -> Iterator[OtherEngine]:
    """Run a dockerd in its own network namespace: in the main engine's, it would delete the bridge docker0."""
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # a socket's path has at most 108 characters
    data, socket, log = folder / "data", folder / "docker.sock", folder / "log"
    (folder / "daemon.json").write_text("{}")
    namespace = f"engine-{secrets.token_hex(4)}"
    argv = [
        *("unshare", "--net", "dockerd", f"--config-file={folder / 'daemon.json'}", f"--host=unix://{socket}"),
        *(f"--data-root={data}", f"--exec-root={folder / 'exec'}", f"--pidfile={folder / 'pid'}"),
        *("--bridge=none", "--iptables=false", "--ip-forward=false"),
        # if the machine already runs containerd, the engine uses it, but must not see the main engine's content
        *(f"--containerd-namespace={namespace}", f"--containerd-plugins-namespace={namespace}-plugins"),
    ]
    # "refuse": the removal must never start an engine in the usual place
    made = dataclasses.replace(settings.read(PROJECT, settings.DEFAULTS), cache=folder / "cache", engine="refuse")
    with log.open("wb") as sink:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/")
    receipt.write(made.cache, Receipt(engine_pid=process.pid, folders=[str(data)]))

    def check() -> wait.State:
        if process.poll() is not None:
            return wait.Failed(f"dockerd ended with {process.returncode}")
        return wait.Done() if machine_engine.local(socket) else wait.Pending("no answer")

    try:
        end = wait.until(check, timeout=SECONDS, pause=0.2)
        assert isinstance(end, wait.Done), f"{end}\n{log.read_text()[-3000:]}"
        yield OtherEngine(socket, data, process, made)
    finally:
        process.terminate()
        process.wait(SECONDS)
        machine_engine.remove_folder(folder, log)


@pytest.fixture
def other_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherEngine]:
    """The only engine that the code under test can reach; it cannot run a package or service manager, even if it has a bug."""
    run = shell.run

    def harmless(argv: Sequence[str], **options: Any) -> str:
        assert argv[0] in HARMLESS, f"ran {argv}"
        return run(argv, **options)

    monkeypatch.setattr(shell, "run", harmless)
    with started() as engine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
        yield engine


@pytest.fixture(autouse=True)
def main_engine() -> Iterator[None]:
    """Check that the suite's engine is unchanged afterwards: its process, data folder and bridge."""

    def state() -> list[str]:
        told = subprocess.check_output(["docker", "info", "--format", "{{.ID}} {{.DockerRootDir}}"], text=True)
        pids = [path.read_text() for path in machine_engine.PID_FILES if path.exists()]
        return [told, *pids, *sorted(path.name for path in Path("/sys/class/net").glob("docker*"))]

    before = state()
    yield
    assert state() == before


def test_an_engine_with_an_image_of_somebody_is_kept_and_without_it_removed(other_engine: OtherEngine) -> None:
    other_engine.add_image(OURS, TOOL.labels)
    other_engine.add_image(THEIRS)
    cache = other_engine.settings.cache
    before = receipt.read(cache)
    with pytest.raises(SetupError, match=f"has objects that setup did not create: image {THEIRS}"):
        other_engine.remove()
    assert other_engine.images() == {OURS, THEIRS}
    assert receipt.read(cache) == before

    with other_engine.client() as client:
        client.images.remove(THEIRS)
    assert other_engine.remove() == [OURS, "the engine that setup started", str(other_engine.data), str(cache)]
    assert other_engine.process.wait(SECONDS) == 0
    assert not other_engine.data.exists()
    assert not cache.exists()
