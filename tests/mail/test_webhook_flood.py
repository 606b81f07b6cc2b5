"""Events by the thousand: in any order, again and again, a day late, one broken among them."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from campaign import clock
from campaign.db import db
from campaign.errors import Unknown
from campaign.mail import delivery, queries, services, sweeping, webhook
from campaign.mail.mailbox import Mailbox
from campaign.mail.models import Batch, Chunk, Delivery, ProviderEvent, WebhookCall
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.mail import make_batch, states_of
from tests.factories.sendgrid_server import SendGridServer

pytestmark = pytest.mark.usefixtures("app")

PATH = "/webhooks/sendgrid"
MANY = 10_000
MOST_SECONDS = 40.0
MOST_BYTES = 60 * 1024 * 1024


@pytest.fixture
def signer(app: Flask, with_settings: Callable[..., Settings]) -> SendGridServer:
    """Signs, but is never called: the mailbox takes the mail."""
    server = SendGridServer()
    server._http.server_close()
    with_settings(sendgrid_webhook_public_key=server.webhook_public_key)
    return server


def ids_of(batch: Any) -> list[str]:
    rows = db.session.scalars(select(Delivery.id).where(Delivery.batch_id == batch.id))
    return [one.hex for one in rows]


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test the books must balance."""
    yield
    with app.app_context():
        report = queries.invariants()
    assert report["ok"], report["checks"]


@pytest.fixture
def post(client: Client, signer: SendGridServer) -> Callable[..., None]:
    def send(*events: dict[str, Any]) -> None:
        body = json.dumps(list(events)).encode()
        assert client.post(PATH, data=body, headers=signer.signed(body)).status_code == 204

    return send


def unknown_batch(monkeypatch: pytest.MonkeyPatch, size: int = 4) -> Batch:
    """A mailing of one request that nobody answered."""

    def call(_attempted: delivery.Try) -> delivery.Outcome:
        return Unknown("connection lost")

    monkeypatch.setattr(Mailbox, "reconcile", lambda *_: None)  # as one that cannot tell
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "call", call)
        batch = make_batch(size)
        delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["unknown"] * size
    return batch


def let_the_window_pass(batch: Batch) -> None:
    past = clock.now() - timedelta(seconds=sweeping.BULK_WINDOW_SECONDS + 10)
    db.session.execute(update(Chunk).where(Chunk.batch_id == batch.id).values(unknown_since=past))
    db.session.commit()


def test_ten_thousand_events_in_one_call(client: Client, signer: SendGridServer) -> None:
    batch = make_batch(MANY // 4)
    delivery.work(bulk=True, seconds=60)
    ids = ids_of(batch)
    events: list[Any] = [
        {"event": kind, "sg_event_id": f"{kind}-{one}", "timestamp": int(time.time())}
        | {"delivery": one, "email": "reader@people.example"}
        for one in ids
        for kind in ("processed", "deferred", "delivered", "open")
    ]
    random.Random(4).shuffle(events)
    assert len(events) == MANY
    broken = {"event": "delivered", "sg_event_id": "bad\x00", "delivery": ids[0]}
    body = json.dumps([*events[:5000], broken, None, *events[5000:]]).encode()
    assert client.post(PATH, data=body, headers=signer.signed(body)).status_code == 204
    tracemalloc.start()
    began = time.monotonic()
    webhook.process_waiting()
    took = time.monotonic() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert states_of(batch) == ["delivered"] * len(ids)
    assert db.session.scalar(select(func.count()).select_from(ProviderEvent)) == MANY
    assert took < MOST_SECONDS
    assert peak < MOST_BYTES
    assert db.session.scalars(select(WebhookCall)).one().processed_at is not None


def test_whatever_the_order_and_however_often(
    post: Callable[..., None], signer: SendGridServer
) -> None:
    rng = random.Random(11)
    batch = make_batch(40)
    delivery.work(bulk=True, seconds=10)
    ids = ids_of(batch)
    last = dict(zip(ids, ["delivered"] * 30 + ["bounced"] * 6 + ["complained"] * 4, strict=True))
    events = []
    for one, state in last.items():
        events += [signer.event(kind, one) for kind in ("processed", "deferred", "delivered")]
        if state == "bounced":
            events.append(signer.event("bounce", one, type="bounce", email=f"{one}@people.example"))
        if state == "complained":
            events.append(signer.event("spamreport", one, email=f"{one}@people.example"))
    flood = events * 3
    rng.shuffle(flood)
    while flood:
        size = rng.randint(1, 60)
        some, flood = flood[:size], flood[size:]
        post(*some)
    assert states_of(batch) == sorted(last.values())
    assert db.session.scalar(select(func.count()).select_from(ProviderEvent)) == len(events)


def test_an_event_that_is_twenty_hours_late_still_ends_a_doubt(
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
    signer: SendGridServer,
) -> None:
    batch = unknown_batch(monkeypatch)
    let_the_window_pass(batch)
    sweeping.sweep()
    assert states_of(batch) == ["unknown_final"] * 4
    long_ago = int(time.time()) - 20 * 3600
    events = [signer.event("delivered", one, timestamp=long_ago) for one in ids_of(batch)]
    body = json.dumps(events).encode()
    headers = signer.signed(body, str(long_ago))
    assert client.post(PATH, data=body, headers=headers).status_code == 204
    assert states_of(batch) == ["delivered"] * 4
    assert services.send_again(batch) == 0, "nobody is left to send it to again"


def test_one_recipient_of_a_request_speaks_for_all(
    monkeypatch: pytest.MonkeyPatch, post: Callable[..., None], signer: SendGridServer
) -> None:
    batch = unknown_batch(monkeypatch)
    post(signer.event("processed", ids_of(batch)[2]))
    assert states_of(batch) == ["accepted"] * 4
    let_the_window_pass(batch)
    sweeping.sweep()
    assert delivery.is_due(bulk=True) is False


def test_an_event_before_a_lost_answer_speaks_for_all(
    monkeypatch: pytest.MonkeyPatch, post: Callable[..., None], signer: SendGridServer
) -> None:
    """The events come while the request is still out; then the worker dies."""
    batch = make_batch(4)
    (claimed,) = delivery.claim("one", 1, bulk=True)
    assert delivery.attempt(claimed) is not None
    post(signer.event("processed", ids_of(batch)[0]))
    assert states_of(batch) == ["accepted", *["attempting"] * 3]
    db.session.execute(update(Chunk).values(lease_until=clock.now() - timedelta(seconds=1)))
    db.session.commit()
    sweeping.sweep()
    assert states_of(batch) == ["accepted"] * 4


def test_old_events_that_come_now_do_not_prove_a_webhook_alive(
    monkeypatch: pytest.MonkeyPatch, post: Callable[..., None], signer: SendGridServer
) -> None:
    """After an outage SendGrid tells first what happened before it."""
    batch = unknown_batch(monkeypatch)
    let_the_window_pass(batch)
    before = int(time.time()) - 20 * 3600
    post(signer.event("delivered", "0" * 32, timestamp=before))
    sweeping.sweep()
    assert states_of(batch) == ["unknown_final"] * 4


def test_silence_since_then_while_others_are_told_means_no(
    monkeypatch: pytest.MonkeyPatch, post: Callable[..., None], signer: SendGridServer
) -> None:
    batch = unknown_batch(monkeypatch)
    let_the_window_pass(batch)
    post(signer.event("delivered", "0" * 32))
    sweeping.sweep()
    assert states_of(batch) == ["queued"] * 4
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"] * 4


def test_what_lies_unread_is_read_before_silence_means_anything(
    monkeypatch: pytest.MonkeyPatch, post: Callable[..., None], signer: SendGridServer
) -> None:
    """A large call waits for a worker while a small one after it is worked in at once."""
    batch = unknown_batch(monkeypatch)
    events = [signer.event("processed", one) for one in ids_of(batch)]
    webhook.keep(json.dumps(events).encode())
    let_the_window_pass(batch)
    db.session.execute(
        update(WebhookCall).values(
            received_at=clock.now() - timedelta(seconds=sweeping.BULK_WINDOW_SECONDS)
        )
    )
    db.session.commit()
    post(signer.event("delivered", "0" * 32))
    sweeping.sweep()
    assert states_of(batch) == ["unknown"] * 4
    webhook.process_waiting()
    assert states_of(batch) == ["accepted"] * 4
