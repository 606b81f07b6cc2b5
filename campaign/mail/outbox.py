"""Rows that wait: suppress, cancel, split, queue again. Used by senders, webhook and services.

Statements are Core and name the state they change, so that two of them never undo each other.
Nothing here commits.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Interval,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from campaign import clock
from campaign.db import db, insert, is_postgres, uuid7
from campaign.mail.models import (
    WAITING,
    Attempt,
    Batch,
    Chunk,
    Delivery,
    DeliveryState,
    Scope,
    Suppression,
)


def suppress(hashed: str, *, scope: str, scope_id: object = "", reason: str) -> int:
    """Send no more to the address as far as `scope` reaches, and cancel what is queued there.

    `scope_id` is the organization's or the list's id. Twice is once: the first reason stays.
    Returns how many queued e-mails were cancelled.
    """
    key = scope_key(scope_id)
    db.session.execute(
        insert(Suppression.__table__).on_conflict_do_nothing(
            index_elements=["address_hash", "scope", "scope_id"]
        ),
        {
            "id": uuid7(),
            "address_hash": hashed,
            "scope": Scope(scope),
            "scope_id": key,
            "reason": reason,
            "since": clock.now(),
        },
    )
    mine: list[ColumnElement[bool]] = [to_address(hashed, is_open=True)]
    if scope != Scope.ADDRESS:
        mine.append(Batch.is_bulk.is_(True))
    if scope == Scope.ORGANIZATION:
        mine.append(Batch.organization_id == uuid.UUID(key))
    elif scope == Scope.LIST:
        mine.append(Batch.list_id == uuid.UUID(key))
    return cancel(*mine, reason=reason, state=DeliveryState.SUPPRESSED)


def lift(hashed: str, *, scope: str, scope_id: object = "") -> bool:
    """Take a suppression back, after a new consent of the person; False if there was none."""
    result = db.session.execute(
        delete(Suppression).where(
            Suppression.address_hash == hashed,
            Suppression.scope == Scope(scope),
            Suppression.scope_id == scope_key(scope_id),
        )
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def to_address(hashed: str, *, is_open: bool = False) -> ColumnElement[bool]:
    """Whether a delivery goes to the address; with `is_open` only such as may still wait.

    A mailing's recipients are found by their keys, one look into the index for each mailing;
    that is dear for all mailings there ever were and cheap for those that are not finished.
    """
    audiences = select(Batch.id).where(Batch.content_id.is_not(None))
    if is_open:
        audiences = audiences.where(Batch.finished_at.is_(None))
    ids = db.session.scalars(audiences).all()
    return and_(
        Delivery.address_hash == hashed,
        or_(
            and_(Delivery.batch_id.in_(ids), Delivery.unique_key == uuid.UUID(hashed[:32])),
            Delivery.is_by_address.is_(False),
        ),
    )


def scope_key(scope_id: object) -> str:
    """How an id is written in `Suppression.scope_id`."""
    return scope_id.hex if isinstance(scope_id, uuid.UUID) else str(scope_id).replace("-", "")


def cancel(*where: ColumnElement[bool], reason: str, state: str = DeliveryState.CANCELLED) -> int:
    """Cancel the waiting deliveries that `where` (over Delivery, Batch, Chunk) chooses.

    The chunks are locked first: a worker that is about to attempt one waits and then leaves
    these out; one that already attempts keeps its deliveries, for they may be on their way.
    """
    chosen = (
        select(Delivery.id, Delivery.chunk_id)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .join(Batch, Batch.id == Delivery.batch_id)
        .where(*where, Delivery.state.is_(None), Chunk.state.in_(WAITING))
        .order_by(Chunk.id)
    )
    rows = db.session.execute(chosen).all()
    if not rows:
        return 0
    count = 0
    at = clock.now()
    for start in range(0, len(rows), 500):
        some = rows[start : start + 500]
        chunk_ids = list({row.chunk_id for row in some})
        locked = select(Chunk.id).where(Chunk.id.in_(chunk_ids), Chunk.state.in_(WAITING))
        still = set(db.session.scalars(locked.order_by(Chunk.id).with_for_update()))
        result = db.session.execute(
            update(Delivery)
            .where(
                Delivery.id.in_([row.id for row in some if row.chunk_id in still]),
                Delivery.state.is_(None),
            )
            .values(state=state, reason=reason, settled_at=at, address=None, values=None)
            .execution_options(synchronize_session=False)
        )
        count += result.rowcount  # type: ignore[attr-defined]
        close_empty(still)
    return count


def close_empty(chunk_ids: set[uuid.UUID]) -> None:
    """A chunk whose every delivery has a state of its own needs no sender any more."""
    if not chunk_ids:
        return
    open_ones = select(Delivery.chunk_id).where(
        Delivery.chunk_id.in_(chunk_ids), Delivery.state.is_(None)
    )
    db.session.execute(
        update(Chunk)
        .where(Chunk.id.in_(chunk_ids), Chunk.state.in_(WAITING), Chunk.id.not_in(open_ones))
        .values(state=DeliveryState.CANCELLED, lease_owner=None, lease_until=None)
        .execution_options(synchronize_session=False)
    )


def close_proven(chunk_ids: Collection[uuid.UUID]) -> int:
    """End the chunks of which it is proven that the provider took them; returns how many.

    A request is taken whole or not at all: whoever of it is known to be taken, after an attempt
    of unknown fate, speaks for the others. A chunk that was never attempted is over when each of
    its deliveries is known by itself.
    """
    if not chunk_ids:
        return 0
    mine = Delivery.chunk_id == Chunk.id
    in_doubt = or_(Attempt.outcome.is_(None), Attempt.outcome == "unknown")
    return update_chunks(
        Chunk.id.in_(chunk_ids),
        Chunk.state.in_((DeliveryState.UNKNOWN, DeliveryState.UNKNOWN_FINAL, *WAITING)),
        or_(
            ~exists().where(mine, Delivery.state.is_(None)),
            and_(
                exists().where(mine, Delivery.state.in_(TAKEN)),
                exists().where(Attempt.chunk_id == Chunk.id, in_doubt),
            ),
        ),
        state=DeliveryState.ACCEPTED,
        reason=None,
        unknown_since=None,
        lease_owner=None,
        lease_until=None,
    )


TAKEN = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.BOUNCED,
    DeliveryState.COMPLAINED,
)
"""States of a delivery's own that only an event of the provider gives it."""


def requeue(*where: ColumnElement[bool], state: str) -> int:
    """Queue again what ended as `failed` or `unknown_final` (where over Chunk, Batch); how many.

    Whole chunks go back as they are; a delivery that failed alone gets a chunk of its own.
    """
    at = now()
    whole = (
        select(Chunk.id, func.count())
        .join(Delivery, Delivery.chunk_id == Chunk.id)
        .where(*where, Chunk.state == state, Delivery.state.is_(None))
        .where(Delivery.address.is_not(None))
        .group_by(Chunk.id)
    )
    counts = {row[0]: row[1] for row in db.session.execute(whole)}
    chunk_ids = list(counts)
    for start in range(0, len(chunk_ids), 500):
        update_chunks(
            Chunk.id.in_(chunk_ids[start : start + 500]),
            state=DeliveryState.QUEUED,
            failures=0,
            next_attempt_at=at,
            unknown_since=None,
            lease_owner=None,
            lease_until=None,
        )
    alone = (
        select(Delivery.id, Delivery.chunk_id)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .where(*where, Delivery.state == state, Delivery.address.is_not(None))
    )
    by_chunk: dict[uuid.UUID, list[uuid.UUID]] = {}
    for row in db.session.execute(alone):
        by_chunk.setdefault(row.chunk_id, []).append(row.id)
    for chunk_id, ids in by_chunk.items():
        split(chunk_id, ids, state=DeliveryState.QUEUED, failures=0)
    batches = select(Chunk.batch_id).where(*where, Chunk.state == DeliveryState.QUEUED)
    db.session.execute(
        update(Batch)
        .where(Batch.id.in_(batches), Batch.finished_at.is_not(None))
        .values(finished_at=None, emptied_at=None)
        .execution_options(synchronize_session=False)
    )
    return sum(counts.values()) + sum(len(ids) for ids in by_chunk.values())


def split(
    chunk_id: uuid.UUID, ids: Sequence[uuid.UUID], *, state: str, failures: int, **changes: Any
) -> uuid.UUID:
    """Move deliveries of a chunk into a new one in `state`; returns its id.

    The new chunk goes on counting attempts where the old one was, so its fence never repeats.
    """
    table = Chunk.__table__
    old = db.session.execute(select(table).where(table.c.id == chunk_id)).one()
    new_id = uuid7()
    db.session.execute(
        insert(table).values(
            {
                "id": new_id,
                "batch_id": old.batch_id,
                "content_id": old.content_id,
                "priority": old.priority,
                "state": state,
                "size": len(ids),
                "attempts": old.attempts,
                "failures": failures,
                "next_attempt_at": now(),
                "created_at": old.created_at,
                **changes,
            }
        )
    )
    for start in range(0, len(ids), 500):
        db.session.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids[start : start + 500]))
            .values(chunk_id=new_id, state=None, reason=None, settled_at=None)
            .execution_options(synchronize_session=False)
        )
    update_chunks(Chunk.id == chunk_id, size=Chunk.size - len(ids))
    return new_id


def now() -> datetime:
    """The database's clock: workers on several machines agree on it about leases."""
    if is_postgres():
        found: datetime = db.session.execute(select(func.clock_timestamp())).scalar_one()
        return found
    return clock.now()


def this_moment(later: timedelta = timedelta()) -> ColumnElement[datetime]:
    """The same clock inside a statement, `later` from now: it costs no question of its own."""
    kind = Chunk.created_at.type
    if not is_postgres():
        return literal(clock.now() + later, kind)
    return type_coerce(func.clock_timestamp() + literal(later, Interval()), kind)


def update_chunks(*where: ColumnElement[bool], **changes: Any) -> int:
    result = db.session.execute(
        update(Chunk).where(*where).values(**changes).execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def update_deliveries(ids: Sequence[uuid.UUID], **changes: Any) -> None:
    for start in range(0, len(ids), 500):
        db.session.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids[start : start + 500]))
            .values(**changes)
            .execution_options(synchronize_session=False)
        )
