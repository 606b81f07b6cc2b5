"""An installation under fire: `campaign up`, a sink of its own process, and the books of both.

`Field` starts mailings, breaks things while they go out, and compares at the end what the
database says of each recipient with what the sink counted. The tests use it with short windows,
`python -m benchmarks.chaos` with many people.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from campaign.app import create_app
from campaign.db import Model, db, reading, uuid7
from campaign.mail import delivery, queries, services, sweeping, tasks, webhook
from campaign.mail.addresses import address_hash
from campaign.mail.letters import Letter
from campaign.mail.models import OPEN, Attempt, Batch, Chunk, Delivery, DeliveryState
from campaign.mailings.models import Message
from campaign.settings import from_environ
from tests.factories.mailings import make_message, make_readers, to_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.petitions import make_petition
from tests.factories.sink import Sink
from tests.servers import Postgres, RedisServer
from tests.stack import MAIN, Stack

ROOT = Path(__file__).resolve().parents[1]
KEY = "chaos-key-0123456789-abcdefghijklmnopqrstuvwxyz"
LETTER = Letter(
    subject="The council votes, {{ first_name|neighbor }}",
    text="Hello {{ first_name|neighbor }},\n\ncome on Tuesday.\n\nStop: {{ unsubscribe_url }}\n",
    html=(
        "<p>Hello {{ first_name|neighbor }},</p><p>come on Tuesday.</p>"
        '<p><a href="{{ unsubscribe_url }}">Stop</a></p>'
    ),
)
AT_ONCE = 5000
PASSWORD = "every-door-on-the-block"
UNKNOWN = (DeliveryState.UNKNOWN, DeliveryState.UNKNOWN_FINAL)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Books:
    """What became of a mailing, from the database and from the sink."""

    states: dict[str, str]  # delivery id → state
    reasons: dict[str, str]
    accepted: dict[str, int]  # delivery id → how often the sink took it
    requests: list[dict[str, Any]]
    verify: dict[str, Any]
    seconds: float
    is_over: bool
    doubtful: set[str]  # whose last attempt ended as unknown

    @property
    def unknown(self) -> set[str]:
        return {one for one, state in self.states.items() if state in UNKNOWN}

    @property
    def twice(self) -> int:
        """How many were taken more than once, each as often as it was too much."""
        return sum(count - 1 for count in self.accepted.values() if count > 1)

    @property
    def lost(self) -> set[str]:
        """Who got nothing and is not said to have got nothing: the sink has no e-mail of theirs,
        and the database has neither a reason nor a doubt."""
        told = {one for one, why in self.reasons.items() if why}
        told = {one for one in told if self.states[one] in queries.NOT_SENT} | self.unknown
        return {one for one in self.states if one not in self.accepted and one not in told}

    @property
    def denied(self) -> set[str]:
        """Who got it although the database says for sure that they did not."""
        no = (DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.QUEUED)
        return {one for one in self.accepted if self.states[one] in no}

    @property
    def unanswered(self) -> set[str]:
        """Who was in a request to the sink that got no clear answer."""
        clear = {202, 400, 429}
        return {
            one
            for request in self.requests
            if request["status"] not in clear
            for one in request["ids"]
            if one in self.states
        }

    def breaches(self, *, most_twice: int = 0) -> list[str]:
        """What was promised and is not so."""
        found = []
        if not self.is_over:
            found.append("not finished")
        if self.lost:
            found.append(f"{len(self.lost)} lost: {self._some(self.lost)}")
        if self.twice > most_twice:
            found.append(f"{self.twice} twice, {most_twice} allowed")
        if self.denied:
            found.append(
                f"{len(self.denied)} got it and are said not to: {self._some(self.denied)}"
            )
        if not self.verify["ok"]:
            bad = {name: one for name, one in self.verify["checks"].items() if one["breaches"]}
            found.append(f"verify: {bad}")
        return found

    def _some(self, ids: set[str]) -> str:
        return ", ".join(f"{one} ({self.states[one]})" for one in sorted(ids)[:3])


@dataclass
class Field:
    """A running installation and everything that can be done to it."""

    stack: Stack
    sink: Sink
    postgres: Postgres | None = None
    redis: RedisServer | None = None
    app: Flask = field(init=False)
    _began: dict[uuid.UUID, float] = field(default_factory=dict)
    _others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> Field:
        self.stack.start()
        self.app = create_app(from_environ(self.stack.whole_environ))
        self.settle()
        self.calm()
        return self

    def stop(self) -> None:
        for process in self._others:
            process.kill()
            process.wait(10)
        self.stack.stop()
        if hasattr(self, "app"):
            with self.app.app_context():
                db.engine.dispose()

    def calm(self) -> None:
        """No faults; the webhook works."""
        self.sink.calm(self.stack.url)

    def settle(self, *, policy: str = "reconcile", window: int = 1) -> None:
        """How unknowns are settled. Only this process does it, and only while the sink has told
        all that it knows: on a slow machine an event may take longer than a short window. A sign of
        life comes before each look, so that none is parked for want of a later event."""
        given = self.app.extensions["settings"]
        self.app.extensions["settings"] = replace(
            given, mail_unknown_window_seconds=window, mail_unknown_policy=policy
        )

    @property
    def is_embedded(self) -> bool:
        return "REDIS_URL" not in self.stack.environ

    @property
    def sender(self) -> str:
        """The program that sends bulk."""
        return "worker" if self.is_embedded else "bulk"

    # Sending

    def send(self, people: int, *, organization_id: uuid.UUID | None = None) -> uuid.UUID:
        """Queue a mailing to that many people who are in no other; the id of its batch."""
        with self.app.app_context():
            batch = services.create_batch(
                organization_id=organization_id or uuid7(),
                kind="mailing",
                key=uuid.uuid4().hex,
                letter=LETTER,
                sender=services.Sender("Keep Our Clinics", "hello@clinics.example"),
            )
            batch_id = batch.id
            for start in range(0, people, AT_ONCE):
                some = [_reader() for _ in range(min(AT_ONCE, people - start))]
                services.add_addressees(batch, LETTER, some)
                db.session.commit()
                batch = db.session.get_one(Batch, batch_id)
            services.release(batch)
            db.session.commit()
            self._began[batch_id] = time.monotonic()
            self.ring()
            return batch_id

    def ring(self) -> None:
        """Wake the senders as a request does after its commit."""
        with contextlib.suppress(Exception):
            queue = self.app.extensions["celery"]
            for lane in range(self.app.extensions["settings"].mail_connections):
                queue.send_task(
                    tasks.deliver_bulk.name, args=(lane,), queue="bulk", retry=False, expires=60
                )

    @contextlib.contextmanager
    def hurrying(self, every: float = 0.4) -> Iterator[None]:
        """Sweep all the time from this process, too: what the beat does each half minute may be
        done at any moment by anybody, and a test has no half minutes to spare."""
        over = threading.Event()

        def hurry() -> None:
            while not over.wait(every):
                if not self.sink.pulse():
                    continue
                with self.app.app_context():
                    try:
                        webhook.process_waiting()
                        sweeping.sweep()
                        with reading():
                            is_due = delivery.is_due(bulk=True)
                            db.session.commit()
                        if is_due:
                            self.ring()
                    except SQLAlchemyError:
                        db.session.rollback()  # the database is down, or locked: that is the test

        thread = threading.Thread(target=hurry, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    def press_send(self, people: int, *, times: int) -> tuple[uuid.UUID, set[int]]:
        """Write a mailing and press Send that often at the same moment; the batch that came of
        it, and what the presses were answered."""
        with self.app.app_context():
            organization = make_organization(slug=f"presses-{uuid.uuid4().hex[:8]}")
            user = make_member(
                organization, email=f"{organization.slug}@example.org", password=PASSWORD
            )
            email = user.email
            message = make_message(organization, to_list(make_readers(organization, people)))
            message.ignores_quiet = True
            message_id = message.id
            db.session.commit()
        browser = Browser(self.stack.url)
        token = token_on(browser.get("/login"))
        browser.post("/login", csrf_token=token, email=email, password=PASSWORD)
        path = f"/organize/mailings/{message_id}/send"
        token = token_on(browser.get(path))
        began = time.monotonic()
        with ThreadPoolExecutor(times) as pool:
            fields = {"csrf_token": token, "people": str(people)}
            statuses = set(pool.map(lambda _: browser.post(path, **fields), range(times)))

        def batch_of_it() -> uuid.UUID | None:
            with self.app.app_context(), reading():
                batch_id = db.session.get_one(Message, message_id).batch_id
                db.session.commit()
                return batch_id

        batch_id = self.wait_for(batch_of_it, "the mailing to begin", seconds=30)
        self._began[batch_id] = began
        return batch_id, statuses

    def signing(self) -> Callable[..., list[float]]:
        """Get ready to sign another organization's petition. What comes back signs `count` times,
        one `every` so many seconds, and says how long each confirmation took, in order."""
        with self.app.app_context():
            path = f"/p/{make_petition(slug=f'chaos-{uuid.uuid4().hex[:8]}').slug}"
            db.session.commit()
        token = token_on(self.stack.fetch(path).text)
        ready_at = time.monotonic() + 4  # as long as a person needs at least

        def sign(count: int, *, every: float, seconds: float = 60) -> list[float]:
            time.sleep(max(0.0, ready_at - time.monotonic()))
            posted: dict[str, float] = {}
            for number in range(count):
                email = f"signer-{uuid.uuid4().hex[:8]}-{number}@people.example"
                form = {"csrf_token": token, "first_name": "Rosa", "last_name": "Villanueva"}
                form |= {"email": email, "postal_code": "60608", "display": "hidden"}
                posted[email] = time.time()
                answer = self.stack.fetch(path, data=form)
                if answer.status != 303:
                    raise AssertionError(f"signing: {answer.status}")
                time.sleep(max(0.0, posted[email] + every - time.time()))

            def all_seen() -> dict[str, float] | None:
                seen: dict[str, float] = self.sink.log()["first_seen"]
                return seen if posted.keys() <= seen.keys() else None

            seen = self.wait_for(all_seen, "the confirmations", seconds=seconds)
            return sorted(seen[email] - at for email, at in posted.items())

        return sign

    # Looking

    def accepted_count(self) -> int:
        return self.sink.progress()["taken"]

    def wait_until_taken(self, count: int, *, seconds: float = 60) -> None:
        """Until the sink took that many."""
        self.wait_for(lambda: self.accepted_count() >= count, f"{count} taken", seconds=seconds)

    @staticmethod
    def wait_for(question: Callable[[], Any], what: str, *, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            answer = question()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s in vain for {what}")
            time.sleep(0.05)

    def is_over(self, batch_id: uuid.UUID) -> bool:
        """Whether nothing of the batch is on its way or waits."""
        with self.app.app_context():
            try:
                with reading():
                    waiting = db.session.scalar(
                        select(Chunk.id)
                        .where(Chunk.batch_id == batch_id, Chunk.state.in_(OPEN))
                        .limit(1)
                    )
                    finished = db.session.get_one(Batch, batch_id).finished_at
                    db.session.commit()
            except SQLAlchemyError:
                db.session.rollback()
                return False
            return waiting is None and finished is not None

    def finish(
        self, batch_id: uuid.UUID, *, seconds: float = 60, by_command: bool = False
    ) -> Books:
        """Hurry until the batch is over, and the books of it."""
        with self.hurrying():
            deadline = time.monotonic() + seconds
            while not self.is_over(batch_id) and time.monotonic() < deadline:
                time.sleep(0.1)
        return self.books(batch_id, by_command=by_command)

    def books(self, batch_id: uuid.UUID, *, by_command: bool = False) -> Books:
        took = time.monotonic() - self._began.get(batch_id, time.monotonic())
        is_over = self.is_over(batch_id)
        log = self.sink.log()
        states: dict[str, str] = {}
        reasons: dict[str, str] = {}
        doubtful: set[str] = set()
        with self.app.app_context(), reading():
            last = (
                select(Attempt.outcome)
                .where(Attempt.chunk_id == Chunk.id)
                .order_by(Attempt.n.desc())
                .limit(1)
                .scalar_subquery()
            )
            rows = db.session.execute(
                select(
                    Delivery.id, Delivery.state, Delivery.reason, Chunk.state, Chunk.reason, last
                )
                .join(Chunk, Chunk.id == Delivery.chunk_id)
                .where(Delivery.batch_id == batch_id)
            )
            for one, own, own_reason, chunk_state, chunk_reason, outcome in rows:
                states[one.hex] = own or chunk_state
                reasons[one.hex] = (own_reason if own else chunk_reason) or ""
                if outcome == "unknown":
                    doubtful.add(one.hex)
            db.session.commit()
        accepted = {one: n for one, n in log["accepted"].items() if one in states}
        verify = self.verify() if by_command else self._invariants()
        return Books(states, reasons, accepted, log["requests"], verify, took, is_over, doubtful)

    def verify(self) -> dict[str, Any]:
        """What `campaign mail verify` prints; its exit code must agree."""
        done = subprocess.run(
            [*MAIN, "mail", "verify"],
            cwd=self.stack.folder,
            env=self.stack.whole_environ,
            capture_output=True,
            text=True,
            check=False,
        )
        report: dict[str, Any] = json.loads(done.stdout)
        if report["ok"] != (done.returncode == 0):
            raise AssertionError(f"exit code {done.returncode} of {done.stdout}")
        return report

    def _invariants(self) -> dict[str, Any]:
        """The same without starting a process for it."""
        with self.app.app_context(), reading():
            report = queries.invariants()
            db.session.commit()
        return report

    def wait_for_events(self, *, seconds: float = 60) -> None:
        """Until the webhook was told everything and every call is worked in."""

        def all_told() -> bool:
            if self.sink.progress()["events"]:
                return False
            with self.app.app_context(), reading():
                waiting = queries.outbox_status()["webhook_calls_waiting"]
                db.session.commit()
            return not waiting

        with self.hurrying():
            self.wait_for(all_told, "the events to be worked in", seconds=seconds)

    # Breaking

    def kill_sender(self) -> int:
        """kill -9 of the program that sends bulk, with all of its processes."""
        return self.stack.kill(self.sender)

    def senders(self) -> list[int]:
        """The processes that send: of prefork workers the children, else the worker itself."""
        pids = self.stack.pids(self.sender)
        return pids if self.is_embedded else pids[1:]

    @contextlib.contextmanager
    def frozen(self, pid: int) -> Iterator[None]:
        """SIGSTOP, and at the end SIGCONT."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def beat_once_more(self) -> None:
        """Another beat beside the installation's own."""
        number = len(self._others)
        log = (self.stack.folder / f"beat{number}.log").open("ab")
        command = [sys.executable, "-m", "celery", "--quiet", "--app", "wsgi:celery", "beat"]
        command += ["--schedule", str(self.stack.folder / f"beat{number}"), "--pidfile="]
        with log:
            self._others.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self.stack.whole_environ,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )


class Alone(Field):
    """Without web, beat and broker: a database, the sink by SMTP, and processes that only send."""

    def __init__(self, folder: Path, sink: Sink, environ: Mapping[str, str]) -> None:
        given = {"SECRET_KEY": KEY, "MAIL_UNKNOWN_WINDOW_SECONDS": "3600", **environ}
        super().__init__(Stack(folder, {**sink.smtp_environ, **given}), sink)
        self.app = create_app(from_environ(self.stack.whole_environ))
        with self.app.app_context():
            Model.metadata.create_all(db.engine)
        self.settle()

    def ring(self) -> None:
        """There is nobody to be woken: a sender looks by itself."""

    def sender(self) -> subprocess.Popen[bytes]:
        """A process that sends what is due until nothing is."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos"], cwd=ROOT, env=self.stack.whole_environ
        )
        self._others.append(process)
        return process


class Browser:
    """A visitor with a cookie jar."""

    def __init__(self, url: str) -> None:
        self.url = url
        jar = urllib.request.HTTPCookieProcessor()
        self._opener = urllib.request.build_opener(jar, urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str:
        with self._opener.open(self.url + path, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> int:
        body = urllib.parse.urlencode(fields).encode()
        try:
            with self._opener.open(self.url + path, body, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)


def token_on(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    if found is None:
        raise AssertionError("there is no form on the page")
    return found[1]


def _reader() -> services.Addressee:
    address = f"reader{next(_numbers)}-{os.getpid()}@people.example"
    hashed = address_hash(address)
    return services.Addressee(uuid7(), address, hashed, {"first_name": "Ana"}, uuid7())


@contextlib.contextmanager
def on_the_field(
    folder: Path,
    environ: Mapping[str, str],
    *,
    has_postgres: bool,
    has_redis: bool,
    options: Mapping[str, str] | None = None,
) -> Iterator[Field]:
    """An installation with servers of its own; all is ended with the block, whatever happens."""
    with contextlib.ExitStack() as ends:
        postgres = redis = None
        given = {"SECRET_KEY": KEY, "MAIL_UNKNOWN_WINDOW_SECONDS": "3600", **environ}
        if has_postgres:
            postgres = ends.enter_context(Postgres(dict(options or {})))
            given["DATABASE_URL"] = postgres.create("campaign")
        if has_redis:
            redis = ends.enter_context(RedisServer(folder / "redis"))
            given["REDIS_URL"] = redis.url
        sink = ends.enter_context(Sink())
        place = folder / "installation"
        place.mkdir(parents=True)
        field_ = Field(Stack(place, {**sink.environ, **given}), sink, postgres, redis)
        ends.callback(field_.stop)
        yield field_.start()


def main() -> None:
    """One sender: what a worker does when the doorbell rings, again and again."""
    app = create_app(from_environ())
    with app.app_context():
        while True:
            delivery.work(bulk=True, seconds=50)
            time.sleep(0.2)


if __name__ == "__main__":
    main()
