"""Downloads are checked before they are used."""

import hashlib
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubetasks.errors import SetupError
from kubetasks.setup import downloads, requirements
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.failing import raising


def test_a_download_with_another_checksum_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"program")
    target = tmp_path / "bin" / "program"
    with pytest.raises(SetupError, match="not what was pinned"):
        downloads.file(source.as_uri(), "0" * 64, target, Report())
    assert list(target.parent.iterdir()) == []
    downloads.file(source.as_uri(), hashlib.sha256(b"program").hexdigest(), target, Report())
    assert target.read_bytes() == b"program"


def test_a_download_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="could not be downloaded"):
        downloads.file((tmp_path / "nothing").as_uri(), "0" * 64, tmp_path / "target", Report())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "the connection ended after 4 of 100 bytes"),
        (b"220 a captive portal of another kind\r\n", "220 a captive portal"),
    ],
)
def test_a_connection_that_drops_and_an_answer_that_is_no_http_are_told_as_what_they_are(
    tmp_path: Path, answer: bytes, told: str
) -> None:
    with answering(answer) as url, pytest.raises(SetupError, match="could not be downloaded") as refused:
        downloads.file(url, "0" * 64, tmp_path / "target", Report())
    assert told in refused.value.sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reason", "unreachable", "hint"),
    [
        (
            ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
            False,
            "SSL_CERT_FILE=FILE",
        ),
        (OSError("Name or service not known"), True, "Try again: ./inv setup"),
    ],
)
def test_only_what_lies_elsewhere_is_a_reason_to_build_and_a_certificate_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: OSError, unreachable: bool, hint: str
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", raising(urllib.error.URLError(reason)))
    with pytest.raises(SetupError, match=re.escape(str(reason.args[-1]))) as refused:
        downloads.file("https://example.com/kind", "0" * 64, tmp_path / "kind", Report())
    assert isinstance(refused.value, downloads.UnreachableError) == unreachable
    assert hint in refused.value.hint


def test_a_program_can_be_run_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (source := tmp_path / "source").write_bytes(b"program")
    modes: list[int] = []

    def rename(part: Path, _target: Path) -> None:
        modes.append(part.stat().st_mode & 0o777)
        part.unlink()

    monkeypatch.setattr(Path, "rename", rename)
    checksum = hashlib.sha256(b"program").hexdigest()
    for program in (True, False):
        downloads.file(source.as_uri(), checksum, tmp_path / "target", Report(), program=program)
    assert modes == [0o755, 0o644]


def test_a_program_that_cannot_be_run_is_missing(tmp_path: Path) -> None:
    settings = configured(cache=tmp_path, images="pull")
    file = Path(requirements.KIND.find(None, settings).reference)
    file.parent.mkdir()
    for mode in (0o755, 0o644):
        file.touch(mode)
        file.chmod(mode)
        assert requirements.KIND.find(None, settings).present == (mode == 0o755)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that gives one answer and closes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


@pytest.mark.promise("Both macOS and arm64 are allowed but untested")
@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
    ],
)
def test_every_supported_platform_has_a_pinned_release(system: str, machine: str, name: str) -> None:
    assert downloads.host(system, machine) == name
    for need in (requirements.KIND, requirements.MINIKUBE):
        assert name in need.sha256
        assert need.url.format(platform=name).endswith(f"/{need.name}-{name}")


def test_a_platform_without_a_release_is_refused_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(downloads, "host", lambda: "linux-riscv64")
    with pytest.raises(SetupError, match=r"kind v\S+ has no release for linux-riscv64"):
        downloads._download(requirements.KIND, tmp_path / "kind", Report())
    assert list(tmp_path.iterdir()) == []
