"""Where benchmarks send mail to: servers in a process of their own that count every recipient.

The one in SendGrid's shape refuses (400) what SendGrid's documentation does not allow, and can
answer 429 as SendGrid does; the other speaks SMTP with PIPELINING.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import time
from collections.abc import Callable
from typing import Any, ClassVar

import orjson

MAX_PERSONALIZATIONS = 1000
MAX_BYTES = 30 * 1024 * 1024
MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
RESERVED_HEADERS = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
FAULT_EVERY = 20


def is_allowed(person: Any) -> bool:
    """Whether a personalization keeps to the documented limits."""
    (to,) = person["to"]
    return (
        "@" in to["email"]
        and len(orjson.dumps(person.get("substitutions", {}))) <= MAX_SUBSTITUTION_BYTES
        and len(orjson.dumps(person["custom_args"])) <= MAX_CUSTOM_ARGS_BYTES
        and RESERVED_HEADERS.isdisjoint(map(str.lower, person.get("headers", {})))
    )


class HttpSink(asyncio.Protocol):
    """Takes SendGrid requests. GET /counts: recipients, different ones, refusals, throttlings.

    With `rate` it takes no more recipients a second than that, and says 429 to every twentieth
    request besides, both with X-RateLimit-Reset.
    """

    seen: ClassVar[set[str]] = set()
    total = refused = throttled = requests = 0
    rate = 0.0
    tokens = 0.0
    filled_at = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = bytearray()
        self.need = -1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            if self.need < 0:
                end = self.buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = bytes(self.buffer[:end])
                del self.buffer[: end + 4]
                if head.startswith(b"GET"):
                    kind = HttpSink
                    counts = [kind.total, len(kind.seen), kind.refused, kind.throttled]
                    self.answer("200 OK", orjson.dumps(counts))
                    continue
                if head.startswith(b"DELETE"):
                    self.reset()
                    self.answer("200 OK", b"")
                    continue
                length = re.search(rb"(?i)content-length: (\d+)", head)
                self.need = int(length[1]) if length else 0
            if len(self.buffer) < self.need:
                return
            body = bytes(self.buffer[: self.need])
            del self.buffer[: self.need]
            self.need = -1
            self.take(body)

    def take(self, raw: bytes) -> None:
        """Check a request against the documented limits, and count its recipients."""
        kind = HttpSink
        kind.requests += 1
        body = orjson.loads(raw)
        people = body["personalizations"]
        if not self.may_go(len(people)):
            kind.throttled += 1
            reset = f"X-RateLimit-Reset: {int(time.time()) + 1}\r\n"
            self.answer("429 Too Many Requests", b"", reset)
            return
        if not (
            len(raw) <= MAX_BYTES
            and 1 <= len(people) <= MAX_PERSONALIZATIONS
            and body["subject"]
            and all(part["value"] for part in body["content"])
            and all(map(is_allowed, people))
        ):
            kind.refused += 1
            self.answer("400 Bad Request", b"")
            return
        kind.total += len(people)
        kind.seen.update([person["custom_args"]["delivery"] for person in people])
        self.answer("202 Accepted", b"")

    def may_go(self, count: int) -> bool:
        kind = HttpSink
        if not kind.rate:
            return True
        if kind.requests % FAULT_EVERY == 0:
            return False
        now = time.monotonic()
        kind.tokens = min(kind.rate, kind.tokens + (now - kind.filled_at) * kind.rate)
        kind.filled_at = now
        if kind.tokens < count:
            return False
        kind.tokens -= count
        return True

    def reset(self) -> None:
        kind = HttpSink
        kind.total = kind.refused = kind.throttled = kind.requests = 0
        kind.seen.clear()

    def answer(self, status: str, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


class SmtpSink(asyncio.Protocol):
    """Takes SMTP, pipelined or not. VRFY counts: messages, and different ones by Message-ID."""

    seen: ClassVar[set[bytes]] = set()
    total = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""
        self.in_body = False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        out = []
        while True:
            if self.in_body:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                start = self.buffer.find(b"Message-ID: ")
                SmtpSink.seen.add(self.buffer[start : self.buffer.find(b"\r\n", start)])
                SmtpSink.total += 1
                self.buffer = self.buffer[end + 5 :]
                self.in_body = False
                out.append(b"250 OK\r\n")
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                break
            self.buffer = rest
            out.append(self.command(line))
        if out:
            self.transport.write(b"".join(out))

    def command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"DATA":
            self.in_body = True
            return b"354 go\r\n"
        if verb == b"EHLO":
            return b"250-sink\r\n250 PIPELINING\r\n"
        if verb == b"VRFY":
            return f"250 {SmtpSink.total} {len(SmtpSink.seen)}\r\n".encode()
        if verb == b"EXPN":
            SmtpSink.total = 0
            SmtpSink.seen.clear()
        return b"250 OK\r\n"


def http_sink(port: int, rate: float = 0.0) -> None:
    """Serve SendGrid's shape until somebody ends the process."""
    HttpSink.rate, HttpSink.filled_at = rate, time.monotonic()
    _serve(HttpSink, port)


def smtp_sink(port: int) -> None:
    """Serve SMTP until somebody ends the process."""
    _serve(SmtpSink, port)


def _serve(protocol: Callable[[], asyncio.Protocol], port: int) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())


def http_counts(port: int, method: str = "GET") -> list[int]:
    """What the SendGrid shape counted; "DELETE" begins anew."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, "/counts")
    raw = connection.getresponse().read()
    connection.close()
    return [int(n) for n in orjson.loads(raw)] if raw else []


def smtp_counts(port: int, verb: str = "VRFY counts") -> list[int]:
    """What the SMTP sink counted; "EXPN reset" begins anew."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        reader = link.makefile("rb")
        reader.readline()
        link.sendall(verb.encode() + b"\r\n")
        answer = reader.readline().split()
        return [int(n) for n in answer[1:]] if len(answer) == 3 else []
