"""Who comes, as organizers work with it: answers, needs, shifts, the line, the list for the door."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select
from sqlalchemy.orm import joinedload

from campaign.db import db
from campaign.events.models import COMING, Need, Occurrence, Rsvp, RsvpState, Shift
from campaign.mail.addresses import address_hash
from campaign.organizations.models import AuditEntry
from campaign.people.models import Person
from campaign.people.queries import search_people

ANSWERS_LISTED = "answers.listed"


@dataclass(frozen=True, slots=True)
class AnswerFilters:
    """What the list of answers is narrowed to; empty means everything."""

    text: str = ""
    state: str = ""
    need: str = ""
    shift_id: uuid.UUID | None = None


def answers_to(occurrence: Occurrence, filters: AnswerFilters | None = None) -> Select[Rsvp]:
    """The answers to a date that fit, for a keyset page."""
    filters = filters or AnswerFilters()
    statement = select(Rsvp).where(Rsvp.occurrence_id == occurrence.id)
    if filters.state:
        statement = statement.where(Rsvp.state == filters.state)
    if filters.need:
        statement = statement.where(_asks_for(filters.need))
    if filters.shift_id is not None:
        statement = statement.where(Rsvp.shift_id == filters.shift_id)
    if filters.text:
        statement = statement.where(*_named(occurrence, filters.text))
    return statement


def _asks_for(need: str) -> ColumnElement[bool]:
    """Whether a need is in the list: its JSON is short, and no need's word holds another's."""
    return cast(Rsvp.needs, Text).contains(f'"{need}"', autoescape=True)


def _named(occurrence: Occurrence, text: str) -> list[ColumnElement[bool]]:
    """Found as people are (words of the name without accents, address, ZIP code, phone), or by
    what stands in the answer itself where its person is not settled yet."""
    known = search_people(occurrence.organization_id, text).with_only_columns(Person.id)
    words = text.split()[:6]
    if not words:
        return [Rsvp.id.is_(None)]
    here = [
        or_(
            *(
                func.lower(column).contains(word.casefold(), autoescape=True)
                for column in (Rsvp.first_name, Rsvp.last_name)
            ),
            *(
                column.contains(word, autoescape=True)
                for column in (Rsvp.first_name, Rsvp.last_name, Rsvp.postal_code)
            ),
            Rsvp.address_hash == (address_hash(word) if "@" in word else ""),
        )
        for word in words
    ]
    return [or_(Rsvp.person_id.in_(known), and_(*here))]


def answer_counts(occurrence_id: uuid.UUID) -> dict[str, tuple[int, int]]:
    """State → answers, and the people they stand for with their guests."""
    rows = db.session.execute(
        select(Rsvp.state, func.count(), func.sum(Rsvp.guests + 1))
        .where(Rsvp.occurrence_id == occurrence_id)
        .group_by(Rsvp.state)
    )
    return {state: (count, int(people)) for state, count, people in rows}


def open_needs(occurrence_id: uuid.UUID) -> int:
    """How many of those who come need something that nobody has seen to."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Rsvp.occurrence_id == occurrence_id,
                Rsvp.state.in_(COMING),
                Rsvp.needs_met_at.is_(None),
                cast(Rsvp.needs, Text) != "[]",
            )
        )
        or 0
    )


def _held(occurrence_id: uuid.UUID) -> list[ColumnElement[bool]]:
    return [
        Rsvp.occurrence_id == occurrence_id,
        Rsvp.review_reason != "",
        Rsvp.state != RsvpState.CANCELLED,
    ]


def held_count(occurrence_id: uuid.UUID) -> int:
    """How many answers are held for a look."""
    return db.session.scalar(select(func.count()).where(*_held(occurrence_id))) or 0


def held_answers(occurrence_id: uuid.UUID) -> list[Rsvp]:
    """Answers held for a look, the oldest first."""
    found = select(Rsvp).where(*_held(occurrence_id)).order_by(Rsvp.id).limit(500)
    return list(db.session.scalars(found))


def has_listed(organization_id: uuid.UUID, user_id: uuid.UUID, since: datetime) -> bool:
    """Whether the audit log says that this user looked at who comes since then."""
    return bool(
        db.session.scalar(
            select(AuditEntry.id)
            .where(
                AuditEntry.organization_id == organization_id,
                AuditEntry.user_id == user_id,
                AuditEntry.action == ANSWERS_LISTED,
                AuditEntry.at > since,
            )
            .limit(1)
        )
    )


def waiting_line(occurrence_id: uuid.UUID) -> list[Rsvp]:
    """Who waits for a place, the longest waiting first."""
    return list(
        db.session.scalars(
            select(Rsvp)
            .where(Rsvp.occurrence_id == occurrence_id, Rsvp.state == RsvpState.WAITING)
            .order_by(Rsvp.line_number, Rsvp.waiting_since, Rsvp.id)
        )
    )


@dataclass(frozen=True, slots=True)
class WorkList:
    """One kind of need of a date: who asks for it, by what decides the work."""

    need: str
    groups: Sequence[tuple[str, Sequence[Rsvp]]]

    @property
    def open_count(self) -> int:
        return sum(row.needs_met_at is None for _name, rows in self.groups for row in rows)

    @property
    def count(self) -> int:
        return sum(len(rows) for _name, rows in self.groups)


def work_lists(occurrence_id: uuid.UUID) -> list[WorkList]:
    """What people who come need: rides by postal code, interpretation by language, others by
    name. Those already met stay in the list, at the end."""
    rows = [
        row
        for row in db.session.scalars(
            select(Rsvp)
            .where(
                Rsvp.occurrence_id == occurrence_id,
                Rsvp.state.in_(COMING),
                Rsvp.first_name != "",
                cast(Rsvp.needs, Text) != "[]",
            )
            .order_by(func.lower(Rsvp.last_name), func.lower(Rsvp.first_name), Rsvp.id)
        )
        if row.needs
    ]
    rows.sort(key=lambda row: row.needs_met_at is not None)
    lists = []
    for need in Need:
        asking = [row for row in rows if need in row.needs]
        groups: dict[str, list[Rsvp]] = {}
        for row in asking:
            groups.setdefault(_group_of(need, row), []).append(row)
        if asking:
            lists.append(WorkList(need, sorted(groups.items())))
    return lists


def _group_of(need: str, rsvp: Rsvp) -> str:
    if need == Need.RIDE:
        return rsvp.postal_code
    return rsvp.language if need == Need.INTERPRETATION else ""


def shift_lists(occurrence: Occurrence) -> list[tuple[Shift, list[Rsvp]]]:
    """Each shift of the event, with who signed up for it on this date."""
    rows = list(
        db.session.scalars(
            select(Rsvp)
            .where(
                Rsvp.occurrence_id == occurrence.id,
                Rsvp.shift_id.is_not(None),
                Rsvp.state.in_((*COMING, RsvpState.WAITING)),
            )
            .order_by(func.lower(Rsvp.last_name), func.lower(Rsvp.first_name), Rsvp.id)
        )
    )
    shifts = db.session.scalars(
        select(Shift)
        .where(Shift.event_id == occurrence.event_id)
        .order_by(Shift.position, Shift.starts_after_minutes, Shift.id)
    )
    lists = [(shift, [row for row in rows if row.shift_id == shift.id]) for shift in shifts]
    return [(shift, found) for shift, found in lists if found or not shift.is_removed]


def for_the_door(occurrence_id: uuid.UUID) -> list[Rsvp]:
    """Who is on the list for the door: coming, maybe and in line, by name."""
    return list(
        db.session.scalars(
            select(Rsvp)
            .where(
                Rsvp.occurrence_id == occurrence_id,
                Rsvp.state.in_((*COMING, RsvpState.WAITING)),
                Rsvp.first_name != "",
            )
            .options(joinedload(Rsvp.shift))
            .order_by(func.lower(Rsvp.last_name), func.lower(Rsvp.first_name), Rsvp.id)
        )
    )
