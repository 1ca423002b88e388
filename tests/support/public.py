"""Images of public registries, or stand-ins built from Debian packages where no registry can be reached.

A stand-in has what the tests use of the image. It is built once per machine, and `setup --remove` removes it.
"""

import inspect
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from kubetasks.engine import client
from kubetasks.project.labels import TOOL
from kubetasks.project.settings import Settings
from kubetasks.project.versions import DEBIAN
from kubetasks.setup import receipt
from kubetasks.setup.requirements import BASE_REPOSITORY
from kubetasks.terminal.report import Report
from nodeimages import build, names, rootfs
from tests.support.driver import docker

BASE = names.python(DEBIAN)
POSTGRES = """\
#!/bin/sh
set -eu
PATH=/usr/lib/postgresql/17/bin:$PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" >/tmp/password
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$PGDATA" postgres
fi
postgres -D "$PGDATA" -c listen_addresses='*' &
trap 'kill -INT $!' TERM # the published image is stopped by SIGINT: SIGTERM would wait for its clients
wait
wait
"""
# the base image trusts this machine's certificates; what is compiled here is not compiled again by each build
GOLANG = f"""\
FROM {BASE}
LABEL {TOOL.selector}
COPY . /usr/local/go
ENV PATH=/usr/local/go/bin:$PATH CGO_ENABLED=0
RUN go build net/http database/sql && go build -trimpath net/http database/sql
"""


def golang(folder: Path, name: str) -> None:
    """With this machine's Go."""
    root = subprocess.check_output(["go", "env", "GOROOT"], text=True).strip()
    (folder / "Dockerfile").write_text(GOLANG)
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


def redis(folder: Path, name: str) -> None:
    rootfs.make(folder / "root", ["redis-server"], log=folder / "log")
    build.import_root(client.connect(), folder / "root", name, [])


Recipe = Callable[[Path, str], None]
RECIPES: dict[str, Recipe] = {"golang:1.26": golang, "node:22-slim": node, "postgres:17": postgres, "redis:7": redis}


def use(settings: Settings, folder: Path) -> None:
    """Let an application's files in `folder` refer to stand-ins if setup has built the base image, as the engine cannot pull."""
    if client.connect().image_id(names.python(DEBIAN)) is None:
        return
    for file in [*folder.rglob("Dockerfile"), *folder.glob("k8s/*.yaml")]:
        text = re.sub("python:3.14-slim(?!@)", BASE, file.read_text())  # one pinned by digest is the tasks' own
        for name in RECIPES:
            if name in text:
                text = text.replace(name, _made(settings, name))
        file.write_text(text)


def _made(settings: Settings, name: str) -> str:
    recipe = inspect.getsource(RECIPES[name]) + POSTGRES + GOLANG
    reference = f"{BASE_REPOSITORY}:{name.replace(':', '-')}-{names.digest(BASE, recipe.encode())}"
    with receipt.locked(settings.cache, Report().tell):
        if client.connect().image_id(reference) is None:
            with tempfile.TemporaryDirectory() as folder:
                RECIPES[name](Path(folder), reference)
    return reference
