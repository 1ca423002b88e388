"""Images of the public registries, or what stands for them where no registry can be reached: made of Debian's packages.

A stand-in has a name of the run, so that it goes with it, and what the tests use of the image.
"""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubetasks.engine import client
from kubetasks.project.versions import DEBIAN
from nodeimages import build, names, rootfs
from tests.support.driver import docker
from tests.support.run import Run

POSTGRES = """\
#!/bin/sh
set -eu
PATH=/usr/lib/postgresql/17/bin:$PATH
echo "$POSTGRES_PASSWORD" >/tmp/password
initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$PGDATA" postgres
exec postgres -D "$PGDATA" -c listen_addresses='*'
"""


def python(_folder: Path, name: str) -> None:
    docker("tag", names.python(DEBIAN), name)


def golang(folder: Path, name: str) -> None:
    """The base image, which trusts what this machine trusts, with this machine's Go."""
    root = subprocess.check_output(["go", "env", "GOROOT"], text=True).strip()
    text = f"FROM {names.python(DEBIAN)}\nCOPY . /usr/local/go\nENV PATH=/usr/local/go/bin:$PATH\n"
    (folder / "Dockerfile").write_text(text)
    docker("build", "--quiet", "--tag", name, "--file", str(folder / "Dockerfile"), str(Path(root).resolve()))


def node(folder: Path, name: str) -> None:
    rootfs.make(folder / "root", ["nodejs"], log=folder / "log")
    build.import_root(client.connect(), folder / "root", name, [])


def postgres(folder: Path, name: str) -> None:
    root = folder / "root"
    rootfs.make(root, ["postgresql-17"], log=folder / "log", debian="trixie")
    with (root / "etc/passwd").open("a") as users:
        users.write("database:x:999:999::/:/bin/sh\n")
    (root / "entrypoint.sh").write_text(POSTGRES)
    (root / "entrypoint.sh").chmod(0o755)
    build.import_root(client.connect(), root, name, ['ENTRYPOINT ["/entrypoint.sh"]'])


RECIPES: dict[str, Callable[[Path, str], None]] = {
    "python:3.14-slim": python,
    "golang:1.26": golang,
    "node:22-slim": node,
    "postgres:17": postgres,
}


def use(run: Run, folder: Path) -> None:
    """Let the files of an application in `folder` name stand-ins, if setup has built the base image: the engine cannot pull."""
    if client.connect().image_id(names.python(DEBIAN)) is None:
        return
    for file in [*folder.rglob("Dockerfile"), *folder.glob("k8s/*.yaml")]:
        text = file.read_text()
        for name in RECIPES:
            if name in text:
                text = text.replace(name, _made(run, name))
        file.write_text(text)


def _made(run: Run, name: str) -> str:
    reference = f"{run.prefix}{name}"

    def make() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            RECIPES[name](Path(folder), reference)
        return {}

    run.once(f"image-{name.partition(':')[0]}", make)
    return reference
