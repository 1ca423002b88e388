"""The runtime wrapper: a container gets no capability that this machine lacks."""

import pytest

from kubetasks.setup import limited_runc

# /proc/self/status of a process whose bounding set lacks CAP_SYS_RESOURCE (number 24)
STATUS = "Name:\tx\nCapBnd:\t000001fffeffffff\n"


def test_the_lacking_capability_is_named() -> None:
    assert limited_runc.lacking(STATUS, 40) == ["CAP_SYS_RESOURCE"]
    assert limited_runc.lacking("CapBnd:\t000001ffffffffff\n", 40) == []


def test_a_container_is_asked_for_no_more_than_there_is() -> None:
    process = {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
    limited_runc.limit(process, limited_runc.bounding_set(STATUS))
    assert process["capabilities"] == {"bounding": ["CAP_CHOWN"], "effective": []}
    limited_runc.limit({}, set())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "id"], ("/b/config.json", True)),
        (["exec", "--process", "/p.json", "--detach", "id"], ("/p.json", False)),
        (["exec", "id", "true"], None),
        (["delete", "id"], None),
    ],
)
def test_only_what_runc_is_about_to_read_is_rewritten(arguments: list[str], expected: tuple[str, bool] | None) -> None:
    assert limited_runc.specification(arguments) == expected
