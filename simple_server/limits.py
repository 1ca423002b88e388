"""How much of the server clients may use, and for how long."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Times are in seconds."""

    connections: int = 1024  # open at the same time; more wait in the kernel's queue
    header_bytes: int = 64 * 1024  # of a request line and its headers
    header_timeout: int = 10  # to send the request line and the headers
    write_timeout: int = 10  # without acknowledging any byte of a response
    shutdown_timeout: int = 5  # for open requests to finish after the drain


DEFAULTS = Limits()
