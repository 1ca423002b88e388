"""Which parts are built for which requirements, and on which machines."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hostengine import packages
from kubetasks.engine import client
from kubetasks.engine.client import Engine
from kubetasks.errors import SetupError
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal import interruption
from nodeimages import build, compiler, golang, here, kind_programs, minikube_programs, names, programs, rootfs
from tests.unit.configured import configured, door

GO = [requirements.KIND, requirements.LOAD_BALANCER, requirements.REGISTRY]
KIND = requirements.KIND, requirements.KIND_NODE_IMAGE, requirements.LOAD_BALANCER
MINIKUBE = requirements.MINIKUBE, requirements.MINIKUBE_NODE_IMAGE


class Parts:
    """Stand-ins for builds that take minutes: they record their names, and create the files that later steps look for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.built: list[str] = []
        self.installed: list[str] = []
        self.settings = configured(cache=cache)
        monkeypatch.setattr(client, "connect", lambda: Engine.__new__(Engine))
        monkeypatch.setattr(packages, "install", lambda names, *_: self.installed.extend(names))
        monkeypatch.setattr(golang, "program", lambda *_: "go")
        monkeypatch.setattr(rootfs, "make", lambda folder, *_, **_more: self._make("Debian", folder))
        monkeypatch.setattr(programs, "build_kubernetes", lambda _version, folder, *_: self._make("Kubernetes", folder))
        monkeypatch.setattr(programs, "build_around", lambda folder, *_: self._make("around", folder))
        own = ("kind", "metallb-native.yaml")
        monkeypatch.setattr(kind_programs, "build", lambda folder, *_: self._make("kind", folder, *own))
        monkeypatch.setattr(minikube_programs, "build", lambda folder, *_: self._make("minikube", folder, "minikube"))
        monkeypatch.setattr(build.Build, "_make_node", lambda _self, recipe: self.built.append(recipe.image.name))

    def _make(self, name: str, folder: Path, *files: str) -> None:
        """Create a part's folder with these files. Fail if it exists, as mmdebstrap does if it is not empty."""
        self.built.append(name)
        folder.mkdir()
        for file in files:
            (folder / file).write_text(name)
            (folder / file).chmod(0o755)

    def build(self, missing: Sequence[Requirement]) -> set[str]:
        """Build `missing`, and return the parts that were built."""
        self.built.clear()
        self.installed.clear()
        here.build(self.settings, door(), Path("/dev/null"), missing, lambda: None)
        return set(self.built)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parts:
    return Parts(monkeypatch, tmp_path)


@pytest.mark.promise("The first `setup` on a machine pulls")
def test_each_provider_gets_its_own_parts_and_what_both_need_is_built_once(parts: Parts) -> None:
    first = parts.build(KIND)
    assert (first, parts.installed) == ({"Debian", "Kubernetes", "around", "kind", "node image"}, build.PACKAGES)
    assert requirements.KIND.find(None, parts.settings).present
    assert requirements.LOAD_BALANCER.find(None, parts.settings).present
    assert not requirements.MINIKUBE.find(None, parts.settings).present
    second = parts.build(MINIKUBE)
    assert second == {"Debian", "minikube", "node image"}
    assert requirements.MINIKUBE.find(None, parts.settings).present


def test_minikube_alone_needs_nothing_of_kind(parts: Parts) -> None:
    assert parts.build(MINIKUBE) == {"Debian", "Kubernetes", "around", "minikube", "node image"}


def test_what_an_interrupted_build_left_is_not_in_the_way(parts: Parts) -> None:
    for recipe in build.recipes():
        (parts.settings.cache / "build" / f"{recipe.folder}-root" / "half").mkdir(parents=True)
    assert "Debian" in parts.build(KIND)


def test_a_lost_program_is_copied_from_the_compiled_ones(parts: Parts) -> None:
    parts.build(KIND)
    Path(requirements.KIND.find(None, parts.settings).reference).unlink()
    assert (parts.build([requirements.KIND]), parts.installed) == (set(), []), "nor is a package of Debian's needed for it"
    assert requirements.KIND.find(None, parts.settings).present


def test_if_one_half_fails_no_other_program_is_started_and_apt_is_not_ended(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed, order = threading.Event(), []

    def fail(*_: object) -> None:
        failed.set()
        raise SetupError("no such module")

    def prepare() -> Engine:
        assert failed.wait(10)
        time.sleep(0.1)  # apt runs for this long
        order.append("apt ended")
        return Engine.__new__(Engine)

    monkeypatch.setattr(programs, "build_kubernetes", fail)
    monkeypatch.setattr(interruption, "terminate_all", lambda: order.append("programs ended"))
    with pytest.raises(SetupError, match="no such module"):
        build.Build(parts.settings, door(), tmp_path / "log", prepare, KIND).run()
    assert order == ["apt ended", "programs ended"]
    assert parts.built == [], "no file system either"
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(SetupError, match="given up"):
        compiler.Go("/bin/true", tmp_path, tmp_path / "log", given_up).run(tmp_path)


@pytest.mark.parametrize(
    ("missing", "system", "machine", "root", "why"),
    [
        (KIND, "Linux", "x86_64", True, ""),
        (KIND, "Linux", "x86_64", False, "root on Debian"),
        (KIND, "Linux", "aarch64", True, "this is aarch64"),
        (GO, "Linux", "aarch64", False, ""),
        (GO, "Darwin", "arm64", False, "this is Darwin"),
    ],
)
def test_programs_are_compiled_on_every_linux_and_images_need_root_and_one_architecture(
    monkeypatch: pytest.MonkeyPatch, missing: Sequence[Requirement], system: str, machine: str, root: bool, why: str
) -> None:
    monkeypatch.setattr(packages, "possible", lambda: root)
    reason = here.unbuildable(missing, system, machine)
    assert (why in reason) if why else (reason == "")


def tools(module: Path) -> set[str]:
    """Return the programs that a go.mod lists as tools, so that its go.sum covers them."""
    return set(module.read_text().partition("\ntool (")[2].partition(")")[0].split())


def test_every_program_of_the_locked_modules_is_compiled() -> None:
    theirs = {name for name in (*programs.AROUND, *kind_programs.TARGETS) if not name.startswith("./")}
    assert theirs == tools(names.NODE_SOURCE / "go" / "go.mod")
    assert set(minikube_programs.TARGETS) == tools(names.MINIKUBE_SOURCE / "go" / "go.mod")
    assert f"tool {minikube_programs.CRI_DOCKERD}\n" in (names.MINIKUBE_SOURCE / "go" / "cri-dockerd.mod").read_text()
