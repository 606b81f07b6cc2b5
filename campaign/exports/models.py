"""Exports and whom each one held."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Model, Owned, Short


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class Export(Owned, Model):
    """A file of supporters for `organization_id`; 24 hours after it is ready it is gone."""

    __tablename__ = "exports"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None]
    kind: Mapped[str] = mapped_column(String(20), default="partner")  # or "people"
    campaign_id: Mapped[uuid.UUID | None]
    reason: Mapped[Short]
    filters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    format: Mapped[str] = mapped_column(String(10), default="csv")
    state: Mapped[str] = mapped_column(String(20), default=ExportState.QUEUED)
    row_count: Mapped[int] = mapped_column(default=0)
    expected_count: Mapped[int] = mapped_column(default=0)
    checksum: Mapped[str] = mapped_column(String(64), default="")
    path: Mapped[str] = mapped_column(String(300), default="")
    failure: Mapped[Short]
    download_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class ExportedPerson(Model):
    """Whom an export held, so that a later withdrawal knows which files to call back."""

    __tablename__ = "exported_people"

    export_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("exports.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
