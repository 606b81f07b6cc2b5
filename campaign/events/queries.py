"""What is asked about events, their dates and answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Select, func, select

from campaign import clock
from campaign.campaigns.boxes import Box, boxes_for, key_of
from campaign.campaigns.models import SLUG
from campaign.db import db
from campaign.errors import NotFound
from campaign.events import rules
from campaign.events.models import (
    TOLD,
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpState,
    Shift,
)
from campaign.fields import queries as fields
from campaign.fields.models import Question
from campaign.organizations.models import Organization
from campaign.people.models import ConsentWording

SHEET_SECONDS = 2.0
MOST_SHEETS = 1000

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


def dates_of(event: Event, limit: int) -> list[Occurrence]:
    """Dates to choose among: all of a short series, the ones around now of a long one."""
    rows = list(db.session.scalars(_dates(event)))
    if len(rows) <= limit:
        return rows
    now = clock.now()
    at = next((place for place, row in enumerate(rows) if row.ends_at > now), len(rows))
    first = max(0, min(at - limit // 2, len(rows) - limit))
    return rows[first : first + limit]


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


# --- what answering must know ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sheet:
    """What answering must know of one date, read once and kept for two seconds.

    Seats are not here: only the locked row knows how many are left. `version` changes whenever
    anything that an e-mail about the date says has changed, `boxes_key` with the consent boxes.
    """

    occurrence_id: uuid.UUID
    event_id: uuid.UUID
    organization_id: uuid.UUID
    campaign_id: uuid.UUID
    slug: str
    day: str
    """Its local time, for an address that names it; "" where the event has this date alone."""
    is_scheduled: bool
    ends_at: datetime
    capacity: int | None
    has_waiting_list: bool
    most_guests: int
    needs_asked: tuple[str, ...]
    asks_company: bool
    asks_phone: bool
    shifts: tuple[uuid.UUID, ...]
    limited_shifts: frozenset[uuid.UUID]
    boxes: tuple[Box, ...]
    boxes_key: str
    questions: tuple[Question, ...]
    version: str

    def is_open(self, now: datetime) -> bool:
        return self.is_scheduled and now < self.ends_at


def boxes_of(event: Event) -> tuple[Box, ...]:
    """The consent boxes of an event: the lead organization's own, then one per partner."""
    return boxes_for(event.organization_id, event.campaign_id, event.own_wording)


def sheet_of(occurrence: Occurrence) -> Sheet:
    """The sheet of a date as it is now."""
    event, boxes = occurrence.event, boxes_of(occurrence.event)
    lead = db.session.get_one(Organization, event.organization_id)
    shifts = shifts_of(event.id)
    times = [str(row.updated_at.timestamp()) for row in (event, lead, event.campaign)]
    own = (occurrence.starts_at, occurrence.ends_at, occurrence.sequence, occurrence.note)
    places = (occurrence.venue, occurrence.address, occurrence.online_url)
    return Sheet(
        occurrence_id=occurrence.id,
        event_id=event.id,
        organization_id=event.organization_id,
        campaign_id=event.campaign_id,
        slug=event.slug,
        day=occurrence.starts_wall[:16] if event.is_series else "",
        is_scheduled=event.state == EventState.PUBLISHED
        and occurrence.state == OccurrenceState.SCHEDULED,
        ends_at=occurrence.ends_at,
        capacity=occurrence.capacity,
        has_waiting_list=event.has_waiting_list,
        most_guests=event.most_guests,
        needs_asked=tuple(event.needs_asked),
        asks_company=event.asks_company,
        asks_phone=event.asks_phone,
        shifts=tuple(shift.id for shift in shifts),
        limited_shifts=frozenset(shift.id for shift in shifts if shift.capacity is not None),
        boxes=boxes,
        boxes_key=key_of(boxes),
        questions=fields.questions(event.organization_id, event.field_ids),
        version="/".join([*times, *map(str, own), *map(str, places)]),
    )


_sheets: WeakKeyDictionary[Any, dict[tuple[str, uuid.UUID | None], tuple[float, Sheet]]] = (
    WeakKeyDictionary()
)


def sheet(slug: str, occurrence_id: uuid.UUID | None = None) -> Sheet:
    """The sheet of a public event's date (the next without an id), at most two seconds old.

    Raises NotFound like the event's page, and for a date that is not one of this event.
    """
    kept = _sheets.setdefault(db.engine, {})
    found = kept.get((slug, occurrence_id))
    if found is not None and found[0] > monotonic():
        return found[1]
    fresh = sheet_of(date_of(event_by_slug(slug), occurrence_id))
    if len(kept) >= MOST_SHEETS:
        kept.clear()
    kept[slug, occurrence_id] = (monotonic() + SHEET_SECONDS, fresh)
    return fresh


def date_of(event: Event, occurrence_id: uuid.UUID | None) -> Occurrence:
    """A date of an event by its id, or the one its page is about. Raises NotFound for none."""
    if occurrence_id is None:
        found = next_occurrence(event, clock.now())
    else:
        found = db.session.scalar(_dates(event).where(Occurrence.id == occurrence_id))
    if found is None:
        raise NotFound
    return found


def forget_sheets() -> None:
    """Read again: after an event was changed."""
    _sheets.clear()


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


def line_of(occurrence_id: uuid.UUID) -> list[Rsvp]:
    """Who waits for a place, the longest waiting first."""
    found = select(Rsvp).where(Rsvp.occurrence_id == occurrence_id, Rsvp.state == RsvpState.WAITING)
    return list(db.session.scalars(found.order_by(Rsvp.line_number, Rsvp.id)))


@dataclass(frozen=True, slots=True)
class Recount:
    """What the counters of a date must say, from the answers themselves."""

    taken: int
    waiting: int


def recount(occurrence_id: uuid.UUID) -> Recount:
    """Seats taken and people in line, counted anew."""
    rows = db.session.execute(
        select(Rsvp.state, func.count(), func.coalesce(func.sum(Rsvp.guests), 0))
        .where(Rsvp.occurrence_id == occurrence_id)
        .group_by(Rsvp.state)
    )
    by_state = {state: (count, guests) for state, count, guests in rows}
    coming, guests = by_state.get(RsvpState.ACCEPTED, (0, 0))
    return Recount(coming + int(guests), by_state.get(RsvpState.WAITING, (0, 0))[0])


def shifts_taken(occurrence_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """How many have signed up for each shift of a date: all whose answer is not no."""
    rows = db.session.execute(
        select(Rsvp.shift_id, func.count())
        .where(
            Rsvp.occurrence_id == occurrence_id,
            Rsvp.shift_id.is_not(None),
            Rsvp.state.in_(TOLD),
        )
        .group_by(Rsvp.shift_id)
    )
    return {shift_id: count for shift_id, count in rows if shift_id is not None}


def shift_hours(shift: Shift, occurrence: Occurrence, language: str) -> str:
    """From when to when a shift is on a date; "" for one that is as long as the event."""
    if not shift.starts_after_minutes and shift.duration_minutes is None:
        return ""
    starts_at = occurrence.starts_at + timedelta(minutes=shift.starts_after_minutes)
    ends_at = (
        occurrence.ends_at
        if shift.duration_minutes is None
        else starts_at + timedelta(minutes=shift.duration_minutes)
    )
    return rules.hours_of(starts_at, ends_at, occurrence.event.zone, language)


def place_in_line(rsvp: Rsvp) -> int | None:
    """How many wait up to and with this one; None for who does not wait."""
    if rsvp.state != RsvpState.WAITING or rsvp.line_number is None:
        return None
    return db.session.scalar(
        select(func.count())
        .select_from(Rsvp)
        .where(
            Rsvp.occurrence_id == rsvp.occurrence_id,
            Rsvp.state == RsvpState.WAITING,
            Rsvp.line_number <= rsvp.line_number,
        )
    )


def answers_of(rsvp: Rsvp, language: str, *, with_sensitive: bool = True) -> list[tuple[str, str]]:
    """What somebody answered besides, until it stands with their person."""
    return fields.answers_in_words(
        rsvp.organization_id, rsvp.answers, language, with_sensitive=with_sensitive
    )


def wordings_in(rsvp: Rsvp) -> list[str]:
    """The words of the boxes that were ticked with an answer."""
    ids = [uuid.UUID(wording) for wording in rsvp.wordings.values()]
    if not ids:
        return []
    return list(
        db.session.scalars(
            select(ConsentWording.text)
            .where(ConsentWording.id.in_(ids))
            .order_by(ConsentWording.id)
        )
    )
