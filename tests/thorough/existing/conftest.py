"""The fixtures of tests on a cluster of others, whose `app` takes the place of the suite's own."""

from tests.support.stranger import app, documented_user, stranger, user  # noqa: F401
