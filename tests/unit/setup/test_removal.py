"""What `setup --remove` does where nothing but the package is."""

from pathlib import Path

import pytest

from kubetasks.engine import client
from kubetasks.errors import ClusterError
from kubetasks.setup import receipt, removal
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report
from tests.unit.configured import configured


class Engine:
    """Has pulled images, one of which a container uses, one that was built, and clusters."""

    def __init__(self, *clusters: str) -> None:
        self.clusters = clusters
        self.images = {"kindest/node@sha256:1", "python@sha256:2", "simple-server-registry:3"}

    def our_clusters(self) -> list[tuple[str, str]]:
        return [(name, "") for name in self.clusters]

    def image_tags(self, repository: str) -> list[str]:
        return [name for name in self.images if name.startswith(f"{repository}:")]

    def users(self, reference: str) -> list[str]:
        return ["theirs"] if reference.startswith("python") else []

    def remove_image(self, reference: str) -> bool:
        self.images.remove(reference)
        return True


def removed(engine: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    receipt.write(cache, Receipt(pulled=["kindest/node@sha256:1", "python@sha256:2"]))
    monkeypatch.setattr(client, "connect", lambda: engine)
    return removal.remove(configured(cache=cache), Report())


def test_images_and_the_cache_go_unless_a_container_uses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    gone = removed(engine, tmp_path / "cache", monkeypatch)
    assert gone == ["simple-server-registry:3", "kindest/node@sha256:1", str(tmp_path / "cache")]
    assert engine.images == {"python@sha256:2"}
    assert not (tmp_path / "cache").exists()
    assert removal.remove(configured(cache=tmp_path / "cache"), Report()) == []


def test_while_there_is_a_cluster_nothing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("shop")
    with pytest.raises(ClusterError, match="Clusters of ours still exist: shop"):
        removed(engine, tmp_path / "cache", monkeypatch)
    assert len(engine.images) == 3
    assert (tmp_path / "cache" / receipt.NAME).exists()
