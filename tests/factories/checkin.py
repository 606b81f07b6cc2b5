"""Sign-ins, head counts and answers to "did you come?", as rows."""

from __future__ import annotations

import itertools
from typing import Any

from campaign import clock
from campaign.checkin.models import CameAnswer, CountWay, HeadCount, SignIn, SignInWay
from campaign.db import db
from campaign.events.models import Event, Occurrence, Rsvp
from campaign.mail.addresses import address_hash
from tests.factories.events import occurrence_of

_number = itertools.count(1)


def make_sign_in(
    event: Event, rsvp: Rsvp | None = None, occurrence: Occurrence | None = None, **values: Any
) -> SignIn:
    """Somebody signed in: by an answer, else a walk-in."""
    occurrence = occurrence or (rsvp.occurrence if rsvp else occurrence_of(event))
    email = values.pop("email", None)
    row = SignIn(
        organization_id=event.organization_id,
        event_id=event.id,
        occurrence_id=occurrence.id,
        rsvp_id=rsvp.id if rsvp else None,
        email=email,
        address_hash=address_hash(email) if email else None,
        **{
            "person_id": rsvp.person_id if rsvp else None,
            "client_key": f"test-key-{next(_number)}",
            "way": SignInWay.LIST if rsvp else SignInWay.DOOR,
            "first_name": "" if rsvp else "Walter",
            "last_name": "" if rsvp else "Innes",
            "at": clock.now(),
            "received_at": clock.now(),
            **values,
        },
    )
    db.session.add(row)
    db.session.flush()
    return row


def make_head_count(event: Event, count: int = 100, **values: Any) -> HeadCount:
    row = HeadCount(
        organization_id=event.organization_id,
        **{
            "occurrence_id": occurrence_of(event).id,
            "count": count,
            "way": CountWay.HAND,
            "at": clock.now(),
            **values,
        },
    )
    db.session.add(row)
    db.session.flush()
    return row


def make_came_answer(rsvp: Rsvp, has_come: bool = True, **values: Any) -> CameAnswer:
    row = CameAnswer(
        organization_id=rsvp.organization_id,
        rsvp_id=rsvp.id,
        occurrence_id=rsvp.occurrence_id,
        has_come=has_come,
        at=values.pop("at", clock.now()),
        **values,
    )
    db.session.add(row)
    db.session.flush()
    return row
