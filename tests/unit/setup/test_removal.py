"""What `setup --remove` does where only the package is installed."""

from pathlib import Path

import pytest

from kubetasks.engine import client
from kubetasks.engine.client import Created
from kubetasks.errors import ClusterError
from kubetasks.setup import receipt, removal
from kubetasks.setup.receipt import Receipt
from tests.unit.configured import configured, door
from tests.unit.setup.recorded import BUILT, FakeEngine

PULLED = ["kindest/node@sha256:1", "python@sha256:2"]


def removed(engine: FakeEngine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    receipt.write(cache, Receipt(pulled=PULLED))
    monkeypatch.setattr(client, "connect", lambda: engine)
    return removal.remove(configured(cache=cache), door())


def test_images_and_the_cache_go_unless_a_container_uses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, cache = FakeEngine(used=PULLED[1]), tmp_path / "cache"
    assert removed(engine, cache, monkeypatch) == [*BUILT, PULLED[0], str(cache)]
    assert engine.removed == [*BUILT, PULLED[0]]
    assert not cache.exists()
    assert removal.remove(configured(cache=cache), door()) == []


def test_while_there_is_a_cluster_of_any_project_nothing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my shop").mkdir()
    shop = Created("shop", "", "kubetasks-shop", str(tmp_path / "my shop"), "kubetasks")
    gone = Created("tea", "minikube", "kubetasks-tea", "/nowhere/tea", "kubetasks")
    engine = FakeEngine(clusters=(shop, gone, Created("old", "", "kubetasks-old", "", "")))
    with pytest.raises(ClusterError) as refused:
        removed(engine, tmp_path / "cache", monkeypatch)
    assert refused.value.sentence == (
        f"Clusters still exist: shop (of {tmp_path}/my shop), tea (of /nowhere/tea), old (of kubetasks-old)."
    )
    of_engine = "docker rm --force --volumes $(docker ps --all --quiet --filter network={0}); docker network rm {0}"
    assert refused.value.hint.splitlines() == [
        f"(cd '{tmp_path}/my shop' && kubetasks clean --all)",
        f"  {of_engine.format('tea')}; docker volume rm tea",
        f"  {of_engine.format('old')}",
    ]
    assert engine.removed == []
    assert (tmp_path / "cache" / receipt.NAME).exists()
