"""The gaps of granian, and how this server closes each. Issue and pull request numbers are granian's own.

- It opens its own socket, in the worker, after all imports: clients are refused meanwhile. On Linux that socket has
  SO_REUSEPORT (issue 544, pull request 546), so that a second server on the same port starts without an error. And the port
  that replaces port 0 is not reported (issue 711). `Server` accepts from a socket that is open already.
- Nothing tells when the server answers: "Listening at" is logged before a worker runs (issue 711), and there is no
  systemd notification (issue 381, open). `run_in_worker` calls `on_serving` once the application is loaded.
- A response has no write timeout, so as many stalled clients as there may be connections block the server for good.
  No upstream issue found; the one about reading a slow body (728) is closed as "wontfix". The kernel closes such
  connections: `listening.listen`.
- There is no drain: workers stop at the signal, and no hook runs before (issue 293, open, asks for one).
  `replace_signal_handlers` leaves it to the caller when to stop.
- SIGHUP starts a new worker (issue 100, pull request 182), whose count begins again at 1, and no option turns that off.
  `replace_signal_handlers` restores the default action: the process ends, and its worker with it.
- Ctrl-C reaches the worker, which then stops without a drain. No upstream issue found. The worker leaves the terminal's
  process group: `run_in_worker`.
- A worker outlives a main process that is killed, and keeps answering. No upstream issue found. A thread of the worker
  waits for the main process to end: `run_in_worker`.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from granian._granian import SocketHolder
from granian.server.mp import MPServer

from simple_server.listening import BACKLOG, Listener
from simple_server.middleware import Application


class Server(MPServer):
    """granian, accepting from `listener`."""

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__("", listener.host, listener.port, **options)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder  # its stub knows no arguments
        self._sso: Any = self._listener.socket  # closed here when granian stops, and by the worker when that stops
        self._sfd: Any = self._sso.fileno()
        self._shd: Any = holder(self._sfd, False, BACKLOG)


def replace_signal_handlers(stop: Callable[[], None]) -> None:
    """Call `stop` for each SIGTERM and SIGINT; let SIGHUP end the process. Run this in granian's startup hook."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run_in_worker(load: Callable[[], Application], on_serving: Callable[[], None]) -> Application:
    """Prepare the worker process and return the application that `load` returns; then it answers: call `on_serving`."""
    os.setpgid(0, 0)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    application = load()
    on_serving()
    return application


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
