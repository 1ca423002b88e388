"""Images of third parties that this machine's engine has: a node gets the current one, once."""

import secrets
from collections.abc import Iterator

import pytest

from kubetasks.engine import client
from kubetasks.setup import requirements
from tests.support.driver import Tasks, docker


@pytest.fixture
def reference() -> Iterator[str]:
    """A name with an organisation and without a registry, as on Docker Hub."""
    name = f"test-{secrets.token_hex(3)}/database:1"
    yield name
    docker("rmi", "--force", name)


def test_one_that_is_rebuilt_under_its_tag_is_loaded_again_and_one_that_is_not_is_left_alone(
    app: Tasks, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, provider = client.connect(), app.provider()
    (node,) = app.nodes()

    def supplied() -> str:
        provider.supply([reference])
        return capsys.readouterr().err

    def on_node() -> str:
        return app.node_images()[f"docker.io/{reference}"]

    docker("tag", requirements.REGISTRY.find(engine, app.settings).reference, reference)
    assert supplied().startswith(f"Loading {reference} into cluster {app.cluster}: done")
    assert supplied() == ""
    first = on_node()
    docker("tag", requirements.BASE_IMAGE.find(engine, app.settings).reference, reference)
    told = supplied()
    assert f"{reference} is another image now" in told
    assert on_node() != first
    assert supplied() == ""
    docker("exec", node, "ctr", "--namespace=k8s.io", "images", "rm", f"docker.io/{reference}")
