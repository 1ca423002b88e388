"""The tests. What assertions of tests/support compare is shown as that of a test."""

import pytest

pytest.register_assert_rewrite("tests.support")
