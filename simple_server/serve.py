"""Serve a WSGI application with granian until SIGTERM or SIGINT: the main process handles signals, a worker requests."""

import multiprocessing
import threading
from collections.abc import Callable
from functools import partial

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from simple_server import granian_gaps as gaps
from simple_server.limits import Limits
from simple_server.listening import Listener
from simple_server.middleware import Application
from simple_server.readiness import Readiness

THREADS = 1  # The interpreter runs one thread at a time; a second one costs a fifth of the throughput.


def run(
    load: Callable[[], Application],
    readiness: Readiness,
    listener: Listener,
    drain: float,
    on_serving: Callable[[], None],
    on_stopping: Callable[[], None],
    limits: Limits,
) -> None:
    """Serve the application that `load` returns until SIGTERM or SIGINT; then drain, finish open requests and return.

    The drain lasts `drain` seconds; a second signal ends it. `load` runs in the worker, and so does `on_serving`, once the
    application is loaded; `on_stopping` runs in this process when the drain begins.
    Exit with code 1 if the worker ends by itself.
    """
    multiprocessing.set_start_method("fork")  # the worker shares the readiness and starts at once
    server = gaps.Server(
        listener,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=THREADS,
        backpressure=limits.connections,
        http1_settings=HTTP1Settings(header_read_timeout=limits.header_timeout * 1000, max_buffer_size=limits.header_bytes),
        workers_kill_timeout=limits.shutdown_timeout,
        log_enabled=False,
    )

    end: Callable[[], None] = server.signal_handler_interrupt

    def stop() -> None:
        if readiness.stopping:
            end()
            return
        readiness.stop()
        timer = threading.Timer(drain, end)
        timer.daemon = True
        timer.start()
        on_stopping()

    server.on_startup(partial(gaps.replace_signal_handlers, stop))
    in_worker = partial(gaps.run_in_worker, load, on_serving)
    server.serve(target_loader=in_worker, wrap_loader=False)
