"""Writing events, publishing, moving and cancelling them, and telling those who come.

Whatever is saved here is settled at once: dates are rows (`dates`), reminders are planned anew,
freed places are filled, and everybody who comes to a date that moved or fell out is written to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import SLUG, SLUG_LENGTH, first_free_slug, slug_from
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.events import dates, delivery, desk, queries, seats
from campaign.events.dates import Before, Changes
from campaign.events.models import (
    DEFAULT_REMINDERS,
    MOST_GUESTS,
    Access,
    AddressVisibility,
    Event,
    EventKind,
    EventState,
    Need,
    Occurrence,
    OccurrenceState,
    Rsvp,
    Shift,
    ShiftRole,
)
from campaign.events.recurrence import (
    Resolved,
    Rule,
    checked_zone,
    dump,
    offset_at,
    parse,
    read_wall,
    resolve,
    walls,
    write_wall,
)
from campaign.fields import services as own_fields
from campaign.organizations.services import record
from campaign.places import queries as places

RESERVED = frozenset({"propose", "calendar", "month", "list", "new", "map"})
"""Addresses below /e/ that are pages of their own."""
LONGEST = timedelta(days=31)
MOST_REMINDERS = 6
MOST_SEATS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetails:
    """What is written about an event; every door (page, proposal, API) builds this.

    `starts` is a wall of `zone`: naive. With a `rule` it is the day from which the series begins.
    """

    campaign_id: uuid.UUID
    clinic_id: uuid.UUID | None = None
    kind: str = EventKind.MEETING
    slug: str = ""
    title: Words
    summary: Words = field(default_factory=Words)
    text: Words = field(default_factory=Words)
    thanks: Words = field(default_factory=Words)
    own_wording: Words = field(default_factory=Words)
    zone: str
    starts: datetime
    duration_minutes: int = 90
    is_all_day: bool = False
    rule: Rule | None = None
    is_online: bool = False
    online_url: str = ""
    venue: str = ""
    address: str = ""
    city: str = ""
    postal_code: str = ""
    address_visibility: str = AddressVisibility.ALL
    directions: Words = field(default_factory=Words)
    languages: Sequence[str] = ()
    access: Sequence[str] = ()
    access_note: Words = field(default_factory=Words)
    capacity: int | None = None
    has_waiting_list: bool = True
    most_guests: int = 5
    needs_asked: Sequence[str] = ()
    asks_company: bool = False
    asks_phone: bool = False
    field_ids: Sequence[str] = ()
    shows_count: bool = True
    reminders: Sequence[str] = DEFAULT_REMINDERS
    asks_after: bool = True
    contact_name: str = ""
    contact_email: str = ""
    contact_phone: str = ""
    briefing: Words = field(default_factory=Words)


APART = ("slug", "zone", "starts", "duration_minutes", "is_all_day", "rule", "postal_code")
"""What is not simply taken over: it is checked, computed, or told."""
PLAIN = tuple(one.name for one in fields(EventDetails) if one.name not in APART)
LISTS = ("languages", "access", "needs_asked", "field_ids", "reminders")
PLACE = ("venue", "address", "city", "is_online")


# --- writing -----------------------------------------------------------------------------------


def create_event(
    organization_id: uuid.UUID,
    details: EventDetails,
    *,
    user_id: uuid.UUID | None = None,
    state: str = EventState.DRAFT,
) -> Event:
    """A new draft with its dates. Raises Invalid at the field that cannot be taken."""
    wanted = _checked(organization_id, details)
    title = next((text for text in details.title.values() if text), "")
    slug = details.slug or first_free_slug(slug_from(title, fallback="event"), _slug_is_taken)
    event = Event(organization_id=organization_id, slug=_checked_slug(slug), state=state)
    _take(event, details, wanted)
    try:
        with db.session.begin_nested():
            db.session.add(event)
    except IntegrityError:
        raise _slug_taken() from None
    db.session.refresh(event, ["campaign"])
    dates.settle(event, wanted)
    _record("event.created", event, user_id)
    return event


def change_event(
    event: Event, details: EventDetails, *, user_id: uuid.UUID | None = None
) -> Changes:
    """Take over what was written, move the dates along, and tell those who come.

    Once published, the address stays: links point at it. Raises Invalid at the field that cannot
    be taken, Conflict for a cancelled event: people were told.
    """
    if event.state == EventState.CANCELLED:
        raise Conflict(_l("This event is cancelled. Copy it to hold it once more."))
    wanted = _checked(event.organization_id, details)
    if details.slug and details.slug != event.slug and event.published_at is None:
        if _slug_is_taken(_checked_slug(details.slug), but=event.id):
            raise _slug_taken()
        event.slug = details.slug
    before, reminders = Before.of(event), list(event.reminders)
    place, link = _place(event), event.online_url
    _take(event, details, wanted)
    changes = dates.settle(event, wanted, before)
    moved_to = [
        *(["place"] if _place(event) != place else []),
        *(["online"] if event.online_url != link else []),
    ]
    relocated = _relocate(event, moved_to, changes) if moved_to else {}
    if changes.touched or changes.cancelled or changes.removed_count or relocated:
        event.sequence += 1
    db.session.flush()
    _tell(event, changes, relocated, plan_all=list(event.reminders) != reminders)
    _record("event.changed", event, user_id, moved=len(changes.moved))
    return changes


def _take(event: Event, details: EventDetails, wanted: Sequence[datetime]) -> None:
    """Put what was written into the row; a new postal code finds its district."""
    if event.briefing and details.briefing != event.briefing:
        event.briefing_version += 1
    for name in PLAIN:
        value = getattr(details, name)
        value = list(dict.fromkeys(value)) if name in LISTS else value
        if getattr(event, name) != value:
            setattr(event, name, value)
    event.zone = details.zone
    event.is_all_day = details.is_all_day
    event.duration_minutes = details.duration_minutes
    event.starts_wall = write_wall(wanted[0])
    event.recurrence = dump(details.rule) if details.rule is not None else None
    code = places.normalize_postal_code(details.postal_code)
    if code != event.postal_code:
        event.postal_code = code
        event.district_id, _share = places.district_for(code)
        center = places.center_of(code)
        event.latitude, event.longitude = center or (None, None)


def _place(event: Event) -> tuple[object, ...]:
    return tuple(getattr(event, name) for name in PLACE)


def _relocate(event: Event, what: list[str], changes: Changes) -> dict[Occurrence, list[str]]:
    """The dates that go along when the event's place changes: all that have none of their own."""
    found = {}
    for row in dates.locked_dates(event):
        if dates.is_fixed(event, row, clock.now()) or row in changes.added:
            continue
        own = {
            "place": row.venue is not None or row.address is not None,
            "online": row.online_url is not None,
        }
        if mine := [word for word in what if not own[word]]:
            dates.touch(row, changes)
            found[row] = mine
    return found


def _tell(
    event: Event,
    changes: Changes,
    relocated: dict[Occurrence, list[str]],
    *,
    plan_all: bool = False,
) -> None:
    """Plan reminders anew, write to those who come, fill seats. Of a draft nobody knows."""
    if event.state != EventState.PUBLISHED:
        return
    for row in changes.cancelled:
        delivery.tell_cancelled(row)
    rows = set(dates.locked_dates(event)) if plan_all else {*changes.touched, *changes.added}
    for row in _in_order(rows):
        if row.state != OccurrenceState.SCHEDULED or row.starts_at <= clock.now():
            continue
        delivery.plan_reminders(row)
        what = [*(["time"] if row in changes.moved else []), *relocated.get(row, [])]
        if what:
            delivery.tell_change(row, what=what, before=changes.moved.get(row, ""))
    for row in _in_order(changes.grown):
        seats.fill_places(row)


def _in_order(rows: Iterable[Occurrence]) -> list[Occurrence]:
    """In the order in which everybody locks them."""
    return sorted(rows, key=lambda row: (row.starts_at, row.id))


# --- what can be taken -------------------------------------------------------------------------


def _checked(organization_id: uuid.UUID, details: EventDetails) -> list[datetime]:
    """The walls of the dates, once everything else is in order. Raises Invalid at its field."""
    if campaigns.campaign_of(organization_id, details.campaign_id) is None:
        raise Invalid(_l("Choose one of your campaigns."), field="campaign")
    if details.clinic_id is not None:
        clinic = campaigns.clinic_of(organization_id, details.clinic_id)
        if clinic is None or clinic.campaign_id != details.campaign_id:
            raise Invalid(_l("Choose a clinic of this campaign."), field="clinic")
    _check_among([details.kind], EventKind, "kind")
    _check_among([details.address_visibility], AddressVisibility, "address_visibility")
    _check_among(details.access, Access, "access")
    _check_among(details.needs_asked, Need, "needs_asked")
    _check_number(details.capacity, 0, MOST_SEATS, "capacity")
    _check_number(details.most_guests, 0, MOST_GUESTS, "most_guests")
    own_fields.check_chosen(organization_id, details.field_ids)
    checked_zone(details.zone)
    if details.duration_minutes <= 0:
        raise Invalid(_l("The event ends before it begins. Check both times."), field="ends")
    if details.duration_minutes > LONGEST.total_seconds() / 60:
        raise Invalid(_l("An event can last 31 days at most. Make it a series."), field="ends")
    wanted = walls(details.rule, details.starts)
    _check_reminders(details, wanted[0])
    return wanted


def _check_among(values: Sequence[str], known: type[StrEnum], field: str) -> None:
    if any(value not in set(known) for value in values):
        raise Invalid(_l("Choose from the list."), field=field)


def _check_number(value: int | None, least: int, most: int, field: str) -> None:
    if value is not None and not least <= value <= most:
        raise Invalid(
            _l("Write a whole number from %(least)s to %(most)s.", least=least, most=most),
            field=field,
        )


def _check_reminders(details: EventDetails, first: datetime) -> None:
    if len(set(details.reminders)) > MOST_REMINDERS:
        raise Invalid(
            _l("An event can have at most %(most)s reminders.", most=MOST_REMINDERS),
            field="reminders",
        )
    start = offset_at("0m", first, details.zone)
    for offset in details.reminders:
        if offset_at(offset, first, details.zone) > start:
            raise Invalid(_l("A reminder would come after the start."), field="reminders")


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug) or len(slug) > SLUG_LENGTH:
        raise Invalid(
            _l("Use small letters, digits and hyphens, like vigil-at-woodlawn."), field="slug"
        )
    if slug in RESERVED:
        raise _slug_taken()
    return slug


def _slug_is_taken(slug: str, *, but: uuid.UUID | None = None) -> bool:
    found = select(Event.id).where(Event.slug == slug)
    if but is not None:
        found = found.where(Event.id != but)
    return slug in RESERVED or db.session.scalar(found) is not None


def _slug_taken() -> Invalid:
    return Invalid(_l("Another event has this address. Choose another."), field="slug")


def _record(action: str, event: Event, user_id: uuid.UUID | None, **details: object) -> None:
    record(
        action,
        organization_id=event.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=event.id,
        details=details,
    )


# --- publishing, cancelling, copying -----------------------------------------------------------


def publish_event(event: Event, *, user_id: uuid.UUID | None = None) -> None:
    """draft or proposed → published; its reminders are planned.

    Raises Conflict when it is out already, and Invalid at `starts` when none of its dates is
    still to come.
    """
    now = clock.now()
    event.publish(now)
    rows = [
        row
        for row in dates.locked_dates(event)
        if row.state == OccurrenceState.SCHEDULED and row.ends_at > now
    ]
    if not rows:
        raise Invalid(
            _l("All dates of this event have passed. Give it one that is to come."), field="starts"
        )
    db.session.flush()
    for row in rows:
        delivery.plan_reminders(row)
    _record("event.published", event, user_id)


def has_answers(event: Event) -> bool:
    """Whether anybody has answered any date, whatever they said."""
    return bool(db.session.scalar(select(exists().where(Rsvp.event_id == event.id))))


def withdraw_event(event: Event, *, user_id: uuid.UUID | None = None) -> None:
    """published → draft, as long as nobody has answered: afterwards people must be told."""
    rows = dates.locked_dates(event)
    if has_answers(event):
        raise Conflict(_l("People have answered already. Cancel the event, and they are told."))
    event.withdraw()
    db.session.flush()
    for row in rows:
        delivery.plan_reminders(row)
    _record("event.withdrawn", event, user_id)


def cancel_event(event: Event, note: Words, *, user_id: uuid.UUID | None = None) -> None:
    """published → cancelled for good. Everybody of the dates to come is told, with `note`."""
    now = clock.now()
    rows = dates.locked_dates(event)
    event.cancel(now)
    event.cancel_note = note
    event.sequence += 1
    coming = [row for row in rows if row.state == OccurrenceState.SCHEDULED and row.ends_at > now]
    for row in coming:
        row.sequence += 1
    db.session.flush()
    for row in coming:
        delivery.tell_cancelled(row)
    _record("event.cancelled", event, user_id, dates=len(coming))


def copy_event(event: Event, *, user_id: uuid.UUID | None = None) -> Event:
    """A new draft with the same words, place and shifts, on the next such weekday that is at
    least a week away; a series comes along by as many weeks. Answers and hosts stay behind."""
    first = read_wall(event.starts_wall)
    ahead = clock.now().astimezone(clock.zone(event.zone)).replace(tzinfo=None) - first
    by = timedelta(weeks=max(ahead // timedelta(weeks=1) + 2, 1))
    rule = parse(event.recurrence) if event.recurrence else None
    details = details_of(event, starts=first + by, rule=_later(rule, by))
    copy = create_event(event.organization_id, details, user_id=user_id)
    for shift in queries.shifts_of(event.id):
        add_shift(copy, shift_details(shift))
    return copy


def _later(rule: Rule | None, by: timedelta) -> Rule | None:
    if rule is None:
        return None
    return Rule(
        frequency=rule.frequency,
        interval=rule.interval,
        weekdays=rule.weekdays,
        ordinal=rule.ordinal,
        count=rule.count,
        until=rule.until + by if rule.until is not None else None,
        dates=tuple(_later_day(text, by) for text in rule.dates),
    )


def _later_day(text: str, by: timedelta) -> str:
    day, _t, clock_time = text.partition("T")
    moved = (read_wall(f"{day}T00:00") + by).date().isoformat()
    return f"{moved}T{clock_time}" if clock_time else moved


def details_of(event: Event, *, starts: datetime, rule: Rule | None) -> EventDetails:
    """An event's words, place and wishes as details, at another time; without its address."""
    return EventDetails(
        **{name: getattr(event, name) for name in PLAIN},
        zone=event.zone,
        starts=starts,
        duration_minutes=event.duration_minutes,
        is_all_day=event.is_all_day,
        rule=rule,
        postal_code=event.postal_code,
    )


def oddities_of(event: Event) -> list[tuple[datetime, Resolved]]:
    """The starts to come of an event that do not happen on the clock, or happen twice."""
    rule = parse(event.recurrence) if event.recurrence else None
    found = [
        (wall, resolve(wall, event.zone)) for wall in walls(rule, read_wall(event.starts_wall))
    ]
    return [pair for pair in found if pair[1].oddity and pair[1].at > clock.now()]


# --- one date ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceDetails:
    """What one date of a series has of its own. None for a place: the event's."""

    starts: datetime
    duration_minutes: int
    venue: str | None = None
    address: str | None = None
    online_url: str | None = None
    capacity: int | None = None
    note: Words = field(default_factory=Words)


def change_occurrence(
    occurrence: Occurrence, details: OccurrenceDetails, *, user_id: uuid.UUID | None = None
) -> Changes:
    """Change one date: its answers stay, and those who come are told of a new time or place.

    Raises Conflict for a date that is over or cancelled, Invalid at the field that cannot be
    taken.
    """
    row, now = _locked(occurrence), clock.now()
    event, changes = row.event, Changes()
    _check_changeable(row)
    if details.duration_minutes <= 0:
        raise Invalid(_l("The event ends before it begins. Check both times."), field="ends")
    if details.duration_minutes > LONGEST.total_seconds() / 60:
        raise Invalid(_l("An event can last 31 days at most. Make it a series."), field="ends")
    _check_number(details.capacity, 0, MOST_SEATS, "capacity")
    walls(None, details.starts)
    place, link = (row.venue, row.address), row.online_url
    dates.move(row, details.starts, details.duration_minutes, changes)
    if event.published_at is not None and row.starts_at <= now and changes.touched:
        raise Invalid(_l("This time has passed. Choose one that is still to come."), field="starts")
    if details.capacity != row.capacity:
        dates.give_room(row, details.capacity, changes)
    row.venue, row.address, row.online_url = details.venue, details.address, details.online_url
    row.note = details.note
    what = [
        *(["place"] if (row.venue, row.address) != place else []),
        *(["online"] if row.online_url != link else []),
    ]
    if what:
        dates.touch(row, changes)
    if not event.is_series:
        _follow_single(event, row)
    row.is_changed = event.is_series and dates.is_own(event, row)
    if changes.touched:
        event.sequence += 1
    db.session.flush()
    _tell(event, changes, {row: what} if what else {})
    _record_date("date.changed", row, user_id)
    return changes


def _follow_single(event: Event, row: Occurrence) -> None:
    """An event of one date is where and when that date is: two truths would come apart."""
    row.original_wall = event.starts_wall = row.starts_wall
    event.duration_minutes, event.capacity = row.duration_minutes, row.capacity
    for name in ("venue", "address", "online_url"):
        own = getattr(row, name)
        if own is not None:
            setattr(event, name, own)
            setattr(row, name, None)


def cancel_occurrence(
    occurrence: Occurrence, note: Words, *, user_id: uuid.UUID | None = None
) -> None:
    """One date does not take place: everybody of it is told, with `note`."""
    row = _locked(occurrence)
    _check_changeable(row)
    dates.cancel(row, clock.now())
    row.cancel_note = note
    row.event.sequence += 1
    db.session.flush()
    if row.event.state == EventState.PUBLISHED:
        delivery.tell_cancelled(row)
    _record_date("date.cancelled", row, user_id)


def remove_occurrence(occurrence: Occurrence, *, user_id: uuid.UUID | None = None) -> None:
    """Leave one date out of a series, as if it had never been; only while nobody has answered.

    Raises Conflict otherwise, and for the last date that is left.
    """
    row = _locked(occurrence)
    _check_changeable(row)
    if not row.event.is_series:
        raise Conflict(_l("This is the only date. Cancel the event instead."))
    if row.id in dates.answered_dates(row.event):
        raise Conflict(_l("People have answered this date. Cancel it, and they are told."))
    others = [
        other
        for other in dates.locked_dates(row.event)
        if other.id != row.id and other.state == OccurrenceState.SCHEDULED
    ]
    if not others:
        raise Conflict(_l("This is the only date. Cancel the event instead."))
    row.state = OccurrenceState.REMOVED
    row.sequence += 1
    row.event.sequence += 1
    db.session.flush()
    delivery.plan_reminders(row)
    _record_date("date.removed", row, user_id)


def restore_occurrence(occurrence: Occurrence, *, user_id: uuid.UUID | None = None) -> None:
    """A date that was cancelled or left out takes place after all; who was told is told again.

    Raises Conflict when it is over, or was never taken out.
    """
    row, now = _locked(occurrence), clock.now()
    if row.state == OccurrenceState.SCHEDULED or row.event.state == EventState.CANCELLED:
        raise Conflict
    if row.starts_at <= now:
        raise Conflict(_l("This date is over."))
    was_cancelled = row.state == OccurrenceState.CANCELLED
    row.state, row.cancelled_at, row.cancel_note = OccurrenceState.SCHEDULED, None, Words()
    row.sequence += 1
    row.event.sequence += 1
    db.session.flush()
    if row.event.state == EventState.PUBLISHED:
        delivery.plan_reminders(row)
        if was_cancelled:
            delivery.tell_change(row, what=["again"], before="")
    _record_date("date.restored", row, user_id)


def _locked(occurrence: Occurrence) -> Occurrence:
    """The date as it is now, held until the commit: seats are taken meanwhile."""
    dates.hold(occurrence.event_id)
    return db.session.scalars(
        select(Occurrence)
        .where(Occurrence.id == occurrence.id)
        .with_for_update(of=Occurrence)
        .execution_options(populate_existing=True)
    ).one()


def _check_changeable(row: Occurrence) -> None:
    if row.is_cancelled or row.state != OccurrenceState.SCHEDULED:
        raise Conflict(_l("This date does not take place. Take it back in first."))
    if dates.is_fixed(row.event, row, clock.now()):
        raise Conflict(_l("This date is over. What has been stays as it was."))


def _record_date(action: str, row: Occurrence, user_id: uuid.UUID | None) -> None:
    record(
        action,
        organization_id=row.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=row.event_id,
        details={"date": row.id.hex},
    )


# --- shifts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftDetails:
    """A part of an event that people sign up for. Minutes count from the start of the date."""

    role: str = ShiftRole.ANYBODY
    name: Words = field(default_factory=Words)
    starts_after_minutes: int = 0
    duration_minutes: int | None = None
    capacity: int | None = None


def shift_details(shift: Shift) -> ShiftDetails:
    return ShiftDetails(
        role=shift.role,
        name=shift.name,
        starts_after_minutes=shift.starts_after_minutes,
        duration_minutes=shift.duration_minutes,
        capacity=shift.capacity,
    )


def add_shift(event: Event, details: ShiftDetails, *, user_id: uuid.UUID | None = None) -> Shift:
    """A new shift, after the others."""
    _check_shift(details)
    shift = Shift(
        organization_id=event.organization_id,
        event_id=event.id,
        position=len(queries.shifts_of(event.id)),
    )
    _take_shift(shift, details)
    db.session.add(shift)
    db.session.flush()
    _record("shift.added", event, user_id)
    return shift


def change_shift(shift: Shift, details: ShiftDetails, *, user_id: uuid.UUID | None = None) -> None:
    """Take over what was written. Raises Invalid at `capacity` when more have it already."""
    _check_shift(details)
    taken = desk.most_taken(shift)
    if details.capacity is not None and details.capacity < taken:
        raise Invalid(
            _l(
                "%(count)s people are coming already. Give room for at least that many.",
                count=taken,
            ),
            field="capacity",
        )
    _take_shift(shift, details)
    db.session.flush()
    _record("shift.changed", db.session.get_one(Event, shift.event_id), user_id)


def _check_shift(details: ShiftDetails) -> None:
    most = int(LONGEST.total_seconds() // 60)
    _check_among([details.role], ShiftRole, "role")
    _check_number(details.starts_after_minutes, 0, most, "starts_after")
    _check_number(details.duration_minutes, 1, most, "minutes")
    _check_number(details.capacity, 1, MOST_SEATS, "capacity")


def _take_shift(shift: Shift, details: ShiftDetails) -> None:
    for one in fields(ShiftDetails):
        setattr(shift, one.name, getattr(details, one.name))


def set_shift_removed(shift: Shift, removed: bool, *, user_id: uuid.UUID | None = None) -> None:
    """Offer a shift no more, or again. Who has it keeps it."""
    if shift.is_removed == removed:
        return
    shift.is_removed = removed
    db.session.flush()
    action = "shift.removed" if removed else "shift.restored"
    _record(action, db.session.get_one(Event, shift.event_id), user_id)
