"""SendGrid as a process of its own: it counts each recipient that it took, and posts signed
events to the installation's webhook as the real one does, tried again until they are taken. It
takes SMTP, too.

    with Sink() as sink:
        sink.set(faults=[{"kind": "500", "every": 20, "after": True}], webhook="http://…")
        …
        sink.log()["accepted"]   # delivery id → how often it was taken

The process knows nothing of the test that started it: what it says is a second witness beside
the database.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import http.client
import itertools
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.factories.sendgrid_server import Fault, SendGridServer, _Handler
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
EVENTS_AT_ONCE = 1000
AGAIN_SECONDS = 1.0
START_SECONDS = 30
NOBODY = "0" * 32
MESSAGE_ID = re.compile(rb"(?mi)^Message-ID: <([0-9a-f]{32})@")


class SinkServer(SendGridServer):
    """What runs in the process."""

    def __init__(self, port: int, smtp_port: int) -> None:
        super().__init__(keep=False, port=port, handler=SinkHandler)
        self.log: list[dict[str, Any]] = []
        self.first_seen: dict[str, float] = {}
        self.webhook = ""
        self.webhook_statuses: dict[str, int] = {}
        self.kinds = ["processed", "delivered"]
        self.delay = 0.0
        self.repeat = 1
        self.is_shuffled = False
        self.is_early = False  # events come before the answer
        self.slow = 0.0  # seconds that a request of several recipients takes
        self._waiting: list[tuple[float, int, str, str]] = []
        self._order = itertools.count()
        self._in_flight = 0
        threading.Thread(target=self._post_for_ever, daemon=True).start()
        self._smtp = Controller(self, hostname="127.0.0.1", port=smtp_port)
        self._smtp.start()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """A message by SMTP: its Message-ID begins with the delivery's id."""
        found = MESSAGE_ID.search(envelope.content or b"")
        with self._lock:
            self.deliveries[found[1].decode() if found else ""] += 1
        await asyncio.sleep(self.slow)
        return "250 OK"

    def control(self, wanted: dict[str, Any]) -> None:
        """Change how it behaves; `reset` forgets all that it took."""
        if wanted.pop("reset", False):
            with self._lock:
                self.log.clear()
                self.deliveries.clear()
                self.first_seen.clear()
                self.statuses.clear()
                self._waiting.clear()
                self.requests = 0
        if "faults" in wanted:
            self.faults = [Fault(**fault) for fault in wanted.pop("faults")]
        for name, value in wanted.items():
            setattr(self, name, value)

    def progress(self) -> dict[str, int]:
        """How many recipients were taken, and how many events nobody has taken yet."""
        with self._lock:
            return {"taken": len(self.deliveries), "events": len(self._waiting) + self._in_flight}

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {
                "accepted": dict(self.deliveries),
                "requests": [dict(one) for one in self.log],
                "first_seen": dict(self.first_seen),
                "statuses": {str(status): n for status, n in self.statuses.items()},
                "webhook_statuses": dict(self.webhook_statuses),
            }

    def note(self, body: dict[str, Any]) -> dict[str, Any]:
        """Write down a request; `status` stays 0 while nobody got an answer to it."""
        people = body["personalizations"]
        ids = [str(person.get("custom_args", {}).get("delivery", "")) for person in people]
        request = {"ids": ids, "taken": False, "status": 0, "at": time.time()}
        with self._lock:
            self.log.append(request)
        return request

    def take(self, body: dict[str, Any]) -> None:
        super().take(body)
        people = body["personalizations"]
        if len(people) == 1:  # a confirmation: when did it come?
            self.first_seen.setdefault(people[0]["to"][0]["email"], time.time())

    def tell(self, ids: list[str]) -> None:
        """Queue the events of what was taken."""
        if not self.webhook:
            return
        due = time.monotonic() + self.delay
        with self._lock:
            for delivery in ids:
                for kind in self.kinds:
                    for _ in range(self.repeat):
                        heapq.heappush(self._waiting, (due, next(self._order), kind, delivery))

    def tell_now(self, ids: list[str]) -> None:
        """Post the events of a request before it is answered."""
        events = [self._event(kind, delivery) for delivery in ids for kind in self.kinds]
        self._post(events)

    def pulse(self) -> bool:
        """Tell of somebody else's e-mail, as there always are some: whether all is told now."""
        if not self.webhook:
            return True
        return not self.progress()["events"] and self._post([self.event("delivered", NOBODY)])

    def _event(self, kind: str, delivery: str) -> dict[str, Any]:
        # The same event has the same id however often it comes.
        return self.event(kind, delivery) | {"sg_event_id": f"{kind}-{delivery}"}

    def _post(self, events: list[dict[str, Any]]) -> bool:
        try:
            status = str(self.post_events(self.webhook, events))
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        self.webhook_statuses[status] = self.webhook_statuses.get(status, 0) + 1
        return status.startswith("2")

    def _post_for_ever(self) -> None:
        while True:
            with self._lock:
                due = []
                while (
                    self._waiting
                    and len(due) < EVENTS_AT_ONCE
                    and self._waiting[0][0] <= time.monotonic()
                ):
                    due.append(heapq.heappop(self._waiting))
                self._in_flight = len(due)
            if due:
                events = [self._event(kind, delivery) for _, _, kind, delivery in due]
                if self.is_shuffled:
                    random.shuffle(events)
                if not self.webhook or not self._post(events):
                    with self._lock:
                        later = time.monotonic() + AGAIN_SECONDS
                        for _, _, kind, delivery in due:
                            heapq.heappush(
                                self._waiting, (later, next(self._order), kind, delivery)
                            )
                self._in_flight = 0
            if len(due) < EVENTS_AT_ONCE:
                time.sleep(0.1)


class SinkHandler(_Handler):
    server_state: SinkServer

    def do_GET(self) -> None:
        if self.path == "/progress":
            self._raw(orjson.dumps(self.server_state.progress()))
        elif self.path == "/log":
            self._raw(orjson.dumps(self.server_state.report()))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        state = self.server_state
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if self.path == "/pulse":
            self._raw(orjson.dumps(state.pulse()))
            return
        if self.path == "/control":
            state.control(orjson.loads(raw))
            self._raw(b"{}")
            return
        if len(raw) < length:  # whoever sent it is dead
            self.close_connection = True
            return
        if self.headers.get("Authorization") != f"Bearer {state.key}":
            self._answer(401, {})
            return
        body = orjson.loads(raw)
        request = state.note(body)
        fault = state.fault()
        if fault is not None and not fault.after:
            self._end(request, fault)
            return
        why = state.refuse(body)
        if why:
            self._answer(400, {"errors": [{"message": why}]})
            request["status"] = 400
            return
        if state.slow and len(request["ids"]) > 1:
            time.sleep(state.slow)
        state.take(body)
        request["taken"] = True
        if state.is_early and state.webhook:
            state.tell_now(request["ids"])
        else:
            state.tell(request["ids"])
        if fault is not None:
            self._end(request, fault)
            return
        with contextlib.suppress(OSError):  # nobody is there any more to hear it
            self._answer(202, None)
            request["status"] = 202

    def _end(self, request: dict[str, Any], fault: Fault) -> None:
        with contextlib.suppress(OSError):
            self._fail(fault)
        if fault.kind.isdigit():
            request["status"] = int(fault.kind)

    def _raw(self, raw: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Sink:
    """The process, as its owner sees it."""

    def __init__(self) -> None:
        self.port, self.smtp_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.public_key = ""

    def __enter__(self) -> Sink:
        command = [sys.executable, "-m", "tests.factories.sink"]
        command += ["--port", str(self.port), "--smtp-port", str(self.smtp_port)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + START_SECONDS
        while not self.public_key:
            try:
                self.public_key = orjson.loads(self._ask("GET", "/counts"))["webhook_public_key"]
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @property
    def environ(self) -> dict[str, str]:
        """What an installation needs to send here."""
        return {
            "MAIL_TRANSPORT": "sendgrid",
            "SENDGRID_API_KEY": "SG.test",
            "SENDGRID_BASE_URL": self.url,
            "SENDGRID_WEBHOOK_PUBLIC_KEY": self.public_key,
        }

    @property
    def smtp_environ(self) -> dict[str, str]:
        """The same by SMTP."""
        return {"MAIL_TRANSPORT": "smtp", "SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}"}

    def set(self, **wanted: Any) -> None:
        """Change how it behaves: see `SinkServer.control`."""
        self._ask("POST", "/control", orjson.dumps(wanted))

    def calm(self, webhook: str) -> None:
        """Forget everything, make no faults, tell `webhook`."""
        self.set(
            reset=True, faults=[], webhook=webhook, delay=0.0, repeat=1, slow=0.0,
            is_shuffled=False, is_early=False, kinds=["processed", "delivered"],
        )  # fmt: skip

    def pulse(self) -> bool:
        """See `SinkServer.pulse`."""
        return bool(orjson.loads(self._ask("POST", "/pulse")))

    def progress(self) -> dict[str, int]:
        """See `SinkServer.progress`."""
        found: dict[str, int] = orjson.loads(self._ask("GET", "/progress"))
        return found

    def log(self) -> dict[str, Any]:
        """All that it saw."""
        found: dict[str, Any] = orjson.loads(self._ask("GET", "/log"))
        return found

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        target = urlsplit(self.url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--smtp-port", type=int, required=True)
    given = parser.parse_args()
    SinkServer(given.port, given.smtp_port).serve()


if __name__ == "__main__":
    main()
