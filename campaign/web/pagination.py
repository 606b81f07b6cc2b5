"""Keyset pages: rows after a key, never OFFSET, so that a million rows page like a hundred."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request, url_for
from sqlalchemy import ColumnElement, Select, asc, desc, select, tuple_

from campaign.db import db

Row = TypeVar("Row")
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows. `total` is None where counting would cost too much."""

    rows: Sequence[Row]
    next_url: str | None
    previous_url: str | None
    total: int | None = None

    @property
    def shown(self) -> int:
        return len(self.rows)


def keyset_page(
    statement: Select[Any],
    key: ColumnElement[uuid.UUID] | Any,
    *,
    newest_first: bool = True,
    size: int = PAGE_SIZE,
    total: int | None = None,
    of: Callable[[Any], uuid.UUID] | None = None,
) -> Page[Any]:
    """The page that `?after=` or `?before=` (ids) asks for, in the order of `key`.

    `key` must be unique and sort by time (our UUIDv7 keys do). An id that is no UUID is ignored.
    """
    after, before = _id("after"), _id("before")
    order = (desc if newest_first else asc)(key)
    backwards = before is not None and after is None
    if after is not None:
        statement = statement.where(key < after if newest_first else key > after)
    elif before is not None:
        statement = statement.where(key > before if newest_first else key < before)
        order = (asc if newest_first else desc)(key)
    rows = list(db.session.scalars(statement.order_by(order).limit(size + 1)))
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    get = of or (lambda row: row.id)
    has_next = bool(rows) and (more or backwards)
    has_previous = bool(rows) and (after is not None or (backwards and more))
    return Page(
        rows=rows,
        next_url=_url(after=get(rows[-1])) if has_next else None,
        previous_url=_url(before=get(rows[0])) if has_previous else None,
        total=total,
    )


def keyset_page_by(
    statement: Select[Any], columns: Sequence[Any], key: Any, *, size: int = PAGE_SIZE
) -> Page[Any]:
    """Like `keyset_page`, in the order of `columns` and then of the unique `key`: by name."""
    after, before = _id("after"), _id("before")
    backwards = before is not None and after is None
    edge = after or before
    full = tuple_(*columns, key)
    if edge is not None:
        mark = db.session.execute(select(*columns).where(key == edge)).first()
        if mark is not None:
            there = tuple_(*mark, edge)
            statement = statement.where(full < there if backwards else full > there)
    turn = desc if backwards else asc
    ordered = statement.order_by(*(turn(column) for column in (*columns, key)))
    rows = list(db.session.scalars(ordered.limit(size + 1)))
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    has_next = bool(rows) and (more or backwards)
    has_previous = bool(rows) and (after is not None or (backwards and more))
    return Page(
        rows=rows,
        next_url=_url(after=rows[-1].id) if has_next else None,
        previous_url=_url(before=rows[0].id) if has_previous else None,
    )


def _id(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.args.get(name, ""))
    except ValueError:
        return None


def _url(**key: Any) -> str:
    arguments: dict[str, Any] = {**(request.view_args or {}), **request.args.to_dict(flat=False)}
    arguments.pop("after", None)
    arguments.pop("before", None)
    arguments |= key
    return url_for(request.endpoint or "", **arguments)
