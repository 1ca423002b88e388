"""The pull path, against a real registry in a container on this machine and the engine's own pull."""

import dataclasses
import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from kubetasks import artifacts, engine, settings, versions, wait
from kubetasks.artifacts import Artifact
from kubetasks.errors import EngineError, SetupError
from kubetasks.labels import LABELS
from kubetasks.machine import downloads, install, inventory, receipt
from kubetasks.offline import golang, programs
from kubetasks.report import Report
from tests.integration.run import Run

SOURCE = Path(__file__).with_name("registry")
DOCKERFILE = """\
FROM scratch
COPY registry config.yml /
ENTRYPOINT ["/registry", "serve", "/config.yml"]
"""
CONFIG = """\
version: 0.1
storage: {inmemory: {}}
http: {addr: ":5000", secret: none}
"""
NODE, BASE = "kindest/node:pulled", "library/python:pulled"


@dataclass
class Registry:
    """`address` is host:port; `digests` are those of what was pushed (repository:tag -> sha256:...)."""

    address: str
    digests: dict[str, str]
    container: Container

    def pinned(self, name: str, digest: str = "") -> str:
        return f"{self.address}/{name}@{digest or self.digests[name]}"


@pytest.fixture
def program(this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry, compiled once and kept in the cache."""
    digest = artifacts.digest(*(path.read_bytes() for path in sorted(SOURCE.iterdir())))
    kept = this_run.tasks.settings.cache / f"registry-{digest}" / "registry"
    if not kept.exists():
        work = tmp_path_factory.mktemp("registry")
        log, stop = work / "log", threading.Event()
        go = programs.Go(golang.program(this_run.tasks.settings, Report(), log, stop), work, log, stop)
        go.run(SOURCE, "build", "-trimpath", "-ldflags=-s -w", "-o", str(work / "made"), ".")
        kept.parent.mkdir(exist_ok=True)
        shutil.move(work / "made", kept)
    return kept


@pytest.fixture
def registry(program: Path, tmp_path: Path, this_run: Run) -> Iterator[Registry]:
    """A registry that holds two small images, under names that the engine itself has no longer."""
    shutil.copy(program, tmp_path / "registry")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "config.yml").write_text(CONFIG)
    name = f"{this_run.throwaway().cluster}-registry"
    engine.connect().build(tmp_path, [f"{name}:1"], {}, lambda _line: None)
    client = docker.from_env()
    container = client.containers.run(f"{name}:1", detach=True, ports={"5000/tcp": ("127.0.0.1", 0)}, labels=LABELS, name=name)
    try:
        container.reload()
        (port,) = container.ports["5000/tcp"] or []
        address = f"127.0.0.1:{port['HostPort']}"
        found = Registry(address, {}, container)
        up = wait.until(
            lambda: wait.Done() if downloads.reached(f"http://{address}/v2/") else wait.Pending("not yet"), timeout=30
        )
        assert isinstance(up, wait.Done)
        for image in (NODE, BASE):
            reference = f"{address}/{image}"
            client.images.get(f"{name}:1").tag(reference)
            for event in client.api.push(reference, stream=True, decode=True):
                assert "error" not in event, event
                if "aux" in event:
                    found.digests[image] = event["aux"]["Digest"]
            client.images.remove(reference)
        yield found
    finally:
        container.remove(force=True, v=True)
        client.images.remove(f"{name}:1", force=True)
        client.close()


@pytest.fixture
def site(this_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files that setup downloads, served from this machine."""
    folder = tmp_path / "site"
    folder.mkdir()
    for path in (
        artifacts.kind(this_run.tasks.settings).reference,
        artifacts.metallb_manifest(this_run.tasks.settings).reference,
    ):
        shutil.copy(path, folder)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(downloads, "KIND_URL", f"{address}/kind")
        monkeypatch.setattr(downloads, "METALLB_URL", f"{address}/metallb-native.yaml")
        monkeypatch.setattr(versions, "KIND_SHA256", {"x86_64": hashlib.sha256((folder / "kind").read_bytes()).hexdigest()})
        yield
        server.shutdown()
        thread.join()


def pin(monkeypatch: pytest.MonkeyPatch, node: str, base: str) -> None:
    default = versions.KUBERNETES[versions.DEFAULT_KUBERNETES]
    monkeypatch.setitem(versions.KUBERNETES, default.minor, dataclasses.replace(default, pulled=node))
    monkeypatch.setattr(artifacts, "PYTHON_IMAGE", base)


@pytest.fixture
def bare(tmp_path: Path) -> settings.Settings:
    """Settings with an empty cache that pull."""
    made = settings.read(settings.DEFAULTS)
    return dataclasses.replace(made, images="pull", cache=tmp_path / "cache")


def test_what_is_missing_is_pulled_as_pinned_and_a_second_time_is_there(
    registry: Registry,
    site: None,  # noqa: ARG001
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pulled = [registry.pinned(NODE), registry.pinned(BASE)]
    pin(monkeypatch, *pulled)
    connection = engine.connect()
    try:
        assert install.install(bare, Report())
        assert all(item.present for item in inventory.look(bare))
        assert artifacts.node_image(connection, bare) == Artifact(pulled[0], True)
        assert receipt.read(bare.cache).pulled == sorted(pulled), "what setup pulled it can take away again"
        assert not install.install(bare, Report())
    finally:
        for reference in pulled:
            connection.remove_image(reference)


@pytest.mark.parametrize("trouble", ["another digest", "no such image", "no registry"])
def test_what_cannot_be_pulled_is_one_sentence(
    registry: Registry,
    site: None,  # noqa: ARG001
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    node = registry.pinned("kindest/none:1", registry.digests[NODE]) if trouble == "no such image" else registry.pinned(NODE)
    if trouble == "another digest":
        node = registry.pinned(NODE, f"sha256:{'0' * 64}")
    if trouble == "no registry":
        registry.container.stop(timeout=1)
    pin(monkeypatch, node, registry.pinned(BASE))
    with pytest.raises((EngineError, SetupError)) as caught:
        install.install(bare, Report())
    assert f"Pulling {node} failed" in caught.value.sentence
    assert receipt.read(bare.cache).pulled == []
