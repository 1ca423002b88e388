"""One run of the suite, beside the session of the package's plugin: what its processes share, and the images put aside for it.

With pytest-xdist, the controller starts and ends it. The first worker that needs the cluster creates it; the others wait.
"""

import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from filelock import FileLock, Timeout

from kubetasks.providers.kind.config import free_port
from kubetasks.pytest_plugin import TOKEN, _session
from kubetasks.terminal.report import Report
from kubetasks.testing import session, shared_folder
from kubetasks.testing.cluster import remove
from kubetasks.testing.ledger import remove_dead
from tests.support import leftovers, locks
from tests.support.driver import Tasks

PYTEST_KINDS_OWN_NAME = "pytest-kind"  # the default of --cluster-name: no name was requested
PLACES = 2  # for two cores
PLACE_SECONDS = 0.5  # then the next place is tried
RUN = pytest.StashKey["Run"]()


class Run:
    """All names that it gives, except the shared cluster's, start with `prefix`; its processes share `folder`."""

    def __init__(self, config: pytest.Config) -> None:
        token = config.stash[TOKEN]
        self.config, self.folder = config, shared_folder(token)
        self.prefix = f"test-{token}-t"  # no name of the shared cluster, which may be kept, starts like this
        asked = str(config.getoption("cluster_name"))
        port = session.FIRST_PORT + int(token[1:], 16) % session.PORTS
        self.tasks = Tasks(f"test-{token}" if asked == PYTEST_KINDS_OWN_NAME else asked, port)
        self.ledger = _session(config).ledger  # located now, before a test sets another cache folder

    def begin(self) -> None:
        """Remove what killed runs left, and put the user's images aside, once per run: workers leave it to their controller."""
        if self.folder.exists() or hasattr(self.config, "workerinput"):
            return
        self.folder.mkdir()
        self.ledger.hold()
        with locks.engine().read_lock():
            for problem in remove_dead(remove):
                Report().say(problem)
        locks.join(if_first=leftovers.put_aside)

    def end(self) -> None:
        """Remove what the plugin's ledger does not list. The last of several runs puts the images back."""
        leftovers.remove(self.prefix)
        locks.leave(if_last=leftovers.put_back)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `make` returned in the first process that asked, as JSON. If it failed, every test that asks fails."""
        try:
            with locks.engine().read_lock():
                return session.once(self.folder, name, make)
        except session.BrokenError as error:
            pytest.fail(f"What the tests share could not be made ({name}):\n{error}", pytrace=False)

    def known(self, name: str) -> dict[str, Any]:
        """Return what `once` has returned in any process, or {} if none has asked yet."""
        file = self.folder / f"{name}.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places for tests with their own cluster: more than PLACES at a time would only slow each other down."""
        with contextlib.ExitStack() as held:
            for number in itertools.cycle(range(PLACES)):
                with contextlib.suppress(Timeout):
                    held.enter_context(FileLock(self.folder / f"place-{number}.lock", timeout=PLACE_SECONDS))
                    break
            yield

    def last_use(self, name: str, uses: int) -> bool:
        """Count one use of what the processes of the run share; return whether it was the last of `uses`."""
        path = self.folder / f"{name}.uses"
        with FileLock(path.with_suffix(".lock")), path.open("a") as counted:
            counted.write("1")
            return counted.tell() == uses

    def unique(self) -> str:
        """Return a unique name, with the prefix by which the run removes what a test leaves."""
        return f"{self.prefix}{secrets.token_hex(2)}"


def any_port() -> int:
    """Return a free port of 127.0.0.1, from a range that the user's clusters are unlikely to use."""
    return free_port(session.FIRST_PORT + secrets.randbelow(session.PORTS))


def of(config: pytest.Config) -> Run:
    """Return the run that this process belongs to."""
    if RUN not in config.stash:
        config.stash[RUN] = Run(config)
    return config.stash[RUN]
