"""From a queued row to an inbox, once. The protocol is told in docs/operations.md.

The database is the queue: chunks are claimed, an attempt is committed before a byte leaves, the
provider is called with no transaction open, and the outcome is recorded only by the worker that
still holds the lease. This file commits, for that is what a claim is.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from campaign import clock
from campaign.db import db, insert, is_postgres, reading, uuid7
from campaign.errors import Busy, Unknown
from campaign.mail import merge, queries
from campaign.mail.mailbox import Mailbox
from campaign.mail.models import (
    OPEN,
    WAITING,
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    ProviderEvent,
    RateWindow,
    Scope,
    Suppression,
)
from campaign.mail.sendgrid import SendGrid
from campaign.mail.smtp import SMTP
from campaign.mail.transports import Invalid, Parcel, Recipient, Report, Throttled, Transport
from campaign.settings import Settings
from campaign.web import links
from campaign.web.csrf import signer
from campaign.web.requests import settings

log = logging.getLogger(__name__)

MAX_FAILURES = 8
RETRY_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
CHUNK_SECONDS = 1.0
STEP = 50
BULK_CLAIM = 2
SINGLE_CLAIM = 20
LONGEST_SLEEP = 0.5
PATIENCE_SECONDS = 5.0
WATCH_SECONDS = 1.0
BREAKER_CALLS = 50
BREAKER_ERRORS = 10  # more than 20 % of 50
PROVIDER_ERRORS = "provider errors"
PROBE_SECONDS = 60
RATE = "rate"
SINGLE_WINDOW_SECONDS = 60
REMINDER_WINDOW_SECONDS = 300
BULK_WINDOW_SECONDS = 1800


def lanes() -> int:
    """How many tasks send bulk side by side."""
    return settings().mail_connections


def chunk_size() -> int:
    """Recipients in one request: MAIL_BATCH_SIZE, and no more than a few seconds of the rate."""
    rate = settings().mail_rate_per_second
    most = settings().mail_batch_size
    return min(most, max(1, int(rate * CHUNK_SECONDS))) if rate else most


# Sending


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that this worker may attempt while its lease lasts."""

    chunk_id: uuid.UUID
    batch_id: uuid.UUID
    content_id: uuid.UUID
    owner: str
    size: int
    failures: int


@dataclass(frozen=True, slots=True)
class Try:
    """A committed attempt: what to hand over, and the fence under which to record it."""

    claim: Claim
    n: int
    is_bulk: bool
    parcel: Parcel


def work(*, bulk: bool, seconds: float) -> bool:
    """Claim and send until nothing is due or `seconds` are over; True if more may be due.

    A sender of bulk takes single e-mails first whenever some are due.
    """
    owner = new_owner()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with reading():
            due = is_due(bulk=bulk)
            wait = wait_seconds()
            db.session.rollback()
        if not due:
            break
        if wait > PATIENCE_SECONDS:
            return False  # the beat looks again
        if wait > 0:
            time.sleep(min(wait, LONGEST_SLEEP))
            continue
        claims = claim(owner, BULK_CLAIM if bulk else SINGLE_CLAIM, bulk=bulk)
        if not claims:
            break
        for one in claims:
            deliver(one)
    else:
        return True
    if bulk:
        finish_batches()
        db.session.commit()
    return False


def new_owner() -> str:
    """A name for one run of one worker."""
    return f"{socket.gethostname()[:24]}-{os.getpid()}-{secrets.token_hex(4)}"


def _is_claimable(*, bulk: bool) -> ColumnElement[bool]:
    at = this_moment()
    probing = and_(
        Batch.state == BatchState.PAUSED,
        Batch.pause_reason == PROVIDER_ERRORS,
        Batch.probe_at <= at,
    )
    return and_(
        Chunk.state.in_((DeliveryState.QUEUED, DeliveryState.RETRY)),
        Chunk.priority <= (1 if bulk else 0),
        Chunk.next_attempt_at <= at,
        or_(Batch.state == BatchState.RELEASED, probing),
    )


def busy_lanes() -> int:
    """How many senders of bulk are at work at this moment."""
    return (
        db.session.scalar(
            select(func.count(Chunk.lease_owner.distinct())).where(
                Chunk.state.in_((DeliveryState.LEASED, DeliveryState.ATTEMPTING)),
                Chunk.priority == 1,
                Chunk.lease_until > this_moment(),
            )
        )
        or 0
    )


def is_due(*, bulk: bool) -> bool:
    """Whether a claim would find something."""
    found = select(literal(1)).select_from(Chunk).join(Batch, Batch.id == Chunk.batch_id)
    return db.session.scalar(found.where(_is_claimable(bulk=bulk)).limit(1)) is not None


def claim(owner: str, limit: int, *, bulk: bool) -> list[Claim]:
    """Lease up to `limit` due chunks, the urgent ones first, and commit.

    PostgreSQL: SKIP LOCKED in a materialized CTE, for a plain subquery may run again and claim
    more. SQLite: the same UPDATE; its transaction is immediate, so nobody is in between.
    """
    due = (
        select(Chunk.id)
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(_is_claimable(bulk=bulk))
        .order_by(Chunk.priority, Chunk.next_attempt_at, Chunk.id)
        .limit(limit)
    )
    if is_postgres():
        due = due.with_for_update(skip_locked=True, of=Chunk)
    chosen = due.cte("due").prefix_with("MATERIALIZED", dialect="postgresql")
    statement = (
        update(Chunk)
        .where(Chunk.id.in_(select(chosen.c.id)))
        .values(state=DeliveryState.LEASED, lease_owner=owner, lease_until=now() + lease_length())
        .returning(
            Chunk.id, Chunk.batch_id, Chunk.content_id, Chunk.size, Chunk.failures, Chunk.priority
        )
        .execution_options(synchronize_session=False)
    )
    rows = db.session.execute(statement).all()
    db.session.commit()
    return [
        Claim(row.id, row.batch_id, row.content_id, owner, row.size, row.failures)
        for row in sorted(rows, key=lambda row: (row.priority, row.id))
    ]


def lease_length() -> timedelta:
    """How long a worker may be silent before others take over (MAIL_LEASE_SECONDS)."""
    return timedelta(seconds=settings().mail_lease_seconds)


def deliver(claimed: Claim) -> bool:
    """Attempt one claimed chunk: commit the attempt, call, record. False if nothing was tried."""
    attempted = attempt(claimed)
    if attempted is None:
        return False
    outcome = call(attempted)
    return record(attempted, outcome)


def attempt(claimed: Claim) -> Try | None:
    """Step 3: one transaction that re-checks lease, pause, rate and suppression, and writes the
    attempt. None when there is nothing to send (any more, or yet)."""
    found = db.session.execute(
        update(Chunk)
        .where(
            Chunk.id == claimed.chunk_id,
            Chunk.state == DeliveryState.LEASED,
            Chunk.lease_owner == claimed.owner,
            Chunk.lease_until > this_moment(),
        )
        .values(
            state=DeliveryState.ATTEMPTING,
            attempts=Chunk.attempts + 1,
            lease_until=now() + lease_length(),
        )
        .returning(Chunk.attempts)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if found is None:
        db.session.rollback()
        return None
    batch = db.session.execute(
        select(Batch.__table__).where(Batch.__table__.c.id == claimed.batch_id)
    ).one()
    if not _may_go(batch):
        _give_back(claimed)
        return None
    way = transport()
    people = _recipients(claimed, batch)
    if not people:
        _update_chunks(
            Chunk.id == claimed.chunk_id,
            state=DeliveryState.CANCELLED,
            lease_owner=None,
            lease_until=None,
        )
        db.session.commit()
        return None
    first = min(len(people), Pace.step_of()) if way.is_stepwise else len(people)
    if reserve(first) > 0:
        _give_back(claimed)
        return None
    db.session.execute(
        insert(Attempt.__table__),
        {
            "chunk_id": claimed.chunk_id,
            "n": found,
            "owner": claimed.owner,
            "started_at": now(),
        },
    )
    content = letter_of(claimed.content_id)
    db.session.commit()
    return Try(claimed, found, batch.is_bulk, _parcel(claimed, batch, content, people))


def _may_go(batch: Row[Any]) -> bool:
    """Whether a batch may be attempted now; a batch paused by errors lets one probe through."""
    if batch.state == BatchState.RELEASED:
        return True
    if batch.state != BatchState.PAUSED or batch.pause_reason != PROVIDER_ERRORS:
        return False
    at = now()
    probe = db.session.execute(
        update(Batch)
        .where(
            Batch.id == batch.id,
            Batch.state == BatchState.PAUSED,
            Batch.pause_reason == PROVIDER_ERRORS,
            Batch.probe_at <= at,
        )
        .values(probe_at=at + timedelta(seconds=PROBE_SECONDS))
        .execution_options(synchronize_session=False)
    )
    return bool(probe.rowcount)  # type: ignore[attr-defined]


def _give_back(claimed: Claim) -> None:
    """Undo the transaction and put the chunk back where it was: it was not attempted."""
    db.session.rollback()
    _update_chunks(
        Chunk.id == claimed.chunk_id,
        Chunk.state == DeliveryState.LEASED,
        Chunk.lease_owner == claimed.owner,
        state=DeliveryState.QUEUED,
        lease_owner=None,
        lease_until=None,
    )
    db.session.commit()


def _recipients(claimed: Claim, batch: Row[Any]) -> Sequence[Row[Any]]:
    """Who of the chunk still gets it: suppressions are read here again, and hold."""
    mine = and_(Delivery.chunk_id == claimed.chunk_id, Delivery.state.is_(None))
    scope = (
        queries.stops_bulk(batch.organization_id, batch.list_id)
        if batch.is_bulk
        else Suppression.scope == Scope.ADDRESS
    )
    people = db.session.execute(
        select(
            Delivery.id,
            Delivery.address,
            Delivery.address_hash,
            Delivery.person_id,
            Delivery.values,
        ).where(mine)
    ).all()
    hashes = select(Delivery.address_hash).where(mine)
    stopped = {
        row.address_hash: row.reason
        for row in db.session.execute(
            select(Suppression.address_hash, Suppression.reason).where(
                Suppression.address_hash.in_(hashes), scope
            )
        )
    }
    if not stopped:
        return [row for row in people if row.address]
    at = clock.now()
    for row in people:
        if row.address_hash in stopped:
            db.session.execute(
                update(Delivery)
                .where(Delivery.id == row.id)
                .values(
                    state=DeliveryState.SUPPRESSED,
                    reason=stopped[row.address_hash],
                    settled_at=at,
                    address=None,
                    values=None,
                )
                .execution_options(synchronize_session=False)
            )
    return [row for row in people if row.address and row.address_hash not in stopped]


@lru_cache(maxsize=64)
def letter_of(content_id: uuid.UUID) -> tuple[str, str, str]:
    """Subject, text and HTML of a frozen letter; the same id is the same letter for ever."""
    row = db.session.execute(
        select(Content.subject, Content.text, Content.html).where(Content.id == content_id)
    ).one()
    return row.subject, row.text, row.html


def _parcel(
    claimed: Claim, batch: Row[Any], content: tuple[str, str, str], people: Iterable[Row[Any]]
) -> Parcel:
    subject, text, html = content
    host = urlsplit(settings().base_url).hostname or "localhost"
    list_id = batch.list_id or batch.organization_id or batch.id
    return Parcel(
        content_id=claimed.content_id,
        subject=subject,
        text=text,
        html=html,
        from_name=batch.from_name,
        from_email=batch.from_email or f"no-reply@{host}",
        reply_to=batch.reply_to,
        host=host,
        is_bulk=batch.is_bulk,
        is_automated=not batch.is_bulk,
        list_id=f"{list_id.hex}.{host}",
        list_name=batch.from_name,
        recipients=_with_links(people, merge.names_in(subject, text, html), batch.is_bulk),
    )


def _unsubscribe_form() -> tuple[str, str]:
    """What stands before and after the token in the address of the unsubscribe page."""
    mark = "-token-"
    before, after = links.external("unsubscribe.unsubscribe", token=mark).split(mark)
    return before, after


def _with_links(
    people: Iterable[Row[Any]], wanted: set[str], is_bulk: bool
) -> tuple[Recipient, ...]:
    """Recipients with the links that mail makes itself, signed for each at this moment."""
    sign = signer().sign_id
    before, after = _unsubscribe_form()
    wants_preferences = "preferences_url" in wanted
    wants_unsubscribe = "unsubscribe_url" in wanted
    recipients = []
    for row in people:
        values = row.values or {}
        url = ""
        if is_bulk or wants_unsubscribe:
            url = f"{before}{sign('unsubscribe', row.id)}{after}"
            if wants_unsubscribe:
                values = {**values, "unsubscribe_url": url}
        if wants_preferences and row.person_id and not values.get("preferences_url"):
            values = {
                **values,
                "preferences_url": links.preferences_url(
                    links.PERSON, row.person_id, values.get("language")
                ),
            }
        recipients.append(Recipient(row.id, row.address, values, url))
    return tuple(recipients)


@lru_cache(maxsize=4)
def _transport(given: Settings) -> Transport:
    ways: dict[str, Callable[[], Transport]] = {
        "sendgrid": lambda: SendGrid(given),
        "smtp": lambda: SMTP(given),
        "mailbox": Mailbox,
    }
    return ways[given.mail_transport]()


def transport() -> Transport:
    """The way out of the door that the settings name."""
    return _transport(settings())


Outcome = Report | Invalid | Throttled | Busy | Unknown


def call(attempted: Try) -> Outcome:
    """Step 4: hand the parcel over, with no transaction open."""
    try:
        return transport().send(attempted.parcel, Pace(attempted))
    except (Invalid, Busy, Unknown) as outcome:
        return outcome


class Pace:
    """Between the steps of a long chunk: keep the rate, keep the lease, notice a pause."""

    def __init__(self, attempted: Try) -> None:
        self._attempted = attempted
        self._is_paid = True  # the first step was reserved with the attempt
        self._watched_at = time.monotonic()
        self.step = self.step_of()

    @staticmethod
    def step_of() -> int:
        """Recipients between two looks: small steps when the rate is small."""
        rate = settings().mail_rate_per_second
        return max(1, min(STEP, int(rate / 10))) if rate else STEP

    def __call__(self, count: int) -> bool:
        while not self._is_paid:
            wait = reserve(count)
            db.session.commit()
            if wait <= 0:
                break
            time.sleep(min(wait, LONGEST_SLEEP))
            if not self._watch():
                return False
        self._is_paid = False
        return self._watch()

    def _watch(self) -> bool:
        if time.monotonic() - self._watched_at < WATCH_SECONDS:
            return True
        self._watched_at = time.monotonic()
        claimed = self._attempted.claim
        held = _update_chunks(
            Chunk.id == claimed.chunk_id,
            Chunk.state == DeliveryState.ATTEMPTING,
            Chunk.lease_owner == claimed.owner,
            Chunk.attempts == self._attempted.n,
            lease_until=now() + lease_length(),
        )
        state = db.session.scalar(select(Batch.state).where(Batch.id == claimed.batch_id))
        db.session.commit()
        return bool(held) and state == BatchState.RELEASED


def record(attempted: Try, outcome: Outcome) -> bool:
    """Step 5: write what became of it, if this worker still holds the lease; False if not."""
    claimed = attempted.claim
    fence = and_(
        Chunk.id == claimed.chunk_id,
        Chunk.state == DeliveryState.ATTEMPTING,
        Chunk.lease_owner == claimed.owner,
        Chunk.attempts == attempted.n,
    )
    changes = _changes(attempted, outcome)
    if not _update_chunks(fence, lease_owner=None, lease_until=None, **changes):
        db.session.rollback()
        log.warning("lease lost, outcome not recorded: chunk %s", claimed.chunk_id)
        return False
    if isinstance(outcome, Report):
        _record_report(attempted, outcome)
    elif isinstance(outcome, Invalid) and len(attempted.parcel.recipients) > 1:
        ids = [recipient.delivery_id for recipient in attempted.parcel.recipients]
        half = ids[len(ids) // 2 :]
        split(claimed.chunk_id, half, state=DeliveryState.QUEUED, failures=claimed.failures)
    elif isinstance(outcome, Throttled):
        block(outcome.retry_after or PATIENCE_SECONDS)
    word, reason = _in_words(outcome)
    db.session.execute(
        update(Attempt)
        .where(Attempt.chunk_id == claimed.chunk_id, Attempt.n == attempted.n)
        .values(ended_at=now(), outcome=word, reason=reason)
        .execution_options(synchronize_session=False)
    )
    if attempted.is_bulk:
        _mind_the_provider(claimed.batch_id, word)
    db.session.commit()
    return True


def _changes(attempted: Try, outcome: Outcome) -> dict[str, Any]:
    """What the chunk as a whole becomes."""
    claimed = attempted.claim
    at = now()
    if isinstance(outcome, Report):
        return _changes_by_report(attempted, outcome, at)
    if isinstance(outcome, Invalid):
        if len(attempted.parcel.recipients) > 1:
            return {"state": DeliveryState.QUEUED, "next_attempt_at": at}
        return {"state": DeliveryState.FAILED, "reason": outcome.reason}
    if isinstance(outcome, Throttled):
        return {"state": DeliveryState.QUEUED, "next_attempt_at": at}
    if isinstance(outcome, Busy):
        return retry_changes(claimed.failures + 1, outcome.message, at, outcome.retry_after)
    return {
        "state": DeliveryState.UNKNOWN,
        "unknown_since": at,
        "failures": claimed.failures + 1,
        "reason": outcome.message,
    }


def _changes_by_report(attempted: Try, report: Report, at: datetime) -> dict[str, Any]:
    """A chunk whose every recipient met the same fate meets it as a whole."""
    failures = attempted.claim.failures
    everybody = len(attempted.parcel.recipients)
    if report.accepted or report.is_clean:
        return {"state": DeliveryState.ACCEPTED, "reason": None}
    if len(report.busy) == everybody:
        return retry_changes(failures + 1, _first(report.busy), at)
    if len(report.unknown) == everybody:
        return {
            "state": DeliveryState.UNKNOWN,
            "unknown_since": at,
            "failures": failures + 1,
            "reason": _first(report.unknown),
        }
    if len(report.untried) == everybody:
        return {"state": DeliveryState.QUEUED}
    return {"state": DeliveryState.FAILED, "reason": _first(report.refused) or None}


def _first(reasons: Mapping[uuid.UUID, str]) -> str:
    return next(iter(reasons.values()), "")


def retry_changes(
    failures: int, reason: str, at: datetime, retry_after: float | None = None
) -> dict[str, Any]:
    """Try again later, or fail for good after the last try."""
    if failures >= MAX_FAILURES:
        return {"state": DeliveryState.FAILED, "failures": failures, "reason": reason}
    wait = retry_after or RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
    return {
        "state": DeliveryState.RETRY,
        "failures": failures,
        "reason": reason,
        "next_attempt_at": at + timedelta(seconds=wait),
    }


def _in_words(outcome: Outcome) -> tuple[str, str | None]:
    if isinstance(outcome, Report):
        if outcome.accepted or outcome.is_clean:
            return "accepted", None
        for word in ("unknown", "busy", "refused"):
            some: dict[uuid.UUID, str] = getattr(outcome, word)
            if some:
                return word, next(iter(some.values()))
        return "untried", None
    if isinstance(outcome, Invalid):
        return "refused", outcome.reason
    if isinstance(outcome, Throttled):
        return "throttled", outcome.message
    return ("busy" if isinstance(outcome, Busy) else "unknown"), outcome.message


def _record_report(attempted: Try, report: Report) -> None:
    """Single rows are touched only for exceptions; a chunk that went out whole is one row."""
    claimed = attempted.claim
    everybody = len(attempted.parcel.recipients)
    at = now()
    if report.wait_seconds > 0:
        block(report.wait_seconds)
    if report.is_clean:
        if everybody == 1:
            # A single e-mail's values hold links that open something: they have served.
            only = [attempted.parcel.recipients[0].delivery_id]
            _update_deliveries(only, address=None, values=None)
        return
    by_reason: dict[str, list[uuid.UUID]] = {}
    for delivery_id, reason in report.refused.items():
        by_reason.setdefault(reason, []).append(delivery_id)
    for reason, ids in by_reason.items():
        _update_deliveries(ids, state=DeliveryState.FAILED, reason=reason, settled_at=at)
    failures = claimed.failures
    apart: list[tuple[Collection[uuid.UUID], dict[str, Any]]] = [
        (report.busy, retry_changes(failures + 1, _first(report.busy), at)),
        (
            report.unknown,
            {
                "state": DeliveryState.UNKNOWN,
                "failures": failures + 1,
                "unknown_since": at,
                "reason": _first(report.unknown),
            },
        ),
        (report.untried, {"state": DeliveryState.QUEUED, "failures": failures}),
    ]
    for ids_apart, changes in apart:
        if 0 < len(ids_apart) < everybody:
            split(claimed.chunk_id, list(ids_apart), **changes)


def _update_deliveries(ids: Sequence[uuid.UUID], **changes: Any) -> None:
    for start in range(0, len(ids), 500):
        db.session.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids[start : start + 500]))
            .values(**changes)
            .execution_options(synchronize_session=False)
        )


def _mind_the_provider(batch_id: uuid.UUID, word: str) -> None:
    """Over 20 % errors in 50 calls pause the message; a probe that gets through resumes it."""
    mine = update(Batch).where(Batch.id == batch_id).execution_options(synchronize_session=False)
    if word == "accepted":
        db.session.execute(
            mine.where(
                Batch.state == BatchState.PAUSED, Batch.pause_reason == PROVIDER_ERRORS
            ).values(state=BatchState.RELEASED, pause_reason="", probe_at=now())
        )
        return
    if word not in {"busy", "unknown"}:
        return
    since = db.session.execute(
        select(func.coalesce(Batch.probe_at, Batch.released_at, Batch.created_at)).where(
            Batch.id == batch_id
        )
    ).scalar_one()
    last = (
        select(Attempt.outcome)
        .join(Chunk, Chunk.id == Attempt.chunk_id)
        .where(Chunk.batch_id == batch_id, Attempt.ended_at.is_not(None))
        .where(Attempt.started_at >= since)
        .order_by(Attempt.ended_at.desc())
        .limit(BREAKER_CALLS)
    )
    outcomes = list(db.session.scalars(last))
    if sum(outcome in {"busy", "unknown"} for outcome in outcomes) > BREAKER_ERRORS:
        db.session.execute(
            mine.where(Batch.state == BatchState.RELEASED).values(
                state=BatchState.PAUSED,
                pause_reason=PROVIDER_ERRORS,
                probe_at=now() + timedelta(seconds=PROBE_SECONDS),
            )
        )


# The rate that all workers share


def wait_seconds() -> float:
    """How long everybody waits now because the provider asked for it; 0 if nobody must."""
    until = db.session.scalar(select(RateWindow.blocked_until).where(RateWindow.name == RATE))
    return 0.0 if until is None else max(0.0, (until - now()).total_seconds())


def block(seconds: float) -> None:
    """All workers wait this long: the provider said so."""
    until = now() + timedelta(seconds=seconds)
    _ensure_rate_row()
    db.session.execute(
        update(RateWindow)
        .where(
            RateWindow.name == RATE,
            or_(RateWindow.blocked_until.is_(None), RateWindow.blocked_until < until),
        )
        .values(blocked_until=until)
        .execution_options(synchronize_session=False)
    )


def reserve(count: int) -> float:
    """Take `count` e-mails out of MAIL_RATE_PER_SECOND; the seconds to wait if there are not so
    many yet (nothing is taken then), else 0. Paid in advance, so the rate is never exceeded."""
    rate = settings().mail_rate_per_second
    if not rate:
        return wait_seconds()
    _ensure_rate_row()
    row = db.session.execute(
        select(RateWindow.available, RateWindow.refilled_at, RateWindow.blocked_until)
        .where(RateWindow.name == RATE)
        .with_for_update()
    ).one()
    at = now()
    if row.blocked_until is not None and row.blocked_until > at:
        return float((row.blocked_until - at).total_seconds())
    elapsed = max(0.0, (at - row.refilled_at).total_seconds())
    available = min(row.available + elapsed * rate, max(float(count), rate * CHUNK_SECONDS))
    if available < count:
        return float((count - available) / rate)
    db.session.execute(
        update(RateWindow)
        .where(RateWindow.name == RATE)
        .values(available=available - count, refilled_at=at)
        .execution_options(synchronize_session=False)
    )
    return 0.0


def _ensure_rate_row() -> None:
    if db.session.scalar(select(literal(1)).where(RateWindow.name == RATE)) is None:
        db.session.execute(
            insert(RateWindow.__table__).on_conflict_do_nothing(index_elements=["name"]),
            {"name": RATE, "available": 0.0, "refilled_at": now()},
        )


# Sweeping: what lost workers and time leave behind


def sweep() -> None:
    """Step 6, safe in parallel and at any time: each statement names the state it changes."""
    at = now()
    dead = Chunk.lease_until < at
    _update_chunks(
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
    _update_chunks(
        Chunk.state == DeliveryState.RETRY,
        Chunk.next_attempt_at <= at,
        Chunk.failures < MAX_FAILURES,
        state=DeliveryState.QUEUED,
    )
    _update_chunks(
        Chunk.state.in_((DeliveryState.RETRY, DeliveryState.QUEUED)),
        Chunk.failures >= MAX_FAILURES,
        state=DeliveryState.FAILED,
        reason=func.coalesce(Chunk.reason, "too many attempts"),
    )
    db.session.commit()
    settle_unknown()
    finish_batches()
    purge()
    db.session.commit()


def settle_unknown() -> None:
    """Decide about unknown chunks as the policy says; commits after each."""
    given = settings()
    rows = db.session.execute(
        select(Chunk.id, Chunk.failures, Chunk.unknown_since, Batch.is_bulk, Batch.kind)
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(Chunk.state == DeliveryState.UNKNOWN)
        .order_by(Chunk.id)
        .limit(1000)
    ).all()
    newest = db.session.scalar(select(func.max(ProviderEvent.received_at))) if rows else None
    for row in rows:
        at = now()
        since = row.unknown_since or at
        if _settle_by_asking(row.id):
            db.session.commit()
            continue
        if given.mail_unknown_policy == "park":
            verdict = DeliveryState.UNKNOWN_FINAL
        elif given.mail_unknown_policy == "retry":
            verdict = DeliveryState.QUEUED
        elif at - since < unknown_window(row.is_bulk, row.kind):
            continue
        else:
            is_webhook_alive = newest is not None and newest > since
            verdict = (
                DeliveryState.QUEUED
                if is_webhook_alive or not row.is_bulk
                else DeliveryState.UNKNOWN_FINAL
            )
        if verdict == DeliveryState.QUEUED and row.failures >= MAX_FAILURES:
            verdict = DeliveryState.UNKNOWN_FINAL
        _update_chunks(
            Chunk.id == row.id,
            Chunk.state == DeliveryState.UNKNOWN,
            state=verdict,
            next_attempt_at=at,
            unknown_since=None,
        )
        db.session.commit()


def unknown_window(is_bulk: bool, kind: str) -> timedelta:
    """How long silence must last before it can mean anything."""
    seconds = settings().mail_unknown_window_seconds
    if not seconds and kind.startswith("reminder"):
        seconds = REMINDER_WINDOW_SECONDS
    return timedelta(seconds=seconds or (BULK_WINDOW_SECONDS if is_bulk else SINGLE_WINDOW_SECONDS))


def _settle_by_asking(chunk_id: uuid.UUID) -> bool:
    """Ask a transport that keeps what it was given; False if it cannot tell."""
    ids = list(
        db.session.scalars(
            select(Delivery.id).where(Delivery.chunk_id == chunk_id, Delivery.state.is_(None))
        )
    )
    if not ids:
        _update_chunks(
            Chunk.id == chunk_id,
            Chunk.state == DeliveryState.UNKNOWN,
            state=DeliveryState.ACCEPTED,
            unknown_since=None,
        )
        return True
    known = transport().reconcile(ids)
    if known is None:
        return False
    missing = [delivery_id for delivery_id in ids if delivery_id not in known]
    if not _update_chunks(
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


def finish_batches() -> None:
    """A released bulk batch whose last chunk is over is finished."""
    rest = exists().where(Chunk.batch_id == Batch.id, Chunk.state.in_(OPEN))
    db.session.execute(
        update(Batch)
        .where(
            Batch.is_bulk,
            Batch.finished_at.is_(None),
            Batch.state.in_((BatchState.RELEASED, BatchState.STOPPED)),
            ~rest,
        )
        .values(finished_at=now())
        .execution_options(synchronize_session=False)
    )


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
    _update_chunks(Chunk.id.in_(ids), emptied_at=now())


SERVED = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.BOUNCED,
    DeliveryState.COMPLAINED,
    DeliveryState.SUPPRESSED,
    DeliveryState.CANCELLED,
)


# Changing what waits


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
    mine: list[ColumnElement[bool]] = [Delivery.address_hash == hashed]
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
        _update_chunks(
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
        insert(table),
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
        },
    )
    for start in range(0, len(ids), 500):
        db.session.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids[start : start + 500]))
            .values(chunk_id=new_id, state=None, reason=None, settled_at=None)
            .execution_options(synchronize_session=False)
        )
    _update_chunks(Chunk.id == chunk_id, size=Chunk.size - len(ids))
    return new_id


def now() -> datetime:
    """The database's clock: workers on several machines agree on it about leases."""
    if is_postgres():
        found: datetime = db.session.execute(select(func.clock_timestamp())).scalar_one()
        return found
    return clock.now()


def this_moment() -> ColumnElement[datetime]:
    """The same clock inside a statement."""
    return func.clock_timestamp() if is_postgres() else literal(clock.now(), Chunk.created_at.type)


def _update_chunks(*where: ColumnElement[bool], **changes: Any) -> int:
    result = db.session.execute(
        update(Chunk).where(*where).values(**changes).execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
