"""The names of built images and programs, which depend on the files that decide their content."""

import shutil
from pathlib import Path

import pytest

from kubetasks.project.versions import DEBIAN, DEFAULT_KUBERNETES, KUBERNETES
from nodeimages import names

OLDER = next(minor for minor in KUBERNETES if minor != DEFAULT_KUBERNETES)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that decide the content of what is built."""
    for name in ("RECIPES", "EVERY_NODE", "NODE_SOURCE", "MINIKUBE_SOURCE"):
        copy = tmp_path / name
        shutil.copytree(getattr(names, name), copy, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(names, name, copy)
    return tmp_path


def all_names() -> dict[str, str]:
    """Return the names of everything that is built."""
    return {
        "node": names.node(DEFAULT_KUBERNETES),
        "older node": names.node(OLDER),
        "kicbase": names.kicbase(DEFAULT_KUBERNETES),
        "Python": names.python(DEBIAN),
        "Kubernetes": names.kubernetes_digest(KUBERNETES[DEFAULT_KUBERNETES]),
        "older Kubernetes": names.kubernetes_digest(KUBERNETES[OLDER]),
        "programs": names.programs_digest(),
        "kind": names.kind(),
        "MetalLB": names.metallb_manifest(),
        "minikube": names.minikube(),
    }


KIND_NODES = {"node", "older node"}
KIND = {"kind", "MetalLB", *KIND_NODES}
NODES = {*KIND_NODES, "kicbase"}
EVERY_KUBERNETES = {"Kubernetes", "older Kubernetes", *NODES}


@pytest.mark.parametrize(
    ("file", "renamed"),
    [
        ("RECIPES/rootfs.py", {"Python", *NODES}),
        ("RECIPES/python.py", {"Python"}),
        ("RECIPES/compiler.py", {"programs", "minikube", *KIND, *EVERY_KUBERNETES}),
        ("RECIPES/programs.py", {"programs", *KIND, *EVERY_KUBERNETES}),
        ("RECIPES/kind_programs.py", KIND),
        ("RECIPES/minikube_programs.py", {"minikube", "kicbase"}),
        *((file, NODES) for file in ("RECIPES/node.py", "RECIPES/archive.py", "EVERY_NODE/etc/systemd/system.conf.d/stop.conf")),
        ("RECIPES/kind_node.py", KIND_NODES),
        *((f"RECIPES/{name}.py", {"kicbase"}) for name in ("minikube_node", "docker_store")),
        ("NODE_SOURCE/go/go.mod", {"Kubernetes", "programs", *KIND, *NODES}),
        (f"NODE_SOURCE/go/kubernetes-{OLDER}.mod", {"older Kubernetes", "older node"}),
        ("NODE_SOURCE/go/kubernetes/main.go", EVERY_KUBERNETES),
        ("NODE_SOURCE/go/coredns/main.go", {"programs", *NODES}),
        *((f"NODE_SOURCE/go/{name}/main.go", KIND) for name in ("podnetwork", "localpath")),
        ("NODE_SOURCE/files/kind/manifests/default-cni.yaml", KIND_NODES),
        *((f"MINIKUBE_SOURCE/go/go.{kind}", {"minikube", "kicbase"}) for kind in ("mod", "sum")),
        ("MINIKUBE_SOURCE/files/etc/systemd/system/containerd.service", {"kicbase"}),
        ("NODE_SOURCE/README.md", set()),
        ("RECIPES/build.py", set()),
    ],
)
def test_a_file_that_decides_the_content_decides_the_name(sources: Path, file: str, renamed: set[str]) -> None:
    before = all_names()
    with (sources / file).open("a") as out:
        out.write("\n")
    after = all_names()
    assert {name for name in before if after[name] != before[name]} == renamed


def test_a_renamed_file_changes_the_name_too(sources: Path) -> None:
    before = all_names()
    folder = sources / "NODE_SOURCE" / "files" / "kind" / "manifests"
    (folder / "default-cni.yaml").rename(folder / "other.yaml")
    assert all_names()["node"] != before["node"]


@pytest.mark.parametrize("file", ["RECIPES/rootfs.py", "RECIPES/archive.py", f"NODE_SOURCE/go/kubernetes-{OLDER}.mod"])
def test_a_file_that_is_gone_is_an_error_and_not_another_name(sources: Path, file: str) -> None:
    path = sources / file
    path.unlink()
    path.with_suffix(".sum").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="has no file"):
        all_names()


def test_a_name_says_what_it_is() -> None:
    assert names.node(DEFAULT_KUBERNETES).startswith(f"simple-server-node:v{KUBERNETES[DEFAULT_KUBERNETES].built}-")
    assert names.kicbase(OLDER).startswith(f"simple-server-kicbase:v{KUBERNETES[OLDER].built}-")
    assert names.python("sid").startswith("simple-server-base:sid-")


def test_where_a_part_ends_matters() -> None:
    assert names.digest("ab", "c") != names.digest("a", "bc")
