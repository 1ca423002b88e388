"""A rootless engine that may not limit containers' resources: `doctor`, and tasks that would create a cluster, refuse it."""

import pytest

from ci import engines
from hostengine import packages
from kubetasks.errors import EngineError
from kubetasks.project import settings
from tasks import PROJECT
from tests.support.driver import Tasks
from tests.unit.configured import door

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(not packages.possible(), reason="starting a second engine needs root on Debian or Ubuntu"),
]


def test_it_is_refused_by_what_would_create_a_cluster_and_nothing_else_is(clusterless: Tasks) -> None:
    with engines.rootless(settings.read(PROJECT, settings.DEFAULTS), door()) as engine:
        host = engine.variables["DOCKER_HOST"]
        for word in ("doctor", "setup", "start"):
            ended = clusterless.typed(word, code=EngineError.code, DOCKER_HOST=host)
            first, hint = ended.stderr.splitlines()
            assert first.startswith("The engine is rootless, and "), word
            assert "docs/setup.md#rootless" in hint, word
        for word in ("status", "clean"):
            clusterless.typed(word, DOCKER_HOST=host)
