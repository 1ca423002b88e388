"""Setup that pulls images: the engine's own pull, from a real registry in a container on this machine."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from kubetasks.engine import client
from kubetasks.errors import EngineError, SetupError
from kubetasks.project import settings, versions
from kubetasks.setup import install, inventory, receipt, requirements
from kubetasks.setup.requirements import Artifact, File, Requirement
from tasks import PROJECT
from tests.support import driver, registries
from tests.support.registries import Registry
from tests.support.run import Run
from tests.unit.configured import door

NODE, BASE = "kindest/node:pulled", "library/python:pulled"


@dataclass
class Bare:
    """A machine with an empty cache, whose setup pulls what the test pins from `registry`.

    `digests` has the digest of each image in the registry (repository:tag -> sha256:...), `pulled` what to remove at the end.
    """

    registry: Registry
    digests: dict[str, str]
    settings: settings.Settings
    patch: pytest.MonkeyPatch
    pulled: list[str]

    def pinned(self, name: str, digest: str = "") -> str:
        return f"{self.registry.address}/{name}@{digest or self.digests[name]}"

    def pin(self, node: str) -> None:
        """Make setup pull that node image and the base image."""
        base, default = self.pinned(BASE), versions.KUBERNETES[versions.DEFAULT_KUBERNETES]
        self.patch.setitem(versions.KUBERNETES, default.minor, dataclasses.replace(default, pulled=node))
        self.patch.setattr(requirements, "KICBASE", node)
        self.patch.setattr(requirements, "PYTHON_IMAGE", base)
        self.pulled += [node, base]

    def here(self, need: File) -> File:
        """Return the download `need`, served from a file on this machine."""
        file = self.settings.cache.with_name(need.name.replace(" ", "-"))
        file.write_text("#!/bin/sh\n")
        return dataclasses.replace(need, url=file.as_uri(), sha256={"": hashlib.sha256(file.read_bytes()).hexdigest()})

    def install(self, *needed: Requirement | File) -> bool:
        return install.install(self.settings, door(), needed)


@pytest.fixture
def bare(this_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bare]:
    """A bare machine whose registry holds two small images, under names that the engine no longer has."""
    made = dataclasses.replace(settings.read(PROJECT, settings.DEFAULTS), images="pull", cache=tmp_path / "cache")
    with registries.serve(this_run, tmp_path) as registry, closing(docker.from_env()) as engine:
        machine = Bare(registry, {}, made, monkeypatch, [])
        for image in (NODE, BASE):
            reference = f"{registry.address}/{image}"
            engine.images.get(registry.image).tag(reference)
            for event in engine.api.push(reference, stream=True, decode=True):
                assert "error" not in event, event
                if "aux" in event:
                    machine.digests[image] = event["aux"]["Digest"]
            engine.images.remove(reference)
        yield machine
    for reference in machine.pulled:
        client.connect().remove_image(reference)


@pytest.mark.promise("The first `setup` on a machine pulls")
def test_what_kind_needs_is_pulled_as_pinned_and_a_second_time_is_there(bare: Bare) -> None:
    bare.pin(node := bare.pinned(NODE))
    needed = bare.here(requirements.KIND), requirements.KIND_NODE_IMAGE, bare.here(requirements.LOAD_BALANCER)
    assert bare.install(*needed)
    assert all(item.present for item in inventory.look(bare.settings, needed))
    assert requirements.KIND_NODE_IMAGE.find(client.connect(), bare.settings) == Artifact(node, True)
    assert receipt.read(bare.settings.cache).pulled == sorted(bare.pulled), "what setup pulled it can take away again"
    assert not bare.install(*needed)


def test_what_minikube_needs_is_pulled_so_that_it_finds_it_and_nothing_of_kind_is(bare: Bare) -> None:
    tag = f"{bare.registry.address}/{NODE}"
    bare.pin(pinned := f"{tag}@{bare.digests[NODE]}")
    bare.pulled.insert(0, tag)
    needed = bare.here(requirements.MINIKUBE), requirements.MINIKUBE_NODE_IMAGE
    assert bare.install(*needed)
    assert os.access(requirements.MINIKUBE.find(None, bare.settings).reference, os.X_OK)
    assert not requirements.KIND.find(None, bare.settings).present
    listed = driver.docker("images", "--format={{.Repository}}:{{.Tag}}@{{.Digest}}")
    assert pinned in listed.split(), "minikube looks for its image in this list"
    assert receipt.read(bare.settings.cache).pulled == sorted(bare.pulled)
    assert not bare.install(*needed)


@pytest.mark.parametrize("trouble", ["another digest", "no such image", "no registry"])
def test_what_cannot_be_pulled_is_one_sentence(bare: Bare, trouble: str) -> None:
    node = bare.pinned("kindest/none:1", bare.digests[NODE]) if trouble == "no such image" else bare.pinned(NODE)
    if trouble == "another digest":
        node = bare.pinned(NODE, f"sha256:{'0' * 64}")
    if trouble == "no registry":
        driver.docker("stop", "--time=1", bare.registry.name)
    bare.pin(node)
    with pytest.raises((EngineError, SetupError)) as caught:
        bare.install(bare.here(requirements.KIND), requirements.KIND_NODE_IMAGE)
    assert f"Pulling {node} failed" in caught.value.sentence
    assert receipt.read(bare.settings.cache).pulled == []
