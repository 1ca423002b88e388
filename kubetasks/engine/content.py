"""A build context: what .dockerignore leaves of a folder, read once, and packed for a build."""

import io
import re
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kubetasks.project.application import STATE_FOLDER

IGNORE_FILE = ".dockerignore"
OUTSIDE = ".dockerfile"  # what a Dockerfile outside of the build context is called in the archive
CONTINUED = re.compile(r"\\[ \t]*\n")
STAGE = re.compile(rb"FROM\s", re.IGNORECASE)
BACKTICK = re.compile(rb"#\s*escape\s*=\s*`", re.IGNORECASE)  # at the beginning: what makes a line go on
ARGUMENTS = re.compile(r"^\s*ARG\s+(.*)$", re.IGNORECASE | re.MULTILINE)
ARGUMENT = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")


def name_in(folder: Path, dockerfile: Path) -> str:
    """What a Dockerfile is called in the archive of the build context `folder`."""
    return dockerfile.relative_to(folder).as_posix() if dockerfile.is_relative_to(folder) else OUTSIDE


def read_context(folder: Path, dockerfile: Path | None = None) -> bytes:
    """A tar archive of the build context `folder`, after .dockerignore, with its own Dockerfile or another one. Raises OSError.

    The same content gives the same bytes. Everybody may read its files, whatever the umask, and run its programs.
    """
    dockerfile = dockerfile or folder / "Dockerfile"
    file = name_in(folder, dockerfile)
    archive, names = io.BytesIO(), {file, *context_entries(folder)}
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted(names | parents):
            path, entry, data = dockerfile if name == file else folder / name, tarfile.TarInfo(name), b""
            if path.is_symlink() and name != file:
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            else:
                data = path.read_bytes()
                entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def read_file(context: bytes, name: str) -> bytes:
    """A file in such an archive."""
    with tarfile.open(fileobj=io.BytesIO(context)) as archive:
        file = archive.extractfile(name)
        return file.read() if file else b""


def labelled(context: bytes, name: str, labels: Mapping[str, str]) -> bytes:
    """Such an archive, in whose Dockerfile of that name each stage has these labels."""
    words = " ".join(f"{key}={value}" for key, value in labels.items()).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(context)) as archive, tarfile.open(fileobj=made, mode="w") as tar:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None  # it would follow a link
            data = file.read() if file else b""
            if entry.name == name:
                data = _after_each_from(data, b"LABEL " + words)
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _after_each_from(dockerfile: bytes, line: bytes) -> bytes:
    """The Dockerfile with that line after each instruction FROM, which may go on over several lines."""
    escape = b"`" if BACKTICK.match(dockerfile) else b"\\"
    made: list[bytes] = []
    begins, stage = True, False
    for one in dockerfile.splitlines():
        made.append(one)
        text = one.strip()
        if not text or text.startswith(b"#"):  # also within an instruction
            continue
        stage = STAGE.match(text) is not None if begins else stage
        begins = not text.endswith(escape)
        if begins and stage:
            made.append(line)
    return b"\n".join([*made, b""])


def arguments(dockerfile: bytes) -> dict[str, str]:
    """The build arguments that a Dockerfile declares, each with its first default, or ""."""
    declared: dict[str, str] = {}
    for line in ARGUMENTS.findall(CONTINUED.sub(" ", dockerfile.decode(errors="replace"))):
        for name, default in ARGUMENT.findall(line):
            declared.setdefault(name, default.strip("\"'"))
    return declared


def context_entries(folder: Path) -> list[str]:
    """The relative paths of the files, links and folders in the build context `folder`, sorted.

    Without what .dockerignore leaves out, and without STATE_FOLDER.
    """
    from docker.utils.build import exclude_paths

    ignore = folder / IGNORE_FILE
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    kinds = (Path.is_file, Path.is_dir, Path.is_symlink)  # a socket or a pipe is none of them
    found = exclude_paths(str(folder), [*patterns, f"**/{STATE_FOLDER}"])
    return sorted(name for name in found if any(kind(folder / name) for kind in kinds))
