"""The pull path: pinned programs and images, as their projects publish them."""

import hashlib
import platform
from pathlib import Path

from kubetasks import versions
from kubetasks.engine import Engine
from kubetasks.errors import SetupError
from kubetasks.report import Report
from kubetasks.settings import Settings
from kubetasks.setup import images, record

KIND_URL = f"https://github.com/kubernetes-sigs/kind/releases/download/{versions.KIND}/kind-linux-amd64"
METALLB_URL = f"https://raw.githubusercontent.com/metallb/metallb/{versions.METALLB}/config/manifests/metallb-native.yaml"
SECONDS = 30
PIECE = 1 << 20


def file(url: str, sha256: str, target: Path, report: Report) -> None:
    """Download `url` to `target` if its checksum is right. Raises SetupError; then there is no target."""
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


def bring(engine: Engine, settings: Settings, report: Report) -> None:
    """Whatever is missing of kind, MetalLB's manifest, the node image and the base image. Raises SetupError, EngineError."""
    kind, manifest = images.kind_program(settings), images.metallb_manifest(settings)
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
    for reference, present in (images.node_image(engine, settings), images.base_image(engine, settings)):
        if not present:
            image(engine, settings, report, reference)


def image(engine: Engine, settings: Settings, report: Report, reference: str) -> None:
    """Pull an image, and note that we did. Raises EngineError."""
    report.mirror(f"docker pull {reference}")
    with report.step(f"Pulling {reference.split('@')[0]}") as step:
        engine.pull(reference, step.at)
    made = record.read(settings.cache)
    made.pulled = sorted({*made.pulled, reference})
    record.write(settings.cache, made)
