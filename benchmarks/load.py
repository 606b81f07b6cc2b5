"""A small load generator: many kept connections over plain sockets, one process, no libraries.

It sends as fast as answers come. One process is enough: it spends a fifth of what a server does.
"""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Result:
    """What a run of requests came to. Times are in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The time within which `share` of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    @property
    def slowest(self) -> float:
        return max(self.latencies, default=0.0)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""
    wanted: int = -1


def run(
    port: int, make_request: Callable[[], bytes], *, seconds: float, connections: int = 32
) -> Result:
    """Send what `make_request` makes to 127.0.0.1:`port` for so many seconds."""
    result = Result()
    selector = selectors.DefaultSelector()
    open_connections = []
    for _ in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(link)
        open_connections.append(connection)
        selector.register(link, selectors.EVENT_READ, connection)
    started = perf_counter()
    end = started + seconds
    for connection in open_connections:
        _send(connection, make_request())
    waiting = connections
    while waiting:
        for key, _events in selector.select(timeout=10):
            connection = key.data
            if not _is_complete(connection):
                continue
            now = perf_counter()
            result.latencies.append(now - connection.sent_at)
            result.statuses[int(connection.received[9:12])] += 1
            connection.received, connection.wanted = b"", -1
            if now < end:
                _send(connection, make_request())
            else:
                waiting -= 1
    result.seconds = perf_counter() - started
    for connection in open_connections:
        connection.socket.close()
    return result


def _send(connection: _Connection, request: bytes) -> None:
    connection.sent_at = perf_counter()
    connection.socket.sendall(request)


def _is_complete(connection: _Connection) -> bool:
    """Read what is there; whether the whole answer is."""
    part = connection.socket.recv(262_144)
    if not part:
        raise ConnectionError("the server closed a connection")
    connection.received += part
    if connection.wanted < 0:
        head, found, _rest = connection.received.partition(HEAD_END)
        if not found:
            return False
        length = 0
        for line in head.split(b"\r\n"):
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        connection.wanted = len(head) + 4 + length
    return len(connection.received) >= connection.wanted
