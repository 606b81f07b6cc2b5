"""Events, their dates, answers and what stands on them, as rows."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import Words, db
from campaign.events.models import (
    Event,
    EventKind,
    EventState,
    Host,
    HostState,
    Occurrence,
    Rsvp,
    RsvpState,
    Shift,
)
from campaign.mail.addresses import address_hash
from tests.factories.campaigns import make_campaign

_number = itertools.count(1)
ZONE = "America/Chicago"


def make_event(
    campaign: Campaign | None = None, *, starts_in_days: int = 7, **values: Any
) -> Event:
    """A published event with one date, a week from now at 18:00 in Chicago unless told.

    With `starts_in_days=0` it begins within the hour, whatever the hour of the test.
    """
    campaign = campaign or make_campaign()
    slug = values.pop("slug", f"event-{next(_number)}")
    zone = values.setdefault("zone", ZONE)
    there = (clock.now() + timedelta(days=starts_in_days)).astimezone(ZoneInfo(zone))
    soon = (there + timedelta(hours=1)).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    wall = soon if starts_in_days == 0 else datetime.combine(there, time(18))
    wall = values.pop("starts_wall", wall.isoformat(timespec="minutes"))
    event = Event(
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        slug=slug,
        starts_wall=wall,
        **{
            "kind": EventKind.VIGIL,
            "state": EventState.PUBLISHED,
            "title": Words(en="Vigil at Woodlawn", es="Vigilia en Woodlawn"),
            "summary": Words(en="Bring a candle.", es="Traiga una vela."),
            "duration_minutes": 90,
            "venue": "Woodlawn Clinic",
            "address": "6337 S Woodlawn Ave",
            "city": "Chicago",
            "postal_code": "60637",
            "published_at": clock.now(),
            **values,
        },
    )
    db.session.add(event)
    db.session.flush()
    make_occurrence(event)
    return event


def make_occurrence(event: Event, wall: str = "", **values: Any) -> Occurrence:
    """A date of an event; its capacity is the event's."""
    wall = wall or event.starts_wall
    local = datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(event.zone))
    starts_at = local.astimezone(UTC)
    occurrence = Occurrence(
        organization_id=event.organization_id,
        event_id=event.id,
        original_wall=wall,
        starts_wall=wall,
        starts_at=starts_at,
        **{
            "duration_minutes": event.duration_minutes,
            "ends_at": starts_at + timedelta(minutes=event.duration_minutes),
            "capacity": event.capacity,
            **values,
        },
    )
    db.session.add(occurrence)
    db.session.flush()
    return occurrence


def occurrence_of(event: Event) -> Occurrence:
    """The first date of an event."""
    found = select(Occurrence).where(Occurrence.event_id == event.id)
    return db.session.scalars(found.order_by(Occurrence.starts_at).limit(1)).one()


def make_rsvp(event: Event, occurrence: Occurrence | None = None, **values: Any) -> Rsvp:
    """An answer, accepted unless told; it takes its seats."""
    occurrence = occurrence or occurrence_of(event)
    email = values.pop("email", f"coming-{next(_number)}@example.org")
    rsvp = Rsvp(
        organization_id=event.organization_id,
        event_id=event.id,
        occurrence_id=occurrence.id,
        email=email,
        address_hash=address_hash(email) if email else None,
        **{
            "state": RsvpState.ACCEPTED,
            "first_name": "Maria",
            "last_name": "Reyes",
            "postal_code": "60637",
            "guests": 0,
            **values,
        },
    )
    db.session.add(rsvp)
    occurrence.taken_count += rsvp.seats
    if rsvp.state == RsvpState.WAITING:
        rsvp.waiting_since = rsvp.waiting_since or clock.now()
        occurrence.waiting_count += 1
    db.session.flush()
    return rsvp


def make_shift(event: Event, **values: Any) -> Shift:
    shift = Shift(
        organization_id=event.organization_id,
        event_id=event.id,
        **{"name": Words(en="Marshals", es="Orden"), "role": "marshal", **values},
    )
    db.session.add(shift)
    db.session.flush()
    return shift


def make_host(event: Event, **values: Any) -> Host:
    """A volunteer host who said yes."""
    host = Host(
        organization_id=event.organization_id,
        event_id=event.id,
        **{
            "state": HostState.ACTIVE,
            "name": "Ana Host",
            "email": f"host-{next(_number)}@example.org",
            "created_at": clock.now(),
            **values,
        },
    )
    db.session.add(host)
    db.session.flush()
    return host
