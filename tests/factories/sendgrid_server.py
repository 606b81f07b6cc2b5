"""A server in SendGrid's shape, on loopback: strict about its documented limits, and able to
fail in every way that SendGrid can.

In a test: `with SendGridServer() as server: … server.url …`. As a process of its own:
`python -m tests.factories.sendgrid_server --port 8199`, then GET /counts for what it took.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import re
import socket
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MAX_PERSONALIZATIONS = 1000
MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_MESSAGE_BYTES = 30 * 1024 * 1024
RESERVED_HEADERS = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
ADDRESS = re.compile(r"^[^@\s<>\"]+@[^@\s<>]+\.[^@\s<>.]+$")
KNOWN = {
    "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments",
    "template_id", "headers", "categories", "custom_args", "send_at", "batch_id", "asm",
    "ip_pool_name", "mail_settings", "tracking_settings",
}  # fmt: skip


@dataclass
class Fault:
    """How to answer some requests: `kind` is a status ("429", "400", "401", "500") or `hang`,
    `drop`; `after` means that the message was taken first. Every `every`-th request, or only
    the first `times`."""

    kind: str
    every: int = 1
    times: int | None = None
    after: bool = False
    retry_after: str = ""
    reset_in: float | None = None
    seconds: float = 30.0
    hits: int = 0

    def strikes(self, n: int) -> bool:
        if self.times is not None and self.hits >= self.times:
            return False
        if n % self.every:
            return False
        self.hits += 1
        return True


@dataclass
class Taken:
    """One recipient's message as it was taken."""

    delivery: str
    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    request: dict[str, Any] = field(repr=False)


class SendGridServer:
    """The server, its record of what it took, and its signed webhook."""

    def __init__(
        self,
        *,
        key: str = "SG.test",
        rate: float = 0.0,
        keep: bool = True,
        port: int = 0,
        handler: type[_Handler] | None = None,
    ) -> None:
        self.key = key
        self.rate = rate
        self.keep = keep
        self.faults: list[Fault] = []
        self.bad_addresses: set[str] = set()
        self.requests = 0
        self.statuses: Counter[int] = Counter()
        self.deliveries: Counter[str] = Counter()
        self.addresses: dict[str, str] = {}
        self.taken: list[Taken] = []
        self.times: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self._tokens = rate
        self._filled_at = time.monotonic()
        self._stop = threading.Event()
        self._webhook_key = ec.generate_private_key(ec.SECP256R1())
        own = type("Handler", (handler or _Handler,), {"server_state": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), own)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> SendGridServer:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def serve(self) -> None:
        """Serve in the foreground."""
        self._http.serve_forever()

    # What it saw

    @property
    def unique(self) -> int:
        """How many different recipients were taken."""
        return len(self.deliveries)

    @property
    def duplicates(self) -> int:
        """How many were taken more often than once."""
        return sum(count - 1 for count in self.deliveries.values())

    # The webhook

    @property
    def webhook_public_key(self) -> str:
        """As SendGrid shows it: base64 of the DER, without the PEM's lines."""
        der = self._webhook_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def sign(self, body: bytes, timestamp: str) -> str:
        """The signature header for a body."""
        raw = self._webhook_key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(raw).decode()

    def signed(self, body: bytes, timestamp: str = "") -> dict[str, str]:
        """The headers of a webhook call."""
        timestamp = timestamp or str(int(time.time()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": self.sign(body, timestamp),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
            "Content-Type": "application/json",
        }

    def event(self, kind: str, delivery: str, **more: Any) -> dict[str, Any]:
        """An event as SendGrid would send it; each has an id of its own."""
        return {
            "event": kind,
            "email": self.addresses.get(delivery, "somebody@example.org"),
            "timestamp": int(time.time()),
            "sg_event_id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            "sg_message_id": f"{delivery[:22]}.filter0001",
            "smtp-id": f"<{delivery}@test>",
            "delivery": delivery,
            **more,
        }

    def post_events(self, base_url: str, events: list[dict[str, Any]]) -> int:
        """Post signed events to an installation; the status it answered."""
        body = json.dumps(events).encode()
        target = urlsplit(base_url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            connection.request("POST", "/webhooks/sendgrid", body, self.signed(body))
            return connection.getresponse().status
        finally:
            connection.close()

    # Taking mail

    def refuse(self, body: Any) -> str:
        """Why the API would refuse the request, "" if it would not."""
        if not isinstance(body, dict) or set(body) - KNOWN:
            return "unknown field"
        people = body.get("personalizations")
        if not isinstance(people, list) or not 1 <= len(people) <= MAX_PERSONALIZATIONS:
            return "personalizations: 1 to 1000"
        if not ADDRESS.match(str(body.get("from", {}).get("email", ""))):
            return "from"
        content = body.get("content")
        if not content or [part["type"] for part in content] != ["text/plain", "text/html"]:
            return "content: text/plain, then text/html"
        if not all(part.get("value") for part in content):
            return "content must not be empty"
        if not body.get("subject") and not all(person.get("subject") for person in people):
            return "subject"
        for person in people:
            why = self._refuse_person(person)
            if why:
                return why
        return ""

    def _refuse_person(self, person: dict[str, Any]) -> str:
        to = person.get("to")
        if not isinstance(to, list) or len(to) != 1:
            return "to"
        address = str(to[0].get("email", ""))
        if not ADDRESS.match(address) or address in self.bad_addresses:
            return "to: does not contain a valid address"
        headers = person.get("headers", {})
        if any(name.lower() in RESERVED_HEADERS for name in headers):
            return "reserved header"
        if any("\n" in value or "\r" in value for value in headers.values()):
            return "line break in header"
        values = person.get("substitutions", {})
        if not all(isinstance(value, str) for value in values.values()):
            return "substitutions must be strings"
        if sum(len(name) + len(value) for name, value in values.items()) > MAX_SUBSTITUTION_BYTES:
            return "substitutions too long"
        if len(str(person.get("custom_args", {}))) > MAX_CUSTOM_ARGS_BYTES:
            return "custom_args too long"
        return ""

    def over_rate(self, count: int) -> bool:
        """Whether `count` more recipients break the rate; takes them if not."""
        if not self.rate:
            return False
        with self._lock:
            at = time.monotonic()
            self._tokens = min(self.rate, self._tokens + (at - self._filled_at) * self.rate)
            self._filled_at = at
            if self._tokens < count:
                return True
            self._tokens -= count
            return False

    def take(self, body: dict[str, Any]) -> None:
        people = body["personalizations"]
        with self._lock:
            self.times.append((time.monotonic(), len(people)))
            for person in people:
                delivery = str(person.get("custom_args", {}).get("delivery", ""))
                self.deliveries[delivery] += 1
                if not self.keep:
                    continue
                self.addresses[delivery] = person["to"][0]["email"]
                self.taken.append(_rendered(body, person, delivery))

    def fault(self) -> Fault | None:
        with self._lock:
            self.requests += 1
            return next((fault for fault in self.faults if fault.strikes(self.requests)), None)


def _rendered(body: dict[str, Any], person: dict[str, Any], delivery: str) -> Taken:
    def filled(text: str) -> str:
        for key, value in person.get("substitutions", {}).items():
            text = text.replace(key, value)
        return text

    text, html = (part["value"] for part in body["content"])
    return Taken(
        delivery=delivery,
        to=person["to"][0]["email"],
        subject=filled(body.get("subject", "")),
        text=filled(text),
        html=filled(html),
        headers={**body.get("headers", {}), **person.get("headers", {})},
        request=body,
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: SendGridServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server_state
        counts = {
            "unique": state.unique,
            "duplicates": state.duplicates,
            "requests": state.requests,
            "statuses": dict(state.statuses),
            "webhook_public_key": state.webhook_public_key,
        }
        self._answer(200, counts)

    def do_POST(self) -> None:
        state = self.server_state
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if self.path != "/v3/mail/send":
            self._answer(404, {"errors": [{"message": "not found"}]})
            return
        if self.headers.get("Authorization") != f"Bearer {state.key}":
            self._answer(401, {"errors": [{"message": "authorization required"}]})
            return
        fault = state.fault()
        if fault is not None and not fault.after:
            self._fail(fault)
            return
        if length > MAX_MESSAGE_BYTES:
            self._answer(413, {})
            return
        try:
            body = orjson.loads(raw)
            why = state.refuse(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = type(error).__name__
        if why:
            self._answer(400, {"errors": [{"message": why}]})
            return
        if state.over_rate(len(body["personalizations"])):
            self._answer(
                429, {"errors": [{"message": "too many requests"}]}, **{"Retry-After": "1"}
            )
            return
        state.take(body)
        if fault is not None:
            self._fail(fault)
            return
        self._answer(202, None)

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "hang":
            self.server_state._stop.wait(fault.seconds)
            self.close_connection = True
        elif fault.kind == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            headers = {}
            if fault.retry_after:
                headers["Retry-After"] = fault.retry_after
            if fault.reset_in is not None:
                headers["X-RateLimit-Remaining"] = "0"
                headers["X-RateLimit-Reset"] = str(int(time.time() + fault.reset_in))
            self._answer(int(fault.kind), {"errors": [{"message": "no"}]}, **headers)

    def _answer(self, status: int, body: Any, **headers: str) -> None:
        self.server_state.statuses[status] += 1
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(description="A server in SendGrid's shape.")
    parser.add_argument("--port", type=int, default=8199)
    parser.add_argument("--key", default="SG.test")
    parser.add_argument("--rate", type=float, default=0.0, help="recipients a second, else 429")
    options = parser.parse_args()
    server = SendGridServer(key=options.key, rate=options.rate, keep=False, port=options.port)
    server.serve()


if __name__ == "__main__":
    main()
