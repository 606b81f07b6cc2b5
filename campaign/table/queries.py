"""Who is found, in which order, page by page; what people did last; changes of many at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, asc, desc, false, func, or_, select, tuple_, union_all
from sqlalchemy.sql.selectable import CompoundSelect

from campaign import clock
from campaign.checkin.models import SignIn
from campaign.db import counting_sets, db
from campaign.errors import NotFound
from campaign.events.models import TOLD, Rsvp
from campaign.fields.models import CustomField
from campaign.fields.queries import fields_of
from campaign.lists import queries as lists
from campaign.lists.models import List, Segment
from campaign.lists.rules import (
    Added,
    Clause,
    Group,
    HasField,
    How,
    InDistrict,
    InSegment,
    OnList,
    Tagged,
)
from campaign.people import queries as people
from campaign.people.models import Person, Tag
from campaign.petitions.models import Signature, SignatureState
from campaign.places.queries import district_names
from campaign.table.columns import Sort
from campaign.table.models import ChangeState, ChosenColumns, ManyChange, Place
from campaign.table.rules import Asked

PAGE_SIZE = 50


# What is asked


@dataclass(frozen=True, slots=True)
class Meant:
    """Filters with what their words mean in one organization. `problems` as in Asked."""

    asked: Asked
    tags: Mapping[str, Tag | None] = field(default_factory=dict)
    list_: List | None = None
    segment: Segment | None = None
    wards: Mapping[str, str] = field(default_factory=dict)
    field_: CustomField | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


def meaning(
    organization_id: uuid.UUID,
    asked: Asked,
    *,
    language: str = "en",
    with_sensitive: bool,
    tags: Sequence[Tag] | None = None,
) -> Meant:
    """What the filters mean. Raises NotFound for a list or segment that is not the organization's.

    A tag that is gone, or was never there, finds nobody: a filter is never dropped unseen.
    """
    problems = dict(asked.problems)
    if tags is None:
        tags = people.tags_in(organization_id) if asked.tags else ()
    names = {tag.name_key: tag for tag in tags}
    wards = (
        {str(key): name for key, name in district_names(language).items()} if asked.wards else {}
    )
    if set(asked.wards) - set(wards):
        problems["ward"] = _("Choose one.")
    found_field = None
    if asked.field:
        fields = fields_of(organization_id, with_sensitive=with_sensitive)
        found_field = next((one for one in fields if one.key == asked.field), None)
        if found_field is None:
            problems["field"] = _("Choose one.")
        elif not asked.value and asked.how is not How.KNOWN:
            problems["value"] = _("Write a value.")
    return Meant(
        asked=asked,
        tags={key: names.get(key) for key in asked.tags},
        list_=lists.find_list(organization_id, asked.list_id) if asked.list_id else None,
        segment=(
            lists.find_segment(organization_id, asked.segment_id) if asked.segment_id else None
        ),
        wards={key: wards[key] for key in asked.wards if key in wards},
        field_=found_field,
        problems=problems,
    )


def found(organization_id: uuid.UUID, meant: Meant) -> Select[Any]:
    """The people whom the filters find, as a select of Person. Raises Invalid with the field of the
    form where a value cannot be compared."""
    asked = meant.asked
    statement = people.search_people(
        organization_id, asked.q, source=asked.source, consent=asked.consent
    )
    if None in meant.tags.values():
        return statement.where(false())
    clauses: list[Clause] = [Tagged(tag_id=tag.id) for tag in meant.tags.values() if tag]
    if meant.list_ is not None:
        clauses.append(OnList(list_id=meant.list_.id))
    if meant.segment is not None:
        clauses.append(InSegment(segment_id=meant.segment.id))
    if meant.wards:
        clauses.append(InDistrict(district_ids=tuple(map(uuid.UUID, meant.wards))))
    if asked.since or asked.until:
        clauses.append(Added(since=asked.since, until=asked.until))
    if meant.field_ is not None:
        clauses.append(HasField(field_id=meant.field_.id, how=asked.how, value=asked.value))
    if clauses:
        statement = statement.where(lists.fitting(organization_id, Group(rules=tuple(clauses))))
    return statement


def named(organization_id: uuid.UUID, ids: Sequence[uuid.UUID]) -> Select[Any]:
    """Those of the organization's people who are named, as a select of Person."""
    return people.people_of(organization_id).where(Person.id.in_(ids))


def count(statement: Select[Any]) -> int:
    """How many people a select of Person finds."""
    with counting_sets():
        return int(db.session.scalar(statement.with_only_columns(func.count(Person.id))) or 0)


def has_more_than(statement: Select[Any], limit: int) -> bool:
    """Whether a select of Person finds more than so many, without counting them all."""
    some = statement.with_only_columns(Person.id).limit(limit + 1).subquery()
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0) > limit


# A page


@dataclass(frozen=True, slots=True)
class Found:
    """A page of people; the ids are where the next and the previous page begin."""

    people: Sequence[Person]
    after: uuid.UUID | None
    before: uuid.UUID | None


def page(
    statement: Select[Any],
    sort: Sort,
    *,
    after: uuid.UUID | None = None,
    before: uuid.UUID | None = None,
    size: int = PAGE_SIZE,
) -> Found:
    """The people that follow somebody in the order asked for, or come before them.

    The address bar holds an id and no name or address; where that person stands is looked up. Those
    who have something under the key come first, then the others by their id: each half is a range
    of one index, and a page that holds the end of the one and the start of the other asks twice.
    """
    is_back = before is not None and after is None
    edge_id = before if is_back else after
    edge = None
    if edge_id is not None:
        edge = db.session.execute(select(*sort.order.columns).where(Person.id == edge_id)).first()
    rows: list[Person] = []
    for half, edge_here in _halves(sort, edge_id, edge, is_back=is_back):
        limit = size + 1 - len(rows)
        some = ranged(statement, sort, half, edge_here, is_back=is_back, limit=limit)
        rows += db.session.scalars(some)
        if len(rows) > size:
            break
    has_more = len(rows) > size
    rows = rows[:size]
    if is_back:
        rows.reverse()
    has_next = bool(rows) and (has_more or is_back)
    has_previous = bool(rows) and ((edge is not None and not is_back) or (is_back and has_more))
    return Found(rows, rows[-1].id if has_next else None, rows[0].id if has_previous else None)


Mark = tuple[Any, ...] | None


def _halves(
    sort: Sort, edge_id: uuid.UUID | None, edge: Any, *, is_back: bool
) -> list[tuple[bool, Mark]]:
    """Which halves a page may reach into (True: of those who have something under the key), the
    first from the edge on, the second from its own end."""
    if sort.order.has_key is None:
        return [(True, tuple(edge) if edge else None)]
    order = [False, True] if is_back else [True, False]
    if edge is None:
        return [(half, None) for half in order]
    has_key = bool(edge[0])
    mark = tuple(edge) if has_key else (edge_id, edge_id)
    if order[0] is has_key:
        return [(order[0], mark), (order[1], None)]
    return [(has_key, mark)]


def ranged(
    statement: Select[Any], sort: Sort, half: bool, mark: Mark, *, is_back: bool, limit: int
) -> Select[Any]:
    """Some of one half, from a mark on, as a range of one index."""
    order = sort.order
    columns: list[Any] = order.columns if half else [Person.id]
    is_falling = (sort.is_falling is not is_back) if half else is_back
    limits = order.has_key if half else order.lacks_key
    if limits is not None:
        statement = statement.where(limits)
    if mark is not None:
        here, there = tuple_(*columns), tuple_(*mark[: len(columns)])
        statement = statement.where(here < there if is_falling else here > there)
    turn = desc if is_falling else asc
    return statement.order_by(*(turn(column) for column in columns)).limit(limit)


# What people did last


def actions(holds: Callable[[Any], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """Each thing that the people meant did: (`person_id`, `at`). Signed, answered, signed in."""
    return union_all(
        select(Signature.person_id.label("person_id"), Signature.confirmed_at.label("at")).where(
            holds(Signature.person_id),
            Signature.state == SignatureState.CONFIRMED,
            Signature.confirmed_at.is_not(None),
        ),
        select(Rsvp.person_id, Rsvp.created_at).where(holds(Rsvp.person_id), Rsvp.state.in_(TOLD)),
        select(SignIn.person_id, SignIn.at).where(
            holds(SignIn.person_id), SignIn.undone_at.is_(None)
        ),
    )


def last_actions(holds: Callable[[Any], ColumnElement[bool]]) -> dict[uuid.UUID, datetime]:
    """When each of the people meant did something last; who never did is not there."""
    last: dict[uuid.UUID, datetime] = {}
    for person_id, at in db.session.execute(actions(holds)):
        if person_id not in last or last[person_id] < at:
            last[person_id] = at
    return last


# Columns


def chosen_columns(
    user_id: uuid.UUID | None, organization_id: uuid.UUID, place: Place
) -> list[str] | None:
    """The columns that somebody chose; None when they never did."""
    if user_id is None:
        return None
    return db.session.scalar(
        select(ChosenColumns.columns).where(
            ChosenColumns.user_id == user_id,
            ChosenColumns.organization_id == organization_id,
            ChosenColumns.place == place,
        )
    )


# Changes of many at once


def find_change(organization_id: uuid.UUID, change_id: uuid.UUID) -> ManyChange:
    """A change of this organization. Raises NotFound."""
    row = db.session.scalar(
        select(ManyChange).where(
            ManyChange.organization_id == organization_id, ManyChange.id == change_id
        )
    )
    if row is None:
        raise NotFound
    return row


def stalled_changes() -> list[uuid.UUID]:
    """Changes that nobody works at though somebody should: a lost call, a worker that died."""
    working = ManyChange.state.in_((ChangeState.QUEUED, ChangeState.RUNNING, ChangeState.UNDOING))
    is_free = or_(ManyChange.lease_until.is_(None), ManyChange.lease_until < clock.now())
    return list(db.session.scalars(select(ManyChange.id).where(working, is_free)))
