"""`python -m simple_server`: serve until told to stop."""

import argparse
import os
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

from waitress.server import create_server

from simple_server.app import create_app


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Python as process 1 of a container would ignore SIGTERM; waitress takes SystemExit for the end
    raise SystemExit(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simple_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8080, type=port, help="port to listen on, 0 for any (default: %(default)s)")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    app = create_app(pod=os.environ.get("POD_NAME") or socket.gethostname(), build=os.environ.get("BUILD_ID") or "source")
    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as error:
        print(
            f"Cannot listen on {options.host}:{options.port}: {error.strerror}. Try another one: --port NUMBER",
            file=sys.stderr,
        )
        return 3
    server = create_server(app, sockets=[listener], ident=None)
    print(f"serving on http://{options.host}:{listener.getsockname()[1]}", flush=True)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
