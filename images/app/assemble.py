"""Assemble a root file system with an interpreter, packages and what both need, and nothing else: no shell, no package manager.

`python3 assemble.py TARGET PACKAGES` runs in the base image, on any distribution. It copies the interpreter that runs it, the
standard library, the folder PACKAGES and the shared libraries that `ldd` finds for them to the same paths under TARGET.
Modules are compiled here: the file system will be read-only, so each start would compile them again.
"""

import compileall
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# never imported by a server: tests, development tools, GUI toolkits, and their data
UNUSED = (
    "__pycache__",
    "*.a",
    "*.pyi",
    "config-*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "_tkinter*",
    "_test*",
    "_xxtestfuzz*",
)
USER = "nonroot:x:65532:65532::/:/nonexistent\n"
GROUP = "nonroot:x:65532:\n"


def copy(path: Path, target: Path) -> Path:
    """Copy a file or folder, links resolved, to the same path under `target`, and return that path."""
    there = target / path.relative_to("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, there, ignore=shutil.ignore_patterns(*UNUSED))
    else:
        shutil.copy(path, there)
    return there


def libraries(programs: list[Path]) -> set[Path]:
    """Return the shared libraries that the programs load, and the loader. Raises RuntimeError if one is missing."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    if "not found" in said:
        raise RuntimeError(f"A library is missing:\n{said}")
    return set(map(Path, re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)))


def main(target: Path, packages: Path) -> None:
    interpreter = Path(sys.executable).resolve()
    modules = [copy(Path(sysconfig.get_path("stdlib")), target), copy(packages, target)]
    copy(interpreter, target)
    for path in libraries([interpreter, *(path for folder in modules for path in folder.rglob("*.so*"))]):
        if not (target / path.relative_to("/")).exists():
            copy(path, target)
    (target / "bin").mkdir(exist_ok=True)
    (target / "bin/python3").symlink_to(interpreter)
    (target / "etc").mkdir(exist_ok=True)
    (target / "etc/passwd").write_text(USER)
    (target / "etc/group").write_text(GROUP)
    for folder in modules:
        # without time stamps: the same sources give the same bytes
        compileall.compile_dir(
            folder, quiet=2, stripdir=target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, workers=0
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
