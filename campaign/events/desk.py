"""What the console asks about events: the list, one event's dates in numbers, hosts, proposals."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Subquery, Text, cast, exists, func, or_, select
from sqlalchemy.orm import joinedload

from campaign.db import db
from campaign.errors import NotFound
from campaign.events import queries
from campaign.events.models import (
    Event,
    EventState,
    Host,
    HostState,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpState,
    Shift,
)


def most_taken(shift: Shift) -> int:
    """How many have signed up for a shift on the date that has the most of them."""
    counts = (
        select(func.count().label("count"))
        .where(Rsvp.shift_id == shift.id, Rsvp.state == RsvpState.ACCEPTED)
        .group_by(Rsvp.occurrence_id)
        .subquery()
    )
    return db.session.scalar(select(func.max(counts.c.count))) or 0


def all_dates(event: Event) -> list[Occurrence]:
    """Every date of an event in its order, those left out of the series too."""
    found = select(Occurrence).where(Occurrence.event_id == event.id)
    return list(db.session.scalars(found.order_by(Occurrence.starts_at, Occurrence.id)))


def shift_of(organization_id: uuid.UUID, shift_id: uuid.UUID) -> Shift:
    """A shift of an event of this organization. Raises NotFound like `event_of`."""
    shift = db.session.scalar(
        select(Shift).where(Shift.id == shift_id, Shift.organization_id == organization_id)
    )
    if shift is None:
        raise NotFound
    return shift


def host_of(organization_id: uuid.UUID, host_id: uuid.UUID) -> Host:
    """A host of an event of this organization. Raises NotFound like `event_of`."""
    host = db.session.scalar(
        select(Host).where(Host.id == host_id, Host.organization_id == organization_id)
    )
    if host is None:
        raise NotFound
    return host


def hosts_of(event_id: uuid.UUID) -> list[Host]:
    """Who was asked to invite along, and who proposed it, in the order they came in."""
    return list(
        db.session.scalars(
            select(Host)
            .options(joinedload(Host.partner))
            .where(Host.event_id == event_id)
            .order_by(Host.is_proposer.desc(), Host.created_at, Host.id)
        )
    )


def part_numbers(event_id: uuid.UUID) -> dict[str, int]:
    """What the sections of an event say about themselves: how many shifts, how many hosts."""
    hosting = (HostState.INVITED, HostState.ACTIVE)
    return {
        "shift_count": len(queries.shifts_of(event_id)),
        "host_count": sum(row.state in hosting for row in hosts_of(event_id)),
    }


def named_hosts(event_id: uuid.UUID) -> list[str]:
    """Who is named on the page: partners that said yes, and volunteers who chose it themselves."""
    return [
        row.name
        for row in hosts_of(event_id)
        if row.state == HostState.ACTIVE and row.name and (row.partner_id or row.is_public)
    ]


@dataclass(frozen=True, slots=True)
class Line:
    """An event in the console's list: the date it is about, how many dates are to come."""

    event: Event
    occurrence: Occurrence | None
    coming_dates: int


PARTS = ("upcoming", "past", "drafts", "proposals", "cancelled")


def event_ids(
    organization_id: uuid.UUID,
    part: str,
    now: datetime,
    *,
    campaign_id: uuid.UUID | None = None,
    kind: str = "",
    text: str = "",
) -> Select[uuid.UUID]:
    """The ids of one part of an organization's events, in the order they are listed."""
    next_at = _next_at(now)
    found = select(Event.id).where(Event.organization_id == organization_id)
    if part == "proposals":
        found = found.where(Event.state == EventState.PROPOSED, _is_waiting()).order_by(Event.id)
    elif part == "drafts":
        found = found.where(Event.state == EventState.DRAFT).order_by(Event.id.desc())
    elif part == "cancelled":
        found = found.where(Event.state == EventState.CANCELLED).order_by(Event.id.desc())
    else:
        found = found.where(Event.state == EventState.PUBLISHED)
        found = found.outerjoin(next_at, next_at.c.event_id == Event.id)
        if part == "past":
            last = _last_at()
            found = found.outerjoin(last, last.c.event_id == Event.id)
            found = found.where(next_at.c.at.is_(None)).order_by(last.c.at.desc(), Event.id)
        else:
            found = found.where(next_at.c.at.is_not(None)).order_by(next_at.c.at, Event.id)
    if campaign_id is not None:
        found = found.where(Event.campaign_id == campaign_id)
    if kind:
        found = found.where(Event.kind == kind)
    if text:
        wanted = f"%{text.lower().replace('%', '')}%"
        found = found.where(
            or_(
                func.lower(cast(Event.title, Text)).like(wanted),
                func.lower(Event.venue).like(wanted),
            )
        )
    return found


def _next_at(now: datetime) -> Subquery:
    """When each event takes place next."""
    return (
        select(Occurrence.event_id, func.min(Occurrence.starts_at).label("at"))
        .where(Occurrence.state == OccurrenceState.SCHEDULED, Occurrence.ends_at > now)
        .group_by(Occurrence.event_id)
        .subquery()
    )


def _last_at() -> Subquery:
    return (
        select(Occurrence.event_id, func.max(Occurrence.starts_at).label("at"))
        .where(Occurrence.state != OccurrenceState.REMOVED)
        .group_by(Occurrence.event_id)
        .subquery()
    )


def _is_waiting() -> ColumnElement[bool]:
    """A proposal waits for an organizer once its host has pressed their link."""
    return exists().where(
        Host.event_id == Event.id,
        Host.is_proposer,
        Host.state == HostState.ACTIVE,
    )


def lines(ids: Sequence[uuid.UUID], now: datetime) -> list[Line]:
    """Events with their next date, in the order of `ids`; over ones with their last."""
    events = {row.id: row for row in db.session.scalars(select(Event).where(Event.id.in_(ids)))}
    rows = db.session.scalars(
        select(Occurrence)
        .where(Occurrence.event_id.in_(ids), Occurrence.state != OccurrenceState.REMOVED)
        .order_by(Occurrence.starts_at, Occurrence.id)
    )
    coming: dict[uuid.UUID, list[Occurrence]] = {}
    last: dict[uuid.UUID, Occurrence] = {}
    for row in rows:
        last[row.event_id] = row
        if row.state == OccurrenceState.SCHEDULED and row.ends_at > now:
            coming.setdefault(row.event_id, []).append(row)
    return [
        Line(
            event=events[event_id],
            occurrence=next(iter(coming.get(event_id, [])), None) or last.get(event_id),
            coming_dates=len(coming.get(event_id, [])),
        )
        for event_id in ids
        if event_id in events
    ]


def part_counts(organization_id: uuid.UUID, now: datetime) -> dict[str, int]:
    """How many events each part of the list has."""
    return {
        part: db.session.scalar(
            select(func.count()).select_from(
                event_ids(organization_id, part, now).order_by(None).subquery()
            )
        )
        or 0
        for part in PARTS
    }


def upcoming_event_count(organization_id: uuid.UUID, now: datetime) -> int:
    """How many published events are still to come."""
    found = event_ids(organization_id, "upcoming", now).order_by(None).subquery()
    return db.session.scalar(select(func.count()).select_from(found)) or 0


def proposals_of(organization_id: uuid.UUID) -> list[Event]:
    """What volunteers proposed and confirmed, and no organizer has decided; the oldest first."""
    return list(
        db.session.scalars(
            select(Event)
            .where(
                Event.organization_id == organization_id,
                Event.state == EventState.PROPOSED,
                _is_waiting(),
            )
            .order_by(Event.id)
        )
    )


def counts_by_date(event_id: uuid.UUID) -> dict[uuid.UUID, dict[str, int]]:
    """How many answers of each kind every date has: rows, not seats."""
    found: dict[uuid.UUID, dict[str, int]] = {}
    for occurrence_id, state, count in db.session.execute(
        select(Rsvp.occurrence_id, Rsvp.state, func.count())
        .where(Rsvp.event_id == event_id)
        .group_by(Rsvp.occurrence_id, Rsvp.state)
    ):
        found.setdefault(occurrence_id, {})[state] = count
    return found


def proposers(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Host]:
    """Who proposed each of these events."""
    found = select(Host).where(Host.event_id.in_(ids), Host.is_proposer.is_(True))
    return {row.event_id: row for row in db.session.scalars(found)}
