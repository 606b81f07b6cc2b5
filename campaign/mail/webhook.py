"""Signed events from SendGrid: proof first, then the raw body in a row, then its meaning.

States have ranks and a duplicate stops at its event id, so order and repetition do not matter.
The table of events is in docs/operations.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.exc import DBAPIError

from campaign import clock
from campaign.db import db, insert
from campaign.mail import outbox, queries
from campaign.mail.addresses import address_hash
from campaign.mail.models import (
    OPEN,
    Batch,
    BatchState,
    Chunk,
    Delivery,
    DeliveryState,
    ProviderEvent,
    Scope,
    WebhookCall,
)
from campaign.mail.statements import PROVIDER_ERRORS

log = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
OLDEST = timedelta(hours=25)  # SendGrid tries again for 24 hours
NEWEST = timedelta(minutes=10)  # a clock may be a little ahead
SOFT_BOUNCES = 3
SOFT_BOUNCE_WINDOW = timedelta(days=30)
MAX_ERRORS = 5
AT_ONCE = 500
"""Events that are worked in by one transaction."""

RANK = {
    DeliveryState.ACCEPTED: 1,
    DeliveryState.DELIVERED: 2,
    DeliveryState.SUPPRESSED: 3,
    DeliveryState.BOUNCED: 3,
    DeliveryState.COMPLAINED: 4,
}
"""A state is only ever replaced by one of a higher rank; all others rank 0."""


class Untrusted(Exception):
    """The call does not prove that it comes from SendGrid."""


@lru_cache(maxsize=4)
def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The verification key as SendGrid shows it (base64 of the DER), or as PEM.

    Raises ValueError when it is no P-256 key.
    """
    raw = text.strip()
    try:
        if raw.startswith("-----"):
            key = load_pem_public_key(raw.replace("\\n", "\n").encode())
        else:
            key = load_der_public_key(base64.b64decode("".join(raw.split()), validate=True))
    except (binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError("no public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("no ECDSA P-256 key")
    return key


def verify(key: str, signature: str, timestamp: str, body: bytes) -> None:
    """ECDSA P-256 with SHA-256 over the timestamp and the raw body, before anything is parsed.

    Raises Untrusted when it is missing, malformed, wrong, or older than 25 hours.
    """
    if not (signature and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise Untrusted
    try:
        raw = base64.b64decode(signature, validate=True)
        public_key(key).verify(raw, timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature) as error:
        raise Untrusted from error
    age = clock.now() - datetime.fromtimestamp(int(timestamp), UTC)
    if age > OLDEST or age < -NEWEST:
        raise Untrusted


def keep(body: bytes) -> uuid.UUID:
    """Store a verified body as it came; returns the id of the row to be worked in."""
    call = WebhookCall(
        body=body.decode("utf-8", "replace").replace("\0", "�"), received_at=clock.now()
    )
    db.session.add(call)
    db.session.flush()
    return call.id


def process_waiting(limit: int = 200) -> None:
    """Work in the calls that were stored and not yet worked in; commits after each."""
    waiting = (
        select(WebhookCall.id)
        .where(WebhookCall.processed_at.is_(None), WebhookCall.error_count < MAX_ERRORS)
        .order_by(WebhookCall.id)
        .limit(limit)
    )
    for call_id in list(db.session.scalars(waiting)):
        process(call_id)


def process(call_id: uuid.UUID | str) -> None:
    """Work in one stored call and commit. Again, or by two workers at once, changes nothing."""
    found = select(WebhookCall).where(
        WebhookCall.id == uuid.UUID(str(call_id)), WebhookCall.processed_at.is_(None)
    )
    call = db.session.scalars(found.with_for_update(skip_locked=True)).one_or_none()
    if call is None:
        db.session.rollback()
        return
    events, broken = read_events(call.body, call.received_at)
    if broken:
        log.warning("webhook call %s: %d events made no sense", call.id, broken)
    failed = 0
    for start in range(0, len(events), AT_ONCE):
        failed += work_in(events[start : start + AT_ONCE])
        db.session.commit()  # on SQLite others want to write as well
    call = db.session.scalars(found.with_for_update()).one_or_none()
    if call is None:  # another worker was faster with the rest
        db.session.rollback()
        return
    call.error_count += 1 if failed else 0
    if not failed or call.error_count >= MAX_ERRORS:
        call.processed_at = clock.now()
        call.body = ""  # it held addresses
    db.session.commit()


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as far as it concerns us."""

    event_id: str
    kind: str
    delivery_id: uuid.UUID | None
    address: str
    reason: str
    is_blocked: bool
    happened_at: datetime
    received_at: datetime

    @property
    def row(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "delivery_id": self.delivery_id,
            "address_hash": address_hash(self.address) if self.address else None,
            "kind": "blocked" if self.kind == "bounce" and self.is_blocked else self.kind,
            "reason": self.reason,
            "happened_at": self.happened_at,
            "received_at": self.received_at,
        }


def read_events(body: str, received_at: datetime) -> tuple[list[Event], int]:
    """The events of a body, and how many entries were none."""
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        return [], 1
    if not isinstance(entries, list):
        return [], 1
    events = []
    broken = 0
    for entry in entries:
        event = _read(entry, received_at)
        if event is None:
            broken += 1
        else:
            events.append(event)
    return events, broken


def _read(entry: object, received_at: datetime) -> Event | None:
    if not isinstance(entry, dict):
        return None
    event_id, kind = entry.get("sg_event_id"), entry.get("event")
    if not isinstance(event_id, str) or not isinstance(kind, str) or not 0 < len(event_id) <= 120:
        return None
    if not (_is_plain(event_id) and _is_plain(kind)) or len(kind) > 40:
        return None
    try:
        happened_at = datetime.fromtimestamp(float(entry.get("timestamp", "")), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        happened_at = received_at
    try:
        delivery_id = uuid.UUID(str(entry.get("delivery", "")))
    except ValueError:
        delivery_id = None
    address = entry.get("email")
    return Event(
        event_id=event_id,
        kind=kind,
        delivery_id=delivery_id,
        address=address if isinstance(address, str) and _is_address(address) else "",
        reason=_machine_reason(entry),
        is_blocked=str(entry.get("type", "")).lower() == "blocked",
        happened_at=happened_at,
        received_at=received_at,
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_address(text: str) -> bool:
    return "@" in text and len(text) <= 320 and text.isprintable()


DROPS = {
    "bounced address": "bounced address",
    "invalid": "invalid address",
    "spam reporting address": "complained before",
    "unsubscribed address": "unsubscribed at provider",
}


def _machine_reason(entry: dict[str, Any]) -> str:
    """A short reason without the words of the other server, which may repeat the address."""
    kind = str(entry.get("event"))
    if kind == "dropped":
        return DROPS.get(str(entry.get("reason", "")).strip().lower(), "dropped")
    if kind in {"bounce", "deferred", "blocked"}:
        status = str(entry.get("status", ""))
        plain = status if status.replace(".", "").isdigit() and len(status) < 16 else ""
        return f"{kind} {plain}".strip()
    return kind


def work_in(events: Sequence[Event]) -> int:
    """Apply events, together or, where one of them cannot be, each on its own, so that it never
    blocks the others. Returns failures."""
    try:
        with db.session.begin_nested():
            _apply_together(events)
    except DBAPIError:
        return sum(not _apply_alone(event) for event in events)
    return 0


def _apply_alone(event: Event) -> bool:
    try:
        with db.session.begin_nested():
            _apply_together([event])
    except DBAPIError as error:
        log.warning("webhook event not worked in: %s", type(error).__name__)
        return False
    return True


def _apply_together(events: Sequence[Event]) -> None:
    """Most events only say that mail was taken or delivered: those cost a statement together."""
    by_id = {event.event_id: event for event in reversed(events)}
    rows = [by_id[event_id].row for event_id in sorted(by_id)]  # two never wait crosswise
    fresh = db.session.scalars(
        insert(ProviderEvent.__table__)
        .on_conflict_do_nothing(index_elements=["event_id"])
        .returning(ProviderEvent.__table__.c.event_id),
        rows,
    )
    news = [by_id[event_id] for event_id in fresh]
    known = _deliveries({event.delivery_id for event in news if event.delivery_id is not None})
    for kind, state in PLAIN.items():
        ids = {event.delivery_id for event in news if event.kind == kind}
        _raise_to([known[one] for one in ids if one in known], state)
    for event in news:
        effect = EFFECTS.get(event.kind)
        if effect is not None:
            effect(event, None if event.delivery_id is None else known.get(event.delivery_id))


def _deliveries(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Row[Any]]:
    """What is known of these deliveries, by their id."""
    if not ids:
        return {}
    found = db.session.execute(
        select(
            Delivery.id,
            Delivery.chunk_id,
            Delivery.batch_id,
            Delivery.address_hash,
            Delivery.state,
            Chunk.state.label("chunk_state"),
            Batch.organization_id,
            Batch.list_id,
            Batch.is_bulk,
        )
        .join(Batch, Batch.id == Delivery.batch_id)
        .outerjoin(Chunk, Chunk.id == Delivery.chunk_id)
        .where(Delivery.id.in_(ids))
    )
    return {row.id: row for row in found}  # type: ignore[misc]  # Row is invariant in its columns


def _raise_to(known: Sequence[Row[Any]], state: DeliveryState, reason: str | None = None) -> None:
    """Give the deliveries `state` unless they already have one of that rank or above.

    An event proves that the provider took the message: what was unknown is accepted by it, and
    what was queued again meanwhile will not be sent again.
    """
    if state == DeliveryState.ACCEPTED:  # as its chunk: nothing to write
        known = [row for row in known if row.state or row.chunk_state != DeliveryState.ACCEPTED]
    if not known:
        return
    higher = [name for name, rank in RANK.items() if rank >= RANK[state]]
    settled: dict[str, Any] = {"state": state, "settled_at": clock.now()}
    if reason is not None or state in {DeliveryState.DELIVERED, DeliveryState.ACCEPTED}:
        settled["reason"] = reason
    db.session.execute(
        update(Delivery)
        .where(
            Delivery.id.in_([row.id for row in known]),
            or_(Delivery.state.is_(None), Delivery.state.not_in(higher)),
        )
        .values(**settled, address=None, values=None)
        .execution_options(synchronize_session=False)
    )
    doubtful = (*OPEN, DeliveryState.UNKNOWN_FINAL)
    outbox.close_proven({row.chunk_id for row in known if row.chunk_state in doubtful})


def _raise_one(known: Row[Any] | None, state: DeliveryState, reason: str) -> None:
    _raise_to([] if known is None else [known], state, reason)


def _hash_of(event: Event, known: Row[Any] | None) -> str:
    """Whose mailbox it is: what we sent to, else what the event says."""
    if known is not None and known.address_hash:
        return str(known.address_hash)
    return address_hash(event.address) if event.address else ""


def _bounced(event: Event, known: Row[Any] | None) -> None:
    hashed = _hash_of(event, known)
    if not event.is_blocked:
        _raise_one(known, DeliveryState.BOUNCED, "hard bounce")
        if hashed:
            outbox.suppress(hashed, scope=Scope.ADDRESS, reason="hard bounce")
        return
    _raise_one(known, DeliveryState.BOUNCED, "soft bounce")
    if hashed and _soft_bounces(hashed, event.happened_at) >= SOFT_BOUNCES:
        outbox.suppress(hashed, scope=Scope.ADDRESS, reason="soft bounces")


def _soft_bounces(hashed: str, until: datetime) -> int:
    """Soft bounces of the last 30 days since the last delivery."""
    mine = ProviderEvent.address_hash == hashed
    delivered = db.session.scalar(
        select(func.max(ProviderEvent.happened_at)).where(mine, ProviderEvent.kind == "delivered")
    )
    since = until - SOFT_BOUNCE_WINDOW
    if delivered is not None and delivered > since:
        since = delivered
    return (
        db.session.scalar(
            select(func.count()).where(
                mine, ProviderEvent.kind == "blocked", ProviderEvent.happened_at > since
            )
        )
        or 0
    )


def _dropped(event: Event, known: Row[Any] | None) -> None:
    _raise_one(known, DeliveryState.SUPPRESSED, event.reason)
    hashed = _hash_of(event, known)
    if not hashed:
        return
    if event.reason in {"bounced address", "invalid address"}:
        outbox.suppress(hashed, scope=Scope.ADDRESS, reason=event.reason)
    elif event.reason in {"complained before", "unsubscribed at provider"}:
        _suppress_for_organization(hashed, known, event.reason)


def _complained(event: Event, known: Row[Any] | None) -> None:
    _raise_one(known, DeliveryState.COMPLAINED, "complained")
    hashed = _hash_of(event, known)
    if hashed:
        _suppress_for_organization(hashed, known, "complained")
    if known is not None and known.is_bulk:
        _mind_complaints(known.batch_id)


def _unsubscribed(event: Event, known: Row[Any] | None) -> None:
    hashed = _hash_of(event, known)
    if not hashed:
        return
    if event.kind == "group_unsubscribe" and known is not None and known.list_id is not None:
        outbox.suppress(hashed, scope=Scope.LIST, scope_id=known.list_id, reason="unsubscribed")
    else:
        _suppress_for_organization(hashed, known, "unsubscribed")


def _suppress_for_organization(hashed: str, known: Row[Any] | None, reason: str) -> None:
    """All bulk of the organization that wrote; of everybody when it cannot be told which."""
    if known is not None and known.organization_id is not None:
        outbox.suppress(
            hashed, scope=Scope.ORGANIZATION, scope_id=known.organization_id, reason=reason
        )
    else:
        outbox.suppress(hashed, scope=Scope.EVERYTHING, reason=reason)


def _mind_complaints(batch_id: uuid.UUID) -> None:
    """Complaints over 0.3 % of a message pause it; the report warns from 0.1 %."""
    batch = db.session.get(Batch, batch_id)
    if batch is None or batch.finished_at is not None:
        return
    would_go_on = batch.pause_reason == PROVIDER_ERRORS  # as soon as a probe gets through
    if batch.state != BatchState.RELEASED and not would_go_on:
        return
    share = queries.complaint_rates(batch_id).get(batch_id, 0.0)
    if share > queries.COMPLAINT_PAUSE:
        batch.state = BatchState.PAUSED
        batch.pause_reason = "complaints"
        db.session.flush()


def _counted(event: Event, known: Row[Any] | None) -> None:
    """`deferred`, `group_resubscribe`: the row in the table of events is all there is to it."""


PLAIN = {"delivered": DeliveryState.DELIVERED, "processed": DeliveryState.ACCEPTED}
"""Events that say a state and nothing else."""
EFFECTS: dict[str, Callable[[Event, Row[Any] | None], None]] = {
    "deferred": _counted,
    "bounce": _bounced,
    "blocked": _bounced,
    "dropped": _dropped,
    "spamreport": _complained,
    "unsubscribe": _unsubscribed,
    "group_unsubscribe": _unsubscribed,
    "group_resubscribe": _counted,
}
