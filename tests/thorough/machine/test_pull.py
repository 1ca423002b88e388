"""The pull path, against a real registry in a container on this machine and the engine's own pull."""

import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest

from kubetasks.engine import client
from kubetasks.errors import EngineError, SetupError
from kubetasks.project import settings, versions
from kubetasks.setup import install, inventory, receipt, requirements
from kubetasks.setup.requirements import Artifact, File
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.support import driver, registries
from tests.support.registries import Registry
from tests.support.run import Run

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
def site(this_run: Run, tmp_path: Path) -> Iterator[Callable[[File], File]]:
    """Serve what setup downloads from this machine: a need as it is, but for its address and checksum."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    def served(need: File) -> File:
        file = folder / need.name.replace(" ", "-")
        source = Path(need.find(None, this_run.tasks.settings).reference)
        file.write_bytes(source.read_bytes() if source.exists() else b"#!/bin/sh\n")
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        return dataclasses.replace(need, url=f"http://127.0.0.1:{server.server_port}/{file.name}", sha256={"": checksum})

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def pin(monkeypatch: pytest.MonkeyPatch, node: str, base: str) -> None:
    default = versions.KUBERNETES[versions.DEFAULT_KUBERNETES]
    monkeypatch.setitem(versions.KUBERNETES, default.minor, dataclasses.replace(default, pulled=node))
    monkeypatch.setattr(requirements, "KICBASE", node)
    monkeypatch.setattr(requirements, "PYTHON_IMAGE", base)


@pytest.fixture
def bare(tmp_path: Path) -> settings.Settings:
    """Settings with an empty cache that pull."""
    made = settings.read(PROJECT, settings.DEFAULTS)
    return dataclasses.replace(made, images="pull", cache=tmp_path / "cache")


@pytest.mark.promise("The first `setup` on a machine pulls")
def test_what_kind_needs_is_pulled_as_pinned_and_a_second_time_is_there(
    images: Images,
    site: Callable[[File], File],
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pulled = [images.pinned(NODE), images.pinned(BASE)]
    pin(monkeypatch, *pulled)
    needed = site(requirements.KIND), requirements.KIND_NODE_IMAGE, site(requirements.LOAD_BALANCER)
    connection = client.connect()
    try:
        assert install.install(bare, Report(), needed)
        assert all(item.present for item in inventory.look(bare, needed))
        assert requirements.KIND_NODE_IMAGE.find(connection, bare) == Artifact(pulled[0], True)
        assert receipt.read(bare.cache).pulled == sorted(pulled), "what setup pulled it can take away again"
        assert not install.install(bare, Report(), needed)
    finally:
        for reference in pulled:
            connection.remove_image(reference)


def test_what_minikube_needs_is_pulled_so_that_it_finds_it_and_nothing_of_kind_is(
    images: Images,
    site: Callable[[File], File],
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tag = f"{images.registry.address}/{NODE}"
    pinned, base = f"{tag}@{images.digests[NODE]}", images.pinned(BASE)
    pin(monkeypatch, pinned, base)
    needed = site(requirements.MINIKUBE), requirements.MINIKUBE_NODE_IMAGE
    connection = client.connect()
    try:
        assert install.install(bare, Report(), needed)
        assert os.access(requirements.MINIKUBE.find(None, bare).reference, os.X_OK)
        assert not requirements.KIND.find(None, bare).present
        listed = shell.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}@{{.Digest}}"])
        assert pinned in listed.split(), "minikube looks for its image in this list"
        assert receipt.read(bare.cache).pulled == sorted([tag, pinned, base])
        assert not install.install(bare, Report(), needed)
    finally:
        for reference in (tag, pinned, base):
            connection.remove_image(reference)
    assert connection.image_id(pinned) is None


@pytest.mark.parametrize("trouble", ["another digest", "no such image", "no registry"])
def test_what_cannot_be_pulled_is_one_sentence(
    images: Images,
    site: Callable[[File], File],
    bare: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    node = images.pinned("kindest/none:1", images.digests[NODE]) if trouble == "no such image" else images.pinned(NODE)
    if trouble == "another digest":
        node = images.pinned(NODE, f"sha256:{'0' * 64}")
    if trouble == "no registry":
        driver.docker("stop", "--time=1", images.registry.name)
    pin(monkeypatch, node, images.pinned(BASE))
    with pytest.raises((EngineError, SetupError)) as caught:
        install.install(bare, Report(), [site(requirements.KIND), requirements.KIND_NODE_IMAGE])
    assert f"Pulling {node} failed" in caught.value.sentence
    assert receipt.read(bare.cache).pulled == []
