"""Fault injection, for tests and demonstrations: how the probes and the cluster react to a faulty pod."""

import os
import threading

from simple_server.readiness import Readiness

CRASHED = 70  # the exit code of a crash: EX_SOFTWARE of sysexits.h


class Faults:
    """`crash` ends the process, `hang` leaves every later request unanswered, `not-ready` lasts until `ready`."""

    NAMES = ("crash", "hang", "not-ready", "ready")

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._never = threading.Event()
        self._hanging = False

    def inject(self, name: str) -> None:
        """Inject the fault `name`, one of NAMES."""
        if name == "crash":
            os._exit(CRASHED)
        elif name == "hang":
            self._hanging = True
        else:
            self._readiness.set(name == "ready")

    def hang_if_injected(self) -> None:
        """Return at once, or never if `hang` was injected."""
        if self._hanging:
            self._never.wait()
