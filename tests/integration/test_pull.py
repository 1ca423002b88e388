"""The pull path, against a real registry in a container on this machine and the engine's own pull."""

import dataclasses
import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest

from kubetasks import artifacts, engine, settings, versions
from kubetasks.artifacts import Artifact
from kubetasks.errors import EngineError, SetupError
from kubetasks.machine import downloads, install, inventory, receipt
from kubetasks.report import Report
from tests.integration import registries
from tests.integration.registries import Registry
from tests.integration.run import Run

NODE, BASE = "kindest/node:pulled", "library/python:pulled"


@dataclass
class Images:
    """A registry, and the digests of what it holds (repository:tag -> sha256:...)."""

    registry: Registry
    digests: dict[str, str]

    def pinned(self, name: str, digest: str = "") -> str:
        return f"{self.registry.address}/{name}@{digest or self.digests[name]}"


@pytest.fixture
def images(this_run: Run, tmp_path: Path) -> Iterator[Images]:
    """A registry that holds two small images, under names that the engine itself has no longer."""
    with registries.serve(this_run, tmp_path) as registry, closing(docker.from_env()) as client:
        digests = {}
        for image in (NODE, BASE):
            reference = f"{registry.address}/{image}"
            client.images.get(registry.image).tag(reference)
            for event in client.api.push(reference, stream=True, decode=True):
                assert "error" not in event, event
                if "aux" in event:
                    digests[image] = event["aux"]["Digest"]
            client.images.remove(reference)
        yield Images(registry, digests)


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
    images: Images,
    site: None,  # noqa: ARG001
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pulled = [images.pinned(NODE), images.pinned(BASE)]
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
    images: Images,
    site: None,  # noqa: ARG001
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    node = images.pinned("kindest/none:1", images.digests[NODE]) if trouble == "no such image" else images.pinned(NODE)
    if trouble == "another digest":
        node = images.pinned(NODE, f"sha256:{'0' * 64}")
    if trouble == "no registry":
        images.registry.container.stop(timeout=1)
    pin(monkeypatch, node, images.pinned(BASE))
    with pytest.raises((EngineError, SetupError)) as caught:
        install.install(bare, Report())
    assert f"Pulling {node} failed" in caught.value.sentence
    assert receipt.read(bare.cache).pulled == []
