"""Registries: Distribution's own in a container, plain, with a password, or with a certificate that nobody knows."""

import hashlib
import json
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from kubetasks.engine import client
from kubetasks.engine.content import read_context
from kubetasks.project.labels import TOOL
from kubetasks.setup import requirements
from tests.support import driver, leftovers
from tests.support.eventually import eventually
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


DOCKERS_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCIS_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCIS_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Registry:
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
    with closing(docker.from_env()) as sdk:
        ports = {f"{PORT}/tcp": ("127.0.0.1", 0)}
        container = sdk.containers.run(image, detach=True, ports=ports, labels=TOOL.labels, name=name, network=network)
        container.reload()
        (port,) = container.ports[f"{PORT}/tcp"] or []
        inside = f"{container.attrs['NetworkSettings']['Networks'][network]['IPAddress']}:{PORT}"
    address = f"localhost:{port['HostPort']}"
    _answering(f"{'https' if config == WITH_CERTIFICATE else 'http'}://{address}/v2/")
    return Registry(address, inside, name, image)


def of_two_platforms(registry: Registry, name: str) -> str:
    """Push an image for this machine's architecture and for one that nobody has, under one name; return that."""
    entries = []
    for architecture in (driver.docker("version", "--format={{.Server.Arch}}").strip(), "s390x"):
        reference = f"{registry.address}/{name}:{architecture}"
        driver.docker("import", f"--platform=linux/{architecture}", "-", reference, stdin=driver.EMPTY)
        driver.docker("push", "--quiet", reference)
        driver.docker("rmi", reference)
        content = _manifest(registry, name, architecture)
        kind, platform = json.loads(content).get("mediaType", OCIS_MANIFEST), {"os": "linux", "architecture": architecture}
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        entries.append({"mediaType": kind, "digest": digest, "size": len(content), "platform": platform})
    _manifest(registry, name, "1", json.dumps({"schemaVersion": 2, "mediaType": OCIS_INDEX, "manifests": entries}).encode())
    return f"{registry.address}/{name}:1"


def _manifest(registry: Registry, name: str, tag: str, index: bytes | None = None) -> bytes:
    """Get the manifest of a tag, or put an index there."""
    headers = {"Content-Type": OCIS_INDEX, "Accept": ", ".join((DOCKERS_MANIFEST, OCIS_MANIFEST))}
    url = f"http://{registry.address}/v2/{name}/manifests/{tag}"
    request = urllib.request.Request(url, index, headers, method="PUT" if index else "GET")
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
        return content


@eventually(30)
def _answering(url: str) -> None:
    """Something answers at the URL, if only with a certificate that nobody knows."""
    try:
        urllib.request.urlopen(url, timeout=3).close()
    except urllib.error.HTTPError:
        pass  # it wants a password
    except OSError as error:
        if not isinstance(getattr(error, "reason", None), ssl.SSLError):
            raise AssertionError(f"{url} does not answer") from error
