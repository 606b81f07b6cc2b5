"""Settling sign-ins: the person is found, and the boxes ticked go into the ledger."""

from __future__ import annotations

from datetime import datetime

from campaign import clock
from campaign.campaigns import boxes
from campaign.checkin import queries
from campaign.checkin.models import SignIn, SignInWay
from campaign.db import db
from campaign.events import services as events
from campaign.events.models import Rsvp
from campaign.people import services as people
from campaign.people.models import Person
from campaign.people.services import PersonDetails
from campaign.places.queries import district_for

ROWS_AT_ONCE = 200


def settle_sign_ins() -> int:
    """Settle those that are old enough; returns how many."""
    now = clock.now()
    rows = queries.unsettled(now, ROWS_AT_ONCE)
    for row in rows:
        settle(row, now)
    db.session.flush()
    return len(rows)


def settle(row: SignIn, now: datetime) -> None:
    """Whoever stands in front of us is who they say.

    Their answer is confirmed as if they had pressed the button in its e-mail, and what they ticked
    enters the ledger. Without an address nobody becomes a person: there is nothing to write to,
    and the name alone may be anybody's.
    """
    row.settled_at = now
    rsvp = row.rsvp
    if rsvp is not None and rsvp.first_name:
        if not _is_confirmed(rsvp) and rsvp.email:
            events.confirm_rsvp(rsvp)
            row.settled_at = rsvp.confirmed_at or now
        row.person_id = row.person_id or rsvp.person_id
    if row.email:
        person = _person(row)
        row.person_id = row.person_id or person.id
        _grant(row, person)


def _is_confirmed(rsvp: Rsvp) -> bool:
    return rsvp.confirmed_at is not None


def _person(row: SignIn) -> Person:
    known = db.session.get(Person, row.person_id) if row.person_id else None
    if known is not None and known.erased_at is None:
        return known
    district_id, share = district_for(row.postal_code)
    return people.get_or_add_person(
        row.organization_id,
        PersonDetails(
            email=row.email or "",
            first_name=row.first_name,
            last_name=row.last_name,
            postal_code=row.postal_code,
            language=row.language,
            source=f"event {row.occurrence.event.slug}"[:80],
            district_id=district_id,
            district_share=share,
        ),
    )


def _grant(row: SignIn, person: Person) -> None:
    event = row.occurrence.event
    boxes.grant(
        person,
        row.wordings,
        lead_id=event.organization_id,
        campaign_id=event.campaign_id,
        source=source_of(row),
        source_detail=detail_of(row),
        user_id=row.user_id,
    )


def source_of(row: SignIn) -> str:
    """Where the ledger says that somebody agreed: on paper, or on the page at the door."""
    return "paper" if row.way == SignInWay.SHEET else "page"


def detail_of(row: SignIn) -> str:
    """What the ledger keeps about it: the event, the day, and the line of the sheet."""
    day, event = row.occurrence.starts_wall[:10], row.occurrence.event
    if row.way == SignInWay.SHEET and row.sheet_line:
        sheet, line = row.sheet_line.split("/")
        return f"/e/{event.slug} {day}, sign-in sheet {sheet}, line {line}"
    return f"/e/{event.slug} {day}, at the door"
