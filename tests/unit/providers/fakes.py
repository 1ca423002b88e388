"""A fake kind and a fake minikube, which only change a fake engine; the real ones run in tests/thorough."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from kubetasks import providers
from kubetasks.engine.image import Image
from kubetasks.errors import ProgramError
from kubetasks.project.settings import Settings
from kubetasks.providers.minikube.config import PROFILE_LABEL
from kubetasks.providers.own import Own
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact, Requirement
from kubetasks.terminal import shell
from tasks import PROJECT
from tests.unit.configured import configured, door
from tests.unit.engine.fakes import Container, FakeEngine, ports

NAME = "demo"
IMAGE = Image(PROJECT.application.source, "0123456789ab", "base")
NODE_IMAGE = Artifact("simple-server-node:v1.36.3-0123456789ab", True)


def fixed(found: Artifact, name: str = "") -> SimpleNamespace:
    """Return a requirement that always finds `found`."""
    return SimpleNamespace(name=name, find=lambda *_: found)


class FakeProgram:
    """Stands in for shell.run, and so for the program that it runs. The commands named in `broken` fail with `output`."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.called: list[list[str]] = []
        self.environment: dict[str, str] = {}
        self.timeout: float = 0
        self.broken, self.output = "", "It was terminated."
        self.version = ""

    @property
    def words(self) -> list[str]:
        return [words[0] for words in self.called]

    def __call__(
        self, argv: list[str], *, env: dict[str, str], timeout: float = 0, log: object = "", stdin: Any = None, **_: object
    ) -> str:
        self.called.append(argv[1:])
        self.given = stdin.read() if stdin else b""
        self.environment, self.timeout = dict(env), timeout
        if argv[1] == "delete" and "delete" in self.broken:
            raise ProgramError(argv, -15, self.output)
        self.do(argv[1:], env)
        if argv[1] in ("create", "start") and argv[1] in self.broken:
            raise ProgramError(argv, 1, self.output, str(log))
        return self.version

    def do(self, words: list[str], env: dict[str, str]) -> None:
        raise NotImplementedError


class FakeKind(FakeProgram):
    """Changes the engine as kind would."""

    creates, writes, kubeconfig = "create", "export", "server: https://127.0.0.1:6444\nclient-key-data: a2V5\n"

    def do(self, words: list[str], env: dict[str, str]) -> None:  # noqa: ARG002
        if words[0] == "create":
            assert words[words.index("--config") + 1] == "-"
            config = yaml.safe_load(self.given)
            self.create([node.get("extraPortMappings") for node in config["nodes"]], words[words.index("--image") + 1])
        if words[0] in ("create", "export"):
            Path(words[words.index("--kubeconfig") + 1]).write_text(self.kubeconfig)
        if words[0] == "delete":
            for node in self._engine.containers(f"io.x-k8s.kind.cluster={NAME}"):
                self._engine.remove(node)
        if words[0] == "load":
            self._engine.loaded += Path(words[-1]).read_text().splitlines()

    def create(self, mappings: list[list[dict[str, Any]] | None], image: str) -> None:
        assert NAME in self._engine.networks, "without it, kind would create one that nobody knows for ours"
        for number, mapped in enumerate(mappings):
            name = f"{NAME}-control-plane" if number == 0 else f"{NAME}-worker{number if number > 1 else ''}"
            node = Container(name, {"io.x-k8s.kind.cluster": NAME})
            bound = {f"p{one['containerPort']}": str(one["hostPort"]) for one in mapped or []}
            node.attrs |= {"HostConfig": ports(p6443="6444", **bound), "Config": {"Image": image}}
            node.attrs["NetworkSettings"] = {"Networks": {NAME: {}}}
            self._engine.nodes[name] = node


class FakeMinikube(FakeProgram):
    """Changes the engine as minikube would. If `broken` is "image", it loads nothing, but does not fail."""

    creates, writes = "start", "update-context"
    kubeconfig = "users:\n- name: demo\n  user:\n    client-key: /home/me/my clone/.minikube/profiles/demo/client.key\n"

    def do(self, words: list[str], env: dict[str, str]) -> None:
        engine, word = self._engine, words[0]
        if word == "start":
            assert NAME in engine.volumes, "without the volume, minikube would create one that nobody knows for ours"
            Path(env["MINIKUBE_HOME"]).mkdir(parents=True, exist_ok=True)
            engine.nodes[NAME] = Container(NAME, {PROFILE_LABEL: NAME})
            engine.networks[NAME] = {PROFILE_LABEL: NAME}
            engine.kubelet = True
        if word in ("start", "update-context"):
            Path(env["KUBECONFIG"]).write_text(self.kubeconfig)
        if word == "stop":
            engine.nodes[NAME].status = "exited"
        if word == "delete":
            for things in (engine.nodes, engine.volumes, engine.networks):
                things.pop(NAME, None)
            engine.files.clear()
        if word == "image" and self.broken != "image":
            engine.loaded += Path(words[-1]).read_text().splitlines()


class World:
    """An adapter with what it works on; `make` returns another adapter, for example for another clone."""

    def __init__(self, kind: type[Own], program: type[FakeProgram], folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.name = kind.__name__.lower()
        self.engine = FakeEngine(NODE_IMAGE.reference)
        self.engine.images |= dict.fromkeys(IMAGE.names, "sha256:1")
        self.program: Any = program(self.engine)
        self._folder = folder
        patch.setattr(shell, "run", self.program)
        patch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
        patch.setattr(kind, "requirements", (fixed(Artifact(f"/cache/{self.name}", True), self.name),))
        node = Requirement("node image", lambda _: NODE_IMAGE.reference, lambda _: "")
        patch.setattr(requirements, f"{self.name.upper()}_NODE_IMAGE", node)
        self.provider = self.make()

    def settings(self, clone: str = "clone", **changes: Any) -> Settings:
        given = {"cluster": NAME, "provider": self.name, "cache": self._folder / "cache", **changes}
        return configured(self._folder / clone, **given)

    def make(self, clone: str = "clone", *, dry: bool = False, **changes: Any) -> Any:
        return providers.select(self.settings(clone, **changes), door(dry=dry), lambda: self.engine)  # type: ignore[arg-type,return-value]
