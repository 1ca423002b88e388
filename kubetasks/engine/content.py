"""A build context: what .dockerignore leaves of a folder, read once, and packed for a build."""

import io
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

IGNORE_FILE = ".dockerignore"


@dataclass(frozen=True)
class Content:
    """What a build context holds, by relative path.

    `files`, of which `programs` are executable; `links` with what they lead to; `folders` that are empty.
    """

    files: Mapping[str, bytes]
    programs: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()


def read_context(folder: Path) -> Content:
    """Read the build context `folder`, after .dockerignore, with its Dockerfile. Raises OSError."""
    files, links, folders = dict[str, bytes](), dict[str, str](), set[str]()
    for name in {"Dockerfile", *context_entries(folder)}:
        path = folder / name
        if path.is_symlink() and name != "Dockerfile":
            links[name] = str(path.readlink())
        elif path.is_dir():
            folders.add(name)
        else:
            files[name] = path.read_bytes()
    programs = frozenset(name for name in files if (folder / name).stat().st_mode & stat.S_IXUSR)
    return Content(files, programs, links, frozenset(folders - _parents([*files, *links, *folders])))


def build_context(content: Content) -> IO[bytes]:
    """A tar archive of the content. Everybody may read its files, whatever the umask, and run its programs."""
    archive, files, links = io.BytesIO(), content.files, content.links
    folders = content.folders | _parents([*files, *links, *content.folders])
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted({*folders, *files, *links}):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if name in folders else tarfile.SYMTYPE if name in links else tarfile.REGTYPE
            entry.mode = 0o755 if name in folders or name in content.programs else 0o644
            entry.linkname = links.get(name, "")
            entry.size = len(files.get(name, b""))
            tar.addfile(entry, io.BytesIO(files.get(name, b"")))
    archive.seek(0)
    return archive


def _parents(names: Iterable[str]) -> set[str]:
    return {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}


def context_entries(folder: Path) -> list[str]:
    """The relative paths of the files, links and folders in the build context `folder`, after .dockerignore, sorted."""
    from docker.utils.build import exclude_paths

    ignore = folder / IGNORE_FILE
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    kinds = (Path.is_file, Path.is_dir, Path.is_symlink)  # a socket or a pipe is none of them
    return sorted(name for name in exclude_paths(str(folder), patterns) if any(kind(folder / name) for kind in kinds))
