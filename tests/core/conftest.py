"""Fixtures for tests on pytest-kind's cluster, and for tests of the page."""

from collections.abc import Callable
from functools import partial

import pytest
from pytest_kind import KindCluster

from tests.support.browser import browser, open_page  # noqa: F401

pytest_plugins = ("kubetasks.pytest_plugin", "tests.support.kind", "tests.support.fixtures")


@pytest.fixture
def kubectl(kind_cluster: KindCluster, k8s_namespace: str) -> Callable[..., str]:
    """pytest-kind's kubectl, in the test's namespace."""
    return partial(kind_cluster.kubectl, f"--namespace={k8s_namespace}")
