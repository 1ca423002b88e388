"""What setup says of what it does not install."""

import pytest

from kubetasks.actions import machine
from kubetasks.errors import SetupError
from kubetasks.machine import install, inventory
from kubetasks.machine.inventory import Item
from tests.unit.actions.fakes import OwnProvider, context


def test_without_the_docker_cli_setup_does_not_say_that_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "install", lambda *_: False)
    for present in (True, False):
        items = [Item("engine", True, "Docker 28"), Item(inventory.DOCKER, present, "", "Install it")]
        monkeypatch.setattr(inventory, "look", lambda *_, items=items: items)
        if present:
            assert not machine.setup(context(OwnProvider(changed=False)))
    with pytest.raises(SetupError, match="The Docker CLI is missing") as told:
        machine.setup(context(OwnProvider(changed=False)))
    assert told.value.hint == "Install it"
