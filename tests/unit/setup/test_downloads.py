"""Downloads are checked before they are used."""

import hashlib
import io
import ssl
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from http.client import BadStatusLine
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest

from kubetasks.errors import SetupError
from kubetasks.setup import downloads, requirements
from tests.unit.configured import door
from tests.unit.failing import raising

PROGRAM = b"program"
CHECKSUM = hashlib.sha256(PROGRAM).hexdigest()


def test_a_download_with_another_checksum_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (source := tmp_path / "source").write_bytes(PROGRAM)
    target = tmp_path / "bin" / "program"
    with pytest.raises(SetupError, match="has the wrong checksum"):
        downloads.file(source.as_uri(), "0" * 64, target, door())
    assert list(target.parent.iterdir()) == []
    downloads.file(source.as_uri(), CHECKSUM, target, door())
    assert target.read_bytes() == PROGRAM


def half(*_given: object, **_more: object) -> AbstractContextManager[Any]:
    """Return an answer that ends after 4 of 100 bytes."""
    return nullcontext(SimpleNamespace(headers={"Content-Length": "100"}, read=io.BytesIO(b"half").read))


AGAIN = "Try again: ./inv setup"


@pytest.mark.parametrize(
    ("answer", "told", "unreachable", "hint"),
    [
        (half, "the connection ended after 4 of 100 bytes", True, AGAIN),
        (raising(BadStatusLine("220 a captive portal")), "220 a captive portal", True, AGAIN),
        (raising(URLError(OSError("Name or service not known"))), "Name or service not known", True, AGAIN),
        (raising(URLError(ssl.SSLError(1, "CERTIFICATE_VERIFY_FAILED"))), "VERIFY_FAILED", False, "SSL_CERT_FILE=FILE"),
    ],
    ids=["the connection drops", "the answer is no HTTP", "there is no such host", "the certificate is not trusted"],
)
def test_what_fails_is_told_with_what_to_do_and_only_what_lies_elsewhere_is_a_reason_to_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Callable[..., Any], told: str, unreachable: bool, hint: str
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(SetupError, match=f"could not be downloaded: .*{told}") as refused:
        downloads.file("https://example.com/kind", "0" * 64, tmp_path / "kind", door())
    assert isinstance(refused.value, downloads.UnreachableError) == unreachable
    assert hint in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_program_can_be_run_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (source := tmp_path / "source").write_bytes(PROGRAM)
    monkeypatch.setattr(Path, "rename", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        downloads.file(source.as_uri(), CHECKSUM, tmp_path / "target", door(), program=True)
    assert (tmp_path / "target.part").stat().st_mode & 0o777 == 0o755


@pytest.mark.promise("macOS and arm64 may work")
@pytest.mark.parametrize("system", ["Linux", "Darwin"])
@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_every_supported_platform_has_a_pinned_release(system: str, machine: str, architecture: str) -> None:
    name = downloads.host(system, machine)
    assert name == f"{system.lower()}-{architecture}"
    for need in (requirements.KIND, requirements.MINIKUBE):
        assert name in need.sha256
        assert need.url.format(platform=name).endswith(f"/{need.name}-{name}")


def test_a_platform_without_a_release_is_refused_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(downloads, "host", lambda: "linux-riscv64")
    with pytest.raises(SetupError, match=r"kind v\S+ has no release for linux-riscv64"):
        downloads._download(requirements.KIND, tmp_path / "kind", door())
    assert list(tmp_path.iterdir()) == []
