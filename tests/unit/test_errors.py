"""The causes of an error."""

from kubetasks.errors import causes


def test_an_error_that_led_to_itself_has_an_end() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__cause__ = second, first
    assert list(causes(first)) == [first, second]
