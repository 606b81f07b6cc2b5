"""Mass e-mail under fire: whatever breaks while a mailing goes out, nobody is forgotten, nobody
gets it twice, and what cannot be known is said to be unknown.

The sink is a process of its own and counts every recipient; each test compares its count with
the rows. `python -m benchmarks.chaos` does the same with many people.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.db import db
from campaign.mail.models import ProviderEvent
from tests.chaos import Alone, Books, Field, on_the_field
from tests.servers import RedisServer

pytestmark = [
    pytest.mark.stack,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc"),
]

PEOPLE = 200
BATCH = 10
LEASE_SECONDS = 3
HAS_POSTGRES = bool(os.environ.get("TEST_DATABASE_URL"))
HAS_REDIS = bool(os.environ.get("TEST_REDIS_URL")) and RedisServer.is_there()
needs_redis = pytest.mark.skipif(not HAS_REDIS, reason="TEST_REDIS_URL is not set")
needs_postgres = pytest.mark.skipif(not HAS_POSTGRES, reason="TEST_DATABASE_URL is not set")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    environ = {
        "MAIL_BATCH_SIZE": str(BATCH),
        "MAIL_LEASE_SECONDS": str(LEASE_SECONDS),
        "MAIL_READ_SECONDS": "1",
    }
    careless = {"fsync": "off", "full_page_writes": "off"}  # the machine itself stays up
    with on_the_field(
        tmp_path_factory.mktemp("chaos"),
        environ,
        has_postgres=HAS_POSTGRES,
        has_redis=HAS_REDIS,
        options=careless,
    ) as field:
        yield field


@pytest.fixture
def field(running: Field) -> Field:
    running.calm()
    running.settle()
    return running


def holds(books: Books, *, most_twice: int = 0) -> None:
    assert books.breaches(most_twice=most_twice) == []


FAULTS = {
    "429": {"kind": "429", "every": 20, "reset_in": 1},
    "500 before it is taken": {"kind": "500", "every": 7},
    "500 after it is taken": {"kind": "500", "every": 7, "after": True},
    "dropped after it is taken": {"kind": "drop", "every": 7, "after": True},
    "no answer": {"kind": "hang", "every": 11, "seconds": 4, "after": True},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_provider_that_fails(field: Field, name: str) -> None:
    field.sink.set(faults=[FAULTS[name]])
    books = field.finish(field.send(PEOPLE))
    holds(books)
    assert len(books.accepted) == PEOPLE, "with a webhook that works, everybody has it"


def test_without_a_webhook_exactly_those_without_an_answer_are_unknown(field: Field) -> None:
    field.sink.set(
        webhook="",
        faults=[
            {"kind": "500", "every": 9, "times": 2, "after": True},
            {"kind": "500", "every": 8, "times": 2},
            {"kind": "drop", "every": 7, "times": 2, "after": True},
        ],
    )
    books = field.finish(field.send(PEOPLE))
    holds(books)
    assert books.unknown == books.unanswered == books.doubtful
    assert len(books.unknown) == 6 * BATCH


@pytest.mark.parametrize("policy", ["park", "retry"])
def test_another_policy_does_what_it_says(field: Field, policy: str) -> None:
    field.settle(policy=policy)
    field.sink.set(webhook="", faults=[{"kind": "500", "every": 8, "times": 2, "after": True}])
    books = field.finish(field.send(PEOPLE))
    most = 2 * BATCH  # two requests without an answer, so many recipients in each
    holds(books, most_twice=most if policy == "retry" else 0)
    assert len(books.unknown) == (0 if policy == "retry" else most)
    assert books.twice == (most if policy == "retry" else 0)


def test_a_killed_worker(field: Field) -> None:
    field.sink.set(slow=0.2)
    batch_id = field.send(PEOPLE)
    for share in (0.2, 0.6):
        field.wait_until_taken(int(PEOPLE * share))
        field.kill_sender()
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == PEOPLE


def test_a_worker_that_was_frozen_beyond_its_lease_changes_nothing(field: Field) -> None:
    field.settle(window=LEASE_SECONDS + 4)  # as it is: far longer than a lease
    field.sink.set(slow=0.3)
    batch_id = field.send(PEOPLE)
    field.wait_until_taken(BATCH)
    with field.hurrying(), field.frozen(field.senders()[-1]):
        time.sleep(LEASE_SECONDS + 2)
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == PEOPLE


@needs_redis
def test_redis_forgets_everything_and_is_killed(field: Field) -> None:
    assert field.redis is not None
    field.sink.set(slow=0.2)
    batch_id = field.send(PEOPLE)
    field.wait_until_taken(int(PEOPLE * 0.2))
    field.redis.flush()
    field.wait_until_taken(int(PEOPLE * 0.4))
    field.redis.stop()
    time.sleep(1)
    field.redis.start()
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == PEOPLE
    books = field.finish(field.send(PEOPLE))
    holds(books)
    assert len(books.accepted) == PEOPLE, "the workers listen again"


@needs_postgres
def test_postgresql_goes_down_without_a_word(field: Field) -> None:
    assert field.postgres is not None
    field.sink.set(slow=0.2)
    batch_id = field.send(PEOPLE)
    field.wait_until_taken(int(PEOPLE * 0.3))
    field.postgres.stop()
    time.sleep(3)
    field.postgres.start()
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == PEOPLE


def test_three_beats(field: Field) -> None:
    field.beat_once_more()
    field.beat_once_more()
    field.sink.set(slow=0.1, repeat=3, is_shuffled=True)
    books = field.finish(field.send(PEOPLE))
    holds(books)
    assert len(books.accepted) == PEOPLE


def test_events_that_are_faster_than_the_answer(field: Field) -> None:
    field.sink.set(is_early=True, faults=[{"kind": "drop", "every": 8, "after": True}])
    books = field.finish(field.send(PEOPLE // 3), by_command=True)
    holds(books)
    assert len(books.accepted) == PEOPLE // 3


def test_send_pressed_fifty_times_at_once(field: Field) -> None:
    batch_id, statuses = field.press_send(60, times=50)
    assert statuses <= {200, 409}
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == len(books.states) == 60


def test_a_confirmation_is_not_behind_another_organizations_mailing(field: Field) -> None:
    many = 2000
    signing = field.signing()
    field.sink.set(slow=0.5)
    batch_id = field.send(many)
    waits = signing(20, every=0.2)
    assert field.sink.progress()["taken"] < many * 0.9, "the mailing was over before they came"
    assert waits[int(len(waits) * 0.95) - 1] < 10
    field.sink.set(slow=0.0)
    books = field.finish(batch_id)
    holds(books)
    assert len(books.accepted) == many


def test_a_killed_worker_over_smtp(field: Field, tmp_path: Path) -> None:
    """SMTP tells nothing afterwards: whoever was on the way is listed, nobody gets it again."""
    alone = Alone(tmp_path, field.sink, {"MAIL_BATCH_SIZE": str(BATCH), "MAIL_LEASE_SECONDS": "2"})
    field.sink.set(slow=0.02)
    try:
        batch_id = alone.send(PEOPLE)
        for share in (0.2, 0.6):
            killed = alone.sender()
            alone.wait_until_taken(int(PEOPLE * share))
            killed.kill()
            killed.wait(10)
        alone.sender()
        books = alone.finish(batch_id)
    finally:
        alone.stop()
    holds(books)
    assert books.unknown == books.doubtful
    assert len(books.unknown) <= 2 * BATCH


def raw(port: int, request: bytes) -> int:
    """The status that the web server answers to these very bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(request)
        link.settimeout(20)
        first = link.makefile("rb").readline()
    return int(first.split()[1]) if first else 0


def test_what_no_client_library_would_send_to_the_webhook(field: Field) -> None:
    key = "X-Twilio-Email-Event-Webhook-Signature"
    at = f"X-Twilio-Email-Event-Webhook-Timestamp: {int(time.time())}"
    body = b'[{"event":"delivered","sg_event_id":"raw","delivery":"x"}]'

    def request(*headers: str, length: int | None = None, method: str = "POST") -> bytes:
        lines = [f"{method} /webhooks/sendgrid HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body

    refused = {400, 403, 405, 408, 411, 413, 415}
    cases = {
        "two signatures": request(f"{key}: AAAA", f"{key}: BBBB", at),
        "two timestamps": request(f"{key}: AAAA", at, at.replace(": ", ": 1")),
        "bytes that are no text": request(f"{key}: \xff\xfe\xfd", at),
        "a header of 60 kB": request(f"{key}: {'A' * 60_000}", at),
        "a length that lies": request(f"{key}: AAAA", at, length=5),
        "six megabytes announced": request(f"{key}: AAAA", at, length=6 * 1024 * 1024),
        "chunks": (
            f"POST /webhooks/sendgrid HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Transfer-Encoding: chunked\r\n{key}: AAAA\r\n{at}\r\n\r\n"
            f"{len(body):x}\r\n{body.decode()}\r\n0\r\n\r\n"
        ).encode(),
        "PUT": request(f"{key}: AAAA", at, method="PUT"),
    }
    statuses = {name: raw(field.stack.port, one) for name, one in cases.items()}
    assert {name: status for name, status in statuses.items() if status not in refused} == {}
    with field.app.app_context():
        assert db.session.get(ProviderEvent, "raw") is None
        db.session.rollback()
