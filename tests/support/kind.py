"""pytest-kind's cluster, which the tests share: a fixture like pytest-kind's, but with the tasks' configuration.

pytest-kind's own fixture passes no configuration, so no port is mapped; it creates the cluster in each worker of pytest-xdist,
and deletes an existing one. pytest-kind's options apply: `--cluster-name`, `--keep-cluster`, `--kubeconfig`, `--kind-image`,
`--kind-bin`, `--kind-kubectl-bin`. With a provider other than kind, its object runs kubectl, and the tasks create the cluster.
"""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pytest_kind import KindCluster

from kubetasks.engine import client
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import requirements
from tests.support import leftovers, run
from tests.support.processes import begun, ended
from tests.support.run import Run

BUILD_SECONDS = 300
NAME = "cluster"  # the name of the result that the run's processes share


@pytest.fixture(scope="session")
def kind_cluster(this_run: Run) -> KindCluster:
    """The cluster that the tests share, with a load balancer; the engine has the application's image."""
    cluster = configured(this_run, this_run.tasks.cluster, this_run.tasks.kubeconfig)
    this_run.once(NAME, lambda: _create(this_run, cluster))
    return cluster


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Delete the cluster, if this run created it, once no worker is left; the package's plugin removes its network."""
    try:
        return (yield)
    finally:
        config, of_this = session.config, run.of(session.config)
        ends = not (hasattr(config, "workerinput") or config.getoption("keep_cluster"))
        if ends and of_this.known(NAME).get("created"):
            configured(of_this, of_this.tasks.cluster, of_this.tasks.kubeconfig).delete()


def configured(this_run: Run, name: str, kubeconfig: Path) -> KindCluster:
    """Return pytest-kind's object, with pytest-kind's options or else what the tasks use. Creates nothing."""
    option, settings = this_run.config.getoption, this_run.tasks.settings
    image = option("kind_image") or requirements.KIND_NODE_IMAGE.find(client.connect(), settings).reference
    with contextlib.chdir(this_run.folder):  # it creates a download folder here, but given these programs, it downloads nothing
        return KindCluster(
            name,
            kubeconfig=Path(option("kubeconfig") or kubeconfig),
            image=image,
            kind_path=Path(option("kind_bin") or requirements.KIND.find(None, settings).reference),
            kubectl_path=Path(option("kind_kubectl_bin") or requirements.kubectl().reference),
        )


def _create(this_run: Run, cluster: KindCluster) -> dict[str, Any]:
    """Let pytest-kind create the cluster, unless it exists, and build the application's image meanwhile."""
    tasks, provider = this_run.tasks, this_run.tasks.provider()
    missing = provider.phase() == "missing"
    with begun(tasks, "build") as building:
        if missing:
            tasks.as_cluster(this_run.ledger).note()
            if isinstance(provider, Kind):
                config = provider.config()
                provider.prepare(config)
                with mock.patch.dict(os.environ, config.environment()):
                    cluster.create(provider.config_file)
                provider.finish(config.nodes)
            tasks("start")  # installs the load balancer; with another provider, creates the cluster
        else:
            provider.cluster()  # raises an error if it is stopped
        output = ended(building, BUILD_SECONDS)
        assert building.returncode == 0, f"The image could not be built:\n{output}"
    leftovers.keep_stages()
    return {"created": missing and isinstance(provider, Kind)}
