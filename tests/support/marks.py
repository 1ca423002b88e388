"""Marks: on which providers' clusters a test runs, and in which tier. Without one: on the default provider's, in its folder's."""

import pytest

from kubetasks.project.settings import DEFAULTS, PROVIDERS_OF_OUR_OWN

default_provider = pytest.mark.providers(DEFAULTS["cluster"]["provider"])
exhaustive = pytest.mark.exhaustive
every_provider = pytest.mark.providers(*PROVIDERS_OF_OUR_OWN)
