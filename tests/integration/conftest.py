"""A throwaway cluster, made with pytest-kind after the recipe of `inv start`, and the command line to drive it."""

import copy
import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_kind import KindCluster

from kubetasks import engine, image, settings
from kubetasks.providers.kind import Kind
from kubetasks.report import Report
from kubetasks.settings import PROJECT
from kubetasks.setup import images, plan

SECONDS = 300
ASIDE = "simple-server-aside"


@dataclass(frozen=True)
class Throwaway:
    """A name that no other cluster has, the settings that belong to it, and the tasks as a person types them."""

    settings: settings.Settings
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.settings.cluster

    @property
    def kubeconfig(self) -> Path:
        return self.settings.state_folder / "kubeconfig"

    def provider(self) -> Kind:
        """The provider that makes, and the one that finally removes, this cluster."""
        connection = engine.connect()
        node, _ = images.node_image(connection, self.settings)
        return Kind(self.settings, connection, Report(), str(images.kind_program(self.settings)), node)

    def run(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """`inv WORDS` in this environment; with `ok`, it must succeed."""
        ended = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=PROJECT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 0 or not ok, f"{words} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended

    def kubectl(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl on this cluster; it must succeed."""
        ended = subprocess.run(
            [plan.kubectl_program(), "--kubeconfig", str(self.kubeconfig), *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            input=stdin,
        )
        assert ended.returncode == 0, f"kubectl {words}: {ended.stderr}"
        return ended


@pytest.fixture
def images_aside() -> Iterator[None]:
    """The person's own images of the application, under another name while the test builds and removes its own."""
    connection = engine.connect()
    own = {reference: reference.replace(settings.APP, ASIDE, 1) for reference in connection.image_tags(settings.APP)}
    for reference, name in own.items():
        connection.tag(reference, name)
    image.remove(connection)
    try:
        yield
    finally:
        image.remove(connection)
        for reference, name in own.items():
            connection.tag(name, reference)
            connection.remove_image(name)


@pytest.fixture
def throwaway(images_aside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Throwaway]:  # noqa: ARG001
    """A name and nothing made yet; what the test made under it is gone afterwards."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "kubectl"))  # kubectl's own cache is not the tests' to fill
    config = copy.deepcopy(settings.DEFAULTS)
    config["cluster"]["name"] = f"test-{secrets.token_hex(3)}"
    # a port of its own, so that no cluster of the person's is in the way of a test that names it
    config["cluster"]["port"] = str(20000 + secrets.randbelow(9000))
    found = Throwaway(
        settings.read(config),
        {"INVOKE_CLUSTER_NAME": config["cluster"]["name"], "INVOKE_CLUSTER_PORT": config["cluster"]["port"]},
    )
    try:
        yield found
    finally:
        found.provider().delete()


@pytest.fixture
def cluster(throwaway: Throwaway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindCluster:
    """pytest-kind's cluster, made with the provider's own configuration on a network of its own."""
    monkeypatch.chdir(tmp_path)  # pytest-kind keeps its files in the working folder
    provider = throwaway.provider()
    recipe = provider.recipe()
    provider.prepare(recipe)
    for name, value in recipe.environment.items():
        monkeypatch.setenv(name, value)
    made = KindCluster(
        recipe.name,
        kubeconfig=recipe.kubeconfig,
        image=recipe.image,
        kind_path=images.kind_program(throwaway.settings),
        kubectl_path=Path(plan.kubectl_program()),
    )
    made.create(config_file=recipe.config_file)
    return made


@dataclass(frozen=True)
class Snapshot:
    """What must be the same after a clean-up: the engine's things by id, and the files of the places that we write to."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]
    files: frozenset[tuple[str, str]]

    def since(self, before: "Snapshot") -> dict[str, list[object]]:
        """What is here and was not before, and the other way round; {} where nothing is."""
        now, then = vars(self), vars(before)
        return {name: sorted(now[name] ^ then[name]) for name in now if now[name] != then[name]}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.fixture
def snapshot(throwaway: Throwaway) -> Callable[[], Snapshot]:
    """Takes one."""

    def take() -> Snapshot:
        def ids(*words: str) -> frozenset[str]:
            return frozenset(subprocess.check_output(["docker", *words], text=True).split())

        # the log of the last setup is not ours to compare: another run may write it
        places = [settings.PROJECT / ".state", throwaway.settings.cache, Path.home() / ".kube"]
        files = {
            (str(path), _digest(path))
            for place in places
            for path in [*place.glob("*"), *place.glob("*/*")]
            if path.suffix != ".log"
        }
        return Snapshot(
            ids("ps", "--all", "--quiet", "--no-trunc"),
            ids("network", "ls", "--quiet", "--no-trunc"),
            ids("volume", "ls", "--quiet"),
            ids("images", "--all", "--quiet", "--no-trunc"),
            frozenset(files),
        )

    return take
