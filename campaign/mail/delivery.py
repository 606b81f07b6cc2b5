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
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import (
    Row,
    and_,
    exists,
    func,
    select,
    update,
)

from campaign import clock
from campaign.db import db, is_postgres, reading
from campaign.errors import Busy, Unknown
from campaign.mail import merge, outbox, rates
from campaign.mail.letters import Letter
from campaign.mail.mailbox import Mailbox
from campaign.mail.models import (
    LATE,
    OPEN,
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    Priority,
)
from campaign.mail.outbox import now, split, this_moment, update_chunks, update_deliveries
from campaign.mail.sendgrid import SendGrid
from campaign.mail.smtp import SMTP
from campaign.mail.statements import PROVIDER_ERRORS, Statements, moment, statements
from campaign.mail.transports import Invalid, Parcel, Recipient, Report, Throttled, Transport
from campaign.settings import Settings
from campaign.web import links
from campaign.web.csrf import signer
from campaign.web.requests import settings

log = logging.getLogger(__name__)

MAX_FAILURES = 8
RETRY_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
STEP = 50
BULK_CLAIM = 4
SINGLE_CLAIM = 20
LONGEST_SLEEP = 0.5
PATIENCE_SECONDS = 5.0
WATCH_SECONDS = 1.0
BREAKER_CALLS = 50
BREAKER_ERRORS = 10  # more than 20 % of 50
PROBE_SECONDS = 60


def lanes() -> int:
    """How many tasks send bulk side by side."""
    return settings().mail_connections


def chunk_size() -> int:
    """Recipients in one request: MAIL_BATCH_SIZE, and no more than half a second of the rate."""
    rate = settings().mail_rate_per_second
    most = settings().mail_batch_size
    return min(most, max(1, int(rate * rates.CHUNK_SECONDS))) if rate else most


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
    is_probe: bool
    parcel: Parcel
    began_at: float


def work(*, bulk: bool, seconds: float) -> bool:
    """Claim and send until nothing is due or `seconds` are over; True if more may be due.

    A sender of bulk takes single e-mails first whenever some are due.
    """
    owner = new_owner()
    end = time.monotonic() + seconds
    is_flowing = False  # then the look before the claim, which takes no lock, is not needed
    while time.monotonic() < end:
        if not is_flowing:
            with reading():
                due = is_due(bulk=bulk)
                wait = rates.shortage(1 if not bulk or is_due(bulk=False) else _first_step())
                db.session.commit()
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
        sent = [deliver(one) for one in claims]
        is_flowing = all(sent)
    else:
        return True
    if bulk:
        finish_batches()
        db.session.commit()
    return False


def _first_step() -> int:
    """How many recipients a bulk attempt pays for in advance."""
    return min(chunk_size(), Pace.step_of()) if transport().is_stepwise else chunk_size()


def new_owner() -> str:
    """A name for one run of one worker."""
    return f"{socket.gethostname()[:24]}-{os.getpid()}-{secrets.token_hex(4)}"


def busy_lanes() -> int:
    """How many senders of bulk are at work at this moment."""
    return (
        db.session.scalar(
            select(func.count(Chunk.lease_owner.distinct())).where(
                Chunk.state.in_((DeliveryState.LEASED, DeliveryState.ATTEMPTING)),
                Chunk.priority > Priority.SINGLE,
                Chunk.lease_until > this_moment(),
            )
        )
        or 0
    )


def is_due(*, bulk: bool) -> bool:
    """Whether a claim would find something."""
    found = db.session.scalar(_said().is_due, {"least_urgent": _least_urgent(bulk), **moment()})
    return found is not None


def claim(owner: str, limit: int, *, bulk: bool) -> list[Claim]:
    """Lease up to `limit` due chunks, the urgent ones first, and commit."""
    rows = db.session.execute(
        _said().claim,
        {
            "least_urgent": _least_urgent(bulk),
            "most": limit,
            "worker": owner,
            **moment(lease=lease_length()),
        },
    ).all()
    db.session.commit()
    return [
        Claim(row.id, row.batch_id, row.content_id, owner, row.size, row.failures)
        for row in sorted(rows, key=lambda row: (row.priority, row.id))
    ]


def _said() -> Statements:
    return statements(on_postgres=is_postgres())


def _least_urgent(bulk: bool) -> int:
    return Priority.BULK if bulk else Priority.SINGLE


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
    began_at = time.monotonic()
    said = _said()
    fence = {"chunk": claimed.chunk_id, "worker": claimed.owner}
    found = db.session.execute(
        said.begin, {**fence, **moment(lease=lease_length())}
    ).scalar_one_or_none()
    if found is None:
        db.session.rollback()
        return None
    batch = db.session.execute(said.batch, {"batch": claimed.batch_id}).one()
    if _is_late(batch.expires_at):
        db.session.rollback()
        outbox.cancel(Delivery.chunk_id == claimed.chunk_id, reason=LATE)
        db.session.commit()
        return None
    if not _may_go(batch):
        _give_back(claimed)
        return None
    way = transport()
    content = letter_of(claimed.content_id)
    wanted = merge.names_in(content.subject, content.text, content.html)
    people = _recipients(claimed, batch, with_ids="preferences_url" in wanted)
    if not people:
        update_chunks(
            Chunk.id == claimed.chunk_id,
            state=DeliveryState.CANCELLED,
            lease_owner=None,
            lease_until=None,
        )
        db.session.commit()
        return None
    first = min(len(people), Pace.step_of()) if way.is_stepwise else len(people)
    if rates.reserve(first) > 0:
        _give_back(claimed)
        return None
    db.session.execute(said.note_attempt, {**fence, "nth": found, **moment()})
    db.session.commit()
    parcel = _parcel(claimed, batch, content, _with_links(people, wanted, batch.is_bulk))
    is_probe = batch.state == BatchState.PAUSED
    return Try(claimed, found, batch.is_bulk, is_probe, parcel, began_at)


def _is_late(expires_at: datetime | None) -> bool:
    """Whether it is of no use any more. By our clock: it is about people's time, not leases."""
    return expires_at is not None and expires_at <= clock.now()


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
    if settings().mail_rate_per_second:
        rates.ensure_row()
    update_chunks(
        Chunk.id == claimed.chunk_id,
        Chunk.state == DeliveryState.LEASED,
        Chunk.lease_owner == claimed.owner,
        state=DeliveryState.QUEUED,
        lease_owner=None,
        lease_until=None,
    )
    db.session.commit()


Waiting = Sequence[Any]
"""Rows of a delivery each: hexadecimal id, address, values in JSON, where it is asked the person."""


def _recipients(claimed: Claim, batch: Row[Any], *, with_ids: bool) -> Waiting:
    """Who of the chunk still gets it: suppressions are read here again, and hold."""
    said = _said()
    mine: dict[str, Any] = {"chunk": claimed.chunk_id}
    if batch.is_bulk:
        scopes = {
            "organization": batch.organization_id.hex if batch.organization_id else "-",
            "list": batch.list_id.hex if batch.list_id else "-",
        }
        stopped = db.session.execute(said.stopped_bulk, mine | scopes).all()
    else:
        stopped = db.session.execute(said.stopped_single, mine).all()
    at = clock.now()
    for delivery_id, reason in stopped:
        db.session.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id, Delivery.state.is_(None))
            .values(
                state=DeliveryState.SUPPRESSED,
                reason=reason,
                settled_at=at,
                address=None,
                values=None,
            )
            .execution_options(synchronize_session=False)
        )
    return db.session.execute(said.people_with_ids if with_ids else said.people, mine).all()


@lru_cache(maxsize=64)
def letter_of(content_id: uuid.UUID) -> Letter:
    """A frozen letter; the same id is the same letter for ever."""
    row = db.session.execute(
        select(Content.subject, Content.text, Content.html, Content.calendar).where(
            Content.id == content_id
        )
    ).one()
    return Letter(row.subject, row.text, row.html, row.calendar)


def _parcel(
    claimed: Claim, batch: Row[Any], letter: Letter, recipients: tuple[Recipient, ...]
) -> Parcel:
    host = urlsplit(settings().base_url).hostname or "localhost"
    list_id = batch.list_id or batch.organization_id or batch.id
    return Parcel(
        content_id=claimed.content_id,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        calendar=letter.calendar,
        from_name=batch.from_name,
        from_email=batch.from_email or f"no-reply@{host}",
        reply_to=batch.reply_to,
        host=host,
        is_bulk=batch.is_bulk,
        is_automated=not batch.is_bulk,
        list_id=f"{list_id.hex}.{host}",
        list_name=batch.from_name,
        recipients=recipients,
    )


def _unsubscribe_form() -> tuple[str, str]:
    """What stands before and after the token in the address of the unsubscribe page."""
    mark = "-token-"
    before, after = links.external("unsubscribe.unsubscribe", token=mark).split(mark)
    return before, after


def _with_links(people: Waiting, wanted: set[str], is_bulk: bool) -> tuple[Recipient, ...]:
    """Recipients with the links that mail makes itself, signed for each at this moment."""
    keys, addresses, texts, *persons = zip(*people, strict=True)
    given: list[dict[str, str] | None] = orjson.loads(
        f"[{','.join([text or 'null' for text in texts])}]"
    )
    values = [one or {} for one in given]
    urls = [""] * len(keys)
    if is_bulk or "unsubscribe_url" in wanted:
        before, after = _unsubscribe_form()
        tokens = signer().sign_ids("unsubscribe", [bytes.fromhex(key) for key in keys])
        urls = [f"{before}{token}{after}" for token in tokens]
        for own, url in zip(values, urls, strict=True):
            own["unsubscribe_url"] = url
    if persons:
        for own, person_id in zip(values, persons[0], strict=True):
            if person_id and not own.get("preferences_url"):
                own["preferences_url"] = links.preferences_url(
                    links.PERSON, person_id, own.get("language")
                )
    return tuple(map(Recipient, keys, addresses, values, urls))


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
        # From before the lease began: a worker that was frozen since then looks at it first.
        self._watched_at = attempted.began_at
        self.step = self.step_of()

    @staticmethod
    def step_of() -> int:
        """Recipients between two looks: small steps when the rate is small."""
        rate = settings().mail_rate_per_second
        return max(1, min(STEP, int(rate / 10))) if rate else STEP

    def __call__(self, count: int) -> bool:
        while not self._is_paid and settings().mail_rate_per_second:
            wait = rates.reserve(count)
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
        held = update_chunks(
            Chunk.id == claimed.chunk_id,
            Chunk.state == DeliveryState.ATTEMPTING,
            Chunk.lease_owner == claimed.owner,
            Chunk.attempts == self._attempted.n,
            lease_until=this_moment(lease_length()),
        )
        state, expires_at = db.session.execute(
            select(Batch.state, Batch.expires_at).where(Batch.id == claimed.batch_id)
        ).one()
        db.session.commit()
        return bool(held) and state == BatchState.RELEASED and not _is_late(expires_at)


def record(attempted: Try, outcome: Outcome) -> bool:
    """Step 5: write what became of it, if this worker still holds the lease; False if not."""
    claimed, said = attempted.claim, _said()
    fence = and_(
        Chunk.id == claimed.chunk_id,
        Chunk.state == DeliveryState.ATTEMPTING,
        Chunk.lease_owner == claimed.owner,
        Chunk.attempts == attempted.n,
    )
    if isinstance(outcome, Report) and (outcome.accepted or outcome.is_clean):
        mine = {"chunk": claimed.chunk_id, "worker": claimed.owner, "nth": attempted.n}
        held = db.session.execute(said.accept, mine).rowcount  # type: ignore[attr-defined]
    else:
        changes = _changes(attempted, outcome)
        held = update_chunks(fence, lease_owner=None, lease_until=None, **changes)
    if not held:
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
        rates.give_back(len(attempted.parcel.recipients))
        rates.block(outcome.retry_after or PATIENCE_SECONDS)
    word, reason = _in_words(outcome)
    db.session.execute(
        said.end_attempt,
        {
            "chunk": claimed.chunk_id,
            "nth": attempted.n,
            "word": word,
            "why": reason,
            **moment(),
        },
    )
    if attempted.is_probe and word == "accepted":
        _resume_after_probe(claimed.batch_id)
    elif attempted.is_bulk and word in {"busy", "unknown"}:
        _mind_the_provider(claimed.batch_id)
    db.session.commit()
    return True


def _changes(attempted: Try, outcome: Outcome) -> dict[str, Any]:
    """What the chunk as a whole becomes."""
    claimed = attempted.claim
    if isinstance(outcome, Report):
        return _changes_by_report(attempted, outcome)
    if isinstance(outcome, Invalid):
        if len(attempted.parcel.recipients) > 1:
            return {"state": DeliveryState.QUEUED, "next_attempt_at": this_moment()}
        return {"state": DeliveryState.FAILED, "reason": outcome.reason}
    if isinstance(outcome, Throttled):
        return {"state": DeliveryState.QUEUED, "next_attempt_at": this_moment()}
    if isinstance(outcome, Busy):
        return retry_changes(claimed.failures + 1, outcome.message, outcome.retry_after)
    return {
        "state": DeliveryState.UNKNOWN,
        "unknown_since": this_moment(),
        "failures": claimed.failures + 1,
        "reason": outcome.message,
    }


def _changes_by_report(attempted: Try, report: Report) -> dict[str, Any]:
    """A chunk whose every recipient met the same fate meets it as a whole."""
    failures = attempted.claim.failures
    everybody = len(attempted.parcel.recipients)
    if len(report.busy) == everybody:
        return retry_changes(failures + 1, _first(report.busy))
    if len(report.unknown) == everybody:
        return {
            "state": DeliveryState.UNKNOWN,
            "unknown_since": this_moment(),
            "failures": failures + 1,
            "reason": _first(report.unknown),
        }
    if len(report.untried) == everybody:
        return {"state": DeliveryState.QUEUED}
    return {"state": DeliveryState.FAILED, "reason": _first(report.refused) or None}


def _first(reasons: Mapping[uuid.UUID, str]) -> str:
    return next(iter(reasons.values()), "")


def retry_changes(failures: int, reason: str, retry_after: float | None = None) -> dict[str, Any]:
    """Try again later, or fail for good after the last try."""
    if failures >= MAX_FAILURES:
        return {"state": DeliveryState.FAILED, "failures": failures, "reason": reason}
    wait = retry_after or RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
    return {
        "state": DeliveryState.RETRY,
        "failures": failures,
        "reason": reason,
        "next_attempt_at": this_moment(timedelta(seconds=wait)),
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
    if report.wait_seconds > 0:
        rates.block(report.wait_seconds)
    if report.is_clean:
        if everybody == 1:
            # A single e-mail's values hold links that open something: they have served.
            only = [attempted.parcel.recipients[0].delivery_id]
            update_deliveries(only, address=None, values=None)
        return
    by_reason: dict[str, list[uuid.UUID]] = {}
    for delivery_id, reason in report.refused.items():
        by_reason.setdefault(reason, []).append(delivery_id)
    for reason, ids in by_reason.items():
        update_deliveries(ids, state=DeliveryState.FAILED, reason=reason, settled_at=this_moment())
    failures = claimed.failures
    apart: list[tuple[Collection[uuid.UUID], dict[str, Any]]] = [
        (report.busy, retry_changes(failures + 1, _first(report.busy))),
        (
            report.unknown,
            {
                "state": DeliveryState.UNKNOWN,
                "failures": failures + 1,
                "unknown_since": this_moment(),
                "reason": _first(report.unknown),
            },
        ),
        (report.untried, {"state": DeliveryState.QUEUED, "failures": failures}),
    ]
    for ids_apart, changes in apart:
        if 0 < len(ids_apart) < everybody:
            split(claimed.chunk_id, list(ids_apart), **changes)


def _resume_after_probe(batch_id: uuid.UUID) -> None:
    """A probe that got through lets its message go on; errors count anew from here."""
    db.session.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.state == BatchState.PAUSED,
            Batch.pause_reason == PROVIDER_ERRORS,
        )
        .values(state=BatchState.RELEASED, pause_reason="", probe_at=this_moment())
        .execution_options(synchronize_session=False)
    )


def _mind_the_provider(batch_id: uuid.UUID) -> None:
    """Over 20 % errors in 50 calls pause the message; then it is probed now and again."""
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
            update(Batch)
            .where(Batch.id == batch_id, Batch.state == BatchState.RELEASED)
            .values(
                state=BatchState.PAUSED,
                pause_reason=PROVIDER_ERRORS,
                probe_at=this_moment(timedelta(seconds=PROBE_SECONDS)),
            )
            .execution_options(synchronize_session=False)
        )


def finish_batches() -> None:
    """A released batch of an audience whose last chunk is over is finished.

    One that somebody holds (to stop it, with others) is left for the next look: waiting for it
    while holding others could be a circle.
    """
    over = and_(
        Batch.content_id.is_not(None),
        Batch.finished_at.is_(None),
        Batch.state.in_((BatchState.RELEASED, BatchState.STOPPED)),
        ~exists().where(Chunk.batch_id == Batch.id, Chunk.state.in_(OPEN)),
    )
    free = select(Batch.id).where(over).order_by(Batch.id).limit(1000)
    ids = list(db.session.scalars(free.with_for_update(skip_locked=True)))
    if not ids:
        return
    db.session.execute(
        update(Batch)
        .where(Batch.id.in_(ids), over)
        .values(finished_at=this_moment())
        .execution_options(synchronize_session=False)
    )
