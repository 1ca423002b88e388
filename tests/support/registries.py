"""Registries: CNCF Distribution in a container, with or without a password."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kubetasks.engine import client
from kubetasks.project.labels import TOOL
from kubetasks.providers.registry import ENVIRONMENT, PORT
from kubetasks.setup import requirements
from tests.support import answers, leftovers
from tests.support.driver import docker
from tests.support.eventually import until
from tests.support.run import Run

FILES = "/files"  # in the container
USER, PASSWORD = "reader", "opensesame"
HASH = "$2a$04$FdlmkYYIGlYSRlTIi//e0ekUVCWFBw.nfqa7T0YmX3XJU9Xp1VTV2"  # bcrypt hash of the password
# environment variables of the registry
WITH_PASSWORD = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "test",
    "REGISTRY_AUTH_HTPASSWD_PATH": f"{FILES}/htpasswd",
}


class Registry(NamedTuple):
    """`address` is the registry's host:port on this machine, `inside` the one on its Docker network.

    `name` is the name of its container, `image` the container's image.
    """

    address: str
    inside: str
    name: str
    image: str

    def trusted_by(self, node: str) -> None:
        """Let a node pull images named after `address`, from `inside`, without TLS."""
        folder = f"/etc/containerd/certs.d/{self.address}"
        script = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
        docker("exec", "-i", node, "sh", "-ec", script, stdin=f'server = "http://{self.inside}"\n')


@contextmanager
def serve(this_run: Run, folder: Path, config: Mapping[str, str] = {}, network: str = "bridge") -> Iterator[Registry]:
    """Serve an empty registry until the block ends; see `start`."""
    registry = start(this_run, folder, config, network)
    try:
        yield registry
    finally:
        leftovers.remove(registry.name)


def start(this_run: Run, folder: Path, config: Mapping[str, str] = {}, network: str = "bridge") -> Registry:
    """Start an empty registry in a container on the Docker network `network`; `folder` is for its files."""
    work = Path(tempfile.mkdtemp(dir=folder))
    (work / "htpasswd").write_text(f"{USER}:{HASH}\n")
    name = f"{this_run.unique()}-registry"
    image = requirements.REGISTRY.find(client.connect(), this_run.tasks.settings).reference
    options = [f"--name={name}", f"--network={network}", f"--label={TOOL.selector}", f"--publish=127.0.0.1::{PORT}"]
    options += [f"--env={variable}={value}" for variable, value in {**ENVIRONMENT, **config}.items()]
    docker("create", *options, image)
    docker("cp", str(work), f"{name}:{FILES}")
    docker("start", name)
    (container,) = json.loads(docker("inspect", name))
    (port,) = container["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
    inside = f"{container['NetworkSettings']['Networks'][network]['IPAddress']}:{PORT}"
    address = f"localhost:{port['HostPort']}"
    until(lambda: not answers.silent(f"http://{address}"))  # an error, such as for a missing password, is an answer too
    return Registry(address, inside, name, image)
