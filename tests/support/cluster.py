"""Clusters: kind's created by pytest-kind, with the configuration of `inv start`, others by `inv start` itself."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from pytest_kind import KindCluster

from kubetasks.providers.kind.config import Config, free_port
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
    cluster = _described(tasks, config, options)
    if provider.phase() == "missing":
        provider.prepare(config)
    with mock.patch.dict(os.environ, config.environment()):
        cluster.create(config_file=provider.config_file)
    provider.finish()


def any_port() -> int:
    """A free port of 127.0.0.1, from a range that a person's cluster is unlikely to want."""
    return free_port(20000 + secrets.randbelow(9000))


def _described(tasks: Tasks, config: Config, options: pytest.Config) -> KindCluster:
    option = options.getoption
    # pytest-kind creates a folder for downloads in the current one; with these programs it downloads nothing
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return KindCluster(
            config.name,
            kubeconfig=Path(option("kubeconfig") or config.kubeconfig),
            image=option("kind_image") or config.image,
            kind_path=Path(option("kind_bin") or requirements.KIND.find(None, tasks.settings).reference),
            kubectl_path=Path(option("kind_kubectl_bin") or requirements.kubectl().reference),
        )
