"""Runs of the suite, even interrupted ones, delete the cluster that they created and no other; so do the package's fixtures."""

import os
import signal
import sys
from pathlib import Path

import pytest

from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support.driver import docker
from tests.support.eventually import until
from tests.support.leftovers import our_clusters
from tests.support.processes import ended, started, until_line
from tests.support.run import Run

TASKS = """\
from kubetasks import Project, namespace
ns = namespace(Project.of("NAME", __file__, manifests=False))
"""
PYTEST = [sys.executable, "-m", "pytest", "-p", "kubetasks.pytest_plugin", "-p", "no:cacheprovider", "-v"]


@pytest.mark.runs_the_suite
@pytest.mark.parametrize(
    ("number", "phase", "workers"),
    [
        (signal.SIGTERM, "", "2"),
        pytest.param(signal.SIGTERM, "PASSED", "2", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGTERM, "Preparing nodes", "0", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, "Starting control-plane", "0", marks=pytest.mark.exhaustive),
    ],
)
def test_the_suite_leaves_no_cluster(this_run: Run, number: signal.Signals, phase: str, workers: str) -> None:
    name = this_run.unique()
    argv = [sys.executable, "-m", "pytest", "-vs", f"-n{workers}", f"--cluster-name={name}", "tests/core/test_scale.py"]
    with started(argv, {}) as process:
        if phase:
            until_line(process, phase)
        else:  # a worker's output does not appear here
            until(lambda: docker("ps", "--quiet", f"--filter=name=^{name}-control-plane") != "")
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)  # only the process, as a CI runner does
        output = ended(process, 600)  # it may have to wait for another test's lock
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [one for one in our_clusters() if one.startswith(name)] == [], output
    assert docker("ps", "--all", "--quiet", f"--filter=name=^{name}") == ""
    assert list((PROJECT.folder / ".state").glob(f"{name}*")) == []


@pytest.mark.exhaustive
@pytest.mark.runs_the_suite
@pytest.mark.parametrize("keep", [[], ["--keep-cluster"]], ids=["deleted", "kept"])
def test_pytest_kind_deletes_the_cluster_at_the_end_or_keeps_it_if_asked(this_run: Run, tmp_path: Path, keep: list[str]) -> None:
    name, kubeconfig = this_run.unique(), tmp_path / "kubeconfig"
    test = "tests/core/test_deploy.py::test_its_image_is_never_pulled"
    argv = [sys.executable, "-m", "pytest", "-n0", f"--cluster-name={name}", f"--kubeconfig={kubeconfig}", *keep, test]
    with started(argv, {}) as process:
        output = ended(process, 600)
    assert process.returncode == 0, output
    assert bool(docker("ps", "--quiet", f"--filter=name=^{name}-control-plane")) == bool(keep)
    assert (f"kind-{name}" in kubeconfig.read_text()) == bool(keep)


@pytest.mark.exhaustive
@pytest.mark.runs_the_suite
@pytest.mark.usefixtures("k8s_cluster")
def test_the_suite_leaves_a_cluster_that_was_there_before(this_run: Run) -> None:
    name = this_run.tasks.cluster
    before = docker("ps", "--no-trunc", "--quiet", f"--filter=name=^{name}")
    argv = [sys.executable, "-m", "pytest", "-n0", f"--cluster-name={name}", "tests/thorough/machine/test_setup.py"]
    with started(argv, {}) as process:
        output = ended(process, 600)
    assert process.returncode == 0, output
    assert docker("ps", "--no-trunc", "--quiet", f"--filter=name=^{name}") == before
    assert this_run.tasks.provider().phase() == "running"


@pytest.mark.usefixtures("throwaway")  # takes a place, because the test creates a cluster
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
    name = this_run.unique()
    (tmp_path / "tasks.py").write_text(TASKS.replace("NAME", name))
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    assert k8s_cluster.kubectl('get', 'nodes')\n")
    environment = {"PYTHONPATH": str(PROJECT.folder), "KUBECONFIG": str(k8s_cluster.kubeconfig)}

    def nodes() -> str:
        return docker("ps", "--all", "--quiet", f"--filter=name=^{name}-.*control-plane")

    with started(PYTEST, environment, tmp_path) as run:
        until(lambda: bool(nodes()))
        os.kill(run.pid, number)  # only the process, as a CI runner does
        told = ended(run, 120)
    assert run.returncode == code, told
    assert bool(nodes()) == left

    with started([*PYTEST, f"--kubetasks-context={k8s_cluster.context}"], environment, tmp_path) as following:
        told = ended(following, 120)
    assert following.returncode == 0, told
    assert docker("ps", "--all", "--quiet", f"--filter=name=^{name}") == "", told
    assert [one for one in our_clusters() if one.startswith(name)] == []
    assert list(tmp_path.glob(".state/*")) == []
