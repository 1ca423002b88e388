"""Broken, slow and hostile clients: the server keeps serving, and counts exactly."""

import contextlib
import select
import socket

from simple_server.limits import Limits
from tests.unit.simple_server.process import SECONDS, received, running

BEGUN = b"GET / HTTP/1.1\r\nHost: a\r\n"
INVALID = [
    (b"hello\r\n\r\n", b"400"),
    (b"GET / HTTP/9.9\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    (b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    (BEGUN + b"Broken header\r\n\r\n", b"400"),
    (BEGUN + b"Content-Length: -1\r\n\r\n", b"400"),
    (BEGUN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
    (BEGUN + b"X: " + 200_000 * b"x" + b"\r\n\r\n", b"431"),
    (b"GET /" + 100_000 * b"x" + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
    (BEGUN + 200 * b"X: y\r\n" + b"\r\n", b"431"),
]


def test_an_invalid_request_gets_an_error_and_is_not_counted() -> None:
    with running() as server:
        for data, expected in INVALID:
            assert server.send(data)[:12] == b"HTTP/1.1 " + expected, data[:80]
        assert server.count() == 1


def test_a_request_that_is_cut_off_counts_once_its_header_is_complete() -> None:
    with running() as server:
        for part in (b"", b"GE", BEGUN, BEGUN + b"X-Half", BEGUN + b"Content-Length: 100\r\n"):
            with server.connected() as connection:
                connection.sendall(part)
        with server.connected() as connection:
            connection.sendall(BEGUN + b"Content-Length: 100\r\n\r\nabc")
            assert b'"count": 1' in connection.recv(65536), "the body is ignored"
        assert server.count() == 2


def test_a_path_is_percent_decoded_and_not_normalised() -> None:
    with running() as server:
        for path, status in (("/%68ealthz", 200), ("/%2f", 404), ("/./healthz", 404), ("/healthz%00", 404)):
            assert server.get(path)[0].status == status, path
        assert server.count() == 1


def test_a_client_that_does_not_read_its_responses_is_disconnected() -> None:
    with running("--log-format=none", limits=Limits(write_timeout=1)) as server, server.connected() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                stalled.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        ended = select.poll()
        ended.register(stalled, 0)  # hang-up and error are always reported
        assert ended.poll(SECONDS * 1000)
        assert server.count() == 1


def test_a_huge_body_is_not_read() -> None:
    with running() as server:
        with server.connected() as sender, contextlib.suppress(OSError):
            sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(100):
                sender.sendall(1_000_000 * b"x")
        assert server.count() == 1


def test_a_hundred_slow_clients_do_not_block_other_clients() -> None:
    with running() as server, contextlib.ExitStack() as slow:
        clients = [slow.enter_context(server.connected()) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHo")
        assert [server.count() for _ in range(3)] == [1, 2, 3]
        for client in clients:
            client.sendall(b"st: a\r\nConnection: close\r\n\r\n")
        numbers = [int(received(client).split(b'"count": ')[1].split(b",")[0]) for client in clients]
        assert sorted(numbers) == list(range(4, 104))
