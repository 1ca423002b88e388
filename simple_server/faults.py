"""Faults to order, for tests and demonstrations: what the probes and the cluster make of a pod that goes wrong."""

import os
import threading

from simple_server.readiness import Readiness

CRASHED = 70  # the exit code of a crash: EX_SOFTWARE of sysexits.h


class Faults:
    """`crash` ends the process at once, `hang` leaves every later request without an answer; `not-ready` lasts until `ready`."""

    NAMES = ("crash", "hang", "not-ready", "ready")

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._never = threading.Event()
        self._hanging = False

    def cause(self, name: str) -> None:
        """One of NAMES."""
        if name == "crash":
            os._exit(CRASHED)
        elif name == "hang":
            self._hanging = True
        else:
            self._readiness.set(name == "ready")

    def wait(self) -> None:
        """Returns at once, or never."""
        if self._hanging:
            self._never.wait()
