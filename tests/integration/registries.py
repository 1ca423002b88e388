"""Registries: Distribution's own in a container, plain, with a password, or with a certificate that nobody knows."""

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
from docker.models.containers import Container

from kubetasks import artifacts, engine
from kubetasks.labels import LABELS
from tests.integration.eventually import eventually
from tests.integration.run import Run

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


@dataclass(frozen=True)
class Registry:
    """`address` is that of this machine, `inside` that of the registry's own network (host:port); `image` is what it runs."""

    address: str
    inside: str
    image: str
    container: Container


@contextmanager
def serve(this_run: Run, folder: Path, config: str = CONFIG, network: str = "bridge") -> Iterator[Registry]:
    """Serve an empty registry from a container on that network of the engine; `folder` is for its files."""
    work = Path(tempfile.mkdtemp(dir=folder))
    found = artifacts.registry_image(engine.connect(), this_run.tasks.settings)
    assert found.present, "./inv setup installs the registry's image"
    (work / "Dockerfile").write_text(DOCKERFILE.format(image=found.reference))
    (work / "config.yml").write_text(config)
    (work / "htpasswd").write_text(f"{USER}:{HASH}\n")
    if config == WITH_CERTIFICATE:
        files = ["-keyout", str(work / "key.pem"), "-out", str(work / "certificate.pem")]
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry", *files]
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    name = f"{this_run.throwaway().cluster}-registry"
    image = f"{name}:1"
    content = {path.name: path.read_bytes() for path in work.iterdir()}
    engine.connect().build(engine.build_context(content), [image], {}, lambda _line: None)
    with closing(docker.from_env()) as client:
        ports = {f"{PORT}/tcp": ("127.0.0.1", 0)}
        container = client.containers.run(image, detach=True, ports=ports, labels=LABELS, name=name, network=network)
        try:
            container.reload()
            (port,) = container.ports[f"{PORT}/tcp"] or []
            address = f"localhost:{port['HostPort']}"
            inside = f"{container.attrs['NetworkSettings']['Networks'][network]['IPAddress']}:{PORT}"
            url = f"{'https' if config == WITH_CERTIFICATE else 'http'}://{address}/v2/"
            _answering(url)
            yield Registry(address, inside, image, container)
        finally:
            container.remove(force=True, v=True)
            client.images.remove(image, force=True)


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
