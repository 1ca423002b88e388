"""`python -m simple_server`: serve until SIGTERM or SIGINT."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from simple_server.limits import DEFAULTS, Limits

CANNOT_LISTEN = 3


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)  # nothing is open yet; Python drops an exception that is raised while an object is destroyed


def main(limits: Limits = DEFAULTS) -> int:
    # Both before the slow imports. As process 1 of a container, Python ignores SIGTERM unless it has a handler. And a probe
    # that is refused comes again only a second later; one that is connected waits for the answer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    import time
    from functools import partial

    from simple_server import listening, options

    given = options.read(sys.argv[1:])
    time.sleep(given.start_delay)
    try:
        listener = listening.listen(given.host, given.port, limits.write_timeout)
    except listening.ListenError as error:
        print(f"Cannot listen on {given.host}:{given.port}: {error}. Try --host ADDRESS or --port PORT.", file=sys.stderr)
        return CANNOT_LISTEN

    from simple_server import identity, serve
    from simple_server.app import create_app
    from simple_server.log import Log
    from simple_server.middleware import Application
    from simple_server.readiness import Readiness

    readiness, log = Readiness(), Log(given.log_format, given.log_probes)

    def application() -> Application:
        return create_app(identity.from_environment(), readiness, log, faults=given.faults, close_connections=True)

    serve.run(application, readiness, listener, given.drain, partial(log.serving, listener.url), log.stopping, limits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
