"""Setup on a machine that has everything, and what other projects on it need."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubetasks.engine import client
from kubetasks.errors import ClusterError
from kubetasks.project.application import Project
from kubetasks.setup import removal
from kubetasks.testing.cluster import Cluster
from tests.support.driver import Tasks, docker


@pytest.mark.promise(
    "everything so far", "If you run a task twice", "For `status`, `diagnose`", "`./inv doctor` looks at the machine"
)
def test_a_second_setup_finds_everything_there(clusterless: Tasks) -> None:
    assert clusterless("setup").stderr == "Nothing is missing.\n"
    assert all(item["present"] for item in clusterless.json("doctor")["items"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Cluster]:
    """Half a cluster of another project: its network, which says whose it is."""
    folder = tmp_path / "shop"
    folder.mkdir()
    name = f"shop-{secrets.token_hex(3)}"
    (folder / "invoke.yaml").write_text("kubetasks: {name: shop}\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    made = Cluster(Project.read(folder), {"cluster.name": name})
    labels = [f"--label={key}={value}" for key, value in made.settings.cluster_labels.items()]
    docker("network", "create", *labels, name)
    yield made
    for left in docker("network", "ls", "--quiet", f"--filter=name={name}").split():
        docker("network", "rm", left)


def test_what_another_projects_cluster_needs_is_not_removed_and_its_command_is_told(shop: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as refused:  # not `setup --remove` itself, which would take away what other tests need
        removal.require_no_clusters(client.connect())
    assert f"{shop.name} (of {shop.project.folder})" in refused.value.sentence
    (line,) = (line for line in refused.value.hint.splitlines() if shop.name in line)
    (tmp_path / "kubetasks").write_text(f"#!{sys.executable}\nfrom kubetasks.__main__ import main\nmain()\n")
    (tmp_path / "kubetasks").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(client.__file__).parents[2])}
    subprocess.run(["sh", "-c", line], env=os.environ | path, check=True)
    assert docker("network", "ls", "--quiet", f"--filter=name={shop.name}") == ""
