"""Changing lists and segments. Nothing here commits."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, delete, literal, select

from campaign import clock
from campaign.db import Instant, db, insert, uuid7
from campaign.errors import Conflict, Invalid
from campaign.lists import queries, rules
from campaign.lists.models import (
    List,
    ListMember,
    MailedAsk,
    MailedMessage,
    Segment,
)
from campaign.lists.rules import Group
from campaign.mail.addresses import canonical
from campaign.organizations.services import record
from campaign.people.models import Person
from campaign.web.fields import hostile

MAX_PASTED = 5_000
NAME_CHARS = 120
_ADDRESS = re.compile(r"[^\s,;<>()\"']+@[^\s,;<>()\"']+")


# Messages that went out


def note_mailed(
    organization_id: uuid.UUID,
    message_id: uuid.UUID,
    name: str,
    *,
    sent_at: datetime,
    urls: Iterable[str],
) -> None:
    """Remember a message that goes out and what its links lead to, for segments. Twice is once."""
    db.session.execute(
        insert(MailedMessage.__table__).on_conflict_do_nothing(),
        {"id": message_id, "organization_id": organization_id, "name": name, "sent_at": sent_at},
    )
    asks = {queries.ask_behind(organization_id, url) for url in urls} - {None}
    rows = [
        {"message_id": message_id, "kind": ask.kind, "thing_id": ask.thing_id}
        for ask in asks
        if ask is not None
    ]
    if rows:
        db.session.execute(insert(MailedAsk.__table__).on_conflict_do_nothing(), rows)


# Lists


def create_list(organization_id: uuid.UUID, name: str, description: str = "") -> List:
    """A new, empty list. Raises Invalid when the name is taken or cannot be used."""
    list_ = List(
        id=uuid7(),
        organization_id=organization_id,
        name="",
        name_key="",
        description=description.strip(),
    )
    _name_list(list_, name)
    db.session.add(list_)
    db.session.flush()
    return list_


def get_or_create_list(organization_id: uuid.UUID, name: str) -> List:
    """The list of that name, made when it is new. Two who make it at once have one. Raises Invalid
    when the name cannot be used."""
    found = queries.list_by_name(organization_id, name)
    while found is None:
        name, now = checked_name(name), clock.now()
        row = {"id": uuid7(), "organization_id": organization_id, "name": name, "description": ""}
        key = {"name_key": queries.name_key(name), "created_at": now, "updated_at": now}
        db.session.execute(insert(List.__table__).values(row | key).on_conflict_do_nothing())
        found = queries.list_by_name(organization_id, name)
    return found


def change_list(list_: List, name: str, description: str) -> None:
    """Another name or description. Raises Invalid as `create_list`."""
    _name_list(list_, name)
    list_.description = description.strip()
    db.session.flush()


def _name_list(list_: List, name: str) -> None:
    name = checked_name(name)
    other = queries.list_by_name(list_.organization_id, name)
    if other is not None and other.id != list_.id:
        raise Invalid(_l("There is a list of this name already."), field="name")
    list_.name, list_.name_key = name, queries.name_key(name)


def checked_name(name: str) -> str:
    """A name with single spaces. Raises Invalid at `name` when it is blank, long or hostile."""
    if problem := hostile(name):
        raise Invalid(problem, field="name")
    name = " ".join(name.split())
    if not name:
        raise Invalid(_l("Please give it a name."), field="name")
    if len(name) > NAME_CHARS or len(queries.name_key(name)) > NAME_CHARS:
        raise Invalid(_l("Please keep the name under 120 characters."), field="name")
    return name


def delete_list(list_: List, *, user_id: uuid.UUID | None = None) -> None:
    """Take a list away; `restore` brings it back. Raises Conflict while a segment asks for it."""
    _refuse_if_asked_for(list_)
    _delete(list_, "list.deleted", user_id)


def delete_segment(segment: Segment, *, user_id: uuid.UUID | None = None) -> None:
    """Take a segment away; raises Conflict while another asks for it."""
    _refuse_if_asked_for(segment)
    _delete(segment, "segment.deleted", user_id)


def _refuse_if_asked_for(thing: List | Segment) -> None:
    """Gone, it would find nobody, and "is not in it" everybody: no mailing must grow that way."""
    askers = queries.asking_for(thing.organization_id, thing.id)
    if askers:
        raise Conflict(
            _l(
                "The segment “%(name)s” asks for this one. Change that segment first.",
                name=askers[0].name,
            )
        )


def _delete(thing: List | Segment, action: str, user_id: uuid.UUID | None) -> None:
    thing.deleted_at = clock.now()
    thing.name_key = f"deleted {thing.id.hex}"
    record(
        action,
        organization_id=thing.organization_id,
        user_id=user_id,
        subject_kind=type(thing).__name__.lower(),
        subject_id=thing.id,
    )


def restore(thing: List | Segment, *, user_id: uuid.UUID | None = None) -> None:
    """Bring back what was deleted; under another name when its own was given away meanwhile."""
    if thing.deleted_at is None:
        return
    taken = (queries.list_by_name if isinstance(thing, List) else queries.segment_by_name)(
        thing.organization_id, thing.name
    )
    if taken is not None:
        thing.name = f"{thing.name[: NAME_CHARS - 9]} {thing.id.hex[-8:]}"
    thing.name_key = queries.name_key(thing.name)
    thing.deleted_at = None
    record(
        f"{type(thing).__name__.lower()}.restored",
        organization_id=thing.organization_id,
        user_id=user_id,
        subject_kind=type(thing).__name__.lower(),
        subject_id=thing.id,
    )


def add_to_list(list_: List, person_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Put people on a list of their own organization; returns whom it is new to, for undoing.

    Ids of other organizations and of nobody are passed over.
    """
    wanted = select(literal(list_.id), Person.id, literal(clock.now(), Instant())).where(
        Person.organization_id == list_.organization_id,
        Person.erased_at.is_(None),
        Person.id.in_(person_ids),
    )
    return list(
        db.session.scalars(
            insert(ListMember)
            .from_select(["list_id", "person_id", "created_at"], wanted)
            .on_conflict_do_nothing()
            .returning(ListMember.person_id)
        )
    )


def add_found_to_list(list_: List, found: Select[Any]) -> int:
    """Put everybody whom a select of `Person.id` finds on a list, in one statement."""
    now = literal(clock.now(), Instant())
    people = select(literal(list_.id), Person.id, now).where(
        Person.organization_id == list_.organization_id,
        Person.erased_at.is_(None),
        Person.id.in_(found),
    )
    result = db.session.execute(
        insert(ListMember)
        .from_select(["list_id", "person_id", "created_at"], people)
        .on_conflict_do_nothing(),
        execution_options={"preserve_rowcount": True},
    )
    return int(getattr(result, "rowcount", 0))


@dataclass(frozen=True, slots=True)
class Pasted:
    """What became of pasted addresses: whom they added, who was there, which nobody has."""

    added: list[uuid.UUID]
    already_count: int
    unknown: list[str]


def add_addresses(list_: List, text: str) -> Pasted:
    """Put the known people behind pasted e-mail addresses on a list.

    Whatever stands between the addresses is passed over ("Ann <ann@example.org>; …"). Both
    people of a shared address are added. Raises Invalid when there is no address, or too many.
    """
    written = {canonical(found): found for found in _ADDRESS.findall(text)}
    if not written:
        raise Invalid(_l("There is no email address in this text."), field="addresses")
    if len(written) > MAX_PASTED:
        raise Invalid(
            _l("These are more than %(most)s addresses. Import them as a file.", most=MAX_PASTED),
            field="addresses",
        )
    known: dict[uuid.UUID, str] = {}
    keys = list(written)
    for start in range(0, len(keys), 1000):
        some = keys[start : start + 1000]
        known |= dict(queries.people_by_addresses(list_.organization_id, some))
    added: list[uuid.UUID] = []
    ids = list(known)
    for start in range(0, len(ids), 1000):
        added += add_to_list(list_, ids[start : start + 1000])
    unknown = [written[key] for key in keys if key not in set(known.values())]
    return Pasted(added=added, already_count=len(known) - len(added), unknown=unknown)


def forget_person(person_id: uuid.UUID) -> None:
    """Erasure: take a person off every list."""
    db.session.execute(delete(ListMember).where(ListMember.person_id == person_id))


def remove_from_list(list_: List, person_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Take people off a list; returns who was on it, for undoing."""
    return list(
        db.session.scalars(
            delete(ListMember)
            .where(ListMember.list_id == list_.id, ListMember.person_id.in_(person_ids))
            .returning(ListMember.person_id)
            .execution_options(synchronize_session=False)
        )
    )


# Segments


def save_segment(
    organization_id: uuid.UUID, name: str, group: Group, *, segment: Segment | None = None
) -> Segment:
    """A new segment, or other rules and name for one.

    Raises Invalid at `name`, or at `rules` when the tree asks for something that is not the
    organization's, or for itself.
    """
    name = checked_name(name)
    other = queries.segment_by_name(organization_id, name)
    if other is not None and (segment is None or other.id != segment.id):
        raise Invalid(_l("There is a segment of this name already."), field="name")
    _check_references(organization_id, group)
    if segment is None:
        segment = Segment(id=uuid7(), organization_id=organization_id)
        db.session.add(segment)
    segment.name, segment.name_key = name, queries.name_key(name)
    segment.rules = rules.dump(group)
    db.session.flush()
    queries.people_in_segment(segment)  # raises Invalid when it asks for itself
    return segment


def _check_references(organization_id: uuid.UUID, group: Group) -> None:
    names = queries.names_in(organization_id, group)
    for clause in group.clauses():
        if not rules.ids_in(clause) <= names.keys():
            raise Invalid(
                _l("A rule asks for something that is gone. Choose again."), field="rules"
            )
