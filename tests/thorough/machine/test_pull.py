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
from kubetasks.setup.requirements import Artifact, File, Requirement
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


@dataclass
class Bare:
    """A machine with an empty cache that pulls: what it needs is served from here, under the names that the test pins."""

    images: Images
    site: Callable[[File], File]
    settings: settings.Settings
    patch: pytest.MonkeyPatch
    pulled: list[str]

    def pin(self, node: str) -> None:
        """Let setup pull that node image, and the base image."""
        base, default = self.images.pinned(BASE), versions.KUBERNETES[versions.DEFAULT_KUBERNETES]
        self.patch.setitem(versions.KUBERNETES, default.minor, dataclasses.replace(default, pulled=node))
        self.patch.setattr(requirements, "KICBASE", node)
        self.patch.setattr(requirements, "PYTHON_IMAGE", base)
        self.pulled += [node, base]

    def install(self, *needed: Requirement | File) -> bool:
        return install.install(self.settings, Report(), needed)


@pytest.fixture
def bare(images: Images, site: Callable[[File], File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bare]:
    made = dataclasses.replace(settings.read(PROJECT, settings.DEFAULTS), images="pull", cache=tmp_path / "cache")
    machine = Bare(images, site, made, monkeypatch, [])
    yield machine
    for reference in machine.pulled:
        client.connect().remove_image(reference)


@pytest.mark.promise("The first `setup` on a machine pulls")
def test_what_kind_needs_is_pulled_as_pinned_and_a_second_time_is_there(bare: Bare) -> None:
    bare.pin(node := bare.images.pinned(NODE))
    needed = bare.site(requirements.KIND), requirements.KIND_NODE_IMAGE, bare.site(requirements.LOAD_BALANCER)
    assert bare.install(*needed)
    assert all(item.present for item in inventory.look(bare.settings, needed))
    assert requirements.KIND_NODE_IMAGE.find(client.connect(), bare.settings) == Artifact(node, True)
    assert receipt.read(bare.settings.cache).pulled == sorted(bare.pulled), "what setup pulled it can take away again"
    assert not bare.install(*needed)


def test_what_minikube_needs_is_pulled_so_that_it_finds_it_and_nothing_of_kind_is(bare: Bare) -> None:
    tag = f"{bare.images.registry.address}/{NODE}"
    bare.pin(pinned := f"{tag}@{bare.images.digests[NODE]}")
    bare.pulled.insert(0, tag)
    needed = bare.site(requirements.MINIKUBE), requirements.MINIKUBE_NODE_IMAGE
    assert bare.install(*needed)
    assert os.access(requirements.MINIKUBE.find(None, bare.settings).reference, os.X_OK)
    assert not requirements.KIND.find(None, bare.settings).present
    listed = driver.docker("images", "--format={{.Repository}}:{{.Tag}}@{{.Digest}}")
    assert pinned in listed.split(), "minikube looks for its image in this list"
    assert receipt.read(bare.settings.cache).pulled == sorted(bare.pulled)
    assert not bare.install(*needed)


@pytest.mark.parametrize("trouble", ["another digest", "no such image", "no registry"])
def test_what_cannot_be_pulled_is_one_sentence(bare: Bare, trouble: str) -> None:
    images = bare.images
    node = images.pinned("kindest/none:1", images.digests[NODE]) if trouble == "no such image" else images.pinned(NODE)
    if trouble == "another digest":
        node = images.pinned(NODE, f"sha256:{'0' * 64}")
    if trouble == "no registry":
        driver.docker("stop", "--time=1", images.registry.name)
    bare.pin(node)
    with pytest.raises((EngineError, SetupError)) as caught:
        bare.install(bare.site(requirements.KIND), requirements.KIND_NODE_IMAGE)
    assert f"Pulling {node} failed" in caught.value.sentence
    assert receipt.read(bare.settings.cache).pulled == []
