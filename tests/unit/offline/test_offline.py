"""What is built if no image registry can be reached, as far as it can be seen without building."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from kubetasks.offline import archive, compiler, node


def test_images_of_an_archive_share_one_layer(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    archive.write(tmp_path / "images.tar", layer, {"a:1": ["a"], "b:1": ["b"], "c:1": ["b"]}, "amd64")
    with tarfile.open(tmp_path / "images.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
    assert [entry["RepoTags"] for entry in manifest] == [["a:1"], ["b:1"], ["c:1"]]
    assert {tuple(entry["Layers"]) for entry in manifest} == {("layer.tar",)}
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(b"layer").hexdigest()]
    assert config["config"]["Entrypoint"] == ["a"]
    assert len(names) == len(set(names))


def test_the_node_holds_every_image_that_kubeadm_names() -> None:
    wanted = ["registry.k8s.io/kube-proxy:v1.36.3", "registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/pause:3.10.2"]
    assert node.references(wanted) == {
        "registry.k8s.io/kube-proxy:v1.36.3": ["kube-proxy"],
        "registry.k8s.io/coredns/coredns:v1.14.2": ["coredns"],
        "registry.k8s.io/pause:3.10.2": ["/usr/bin/catatonit", "-P"],
    }


@pytest.mark.parametrize(
    ("output", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("go version go1.27 linux/amd64", (1, 27, 0)), ("?", ())],
)
def test_the_version_of_go_is_read(output: str, version: tuple[int, ...]) -> None:
    assert compiler.version_of(output) == version
