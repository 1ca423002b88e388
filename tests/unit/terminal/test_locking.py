"""One run at a time changes a cluster or an application; another one waits and says so. No lock file is left."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kubetasks.project.settings import Settings
from kubetasks.terminal import locking
from kubetasks.terminal.report import Report
from tests.support.eventually import until
from tests.unit.configured import configured


@pytest.fixture
def ours(tmp_path: Path) -> Settings:
    return configured(cache=tmp_path / "cache", folder=tmp_path)


def of_the_cluster(ours: Settings) -> AbstractContextManager[None]:
    return locking.cluster(ours.cluster, ours.cache / "demo.lock", ours.state_folder, Report().tell)


def of_the_application(ours: Settings) -> AbstractContextManager[None]:
    return locking.application(ours.cache, "arn:aws:eks/demo", ours.provider, ours.namespace, Report().tell)


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (of_the_cluster, "Another run is creating, changing or deleting cluster simple-server; waiting for it to end."),
        (of_the_application, "Another run is changing namespace default of arn:aws:eks/demo; waiting"),
    ],
)
def test_another_run_waits_and_says_so(
    ours: Settings, capsys: pytest.CaptureFixture[str], lock: Callable[[Settings], AbstractContextManager[None]], said: str
) -> None:
    order: list[str] = []

    def other() -> None:
        with lock(ours):
            order.append("other")

    with ThreadPoolExecutor() as pool, lock(ours):
        pool.submit(other)
        until(lambda: said in capsys.readouterr().err, timeout=60)
        order.append("first")
    assert order == ["first", "other"]
    assert list(ours.cache.iterdir()) == []


def test_other_namespaces_and_other_clusters_do_not_wait(ours: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = dataclasses.replace(ours, namespace="elsewhere")
    with of_the_application(ours), of_the_application(elsewhere), of_the_cluster(ours):
        assert len(list(ours.cache.iterdir())) == 3
    assert capsys.readouterr().err == ""
