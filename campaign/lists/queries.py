"""Who is on a list, who is found by a segment, who a mailing would reach."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import ColumnElement, Select, false, func, select

from campaign.campaigns.models import Campaign, Partnership
from campaign.db import Words, counting_sets, db
from campaign.errors import Invalid, NotFound
from campaign.events import queries as events
from campaign.events.models import Event, EventState, Occurrence
from campaign.fields.queries import fields_of
from campaign.lists import matching
from campaign.lists import rules as grammar
from campaign.lists.matching import Scope
from campaign.lists.models import (
    AskKind,
    List,
    ListMember,
    MailedAsk,
    MailedMessage,
    Segment,
)
from campaign.lists.rules import Group
from campaign.organizations.models import Organization
from campaign.people.models import Person, Tag
from campaign.petitions.models import Petition
from campaign.places.queries import district_names
from campaign.web.requests import settings


@dataclass(frozen=True, slots=True)
class Ask:
    """A petition, an event, one date of it or a campaign that somebody is led to."""

    kind: AskKind
    thing_id: uuid.UUID


def name_key(name: str) -> str:
    """The comparing form of a list's or segment's name: case and spaces do not matter."""
    return " ".join(name.split()).casefold()


def find_list(organization_id: uuid.UUID, list_id: uuid.UUID, *, is_deleted: bool = False) -> List:
    """A list of this organization (or one that was deleted). Raises NotFound."""
    found = db.session.scalar(
        select(List).where(
            List.organization_id == organization_id,
            List.id == list_id,
            List.deleted_at.is_not(None) if is_deleted else List.deleted_at.is_(None),
        )
    )
    if found is None:
        raise NotFound
    return found


def list_by_name(organization_id: uuid.UUID, name: str) -> List | None:
    """The list of that name, whatever its case."""
    return db.session.scalar(
        select(List).where(List.organization_id == organization_id, List.name_key == name_key(name))
    )


def lists_of(organization_id: uuid.UUID) -> list[List]:
    """All lists, by name."""
    return list(
        db.session.scalars(
            select(List)
            .where(List.organization_id == organization_id, List.deleted_at.is_(None))
            .order_by(List.name_key)
        )
    )


def list_sizes(list_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many people are on each list; the lists are the caller's to have checked."""
    rows = db.session.execute(
        select(ListMember.list_id, func.count())
        .join(Person, Person.id == ListMember.person_id)
        .where(ListMember.list_id.in_(list(list_ids)), Person.erased_at.is_(None))
        .group_by(ListMember.list_id)
    )
    return {list_id: int(count) for list_id, count in rows}


def people_in_list(list_id: uuid.UUID) -> Select[uuid.UUID]:
    """The ids of those on a list; a deleted list has nobody."""
    return (
        select(ListMember.person_id)
        .join(List, List.id == ListMember.list_id)
        .join(Person, Person.id == ListMember.person_id)
        .where(ListMember.list_id == list_id, List.deleted_at.is_(None), Person.erased_at.is_(None))
    )


def members_of(list_id: uuid.UUID) -> Select[Any]:
    """The people on a list, for a keyset page by `Person.id`."""
    return (
        select(Person)
        .join(ListMember, ListMember.person_id == Person.id)
        .where(ListMember.list_id == list_id, Person.erased_at.is_(None))
    )


def lists_with(person_id: uuid.UUID) -> list[List]:
    """The lists that a person is on, by name."""
    return list(
        db.session.scalars(
            select(List)
            .join(ListMember, ListMember.list_id == List.id)
            .where(ListMember.person_id == person_id, List.deleted_at.is_(None))
            .order_by(List.name_key)
        )
    )


def find_segment(
    organization_id: uuid.UUID, segment_id: uuid.UUID, *, is_deleted: bool = False
) -> Segment:
    """A segment of this organization (or one that was deleted). Raises NotFound."""
    found = db.session.scalar(
        select(Segment).where(
            Segment.organization_id == organization_id,
            Segment.id == segment_id,
            Segment.deleted_at.is_not(None) if is_deleted else Segment.deleted_at.is_(None),
        )
    )
    if found is None:
        raise NotFound
    return found


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
            .where(Segment.organization_id == organization_id, Segment.deleted_at.is_(None))
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
    return select(Person.id).where(
        Person.organization_id == organization_id,
        Person.erased_at.is_(None),
        fitting(organization_id, group),
    )


_WITH_DAYS = {grammar.Signed, grammar.Added, grammar.AtEvent}


def fitting(organization_id: uuid.UUID, group: Group) -> ColumnElement[bool]:
    """The condition on `Person` that a tree is. Raises Invalid as `audience`."""
    segments = _segments_behind(organization_id, group)
    kinds = {type(clause) for tree in (group, *segments.values()) for clause in tree.clauses()}
    fields = fields_of(organization_id, with_sensitive=True) if grammar.HasField in kinds else ()
    scope = Scope(
        organization_id=organization_id,
        segments=segments,
        fields={row.id: row for row in fields},
        zone_name=_zone_name(organization_id) if kinds & _WITH_DAYS else "UTC",
    )
    return matching.where(group, scope)


def count_audience(organization_id: uuid.UUID, rules: Group | Mapping[str, Any]) -> int:
    """How many people the rules find now."""
    found = audience(organization_id, rules).with_only_columns(func.count(Person.id))
    with counting_sets():
        return int(db.session.scalar(found) or 0)


def first_people(
    organization_id: uuid.UUID, rules: Group | Mapping[str, Any], limit: int
) -> list[Person]:
    """Some of the people the rules find, the latest first."""
    found = audience(organization_id, rules).with_only_columns(Person)
    return list(db.session.scalars(found.order_by(Person.id.desc()).limit(limit)))


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
                Segment.organization_id == organization_id,
                Segment.id.in_(wanted),
                Segment.deleted_at.is_(None),
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


def names_in(
    organization_id: uuid.UUID, group: Group, language: str = "en"
) -> dict[uuid.UUID, str]:
    """The names of what a tree mentions, for `rules.describe`; what is not ours has none."""
    wanted: dict[type[Any], set[uuid.UUID]] = {}
    for clause in group.clauses():
        wanted.setdefault(type(clause), set()).update(grammar.ids_in(clause))
    names: dict[uuid.UUID, str] = {}
    if ids := wanted.get(grammar.Signed):
        names |= {
            row.id: row.title.get_for(language)
            for row in db.session.execute(
                select(Petition.id, Petition.title).where(
                    Petition.organization_id == organization_id, Petition.id.in_(ids)
                )
            )
        }
    if ids := wanted.get(grammar.AtEvent):
        for titled in (Event, Campaign):
            names |= {
                row.id: row.title.get_for(language)
                for row in db.session.execute(
                    select(titled.id, titled.title).where(
                        titled.organization_id == organization_id, titled.id.in_(ids)
                    )
                )
            }
    for kind, table in (
        (grammar.Tagged, Tag),
        (grammar.OnList, List),
        (grammar.InSegment, Segment),
        (grammar.GotMessage, MailedMessage),
        (grammar.DidAsked, MailedMessage),
    ):
        if ids := wanted.get(kind):
            names |= {
                row.id: row.name
                for row in db.session.execute(
                    select(table.id, table.name).where(
                        table.organization_id == organization_id, table.id.in_(ids)
                    )
                )
            }
    if ids := wanted.get(grammar.Consented):
        names |= {row.id: row.name for row in grantees(organization_id) if row.id in ids}
    if wanted.get(grammar.HasField):
        names |= {
            row.id: row.name.get_for(language)
            for row in fields_of(organization_id, with_sensitive=True)
        }
    if wanted.get(grammar.InDistrict):
        names |= district_names(language)
    return names


def events_to_ask_about(organization_id: uuid.UUID, limit: int = 200) -> list[Event]:
    """The organization's events that people could answer, the newest first."""
    return list(
        db.session.scalars(
            select(Event)
            .where(
                Event.organization_id == organization_id,
                Event.state.in_((EventState.PUBLISHED, EventState.CANCELLED)),
            )
            .order_by(Event.id.desc())
            .limit(limit)
        )
    )


def mailed_messages(organization_id: uuid.UUID, limit: int = 200) -> list[MailedMessage]:
    """The organization's messages that went out, the latest first."""
    return list(
        db.session.scalars(
            select(MailedMessage)
            .where(MailedMessage.organization_id == organization_id)
            .order_by(MailedMessage.sent_at.desc(), MailedMessage.id.desc())
            .limit(limit)
        )
    )


def mailed_among(
    organization_id: uuid.UUID, message_ids: Collection[uuid.UUID]
) -> list[MailedMessage]:
    """Those of the organization's messages that went out which are named."""
    if not message_ids:
        return []
    return list(
        db.session.scalars(
            select(MailedMessage)
            .where(
                MailedMessage.organization_id == organization_id,
                MailedMessage.id.in_(message_ids),
            )
            .order_by(MailedMessage.sent_at.desc())
        )
    )


def asks_of(message_id: uuid.UUID) -> list[Ask]:
    """What the links of a message that went out lead to."""
    rows = db.session.execute(
        select(MailedAsk.kind, MailedAsk.thing_id).where(MailedAsk.message_id == message_id)
    )
    return [Ask(AskKind(kind), thing_id) for kind, thing_id in rows]


def ask_behind(organization_id: uuid.UUID, url: str) -> Ask | None:
    """The organization's own petition, event, date or campaign that an address leads to."""
    try:
        parts, base = urlsplit(url), urlsplit(settings().base_url)
    except ValueError:
        return None
    place = re.fullmatch(r"/([pec])/([a-z0-9-]{1,80})/?", parts.path)
    if (parts.scheme, parts.netloc) != (base.scheme, base.netloc) or place is None:
        return None
    places: dict[str, tuple[type[Any], AskKind]] = {
        "p": (Petition, AskKind.PETITION),
        "e": (Event, AskKind.EVENT),
        "c": (Campaign, AskKind.CAMPAIGN),
    }
    model, kind = places[place[1]]
    thing_id = db.session.scalar(
        select(model.id).where(model.slug == place[2], model.organization_id == organization_id)
    )
    if thing_id is None:
        return None
    day = dict(parse_qsl(parts.query)).get("on", "")[:16]
    if kind is AskKind.EVENT and len(day) >= len("2026-12-01"):
        date_ = events.occurrence_on(db.session.get_one(Event, thing_id), day)
        if date_ is not None:
            return Ask(AskKind.DATE, date_.id)
    return Ask(kind, thing_id)


def ask_title(ask: Ask, language: str) -> str:
    """What people call it."""
    if ask.kind is AskKind.DATE:
        date_ = db.session.get_one(Occurrence, ask.thing_id)
        return date_.event.title.get_for(language)
    models: dict[AskKind, type[Any]] = {
        AskKind.PETITION: Petition,
        AskKind.EVENT: Event,
        AskKind.CAMPAIGN: Campaign,
    }
    title: Words = db.session.get_one(models[ask.kind], ask.thing_id).title
    return title.get_for(language)


def grantees(organization_id: uuid.UUID) -> list[Organization]:
    """To whom the organization's people may have consented: itself first, then its partners."""
    partners = select(Partnership.partner_id).where(Partnership.organization_id == organization_id)
    found = db.session.scalars(
        select(Organization)
        .where((Organization.id == organization_id) | Organization.id.in_(partners))
        .order_by(Organization.name)
    )
    return sorted(found, key=lambda row: row.id != organization_id)


def asking_for(organization_id: uuid.UUID, thing_id: uuid.UUID) -> list[Segment]:
    """The segments whose rules mention a list or segment."""
    return [
        segment
        for segment in segments_of(organization_id)
        if any(thing_id in grammar.ids_in(clause) for clause in tree_of(segment).clauses())
    ]


def tree_of(segment: Segment) -> Group:
    """A segment's rules. Raises Invalid when they cannot be read."""
    return grammar.parse(segment.rules)


def people_by_addresses(
    organization_id: uuid.UUID, keys: Iterable[str]
) -> list[tuple[uuid.UUID, str]]:
    """(id, email_key) of the organization's people with these canonical addresses."""
    rows = db.session.execute(
        select(Person.id, Person.email_key).where(
            Person.organization_id == organization_id,
            Person.email_key.in_(list(keys)),
            Person.erased_at.is_(None),
        )
    )
    return [(row.id, row.email_key) for row in rows]


def in_pieces(found: Select[Any], size: int = 1000) -> Iterator[list[Person]]:
    """The people whom a select of `Person.id` finds, oldest first, `size` at a time.

    Each piece is a query of its own that starts after the last: a million people take no more
    memory than a thousand, and no cursor stays open.
    """
    last: uuid.UUID | None = None
    while True:
        piece = select(Person).where(Person.id.in_(found), Person.erased_at.is_(None))
        if last is not None:
            piece = piece.where(Person.id > last)
        people = list(db.session.scalars(piece.order_by(Person.id).limit(size)))
        if not people:
            return
        last = people[-1].id
        yield people
