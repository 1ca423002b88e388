"""Images of the public registries, and what stands for them in the engine where no registry can be reached.

A stand-in has the name of the image and what the examples use of it, made of Debian's packages.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kubetasks.engine import client
from kubetasks.project.settings import Settings
from kubetasks.project.versions import DEBIAN
from kubetasks.setup import install
from nodeimages import build, names, rootfs
from tests.support.driver import docker

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
    docker("build", "--tag", name, "--file", str(folder / "Dockerfile"), str(Path(root).resolve()))


def postgres(folder: Path, name: str) -> None:
    root = folder / "root"
    rootfs.make(root, ["postgresql-17"], log=folder / "log", debian="trixie")
    with (root / "etc/passwd").open("a") as users:
        users.write("database:x:999:999::/:/bin/sh\n")
    (root / "entrypoint.sh").write_text(POSTGRES)
    (root / "entrypoint.sh").chmod(0o755)
    build._import(client.connect(), root, name, ['ENTRYPOINT ["/entrypoint.sh"]'])


RECIPES: dict[str, Callable[[Path, str], None]] = {"python:3.14-slim": python, "golang:1.26": golang, "postgres:17": postgres}


@contextmanager
def there(settings: Settings, *wanted: str) -> Iterator[None]:
    """Until the end of the block, the engine has these images, or a registry that has them can be reached."""
    engine = client.connect()
    with ExitStack() as made, tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            if install.source(settings) == "build" and not engine.image_id(name):
                (own := Path(folder) / name.partition(":")[0]).mkdir()
                RECIPES[name](own, name)
                made.callback(docker, "rmi", name)
        yield
