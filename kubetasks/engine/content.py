"""Build contexts: the files of a folder that .dockerignore does not exclude, read once into a tar archive."""

import io
import re
import stat
import tarfile
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from kubetasks.errors import SettingError
from kubetasks.project import files
from kubetasks.project.application import STATE_FOLDER
from kubetasks.project.dockerfile import decode, instructions

IGNORE_FILE = ".dockerignore"
OUTSIDE = ".dockerfile"  # the name in the archive of a Dockerfile outside the build context
IN_MEMORY = 16 << 20  # bytes; a larger archive goes to a file


class Archive(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file that is closed and deleted once nothing refers to it."""

    def __init__(self) -> None:
        super().__init__(IN_MEMORY)

    def __del__(self) -> None:
        self.close()


def name_in(folder: Path, dockerfile: Path) -> str:
    """Return the Dockerfile's name in the archive of the build context `folder`."""
    return dockerfile.relative_to(folder).as_posix() if dockerfile.is_relative_to(folder) else OUTSIDE


def read_context(folder: Path, dockerfile: Path | None = None) -> IO[bytes]:
    """Return a tar archive of the build context `folder`, without what .dockerignore excludes, and with the Dockerfile.

    The same content gives the same bytes. Whatever the umask, all users may read its files, and execute those that their owner
    may execute. `dockerfile` is the context's own by default. Raises OSError, SettingError.
    """
    dockerfile = dockerfile or folder / "Dockerfile"
    file = name_in(folder, dockerfile)
    names = {file, *context_entries(folder)}
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    archive = Archive()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted(names | parents):
            path, entry = dockerfile if name == file else folder / name, tarfile.TarInfo(name)
            if path.is_symlink() and name != file:
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(entry)
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                with path.open("rb") as data:
                    entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
                    entry.size = path.stat().st_size
                    tar.addfile(entry, data)
    archive.seek(0)
    return archive


def read_file(context: IO[bytes], name: str) -> bytes:
    """Return the content of a file in an archive from `read_context`."""
    with tarfile.open(fileobj=rewind(context)) as archive:
        file = archive.extractfile(name)
        return file.read() if file else b""


def rewind(context: IO[bytes]) -> IO[bytes]:
    """Return the archive, positioned at its start."""
    context.seek(0)
    return context


def labelled(context: IO[bytes], name: str, labels: Mapping[str, str]) -> IO[bytes]:
    """Return a copy of the archive whose Dockerfile, called `name`, sets these labels in each stage."""
    words = " ".join(f"{key}={value}" for key, value in labels.items())
    copy = Archive()
    with tarfile.open(fileobj=rewind(context)) as archive, tarfile.open(fileobj=copy, mode="w") as tar:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None  # extractfile follows links
            if file and entry.name == name:
                data = _after_each_from(file.read(), f"LABEL {words}")
                entry.size = len(data)
                file = io.BytesIO(data)
            tar.addfile(entry, file)
    copy.seek(0)
    return copy


def _after_each_from(dockerfile: bytes, line: str) -> bytes:
    """Return the Dockerfile with `line` inserted after each FROM instruction, which may span several lines."""
    text = decode(dockerfile)
    lines = text.removesuffix("\n").split("\n")
    for instruction in reversed(instructions(text)):
        if instruction.keyword == "FROM":
            lines.insert(instruction.end, line)
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def context_entries(folder: Path) -> list[str]:
    """Return the sorted relative paths of the files, links and folders in the build context `folder`.

    What .dockerignore excludes is left out, and so is STATE_FOLDER. Raises SettingError if a pattern in it cannot be parsed.
    """
    from docker.utils.build import exclude_paths

    ignore = folder / IGNORE_FILE
    lines = decode(ignore.read_bytes()).removeprefix("\ufeff").split("\n") if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    kinds = (Path.is_file, Path.is_dir, Path.is_symlink)  # sockets and pipes are left out
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of Python's `re`: a bracket within a bracket
        try:
            entries = exclude_paths(str(folder), [*patterns, f"**/{STATE_FOLDER}"])
        except re.error as error:
            reason = f"a line is not a pattern ({error}; {error.pattern!r} as Python's regular expression)"
            raise SettingError(f"{ignore} cannot be read: {reason}.", files.FIX) from error
    return sorted(name for name in entries if any(kind(folder / name) for kind in kinds))
