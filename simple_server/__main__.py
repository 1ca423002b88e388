"""`python -m simple_server`: serve until SIGTERM or SIGINT."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from simple_server.limits import DEFAULTS, Limits

CANNOT_LISTEN = 3


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def main(limits: Limits = DEFAULTS) -> int:
    # Before the slow imports: as process 1 of a container, Python ignores SIGTERM unless it has a handler.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    import time

    from simple_server import identity, options, serve
    from simple_server.app import create_app
    from simple_server.granian_gaps import ListenError
    from simple_server.log import Log
    from simple_server.middleware import Application
    from simple_server.readiness import Readiness

    given = options.read(sys.argv[1:])
    time.sleep(given.start_delay)
    readiness, log = Readiness(), Log(given.log_format, given.log_probes)

    def application() -> Application:
        return create_app(identity.from_environment(), readiness, log, faults=given.faults, close_connections=True)

    try:
        serve.run(application, readiness, given.host, given.port, given.drain, log.serving, log.stopping, limits)
    except ListenError as error:
        print(f"Cannot listen on {given.host}:{given.port}: {error}. Try --host ADDRESS or --port PORT.", file=sys.stderr)
        return CANNOT_LISTEN
    return 0


if __name__ == "__main__":
    sys.exit(main())
