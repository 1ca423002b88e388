"""Which image is wanted, and what built ones are called."""

from kubetasks import artifacts


def test_names_of_built_images_follow_their_content() -> None:
    assert artifacts.built_node("1.36").startswith("simple-server-node:v1.36.3-")
    assert artifacts.digest("ab", "c") != artifacts.digest("a", "bc")
