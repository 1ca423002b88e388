"""Setup on a machine that has everything."""

from tests.support.driver import Tasks


def test_a_second_setup_finds_everything_there(throwaway: Tasks) -> None:
    assert throwaway("setup").stderr == "Nothing is missing.\n"
    assert all(item["present"] for item in throwaway.json("doctor")["items"])
