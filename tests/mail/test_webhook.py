"""Signed events: proof first; forged, late, shuffled, repeated and broken ones do no harm."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db, uuid7
from campaign.mail import delivery, queries, services, sweeping, webhook
from campaign.mail.addresses import address_hash
from campaign.mail.models import (
    Batch,
    BatchState,
    Delivery,
    ProviderEvent,
    Scope,
    Suppression,
    WebhookCall,
)
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.mail import crowd, make_batch, queue, states_of
from tests.factories.sendgrid_server import SendGridServer

pytestmark = pytest.mark.usefixtures("app")

PATH = "/webhooks/sendgrid"


@pytest.fixture
def signer(app: Flask, with_settings: Callable[..., Settings]) -> SendGridServer:
    """Signs, but is never called: the mailbox takes the mail."""
    server = SendGridServer()
    server._http.server_close()
    with_settings(sendgrid_webhook_public_key=server.webhook_public_key)
    return server


@pytest.fixture
def post(client: Client, signer: SendGridServer) -> Callable[..., int]:
    def send(*events: Any) -> int:
        body = json.dumps(list(events)).encode()
        return client.post(PATH, data=body, headers=signer.signed(body)).status_code

    return send


def sent(count: int = 1, **given: Any) -> tuple[Batch, list[Delivery]]:
    people = crowd(count)
    batch = make_batch(people, **given)
    delivery.work(bulk=True, seconds=5)
    rows = db.session.scalars(select(Delivery).where(Delivery.batch_id == batch.id)).all()
    return batch, sorted(rows, key=lambda row: row.person_id or uuid7())


def suppressions() -> list[tuple[str, str, str]]:
    return [
        (row.address_hash, row.scope, row.reason)
        for row in db.session.scalars(select(Suppression).order_by(Suppression.id))
    ]


def stored() -> int:
    return (db.session.scalar(select(func.count()).select_from(WebhookCall)) or 0) + (
        db.session.scalar(select(func.count()).select_from(ProviderEvent)) or 0
    )


# Proof


def test_without_a_key_there_is_no_such_page(client: Client) -> None:
    assert client.post(PATH, data=b"[]").status_code == 404


def test_a_retry_of_23_hours_ago_is_taken(client: Client, signer: SendGridServer) -> None:
    body = b"[]"
    headers = signer.signed(body, str(int(time.time()) - 23 * 3600))
    assert client.post(PATH, data=body, headers=headers).status_code == 204


def test_a_key_in_pem_is_the_same_key(
    client: Client, signer: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    pem = f"-----BEGIN PUBLIC KEY-----\n{signer.webhook_public_key}\n-----END PUBLIC KEY-----"
    with_settings(sendgrid_webhook_public_key=pem)
    assert client.post(PATH, data=b"[]", headers=signer.signed(b"[]")).status_code == 204


def test_a_broken_key_refuses_everything(
    client: Client, signer: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(sendgrid_webhook_public_key="no key at all")
    assert client.post(PATH, data=b"[]", headers=signer.signed(b"[]")).status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"null", b'"x"', b"[" * 5000, b"\xff\xfe"])
def test_a_signed_body_that_is_no_list_of_events_is_kept_and_ends(
    body: bytes, client: Client, signer: SendGridServer
) -> None:
    assert client.post(PATH, data=body, headers=signer.signed(body)).status_code == 204
    call = db.session.scalars(select(WebhookCall)).one()
    assert call.processed_at is not None


def test_five_megabytes_are_taken_and_more_are_not(client: Client, signer: SendGridServer) -> None:
    body = b"[" + b" " * (2 * 1024 * 1024) + b"]"
    assert client.post(PATH, data=body, headers=signer.signed(body)).status_code == 204
    body = b"[" + b" " * (6 * 1024 * 1024) + b"]"
    assert client.post(PATH, data=body, headers=signer.signed(body)).status_code == 413


# Meaning


def test_delivered(post: Callable[..., int], signer: SendGridServer) -> None:
    batch, (row,) = sent()
    assert post(signer.event("delivered", row.id.hex)) == 204
    assert states_of(batch) == ["delivered"]
    assert db.session.get(Delivery, row.id).address is None  # type: ignore[union-attr]


def test_a_hard_bounce_suppresses_the_address_everywhere(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, (row,) = sent()
    hashed, address = row.address_hash, queries.mailbox(limit=1)[0].to
    post(signer.event("bounce", row.id.hex, type="bounce", status="5.1.1", email=address))
    assert states_of(batch) == ["bounced"]
    assert queries.batch_reasons(batch.id) == {"hard bounce": 1}
    assert suppressions() == [(hashed, "address", "hard bounce")]
    assert queue(address) is None


def test_three_soft_bounces_in_thirty_days_and_no_delivery_between(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    people = crowd(1)
    address = people[0][1]

    def block(days_ago: int) -> None:
        batch = make_batch(people)
        delivery.work(bulk=True, seconds=5)
        row = db.session.scalars(select(Delivery).where(Delivery.batch_id == batch.id)).one()
        at = int(time.time()) - days_ago * 86400
        post(signer.event("bounce", row.id.hex, type="blocked", timestamp=at, email=address))

    block(40)
    block(20)
    block(10)
    assert suppressions() == []
    post(
        signer.event(
            "delivered", uuid7().hex, timestamp=int(time.time()) - 8 * 86400, email=address
        )
    )
    block(7)
    block(6)
    assert suppressions() == []
    block(5)
    assert suppressions() == [(address_hash(address), "address", "soft bounces")]


def test_a_complaint_stops_all_bulk_of_that_organization_alone(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    people = crowd(1)
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    row = db.session.scalars(select(Delivery).where(Delivery.batch_id == batch.id)).one()
    post(signer.event("spamreport", row.id.hex))
    assert states_of(batch) == ["complained"]
    again = make_batch(people, organization_id=batch.organization_id)
    other = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    assert states_of(again) == ["suppressed"]
    assert states_of(other) == ["accepted"]
    assert queue(people[0][1]) is not None, "single e-mails still go"


@pytest.mark.parametrize(
    ("kind", "scope"), [("unsubscribe", "organization"), ("group_unsubscribe", "list")]
)
def test_an_unsubscribe_at_the_provider_counts_for_its_scope(
    kind: str, scope: str, post: Callable[..., int], signer: SendGridServer
) -> None:
    _, (row,) = sent(list_id=uuid7())
    post(signer.event(kind, row.id.hex))
    assert [one[1:] for one in suppressions()] == [(scope, "unsubscribed")]


@pytest.mark.parametrize(
    ("reason", "scope"),
    [
        ("Bounced Address", "address"),
        ("Invalid", "address"),
        ("Spam Reporting Address", "organization"),
        ("Unsubscribed Address", "organization"),
        ("Spam Content", None),
    ],
)
def test_dropped_is_not_sent_and_mirrors_the_reason(
    reason: str, scope: str | None, post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, (row,) = sent()
    post(signer.event("dropped", row.id.hex, reason=reason))
    assert states_of(batch) == ["suppressed"]
    assert sum(queries.batch_reasons(batch.id).values()) == 1
    assert [one[1] for one in suppressions()] == ([scope] if scope else [])


def test_a_group_resubscribe_lifts_nothing(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    _, (row,) = sent(list_id=uuid7())
    post(signer.event("group_unsubscribe", row.id.hex))
    post(signer.event("group_resubscribe", row.id.hex))
    assert len(suppressions()) == 1


def test_opens_and_clicks_are_not_followed(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, (row,) = sent()
    assert post(signer.event("open", row.id.hex), signer.event("click", row.id.hex)) == 204
    assert states_of(batch) == ["accepted"]


def test_any_order_any_repetition_ends_the_same(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    rng = random.Random(7)
    for _ in range(5):
        batch, (row,) = sent()
        events = [
            signer.event("processed", row.id.hex),
            signer.event("deferred", row.id.hex),
            signer.event("delivered", row.id.hex),
            signer.event("spamreport", row.id.hex),
        ]
        shuffled = events * 3
        rng.shuffle(shuffled)
        for event in shuffled[:6]:
            post(event)
        post(*shuffled[6:])
        assert states_of(batch) == ["complained"]
        mine = select(func.count()).where(ProviderEvent.delivery_id == row.id)
        assert db.session.scalar(mine) == 4


def test_a_late_delivered_does_not_undo_a_bounce(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, (row,) = sent()
    post(signer.event("bounce", row.id.hex, type="bounce"))
    post(signer.event("delivered", row.id.hex))
    assert states_of(batch) == ["bounced"]


def test_one_bad_event_never_blocks_its_batch(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, rows = sent(2)
    good = [signer.event("delivered", row.id.hex) for row in rows]
    bad: list[Any] = [
        None,
        7,
        "text",
        [],
        {},
        {"event": "delivered"},
        {"event": 5, "sg_event_id": "x"},
        {"event": "delivered", "sg_event_id": "nul\x00byte"},
        {"event": "deli\x00vered", "sg_event_id": "b"},
        {"event": "delivered", "sg_event_id": "surrogate\ud800"},
        {"event": "delivered", "sg_event_id": "y" * 500},
        {"event": "delivered", "sg_event_id": "c", "timestamp": 1e400},
        {"event": "delivered", "sg_event_id": "d", "timestamp": "tomorrow", "email": ["x"]},
        {"event": "bounce", "sg_event_id": "e", "email": "a\x00@b.org", "status": {"a": 1}},
        {"event": "delivered", "sg_event_id": "f", "delivery": "not-an-id"},
        {"event": "unheard of", "sg_event_id": "g", "delivery": uuid7().hex},
    ]
    assert post(bad[0], good[0], *bad[1:], good[1]) == 204
    assert states_of(batch) == ["delivered"] * 2


def test_an_event_of_a_stranger_changes_nothing(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch, _ = sent()
    assert post(signer.event("delivered", uuid7().hex)) == 204
    assert states_of(batch) == ["accepted"]


def test_the_body_is_forgotten_once_it_is_worked_in(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    _, (row,) = sent()
    post(signer.event("delivered", row.id.hex, email="ada@people.example"))
    call = db.session.scalars(select(WebhookCall)).one()
    assert call.body == ""
    event = db.session.scalars(select(ProviderEvent)).one()
    assert event.address_hash == address_hash("ada@people.example")


def test_a_call_left_lying_is_worked_in_by_the_sweep(signer: SendGridServer) -> None:
    batch, (row,) = sent()
    webhook.keep(json.dumps([signer.event("delivered", row.id.hex)]).encode())
    db.session.commit()
    webhook.process_waiting()
    assert states_of(batch) == ["delivered"]


def test_too_many_complaints_pause_the_message(
    post: Callable[..., int], signer: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_batch_size=100)
    batch = make_batch(300)
    for claimed in delivery.claim("one", 1, bulk=True):
        delivery.deliver(claimed)
    rows = db.session.scalars(
        select(Delivery.id).where(Delivery.batch_id == batch.id, Delivery.state.is_(None)).limit(2)
    ).all()
    post(signer.event("spamreport", rows[0].hex))
    db.session.refresh(batch)
    assert batch.state == BatchState.RELEASED
    post(signer.event("spamreport", rows[1].hex))
    db.session.refresh(batch)
    assert (batch.state, batch.pause_reason) == (BatchState.PAUSED, "complaints")
    assert queries.complaint_rates() == {batch.id: 2 / 300}
    (warning,) = queries.outbox_status()["complaint_warnings"]
    assert warning == {"batch": str(batch.id), "share": 0.00667}


def test_an_event_for_what_was_queued_again_keeps_it_from_going_twice(
    post: Callable[..., int], signer: SendGridServer
) -> None:
    batch = make_batch(2)
    rows = db.session.scalars(select(Delivery.id).where(Delivery.batch_id == batch.id)).all()
    post(signer.event("processed", rows[0].hex))
    delivery.work(bulk=True, seconds=5)
    assert len(queries.mailbox(limit=5)) == 1
    assert states_of(batch) == ["accepted"] * 2
    sweeping.sweep()
    assert queries.invariants()["ok"]


def test_lifting_needs_someone_to_ask(signer: SendGridServer) -> None:
    services.suppress(address_hash("a@b.example"), scope=Scope.EVERYTHING, reason="unsubscribed")
    assert services.lift(address_hash("a@b.example"), scope=Scope.EVERYTHING) is True
    assert services.lift(address_hash("a@b.example"), scope=Scope.EVERYTHING) is False
    assert clock.now() is not None
