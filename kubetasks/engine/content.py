"""A build context: what .dockerignore leaves of a folder, read once, and packed for a build."""

import io
import re
import stat
import tarfile
from pathlib import Path, PurePosixPath

from kubetasks.project.application import STATE_FOLDER

IGNORE_FILE = ".dockerignore"
CONTINUED = re.compile(r"\\[ \t]*\n")
ARGUMENTS = re.compile(r"^\s*ARG\s+(.*)$", re.IGNORECASE | re.MULTILINE)
ARGUMENT = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")


def read_context(folder: Path) -> bytes:
    """A tar archive of the build context `folder`, after .dockerignore, with its Dockerfile. Raises OSError.

    The same content gives the same bytes. Everybody may read its files, whatever the umask, and run its programs.
    """
    archive, names = io.BytesIO(), {"Dockerfile", *context_entries(folder)}
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted(names | parents):
            path, entry, data = folder / name, tarfile.TarInfo(name), b""
            if path.is_symlink() and name != "Dockerfile":
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            else:
                data = path.read_bytes()
                entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def dockerfile(context: bytes) -> bytes:
    """The Dockerfile in such an archive."""
    with tarfile.open(fileobj=io.BytesIO(context)) as archive:
        file = archive.extractfile("Dockerfile")
        return file.read() if file else b""


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
    found = exclude_paths(str(folder), [*patterns, STATE_FOLDER])
    return sorted(name for name in found if any(kind(folder / name) for kind in kinds))
