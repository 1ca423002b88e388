"""Download pinned programs and pull pinned images, as their projects publish them."""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path

from kubetasks.engine.client import Engine
from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.setup import receipt
from kubetasks.setup.requirements import File, Requirement
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report

REGISTRIES = ("https://registry-1.docker.io/v2/", "https://quay.io/v2/", "https://registry.k8s.io/v2/")
SECONDS = 30
PROBE_SECONDS = 3
PIECE = 1 << 20
MISTRUSTED = "CERTIFICATE_VERIFY_FAILED"  # Python's word for it
TRUST = "Is the clock right? SSL_CERT_FILE=FILE ./inv setup trusts your company's authority: docs/setup.md"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # Go's names for Linux's; macOS has Go's own


def reached(url: str) -> bool:
    """Whether a registry answers there, even with a refusal. Raises SetupError if this machine does not trust what answers."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(url, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # registries greet with 401
    except (OSError, http.client.HTTPException) as error:  # the second from what speaks no HTTP
        if MISTRUSTED in str(error):
            raise SetupError(f"{url} is answered by somebody whom this machine does not trust: {error}", TRUST) from error
        return False
    return True


def file(url: str, sha256: str, target: Path, report: Report) -> None:
    """Download `url` to `target` and check it. Raises SetupError, and then leaves no target."""
    import http.client
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
                if out.tell() < size:
                    raise OSError(f"the connection ended after {out.tell()} of {size} bytes")
    except (OSError, http.client.HTTPException) as error:
        part.unlink(missing_ok=True)
        hint = TRUST if MISTRUSTED in str(error) else "Try again: ./inv setup"
        raise SetupError(f"{url} could not be downloaded: {error}", hint) from error
    if total.hexdigest() != sha256:
        part.unlink()
        raise SetupError(f"{url} is not what was pinned: SHA-256 {total.hexdigest()}, not {sha256}.")
    part.rename(target)


def pull(engine: Engine, settings: Settings, report: Report, needed: Sequence[Requirement]) -> None:
    """Pull the images and download the files that are missing, the images first. Raises SetupError, EngineError."""
    for need in sorted(needed, key=lambda need: isinstance(need, File)):
        found = need.find(engine, settings)
        if found.present:
            continue
        if isinstance(need, File):
            _download(need, Path(found.reference), report)
        else:
            image(engine, settings, report, found.reference)
            if need.tagged and not engine.image_id(found.short):
                engine.tag(found.reference, found.short)
                _record(settings, found.short)


def host(system: str = platform.system(), machine: str = platform.machine()) -> str:
    """The platform of this machine as releases call it: linux-amd64, darwin-arm64."""
    return f"{system.lower()}-{ARCHITECTURES.get(machine.lower(), machine.lower())}"


def _download(need: File, target: Path, report: Report) -> None:
    chosen = "" if "" in need.sha256 else host()
    if chosen not in need.sha256:
        raise SetupError(f"{need.name} {need.version} has no release for {chosen}.", f"Use one of {', '.join(need.sha256)}")
    file(need.url.format(platform=chosen), need.sha256[chosen], target, report)
    if need.program:
        target.chmod(0o755)


def image(engine: Engine, settings: Settings, report: Report, reference: str) -> None:
    """Pull an image, and record it in the receipt. Raises EngineError."""
    report.equivalent(shell.line(["docker", "pull", reference]))
    with report.step(f"Pulling {reference.split('@')[0]}") as step:
        engine.pull(reference, step.at)
    _record(settings, reference)


def _record(settings: Settings, reference: str) -> None:
    with receipt.changed(settings.cache) as made:
        made.pulled = sorted({*made.pulled, reference})
