"""The listening socket. It is open before anything slow is imported: whoever connects meanwhile waits, and is not refused."""

import socket
from typing import NamedTuple

BACKLOG = 1024  # connections that wait to be accepted


class ListenError(Exception):
    """The address cannot be listened on; the message is the reason."""


class Listener(NamedTuple):
    """A socket that listens, and the address it is bound to."""

    socket: socket.socket
    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


def listen(host: str, port: int, write_timeout: int) -> Listener:
    """Listen on an address; port 0 is any free port. Raise ListenError.

    The kernel closes a connection whose client has acknowledged nothing for `write_timeout` seconds: connections inherit the
    socket's option.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, write_timeout * 1000)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        raise ListenError(getattr(error, "strerror", None) or str(error)) from error
    return Listener(listener, *listener.getsockname()[:2])
