"""Synthetic events at scale, with answers of the synthetic people. Running it again adds none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import Words, db, insert
from campaign.events.models import (
    DEFAULT_REMINDERS,
    Access,
    Event,
    EventKind,
    EventState,
    Occurrence,
    Rsvp,
    RsvpState,
)
from campaign.events.recurrence import resolve
from campaign.events.words import KIND_NAMES
from campaign.people.models import Person

BATCH = 200
ANSWERS = 12
ZONE = "America/Chicago"
DAYS = 365


def seed_events(campaign: Campaign, count: int, *, seed_number: int) -> Iterator[int]:
    """Make so many events of one date each within the next year; yields how many at a time.

    The caller commits after each. Dates are days from today, so a repeat on another day finds
    the events that are there and leaves them as they are.
    """
    people = _people(campaign.organization_id)
    slug = campaign.slug.removesuffix("-campaign")
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        random = Random(f"{seed_number}:events:{start}")  # noqa: S311 - synthetic on purpose
        _add(campaign, [f"{slug}-event-{n + 1}" for n in numbers], people, random)
        yield len(numbers)


def _people(organization_id: uuid.UUID, limit: int = 5000) -> list[Person]:
    return list(
        db.session.scalars(
            select(Person)
            .where(Person.organization_id == organization_id, Person.email.is_not(None))
            .order_by(Person.email_key)
            .limit(limit)
        )
    )


def _add(
    campaign: Campaign, slugs: Sequence[str], people: Sequence[Person], random: Random
) -> None:
    there = set(db.session.scalars(select(Event.slug).where(Event.slug.in_(slugs))))
    events: list[dict[str, Any]] = []
    dates: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for slug in slugs:
        event, date = _event(campaign, slug, random)
        crowd = random.sample(people, min(ANSWERS, len(people)))
        mine = [_answer(date, person, random) for person in crowd]
        if slug in there:
            continue
        date["taken_count"] = sum(
            1 + row["guests"] for row in mine if row["state"] == RsvpState.ACCEPTED
        )
        events.append(event)
        dates.append(date)
        answers += mine
    for table, rows in ((Event, events), (Occurrence, dates), (Rsvp, answers)):
        if rows:
            db.session.execute(insert(table.__table__), rows)


def _event(campaign: Campaign, slug: str, random: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    kind = random.choice(list(EventKind))
    now = clock.now()
    day = (now + timedelta(days=random.randint(1, DAYS))).date()
    wall = datetime(day.year, day.month, day.day, random.randint(9, 19))  # noqa: DTZ001 - a wall
    found = resolve(wall, ZONE)
    minutes = random.choice((60, 90, 120))
    name = f"{KIND_NAMES[kind]} {slug.rpartition('-')[2]}"
    event = {
        "id": uuid.uuid4(),
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "slug": slug,
        "kind": kind.value,
        "state": EventState.PUBLISHED.value,
        "title": Words(en=name, es=name),
        "zone": ZONE,
        "starts_wall": wall.isoformat(timespec="minutes"),
        "duration_minutes": minutes,
        "venue": "A synthetic hall",
        "address": f"{random.randint(1, 9999)} Example Street",
        "city": "Chicago",
        "postal_code": random.choice(("60637", "60615", "60608", "60622", "60640")),
        "languages": random.choice((["en"], ["es"], ["en", "es"])),
        "access": [Access.STEP_FREE.value] if random.random() < 0.5 else [],
        "reminders": list(DEFAULT_REMINDERS),
        "published_at": now,
        "created_at": now,
        "updated_at": now,
    }
    date = {
        "id": uuid.uuid4(),
        "organization_id": campaign.organization_id,
        "event_id": event["id"],
        "original_wall": event["starts_wall"],
        "starts_wall": event["starts_wall"],
        "duration_minutes": minutes,
        "starts_at": found.at,
        "ends_at": found.at + timedelta(minutes=minutes),
    }
    return event, date


def _answer(date: dict[str, Any], person: Person, random: Random) -> dict[str, Any]:
    now = clock.now()
    state = random.choices(
        (RsvpState.ACCEPTED, RsvpState.TENTATIVE, RsvpState.DECLINED), (8, 1, 1)
    )[0]
    return {
        "id": uuid.uuid4(),
        "organization_id": date["organization_id"],
        "event_id": date["event_id"],
        "occurrence_id": date["id"],
        "person_id": person.id,
        "state": state.value,
        "email": person.email,
        "address_hash": person.address_hash,
        "slot": person.slot,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "postal_code": person.postal_code,
        "district_id": person.district_id,
        "language": person.language,
        "guests": random.choice((0, 0, 1)),
        "settled_at": now,
        "created_at": now,
        "updated_at": now,
    }
