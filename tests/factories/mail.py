"""Letters, audiences and batches to send."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from sqlalchemy import String, Uuid, column, select, values

from campaign.db import db, uuid7
from campaign.mail import delivery, freezing, services
from campaign.mail.addresses import address_hash
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, Chunk, Delivery

_numbers = itertools.count(1)

LETTER = Letter(
    subject="News for {{ first_name|friend }}",
    text="Hello {{ first_name|friend }},\n\nthe hearing is on Monday.\n\nStop: {{ unsubscribe_url }}\n",
    html=(
        "<p>Hello {{ first_name|friend }},</p><p>the hearing is on Monday.</p>"
        '<p><a href="{{ unsubscribe_url }}">Stop</a></p>'
    ),
)

CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tests//EN\r\nMETHOD:CANCEL\r\nBEGIN:VEVENT\r\n"
    "UID:1@clinics.example\r\nDTSTAMP:20261201T000000Z\r\nDTSTART:20261202T000000Z\r\n"
    "SUMMARY:Vigilia ante la clínica {{ first_name }}\r\nSTATUS:CANCELLED\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)
"""A calendar file; what looks like a merge field in it is text."""


def audience(people: list[tuple[uuid.UUID, str, str]]) -> Any:
    """A select of (id, address, first name) rows in the shape that `add_recipients` wants."""
    rows = values(
        column("person_id", Uuid()),
        column("address", String()),
        column("address_hash", String()),
        column("first_name", String()),
        name="people",
    ).data([(one, address, address_hash(address), name) for one, address, name in people])
    return select(rows.cte("people"))


def crowd(count: int) -> list[tuple[uuid.UUID, str, str]]:
    """People nobody has met before."""
    return [(uuid7(), f"reader{next(_numbers)}@people.example", f"Name{n}") for n in range(count)]


def make_batch(people: int | list[tuple[uuid.UUID, str, str]] = 3, **given: Any) -> Batch:
    """A released batch to that many people."""
    is_released = given.pop("is_released", True)
    batch = services.create_batch(
        organization_id=given.pop("organization_id", None) or uuid7(),
        kind=given.pop("kind", "mailing"),
        key=given.pop("key", "") or f"key-{next(_numbers)}",
        letter=given.pop("letter", LETTER),
        sender=services.Sender("Keep Our Clinics", "hello@clinics.example", "desk@clinics.example"),
        **given,
    )
    chosen = crowd(people) if isinstance(people, int) else people
    if chosen:
        freezing.add_recipients(batch, audience(chosen))
    if is_released:
        services.release(batch)
    db.session.commit()
    return batch


def queue(to: str = "", **given: Any) -> uuid.UUID | None:
    """One single e-mail."""
    found = services.queue_email(
        to or f"reader{next(_numbers)}@people.example",
        given.pop("content", LETTER),
        organization_id=given.pop("organization_id", None),
        kind=given.pop("kind", "confirmation"),
        values=given.pop("values", {"first_name": "Ada"}),
        **given,
    )
    db.session.commit()
    return found


def claim_one(*, bulk: bool = True) -> delivery.Claim:
    """The next chunk, claimed."""
    (claimed,) = delivery.claim(delivery.new_owner(), 1, bulk=bulk)
    return claimed


def chunks_of(batch: Batch) -> list[Chunk]:
    """The chunks of a batch, as they are in the database."""
    db.session.expire_all()
    return list(
        db.session.scalars(select(Chunk).where(Chunk.batch_id == batch.id).order_by(Chunk.id))
    )


def states_of(batch: Batch) -> list[str]:
    """The state of each delivery, its chunk's where it has none of its own, sorted."""
    db.session.expire_all()
    rows = db.session.execute(
        select(Delivery.state, Chunk.state)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .where(Delivery.batch_id == batch.id)
    )
    return sorted(own or chunk for own, chunk in rows)
