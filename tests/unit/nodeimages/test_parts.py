"""What is built if no image registry can be reached, as far as it can be seen without building."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from kubetasks.project.versions import METALLB
from nodeimages import archive, compiler, docker_store, kind_node, node
from nodeimages.names import NODE_SOURCE


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    (tmp_path / "program").write_text("program")
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        tar.add(tmp_path / "program", "bin/program")
    return tmp_path / "layer.tar"


def configurations(layer: Path, **entrypoints: str) -> dict[str, bytes]:
    diff_id = archive.diff_id(layer)
    return {f"{name}:1": archive.configuration(diff_id, [word], "amd64") for name, word in entrypoints.items()}


def test_images_of_an_archive_share_one_layer(tmp_path: Path, layer: Path) -> None:
    archive.write(tmp_path / "images.tar", layer, configurations(layer, a="a", b="b", c="b"))
    with tarfile.open(tmp_path / "images.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
    assert [entry["RepoTags"] for entry in manifest] == [["a:1"], ["b:1"], ["c:1"]]
    assert {tuple(entry["Layers"]) for entry in manifest} == {("layer.tar",)}
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer.read_bytes()).hexdigest()]
    assert config["config"]["Entrypoint"] == ["a"]
    assert len(names) == len(set(names))


def test_an_engines_data_folder_leads_from_a_name_to_the_files(tmp_path: Path, layer: Path) -> None:
    folder, diff_id = tmp_path / "docker", archive.diff_id(layer)
    images = configurations(layer, a="a", b="b")
    docker_store.write(folder, layer, diff_id, images, tmp_path / "log")
    known = folder / "image" / "overlay2"
    repositories = json.loads((known / "repositories.json").read_text())["Repositories"]
    algorithm, _, image = repositories["b"]["b:1"].partition(":")
    config = (known / "imagedb" / "content" / algorithm / image).read_bytes()
    assert config == images["b:1"]
    chain = json.loads(config)["rootfs"]["diff_ids"][0].partition(":")[2]
    layerdb = known / "layerdb" / algorithm / chain
    assert (layerdb / "diff").read_text() == diff_id
    content = folder / "overlay2" / (layerdb / "cache-id").read_text()
    assert (content / "diff" / "bin" / "program").read_text() == "program"
    assert (folder / "overlay2" / "l" / (content / "link").read_text() / "bin" / "program").exists()


def test_the_node_holds_every_image_that_kubeadm_names() -> None:
    wanted = ["registry.k8s.io/kube-proxy:v1.36.3", "registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/pause:3.10.2"]
    assert node.references(wanted) == {
        "registry.k8s.io/kube-proxy:v1.36.3": ["kube-proxy"],
        "registry.k8s.io/coredns/coredns:v1.14.2": ["coredns"],
        "registry.k8s.io/pause:3.10.2": ["/usr/bin/catatonit", "-P"],
    }


def test_a_kind_node_holds_metallb_and_the_pod_network_under_the_name_in_its_manifest() -> None:
    metallb = {f"quay.io/metallb/{name}:{METALLB}" for name in ("controller", "speaker")}
    assert {*metallb, kind_node.POD_NETWORK} == kind_node.images().keys()
    manifest = (NODE_SOURCE / "files/kind/manifests/default-cni.yaml").read_text()
    assert f"image: {kind_node.POD_NETWORK}\n" in manifest


@pytest.mark.parametrize(
    ("output", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("go version go1.27 linux/amd64", (1, 27, 0)), ("?", ())],
)
def test_the_version_of_go_is_read(output: str, version: tuple[int, ...]) -> None:
    assert compiler.version_of(output) == version
