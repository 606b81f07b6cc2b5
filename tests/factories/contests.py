"""Messages with variants, and what their readers do."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import select, update

from campaign.db import db
from campaign.mail.models import Delivery, DeliveryState
from campaign.mailings import queries
from campaign.mailings.models import Choice, Contest, Measure, Message, MessageLink, Unit, Variant
from campaign.organizations.models import Organization
from tests.factories.mailings import make_message


def make_contest(
    organization: Organization,
    *include: Choice,
    subjects: tuple[str, ...] = ("", "Doors open on Monday"),
    details: dict[str, Any] | None = None,
    **plan: Any,
) -> Message:
    """A draft with a variant for each subject; half of the audience tests."""
    message = make_message(organization, *include, **(details or {}))
    given = {"size": 50, "unit": Unit.PERCENT, "measure": Measure.CLICKS, "hours": 4} | plan
    message.contest = Contest(
        **given,
        variants=[
            Variant(letter=letter, own_subject=subject)
            for letter, subject in zip("abcdef", subjects, strict=False)
        ],
    )
    db.session.commit()
    return message


def variant(message: Message, letter: str) -> Variant:
    found = message.contest.variant(letter) if message.contest else None
    assert found is not None
    return found


def people_in(batch_id: uuid.UUID | None) -> set[uuid.UUID | None]:
    """Whom a batch holds."""
    return set(db.session.scalars(select(Delivery.person_id).where(Delivery.batch_id == batch_id)))


def groups(message: Message) -> dict[str, set[uuid.UUID | None]]:
    """Whom each variant's batch holds, and the rest's under ""."""
    assert message.contest is not None
    found = {row.letter: people_in(row.batch_id) for row in message.contest.variants}
    return found | {"": people_in(message.batch_id)}


def click(message: Message, letter: str, times: int) -> None:
    """Somebody follows a link of a variant's letter."""
    link = queries.links_of(message.id, variant_id=variant(message, letter).id)[0]
    db.session.execute(
        update(MessageLink).where(MessageLink.id == link.id).values(click_count=times)
    )
    db.session.commit()


def answer(
    batch_id: uuid.UUID | None, count: int, state: DeliveryState = DeliveryState.COMPLAINED
) -> None:
    """Some who got a batch call it spam, or their mail services send it back."""
    rows = db.session.scalars(
        select(Delivery).where(Delivery.batch_id == batch_id, Delivery.state.is_(None)).limit(count)
    ).all()
    assert len(rows) == count
    for row in rows:
        row.state, row.reason = state, state.value
    db.session.commit()
