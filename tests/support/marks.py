"""Marks: on which providers' clusters a test runs. Without one, it runs on the default provider's."""

import pytest

from kubetasks.project.settings import CREATING_PROVIDERS, DEFAULTS

default_provider = pytest.mark.providers(DEFAULTS["cluster"]["provider"])
every_provider = pytest.mark.providers(*CREATING_PROVIDERS)
