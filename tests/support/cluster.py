"""Clusters: kind's created by pytest-kind, with the configuration of `inv start`, others by `inv start` itself."""

import contextlib
import os
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from pytest_kind import KindCluster

from kubetasks.engine import client
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import requirements
from tests.support.driver import Tasks


def create(tasks: Tasks, options: pytest.Config) -> None:
    """Create the cluster, or use the one that is there. pytest-kind's options, if given, replace the tasks' choices."""
    provider = tasks.provider()
    if not isinstance(provider, Kind):
        tasks("start")
        return
    config = provider.config()
    if provider.phase() == "missing":
        provider.prepare(config)
    with mock.patch.dict(os.environ, config.environment()):
        kind(tasks, config.name, Path(options.getoption("kubeconfig") or config.kubeconfig), provider.config_file, options)
    provider.finish()


def kind(tasks: Tasks, name: str, kubeconfig: Path, config_file: Path, options: pytest.Config) -> None:
    """Let pytest-kind create a cluster with the programs and the node image of these tasks."""
    option = options.getoption
    # pytest-kind creates a folder for downloads in the current one; with these programs it downloads nothing
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        cluster = KindCluster(
            name,
            kubeconfig=kubeconfig,
            image=option("kind_image") or requirements.KIND_NODE_IMAGE.find(client.connect(), tasks.settings).reference,
            kind_path=Path(option("kind_bin") or requirements.KIND.find(None, tasks.settings).reference),
            kubectl_path=Path(option("kind_kubectl_bin") or requirements.kubectl().reference),
        )
    cluster.create(config_file=config_file)
