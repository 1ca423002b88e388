"""What setup says of what it does not install."""

import pytest

from kubetasks.errors import SetupError
from kubetasks.pipeline import machine
from kubetasks.setup import install, inventory, needs
from kubetasks.setup.inventory import Item
from tests.unit.pipeline.fakes import OwnProvider, run_on


def test_without_the_docker_cli_setup_does_not_say_that_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "install", lambda *_: False)
    ours = OwnProvider(changed=False)
    monkeypatch.setattr(ours, "needs", (needs.KIND,))
    monkeypatch.setattr(inventory, "docker", lambda: Item(inventory.DOCKER, True, "/usr/bin/docker"))
    assert not machine.setup(run_on(ours))
    monkeypatch.setattr(inventory, "docker", lambda: Item(inventory.DOCKER, False, "", "Install it"))
    with pytest.raises(SetupError, match="The Docker CLI is missing") as told:
        machine.setup(run_on(ours))
    assert told.value.hint == "Install it"
