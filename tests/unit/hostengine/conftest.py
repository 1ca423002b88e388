"""As in the tests of setup, no test here reaches the machine."""

from tests.unit.setup.conftest import unreachable  # noqa: F401
