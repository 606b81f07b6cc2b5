"""Putting the rows of one's own people together, some thousands at a time.

`rows` asks column by column, on any database. Where PostgreSQL is to write CSV, `lines` lets it join
and write the lines itself; a row in which any cell might need a guard or quotes comes back as it is,
so that there is one guard and not two.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    values,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy import column as column_
from sqlalchemy.dialects import postgresql

from campaign.db import Ids, db, is_postgres
from campaign.exports import queries
from campaign.exports.columns import TAGS_BETWEEN, instant
from campaign.fields.models import CustomField, FieldValue
from campaign.mail.models import Suppression
from campaign.mail.queries import stops_bulk
from campaign.people.models import Consent, Person, PersonTag, Purpose, Tag
from campaign.table.queries import actions, last_actions
from campaign.tabular import BREAKS, STARTS

BESIDE = 2
"""On how many connections PostgreSQL works on pieces at once; 0: on the session's own."""
_MARK = "\x1e"
_CELL = "\x1f"
_SUSPECT = f'(^|{_CELL})[{STARTS}]|[",{BREAKS}{_MARK}]'
_PLAIN_PHONE = r"^(\+?[0-9(][0-9 ().-]*)?$"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the people, in the order of their ids: all between two, or those named."""

    organization_id: uuid.UUID
    first_id: uuid.UUID
    last_id: uuid.UUID
    named: Ids | None = None

    def holds(self, person_id: Any) -> ColumnElement[bool]:
        """The condition on a column of people."""
        if self.named is None:
            return and_(person_id >= self.first_id, person_id <= self.last_id)
        found: ColumnElement[bool]
        if is_postgres():
            found = person_id == any_(literal(list(self.named), postgresql.ARRAY(UuidType())))
        else:
            found = person_id.in_(list(self.named))
        return found

    def people(self) -> ColumnElement[bool]:
        """The condition on `Person`."""
        return and_(
            Person.organization_id == self.organization_id,
            Person.erased_at.is_(None),
            self.holds(Person.id),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Which columns a file has, and what it takes to fill them."""

    columns: Sequence[str]
    fields: Mapping[str, CustomField] = field(default_factory=dict)
    wards: Mapping[uuid.UUID, str] = field(default_factory=dict)
    between_tags: str = TAGS_BETWEEN


_PLAIN: dict[str, Any] = {
    "email": Person.email,
    "first_name": Person.first_name,
    "last_name": Person.last_name,
    "postal_code": Person.postal_code,
    "phone": Person.phone,
    "language": Person.language,
    "source": Person.source,
}


# On any database


def rows(piece: Piece, plan: Plan) -> tuple[Ids, Iterator[tuple[str, ...]]]:
    """The people of a piece and their cells, each text, in the order of the columns."""
    wanted: list[Any] = [Person.id, Person.district_id, Person.address_hash, Person.created_at]
    plain = [_PLAIN[name] for name in plan.columns if name in _PLAIN]
    if "modified_at" in plan.columns:
        wanted.append(Person.updated_at)
    found: Sequence[Row[Any]] = db.session.execute(
        select(*wanted, *plain).where(piece.people()).order_by(Person.id)
    ).all()
    ids = [row.id for row in found]
    cells = [_column(name, piece, plan, found, ids) for name in plan.columns]
    return Ids.of(ids), zip(*cells, strict=True)


def _column(
    name: str, piece: Piece, plan: Plan, found: Sequence[Row[Any]], ids: Sequence[uuid.UUID]
) -> list[str]:
    if name in _PLAIN:
        return [row._mapping[_PLAIN[name]] or "" for row in found]
    if name == "person_id":
        return list(map(str, ids))
    if name == "added_at":
        return [instant(row.created_at) for row in found]
    if name == "modified_at":
        return [instant(row.updated_at) for row in found]
    if name == "ward":
        return [plan.wards.get(row.district_id, "") if row.district_id else "" for row in found]
    if name == "email_status":
        return _email_status(piece, found)
    known: Mapping[uuid.UUID, Any]
    if name == "tags":
        known = _tags(piece, plan.between_tags)
    elif name == "consent_at":
        known = {key: instant(at) for key, at in _agreed(piece).items()}
    elif name == "last_action_at":
        known = {key: instant(at) for key, at in last_actions(piece.holds).items()}
    else:
        known = _values(piece, plan.fields[name])
    return [known.get(key, "") for key in ids]


def _tags(piece: Piece, between: str) -> dict[uuid.UUID, str]:
    names: dict[uuid.UUID, list[str]] = {}
    for person_id, name in db.session.execute(
        select(PersonTag.person_id, Tag.name)
        .join(Tag, Tag.id == PersonTag.tag_id)
        .where(piece.holds(PersonTag.person_id), Tag.organization_id == piece.organization_id)
        .order_by(Tag.name_key)
    ):
        names.setdefault(person_id, []).append(name)
    return {person_id: between.join(found) for person_id, found in names.items()}


def _agreed(piece: Piece) -> dict[uuid.UUID, datetime]:
    """Who agrees to the organization's e-mail at this moment, and since when."""
    last: dict[uuid.UUID, tuple[bool, datetime]] = {}
    for person_id, is_granted, at in db.session.execute(
        select(Consent.person_id, Consent.is_granted, Consent.at)
        .where(piece.holds(Consent.person_id), *_about_email(piece.organization_id))
        .order_by(Consent.id)
    ):
        last[person_id] = is_granted, at
    return {person_id: at for person_id, (is_granted, at) in last.items() if is_granted}


def _about_email(organization_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return Consent.grantee_id == organization_id, Consent.purpose == Purpose.EMAIL


def _email_status(piece: Piece, found: Sequence[Row[Any]]) -> list[str]:
    hashes = [row.address_hash for row in found if row.address_hash]
    stops: dict[str, str] = {}
    for start in range(0, len(hashes), 5000):
        stops |= queries.mail_stops(piece.organization_id, hashes[start : start + 5000])
    agreed = _agreed(piece)
    return [
        stops.get(row.address_hash or "") or ("subscribed" if row.id in agreed else "unsubscribed")
        for row in found
    ]


def _values(piece: Piece, field_: CustomField) -> dict[uuid.UUID, str]:
    found = db.session.execute(
        select(FieldValue.person_id, FieldValue.text).where(
            piece.holds(FieldValue.person_id), FieldValue.field_id == field_.id
        )
    )
    return {row.person_id: row.text for row in found}


# Where PostgreSQL writes the lines


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a piece: text that is CSV already, and between it rows that are still to be
    guarded and quoted, in their order."""

    people: Ids
    parts: Sequence[str | list[str]]


def lines(pieces: Iterable[Piece], plan: Plan) -> Iterator[Lines]:
    """The people of each piece as PostgreSQL writes their lines."""
    statements = (_statement(piece, plan) for piece in pieces)
    if BESIDE:
        yield from _side_by_side(db.engine, statements)
    else:
        for statement in statements:
            yield _ask(db.session.connection(), statement)


def _side_by_side(engine: Engine, statements: Iterable[Select[Any]]) -> Iterator[Lines]:
    """The answers in their order: a few connections work on the next while one is written down."""

    def ask(statement: Select[Any]) -> Lines:
        with engine.connect() as connection:
            return _ask(connection, statement)

    waiting: deque[Future[Lines]] = deque()
    with ThreadPoolExecutor(BESIDE, thread_name_prefix="lines") as pool:
        for statement in statements:
            waiting.append(pool.submit(ask, statement))
            if len(waiting) > BESIDE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _statement(piece: Piece, plan: Plan) -> Select[Any]:
    found = _Joined(piece, plan)
    text_ = case(
        (found.suspect(), literal(_MARK).concat(found.as_json()).concat(_MARK)),
        else_=found.as_csv().concat("\r\n"),
    )
    each = (
        select(Person.id.label("id"), text_.label("line"))
        .select_from(found.tables)
        .where(piece.people())
        .order_by(Person.id)
        .subquery()
    )
    return select(
        func.string_agg(each.c.line, ""), func.string_agg(func.uuid_send(each.c.id), literal(b""))
    )


def _ask(connection: Connection, statement: Select[Any]) -> Lines:
    connection.execute(text("SET LOCAL work_mem = '32MB'"))
    written, ids = connection.execute(statement).one()
    parts: list[str | list[str]] = []
    for place, part in enumerate((written or "").split(_MARK)):
        if place % 2:
            parts.append(json.loads(part))
        elif part:
            parts.append(part)
    return Lines(Ids(bytes(ids or b"")), parts)


class _Joined:
    """People with what belongs beside them, and their cells as text, in the order of the columns."""

    def __init__(self, piece: Piece, plan: Plan) -> None:
        self.tables: Any = Person.__table__
        self._piece, self._plan = piece, plan
        self._agreed_at: Any = None
        self._cells = {name: func.coalesce(self._cell(name), "") for name in plan.columns}

    def suspect(self) -> ColumnElement[bool]:
        """Whether any cell might need a guard or quotes: more are suspected than do."""
        free = [cell for name, cell in self._cells.items() if name not in _HARMLESS]
        checks = [self._joined(free, _CELL).op("~")(literal(_SUSPECT))] if free else []
        if "phone" in self._cells:
            checks.append(self._cells["phone"].op("!~")(_PLAIN_PHONE))
        return or_(*checks) if checks else literal(False)

    def as_csv(self) -> ColumnElement[str]:
        cells: dict[str, ColumnElement[Any]] = dict(self._cells)
        if "phone" in cells:  # most begin with a plus, and one guard would send all rows back
            phone = cells["phone"]
            cells["phone"] = case(
                (func.left(phone, 1) == "+", literal("'").concat(phone)), else_=phone
            )
        line = self._joined(list(cells.values()), ",")
        if len(cells) == 1:  # an empty line would be no row
            line = case((line == "", literal('""')), else_=line)
        return line

    def as_json(self) -> ColumnElement[str]:
        return cast(func.to_json(postgresql.array(list(self._cells.values()))), Text())

    @staticmethod
    def _joined(cells: Sequence[ColumnElement[str]], between: str) -> ColumnElement[str]:
        return cast(func.concat_ws(between, *cells), Text())

    def _cell(self, name: str) -> ColumnElement[Any]:
        if name in _PLAIN:
            plain: ColumnElement[Any] = Person.__table__.c[name]
            return plain
        if name == "person_id":
            return cast(Person.id, Text())
        if name == "added_at":
            return _iso(Person.created_at)
        if name == "consent_at":
            return _iso(self._agreed())
        if name == "email_status":
            return self._email_status()
        if name == "ward":
            return self._ward()
        if name == "tags":
            return self._tags()
        if name == "last_action_at":
            return self._last_action()
        return self._value(self._plan.fields[name])

    def _join(self, found: Any, on: Any) -> Any:
        self.tables = self.tables.outerjoin(found, on(found))
        return found

    def _agreed(self) -> ColumnElement[Any]:
        if self._agreed_at is None:
            last = (
                select(Consent.person_id, Consent.is_granted, Consent.at)
                .where(
                    self._piece.holds(Consent.person_id),
                    *_about_email(self._piece.organization_id),
                )
                .ext(postgresql.distinct_on(Consent.person_id))
                .order_by(Consent.person_id, Consent.id.desc())
                .subquery("agreed")
            )
            self._join(last, lambda row: and_(row.c.person_id == Person.id, row.c.is_granted))
            self._agreed_at = last.c.at
        found: ColumnElement[Any] = self._agreed_at
        return found

    def _email_status(self) -> ColumnElement[Any]:
        organization_id = self._piece.organization_id
        stop = (
            select(Suppression.address_hash, func.min(queries.weight()).label("weight"))
            .where(
                stops_bulk(organization_id),
                Suppression.address_hash.in_(
                    select(Person.address_hash).where(self._piece.people())
                ),
            )
            .group_by(Suppression.address_hash)
            .subquery("stops")
        )
        self._join(stop, lambda row: row.c.address_hash == Person.address_hash)
        return case(
            *((stop.c.weight == weight, word) for weight, word in queries.STOPS.items()),
            (self._agreed().is_not(None), "subscribed"),
            else_="unsubscribed",
        )

    def _ward(self) -> ColumnElement[Any]:
        if not self._plan.wards:
            return literal("")
        named = values(column_("id", UuidType()), column_("name", Text()), name="wards").data(
            list(self._plan.wards.items())
        )
        self._join(named, lambda row: row.c.id == Person.district_id)
        return named.c.name

    def _tags(self) -> ColumnElement[Any]:
        each = (
            select(PersonTag.person_id, Tag.name)
            .join(Tag, Tag.id == PersonTag.tag_id)
            .where(
                self._piece.holds(PersonTag.person_id),
                Tag.organization_id == self._piece.organization_id,
            )
            .order_by(PersonTag.person_id, Tag.name_key)
            .subquery("each_tag")
        )
        found = (
            select(
                each.c.person_id,
                func.string_agg(each.c.name, self._plan.between_tags).label("names"),
            )
            .group_by(each.c.person_id)
            .subquery("tagged")
        )
        self._join(found, lambda row: row.c.person_id == Person.id)
        return found.c.names

    def _last_action(self) -> ColumnElement[Any]:
        acts = actions(self._piece.holds).subquery("acts")
        found = (
            select(acts.c.person_id, func.max(acts.c.at).label("at"))
            .group_by(acts.c.person_id)
            .subquery("last_acts")
        )
        self._join(found, lambda row: row.c.person_id == Person.id)
        return _iso(found.c.at)

    def _value(self, field_: CustomField) -> ColumnElement[Any]:
        found = (
            select(FieldValue.person_id, FieldValue.text)
            .where(self._piece.holds(FieldValue.person_id), FieldValue.field_id == field_.id)
            .subquery(f"field_{field_.id.hex}")
        )
        self._join(found, lambda row: row.c.person_id == Person.id)
        return found.c.text


_HARMLESS = frozenset(
    {"phone", "person_id", "added_at", "consent_at", "email_status", "last_action_at"}
)


def _iso(at: Any) -> ColumnElement[str]:
    """An instant as `columns.instant` writes it; cutting its text is cheaper than formatting."""
    seconds = func.left(cast(func.timezone("UTC", at), Text()), 19)
    return func.replace(seconds, " ", "T").concat("Z")
