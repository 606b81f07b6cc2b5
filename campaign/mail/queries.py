"""What is known about mail: counts, reasons, suppressions, history."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    type_coerce,
)

from campaign import clock
from campaign.db import db, is_postgres
from campaign.errors import Gone
from campaign.mail.letters import CALENDAR_NAME, calendar_type
from campaign.mail.merge import merge_html, merge_text
from campaign.mail.models import (
    OPEN,
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    MailboxMessage,
    ProviderEvent,
    Scope,
    SenderDomain,
    Suppression,
    WebhookCall,
)


def suppressions_of(hashed: str) -> Sequence[Suppression]:
    """All suppressions of an address, oldest first."""
    mine = select(Suppression).where(Suppression.address_hash == hashed)
    return db.session.scalars(mine.order_by(Suppression.since, Suppression.id)).all()


def key_of(hashed: Any) -> ColumnElement[uuid.UUID]:
    """A mailing's key of an address: the first half of its hash. 128 bits tell all addresses of
    the world apart, and as a UUID they make the index of keys less than half as large."""
    first = func.substr(hashed, 1, 32)
    return cast(first, Uuid()) if is_postgres() else type_coerce(first, Uuid())


def suppressed_for_bulk(
    organization_id: uuid.UUID, list_id: uuid.UUID | None = None
) -> Select[str]:
    """The hashes of all addresses that take no bulk mail of this organization (and list).

    Use it as `Person.address_hash.not_in(suppressed_for_bulk(…))`.
    """
    return select(Suppression.address_hash).where(stops_bulk(organization_id, list_id))


def had_enough(since: datetime, cap: int) -> Select[str] | None:
    """The hashes of addresses that got `cap` mailings or more since then, from whomever; None
    where there were not even so many mailings, which costs nothing to find out."""
    lately = (
        Batch.is_bulk.is_(True),
        Batch.state != BatchState.BUILDING,
        or_(Batch.finished_at.is_(None), Batch.finished_at >= since),
    )
    count = db.session.scalar(select(func.count()).select_from(Batch).where(*lately)) or 0
    if count < cap:
        return None
    return (
        select(Delivery.address_hash)
        .where(
            Delivery.created_at >= since,
            Delivery.batch_id.in_(select(Batch.id).where(*lately)),
            Delivery.address_hash != "",
            or_(Delivery.state.is_(None), Delivery.state.in_(REACHED)),
        )
        .group_by(Delivery.address_hash)
        .having(func.count() >= cap)
    )


def stops_bulk(
    organization_id: uuid.UUID | None, list_id: uuid.UUID | None = None
) -> ColumnElement[bool]:
    """Whether a suppression holds against bulk mail of this organization and list."""
    scopes: list[ColumnElement[bool]] = [Suppression.scope.in_((Scope.ADDRESS, Scope.EVERYTHING))]
    if organization_id is not None:
        scopes.append(
            and_(
                Suppression.scope == Scope.ORGANIZATION,
                Suppression.scope_id == organization_id.hex,
            )
        )
    if list_id is not None:
        scopes.append(and_(Suppression.scope == Scope.LIST, Suppression.scope_id == list_id.hex))
    return or_(*scopes)


@dataclass(frozen=True, slots=True)
class SentLetter:
    """One e-mail to one person, for their history. `settled_at` is None while nothing is known."""

    id: uuid.UUID
    kind: str
    is_bulk: bool
    subject: str
    state: str
    reason: str
    created_at: datetime
    settled_at: datetime | None


def letters_to(
    organization_id: uuid.UUID, person_id: uuid.UUID | None, hashed: str | None, limit: int = 500
) -> list[SentLetter]:
    """What an organization wrote to a person, newest first.

    With what went to their address before they were anybody here (confirmations); never what
    went to another person who shares it.
    """
    mine = [Delivery.person_id == person_id] if person_id is not None else []
    if hashed:
        mine.append(and_(Delivery.person_id.is_(None), Delivery.address_hash == hashed))
    rows = db.session.execute(
        select(Delivery, Batch.kind, Batch.is_bulk, Chunk.state, Chunk.reason, Content.subject)
        .join(Batch, Delivery.batch_id == Batch.id)
        .outerjoin(Chunk, Delivery.chunk_id == Chunk.id)
        .outerjoin(Content, Content.id == func.coalesce(Chunk.content_id, Batch.content_id))
        .where(or_(*mine), Batch.organization_id == organization_id)
        .order_by(Delivery.created_at.desc(), Delivery.id.desc())
        .limit(limit)
    )
    return [
        SentLetter(
            id=delivery.id,
            kind=kind,
            is_bulk=is_bulk,
            subject=merge_text(subject or "", delivery.values or {}),
            state=delivery.state or chunk_state or DeliveryState.QUEUED,
            reason=delivery.reason or chunk_reason or "",
            created_at=delivery.created_at,
            settled_at=delivery.settled_at,
        )
        for delivery, kind, is_bulk, chunk_state, chunk_reason, subject in rows
    ]


def batches_of(wanted: Sequence[tuple[uuid.UUID, str, str]]) -> dict[str, Batch]:
    """The batches of audiences by key, of (organization, kind, key); `batch_of` for many."""
    organization_ids, kinds, keys = (set(part) for part in zip(*wanted, strict=True))
    mine = select(Batch).where(
        Batch.organization_id.in_(organization_ids), Batch.kind.in_(kinds), Batch.key.in_(keys)
    )
    asked = set(wanted)
    return {
        batch.key: batch
        for batch in db.session.scalars(mine)
        if (batch.organization_id, batch.kind, batch.key) in asked
    }


def batch_of(organization_id: uuid.UUID, kind: str, key: str) -> Batch | None:
    """The batch of an audience that `services.create_batch` made under this kind and key."""
    return db.session.scalar(
        select(Batch).where(
            Batch.organization_id == organization_id, Batch.kind == kind, Batch.key == key
        )
    )


REACHED = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
NOT_SENT = (
    DeliveryState.SUPPRESSED,
    DeliveryState.CANCELLED,
    DeliveryState.FAILED,
    DeliveryState.UNKNOWN_FINAL,
    DeliveryState.BOUNCED,
)
"""States that mean: this person did not get it. Each comes with a machine reason."""


def batch_counts(batch_id: uuid.UUID) -> dict[str, int]:
    """How many deliveries are in which state; states without any are left out.

    Chunks count by their size; single rows are read only where they differ from their chunk.
    """
    counts: Counter[str] = Counter()
    chunks = select(Chunk.state, func.sum(Chunk.size)).where(Chunk.batch_id == batch_id)
    for state, size in db.session.execute(chunks.group_by(Chunk.state)):
        counts[state] += int(size)
    apart = (
        select(Delivery.state, Chunk.state, func.count())
        .outerjoin(Chunk, Chunk.id == Delivery.chunk_id)
        .where(Delivery.batch_id == batch_id, Delivery.state.is_not(None))
        .group_by(Delivery.state, Chunk.state)
    )
    for own, chunk_state, count in db.session.execute(apart):
        counts[str(own)] += count
        if chunk_state is not None:
            counts[chunk_state] -= count
    return {state: count for state, count in sorted(counts.items()) if count}


def batch_reasons(batch_id: uuid.UUID) -> dict[str, int]:
    """Why those who did not get it did not: machine reason → how many."""
    reasons: Counter[str] = Counter()
    apart = (
        select(Delivery.reason, func.count())
        .where(Delivery.batch_id == batch_id, Delivery.state.in_(NOT_SENT))
        .group_by(Delivery.reason)
    )
    whole = (
        select(Chunk.reason, func.count())
        .join(Delivery, and_(Delivery.chunk_id == Chunk.id, Delivery.state.is_(None)))
        .where(Chunk.batch_id == batch_id, Chunk.state.in_(NOT_SENT))
        .group_by(Chunk.reason)
    )
    for query in (apart, whole):
        for reason, count in db.session.execute(query):
            reasons[reason or "unknown"] += count
    return dict(sorted(reasons.items()))


def oldest_due_at() -> datetime | None:
    """Since when the oldest due chunk waits; None when nothing waits."""
    return db.session.scalar(
        select(func.min(Chunk.next_attempt_at))
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(
            Chunk.state.in_((DeliveryState.QUEUED, DeliveryState.RETRY)),
            Batch.state == BatchState.RELEASED,
            Chunk.next_attempt_at <= clock.now(),
        )
    )


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the holder of an unsubscribe link may stop, and what is stopped already."""

    address_hash: str
    from_name: str
    organization_id: uuid.UUID | None
    list_id: uuid.UUID | None
    scopes: tuple[Scope, ...]
    stopped: frozenset[Scope]


def unsubscribe_ticket(delivery_id: uuid.UUID) -> Ticket:
    """The ticket of a delivery. Raises Gone when it is no longer known (an erased person)."""
    row = db.session.execute(
        select(Delivery.address_hash, Batch.from_name, Batch.organization_id, Batch.list_id)
        .join(Batch, Batch.id == Delivery.batch_id)
        .where(Delivery.id == delivery_id)
    ).one_or_none()
    if row is None or not row.address_hash:
        raise Gone
    scopes = [Scope.EVERYTHING]
    if row.organization_id is not None:
        scopes.insert(0, Scope.ORGANIZATION)
    if row.list_id is not None:
        scopes.insert(0, Scope.LIST)
    held = db.session.scalars(
        select(Suppression.scope).where(
            Suppression.address_hash == row.address_hash,
            stops_bulk(row.organization_id, row.list_id),
        )
    )
    return Ticket(
        row.address_hash,
        row.from_name,
        row.organization_id,
        row.list_id,
        tuple(scopes),
        frozenset(Scope(scope) for scope in held),
    )


@dataclass(frozen=True, slots=True)
class MailboxItem:
    """An e-mail in development's inbox, its fields filled in."""

    id: uuid.UUID
    to: str
    sender: str
    subject: str
    headers: dict[str, str]
    text: str
    html: str
    calendar: str
    sent_at: datetime

    @property
    def attachments(self) -> list[dict[str, str]]:
        """The files that travel with it."""
        if not self.calendar:
            return []
        kind = calendar_type(self.calendar)
        return [{"filename": CALENDAR_NAME, "content_type": kind, "content": self.calendar}]

    @property
    def links(self) -> list[str]:
        """Every address in it, in order, once."""
        reader = _LinkReader()
        reader.feed(self.html)
        found = reader.links + re.findall(r"https?://[^\s<>\"')\]]+", self.text)
        return list(dict.fromkeys(found))

    @property
    def all_headers(self) -> dict[str, str]:
        """With those that every e-mail has."""
        return {"From": self.sender, "To": self.to, "Subject": self.subject, **self.headers}

    def as_json(self) -> dict[str, Any]:
        """As docs/contract names it."""
        return {
            "id": str(self.id),
            "to": self.to,
            "from": self.sender,
            "subject": self.subject,
            "headers": self.all_headers,
            "text": self.text,
            "html": self.html,
            "links": self.links,
            "attachments": self.attachments,
            "sent_at": self.sent_at.isoformat(),
        }


class _LinkReader(HTMLParser):
    """The http addresses that an HTML page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href" and value and value.startswith("http"):
                self.links.append(value)


def mailbox(*, to: str = "", before: uuid.UUID | None = None, limit: int) -> list[MailboxItem]:
    """Development's inbox, newest first."""
    rows = select(MailboxMessage).order_by(MailboxMessage.id.desc()).limit(limit)
    if to:
        rows = rows.where(MailboxMessage.address == to)
    if before is not None:
        rows = rows.where(MailboxMessage.id < before)
    return [_read(row) for row in db.session.scalars(rows)]


def mailbox_message(message_id: uuid.UUID) -> MailboxItem | None:
    """One e-mail of development's inbox."""
    row = db.session.get(MailboxMessage, message_id)
    return None if row is None else _read(row)


def _read(row: MailboxMessage) -> MailboxItem:
    values = row.values
    return MailboxItem(
        id=row.id,
        to=row.address,
        sender=row.sender,
        subject=merge_text(row.content.subject, values),
        headers=row.headers,
        text=merge_text(row.content.text, values),
        html=merge_html(row.content.html, values),
        calendar=row.content.calendar,
        sent_at=row.sent_at,
    )


def outbox_status() -> dict[str, Any]:
    """What waits and how old it is, for operators and health checks."""
    oldest = oldest_due_at()
    states = select(Batch.is_bulk, Chunk.state, func.sum(Chunk.size))
    states = states.join(Batch, Batch.id == Chunk.batch_id).group_by(Batch.is_bulk, Chunk.state)
    waiting: dict[str, dict[str, int]] = {"single": {}, "bulk": {}}
    for is_bulk, state, size in db.session.execute(states):
        if size:
            waiting["bulk" if is_bulk else "single"][state] = int(size)
    paused = select(Batch.id, Batch.pause_reason).where(Batch.state == BatchState.PAUSED)
    return {
        "recipients_by_chunk_state": waiting,
        "oldest_due_at": oldest.isoformat() if oldest else None,
        "oldest_due_seconds": (
            round((clock.now() - oldest).total_seconds(), 1) if oldest is not None else 0.0
        ),
        "paused": [
            {"batch": str(batch_id), "reason": reason}
            for batch_id, reason in db.session.execute(paused)
        ],
        "complaint_warnings": [
            {"batch": str(batch_id), "share": round(share, 5)}
            for batch_id, share in complaint_rates().items()
        ],
        "webhook_calls_waiting": _count(
            select(func.count()).where(WebhookCall.processed_at.is_(None))
        ),
        "last_provider_event_at": _instant(select(func.max(ProviderEvent.received_at))),
        "suppressions": _count(select(func.count()).select_from(Suppression)),
    }


COMPLAINT_WARNING = 0.001
COMPLAINT_PAUSE = 0.003
FEWEST_COMPLAINTS = 2
"""One complaint is a person, not a rate."""


def complaint_rates(batch_id: uuid.UUID | None = None) -> dict[uuid.UUID, float]:
    """The share of complaints of each mailing (or of one) where it is over 0.1 %: a warning.

    Over 0.3 % the webhook pauses the mailing.
    """
    rows = (
        select(Delivery.batch_id, Batch.total_count, func.count())
        .join(Batch, and_(Batch.id == Delivery.batch_id, Batch.is_bulk))
        .where(Delivery.state == DeliveryState.COMPLAINED)
        .group_by(Delivery.batch_id, Batch.total_count)
    )
    if batch_id is not None:
        rows = rows.where(Delivery.batch_id == batch_id)
    return {
        one: count / total
        for one, total, count in db.session.execute(rows)
        if count >= FEWEST_COMPLAINTS and count > COMPLAINT_WARNING * total
    }


LEASE_GRACE = timedelta(minutes=10)


def invariants() -> dict[str, Any]:
    """Every promise of the outbox, recomputed: for each its breaches, `ok` if there are none."""
    rows = select(Delivery.chunk_id, func.count().label("n")).group_by(Delivery.chunk_id)
    held = rows.subquery("held")
    frozen = (
        select(Delivery.batch_id, func.count().label("n")).group_by(Delivery.batch_id)
    ).subquery("frozen")
    accepted = (
        select(Attempt.chunk_id)
        .where(Attempt.outcome == "accepted")
        .group_by(Attempt.chunk_id)
        .having(func.count() > 1)
    )
    twice = (
        select(Delivery.batch_id, Delivery.address_hash)
        .join(Batch, and_(Batch.id == Delivery.batch_id, Batch.is_bulk))
        .where(Delivery.address_hash != "")
        .group_by(Delivery.batch_id, Delivery.address_hash)
        .having(func.count() > 1)
    )
    people = (
        select(Delivery.batch_id, Delivery.person_id)
        .join(Batch, and_(Batch.id == Delivery.batch_id, Batch.is_bulk))
        .where(Delivery.person_id.is_not(None))
        .group_by(Delivery.batch_id, Delivery.person_id)
        .having(func.count() > 1)
    )
    state = func.coalesce(Delivery.state, Chunk.state)
    leased = Chunk.state.in_((DeliveryState.LEASED, DeliveryState.ATTEMPTING))
    tried = exists().where(
        Attempt.chunk_id == Chunk.id, Attempt.outcome.in_(("accepted", "unknown"))
    )
    checks: dict[str, Any] = {
        "rows equal the audience": select(Batch.id)
        .outerjoin(frozen, frozen.c.batch_id == Batch.id)
        .where(Batch.content_id.is_not(None), Batch.total_count != func.coalesce(frozen.c.n, 0)),
        "all states sum up": select(Chunk.id)
        .outerjoin(held, held.c.chunk_id == Chunk.id)
        .where(Chunk.size != func.coalesce(held.c.n, 0)),
        "every delivery has a chunk of its batch": select(Delivery.id)
        .outerjoin(Chunk, and_(Chunk.id == Delivery.chunk_id, Chunk.batch_id == Delivery.batch_id))
        .where(Chunk.id.is_(None)),
        "no delivery was accepted twice": accepted,
        "no address twice in a mailing": twice,
        "no person twice in a mailing": people,
        "no orphan lease": select(Chunk.id).where(
            or_(
                and_(leased, or_(Chunk.lease_owner.is_(None), Chunk.lease_until.is_(None))),
                and_(leased, Chunk.lease_until < clock.now() - LEASE_GRACE),
                and_(~leased, Chunk.lease_owner.is_not(None)),
            )
        ),
        "accepted means attempted": select(Chunk.id).where(
            Chunk.state == DeliveryState.ACCEPTED,
            ~tried,
            exists().where(Delivery.chunk_id == Chunk.id, Delivery.state.is_(None)),
        ),
        "no attempt beyond the count": select(Attempt.chunk_id)
        .join(Chunk, Chunk.id == Attempt.chunk_id)
        .where(Attempt.n > Chunk.attempts),
        "whoever got none has a reason": select(Delivery.id)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .where(state.in_(NOT_SENT), func.coalesce(Delivery.reason, Chunk.reason, "") == ""),
        "finished is finished": select(Chunk.id)
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(Batch.finished_at.is_not(None), Chunk.state.in_(OPEN)),
    }
    found: dict[str, Any] = {}
    for name, query in checks.items():
        breaches = _count(select(func.count()).select_from(query.subquery()))
        examples = [str(row[0]) for row in db.session.execute(query.limit(5))] if breaches else []
        found[name] = {"breaches": breaches, "examples": examples}
    counts = select(state, func.count()).select_from(Delivery)
    by_state = dict(
        db.session.execute(
            counts.outerjoin(Chunk, Chunk.id == Delivery.chunk_id).group_by(state)
        ).all()
    )
    total = _count(select(func.count()).select_from(Delivery))
    return {
        "ok": not any(check["breaches"] for check in found.values())
        and sum(by_state.values()) == total,
        "deliveries": total,
        "by_state": {str(name): count for name, count in sorted(by_state.items())},
        "checks": found,
    }


def _count(query: Select[Any]) -> int:
    return int(db.session.scalar(query) or 0)


def _instant(query: Select[Any]) -> str | None:
    found = db.session.scalar(query)
    return found.isoformat() if found is not None else None


def sender_domain(domain: str) -> SenderDomain | None:
    """What was found out about a sender's domain, None where nobody asked yet."""
    return db.session.get(SenderDomain, domain)
