"""What lost workers and time leave behind: leases, unknowns, retries, finished batches.

Every part may run at any time and several times at once: each statement names the state that it
changes.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update

from campaign import clock
from campaign.db import db
from campaign.mail import delivery, outbox
from campaign.mail.models import (
    LATE,
    OPEN,
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Delivery,
    DeliveryState,
    Priority,
    ProviderEvent,
    WebhookCall,
)
from campaign.mail.outbox import cancel, now, split, update_chunks
from campaign.web.requests import settings

SINGLE_WINDOW_SECONDS = 60
TIMELY_WINDOW_SECONDS = 300
BULK_WINDOW_SECONDS = 1800


def sweep() -> None:
    """Step 6, safe in parallel and at any time: each statement names the state it changes."""
    at = now()
    dead = Chunk.lease_until < at
    update_chunks(
        Chunk.state == DeliveryState.LEASED,
        dead,
        state=DeliveryState.QUEUED,
        lease_owner=None,
        lease_until=None,
    )
    lost = [
        row.id
        for row in db.session.execute(
            update(Chunk)
            .where(Chunk.state == DeliveryState.ATTEMPTING, dead)
            .values(
                state=DeliveryState.UNKNOWN,
                unknown_since=at,
                lease_owner=None,
                lease_until=None,
                failures=Chunk.failures + 1,
                reason="worker lost",
            )
            .returning(Chunk.id)
            .execution_options(synchronize_session=False)
        )
    ]
    for start in range(0, len(lost), 500):
        db.session.execute(
            update(Attempt)
            .where(Attempt.chunk_id.in_(lost[start : start + 500]), Attempt.outcome.is_(None))
            .values(outcome="unknown", reason="worker lost", ended_at=at)
            .execution_options(synchronize_session=False)
        )
    db.session.commit()
    update_chunks(
        Chunk.state == DeliveryState.RETRY,
        Chunk.next_attempt_at <= at,
        Chunk.failures < delivery.MAX_FAILURES,
        state=DeliveryState.QUEUED,
    )
    update_chunks(
        Chunk.state.in_((DeliveryState.RETRY, DeliveryState.QUEUED)),
        Chunk.failures >= delivery.MAX_FAILURES,
        state=DeliveryState.FAILED,
        reason=func.coalesce(Chunk.reason, "too many attempts"),
    )
    db.session.commit()
    settle_unknown()
    drop_late()
    delivery.finish_batches()
    purge()
    db.session.commit()


def settle_unknown() -> None:
    """Decide about unknown chunks as the policy says; commits after each."""
    given = settings()
    rows = db.session.execute(
        select(Chunk.id, Chunk.failures, Chunk.unknown_since, Chunk.priority)
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(Chunk.state == DeliveryState.UNKNOWN)
        .order_by(Chunk.id)
        .limit(1000)
    ).all()
    unread = db.session.scalar(
        select(func.min(WebhookCall.received_at)).where(WebhookCall.processed_at.is_(None))
    )
    newest = _newest_event(min((row.unknown_since or now() for row in rows), default=None))
    for row in rows:
        at = now()
        since = row.unknown_since or at
        if outbox.close_proven([row.id]) or _settle_by_asking(row.id):
            db.session.commit()
            continue
        if given.mail_unknown_policy == "park":
            verdict = DeliveryState.UNKNOWN_FINAL
        elif given.mail_unknown_policy == "retry":
            verdict = DeliveryState.QUEUED
        elif at - since < unknown_window(row.priority):
            continue
        elif unread is not None and unread <= since + unknown_window(row.priority):
            continue  # what has arrived in time and is not read yet may hold the answer
        else:
            is_webhook_alive = newest is not None and newest > since
            verdict = (
                DeliveryState.QUEUED
                if is_webhook_alive or row.priority == Priority.SINGLE
                else DeliveryState.UNKNOWN_FINAL
            )
        if verdict == DeliveryState.QUEUED and row.failures >= delivery.MAX_FAILURES:
            verdict = DeliveryState.UNKNOWN_FINAL
        update_chunks(
            Chunk.id == row.id,
            Chunk.state == DeliveryState.UNKNOWN,
            state=verdict,
            next_attempt_at=at,
            unknown_since=None,
        )
        db.session.commit()


def _newest_event(since: datetime | None) -> datetime | None:
    """When the newest event happened of those that arrived since then.

    What happened before proves nothing however late it comes: the provider tries calls again for
    a day, so after an outage of the webhook old events come first.
    """
    if since is None:
        return None
    arrived = ProviderEvent.received_at >= since
    return db.session.scalar(select(func.max(ProviderEvent.happened_at)).where(arrived))


WINDOWS = {
    Priority.SINGLE: SINGLE_WINDOW_SECONDS,
    Priority.TIMELY: TIMELY_WINDOW_SECONDS,
    Priority.BULK: BULK_WINDOW_SECONDS,
}


def unknown_window(priority: int) -> timedelta:
    """How long silence must last before it can mean anything."""
    return timedelta(seconds=settings().mail_unknown_window_seconds or WINDOWS[Priority(priority)])


def drop_late() -> int:
    """Cancel what waits of batches that are of no use any more, and of stopped ones, to which an
    unknown may have come back; returns how many."""
    over = select(Batch.id, Batch.state).where(
        Batch.finished_at.is_(None),
        or_(Batch.expires_at <= clock.now(), Batch.state == BatchState.STOPPED),
    )
    count = 0
    for batch_id, state in db.session.execute(over).all():
        reason = "stopped" if state == BatchState.STOPPED else LATE
        count += cancel(Delivery.batch_id == batch_id, reason=reason)
        db.session.commit()
    return count


def _settle_by_asking(chunk_id: uuid.UUID) -> bool:
    """Ask a transport that keeps what it was given; False if it cannot tell."""
    ids = list(
        db.session.scalars(
            select(Delivery.id).where(Delivery.chunk_id == chunk_id, Delivery.state.is_(None))
        )
    )
    if not ids:
        update_chunks(
            Chunk.id == chunk_id,
            Chunk.state == DeliveryState.UNKNOWN,
            state=DeliveryState.ACCEPTED,
            unknown_since=None,
        )
        return True
    known = delivery.transport().reconcile(ids)
    if known is None:
        return False
    missing = [delivery_id for delivery_id in ids if delivery_id not in known]
    if not update_chunks(
        Chunk.id == chunk_id,
        Chunk.state == DeliveryState.UNKNOWN,
        state=DeliveryState.ACCEPTED if known else DeliveryState.QUEUED,
        unknown_since=None,
        next_attempt_at=now(),
    ):
        return True
    if known and missing:
        split(chunk_id, missing, state=DeliveryState.QUEUED, failures=0)
    return True


PURGE_CHUNKS = 50


def purge() -> None:
    """Empty the addresses and values of finished batches, some chunks at a time.

    What failed or stayed unknown keeps its address: somebody may send it again.
    """
    batch_id = db.session.scalar(
        select(Batch.id)
        .where(Batch.finished_at.is_not(None), Batch.emptied_at.is_(None))
        .order_by(Batch.finished_at)
        .limit(1)
    )
    if batch_id is None:
        return
    full = select(Chunk.id).where(
        Chunk.batch_id == batch_id,
        Chunk.emptied_at.is_(None),
        Chunk.state.not_in((*OPEN, DeliveryState.FAILED, DeliveryState.UNKNOWN_FINAL)),
    )
    ids = list(db.session.scalars(full.order_by(Chunk.id).limit(PURGE_CHUNKS)))
    if not ids:
        db.session.execute(
            update(Batch)
            .where(Batch.id == batch_id)
            .values(emptied_at=now())
            .execution_options(synchronize_session=False)
        )
        return
    db.session.execute(
        update(Delivery)
        .where(
            Delivery.chunk_id.in_(ids), or_(Delivery.state.is_(None), Delivery.state.in_(SERVED))
        )
        .values(address=None, values=None)
        .execution_options(synchronize_session=False)
    )
    update_chunks(Chunk.id.in_(ids), emptied_at=now())


SERVED = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.BOUNCED,
    DeliveryState.COMPLAINED,
    DeliveryState.SUPPRESSED,
    DeliveryState.CANCELLED,
)
