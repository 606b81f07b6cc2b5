"""The dates of an event as rows: made from its rule and kept when the rule changes.

A date keeps its answers as long as the series still has its day. What is over never changes once
the event has been public. What one date has of its own (another hour, another room) stays its
own when the series moves. Telling people is the work of `scheduling`, which calls this.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from campaign import clock
from campaign.db import db
from campaign.errors import Invalid
from campaign.events.models import Event, Occurrence, OccurrenceState, Rsvp, Shift
from campaign.events.recurrence import Resolved, read_wall, resolve, write_wall

SLIGHT = timedelta(minutes=15)
"""A start that moves by no more than this is reminded of as before, and nobody is written to."""


@dataclass(slots=True)
class Changes:
    """What became of the dates of an event: for those who are told, and for the organizer.

    `moved` holds the former local start of each date that moved by more than 15 minutes.
    """

    added: list[Occurrence] = field(default_factory=list)
    moved: dict[Occurrence, str] = field(default_factory=dict)
    touched: set[Occurrence] = field(default_factory=set)
    cancelled: list[Occurrence] = field(default_factory=list)
    grown: list[Occurrence] = field(default_factory=list)
    removed_count: int = 0
    oddities: list[tuple[datetime, Resolved]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What an event said of its dates before it was changed."""

    zone: str
    duration_minutes: int
    is_all_day: bool
    capacity: int | None

    @property
    def when(self) -> tuple[str, int, bool]:
        return self.zone, self.duration_minutes, self.is_all_day

    @classmethod
    def of(cls, event: Event) -> Before:
        return cls(
            zone=event.zone,
            duration_minutes=event.duration_minutes,
            is_all_day=event.is_all_day,
            capacity=event.capacity,
        )


def locked_dates(event: Event) -> list[Occurrence]:
    """All dates of an event, exceptions too, held until the commit: seats are taken meanwhile."""
    hold(event.id)
    return list(
        db.session.scalars(
            select(Occurrence)
            .where(Occurrence.event_id == event.id)
            .order_by(Occurrence.starts_at, Occurrence.id)
            .with_for_update(of=Occurrence)
            .execution_options(populate_existing=True)
        )
    )


def hold(event_id: uuid.UUID) -> None:
    """Wait for everybody else who writes this event. First the event, then its dates: whoever
    keeps to this order never waits for somebody who waits for them. Answering does not wait."""
    db.session.execute(select(Event.id).where(Event.id == event_id).with_for_update(key_share=True))


def hold_fresh(event_id: uuid.UUID, row: Event | Occurrence | Shift) -> None:
    """The same, and `row` as it stands now: what a form is compared with before it is saved."""
    hold(event_id)
    db.session.refresh(row)


def is_fixed(event: Event, row: Occurrence, now: datetime) -> bool:
    """Whether a date never changes any more: it has begun, and people could see it."""
    return event.published_at is not None and row.starts_at <= now


def answered_dates(event: Event) -> set[uuid.UUID]:
    """Ids of the dates that somebody has answered, whatever they said."""
    return set(
        db.session.scalars(
            select(Rsvp.occurrence_id).where(Rsvp.event_id == event.id).distinct()
        ).all()
    )


@dataclass(frozen=True, slots=True)
class _Own:
    """What a date has otherwise than its series had it."""

    time: bool
    length: bool
    room: bool

    @classmethod
    def of(cls, row: Occurrence, before: Before) -> _Own:
        return cls(
            time=row.starts_wall != shown_at(row.original_wall, before.zone),
            length=row.duration_minutes != before.duration_minutes,
            room=row.capacity != before.capacity,
        )


def settle(event: Event, wanted: Sequence[datetime], before: Before | None = None) -> Changes:
    """Bring the rows in line with the walls an event wants; it has its new zone and length.

    Raises Invalid at `starts` when a date that people know would move into the past, or one that
    is over would move at all; at `capacity` when more are coming than would have room.
    """
    before, now, changes = before or Before.of(event), clock.now(), Changes()
    rows = locked_dates(event)
    own = {row: _Own.of(row, before) for row in rows}
    pairs, left = _match(event, rows, wanted, now)
    open_pairs = {wall: row for wall, row in pairs.items() if not is_fixed(event, row, now)}
    if event.published_at is not None:
        _check_past(event, rows, pairs, before)
        for wall, row in open_pairs.items():
            if not own[row].time and resolve(wall, event.zone).at <= now:
                raise Invalid(
                    _l("This time has passed. Choose one that is still to come."), field="starts"
                )
    for row in open_pairs.values():
        if not own[row].room and event.capacity != before.capacity:
            check_capacity(row, event.capacity)
    _drop(event, left, now, changes)
    _rename(pairs)
    for wall in wanted:
        found = resolve(wall, event.zone)
        if found.oddity and found.at > now:
            changes.oddities.append((wall, found))
        if wall in open_pairs:
            row = open_pairs[wall]
            _follow(event, row, found.shown, own[row], changes)
        elif wall not in pairs and (event.published_at is None or found.at > now):
            changes.added.append(_add(event, wall, found))
    for row in pairs.values():
        row.is_changed = event.is_series and is_own(event, row)
    db.session.flush()
    return changes


def _match(
    event: Event, rows: Sequence[Occurrence], wanted: Sequence[datetime], now: datetime
) -> tuple[dict[datetime, Occurrence], list[Occurrence]]:
    """Which row is which wall: by its name, else by its day; and the rows that drop out.

    The one date of an event that is no series follows it to any day.
    """
    left = {row.original_wall: row for row in rows}
    pairs: dict[datetime, Occurrence] = {}
    for wall in wanted:
        if (row := left.pop(write_wall(wall), None)) is not None:
            pairs[wall] = row
    by_day: dict[str, list[Occurrence]] = defaultdict(list)
    for name in sorted(left):
        by_day[name[:10]].append(left[name])
    for wall in wanted:
        if wall not in pairs and (same := by_day[write_wall(wall)[:10]]):
            found = pairs[wall] = same.pop(0)
            del left[found.original_wall]
    if len(rows) == 1 and not pairs and not is_fixed(event, rows[0], now):
        return {wanted[0]: rows[0]}, []
    return pairs, list(left.values())


def _check_past(
    event: Event,
    rows: Sequence[Occurrence],
    pairs: dict[datetime, Occurrence],
    before: Before,
) -> None:
    """The one date of an event, once it is over, stays as it was: a copy is a new event."""
    if event.is_series or len(rows) != 1 or not is_fixed(event, rows[0], clock.now()):
        return
    is_same = [write_wall(wall) for wall in pairs] == [rows[0].original_wall]
    if not is_same or Before.of(event).when != before.when:
        raise Invalid(_l("This date is over. Copy the event to hold it once more."), field="starts")


def check_capacity(row: Occurrence, capacity: int | None) -> None:
    """Fewer seats than people coming throws nobody out: it is refused at `capacity`.

    To a date that does not take place nobody comes.
    """
    if row.state != OccurrenceState.SCHEDULED:
        return
    if capacity is not None and capacity < row.taken_count:
        raise Invalid(
            _l(
                "%(count)s people are coming already. Give room for at least that many.",
                count=row.taken_count,
            ),
            field="capacity",
        )


def _drop(event: Event, left: Sequence[Occurrence], now: datetime, changes: Changes) -> None:
    """Dates that the series has no more: gone where nobody has answered, else cancelled."""
    answered = answered_dates(event)
    for row in left:
        if is_fixed(event, row, now):
            continue
        if row.id not in answered and _delete(row):
            changes.removed_count += 1
        elif row.state == OccurrenceState.SCHEDULED:
            cancel(row, now)
            changes.cancelled.append(row)


def _delete(row: Occurrence) -> bool:
    """Delete a date; False when something of another slice hangs on it."""
    try:
        with db.session.begin_nested():
            db.session.delete(row)
    except IntegrityError:
        return False
    return True


def cancel(row: Occurrence, now: datetime) -> None:
    """A date does not take place; it stays in calendars, struck out."""
    row.state, row.cancelled_at = OccurrenceState.CANCELLED, now
    row.sequence += 1


def _rename(pairs: dict[datetime, Occurrence]) -> None:
    """A date's name follows the series' own time, so that calendars find it in the rule.

    In two steps where one would take the present name of another.
    """
    names = {row: write_wall(wall) for wall, row in pairs.items()}
    changed = {row: name for row, name in names.items() if row.original_wall != name}
    if {row.original_wall for row in changed} & set(changed.values()):
        for place, row in enumerate(changed):
            row.original_wall = f"~{place}"
        db.session.flush()
    for row, name in changed.items():
        row.original_wall = name


def _add(event: Event, wall: datetime, found: Resolved) -> Occurrence:
    row = Occurrence(
        organization_id=event.organization_id,
        event_id=event.id,
        event=event,
        original_wall=write_wall(wall),
        starts_wall=write_wall(found.shown),
        duration_minutes=event.duration_minutes,
        starts_at=found.at,
        ends_at=end_of(found, event.duration_minutes, event.zone, all_day=event.is_all_day),
        capacity=event.capacity,
    )
    db.session.add(row)
    return row


def _follow(event: Event, row: Occurrence, wall: datetime, own: _Own, changes: Changes) -> None:
    """A date goes along with its event, but for what it has of its own."""
    keeps = event.is_series
    wall = read_wall(row.starts_wall) if own.time and keeps else wall
    minutes = row.duration_minutes if own.length and keeps else event.duration_minutes
    move(row, wall, minutes, changes)
    if not (own.room and keeps) and row.capacity != event.capacity:
        give_room(row, event.capacity, changes)


def move(row: Occurrence, wall: datetime, minutes: int, changes: Changes) -> None:
    """Put a date at a local time of its event's zone, and say in `changes` what that means.

    SEQUENCE goes up with any change, `time_version` when the start moves by more than 15 minutes.
    """
    event, found = row.event, resolve(wall, row.event.zone)
    ends_at = end_of(found, minutes, event.zone, all_day=event.is_all_day)
    start = write_wall(found.shown)
    if (row.starts_wall, row.starts_at, row.ends_at) == (start, found.at, ends_at):
        row.duration_minutes = minutes
        return
    if abs(found.at - row.starts_at) > SLIGHT:
        row.time_version += 1
        changes.moved[row] = row.starts_wall
    row.starts_wall, row.starts_at = start, found.at
    row.duration_minutes, row.ends_at = minutes, ends_at
    touch(row, changes)


def touch(row: Occurrence, changes: Changes) -> None:
    """Calendars shall take the date anew: SEQUENCE goes up, once in a change."""
    if row not in changes.touched:
        row.sequence += 1
        changes.touched.add(row)


def give_room(row: Occurrence, capacity: int | None, changes: Changes) -> None:
    """More seats are filled from the line; fewer than are taken are refused at `capacity`."""
    check_capacity(row, capacity)
    if capacity is None or (row.capacity is not None and capacity > row.capacity):
        changes.grown.append(row)
    row.capacity = capacity


def end_of(found: Resolved, minutes: int, zone: str, *, all_day: bool) -> datetime:
    """When something that begins then ends: minutes later, or at the midnight after its days."""
    if not all_day:
        return found.at + timedelta(minutes=minutes)
    return resolve(found.shown + timedelta(minutes=minutes), zone).at


def shown_at(wall: str, zone: str) -> str:
    """What the clock shows at a wall of a zone: another time where it never happens."""
    return write_wall(resolve(read_wall(wall), zone).shown)


def is_own(event: Event, row: Occurrence) -> bool:
    """Whether a date is otherwise than its series says."""
    return (
        row.starts_wall != shown_at(row.original_wall, event.zone)
        or row.duration_minutes != event.duration_minutes
        or row.capacity != event.capacity
        or any(value is not None for value in (row.venue, row.address, row.online_url))
        or bool(row.note)
    )
