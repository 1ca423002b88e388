"""Registries: Distribution's own in a container, plain, with a password, or with a certificate that nobody knows."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kubetasks.engine import client
from kubetasks.engine.content import read_context
from kubetasks.project.labels import TOOL
from kubetasks.setup import requirements
from tests.support import answers, driver, leftovers
from tests.support.eventually import until
from tests.support.run import Run

PORT = 5000
DOCKERFILE = """\
FROM {image}
COPY . /
ENTRYPOINT ["registry", "serve", "/config.yml"]
"""
CONFIG = """\
version: 0.1
storage: {inmemory: {}}
http: {addr: ":5000", secret: none}
"""
USER, PASSWORD = "reader", "opensesame"
HASH = "$2a$04$FdlmkYYIGlYSRlTIi//e0ekUVCWFBw.nfqa7T0YmX3XJU9Xp1VTV2"  # of the password, by bcrypt
WITH_PASSWORD = CONFIG + "auth: {htpasswd: {realm: test, path: /htpasswd}}\n"
WITH_CERTIFICATE = CONFIG.replace("secret: none", "secret: none, tls: {certificate: /certificate.pem, key: /key.pem}")


class Registry(NamedTuple):
    """`address` is that of this machine, `inside` that of the registry's own network (host:port).

    `name` is that of its container, `image` what that runs.
    """

    address: str
    inside: str
    name: str
    image: str


@contextmanager
def serve(this_run: Run, folder: Path, config: str = CONFIG, network: str = "bridge") -> Iterator[Registry]:
    """Serve an empty registry until the block ends; see `start`."""
    registry = start(this_run, folder, config, network)
    try:
        yield registry
    finally:
        leftovers.remove(registry.name)


def start(this_run: Run, folder: Path, config: str = CONFIG, network: str = "bridge") -> Registry:
    """Start an empty registry in a container on that network of the engine; `folder` is for its files."""
    work = Path(tempfile.mkdtemp(dir=folder))
    engine = client.connect()
    found = requirements.REGISTRY.find(engine, this_run.tasks.settings)
    assert found.present, "./inv setup installs the registry's image"
    (work / "Dockerfile").write_text(DOCKERFILE.format(image=found.reference))
    (work / "config.yml").write_text(config)
    (work / "htpasswd").write_text(f"{USER}:{HASH}\n")
    if config == WITH_CERTIFICATE:
        files = ["-keyout", str(work / "key.pem"), "-out", str(work / "certificate.pem")]
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry", *files]
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    name = f"{this_run.unique()}-registry"
    image = f"{name}:1"
    engine.build(read_context(work), [image], {}, lambda _line: None)
    container = engine.serve(name, image, network, (0, PORT), TOOL.labels, {})
    container.reload()
    (port,) = container.ports[f"{PORT}/tcp"] or []
    inside = f"{container.attrs['NetworkSettings']['Networks'][network]['IPAddress']}:{PORT}"
    address = f"localhost:{port['HostPort']}"
    until(lambda: not answers.silent(f"http://{address}"))  # a refusal of plain HTTP, or without a password, is an answer too
    return Registry(address, inside, name, image)


def of_two_platforms(registry: Registry, name: str) -> str:
    """Push an image for this machine's architecture and for one that nobody has, under one name; return that."""
    both = f"{registry.address}/{name}:1"
    parts = [f"{both}-{part}" for part in (driver.docker("version", "--format={{.Server.Arch}}").strip(), "s390x")]
    for part in parts:
        driver.docker("import", f"--platform=linux/{part.rpartition('-')[2]}", "-", part, stdin=driver.EMPTY)
        driver.docker("push", "--quiet", part)
        driver.docker("rmi", part)
    driver.docker("manifest", "create", "--insecure", both, *parts)
    driver.docker("manifest", "push", "--insecure", "--purge", both)
    return both
