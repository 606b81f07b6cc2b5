"""A mailing that stops by itself: the provider fails too often, or too many people complain.

Through a server in SendGrid's shape and its signed webhook, as it happens: pause, a probe alone,
and going on without writing to anybody twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from campaign import clock
from campaign.db import db
from campaign.mail import delivery, queries, services, sweeping
from campaign.mail.models import Attempt, Batch, BatchState, Chunk
from campaign.mail.statements import PROVIDER_ERRORS
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.mail import make_batch, queue, states_of
from tests.factories.sendgrid_server import Fault, SendGridServer

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def server(app: Flask, with_settings: Callable[..., Settings]) -> Iterator[SendGridServer]:
    with SendGridServer() as server:
        with_settings(
            mail_transport="sendgrid",
            sendgrid_api_key="SG.test",
            sendgrid_base_url=server.url,
            sendgrid_webhook_public_key=server.webhook_public_key,
            mail_batch_size=5,
            mail_unknown_window_seconds=1,
        )
        yield server
        with app.app_context():
            report = queries.invariants()
        assert report["ok"], report["checks"]


@pytest.fixture
def tell(client: Client, server: SendGridServer) -> Callable[..., None]:
    def post(*events: dict[str, object]) -> None:
        body = json.dumps(list(events)).encode()
        answer = client.post("/webhooks/sendgrid", data=body, headers=server.signed(body))
        assert answer.status_code == 204

    return post


def state_of(batch: Batch) -> tuple[str, str]:
    db.session.expire_all()
    found = db.session.get_one(Batch, batch.id)
    return found.state, found.pause_reason


def probe_is_due(batch: Batch) -> None:
    past = clock.now() - timedelta(seconds=1)
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(probe_at=past))
    db.session.execute(update(Chunk).where(Chunk.batch_id == batch.id).values(next_attempt_at=past))
    db.session.commit()


def attempts() -> int:
    return db.session.scalar(select(func.count()).select_from(Attempt)) or 0


def let_silence_pass(tell: Callable[..., None], server: SendGridServer) -> None:
    """Everything in doubt is older than the window, and the webhook lives."""
    db.session.execute(
        update(Chunk)
        .where(Chunk.unknown_since.is_not(None))
        .values(unknown_since=clock.now() - timedelta(seconds=5))
    )
    db.session.commit()
    tell(server.event("delivered", "0" * 32))


@pytest.mark.parametrize("after", [False, True], ids=["before it is taken", "after it is taken"])
def test_a_failing_provider_pauses_is_probed_and_nobody_is_mailed_twice(
    server: SendGridServer, tell: Callable[..., None], after: bool
) -> None:
    size = 150
    batch = make_batch(size)
    server.faults = [Fault("503", after=after)]
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.PAUSED, PROVIDER_ERRORS)
    stopped_at = attempts()
    assert delivery.BREAKER_ERRORS < stopped_at <= delivery.BREAKER_ERRORS + delivery.BULK_CLAIM
    delivery.work(bulk=True, seconds=5)
    assert attempts() == stopped_at, "paused is paused"

    for n in range(1, 3):
        probe_is_due(batch)
        delivery.work(bulk=True, seconds=5)
        assert attempts() == stopped_at + n, "a probe goes alone"
        assert state_of(batch) == (BatchState.PAUSED, PROVIDER_ERRORS)
    queue("ada@people.example")
    server.faults = []
    delivery.work(bulk=False, seconds=5)
    assert server.statuses[202] == 1, "single e-mails wait for no mailing"

    probe_is_due(batch)
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.RELEASED, "")
    for taken in list(server.taken):
        tell(server.event("processed", taken.delivery))
    let_silence_pass(tell, server)
    sweeping.sweep()
    delivery.work(bulk=True, seconds=20)
    assert states_of(batch) == ["accepted"] * size
    assert (server.unique, server.duplicates) == (size + 1, 0)


def test_a_provider_that_fails_now_and_then_pauses_nothing(server: SendGridServer) -> None:
    server.faults = [Fault("503", every=6)]
    batch = make_batch(200)
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.RELEASED, "")


def test_being_asked_to_wait_is_no_error(server: SendGridServer) -> None:
    server.faults = [Fault("429", times=12, retry_after="0.1")]
    batch = make_batch(50)
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.RELEASED, "")
    assert states_of(batch) == ["accepted"] * 50


def test_complaints_pause_and_going_on_writes_to_nobody_twice(
    server: SendGridServer, tell: Callable[..., None]
) -> None:
    size = 300
    batch = make_batch(size)
    for claimed in delivery.claim("one", 12, bulk=True):
        delivery.deliver(claimed)
    first = [taken.delivery for taken in server.taken]
    assert len(first) == 60
    tell(*[server.event("delivered", one) for one in first])
    tell(server.event("spamreport", first[0]))
    assert state_of(batch) == (BatchState.RELEASED, ""), "one complaint is a person, not a rate"
    tell(server.event("spamreport", first[1]), server.event("spamreport", first[1]))
    assert state_of(batch) == (BatchState.PAUSED, "complaints")
    probe_is_due(batch)
    delivery.work(bulk=True, seconds=5)
    assert server.unique == 60, "no probe: this waits for a person"
    queue("ada@people.example")
    delivery.work(bulk=True, seconds=5)
    assert server.unique == 61, "single e-mails still go"

    services.resume(db.session.get_one(Batch, batch.id))
    db.session.commit()
    delivery.work(bulk=True, seconds=20)
    assert (server.unique, server.duplicates) == (size + 1, 0)
    assert states_of(batch).count("complained") == 2
    again = make_batch(3, organization_id=batch.organization_id)
    delivery.work(bulk=True, seconds=5)
    assert states_of(again) == ["accepted"] * 3


def test_complaints_while_the_provider_fails_wait_for_a_person(
    server: SendGridServer, tell: Callable[..., None]
) -> None:
    """A probe that gets through must not let a mailing go on of which people complain."""
    batch = make_batch(300)
    for claimed in delivery.claim("one", 4, bulk=True):
        delivery.deliver(claimed)
    first = [taken.delivery for taken in server.taken]
    server.faults = [Fault("503")]
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.PAUSED, PROVIDER_ERRORS)
    tell(*[server.event("spamreport", one) for one in first[:3]])
    assert state_of(batch) == (BatchState.PAUSED, "complaints")
    server.faults = []
    probe_is_due(batch)
    before = server.requests
    delivery.work(bulk=True, seconds=5)
    assert server.requests == before


def test_an_organizer_who_pauses_is_not_overruled_by_a_probe(server: SendGridServer) -> None:
    batch = make_batch(100)
    server.faults = [Fault("503")]
    delivery.work(bulk=True, seconds=20)
    assert state_of(batch) == (BatchState.PAUSED, PROVIDER_ERRORS)
    services.pause(db.session.get_one(Batch, batch.id))
    db.session.commit()
    server.faults = []
    probe_is_due(batch)
    before = server.requests
    delivery.work(bulk=True, seconds=5)
    assert server.requests == before
    assert state_of(batch) == (BatchState.PAUSED, "organizer")
