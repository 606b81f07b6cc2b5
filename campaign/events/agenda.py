"""What the calendar lists and what its feeds hold: dates of all organizations, public facts only."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from math import cos, radians
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, func, or_, select
from sqlalchemy.orm import aliased

from campaign.campaigns.models import Campaign, CampaignState
from campaign.db import Words, db
from campaign.events import feeds
from campaign.events.models import (
    AddressVisibility,
    Event,
    EventKind,
    EventState,
    Host,
    HostState,
    Occurrence,
    OccurrenceState,
)
from campaign.organizations.models import Organization
from campaign.places import queries as places
from campaign.places.geometry import KM_PER_DEGREE

FEED_BATCH = 500
KEPT_DAYS = 31
"""How long a date stays in feeds once it is over."""
EACH_DAY = 4
"""How many dates a day of the month view names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody looks for in the calendar; blank is anything. `near` is a place and how many
    kilometres from it; an online date is near nothing."""

    campaign: str = ""
    organization: str = ""
    kind: str = ""
    language: str = ""
    access: tuple[str, ...] = ()
    way: str = ""  # "online" or "place"
    near: tuple[tuple[float, float], float] | None = None


@dataclass(frozen=True, slots=True)
class CalendarDate:
    """A date as the calendar lists it: what everybody may know."""

    id: uuid.UUID
    starts_at: datetime
    ends_at: datetime
    starts_wall: str
    state: str
    own_venue: str | None
    capacity: int | None
    taken_count: int
    waiting_count: int
    slug: str
    kind: str
    event_state: str
    title: Words
    zone: str
    is_all_day: bool
    is_online: bool
    event_venue: str
    city: str
    address_visibility: str
    languages: list[str]
    access: list[str]
    organization_name: str
    count: int = 0
    more: int = 0
    """How many further dates of the same event take place, where a list shows the first alone."""

    @property
    def is_cancelled(self) -> bool:
        return self.state == OccurrenceState.CANCELLED or self.event_state == EventState.CANCELLED

    @property
    def hides_address(self) -> bool:
        return self.address_visibility == AddressVisibility.COMING

    @property
    def place(self) -> str:
        """Where it is in a line without the street; the city alone where only those who come may
        know more; "" for what is online alone."""
        venue = self.event_venue if self.own_venue is None else self.own_venue
        parts = [self.city] if self.hides_address else [venue, self.city]
        return ", ".join(part for part in parts if part)

    @property
    def is_full(self) -> bool:
        """Whether no seat is left. Somebody waiting has the next one."""
        if self.capacity is None or self.is_cancelled:
            return False
        return bool(self.waiting_count) or self.taken_count >= self.capacity

    @property
    def day(self) -> date:
        """Its local day."""
        return date.fromisoformat(self.starts_wall[:10])


_LISTED: tuple[Any, ...] = (
    Occurrence.id,
    Occurrence.starts_at,
    Occurrence.ends_at,
    Occurrence.starts_wall,
    Occurrence.state,
    Occurrence.venue.label("own_venue"),
    Occurrence.capacity,
    Occurrence.taken_count,
    Occurrence.waiting_count,
    Event.slug,
    Event.kind,
    Event.state.label("event_state"),
    Event.title,
    Event.zone,
    Event.is_all_day,
    Event.is_online,
    Event.venue.label("event_venue"),
    Event.city,
    Event.address_visibility,
    Event.languages,
    Event.access,
    Organization.name.label("organization_name"),
)

_PUBLIC = (
    Event.state.in_((EventState.PUBLISHED, EventState.CANCELLED)),
    Campaign.state != CampaignState.DRAFT,
)
_SHOWN = Occurrence.state.in_((OccurrenceState.SCHEDULED, OccurrenceState.CANCELLED))


def _has_dates(since: datetime) -> ColumnElement[bool]:
    """Whether an event has a date that is not over at `since`."""
    other = aliased(Occurrence)
    shown = other.state.in_((OccurrenceState.SCHEDULED, OccurrenceState.CANCELLED))
    return Event.id.in_(select(other.event_id).where(shown, other.ends_at > since))


def _wished(wish: Wish) -> list[ColumnElement[bool]]:
    """The conditions of a wish; its words are of fixed lists, or compared as they are."""
    found: list[ColumnElement[bool]] = [*_PUBLIC]
    if wish.campaign:
        found.append(Campaign.slug == wish.campaign)
    if wish.organization:
        wanted = select(Organization.id).where(Organization.slug == wish.organization)
        hosts = select(Host.event_id).where(
            Host.partner_id.in_(wanted), Host.state == HostState.ACTIVE
        )
        found.append(or_(Event.organization_id.in_(wanted), Event.id.in_(hosts)))
    if wish.kind:
        found.append(Event.kind == wish.kind)
    for column, words in ((Event.languages, (wish.language,)), (Event.access, wish.access)):
        found += [cast(column, Text).like(f'%"{word}"%') for word in words if word]
    if wish.way:
        in_room = or_(Event.venue != "", Event.address != "", Event.city != "")
        found.append(Event.is_online.is_(True) if wish.way == "online" else in_room)
    if wish.near is not None:
        found.append(_within(*wish.near))
    return found


def _within(center: tuple[float, float], km: float) -> ColumnElement[bool]:
    """Whether an event is that near: by its point where it has one, else by its postal code.

    On a flat map about the centre (a city is small enough), so that it is plain arithmetic.
    """
    latitude, longitude = center
    up = (Event.latitude - latitude) * KM_PER_DEGREE
    across = (Event.longitude - longitude) * (KM_PER_DEGREE * cos(radians(latitude)))
    return or_(
        up * up + across * across <= km * km,
        and_(Event.latitude.is_(None), Event.postal_code.in_(places.codes_near(center, km))),
    )


def _calendar(wish: Wish) -> Select[Any]:
    return (
        select(*_LISTED)
        .join(Event, Event.id == Occurrence.event_id)
        .join(Campaign, Campaign.id == Event.campaign_id)
        .join(Organization, Organization.id == Event.organization_id)
        .where(_SHOWN, *_wished(wish))
    )


def upcoming(
    wish: Wish,
    now: datetime,
    *,
    after: tuple[datetime, uuid.UUID] | None = None,
    since: date | None = None,
    limit: int,
    with_cancelled: bool = True,
) -> list[CalendarDate]:
    """The events that are not over by their next date, from behind `after`, from a local day on.

    A series stands there once, with the number of its further dates: a weekly meeting would
    otherwise push everything else off the list. The month and the feeds hold them all.
    """
    takes_place = case((Occurrence.state == OccurrenceState.SCHEDULED, 1), else_=0)
    wanted = _calendar(wish).where(Occurrence.ends_at > now)
    if since is not None:
        wanted = wanted.where(Occurrence.starts_wall >= since.isoformat())
    if not with_cancelled:
        wanted = wanted.where(
            Occurrence.state == OccurrenceState.SCHEDULED, Event.state == EventState.PUBLISHED
        )
    place = func.row_number().over(
        partition_by=Occurrence.event_id, order_by=(Occurrence.starts_at, Occurrence.id)
    )
    numbered = wanted.with_only_columns(
        Occurrence.id,
        place.label("place"),
        (func.sum(takes_place).over(partition_by=Occurrence.event_id) - takes_place).label("more"),
    ).subquery("numbered")
    found = (
        select(*_LISTED, numbered.c.more)
        .join(numbered, numbered.c.id == Occurrence.id)
        .join(Event, Event.id == Occurrence.event_id)
        .join(Organization, Organization.id == Event.organization_id)
        .where(numbered.c.place == 1)
    )
    if after is not None:
        at, key = after
        found = found.where(
            or_(
                Occurrence.starts_at > at,
                and_(Occurrence.starts_at == at, Occurrence.id > key),
            )
        )
    found = found.order_by(Occurrence.starts_at, Occurrence.id).limit(limit)
    rows = db.session.execute(found)
    return [replace(CalendarDate(*row[:-1]), more=int(row.more)) for row in rows]


def month_of(wish: Wish, first: date, after: date) -> dict[date, list[CalendarDate]]:
    """The dates of a month by their local day, over or not: the first few of each day, each of
    which knows the `count` of its day. `after` is the first day that is not in it any more."""
    a_day = timedelta(days=1)
    day = func.substr(Occurrence.starts_wall, 1, 10)
    place = func.row_number().over(partition_by=day, order_by=(Occurrence.starts_at, Occurrence.id))
    numbered = (
        _calendar(wish)
        .with_only_columns(
            Occurrence.id,
            place.label("place"),
            func.count().over(partition_by=day).label("count"),
        )
        .where(
            Occurrence.starts_wall >= first.isoformat(),
            Occurrence.starts_wall < after.isoformat(),
            # For the index: local days are at most a day from UTC's.
            Occurrence.starts_at >= datetime.combine(first, time(), UTC) - a_day,
            Occurrence.starts_at < datetime.combine(after, time(), UTC) + a_day,
        )
        .subquery("numbered")
    )
    rows = db.session.execute(
        select(*_LISTED, numbered.c.count)
        .join(numbered, numbered.c.id == Occurrence.id)
        .join(Event, Event.id == Occurrence.event_id)
        .join(Organization, Organization.id == Event.organization_id)
        .where(numbered.c.place <= EACH_DAY)
        .order_by(Occurrence.starts_at, Occurrence.id)
    )
    found: dict[date, list[CalendarDate]] = {}
    for row in rows:
        one = CalendarDate(*tuple(row))
        found.setdefault(one.day, []).append(one)
    return found


def last_day() -> date | None:
    """The local day of the last date there is, so that nobody pages on for ever."""
    found = (
        select(func.max(Occurrence.starts_wall))
        .join(Event, Event.id == Occurrence.event_id)
        .join(Campaign, Campaign.id == Event.campaign_id)
        .where(_SHOWN, *_PUBLIC)
    )
    last = db.session.scalar(found)
    return date.fromisoformat(last[:10]) if last else None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the calendar can be narrowed by: only what would find something."""

    campaigns: list[tuple[str, Words]]
    organizations: list[tuple[str, str]]
    kinds: list[str]


def calendar_choices(now: datetime) -> Choices:
    """The campaigns, organizations and kinds that have dates to come."""
    rows = db.session.execute(
        select(Campaign.slug, Campaign.title, Organization.slug, Organization.name, Event.kind)
        .join(Event, Event.campaign_id == Campaign.id)
        .join(Organization, Organization.id == Event.organization_id)
        .where(*_PUBLIC, _has_dates(now))
        .group_by(Campaign.id, Organization.id, Event.kind)
    ).all()
    campaigns = {slug: title for slug, title, *_ in rows}
    organizations = {slug: name for _, _, slug, name, _ in rows}
    return Choices(
        campaigns=sorted(campaigns.items(), key=lambda one: one[0]),
        organizations=sorted(organizations.items(), key=lambda one: one[1].casefold()),
        kinds=[kind for kind in EventKind if kind in {row[4] for row in rows}],
    )


def dates_of(event: Event) -> list[Occurrence]:
    """All dates of an event as calendars need them: those taken out of a series are left out."""
    found = select(Occurrence).where(Occurrence.event_id == event.id, _SHOWN)
    return list(db.session.scalars(found.order_by(Occurrence.starts_at, Occurrence.id)))


# --- feeds -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed is of: its version (another one when anything in it has changed) and its zones,
    each with the first and the last year of its dates."""

    version: str
    zones: dict[str, tuple[int, int]]


def _in_feed(wish: Wish, now: datetime) -> list[ColumnElement[bool]]:
    return [*_wished(wish), _has_dates(now - timedelta(days=KEPT_DAYS))]


def feed_of(wish: Wish, now: datetime) -> Feed:
    """Ask in one statement what the head of a feed must know."""
    rows = db.session.execute(
        select(
            Event.zone,
            func.min(Occurrence.starts_at),
            func.max(Occurrence.starts_at),
            func.min(Event.starts_wall),
            func.count(),
            func.max(Event.updated_at),
            func.sum(Occurrence.sequence),
            func.sum(case((Occurrence.state == OccurrenceState.SCHEDULED, 1), else_=0)),
            func.max(Occurrence.cancelled_at),
        )
        .join(Event, Event.id == Occurrence.event_id)
        .join(Campaign, Campaign.id == Event.campaign_id)
        .where(*_in_feed(wish, now))
        .group_by(Event.zone)
        .order_by(Event.zone)
    ).all()
    return Feed(
        version=sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()[:24],
        zones={
            zone: (min(first.year, int(wall[:4])), last.year)
            for zone, first, last, wall, *_ in rows
        },
    )


def feed_entries(wish: Wish, now: datetime) -> Iterator[feeds.Entry]:
    """The events of a feed with their dates, some hundred at a time."""
    events = (
        select(*(getattr(Event, name) for name in feeds.EventFacts._fields))
        .join(Campaign, Campaign.id == Event.campaign_id)
        .where(*_in_feed(wish, now))
        .order_by(Event.id)
        .execution_options(yield_per=FEED_BATCH)
    )
    dates = select(*(getattr(Occurrence, name) for name in feeds.DateFacts._fields))
    for batch in db.session.execute(events).partitions():
        found = [feeds.EventFacts._make(row) for row in batch]
        by_event: dict[uuid.UUID, list[feeds.DateFacts]] = {}
        for row in db.session.execute(
            dates.where(Occurrence.event_id.in_([event.id for event in found]), _SHOWN).order_by(
                Occurrence.starts_at
            )
        ):
            by_event.setdefault(row.event_id, []).append(feeds.DateFacts._make(row))
        for event in found:
            yield event, by_event.get(event.id, [])
