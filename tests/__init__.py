"""The tests. pytest explains failed assertions in tests/support as it does in test modules."""

import pytest

pytest.register_assert_rewrite("tests.support")
