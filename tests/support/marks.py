"""Marks: on which providers' clusters a test runs. Without one: on the default provider's."""

import pytest

from kubetasks.project.settings import DEFAULTS, PROVIDERS_OF_OUR_OWN

default_provider = pytest.mark.providers(DEFAULTS["cluster"]["provider"])
every_provider = pytest.mark.providers(*PROVIDERS_OF_OUR_OWN)
