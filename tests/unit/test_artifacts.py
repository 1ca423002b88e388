"""Which image is wanted, and what built ones are called."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks import artifacts, settings
from kubetasks.engine import Engine
from kubetasks.settings import Settings
from kubetasks.versions import DEBIAN, DEFAULT_KUBERNETES, KICBASE, KUBERNETES

OLDER = next(minor for minor in KUBERNETES if minor != DEFAULT_KUBERNETES)
PULLED = KUBERNETES[DEFAULT_KUBERNETES].pulled


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that decide the content of what is built."""
    for name in ("RECIPES", "EVERY_NODE", "NODE_SOURCE", "MINIKUBE_SOURCE"):
        copy = tmp_path / name
        shutil.copytree(getattr(artifacts, name), copy, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(artifacts, name, copy)
    return tmp_path


def names() -> dict[str, str]:
    """The name of everything that is built."""
    return {
        "node": artifacts.built_node(DEFAULT_KUBERNETES),
        "older node": artifacts.built_node(OLDER),
        "kicbase": artifacts.built_kicbase(DEFAULT_KUBERNETES),
        "Python": artifacts.built_python(DEBIAN),
        "Kubernetes": artifacts.kubernetes_digest(KUBERNETES[DEFAULT_KUBERNETES]),
        "older Kubernetes": artifacts.kubernetes_digest(KUBERNETES[OLDER]),
        "programs": artifacts.programs_digest(),
        "kind": artifacts.kind_programs_digest(),
        "minikube": artifacts.minikube_programs_digest(),
    }


KIND_NODES = {"node", "older node"}
NODES = {*KIND_NODES, "kicbase"}
EVERY_KUBERNETES = {"Kubernetes", "older Kubernetes", *NODES}


@pytest.mark.parametrize(
    ("file", "renamed"),
    [
        ("RECIPES/rootfs.py", {"Python", *NODES}),
        ("RECIPES/python.py", {"Python"}),
        ("RECIPES/compiler.py", {"programs", "kind", "minikube", *EVERY_KUBERNETES}),
        ("RECIPES/programs.py", {"programs", "kind", *EVERY_KUBERNETES}),
        ("RECIPES/kind_programs.py", {"kind", *KIND_NODES}),
        ("RECIPES/minikube_programs.py", {"minikube", "kicbase"}),
        ("RECIPES/node.py", NODES),
        ("RECIPES/archive.py", NODES),
        ("RECIPES/kind_node.py", KIND_NODES),
        ("RECIPES/minikube_node.py", {"kicbase"}),
        ("RECIPES/docker_store.py", {"kicbase"}),
        ("NODE_SOURCE/go/go.mod", {"Kubernetes", "programs", "kind", *NODES}),
        ("NODE_SOURCE/go/go.sum", {"Kubernetes", "programs", "kind", *NODES}),
        (f"NODE_SOURCE/go/kubernetes-{OLDER}.mod", {"older Kubernetes", "older node"}),
        (f"NODE_SOURCE/go/kubernetes-{OLDER}.sum", {"older Kubernetes", "older node"}),
        ("NODE_SOURCE/go/kubernetes/main.go", EVERY_KUBERNETES),
        ("NODE_SOURCE/go/coredns/main.go", {"programs", *NODES}),
        ("NODE_SOURCE/go/podnetwork/main.go", {"kind", *KIND_NODES}),
        ("EVERY_NODE/etc/systemd/system.conf.d/stop.conf", NODES),
        ("NODE_SOURCE/files/kind/manifests/default-cni.yaml", KIND_NODES),
        ("NODE_SOURCE/files/etc/default/kubelet", KIND_NODES),
        ("MINIKUBE_SOURCE/go/go.mod", {"minikube", "kicbase"}),
        ("MINIKUBE_SOURCE/go/go.sum", {"minikube", "kicbase"}),
        ("MINIKUBE_SOURCE/go/cri-dockerd.mod", {"minikube", "kicbase"}),
        ("MINIKUBE_SOURCE/files/etc/systemd/system/containerd.service", {"kicbase"}),
        ("NODE_SOURCE/README.md", set()),
        ("RECIPES/build.py", set()),
    ],
)
def test_a_file_that_decides_the_content_decides_the_name(sources: Path, file: str, renamed: set[str]) -> None:
    before = names()
    with (sources / file).open("a") as out:
        out.write("\n")
    after = names()
    assert {name for name in before if after[name] != before[name]} == renamed


def test_a_renamed_file_changes_the_name_too(sources: Path) -> None:
    before = names()
    folder = sources / "NODE_SOURCE" / "files" / "kind" / "manifests"
    (folder / "default-cni.yaml").rename(folder / "other.yaml")
    assert names()["node"] != before["node"]


@pytest.mark.parametrize("file", ["RECIPES/rootfs.py", "RECIPES/archive.py", f"NODE_SOURCE/go/kubernetes-{OLDER}.mod"])
def test_a_file_that_is_gone_is_an_error_and_not_another_name(sources: Path, file: str) -> None:
    path = sources / file
    path.unlink()
    path.with_suffix(".sum").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="has no file"):
        names()


def test_a_name_says_what_it_is() -> None:
    assert artifacts.built_node(DEFAULT_KUBERNETES).startswith(f"simple-server-node:v{KUBERNETES[DEFAULT_KUBERNETES].built}-")
    assert artifacts.built_kicbase(OLDER).startswith(f"simple-server-kicbase:v{KUBERNETES[OLDER].built}-")
    assert artifacts.built_python("sid").startswith("simple-server-base:sid-")


def test_where_a_part_ends_matters() -> None:
    assert artifacts.digest("ab", "c") != artifacts.digest("a", "bc")


class Present(Engine):
    """An engine that has those images."""

    def __init__(self, *references: str) -> None:
        self._references = references

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self._references else None


def built() -> str:
    return artifacts.built_node(DEFAULT_KUBERNETES)


def pulled() -> str:
    return PULLED


@pytest.mark.parametrize(
    ("way", "there", "wanted", "present"),
    [
        ("pull", (), pulled, False),
        ("pull", (pulled,), pulled, True),
        ("pull", (built,), pulled, False),
        ("build", (), built, False),
        ("build", (built,), built, True),
        ("build", (pulled,), built, False),
        ("auto", (), pulled, False),
        ("auto", (built,), built, True),
        ("auto", (pulled,), pulled, True),
        ("auto", (built, pulled), pulled, True),
    ],
)
def test_an_image_is_pulled_or_built_as_the_setting_says(
    way: str, there: tuple[Callable[[], str], ...], wanted: Callable[[], str], present: bool
) -> None:
    configuration = dataclasses.replace(settings.read(settings.DEFAULTS, {}), images=way)
    found = artifacts.node_image(Present(*(name() for name in there)), configuration)
    assert found == artifacts.Artifact(wanted(), present)


@pytest.mark.parametrize("find", [artifacts.kind, artifacts.minikube, artifacts.metallb_manifest])
def test_a_built_file_is_another_one_if_its_recipe_changes(
    find: Callable[[Settings], artifacts.Artifact], sources: Path, tmp_path: Path
) -> None:
    configuration = dataclasses.replace(settings.read(settings.DEFAULTS, {}), cache=tmp_path)
    building = dataclasses.replace(configuration, images="build")
    built = Path(find(building).reference)
    built.parent.mkdir()
    built.touch()
    assert find(building) == find(configuration) == artifacts.Artifact(str(built), True)
    with (sources / "RECIPES" / "compiler.py").open("a") as out:
        out.write("\n")
    assert not find(building).present
    assert not find(configuration).present


def test_the_image_of_minikubes_nodes_is_there_only_with_its_tag() -> None:
    configuration = dataclasses.replace(settings.read(settings.DEFAULTS, {}), images="pull")
    tag = KICBASE.partition("@")[0]
    assert not artifacts.kicbase_image(Present(KICBASE), configuration).present, "minikube would pull it again"
    assert artifacts.kicbase_image(Present(KICBASE, tag), configuration).present


def test_without_an_engine_no_image_is_there() -> None:
    configuration = settings.read(settings.DEFAULTS, {})
    assert artifacts.node_image(None, configuration) == artifacts.Artifact(PULLED, False)
    assert not artifacts.base_image(None, configuration).present
