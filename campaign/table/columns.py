"""Which columns the table of people has, and by which of them it is put in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement

from campaign.fields.models import CustomField
from campaign.people.models import Person

FIELD = "field:"
"""What the key of a custom field's column begins with."""
MOST_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table. `sort` is the key in the address bar, empty where there is no order."""

    key: str
    title: Any
    sort: str = ""
    field: CustomField | None = None

    @property
    def is_sensitive(self) -> bool:
        return self.field is not None and self.field.is_sensitive


NAME = Column("name", _l("Name"), "name")
OWN: tuple[Column, ...] = (
    Column("email", _l("Email"), "email"),
    Column("postal_code", _l("ZIP code"), "postal_code"),
    Column("ward", _l("Ward")),
    Column("phone", _l("Phone")),
    Column("consent", _l("Agreed to email from")),
    Column("tags", _l("Tags")),
    Column("source", _l("Source")),
    Column("language", _l("Language")),
    Column("last_action", _l("Last did something on")),
    Column("added", _l("Added on"), "added"),
)
"""The columns beside the name, which always stands first."""
USUAL = ("email", "postal_code", "ward", "consent", "tags", "added")
"""What somebody sees who chose nothing."""


def columns_with(fields: Sequence[CustomField], language: str) -> dict[str, Column]:
    """All columns that somebody may see who may see these fields: key → column."""
    found = {column.key: column for column in OWN}
    for field in fields:
        key = f"{FIELD}{field.key}"
        found[key] = Column(key, field.name.get_for(language), field=field)
    return found


def shown(
    chosen: Sequence[str] | None, known: Mapping[str, Any], usual: Sequence[str]
) -> list[str]:
    """The chosen columns that there are, in their order; the usual ones where nothing was chosen."""
    if chosen is None:
        return [key for key in usual if key in known]
    return [key for key in dict.fromkeys(chosen) if key in known]


@dataclass(frozen=True, slots=True)
class Order:
    """A way to put people in order. Who has nothing under it comes last, whichever way it runs.

    `key` is unique, if need be together with `tie`, and an index holds both for each organization.
    """

    key: Any
    tie: Any = None
    has_key: ColumnElement[bool] | None = None
    lacks_key: ColumnElement[bool] | None = None

    @property
    def columns(self) -> list[Any]:
        return [self.key] if self.tie is None else [self.key, self.tie]


ORDERS: dict[str, Order] = {
    "added": Order(Person.id),  # a key is made when its row is, and tags and lists are kept by it
    "name": Order(Person.search_key, Person.id, Person.search_key > "", Person.search_key == ""),
    "postal_code": Order(
        Person.postal_code, Person.id, Person.postal_code > "", Person.postal_code == ""
    ),
    "email": Order(
        Person.email_key, Person.slot, Person.email_key.is_not(None), Person.email_key.is_(None)
    ),
}
NEWEST = "-added"


@dataclass(frozen=True, slots=True)
class Sort:
    """The order asked for: `name`, or `-name` the other way round."""

    word: str = NEWEST

    @property
    def order(self) -> Order:
        return ORDERS[self.word.removeprefix("-")]

    @property
    def is_falling(self) -> bool:
        return self.word.startswith("-")


def read_sort(text: str) -> Sort:
    """The order of the address bar; newest first where there is no such order."""
    return Sort(text) if text.removeprefix("-") in ORDERS else Sort()


def arranged(order: Sequence[str], chosen: Sequence[str], known: Sequence[str]) -> list[str]:
    """All known columns for choosing among them: as they were put, else the chosen ones first."""
    before = [key for key in (order or chosen) if key in known]
    return list(dict.fromkeys([*before, *known]))


def moved(order: Sequence[str], move: str) -> list[str]:
    """The order after a button: "up:email" lets a column change places with the one before it."""
    way, _colon, key = move.partition(":")
    row = list(order)
    if key in row:
        place = row.index(key)
        other = place - 1 if way == "up" else place + 1
        if 0 <= other < len(row):
            row[place], row[other] = row[other], row[place]
    return row
