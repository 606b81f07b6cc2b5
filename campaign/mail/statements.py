"""What a sender says to the database for each chunk, as statements that are built once.

To build one anew costs four times what sending it does, and every chunk needs eight of them, a
single e-mail's included. Each names the state it changes and the fence it is under, so that two
senders never undo each other; `delivery` gives them their values and commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Interval,
    String,
    Text,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from campaign import clock
from campaign.db import is_postgres
from campaign.mail.models import (
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Delivery,
    DeliveryState,
    Scope,
    Suppression,
)

PROVIDER_ERRORS = "provider errors"
"""Why a batch is paused that is probed now and again."""

_chunks: Any = Chunk.__table__
_batches: Any = Batch.__table__
_deliveries: Any = Delivery.__table__
_attempts: Any = Attempt.__table__
_suppressions: Any = Suppression.__table__


@dataclass(frozen=True, slots=True)
class Statements:
    """One database's statements; what each wants as parameters is written beside it."""

    is_due: Any  # least_urgent
    claim: Any  # least_urgent, most, worker, lease
    begin: Any  # chunk, worker, lease
    batch: Any  # batch
    stopped_bulk: Any  # chunk, organization, list
    stopped_single: Any  # chunk
    people: Any  # chunk
    people_with_ids: Any  # chunk
    note_attempt: Any  # chunk, nth, worker
    accept: Any  # chunk, worker, nth
    end_attempt: Any  # chunk, nth, word, why


def moment(*, lease: timedelta | None = None) -> dict[str, object]:
    """The parameters about time: PostgreSQL asks its own clock, on SQLite it is ours."""
    if is_postgres():
        return {} if lease is None else {"lease": lease}
    now = clock.now()
    return {"now": now} if lease is None else {"now": now, "lease_end": now + lease}


@lru_cache(maxsize=2)
def statements(*, on_postgres: bool) -> Statements:
    """All of them, in the words of the one database or the other."""
    kind = _chunks.c.created_at.type
    now: ColumnElement[Any]
    lease_end: ColumnElement[Any]
    if on_postgres:
        now = type_coerce(func.clock_timestamp(), kind)
        lease_end = type_coerce(func.clock_timestamp() + bindparam("lease", type_=Interval()), kind)
    else:
        now = bindparam("now", type_=kind)
        lease_end = bindparam("lease_end", type_=kind)
    chunk = bindparam("chunk", type_=_chunks.c.id.type)
    owner = bindparam("worker", type_=String())
    nth = bindparam("nth", type_=Integer())
    waiting = and_(_deliveries.c.chunk_id == chunk, _deliveries.c.state.is_(None))
    claimable = _claimable(now)
    return Statements(
        is_due=select(literal(1))
        .select_from(_chunks.join(_batches, _batches.c.id == _chunks.c.batch_id))
        .where(claimable)
        .limit(1),
        claim=_claim(claimable, owner, lease_end, on_postgres=on_postgres),
        begin=update(_chunks)
        .where(
            _chunks.c.id == chunk,
            _chunks.c.state == DeliveryState.LEASED,
            _chunks.c.lease_owner == owner,
            _chunks.c.lease_until > now,
        )
        .values(
            state=DeliveryState.ATTEMPTING, attempts=_chunks.c.attempts + 1, lease_until=lease_end
        )
        .returning(_chunks.c.attempts),
        batch=select(_batches).where(_batches.c.id == bindparam("batch")),
        stopped_bulk=_stopped(waiting, _stops_bulk()),
        stopped_single=_stopped(waiting, _suppressions.c.scope == Scope.ADDRESS),
        people=_people(waiting, on_postgres=on_postgres),
        people_with_ids=_people(waiting, on_postgres=on_postgres).add_columns(
            _deliveries.c.person_id
        ),
        note_attempt=insert(_attempts).values(chunk_id=chunk, n=nth, owner=owner, started_at=now),
        accept=update(_chunks)
        .where(
            _chunks.c.id == chunk,
            _chunks.c.state == DeliveryState.ATTEMPTING,
            _chunks.c.lease_owner == owner,
            _chunks.c.attempts == nth,
        )
        .values(
            state=DeliveryState.ACCEPTED,
            reason=None,
            lease_owner=None,
            lease_until=None,
        ),
        end_attempt=update(_attempts)
        .where(_attempts.c.chunk_id == chunk, _attempts.c.n == nth)
        .values(ended_at=now, outcome=bindparam("word"), reason=bindparam("why")),
    )


def _claimable(now: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a chunk may be attempted: its batch is let go, or is probed again."""
    probing = and_(
        _batches.c.state == BatchState.PAUSED,
        _batches.c.pause_reason == PROVIDER_ERRORS,
        _batches.c.probe_at <= now,
    )
    return and_(
        _chunks.c.state.in_((DeliveryState.QUEUED, DeliveryState.RETRY)),
        _chunks.c.priority <= bindparam("least_urgent"),
        _chunks.c.next_attempt_at <= now,
        or_(_batches.c.state == BatchState.RELEASED, probing),
    )


def _claim(
    claimable: ColumnElement[bool],
    owner: ColumnElement[str],
    lease_end: ColumnElement[Any],
    *,
    on_postgres: bool,
) -> Any:
    """PostgreSQL: SKIP LOCKED in a materialized CTE, for a plain subquery may run again and claim
    more. SQLite: the same UPDATE; its transaction is immediate, so nobody is in between."""
    due = (
        select(_chunks.c.id)
        .join_from(_chunks, _batches, _batches.c.id == _chunks.c.batch_id)
        .where(claimable)
        .order_by(_chunks.c.priority, _chunks.c.next_attempt_at, _chunks.c.id)
        .limit(bindparam("most"))
    )
    if on_postgres:
        due = due.with_for_update(skip_locked=True, of=_chunks)
    chosen = due.cte("due").prefix_with("MATERIALIZED", dialect="postgresql")
    return (
        update(_chunks)
        .where(_chunks.c.id.in_(select(chosen.c.id)))
        .values(state=DeliveryState.LEASED, lease_owner=owner, lease_until=lease_end)
        .returning(
            _chunks.c.id,
            _chunks.c.batch_id,
            _chunks.c.content_id,
            _chunks.c.size,
            _chunks.c.failures,
            _chunks.c.priority,
        )
    )


def _stops_bulk() -> ColumnElement[bool]:
    """`queries.stops_bulk` with the organization and the list as parameters; blank is none."""
    scope, scope_id = _suppressions.c.scope, _suppressions.c.scope_id
    return or_(
        scope.in_((Scope.ADDRESS, Scope.EVERYTHING)),
        and_(scope == Scope.ORGANIZATION, scope_id == bindparam("organization", type_=String())),
        and_(scope == Scope.LIST, scope_id == bindparam("list", type_=String())),
    )


def _stopped(waiting: ColumnElement[bool], scope: ColumnElement[bool]) -> Any:
    return (
        select(_deliveries.c.id, _suppressions.c.reason)
        .join_from(
            _deliveries,
            _suppressions,
            _suppressions.c.address_hash == _deliveries.c.address_hash,
        )
        .where(waiting, scope)
    )


def _people(waiting: ColumnElement[bool], *, on_postgres: bool) -> Any:
    """Who waits in a chunk, as texts: hexadecimal id, address, JSON. To make an object of each of
    a thousand ids and a dictionary of each value costs more than reading them."""
    key: ColumnElement[str]
    values: ColumnElement[str]
    if on_postgres:
        key = func.encode(func.uuid_send(_deliveries.c.id), "hex", type_=String())
        values = cast(_deliveries.c["values"], Text())
    else:
        key = type_coerce(_deliveries.c.id, String())
        values = type_coerce(_deliveries.c["values"], String())
    return select(key, _deliveries.c.address, values).where(
        waiting, _deliveries.c.address.is_not(None)
    )
