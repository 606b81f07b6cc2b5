"""Freezing: the people of an audience become rows of a batch, slice by slice.

An audience is parted by people's ids, once; whoever is free takes a slice and writes its people in
one statement, all in the database. Nothing is read into Python but where the slices end.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    Text,
    Uuid,
    and_,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy import (
    values as sql_values,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import JSON

from campaign import clock
from campaign.db import Instant, db, insert, is_postgres, uuid7
from campaign.errors import Conflict
from campaign.mail import delivery, queries
from campaign.mail.models import Batch, BatchState, Chunk, Delivery, DeliveryState, Priority, Slice

SLICE = 125_000
SQLITE_SLICE = 5_000
"""Recipients written by one statement at most. PostgreSQL asks the audience anew for each slice, so
few are better, but whoever stops a mailing waits for one; on SQLite nobody else can write while a
slice lasts, so they are short."""

SHARES = 4
LEAST_SLICE = 10_000
"""An audience is parted so that several workers have something to do, but not for a few people."""

MOST_CHUNKS = 500
"""Chunks made by one statement."""


def add_recipients(batch: Batch, audience: Select[Any]) -> int:
    """Freeze the people of `audience` into `batch`; returns how many were added.

    `audience` has the columns `person_id`, `address`, `address_hash`; every further column is a
    merge value under its own name. Run again, it adds nobody twice: neither a person nor an
    address. For audiences of any size `plan_recipients` and `add_slice` let the caller commit in
    between, and others help.
    """
    plan_recipients(batch, audience)
    added = 0
    while (slice_ := take_slice([batch.id])) is not None:
        added += add_slice(slice_, batch, audience)
    return added


@dataclass(frozen=True, slots=True)
class Turns:
    """When people's turns are: `due` says it of the n-th of a batch, who come in groups of `size`."""

    due: Callable[[int], datetime]
    size: int


def plan_recipients(
    batch: Batch, audience: Select[Any], *, limit: int = 0, turns: Turns | None = None
) -> int:
    """Part `audience` into slices of `limit` people at most, for `add_slice`; returns how many.

    Raises Conflict once the batch is released: its audience is frozen. The caller sees to it that
    nobody plans the same batch at the same time.
    """
    if batch.state != BatchState.BUILDING:
        raise Conflict
    most = limit or (SLICE if is_postgres() else SQLITE_SLICE)
    most = min(most, _chunk_size(turns) * MOST_CHUNKS)
    ends = _slice_ends(audience, most)
    begun: list[tuple[uuid.UUID | None, int]] = [(None, 0), *ends]
    for (after, before), (last, up_to) in zip(begun, ends, strict=False):
        db.session.add(
            Slice(
                batch_id=batch.id,
                after=after,
                last=last,
                position=batch.total_count + before,
                size=up_to - before,
                is_fresh=not batch.total_count,
            )
        )
    db.session.flush()
    return len(ends)


def _slice_ends(audience: Select[Any], most: int) -> list[tuple[uuid.UUID, int]]:
    """The last person of each slice, and how many there are up to them: one look at everybody."""
    unit = min(most, LEAST_SLICE)
    people = audience.subquery("audience")
    by_id = people.c.person_id
    ordered = select(
        people.c.person_id,
        func.row_number().over(order_by=by_id).label("n"),
        func.lead(people.c.person_id).over(order_by=by_id).label("next"),
    ).subquery("ordered")
    marks = db.session.execute(
        select(ordered.c.person_id, ordered.c.n)
        .where(or_(ordered.c.n % unit == 0, ordered.c.next.is_(None)))
        .order_by(ordered.c.n)
    ).all()
    if not marks:
        return []
    units = max(1, min(most, -(-marks[-1].n // SHARES)) // unit)
    ends = marks[units - 1 : -1 : units]
    return [(mark.person_id, mark.n) for mark in (*ends, marks[-1])]


def take_slice(batch_ids: Collection[uuid.UUID]) -> Slice | None:
    """A slice of one of these batches that nobody has, locked until the caller commits."""
    return db.session.scalar(
        select(Slice)
        .where(Slice.batch_id.in_(batch_ids))
        .order_by(Slice.position)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def has_slices(batch_ids: Collection[uuid.UUID]) -> bool:
    """Whether people of these batches are still to be written, be it that somebody is at it."""
    mine = select(literal(1)).where(Slice.batch_id.in_(batch_ids)).limit(1)
    return db.session.scalar(mine) is not None


def drop_slices(batch_ids: Collection[uuid.UUID]) -> None:
    """Write nobody more into these batches; who is at a slice is waited for.

    Before the batches are locked: whoever writes a slice has it, and then wants the batch.
    """
    db.session.execute(
        delete(Slice)
        .where(Slice.batch_id.in_(batch_ids))
        .execution_options(synchronize_session=False)
    )


def add_slice(
    slice_: Slice, batch: Batch, audience: Select[Any], *, turns: Turns | None = None
) -> int:
    """Write the people of a slice that was taken, as they are now; returns how many were new.

    With `turns` they leave one group after the other, at the times that it says, else as soon as
    somebody sends. The batch's count is written last, so that those who write side by side wait
    for each other no longer than a commit takes.
    """
    people = audience.subquery("audience")
    between = (slice_.after, slice_.last)
    size = _chunk_size(turns)
    # One more than planned: somebody may have joined since.
    places = -(-slice_.size // size) + 1
    dues = [clock.now()] * places
    if turns is not None:
        dues = [turns.due(slice_.position + place * size) for place in range(places)]
    is_fresh, added = slice_.is_fresh, 0
    while True:
        count, is_all = _insert_recipients(batch, people, between, size, dues, is_fresh=is_fresh)
        added += count
        if is_all or not count:
            break
        is_fresh = False
    db.session.delete(slice_)
    if added:
        batch.total_count = Batch.total_count + added
    db.session.flush()
    return added


def _chunk_size(turns: Turns | None) -> int:
    most = delivery.chunk_size()
    return most if turns is None else min(turns.size, most)


def _insert_recipients(
    batch: Batch,
    people: Subquery,
    between: tuple[uuid.UUID | None, uuid.UUID],
    size: int,
    dues: Sequence[datetime],
    *,
    is_fresh: bool,
) -> tuple[int, bool]:
    """INSERT … SELECT of the people between two ids in chunks of `size`, due at `dues`; returns
    how many were new, and whether that is known to be everybody."""
    at = clock.now()
    chunk_ids = [uuid7() for _ in dues]
    db.session.flush()
    db.session.execute(
        insert(Chunk.__table__),
        [
            {
                "id": chunk_id,
                "batch_id": batch.id,
                "content_id": batch.content_id,
                "priority": Priority.BULK,
                "state": DeliveryState.QUEUED,
                "size": 0,
                "attempts": 0,
                "failures": 0,
                "next_attempt_at": due,
                "created_at": at,
            }
            for chunk_id, due in zip(chunk_ids, dues, strict=True)
        ],
    )
    fields = [c for c in people.c if c.name not in {"person_id", "address", "address_hash"}]
    here = Delivery.__table__.alias("here")
    wanted = [_within(people.c.person_id, between), people.c.address.is_not(None)]
    if not is_fresh:  # who is in it already; the same address again is caught by the constraint
        held = _within(here.c.person_id, between)
        mine = and_(here.c.batch_id == batch.id, here.c.person_id == people.c.person_id, held)
        wanted.append(~select(literal(1)).where(mine).exists())
    fresh = (
        select(
            people.c.person_id,
            people.c.address,
            people.c.address_hash,
            _json_object({column.name: column for column in fields}).label("merge_values"),
            (func.row_number(type_=Integer()).over(order_by=people.c.person_id) - 1).label(
                "position"
            ),
        )
        .where(*wanted)
        .subquery("fresh")
    )
    places = (
        sql_values(
            column("place", Integer),
            column("chunk_id", Uuid()),
            column("head", String()),
            name="places",
        )
        .data([(n, chunk_id, _head_of(chunk_id)) for n, chunk_id in enumerate(chunk_ids)])
        .cte("places")
    )
    rows = insert(Delivery.__table__).from_select(
        [
            "id",
            "batch_id",
            "chunk_id",
            "person_id",
            "unique_key",
            "is_by_address",
            "address",
            "address_hash",
            "values",
            "created_at",
        ],
        select(
            _id_in(places.c.head, fresh.c.position % size),
            literal(batch.id, Uuid()),
            places.c.chunk_id,
            fresh.c.person_id,
            queries.key_of(fresh.c.address_hash),
            true(),
            fresh.c.address,
            fresh.c.address_hash,
            fresh.c.merge_values,
            literal(at, Instant()),
        ).join_from(fresh, places, places.c.place == fresh.c.position // size),
    )
    count = _insert_all(rows) if is_postgres() else None
    if count is None:
        db.session.execute(rows.on_conflict_do_nothing())
        return size_chunks(chunk_ids, counted(batch.id, chunk_ids)), False
    full, rest = divmod(count, size)
    sizes = dict.fromkeys(chunk_ids[:full], size)
    if rest:
        sizes[chunk_ids[full]] = rest
    return size_chunks(chunk_ids, sizes), count < size * len(chunk_ids)


def _insert_all(rows: Any) -> int | None:
    """Run an INSERT that hardly ever meets what is there; how many rows, or None if it did.

    Two people with one address are rare within a slice, and asking PostgreSQL to look for them
    costs every row a seventh of its price.
    """
    try:
        with db.session.begin_nested():
            result = db.session.execute(rows, execution_options={"preserve_rowcount": True})
    except IntegrityError:
        return None
    return int(result.rowcount)  # type: ignore[attr-defined]


def counted(batch_id: uuid.UUID, chunk_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many deliveries each of these chunks holds, where it holds any."""
    found = (
        select(Delivery.chunk_id, func.count())
        .where(Delivery.batch_id == batch_id, Delivery.chunk_id.in_(chunk_ids))
        .group_by(Delivery.chunk_id)
    )
    return dict(db.session.execute(found).all())


def size_chunks(chunk_ids: Sequence[uuid.UUID], sizes: Mapping[uuid.UUID, int]) -> int:
    """Write how many each new chunk holds and drop the empty ones; returns how many in all."""
    if sizes:
        db.session.execute(
            update(Chunk), [{"id": chunk_id, "size": n} for chunk_id, n in sizes.items()]
        )
    empty = [chunk_id for chunk_id in chunk_ids if chunk_id not in sizes]
    if empty:
        db.session.execute(delete(Chunk).where(Chunk.id.in_(empty)))
    return sum(sizes.values())


def _within(column_: Any, between: tuple[uuid.UUID | None, uuid.UUID]) -> ColumnElement[bool]:
    after, last = between
    upper: ColumnElement[bool] = column_ <= last
    return upper if after is None else and_(upper, column_ > after)


def _json_object(columns: Mapping[str, Any]) -> Any:
    """The merge values of a row as one JSON object, made by the database."""
    pairs = [part for name, value in columns.items() for part in (cast(name, Text()), value)]
    make = func.json_build_object if is_postgres() else func.json_object
    return type_coerce(make(*pairs), JSON())


def _head_of(chunk_id: uuid.UUID) -> str:
    """What the ids of a chunk's deliveries begin with: all of its own id but the last 16 bits."""
    return chunk_id.hex[:28]


def _id_in(head: Any, position: Any) -> Any:
    """The id of the n-th of a chunk, n from 0, made by the database.

    They grow as they are made, so that both their indexes are written at the end; random ones, all
    over an index, cost a fifth more of a mailing. Whoever knows an id can guess its neighbours':
    nothing may be opened by an id that is not signed.
    """
    counter = cast(position, Integer()) + 0x1000  # four hexadecimal digits
    if is_postgres():
        return cast(head + func.to_hex(counter), Uuid())
    return func.printf("%s%x", head, counter)
