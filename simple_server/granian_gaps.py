"""What granian lacks, and how this server closes each gap. Issue and pull request numbers are granian's own.

- Two servers can share a port. granian sets SO_REUSEPORT on Linux (issue 544, pull request 546), so a second server
  starts without an error, and clients reach two counters. `reserve_port` binds the port before granian does.
- The port that replaces port 0 is not reported (issue 711). `reserve_port` returns it.
- Nothing tells when the server answers: "Listening at" is logged before a worker runs (issue 711), and there is no
  systemd notification (issue 381, open). `run_in_worker` connects until it succeeds, then calls `on_serving`.
- A response has no write timeout, so as many stalled clients as there may be connections block the server for good.
  No upstream issue found; the one about reading a slow body (728) is closed as "wontfix". The kernel closes such
  connections: `set_write_timeout`.
- There is no drain: workers stop at the signal, and no hook runs before (issue 293, open, asks for one).
  `replace_signal_handlers` leaves it to the caller when to stop.
- SIGHUP starts a new worker (issue 100, pull request 182), whose count begins again at 1, and no option turns that off.
  `replace_signal_handlers` restores the default action: the process ends, and its worker with it.
- Ctrl-C reaches the worker, which then stops without a drain. No upstream issue found. The worker leaves the terminal's
  process group: `run_in_worker`.
- A worker outlives a main process that is killed, and keeps answering. No upstream issue found. A thread of the worker
  waits for the main process to end: `run_in_worker`.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from simple_server.middleware import Application

CONNECT_TIMEOUT = 1.0  # seconds
CONNECT_INTERVAL = 0.005  # seconds between attempts


class ListenError(Exception):
    """The address cannot be listened on; the message is the reason."""


class Reservation(NamedTuple):
    """An address that belongs to this process and its worker for as long as the sockets are open."""

    host: str
    port: int
    sockets: tuple[socket.socket, socket.socket]

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


def reserve_port(host: str, port: int) -> Reservation:
    """Bind an address for granian to share, and prevent any other process from listening on it.

    Port 0 is any free port. Raise ListenError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        reserved = socket.socket(family, kind, protocol)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(address)
        host, port = reserved.getsockname()[:2]
        # Two servers that start at the same moment can both bind. Only one of them gets this name in the abstract
        # namespace, which the kernel frees once the processes that hold the socket end.
        exclusive = socket.socket(socket.AF_UNIX)
        exclusive.bind(f"\0simple-server {(host, port)}")
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # only now: it admits granian's own socket
    except (OSError, UnicodeError) as error:
        raise ListenError(getattr(error, "strerror", None) or str(error)) from error
    return Reservation(host, port, (reserved, exclusive))


def replace_signal_handlers(stop: Callable[[], None]) -> None:
    """Call `stop` for each SIGTERM and SIGINT; let SIGHUP end the process. Run this in granian's startup hook."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run_in_worker(
    load: Callable[[], Application], reservation: Reservation, write_timeout: int, on_serving: Callable[[str], None]
) -> Application:
    """Prepare the worker process and return the application that `load` returns. Call `on_serving` once it answers."""
    os.setpgid(0, 0)

    def announce() -> None:
        _wait_until_serving(reservation)
        set_write_timeout(reservation.port, write_timeout)
        on_serving(reservation.url)

    for target in (_exit_with_parent, announce):
        threading.Thread(target=target, daemon=True).start()
    return load()


def set_write_timeout(port: int, seconds: int) -> None:
    """Close connections to `port` whose client has acknowledged nothing for `seconds`.

    granian does not expose its listening socket, so find it among the open files. Connections inherit the option.
    """
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if path.is_socket():
                with socket.socket(fileno=os.dup(int(path.name))) as one:
                    if one.family != socket.AF_UNIX and one.getsockname()[1] == port:
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


def _wait_until_serving(reservation: Reservation) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(reservation[:2], timeout=CONNECT_TIMEOUT):
            return
        time.sleep(CONNECT_INTERVAL)
