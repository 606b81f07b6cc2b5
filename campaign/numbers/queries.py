"""Counting, and what was counted before."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import case, func, select

from campaign import clock
from campaign.db import db, joining_sets
from campaign.lists.models import List, ListMember
from campaign.numbers.models import SavedNumber, Topic
from campaign.organizations.models import Organization
from campaign.people.models import Person
from campaign.people.queries import live_consent
from campaign.places.queries import district_names

Counts = Mapping[str, int]


def count_now(organization_id: uuid.UUID) -> dict[Topic, Counts]:
    """Everything that is saved of a day, as it is now: four looks at the people."""
    people = (Person.organization_id == organization_id, Person.erased_at.is_(None))
    with joining_sets():
        mail = db.session.scalar(
            select(func.count()).select_from(Person).where(*people, live_consent(organization_id))
        )
        by_source = _grouped(select(Person.source, func.count()).where(*people), Person.source)
        by_district = _grouped(
            select(Person.district_id, func.count()).where(
                *people, Person.district_id.is_not(None)
            ),
            Person.district_id,
        )
        by_list = _grouped(
            select(ListMember.list_id, func.count())
            .join(List, List.id == ListMember.list_id)
            .join(Person, Person.id == ListMember.person_id)
            .where(List.organization_id == organization_id, List.deleted_at.is_(None), *people),
            ListMember.list_id,
        )
    return {
        Topic.PEOPLE: {"": sum(by_source.values())},
        Topic.MAIL: {"": int(mail or 0)},
        Topic.SOURCE: by_source,
        Topic.DISTRICT: by_district,
        Topic.LIST: by_list,
    }


def _grouped(statement: Any, column: Any) -> dict[str, int]:
    rows = db.session.execute(statement.group_by(column))
    return {key.hex if isinstance(key, uuid.UUID) else key: int(count) for key, count in rows}


def day_to_save(organization: Organization, now: datetime) -> date:
    """The last day that is over where the organization is."""
    return now.astimezone(clock.zone(organization.time_zone)).date() - timedelta(days=1)


def is_saved(organization_id: uuid.UUID, day: date) -> bool:
    """Whether the day has its numbers."""
    return db.session.get(SavedNumber, (organization_id, Topic.PEOPLE, day, "")) is not None


@dataclass(frozen=True, slots=True)
class Point:
    """How many there were at the end of a day. `mail` is None where nobody had counted yet:
    `people` is then those of today who were there already."""

    day: date
    people: int
    mail: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One source, ward or list: how many, and how many more or fewer than when the period began
    (None: nobody had counted then)."""

    name: str
    count: int
    change: int | None
    thing_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the page shows. `as_of`: the day whose end the tables are of; None: they are of now."""

    as_of: date | None
    points: Sequence[Point]
    sources: Sequence[Line]
    districts: Sequence[Line]
    lists: Sequence[Line]

    @property
    def last(self) -> Point:
        return self.points[-1]

    @property
    def change(self) -> int:
        """How many more people there are than when the period began."""
        return self.last.people - self.points[0].people


def numbers_of(organization: Organization, now: datetime, *, weeks: int, language: str) -> Numbers:
    """The last `weeks` weeks, a point for the end of each, and the tables as last counted."""
    last = _last_day(organization.id)
    end = last or now.astimezone(clock.zone(organization.time_zone)).date()
    days = [end - timedelta(weeks=week) for week in range(weeks, -1, -1)]
    current = count_now(organization.id) if last is None else _of_day(organization.id, last)
    first_counted = _last_day(organization.id, until=days[0])
    before = _of_day(organization.id, first_counted) if first_counted else {}

    def lines(topic: Topic, names: Mapping[str, str]) -> list[Line]:
        found = [
            Line(
                names.get(key, key),
                count,
                count - before.get(topic, {}).get(key, 0) if before else None,
                uuid.UUID(key) if topic == Topic.LIST else None,
            )
            for key, count in current.get(topic, {}).items()
            if topic == Topic.SOURCE or key in names
        ]
        return sorted(found, key=lambda line: (-line.count, line.name))

    lists = db.session.execute(
        select(List.id, List.name).where(
            List.organization_id == organization.id, List.deleted_at.is_(None)
        )
    )
    names = {list_id.hex: name for list_id, name in lists}
    districts = {key.hex: name for key, name in district_names(language).items()}
    return Numbers(
        as_of=last,
        points=_points(organization, days, current),
        sources=lines(Topic.SOURCE, {}),
        districts=lines(Topic.DISTRICT, districts),
        lists=lines(Topic.LIST, names),
    )


def _last_day(organization_id: uuid.UUID, until: date | None = None) -> date | None:
    last = select(func.max(SavedNumber.day)).where(
        SavedNumber.organization_id == organization_id, SavedNumber.topic == Topic.PEOPLE
    )
    if until is not None:
        last = last.where(SavedNumber.day <= until)
    return db.session.scalar(last)


def _of_day(organization_id: uuid.UUID, day: date) -> dict[Topic, Counts]:
    found: dict[Topic, dict[str, int]] = {topic: {} for topic in Topic}
    rows = db.session.execute(
        select(SavedNumber.topic, SavedNumber.key, SavedNumber.count).where(
            SavedNumber.organization_id == organization_id,
            SavedNumber.topic.in_(list(Topic)),
            SavedNumber.day == day,
        )
    )
    for topic, key, count in rows:
        found[Topic(topic)][key] = count
    return dict(found)


def _points(
    organization: Organization, days: Sequence[date], current: Mapping[Topic, Counts]
) -> list[Point]:
    """A day that nobody counted (a machine was off) has the count of the last before it; days
    before the first count are told from who is still there."""
    rows = db.session.execute(
        select(SavedNumber.topic, SavedNumber.day, SavedNumber.count)
        .where(
            SavedNumber.organization_id == organization.id,
            SavedNumber.topic.in_((Topic.PEOPLE, Topic.MAIL)),
            SavedNumber.day <= days[-1],
        )
        .order_by(SavedNumber.day)
    ).all()
    counted = {topic: {} for topic in (Topic.PEOPLE, Topic.MAIL)}  # type: dict[str, dict[date, int]]
    for topic, day, count in rows:
        counted[topic][day] = count
    if not rows:
        counted[Topic.PEOPLE][days[-1]] = current[Topic.PEOPLE][""]
        counted[Topic.MAIL][days[-1]] = current[Topic.MAIL][""]
    first = min(counted[Topic.PEOPLE])
    known = _known_by(organization, [day for day in days if day < first])
    points = []
    for day in days:
        if day < first:
            points.append(Point(day, known[day], None))
            continue
        at = max(one for one in counted[Topic.PEOPLE] if one <= day)
        points.append(Point(day, counted[Topic.PEOPLE][at], counted[Topic.MAIL].get(at, 0)))
    return points


def _known_by(organization: Organization, days: Sequence[date]) -> Counter[date]:
    """How many of today's people were there at the end of each day: one look at all."""
    if not days:
        return Counter()
    ends = [
        clock.to_utc(datetime.combine(day + timedelta(days=1), time()), organization.time_zone)
        for day in days
    ]
    sums = [func.sum(case((Person.created_at < end, 1), else_=0)) for end in ends]
    row = db.session.execute(
        select(*sums).where(
            Person.organization_id == organization.id,
            Person.erased_at.is_(None),
            Person.created_at < ends[-1],
        )
    ).one()
    return Counter({day: int(count or 0) for day, count in zip(days, row, strict=True)})
