"""What setup decides, without bringing anything."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from kubetasks import settings, shell
from kubetasks.errors import SetupError
from kubetasks.report import Report
from kubetasks.setup import download, images, limited_runc, packages, record
from node_image import archive, node, programs, recipe

# /proc/self/status of a process that may hand on everything but CAP_SYS_RESOURCE (number 24)
STATUS = "Name:\tx\nCapBnd:\t000001fffeffffff\n"


def configured(images_from: str) -> settings.Settings:
    return settings.read({**settings.DEFAULTS, "setup": {"images": images_from, "engine": "install"}}, {})


@pytest.mark.parametrize("way", ["pull", "build"])
def test_a_setting_decides_without_asking_any_registry(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "reached", lambda url: pytest.fail(f"asked {url}"))
    assert images.source(configured(way)) == way


def test_one_registry_that_answers_is_enough_to_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "reached", lambda url: "quay" in url)
    assert images.source(configured("auto")) == "pull"
    monkeypatch.setattr(images, "reached", lambda _url: False)
    assert images.source(configured("auto")) == "build"


def test_a_download_with_another_checksum_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"program")
    target = tmp_path / "bin" / "program"
    with pytest.raises(SetupError, match="not what was pinned"):
        download.file(source.as_uri(), "0" * 64, target, Report())
    assert list(target.parent.iterdir()) == []
    download.file(source.as_uri(), hashlib.sha256(b"program").hexdigest(), target, Report())
    assert target.read_bytes() == b"program"


def test_a_download_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="could not be downloaded"):
        download.file((tmp_path / "nothing").as_uri(), "0" * 64, tmp_path / "target", Report())


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert record.read(tmp_path) == record.Record()
    made = record.Record(packages=["docker.io"], engine_pid=7, folders=["/var/lib/docker"])
    record.write(tmp_path / "new", made)
    assert record.read(tmp_path / "new") == made


def test_the_lacking_capability_is_named() -> None:
    assert limited_runc.lacking(STATUS, 40) == ["CAP_SYS_RESOURCE"]
    assert limited_runc.lacking("CapBnd:\t000001ffffffffff\n", 40) == []


def test_a_container_is_asked_for_no_more_than_there_is() -> None:
    process = {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
    limited_runc.limit(process, limited_runc.bounding_set(STATUS))
    assert process["capabilities"] == {"bounding": ["CAP_CHOWN"], "effective": []}
    limited_runc.limit({}, set())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "id"], ("/b/config.json", True)),
        (["exec", "--process", "/p.json", "--detach", "id"], ("/p.json", False)),
        (["exec", "id", "true"], None),
        (["delete", "id"], None),
    ],
)
def test_only_what_runc_is_about_to_read_is_rewritten(arguments: list[str], expected: tuple[str, bool] | None) -> None:
    assert limited_runc.specification(arguments) == expected


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


def test_the_node_holds_every_image_that_kubeadm_and_metallb_name() -> None:
    wanted = ["registry.k8s.io/kube-proxy:v1.36.3", "registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/pause:3.10.2"]
    assert node.references(wanted) == {
        "registry.k8s.io/kube-proxy:v1.36.3": ["kube-proxy"],
        "registry.k8s.io/coredns/coredns:v1.14.2": ["coredns"],
        "registry.k8s.io/pause:3.10.2": ["/usr/bin/catatonit", "-P"],
        "quay.io/metallb/controller:v0.16.1": ["metallb-controller"],
        "quay.io/metallb/speaker:v0.16.1": ["metallb-speaker"],
    }


def test_names_of_built_images_follow_their_recipe() -> None:
    assert recipe.node_reference("1.36").startswith("simple-server-node:v1.36.3-")
    assert recipe.digest("ab", "c") != recipe.digest("a", "bc")


@pytest.mark.parametrize(
    ("output", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("go version go1.27 linux/amd64", (1, 27, 0)), ("?", ())],
)
def test_the_version_of_go_is_read(output: str, version: tuple[int, ...]) -> None:
    assert programs.version_of(output) == version


def test_a_package_that_another_apt_is_unpacking_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states = iter(["ii  curl\niU  libc-bin\nun  runc\nrc  tini\n", "ii  curl\nii  libc-bin\nii  runc\nii  tini\n"])
    monkeypatch.setattr(shell, "run", lambda argv, **_more: next(states) if argv[0] == "dpkg-query" else "runc\ntini\n")
    packages.install(["runc", "tini"], tmp_path, tmp_path / "log")
    assert record.read(tmp_path).packages == ["runc", "tini"]
