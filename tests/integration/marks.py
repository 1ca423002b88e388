"""Marks: on which providers' clusters a test runs. Without one, a test is of the default provider alone."""

import pytest

from kubetasks.settings import DEFAULTS, PROVIDERS_OF_OUR_OWN

default_provider = pytest.mark.providers(DEFAULTS["cluster"]["provider"])
every_provider = pytest.mark.providers(*PROVIDERS_OF_OUR_OWN)
