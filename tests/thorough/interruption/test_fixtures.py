"""A run of the fixtures that ends while its cluster is created leaves nothing, or leaves it to the next run."""

import os
import secrets
import signal
import sys
from pathlib import Path

import pytest

from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support.driver import docker
from tests.support.eventually import until
from tests.support.leftovers import our_clusters
from tests.support.processes import ended, started
from tests.support.run import Run

TASKS = """\
from kubetasks import Project, namespace
ns = namespace(Project.of("NAME", __file__, manifests=False))
"""
PYTEST = [sys.executable, "-m", "pytest", "-p", "kubetasks.pytest_plugin", "-p", "no:cacheprovider", "-v"]


@pytest.mark.usefixtures("throwaway")  # for the place
@pytest.mark.parametrize(
    ("number", "code", "left"),
    [
        (signal.SIGTERM, -signal.SIGTERM, True),  # nothing handles it
        pytest.param(signal.SIGINT, pytest.ExitCode.INTERRUPTED, False, marks=pytest.mark.exhaustive),
    ],
)
def test_a_cluster_whose_creation_a_signal_ended_is_removed_by_that_run_or_by_the_next(
    this_run: Run, k8s_cluster: Cluster, tmp_path: Path, number: signal.Signals, code: int, left: bool
) -> None:
    name = f"{this_run.prefix}{secrets.token_hex(2)}"
    (tmp_path / "tasks.py").write_text(TASKS.replace("NAME", name))
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    assert k8s_cluster.kubectl('get', 'nodes')\n")
    environment = {"PYTHONPATH": str(PROJECT.folder), "KUBECONFIG": str(k8s_cluster.kubeconfig)}

    def nodes() -> str:
        return docker("ps", "--all", "--quiet", f"--filter=name=^{name}-.*control-plane")

    with started(PYTEST, environment, tmp_path) as run:
        until(lambda: bool(nodes()))
        os.kill(run.pid, number)  # the run alone, as a CI runner does
        told = ended(run, 120)
    assert run.returncode == code, told
    assert bool(nodes()) == left

    with started([*PYTEST, f"--kubetasks-context={k8s_cluster.context}"], environment, tmp_path) as following:
        told = ended(following, 120)
    assert following.returncode == 0, told
    assert docker("ps", "--all", "--quiet", f"--filter=name=^{name}") == "", told
    assert [one for one in our_clusters() if one.startswith(name)] == []
    assert list(tmp_path.glob(".state/*")) == []
