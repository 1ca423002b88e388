"""Setup on a machine that already has everything."""

import pytest

from tests.support.driver import Tasks


@pytest.mark.promise(
    "everything so far", "If you run a task twice", "For `status`, `diagnose`", "`./inv doctor` looks at the machine"
)
def test_a_second_setup_finds_everything_there(clusterless: Tasks) -> None:
    assert clusterless("setup").stderr == "Nothing is missing.\n"
    assert all(item["present"] for item in clusterless.json("doctor")["items"])
