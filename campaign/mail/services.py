"""Queue, build, release, pause, resume and stop e-mail; suppress and lift; forget.

Nothing here talks to a provider: rows are written in the caller's transaction, and the doorbell
rings after its commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    event,
    exists,
    false,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from campaign import clock
from campaign.db import db, insert, is_postgres, uuid7
from campaign.errors import Conflict
from campaign.mail import delivery, freezing, outbox, tasks
from campaign.mail.addresses import address_hash
from campaign.mail.letters import Letter
from campaign.mail.models import (
    Batch,
    BatchState,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    MailboxMessage,
    Priority,
    ProviderEvent,
    Scope,
    SenderDomain,
    Suppression,
)
from campaign.mail.outbox import cancel, lift, suppress
from campaign.mail.queries import Ticket
from campaign.mail.statements import PROVIDER_ERRORS
from campaign.worker import enqueue, ring_now

NAMESPACE = uuid.UUID("6f1d5a3e-5a0b-4c57-9d2b-0f6f7c1c2a11")
ROWS_AT_ONCE = 1000
"""Addressees written by one statement when their rows come from Python."""

__all__ = ["lift", "suppress"]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who an e-mail is from. Blank fields fall back to the installation's own."""

    name: str = ""
    email: str = ""
    reply_to: str = ""


def freeze_letter(letter: Letter) -> uuid.UUID:
    """Store `letter` once and return its id: the same content always has the same id."""
    return freeze_letters([letter])[letter]


def freeze_letters(letters: Sequence[Letter]) -> dict[Letter, uuid.UUID]:
    """Store each letter once, all with one statement; letter → id."""
    ids = {letter: _content_id(letter) for letter in letters}
    at = clock.now()
    rows = [
        {
            "id": content_id,
            "subject": letter.subject,
            "text": letter.text,
            "html": letter.html,
            "calendar": letter.calendar,
            "created_at": at,
        }
        for letter, content_id in ids.items()
        if _is_new("contents", content_id)
    ]
    if rows:
        rows.sort(key=itemgetter("id"))  # two who store the same letters never wait crosswise
        db.session.execute(insert(Content.__table__).on_conflict_do_nothing(), rows)
    return ids


@lru_cache(maxsize=1024)
def _content_id(letter: Letter) -> uuid.UUID:
    parts = [letter.subject, letter.text, letter.html]
    if letter.calendar:  # a letter without one keeps the id it always had
        parts.append(letter.calendar)
    digest = sha256("\0".join(parts).encode()).digest()
    return uuid.UUID(bytes=digest[:16])


def queue_email(
    to: str,
    content: Letter | uuid.UUID,
    *,
    organization_id: uuid.UUID | None,
    kind: str,
    values: Mapping[str, str] | None = None,
    person_id: uuid.UUID | None = None,
    sender: Sender | None = None,
    key: str = "",
) -> uuid.UUID | None:
    """Queue one e-mail in the caller's transaction; returns the id of its delivery.

    None when the address takes no mail at all (it bounced hard). With a `key`, at most one
    e-mail of this kind ever goes out under it, whoever asks and however often.
    """
    hashed = address_hash(to)
    if is_suppressed(hashed):
        return None
    content_id = content if isinstance(content, uuid.UUID) else freeze_letter(content)
    batch_id = _single_batch(organization_id, kind, sender or Sender())
    at = clock.now()
    chunk_id = uuid.uuid5(NAMESPACE, f"{kind}\0{key}") if key else uuid7()
    delivery_id = uuid7()
    added = db.session.execute(
        insert(Chunk.__table__).on_conflict_do_nothing().returning(Chunk.__table__.c.id),
        {
            "id": chunk_id,
            "batch_id": batch_id,
            "content_id": content_id,
            "priority": Priority.SINGLE,
            "state": DeliveryState.QUEUED,
            "size": 1,
            "attempts": 0,
            "failures": 0,
            "next_attempt_at": at,
            "created_at": at,
        },
    ).one_or_none()
    if added is None:
        return db.session.scalar(select(Delivery.id).where(Delivery.chunk_id == chunk_id))
    db.session.execute(
        insert(Delivery.__table__),
        {
            "id": delivery_id,
            "batch_id": batch_id,
            "chunk_id": chunk_id,
            "person_id": person_id,
            "unique_key": delivery_id,
            "address": to,
            "address_hash": hashed,
            "values": dict(values or {}),
            "is_by_address": False,
            "created_at": at,
        },
    )
    enqueue(tasks.deliver_transactional)
    return delivery_id


def email_row(
    to: str,
    letter: Letter,
    *,
    organization_id: uuid.UUID | None,
    kind: str,
    values: Mapping[str, str],
    sender: Sender,
    hashed: str = "",
) -> dict[str, object]:
    """One e-mail as the parameters of `email_inserts`. Its letter and batch exist afterwards.

    `hashed` is the address's hash where the caller knows it.
    """
    delivery_id = uuid7()
    return {
        "mail_chunk_id": uuid7(),
        "mail_batch_id": _single_batch(organization_id, kind, sender),
        "mail_content_id": freeze_letter(letter),
        "mail_delivery_id": delivery_id,
        "mail_key": delivery_id,
        "mail_to": to,
        "mail_hash": hashed or address_hash(to),
        "mail_values": dict(values),
        "mail_at": clock.now(),
    }


def email_inserts(
    wanted: ColumnElement[bool], content_id: ColumnElement[Any] | None = None
) -> tuple[Any, Any]:
    """The two INSERTs behind `queue_email`, for a caller who has one statement for everything.

    They add the e-mail of `email_row` where `wanted` holds and the address takes mail. On
    PostgreSQL they are parts (CTEs) of the caller's statement, elsewhere statements to run in
    turn. Whoever runs them rings with `ring`. `content_id` chooses among letters that are frozen,
    where the statement itself finds out what the e-mail has to say.
    """
    chunks, deliveries = Chunk.__table__, Delivery.__table__
    hashed = bindparam("mail_hash", type_=deliveries.c.address_hash.type)
    suppressed = exists().where(
        Suppression.address_hash == hashed, Suppression.scope == Scope.ADDRESS
    )
    chunk = _insert_where(
        chunks,
        and_(wanted, ~suppressed),
        id="mail_chunk_id",
        batch_id="mail_batch_id",
        content_id="mail_content_id" if content_id is None else content_id,
        priority=Priority.SINGLE.value,
        state=DeliveryState.QUEUED.value,
        size=1,
        attempts=0,
        failures=0,
        next_attempt_at="mail_at",
        created_at="mail_at",
    )
    chunk_id = bindparam("mail_chunk_id", type_=chunks.c.id.type)
    is_there: ColumnElement[bool] = exists().where(chunks.c.id == chunk_id)
    if is_postgres():
        chunk = chunk.returning(chunks.c.id).cte("chunk")
        is_there = exists(select(chunk.c.id))
    delivery = _insert_where(
        deliveries,
        is_there,
        id="mail_delivery_id",
        batch_id="mail_batch_id",
        chunk_id="mail_chunk_id",
        unique_key="mail_key",
        address="mail_to",
        address_hash="mail_hash",
        values="mail_values",
        created_at="mail_at",
    )
    return (chunk, delivery.cte("delivery")) if is_postgres() else (chunk, delivery)


def _insert_where(table: Any, condition: ColumnElement[bool], **columns: object) -> Any:
    """INSERT … SELECT of one row where `condition` holds; a text names a parameter or is ours."""
    row = [_cell(table.c[name], value) for name, value in columns.items()]
    return insert(table).from_select(
        list(columns), select(*row).where(condition), include_defaults=False
    )


def _cell(column_: Any, value: object) -> Any:
    if isinstance(value, ColumnElement):
        return value
    if isinstance(value, str) and value.startswith("mail_"):
        return bindparam(value, type_=column_.type)
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def ring(*, is_committed: bool = False) -> None:
    """Wake the senders of single e-mails, after the commit or now."""
    (ring_now if is_committed else enqueue)(tasks.deliver_transactional)


def is_suppressed(hashed: str) -> bool:
    """Whether the address takes no mail at all, single e-mails included."""
    found = select(literal(1)).where(
        Suppression.address_hash == hashed, Suppression.scope == Scope.ADDRESS
    )
    return db.session.scalar(found) is not None


@lru_cache(maxsize=4096)
def _batch_key(
    organization_id: uuid.UUID | None, kind: str, sender: Sender
) -> tuple[uuid.UUID, str]:
    key = sha256(repr(sender).encode()).hexdigest()[:16]
    return uuid.uuid5(NAMESPACE, f"{organization_id}\0{kind}\0{key}"), key


def _single_batch(organization_id: uuid.UUID | None, kind: str, sender: Sender) -> uuid.UUID:
    """The batch of an organization's single e-mails of one kind from one sender."""
    batch_id, key = _batch_key(organization_id, kind, sender)
    if _is_new("batches", batch_id):
        at = clock.now()
        db.session.execute(
            insert(Batch.__table__).on_conflict_do_nothing(),
            {
                "id": batch_id,
                "organization_id": organization_id,
                "kind": kind,
                "key": key,
                "is_bulk": False,
                "state": BatchState.RELEASED,
                "pause_reason": "",
                "from_name": sender.name,
                "from_email": sender.email,
                "reply_to": sender.reply_to,
                "total_count": 0,
                "created_at": at,
                "released_at": at,
            },
        )
    return batch_id


_known: WeakKeyDictionary[Any, set[tuple[str, uuid.UUID]]] = WeakKeyDictionary()
"""Rows that this process knows to be committed, by database: they need no second insert."""


def _is_new(table: str, row_id: uuid.UUID) -> bool:
    """Whether the shared row must still be inserted; remembered from the next commit on."""
    if (table, row_id) in _known.get(db.engine, ()):
        return False
    session = db.session()
    pending: set[tuple[str, uuid.UUID]] = session.info.setdefault("mail_rows", set())
    if (table, row_id) in pending:
        return False
    pending.add((table, row_id))
    return True


@event.listens_for(Session, "after_commit")
def _remember(session: Session) -> None:
    if not session.in_nested_transaction():
        pending = session.info.pop("mail_rows", None)
        if pending:
            _known.setdefault(db.engine, set()).update(pending)


@event.listens_for(Session, "after_soft_rollback")
def _drop(session: Session, _previous: object) -> None:
    session.info.pop("mail_rows", None)


def unsubscribe(ticket: Ticket, *, scope: str) -> None:
    """What the holder of an unsubscribe link asked for. Twice is once.

    `scope` is one of the ticket's; an e-mail of no organization can only stop everything.
    """
    scope = Scope(scope) if scope in ticket.scopes else Scope.EVERYTHING
    ids = {Scope.LIST: ticket.list_id, Scope.ORGANIZATION: ticket.organization_id}
    suppress(ticket.address_hash, scope=scope, scope_id=ids.get(scope) or "", reason="unsubscribed")


def cancel_for_address(hashed: str, *, organization_id: uuid.UUID | None = None) -> int:
    """Cancel all that is queued for the address, of one organization or of all; returns how many."""
    mine: list[ColumnElement[bool]] = [outbox.to_address(hashed, is_open=True)]
    if organization_id is not None:
        mine.append(Batch.organization_id == organization_id)
    return cancel(*mine, reason="cancelled")


def cancel_bulk_to(person_id: uuid.UUID, *, reason: str) -> int:
    """Cancel the bulk mail that waits for one person, and nobody who shares their address."""
    return cancel(Delivery.person_id == person_id, Batch.is_bulk.is_(True), reason=reason)


def forget_person(
    person_id: uuid.UUID | None, hashed: str, *, organization_id: uuid.UUID | None = None
) -> None:
    """Erasure: cancel what waits, and leave nothing in mail that says who it went to.

    Counts and states stay; a suppression stays, too, for it holds a hash and protects the person.
    With `organization_id` only what that organization wrote to the address is forgotten.
    """
    mine = outbox.to_address(hashed) if hashed else false()
    if organization_id is not None:
        own = select(Batch.id).where(Batch.organization_id == organization_id)
        mine = and_(mine, Delivery.batch_id.in_(own))
    if person_id is not None:
        mine = or_(mine, Delivery.person_id == person_id)
    ids = list(db.session.scalars(select(Delivery.id).where(mine)))
    cancel(mine, reason="erased")
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        # The key of a mailing's recipient is the hash of their address: that goes, too.
        keyed = select(Delivery.id).where(Delivery.id.in_(some), Delivery.is_by_address)
        anew = [{"id": one, "unique_key": one} for one in db.session.scalars(keyed)]
        if anew:
            db.session.execute(update(Delivery), anew)
        db.session.execute(
            update(Delivery)
            .where(Delivery.id.in_(some))
            .values(person_id=None, address=None, values=None, address_hash="")
            .execution_options(synchronize_session=False)
        )
        db.session.execute(delete(MailboxMessage).where(MailboxMessage.delivery_id.in_(some)))
        db.session.execute(
            update(ProviderEvent)
            .where(ProviderEvent.delivery_id.in_(some))
            .values(address_hash=None, reason="")
            .execution_options(synchronize_session=False)
        )


def create_batch(
    *,
    organization_id: uuid.UUID,
    kind: str,
    key: str,
    letter: Letter,
    sender: Sender,
    list_id: uuid.UUID | None = None,
    is_bulk: bool = True,
    expires_at: datetime | None = None,
) -> Batch:
    """The batch of this kind and key, still building; the same one when asked again.

    Not bulk is what people asked for by something they did (a reminder): it reaches all but dead
    addresses. What has not left by `expires_at` is cancelled as late.
    """
    content_id = freeze_letter(letter)
    mine = select(Batch).where(
        Batch.organization_id == organization_id, Batch.kind == kind, Batch.key == key
    )
    db.session.execute(
        insert(Batch.__table__).on_conflict_do_nothing(),
        {
            "id": uuid7(),
            "organization_id": organization_id,
            "kind": kind,
            "key": key,
            "is_bulk": is_bulk,
            "list_id": list_id,
            "expires_at": expires_at,
            "state": BatchState.BUILDING,
            "pause_reason": "",
            "from_name": sender.name,
            "from_email": sender.email,
            "reply_to": sender.reply_to,
            "content_id": content_id,
            "total_count": 0,
            "created_at": clock.now(),
        },
    )
    return db.session.scalars(mine).one()


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient of a batch whose rows are made in Python: `unique_key` is theirs within it."""

    unique_key: uuid.UUID
    address: str
    address_hash: str
    values: dict[str, str]
    person_id: uuid.UUID | None = None


def add_addressees(batch: Batch, letter: Letter, people: Sequence[Addressee]) -> int:
    """Add people to a batch that is being built, with this letter; returns how many were new.

    Whoever is in it already, by their key, stays as they are, with whatever letter. Chunks hold
    people of one call only: thousands a call are better than a few. Raises Conflict once the
    batch is released.
    """
    if batch.state != BatchState.BUILDING:
        raise Conflict
    content_id = freeze_letter(letter)
    added = 0
    for start in range(0, len(people), ROWS_AT_ONCE):
        some = people[start : start + ROWS_AT_ONCE]
        added += _insert_addressees(batch, content_id, some)
    if added:
        batch.total_count = Batch.total_count + added
        db.session.flush()
    return added


def _insert_addressees(batch: Batch, content_id: uuid.UUID, people: Sequence[Addressee]) -> int:
    """Insert people in chunks of their own, without those who are there; returns how many."""
    size = delivery.chunk_size()
    at = clock.now()
    due_at = outbox.now()  # compared with the database's clock
    priority = Priority.BULK if batch.is_bulk else Priority.TIMELY
    chunks, rows = [], []
    for start in range(0, len(people), size):
        some = people[start : start + size]
        chunk = _chunk_row(batch.id, content_id, priority, len(some), due_at)
        chunks.append(chunk)
        rows += [_delivery_row(one, batch.id, chunk["id"], at) for one in some]
    db.session.execute(insert(Chunk.__table__), chunks)
    result = db.session.execute(insert(Delivery.__table__).on_conflict_do_nothing(), rows)
    if result.rowcount == len(people):  # type: ignore[attr-defined]
        return len(people)
    ids = [chunk["id"] for chunk in chunks]
    return freezing.size_chunks(ids, freezing.counted(batch.id, ids))


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch whose recipients are known, for `write_batches`: who reads which letter.

    `is_whole` is False while more people are to follow with `add_addressees`; who adds the last
    of them releases it.
    """

    organization_id: uuid.UUID
    kind: str
    key: str
    sender: Sender
    letters: Mapping[Letter, Sequence[Addressee]]
    expires_at: datetime | None = None
    is_whole: bool = True


def write_batches(batches: Sequence[NewBatch]) -> None:
    """Write batches that nobody has begun yet, of what people asked for (they are not bulk).

    A statement for each table, not for each batch: the reminders of a thousand small meetings
    are due in the same minute. Those that are whole are released. Raises IntegrityError when a
    batch with this kind and key is there already: the caller holds the row that it stands for.
    """
    at = clock.now()
    due_at = outbox.now()  # compared with the database's clock
    size = delivery.chunk_size()
    content_ids = freeze_letters([letter for batch in batches for letter in batch.letters])
    heads, chunks, people = [], [], []
    for batch in batches:
        batch_id = uuid7()
        heads.append(
            {
                "id": batch_id,
                "organization_id": batch.organization_id,
                "kind": batch.kind,
                "key": batch.key,
                "is_bulk": False,
                "list_id": None,
                "expires_at": batch.expires_at,
                "state": BatchState.RELEASED if batch.is_whole else BatchState.BUILDING,
                "pause_reason": "",
                "from_name": batch.sender.name,
                "from_email": batch.sender.email,
                "reply_to": batch.sender.reply_to,
                "content_id": content_ids[next(iter(batch.letters))],
                "total_count": sum(map(len, batch.letters.values())),
                "created_at": at,
                "released_at": at if batch.is_whole else None,
            }
        )
        for letter, readers in batch.letters.items():
            for start in range(0, len(readers), size):
                some = readers[start : start + size]
                chunk = _chunk_row(
                    batch_id, content_ids[letter], Priority.TIMELY, len(some), due_at
                )
                chunks.append(chunk)
                people += [_delivery_row(one, batch_id, chunk["id"], at) for one in some]
    for table, rows in ((Batch, heads), (Chunk, chunks), (Delivery, people)):
        if rows:
            db.session.execute(insert(table.__table__), rows)
    if any(batch.is_whole for batch in batches):
        _ring_for_audience()


def _chunk_row(
    batch_id: uuid.UUID, content_id: uuid.UUID, priority: Priority, size: int, due_at: datetime
) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "batch_id": batch_id,
        "content_id": content_id,
        "priority": priority,
        "state": DeliveryState.QUEUED,
        "size": size,
        "attempts": 0,
        "failures": 0,
        "next_attempt_at": due_at,
        "created_at": clock.now(),
    }


def _delivery_row(
    one: Addressee, batch_id: uuid.UUID, chunk_id: uuid.UUID, at: datetime
) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "batch_id": batch_id,
        "chunk_id": chunk_id,
        "person_id": one.person_id,
        "unique_key": one.unique_key,
        "address": one.address,
        "address_hash": one.address_hash,
        "values": one.values,
        "is_by_address": False,
        "created_at": at,
    }


def cancel_addressee(
    unique_key: uuid.UUID, *, organization_id: uuid.UUID, keys: Sequence[str], reason: str
) -> int:
    """Cancel what waits for one addressee of the organization's batches with these keys."""
    mine = select(Batch.id).where(
        Batch.organization_id == organization_id,
        Batch.content_id.is_not(None),
        Batch.key.in_(keys),
    )
    return cancel(Delivery.batch_id.in_(mine), Delivery.unique_key == unique_key, reason=reason)


def release(batch: Batch) -> None:
    """Let a built batch go. Released once already: nothing changes."""
    if batch.state == BatchState.BUILDING:
        batch.state = BatchState.RELEASED
        batch.released_at = clock.now()
        _ring(batch)


def pause(batch: Batch, reason: str = "organizer") -> None:
    """No new attempt begins; what is on its way ends. Raises Conflict when it is stopped."""
    if batch.state == BatchState.STOPPED:
        raise Conflict
    would_go_on = batch.pause_reason == PROVIDER_ERRORS  # as soon as a probe gets through
    if batch.state == BatchState.RELEASED or would_go_on:
        batch.state = BatchState.PAUSED
        batch.pause_reason = reason
        batch.probe_at = None


def resume(batch: Batch) -> None:
    """Go on where it stopped: nobody is mailed twice. Raises Conflict when it is stopped."""
    if batch.state == BatchState.STOPPED:
        raise Conflict
    if batch.state == BatchState.PAUSED:
        batch.state = BatchState.RELEASED
        batch.pause_reason = ""
        batch.probe_at = None
        _ring(batch)


def spread(batch: Batch, due: Callable[[int], datetime]) -> None:
    """Give those who wait new turns, in the order they had: `due` says when the n-th is."""
    waiting = db.session.execute(
        select(Chunk.id, Chunk.size)
        .where(Chunk.batch_id == batch.id, Chunk.state == DeliveryState.QUEUED)
        .order_by(Chunk.next_attempt_at, Chunk.id)
        .with_for_update()
    ).all()
    turns, position = [], 0
    for chunk_id, size in waiting:
        turns.append({"id": chunk_id, "next_attempt_at": due(position)})
        position += size
    if turns:
        db.session.execute(update(Chunk), turns)


def stop(batch: Batch, *, reason: str = "stopped") -> int:
    """End a batch for good; what was not sent is cancelled. Returns how many that were."""
    batch.state = BatchState.STOPPED
    batch.pause_reason = ""
    batch.probe_at = None
    db.session.flush()
    return cancel(Delivery.batch_id == batch.id, reason=reason)


def send_again(batch: Batch) -> int:
    """Queue again those whose fate stayed unknown, as somebody decided; returns how many."""
    return outbox.requeue(Chunk.batch_id == batch.id, state=DeliveryState.UNKNOWN_FINAL)


def requeue(*, batch_id: uuid.UUID | None = None, state: str = DeliveryState.FAILED) -> int:
    """Queue failed or finally unknown e-mails again, of one batch or of all; returns how many."""
    reach = literal(True) if batch_id is None else Chunk.batch_id == batch_id
    return outbox.requeue(reach, state=DeliveryState(state))


def _ring(batch: Batch) -> None:
    if batch.has_audience:
        _ring_for_audience()
    else:
        enqueue(tasks.deliver_transactional)


def _ring_for_audience() -> None:
    for lane in range(delivery.lanes()):
        enqueue(tasks.deliver_bulk, lane)


def ask_about_domain(domain: str) -> None:
    """Have the records of a sender's domain looked up soon; asked twice, it is looked up once."""
    now = clock.now()
    row = insert(SenderDomain).values(domain=domain, asked_at=now, verdict="", findings={})
    db.session.execute(row.on_conflict_do_update(index_elements=["domain"], set_={"asked_at": now}))
    enqueue(tasks.look_at_domain, domain)
