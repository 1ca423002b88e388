"""Download pinned programs and pull pinned images, as their projects publish them."""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path

from kubetasks.engine.client import Engine, PullError
from kubetasks.errors import SetupError, TaskError
from kubetasks.project.settings import Settings
from kubetasks.project.words import DOCS, INV
from kubetasks.setup import receipt
from kubetasks.setup.requirements import File, Requirement
from kubetasks.terminal.door import Door

SECONDS = 30
PIECE = 1 << 20
CERTIFICATE_ERROR = "CERTIFICATE_VERIFY_FAILED"  # in Python's message
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # Linux's names to Go's; macOS says arm64, as Go does


def file(url: str, sha256: str, target: Path, do: Door, *, program: bool = False) -> None:
    """Download `url` to `target`, and check it; `program` makes it executable. Raises SetupError, and then creates no target."""
    import http.client
    import urllib.request

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    total = hashlib.sha256()
    try:
        with do.step(f"Downloading {target.name}") as at, urllib.request.urlopen(url, timeout=SECONDS) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            with part.open("wb") as out:
                while piece := answer.read(PIECE):
                    total.update(piece)
                    out.write(piece)
                    at("", out.tell(), size or None)
                if out.tell() < size:
                    raise OSError(f"the connection ended after {out.tell()} of {size} bytes")
    except (OSError, http.client.HTTPException) as error:
        part.unlink(missing_ok=True)
        message = f"{url} could not be downloaded: {error}."
        if CERTIFICATE_ERROR in str(error):
            trust = f"SSL_CERT_FILE=FILE {INV} setup trusts your company's authority: {DOCS}/setup.md"
            raise SetupError(message, f"Is the clock right? {trust}") from error
        raise UnreachableError(message, f"Try again: {INV} setup") from error
    if total.hexdigest() != sha256:
        part.unlink()
        raise SetupError(f"{url} has the wrong checksum: SHA-256 {total.hexdigest()}, not the pinned {sha256}.")
    if program:
        part.chmod(0o755)  # before the rename: a killed run must not leave one that is not executable
    part.rename(target)


class UnreachableError(SetupError):
    """A file cannot be downloaded; the sources that it is built from may still be reachable."""


def fetch(engine: Engine, settings: Settings, do: Door, needed: Sequence[Requirement]) -> list[TaskError]:
    """Pull missing images and download missing files; return the first failure of the images and that of the files, if any.

    Raises SetupError or EngineError if the cause would prevent building them too.
    """
    failures: list[TaskError] = []
    for files in (False, True):
        try:
            for need in needed:
                if isinstance(need, File) == files:
                    _fetch(engine, settings, do, need)
        except (PullError, UnreachableError) as error:  # the rest of them would fail on the same network
            failures.append(error)
    return failures


def _fetch(engine: Engine, settings: Settings, do: Door, need: Requirement) -> None:
    artifact = need.find(engine, settings)
    if artifact.present:
        return
    if isinstance(need, File):
        _download(need, Path(artifact.reference), do)
        return
    image(engine, settings.cache, do, artifact.reference)
    if need.tagged and not engine.image_id(artifact.short):
        engine.tag(artifact.reference, artifact.short)
        _record(settings.cache, artifact.short)


def host(system: str = platform.system(), machine: str = platform.machine()) -> str:
    """Return this machine's platform as release files name it: linux-amd64, darwin-arm64."""
    return f"{system.lower()}-{ARCHITECTURES.get(machine.lower(), machine.lower())}"


def _download(need: File, target: Path, do: Door) -> None:
    chosen = "" if "" in need.sha256 else host()
    if chosen not in need.sha256:
        raise SetupError(f"{need.name} {need.version} has no release for {chosen}.", f"Use one of {', '.join(need.sha256)}")
    file(need.url.format(platform=chosen), need.sha256[chosen], target, do, program=need.program)


def image(engine: Engine, cache: Path, do: Door, reference: str) -> None:
    """Pull an image, and record it in the receipt. Raises EngineError."""
    do(["docker", "pull", reference], lambda at: engine.pull(reference, at), f"Pulling {reference.split('@')[0]}")
    _record(cache, reference)


def _record(cache: Path, reference: str) -> None:
    with receipt.changed(cache) as current:
        current.pulled = sorted({*current.pulled, reference})
