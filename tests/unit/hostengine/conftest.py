"""As in the tests of setup, no test here touches this machine."""

from tests.unit.setup.conftest import unreachable  # noqa: F401
