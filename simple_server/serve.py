"""A WSGI application under granian: a process that hears the signals, and a worker, forked from it, that answers."""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from simple_server.middleware import Application
from simple_server.readiness import Readiness

THREADS = 1  # that run Python: the interpreter runs one at a time anyway, and a second costs a fifth of the throughput
CONNECTIONS = 1024  # at once
OPEN_REQUESTS_SECONDS = 5  # that requests have for their end after the drain
HEADER_SECONDS = 10  # that a client has for its request line and headers
HEADER_BYTES = 64 * 1024
UNREAD_SECONDS = 10  # that an answer waits for a client to take some of it


class ListenError(Exception):
    """The address cannot be listened on, with the reason in words."""


def run(
    load: Callable[[], Application],
    readiness: Readiness,
    host: str,
    port: int,
    drain: float,
    on_serving: Callable[[str], None],
    on_stopping: Callable[[], None],
) -> None:
    """Serve what `load` makes until SIGTERM or SIGINT: drain for that many seconds, end the open requests, and return.

    `load` and `on_serving`, which is given the URL once it answers, are called in the worker, `on_stopping` when the drain
    begins. Port 0 is any that is free. A second signal ends the drain. Raises ListenError. Ends the program with code 1
    where the worker ended by itself.
    """
    multiprocessing.set_start_method("fork")  # the worker shares the readiness, and starts in no time
    reserved, _exclusive = _reserve(host, port)
    host, port = reserved.getsockname()[:2]
    server = Granian(
        "",
        host,
        port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=THREADS,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES),
        workers_kill_timeout=OPEN_REQUESTS_SECONDS,
        log_enabled=False,
    )

    end: Callable[[], None] = server.signal_handler_interrupt

    def stop(_number: int, _frame: FrameType | None) -> None:
        if readiness.stopping:
            end()
            return
        readiness.stop()
        timer = threading.Timer(drain, end)
        timer.daemon = True
        timer.start()
        on_stopping()

    @server.on_startup
    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # granian would make a new worker, with a count of its own

    server.serve(target_loader=partial(_worker, load, partial(_announce, host, port, on_serving)), wrap_loader=False)


def _reserve(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A bound socket that keeps others from the port, which granian's own may share, and one that keeps our own kind from it.

    Raises ListenError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        reserved = socket.socket(family, kind, protocol)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(address)
        # Two that start at the same moment both get so far. Only one gets this name, which is gone when its processes are.
        exclusive = socket.socket(socket.AF_UNIX)
        exclusive.bind(f"\0simple-server {reserved.getsockname()[:2]}")
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except (OSError, UnicodeError) as error:
        raise ListenError(getattr(error, "strerror", None) or str(error)) from error
    return reserved, exclusive


def _give_up_on_who_does_not_read(port: int) -> None:
    """Connections taken on the port end when the other side has taken nothing for UNREAD_SECONDS: granian has no such limit."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if path.is_socket():
                with socket.socket(fileno=os.dup(int(path.name))) as one:
                    if one.family != socket.AF_UNIX and one.getsockname()[1] == port:
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)


def _worker(load: Callable[[], Application], announce: Callable[[], None]) -> Application:
    os.setpgid(0, 0)  # Ctrl-C is for the other process: it drains first
    for target in (_end_with_parent, announce):
        threading.Thread(target=target, daemon=True).start()
    return load()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)  # it was killed: nobody would ever end this one


def _announce(host: str, port: int, on_serving: Callable[[str], None]) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            break
        time.sleep(0.005)
    _give_up_on_who_does_not_read(port)
    on_serving(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
