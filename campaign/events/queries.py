"""What is asked about events, their dates and answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select

from campaign.campaigns.models import SLUG
from campaign.db import db
from campaign.errors import NotFound
from campaign.events.models import (
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpState,
    Shift,
)

# --- events and their dates --------------------------------------------------------------------


def event_by_slug(slug: str) -> Event:
    """An event that the public may see. Raises NotFound for drafts and unknown ones."""
    if not SLUG.fullmatch(slug):
        raise NotFound
    event = db.session.scalar(select(Event).where(Event.slug == slug))
    if event is None or not event.is_public:
        raise NotFound
    return event


def event_of(organization_id: uuid.UUID, event_id: uuid.UUID) -> Event:
    """An event of this organization. Raises NotFound for another's and unknown ones."""
    event = db.session.scalar(
        select(Event).where(Event.id == event_id, Event.organization_id == organization_id)
    )
    if event is None:
        raise NotFound
    return event


def occurrence_of(organization_id: uuid.UUID, occurrence_id: uuid.UUID) -> Occurrence:
    """A date of an event of this organization. Raises NotFound like `event_of`."""
    occurrence = db.session.scalar(
        select(Occurrence).where(
            Occurrence.id == occurrence_id, Occurrence.organization_id == organization_id
        )
    )
    if occurrence is None:
        raise NotFound
    return occurrence


def _dates(event: Event) -> Select[Occurrence]:
    """The dates of an event in their order, those taken out of a series left out."""
    return (
        select(Occurrence)
        .where(Occurrence.event_id == event.id, Occurrence.state != OccurrenceState.REMOVED)
        .order_by(Occurrence.starts_at, Occurrence.id)
    )


def open_occurrences(event: Event, now: datetime, limit: int | None = None) -> list[Occurrence]:
    """The dates that take answers, the next first."""
    if event.state != EventState.PUBLISHED:
        return []
    found = _dates(event).where(
        Occurrence.state == OccurrenceState.SCHEDULED, Occurrence.ends_at > now
    )
    return list(db.session.scalars(found.limit(limit)))


def next_occurrence(event: Event, now: datetime) -> Occurrence | None:
    """The date a page is about when nobody asked for another: the next that takes answers, else
    the next cancelled one, else the last that was."""
    for occurrence in open_occurrences(event, now, 1):
        return occurrence
    coming = _dates(event).where(Occurrence.ends_at > now).limit(1)
    last = _dates(event).order_by(None).order_by(Occurrence.starts_at.desc()).limit(1)
    return db.session.scalar(coming) or db.session.scalar(last)


def occurrence_on(event: Event, day: str) -> Occurrence | None:
    """The date of an event on a local day ("2026-12-01"), or at a local time."""
    return db.session.scalar(
        _dates(event).where(func.substr(Occurrence.starts_wall, 1, len(day)) == day).limit(1)
    )


def shifts_of(event_id: uuid.UUID) -> list[Shift]:
    """What can be signed up for, in its order."""
    return list(
        db.session.scalars(
            select(Shift)
            .where(Shift.event_id == event_id, Shift.is_removed.is_(False))
            .order_by(Shift.position, Shift.starts_after_minutes, Shift.id)
        )
    )


# --- answers -----------------------------------------------------------------------------------


def rsvp_by_id(rsvp_id: uuid.UUID) -> Rsvp | None:
    """An answer, or None when it was never there or is gone."""
    return db.session.get(Rsvp, rsvp_id)


def rsvp_of(organization_id: uuid.UUID, rsvp_id: uuid.UUID) -> Rsvp:
    """An answer to an event of this organization. Raises NotFound like `event_of`."""
    rsvp = db.session.scalar(
        select(Rsvp).where(Rsvp.id == rsvp_id, Rsvp.organization_id == organization_id)
    )
    if rsvp is None:
        raise NotFound
    return rsvp


def rsvps_of(person_id: uuid.UUID) -> list[Rsvp]:
    """A person's answers, the latest first."""
    found = select(Rsvp).where(Rsvp.person_id == person_id).order_by(Rsvp.id.desc())
    return list(db.session.scalars(found))


def rsvps_by_address(address_hash: str) -> list[Rsvp]:
    """Answers given under an address, whoever they belong to."""
    found = select(Rsvp).where(Rsvp.address_hash == address_hash).order_by(Rsvp.id.desc())
    return list(db.session.scalars(found))


def shifts_taken(occurrence_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """How many have signed up for each shift of a date: those who come, and those in line."""
    rows = db.session.execute(
        select(Rsvp.shift_id, func.count())
        .where(
            Rsvp.occurrence_id == occurrence_id,
            Rsvp.shift_id.is_not(None),
            Rsvp.state.in_(HOLDING_A_SHIFT),
        )
        .group_by(Rsvp.shift_id)
    )
    return {shift_id: count for shift_id, count in rows if shift_id is not None}


HOLDING_A_SHIFT: Sequence[str] = (RsvpState.ACCEPTED, RsvpState.WAITING)
