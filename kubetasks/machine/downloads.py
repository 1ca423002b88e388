"""Download pinned programs and pull pinned images, as their projects publish them."""

import hashlib
import platform
from pathlib import Path

from kubetasks import artifacts, equivalents, versions
from kubetasks.engine import Engine
from kubetasks.errors import SetupError
from kubetasks.machine import receipt
from kubetasks.report import Report
from kubetasks.settings import Settings

KIND_URL = f"https://github.com/kubernetes-sigs/kind/releases/download/{versions.KIND}/kind-linux-amd64"
METALLB_URL = f"https://raw.githubusercontent.com/metallb/metallb/{versions.METALLB}/config/manifests/metallb-native.yaml"
REGISTRIES = ("https://registry-1.docker.io/v2/", "https://quay.io/v2/", "https://registry.k8s.io/v2/")
SECONDS = 30
PROBE_SECONDS = 3
PIECE = 1 << 20


def reached(url: str) -> bool:
    """Whether a registry answers there, even with a refusal."""
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(url, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # registries greet with 401
    except OSError:
        return False
    return True


def file(url: str, sha256: str, target: Path, report: Report) -> None:
    """Download `url` to `target` and check it. Raises SetupError, and then leaves no target."""
    import urllib.request

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    total = hashlib.sha256()
    try:
        with report.step(f"Downloading {target.name}") as step, urllib.request.urlopen(url, timeout=SECONDS) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            with part.open("wb") as out:
                while piece := answer.read(PIECE):
                    total.update(piece)
                    out.write(piece)
                    step.at("", out.tell(), size or None)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SetupError(f"{url} could not be downloaded: {error}", "Try again: ./inv setup") from error
    if total.hexdigest() != sha256:
        part.unlink()
        raise SetupError(f"{url} is not what was pinned: SHA-256 {total.hexdigest()}, not {sha256}.")
    part.rename(target)


def pull(engine: Engine, settings: Settings, report: Report) -> None:
    """Download kind and MetalLB's manifest and pull the images, whichever is missing. Raises SetupError, EngineError."""
    kind, manifest = Path(artifacts.kind(settings).reference), Path(artifacts.metallb_manifest(settings).reference)
    if not kind.exists():
        checksum = versions.KIND_SHA256.get(platform.machine())
        if checksum is None:
            raise SetupError(
                f"No checksum of kind {versions.KIND} is known for {platform.machine()}: only x86_64 is supported so far."
            )
        file(KIND_URL, checksum, kind, report)
        kind.chmod(0o755)
    if not manifest.exists():
        file(METALLB_URL, versions.METALLB_MANIFEST_SHA256, manifest, report)
    for wanted in (artifacts.node_image(engine, settings), artifacts.base_image(engine, settings)):
        if not wanted.present:
            image(engine, settings, report, wanted.reference)


def image(engine: Engine, settings: Settings, report: Report, reference: str) -> None:
    """Pull an image, and record it in the receipt. Raises EngineError."""
    report.equivalent(equivalents.pull(reference))
    with report.step(f"Pulling {reference.split('@')[0]}") as step:
        engine.pull(reference, step.at)
    with receipt.changed(settings.cache) as made:
        made.pulled = sorted({*made.pulled, reference})
