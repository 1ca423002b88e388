"""The parts of what is built if no image registry is reachable, tested without building it."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from kubetasks.project.versions import METALLB
from nodeimages import archive, compiler, docker_store, kind_node, minikube_node, node
from nodeimages.names import NODE_SOURCE

IMAGES = {"a:1": ["a"], "b:1": ["b"], "c:1": ["b"]}  # names and entrypoints


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    (tmp_path / "program").write_text("program")
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        tar.add(tmp_path / "program", "bin/program")
    return tmp_path / "layer.tar"


@pytest.fixture
def images(layer: Path) -> dict[str, bytes]:
    digest = archive.diff_id(layer)
    return {name: archive.configuration(digest, entrypoint, "amd64") for name, entrypoint in IMAGES.items()}


def test_images_of_an_archive_share_one_layer(tmp_path: Path, layer: Path, images: dict[str, bytes]) -> None:
    archive.write(tmp_path / "images.tar", layer, images)
    with tarfile.open(tmp_path / "images.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        config = json.load(tar.extractfile(manifest[0]["Config"]) or io.BytesIO())
    assert [(entry["RepoTags"], entry["Layers"]) for entry in manifest] == [([name], ["layer.tar"]) for name in IMAGES]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer.read_bytes()).hexdigest()]
    assert config["config"]["Entrypoint"] == ["a"]
    assert len(names) == len(set(names))


def test_an_engines_data_folder_leads_from_a_name_to_the_files(tmp_path: Path, layer: Path, images: dict[str, bytes]) -> None:
    folder, digest = tmp_path / "docker", archive.diff_id(layer)
    docker_store.write(folder, layer, digest, images, tmp_path / "log")
    known = folder / "image" / "overlay2"
    repositories = json.loads((known / "repositories.json").read_text())["Repositories"]
    config = (known / "imagedb" / "content" / repositories["b"]["b:1"].replace(":", "/")).read_bytes()
    assert config == images["b:1"]
    layerdb = known / "layerdb" / json.loads(config)["rootfs"]["diff_ids"][0].replace(":", "/")
    assert (layerdb / "diff").read_text() == digest
    content = folder / "overlay2" / (layerdb / "cache-id").read_text()
    assert (content / "diff" / "bin" / "program").read_text() == "program"
    assert (folder / "overlay2" / "l" / (content / "link").read_text() / "bin" / "program").exists()


def test_a_kind_node_holds_metallb_and_its_own_images_under_the_names_in_its_manifests() -> None:
    metallb = {f"quay.io/metallb/{name}:{METALLB}" for name in ("controller", "speaker")}
    manifests = [path.read_text() for path in (NODE_SOURCE / "files/kind/manifests").iterdir()]
    named = {name for text in manifests for name in re.findall(r"image: (.+)", text)}
    assert {*metallb, *named} == kind_node.images().keys()


def test_minikube_finds_each_pause_image_that_it_may_ask_for(tmp_path: Path) -> None:
    config = tmp_path / node.CONTAINERD_CONFIG
    config.parent.mkdir(parents=True)
    config.write_text('  sandbox_image = "registry.k8s.io/pause:3.6"\n')
    (tmp_path / "kubeadm-images.go").write_text('"v1.35.1": {\n  "etcd": "3.6.6-0",\n  "pause":           "3.10.1",\n}')
    part = node.Parts(None, tmp_path, tmp_path, tmp_path, tmp_path, tmp_path / "log")  # type: ignore[arg-type]
    assert set(minikube_node.pauses(tmp_path, part)) == {"registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.10.1"}


@pytest.mark.parametrize(
    ("output", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("go version go1.27 linux/amd64", (1, 27, 0)), ("?", ())],
)
def test_the_version_of_go_is_read(output: str, version: tuple[int, ...]) -> None:
    assert compiler.version_of(output) == version
