"""Which images and programs a cluster here is made of, and whether they are there.

Each has two origins: pulled or downloaded as pinned, or built by node_image/ where no image registry answers.
"""

from pathlib import Path
from typing import Literal

from kubetasks.engine import Engine
from kubetasks.settings import Settings
from kubetasks.versions import KIND, KUBERNETES, METALLB, PYTHON_IMAGE
from node_image import recipe

Source = Literal["pull", "build"]

REGISTRIES = ("https://registry-1.docker.io/v2/", "https://quay.io/v2/", "https://registry.k8s.io/v2/")
PROBE_SECONDS = 3


def source(settings: Settings) -> Source:
    """Pull, unless the settings say build or not one registry answers: a hiccup must not compile Kubernetes on a laptop."""
    if settings.images == "pull" or settings.images == "build":
        return settings.images  # type: ignore[return-value]  # mypy does not narrow a str to the two literals
    return "pull" if any(reached(url) for url in REGISTRIES) else "build"


def reached(url: str) -> bool:
    """Whether a registry answers there, be it with a refusal."""
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(url, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # 401 is how a registry greets
    except OSError:
        return False
    return True


def kind_program(settings: Settings) -> Path:
    """Where our kind lies, however it came."""
    return settings.cache / f"kind-{KIND}" / "kind"


def metallb_manifest(settings: Settings) -> Path:
    """Where MetalLB's manifest lies, however it came."""
    return settings.cache / f"metallb-{METALLB}" / "metallb-native.yaml"


def _first(engine: Engine | None, settings: Settings, pulled: str, built: str) -> tuple[str, bool]:
    wanted = {"pull": [pulled], "build": [built], "auto": [pulled, built]}[settings.images]
    for reference in wanted if engine else []:
        if engine and engine.image_id(reference):
            return reference, True
    return wanted[0], False


def node_image(engine: Engine | None, settings: Settings) -> tuple[str, bool]:
    """(reference, whether the engine has it) of the node image for the settings' Kubernetes."""
    version = KUBERNETES[settings.kubernetes]
    return _first(engine, settings, version.pulled, recipe.node_reference(version.minor))


def base_image(engine: Engine | None, settings: Settings) -> tuple[str, bool]:
    """(reference, whether the engine has it) of what the Dockerfile builds on."""
    return _first(engine, settings, PYTHON_IMAGE, recipe.python_reference())
