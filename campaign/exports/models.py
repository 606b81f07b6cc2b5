"""Exports and whom each one held."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Ids, Key, Model, Owned, Short, Timestamped


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class ExportKind(StrEnum):
    """Whom a file is for."""

    PARTNER = "partner"  # supporters of another organization who agreed to hear from this one
    PEOPLE = "people"  # the organization's own


class Export(Owned, Timestamped, Model):
    """A file of supporters for `organization_id`; 24 hours after it is ready it is gone.

    `lead_id` is whose people they are. `lease_until` is how long the present run may stay silent
    before another takes over; a run always begins anew, in a file that nobody can fetch yet.
    """

    __tablename__ = "exports"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None]
    lead_id: Mapped[uuid.UUID] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(20), default=ExportKind.PARTNER)
    campaign_id: Mapped[uuid.UUID | None]
    reason: Mapped[Short]
    filters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    columns: Mapped[list[str]] = mapped_column(JSON, default=list)  # of one's own people
    is_sensitive: Mapped[bool] = mapped_column(default=False)
    format: Mapped[str] = mapped_column(String(10), default="csv")
    state: Mapped[str] = mapped_column(String(20), default=ExportState.QUEUED, index=True)
    row_count: Mapped[int] = mapped_column(default=0)
    expected_count: Mapped[int] = mapped_column(default=0)
    checksum: Mapped[str] = mapped_column(String(64), default="")
    path: Mapped[str] = mapped_column(String(300), default="")
    failure: Mapped[Short]
    download_count: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    def can_be_fetched(self, now: datetime) -> bool:
        """Whether the file is whole and its day is not over."""
        return (
            self.state == ExportState.READY
            and self.expires_at is not None
            and now < self.expires_at
        )

    @property
    def is_building(self) -> bool:
        return self.state in {ExportState.QUEUED, ExportState.RUNNING}


class ExportedPerson(Model):
    """Whom a partner's export held, so that a later withdrawal knows which files to call back.

    `consent_id` is the ledger's line that was in force: the snapshot an auditor asks for.
    """

    __tablename__ = "exported_people"

    export_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("exports.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    consent_id: Mapped[uuid.UUID | None]


class ExportedPiece(Model):
    """Some thousands of those whom an export of one's own people holds, in the order of their ids.

    A row each would cost more than the whole file.
    """

    __tablename__ = "exported_pieces"
    __table_args__ = (Index("ix_exported_pieces_between", "first_id", "last_id"),)

    export_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("exports.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    first_id: Mapped[uuid.UUID]
    last_id: Mapped[uuid.UUID]
    people: Mapped[Ids]
