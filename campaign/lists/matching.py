"""Who fits: a segment's tree as the condition on `Person` that a database answers.

What a person typed only ever reaches SQL as a parameter. A tree asks about the people of one organization: every subquery names it again, so that an id
of somebody else's petition, tag or list finds nobody.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    distinct,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from campaign import clock
from campaign.errors import Invalid
from campaign.events.models import Occurrence
from campaign.fields.models import CustomField, FieldKind, FieldValue
from campaign.fields.rules import key_of, read
from campaign.lists.asking import MESSAGE_KEY, did_asked, got, got_any
from campaign.lists.models import List, ListMember
from campaign.lists.rules import (
    MAX_SEGMENT_DEPTH,
    Added,
    AtEvent,
    CameFrom,
    Clause,
    Consented,
    DidAsked,
    GotMessage,
    Group,
    HasField,
    How,
    InDistrict,
    InSegment,
    Match,
    NearBy,
    OnList,
    PostalCode,
    RandomShare,
    Signed,
    Speaks,
    Tagged,
)
from campaign.lists.taking_part import At, took_part
from campaign.mail.models import Batch
from campaign.people.models import Person, PersonTag
from campaign.people.names import HIGHEST
from campaign.people.queries import live_consent
from campaign.petitions.models import Signature, SignatureState
from campaign.places.queries import center_of, codes_near


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a tree is asked of: one organization, its time zone, the segments it may mention.

    `is_joined` says that the clause is one of several that all must hold. There a database reads
    IN as a join it may start from; below an OR or a NOT it is better served by EXISTS.
    """

    organization_id: uuid.UUID
    segments: Mapping[uuid.UUID, Group]
    fields: Mapping[uuid.UUID, CustomField] = field(default_factory=dict)
    zone_name: str = "America/Chicago"
    is_joined: bool = True
    inside: tuple[uuid.UUID, ...] = ()


def where(group: Group, scope: Scope) -> ColumnElement[bool]:
    """The condition on Person. Raises Invalid when segments ask for each other in a circle."""
    if not group.rules:
        return false() if group.match is Match.ANY else true()
    if group.match is Match.ALL:
        return and_(*(_node_where(rule, scope) for rule in group.rules))
    inner = replace(scope, is_joined=False)
    found = [_node_where(rule, inner) for rule in group.rules]
    if group.match is Match.NONE:  # each "not" is a set that a database can leave out by itself
        return and_(*(not_(one) for one in found))
    return or_(*found)


def _node_where(node: Clause | Group, scope: Scope) -> ColumnElement[bool]:
    if isinstance(node, Group):
        return where(node, scope)
    if node.is_not:
        return not_(_clause_where(node, replace(scope, is_joined=False)))
    return _clause_where(node, scope)


def _clause_where(clause: Clause, scope: Scope) -> ColumnElement[bool]:
    if ask := _ASKED.get(type(clause)):
        return ask(clause, scope)
    if isinstance(clause, Tagged):
        return _among(PersonTag.person_id, scope, PersonTag.tag_id == clause.tag_id)
    if isinstance(clause, OnList):
        return _among(
            ListMember.person_id,
            scope,
            # A value that is looked up once, and not a set to be joined
            ListMember.list_id
            == select(List.id)
            .where(
                List.id == clause.list_id,
                List.organization_id == scope.organization_id,
                List.deleted_at.is_(None),
            )
            .scalar_subquery(),
        )
    if isinstance(clause, PostalCode):
        return _code_in(clause.codes)
    if isinstance(clause, InDistrict):
        return and_(
            Person.district_id.is_not(None),  # no ward is "not in ward 20", and never unknown
            Person.district_id.in_(clause.district_ids),
        )
    if isinstance(clause, Consented):
        return live_consent(clause.grantee_id, clause.purpose)
    if isinstance(clause, Added):
        return and_(*_when(Person.created_at, clause, scope))
    if isinstance(clause, Speaks):
        return Person.language == clause.language
    if isinstance(clause, CameFrom):
        return _text_in(Person.source, (clause.source,))
    raise TypeError(f"{type(clause).__name__} cannot be asked")


def _among(
    person_id: InstrumentedAttribute[Any], scope: Scope, *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    if scope.is_joined:
        return Person.id.in_(select(person_id).where(*conditions))
    return exists().where(person_id == Person.id, *conditions)


def _often(
    person_id: InstrumentedAttribute[Any],
    thing: Any,
    times: int,
    scope: Scope,
    *conditions: ColumnElement[bool],
) -> ColumnElement[bool]:
    """Has `times` different things at least."""
    if times == 1:
        return _among(person_id, scope, *conditions)
    count = func.count(distinct(thing))
    if scope.is_joined:
        many = select(person_id).where(*conditions).group_by(person_id).having(count >= times)
        return Person.id.in_(many)
    found = select(count).where(person_id == Person.id, *conditions)
    return found.correlate(Person).scalar_subquery() >= times


def _signed(clause: Signed, scope: Scope) -> ColumnElement[bool]:
    conditions = [
        Signature.organization_id == scope.organization_id,
        Signature.state == SignatureState.CONFIRMED,
        Signature.person_id.is_not(None),
        *_when(Signature.confirmed_at, clause, scope),
    ]
    if clause.petition_id is not None:
        conditions.append(Signature.petition_id == clause.petition_id)
    thing = Signature.petition_id
    return _often(Signature.person_id, thing, clause.times, scope, *conditions)


def _at_event(clause: AtEvent, scope: Scope) -> ColumnElement[bool]:
    at = At(
        event_id=clause.event_id,
        event_kind=clause.event_kind,
        campaign_id=clause.campaign_id,
        dates=_when(Occurrence.starts_at, clause, scope),
    )
    column, conditions = took_part(clause.did, at, scope.organization_id, clock.now())
    return _often(column, Occurrence.id, clause.times, scope, *conditions)


def _about_message(clause: GotMessage | DidAsked, scope: Scope) -> ColumnElement[bool]:
    """Of those who did any of what it asked, one set where a database may start from it; else
    one question after the other."""
    if isinstance(clause, GotMessage):
        if clause.message_id is None:
            days = _when(Batch.released_at, clause, scope)
            column, conditions = got_any(scope.organization_id, days)
            return _often(column, MESSAGE_KEY, clause.times, scope, *conditions)
        column, conditions = got(clause.message_id, scope.organization_id)
        return _among(column, scope, *conditions)
    ways = did_asked(clause.message_id, scope.organization_id)
    if scope.is_joined:
        sets = [select(column).where(*conditions) for column, conditions in ways]
        return Person.id.in_(union_all(*sets))
    return or_(*(_among(column, scope, *conditions) for column, conditions in ways))


def _has_field(clause: HasField, scope: Scope) -> ColumnElement[bool]:
    """Raises Invalid where the value cannot stand in the field, or cannot be more or less."""
    field_ = scope.fields.get(clause.field_id)
    if field_ is None:  # somebody else's or gone: nobody has it
        return false()
    conditions: list[ColumnElement[bool]] = [FieldValue.field_id == field_.id]
    if clause.how is not How.KNOWN:
        conditions.append(_compared(clause, field_))
    return _among(FieldValue.person_id, scope, *conditions)


def _compared(clause: HasField, field_: CustomField) -> ColumnElement[bool]:
    if clause.how is How.BEGINS:
        if field_.kind != FieldKind.TEXT:
            raise Invalid(_("Only a text begins with something."), field="how")
        start = key_of(clause.value)
        return and_(FieldValue.text_key >= start, FieldValue.text_key < start + HIGHEST)
    value = read(field_, clause.value)
    if value is None:
        raise Invalid(_("Write a value."), field="value")
    if clause.how is How.IS:
        return FieldValue.text_key == value.text_key
    column: Any
    wanted: Any
    if field_.kind == FieldKind.NUMBER:
        column, wanted = FieldValue.number, value.number
    elif field_.kind == FieldKind.DATE:
        column, wanted = FieldValue.day, value.day
    else:
        raise Invalid(_("Only numbers and days are more or less than others."), field="how")
    found: ColumnElement[bool] = column >= wanted if clause.how is How.LEAST else column <= wanted
    return found


def _in_segment(clause: InSegment, scope: Scope) -> ColumnElement[bool]:
    if clause.segment_id in scope.inside or len(scope.inside) >= MAX_SEGMENT_DEPTH:
        raise Invalid(_("These segments ask for each other in a circle."))
    group = scope.segments.get(clause.segment_id)
    if group is None:  # somebody else's or gone: it finds nobody
        return false()
    return where(group, replace(scope, inside=(*scope.inside, clause.segment_id)))


def _near(clause: NearBy, _scope: Scope) -> ColumnElement[bool]:
    """Raises Invalid for a postal code that is on no map of ours."""
    center = center_of(clause.code)
    if center is None:
        raise Invalid(_("We do not know where this postal code lies."), field="code")
    return Person.postal_code.in_(codes_near(center, clause.km))


def _random(clause: RandomShare, _scope: Scope) -> ColumnElement[bool]:
    """The first eight digits of a hash lie below the share of all there are."""
    person = func.replace(cast(Person.id, Text()), "-", "")
    below = f"{clause.percent * 2**32 // 100:08x}"
    return func.substr(func.md5(person.concat(clause.draw)), 1, 8) < below


def _code_in(wanted: Sequence[str]) -> ColumnElement[bool]:
    """Postal codes are ordered by their bytes: those that begin so are a range of the index."""
    exact = [code for code in wanted if not code.endswith("*")]
    starts = [code.removesuffix("*") for code in wanted if code.endswith("*")]
    parts: list[ColumnElement[bool]] = [Person.postal_code.in_(exact)] if exact else []
    parts += [
        and_(Person.postal_code >= start, Person.postal_code < start + HIGHEST) for start in starts
    ]
    return or_(*parts)


def _text_in(column: InstrumentedAttribute[str], wanted: Sequence[str]) -> ColumnElement[bool]:
    exact = [text for text in wanted if not text.endswith("*")]
    starts = [text.removesuffix("*") for text in wanted if text.endswith("*")]
    parts: list[ColumnElement[bool]] = [column.in_(exact)] if exact else []
    parts += [func.substr(column, 1, len(start)) == start for start in starts]
    return or_(*parts)


def _when(
    column: InstrumentedAttribute[Any],
    clause: Signed | Added | AtEvent | GotMessage,
    scope: Scope,
) -> list[ColumnElement[bool]]:
    """In the days a clause gives; "the last two days" begin with the day before yesterday."""
    if clause.days:
        today = clock.now().astimezone(clock.zone(scope.zone_name)).date()
        return _between(column, today - timedelta(days=clause.days), today, scope)
    return _between(column, clause.since, clause.until, scope)


def _between(
    column: InstrumentedAttribute[Any], since: date | None, until: date | None, scope: Scope
) -> list[ColumnElement[bool]]:
    """Both days included, from midnight to midnight in the organization's time zone."""

    def midnight(day: date) -> datetime:
        return clock.to_utc(datetime.combine(day, time()), scope.zone_name)

    conditions = []
    if since is not None:
        conditions.append(column >= midnight(since))
    if until is not None:
        conditions.append(column < midnight(until + timedelta(days=1)))
    if conditions:
        conditions.append(column.is_not(None))
    return conditions


_ASKED: dict[type[Clause], Callable[[Any, Scope], ColumnElement[bool]]] = {
    Signed: _signed,
    InSegment: _in_segment,
    AtEvent: _at_event,
    GotMessage: _about_message,
    DidAsked: _about_message,
    HasField: _has_field,
    NearBy: _near,
    RandomShare: _random,
}
