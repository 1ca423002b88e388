"""What a user may do with a cluster that does not run, or that can only be deleted."""

from pathlib import Path

import pytest

from kubetasks.errors import ClusterError
from kubetasks.pipeline import cluster, removal
from kubetasks.providers.base import Phase
from tests.unit.pipeline.living import World, world


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return world(tmp_path, monkeypatch)


def test_the_kubeconfig_of_a_stopped_cluster_is_printed_or_kubectl_would_take_another_one(
    there: World, capsys: pytest.CaptureFixture[str]
) -> None:
    there.provider._phase, there.provider.kubeconfig = "stopped", str(there.folder / "kubeconfig")
    (there.folder / "kubeconfig").touch()
    assert cluster.kubeconfig(there.run) == there.provider.kubeconfig
    assert "Cluster ours is stopped: ./inv start\n" in capsys.readouterr().err


def test_all_of_it_can_be_removed_if_the_keys_to_the_cluster_are_gone(there: World) -> None:
    def phase() -> Phase:
        if there.provider._phase == "running":
            raise ClusterError("The keys to cluster ours are gone.")
        return "missing"

    there.provider._phase = "running"
    there.patch.setattr(there.provider, "phase", phase)
    with pytest.raises(ClusterError):
        removal.clean(there.run, everything=False)
    assert removal.clean(there.run, everything=True)
    assert there.provider._phase == "missing"
