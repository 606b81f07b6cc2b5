"""Who is on a list, who is found by a segment, who a mailing would reach."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, false, func, select

from campaign.db import db
from campaign.errors import Invalid
from campaign.lists import rules as grammar
from campaign.lists.models import List, ListMember, Segment
from campaign.lists.rules import Group, Scope
from campaign.organizations.models import Organization
from campaign.people.models import Person


def name_key(name: str) -> str:
    """The comparing form of a list's or segment's name: case and spaces do not matter."""
    return " ".join(name.split()).casefold()


def find_list(organization_id: uuid.UUID, list_id: uuid.UUID) -> List | None:
    """The list, if it is this organization's."""
    return db.session.scalar(
        select(List).where(List.organization_id == organization_id, List.id == list_id)
    )


def list_by_name(organization_id: uuid.UUID, name: str) -> List | None:
    """The list of that name, whatever its case."""
    return db.session.scalar(
        select(List).where(List.organization_id == organization_id, List.name_key == name_key(name))
    )


def lists_of(organization_id: uuid.UUID) -> list[List]:
    """All lists, by name."""
    return list(
        db.session.scalars(
            select(List).where(List.organization_id == organization_id).order_by(List.name_key)
        )
    )


def list_sizes(list_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many people are on each list; the lists are the caller's to have checked."""
    rows = db.session.execute(
        select(ListMember.list_id, func.count())
        .where(ListMember.list_id.in_(list(list_ids)))
        .group_by(ListMember.list_id)
    )
    return {list_id: int(count) for list_id, count in rows}


def people_in_list(list_id: uuid.UUID) -> Select[uuid.UUID]:
    """The ids of those on a list; erased people are on none."""
    return select(ListMember.person_id).where(ListMember.list_id == list_id)


def find_segment(organization_id: uuid.UUID, segment_id: uuid.UUID) -> Segment | None:
    """The segment, if it is this organization's."""
    return db.session.scalar(
        select(Segment).where(Segment.organization_id == organization_id, Segment.id == segment_id)
    )


def segment_by_name(organization_id: uuid.UUID, name: str) -> Segment | None:
    """The segment of that name, whatever its case."""
    return db.session.scalar(
        select(Segment).where(
            Segment.organization_id == organization_id, Segment.name_key == name_key(name)
        )
    )


def segments_of(organization_id: uuid.UUID) -> list[Segment]:
    """All segments, by name."""
    return list(
        db.session.scalars(
            select(Segment)
            .where(Segment.organization_id == organization_id)
            .order_by(Segment.name_key)
        )
    )


def people_in_segment(segment: Segment) -> Select[uuid.UUID]:
    """The ids of those a segment finds now. Raises Invalid when its rules cannot be asked."""
    return audience(segment.organization_id, grammar.parse(segment.rules))


def audience(organization_id: uuid.UUID, rules: Group | Mapping[str, Any]) -> Select[uuid.UUID]:
    """A select of `Person.id`: who of the organization's people the rules find.

    `rules` is a tree or its JSON. Callers add conditions (`.where(…)` on Person), count, page or
    insert from it. Raises Invalid when the rules are no tree or go round in a circle.
    """
    group = rules if isinstance(rules, Group) else grammar.parse(rules)
    scope = Scope(
        organization_id=organization_id,
        segments=_segments_behind(organization_id, group),
        zone_name=_zone_name(organization_id),
    )
    return select(Person.id).where(
        Person.organization_id == organization_id,
        Person.erased_at.is_(None),
        grammar.where(group, scope),
    )


def count_audience(organization_id: uuid.UUID, rules: Group | Mapping[str, Any]) -> int:
    """How many people the rules find now."""
    found = audience(organization_id, rules).with_only_columns(func.count(Person.id))
    return int(db.session.scalar(found) or 0)


def nobody() -> Select[uuid.UUID]:
    """A select that finds nobody."""
    return select(Person.id).where(false())


def _zone_name(organization_id: uuid.UUID) -> str:
    zone = db.session.scalar(
        select(Organization.time_zone).where(Organization.id == organization_id)
    )
    return zone or "America/Chicago"


def _segments_behind(organization_id: uuid.UUID, group: Group) -> dict[uuid.UUID, Group]:
    """The trees of all segments that a tree asks for, directly or through others."""
    found: dict[uuid.UUID, Group] = {}
    wanted = grammar.segment_ids(group)
    while wanted:
        rows = db.session.execute(
            select(Segment.id, Segment.rules).where(
                Segment.organization_id == organization_id, Segment.id.in_(wanted)
            )
        ).all()
        wanted = set()
        for segment_id, data in rows:
            try:
                found[segment_id] = grammar.parse(data)
            except Invalid:
                continue
            wanted |= grammar.segment_ids(found[segment_id])
        wanted -= set(found)
    return found
