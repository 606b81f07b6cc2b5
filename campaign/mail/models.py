"""Rows of the outbox. The database is the queue; Celery only wakes workers."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.db import Key, Model


class BatchState(StrEnum):
    """Whether the chunks of a batch may go out."""

    BUILDING = "building"
    RELEASED = "released"
    PAUSED = "paused"
    STOPPED = "stopped"


class DeliveryState(StrEnum):
    """What is known of one e-mail to one recipient. `mail.md`'s words; ranks are in services."""

    QUEUED = "queued"
    LEASED = "leased"
    ATTEMPTING = "attempting"
    RETRY = "retry"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    UNKNOWN_FINAL = "unknown_final"
    FAILED = "failed"


WAITING = (DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.RETRY)
"""States from which no byte has left since the last definite no: they can be cancelled."""
OPEN = (*WAITING, DeliveryState.ATTEMPTING, DeliveryState.UNKNOWN)
"""States of chunks that are not over yet."""


class Priority(IntEnum):
    """Which chunk goes first. Only `SINGLE` has senders of its own: a sender of bulk takes what is
    single first, then those who are waited for at an hour, then the rest."""

    SINGLE = 0
    TIMELY = 1  # reminders: they must not wait for a blast, nor a confirmation for them
    BULK = 2


LATE = "late"
"""Why it was not sent: it would have come when it was of no use any more."""


class Scope(StrEnum):
    """How far a suppression reaches."""

    ADDRESS = "address"  # the whole installation, single e-mails included (hard bounce)
    EVERYTHING = "everything"  # all bulk mail of the whole installation
    ORGANIZATION = "organization"  # all bulk mail of one organization
    LIST = "list"  # one list or campaign of one organization


class Content(Model):
    """What is sent, frozen: subject and bodies with merge tags, shared by many deliveries.

    `id` derives from the content, so that the same confirmation text is stored once.
    """

    __tablename__ = "mail_contents"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    html: Mapped[str] = mapped_column(Text)
    calendar: Mapped[str] = mapped_column(
        Text, default="", server_default=""
    )  # iCalendar, attached
    created_at: Mapped[datetime]


class Batch(Model):
    """A message to an audience, or one organization's single e-mails of one kind.

    `is_bulk` decides about unsubscribe headers and the suppression scopes that count. A message
    to an audience that is not bulk (a reminder of what somebody said they come to) reaches all
    but dead addresses. `content_id` is there for an audience alone: such a batch is built,
    released and finished, and its chunks may have contents of their own (languages).
    """

    __tablename__ = "mail_batches"
    __table_args__ = (
        UniqueConstraint("organization_id", "kind", "key"),
        CheckConstraint("total_count >= 0", name="total_not_negative"),
        Index(
            "ix_mail_batches_open",
            "id",
            postgresql_where=text("finished_at IS NULL AND content_id IS NOT NULL"),
            sqlite_where=text("finished_at IS NULL AND content_id IS NOT NULL"),
        ),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(80), default="")
    is_bulk: Mapped[bool] = mapped_column(default=False)
    list_id: Mapped[uuid.UUID | None]
    state: Mapped[str] = mapped_column(String(20), default=BatchState.RELEASED)
    pause_reason: Mapped[str] = mapped_column(String(80), default="")
    probe_at: Mapped[datetime | None]
    from_name: Mapped[str] = mapped_column(String(200), default="")
    from_email: Mapped[str] = mapped_column(String(254), default="")
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    content_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("mail_contents.id"))
    total_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # of no use any more: what has not left then is dropped
    emptied_at: Mapped[datetime | None]  # when the last address and value were removed

    @property
    def has_audience(self) -> bool:
        return self.content_id is not None


class Slice(Model):
    """A part of an audience that is still to be written into its batch: the people by their ids,
    from behind `after` up to `last`.

    All slices of an audience are planned at once; any number of workers take them, one at a time,
    and each goes in the transaction that writes its people. So a batch is whole when it has none,
    and a worker that is killed leaves its slice to the next.

    `position` is how many of the batch come before it, `size` how many it had when it was planned.
    `is_fresh`: planned into an empty batch, so that none of its people can be there already.
    """

    __tablename__ = "mail_slices"
    __table_args__ = (Index("ix_mail_slices_batch", "batch_id", "position"),)

    id: Mapped[Key]
    batch_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("mail_batches.id"))
    after: Mapped[uuid.UUID | None]
    last: Mapped[uuid.UUID]
    position: Mapped[int]
    size: Mapped[int]
    is_fresh: Mapped[bool]


class Chunk(Model):
    """One request to the provider: the unit of claiming, attempting and not knowing."""

    __tablename__ = "mail_chunks"
    __table_args__ = (
        Index("ix_mail_chunks_due", "state", "priority", "next_attempt_at"),
        Index("ix_mail_chunks_batch", "batch_id", "state"),
    )

    id: Mapped[Key]
    batch_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("mail_batches.id"))
    content_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("mail_contents.id"))
    priority: Mapped[int] = mapped_column(default=Priority.SINGLE)
    state: Mapped[str] = mapped_column(String(20), default=DeliveryState.QUEUED)
    size: Mapped[int] = mapped_column(default=1)
    lease_owner: Mapped[str | None] = mapped_column(String(60))
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    unknown_since: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(120))
    emptied_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Delivery(Model):
    """One e-mail to one recipient. `state` NULL means: as its chunk.

    `values` (merge values, links with tokens) and `address` are emptied when they have served.
    `id` is the opaque id that the provider carries and the webhook brings back.

    `unique_key` is what a recipient is in a batch but once by; where `is_by_address`, it is that of
    the address (`queries.key_of`), and `outbox.to_address` finds the row by it: an index over the
    hashes as well was a third of what freezing a mailing costs.

    No foreign keys: to look the same two rows up a million times over was a third of what
    freezing a million people costs. A row is written in the statement or the transaction that
    makes its chunk, chunks with people are never deleted, and `campaign mail verify` looks.
    """

    __tablename__ = "mail_deliveries"
    __table_args__ = (
        UniqueConstraint("batch_id", "unique_key"),
        Index("ix_mail_deliveries_chunk", "chunk_id", "id"),
        Index(
            "ix_mail_deliveries_apart",
            "batch_id",
            "state",
            postgresql_where=text("state IS NOT NULL"),
            sqlite_where=text("state IS NOT NULL"),
        ),
        Index("ix_mail_deliveries_person", "person_id"),
        Index(
            "ix_mail_deliveries_address",
            "address_hash",
            "created_at",
            postgresql_where=text("NOT is_by_address"),
            sqlite_where=text("NOT is_by_address"),
        ),
    )

    id: Mapped[Key]
    batch_id: Mapped[uuid.UUID]
    chunk_id: Mapped[uuid.UUID]
    person_id: Mapped[uuid.UUID | None]
    unique_key: Mapped[uuid.UUID]
    is_by_address: Mapped[bool] = mapped_column(default=False, server_default=false())
    address: Mapped[str | None] = mapped_column(String(254))
    address_hash: Mapped[str] = mapped_column(String(64))
    values: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    state: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class Attempt(Model):
    """One call to the provider, written and committed before its first byte leaves."""

    __tablename__ = "mail_attempts"

    chunk_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("mail_chunks.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(60))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(200))


class ProviderEvent(Model):
    """What the provider told us, once per its own event id."""

    __tablename__ = "mail_provider_events"
    __table_args__ = (Index("ix_mail_provider_events_at", "received_at"),)

    event_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    delivery_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(200), default="")
    happened_at: Mapped[datetime]
    received_at: Mapped[datetime]


class WebhookCall(Model):
    """A verified webhook body as it came, kept until its events are worked in."""

    __tablename__ = "mail_webhook_calls"

    id: Mapped[Key]
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None] = mapped_column(index=True)
    error_count: Mapped[int] = mapped_column(default=0)


class Suppression(Model):
    """Who must not be mailed, and how far that reaches. Survives erasure: it holds a hash only."""

    __tablename__ = "mail_suppressions"
    __table_args__ = (UniqueConstraint("address_hash", "scope", "scope_id"),)

    id: Mapped[Key]
    address_hash: Mapped[str] = mapped_column(String(64), index=True)
    scope: Mapped[str] = mapped_column(String(20))
    scope_id: Mapped[str] = mapped_column(String(40), default="")  # organization or list id
    reason: Mapped[str] = mapped_column(String(80))
    since: Mapped[datetime]


class MailboxMessage(Model):
    """Development's inbox: what the `mailbox` transport would have sent. Nothing leaves.

    It holds the content's id and the values; the page that shows it fills them in.
    """

    __tablename__ = "mail_mailbox"
    __table_args__ = (Index("ix_mail_mailbox_address", "address", "id"),)

    id: Mapped[Key]
    delivery_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    content_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("mail_contents.id"))
    address: Mapped[str] = mapped_column(String(254))
    sender: Mapped[str] = mapped_column(String(460))
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    values: Mapped[dict[str, Any]] = mapped_column(JSON)
    sent_at: Mapped[datetime]

    content: Mapped[Content] = relationship(lazy="joined")


class JobRun(Model):
    """A period of a scheduled job, claimed: the beat may run thrice, the job runs once."""

    __tablename__ = "job_runs"

    job: Mapped[str] = mapped_column(String(80), primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    claimed_at: Mapped[datetime]


class RateWindow(Model):
    """What all workers share about the provider: tokens of the rate, and until when to wait."""

    __tablename__ = "mail_rate_windows"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    available: Mapped[float] = mapped_column(default=0.0)
    refilled_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]
    calls: Mapped[int] = mapped_column(default=0)
    errors: Mapped[int] = mapped_column(default=0)


LOOK_PATIENCE = timedelta(minutes=2)
"""How long a look at DNS may take before one says that it takes long."""


class SenderDomain(Model):
    """What DNS said about a domain in whose name mail goes out. Asked for, then looked up by a
    task; `findings` are those of `domains.examine`."""

    __tablename__ = "sender_domains"

    domain: Mapped[str] = mapped_column(String(253), primary_key=True)
    asked_at: Mapped[datetime]
    looked_at: Mapped[datetime | None]
    verdict: Mapped[str] = mapped_column(String(10), default="")
    findings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    @property
    def is_waiting(self) -> bool:
        """Whether somebody asked since the last look."""
        return self.looked_at is None or self.looked_at < self.asked_at

    def is_late(self, now: datetime) -> bool:
        """Whether it waits longer than a look takes."""
        return self.is_waiting and now - self.asked_at > LOOK_PATIENCE
