"""Creating a cluster from a container with the engine's socket, as in CI: refused first, unless it shares the host's network."""

import subprocess
import sysconfig

import pytest

from hostengine.engine import SOCKET
from kubetasks.engine import client
from kubetasks.errors import EngineError
from kubetasks.project import settings
from kubetasks.setup.requirements import BASE_IMAGE
from tasks import PROJECT

WHY = "This is a container of the engine, and a cluster's ports would answer on the engine's machine alone."


@pytest.mark.parametrize("words", [["doctor"], ["--dry", "start"]])
@pytest.mark.parametrize(("network", "refused"), [("bridge", True), ("host", False)])
def test_a_cluster_that_would_not_answer_here_is_not_created(words: list[str], network: str, refused: bool) -> None:
    image = BASE_IMAGE.find(client.connect(), settings.read(PROJECT, settings.DEFAULTS)).reference
    mounts = {SOCKET: "/var/run/docker.sock", PROJECT.folder: "/project:ro", sysconfig.get_path("purelib"): "/packages:ro"}
    argv = ["docker", "run", "--rm", f"--network={network}", "--workdir=/project", "--env=PYTHONPATH=/packages"]
    argv += [f"--volume={path}:{target}" for path, target in mounts.items()]
    argv += [image, "python3", "-B", "-m", "kubetasks", *words]
    ended = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert (WHY in ended.stdout) == refused
    if refused:
        assert "Run this container with --network=host" in ended.stdout
        assert ended.returncode == (EngineError.code if words == ["doctor"] else 0)  # with --dry, the refusal is a comment
    else:
        assert ("engine         yes" if words == ["doctor"] else "kind create cluster") in ended.stdout
