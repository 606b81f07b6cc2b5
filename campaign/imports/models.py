"""Files of people that are brought in."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Short
from campaign.errors import Conflict


class ImportState(StrEnum):
    """A file is uploaded (draft), its columns are named (queued), its rows are worked in."""

    DRAFT = "draft"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Import(Owned, Model):
    """A file of people brought in: who, on what basis, and what became of its rows.

    The counts and `report_size` (bytes) are committed with the rows they count, so that a run
    that was cut off goes on exactly where it stood. `lease_until` is how long the present run
    may stay silent before another takes over.
    """

    __tablename__ = "imports"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None]
    filename: Mapped[Short]
    path: Mapped[str] = mapped_column(String(300), default="")
    basis: Mapped[Long]
    list_id: Mapped[uuid.UUID | None]
    mapping: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=ImportState.DRAFT, index=True)
    row_count: Mapped[int] = mapped_column(default=0)
    added_count: Mapped[int] = mapped_column(default=0)
    updated_count: Mapped[int] = mapped_column(default=0)
    unchanged_count: Mapped[int] = mapped_column(default=0)
    refused_count: Mapped[int] = mapped_column(default=0)
    done_count: Mapped[int] = mapped_column(default=0)
    suppressed_count: Mapped[int] = mapped_column(default=0)
    report_path: Mapped[str] = mapped_column(String(300), default="")
    report_size: Mapped[int] = mapped_column(default=0)
    failure: Mapped[Short]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    def start(self) -> None:
        """draft → queued: the columns are named. Raises Conflict otherwise."""
        if self.state != ImportState.DRAFT:
            raise Conflict
        self.state = ImportState.QUEUED

    @property
    def is_over(self) -> bool:
        return self.state in {ImportState.DONE, ImportState.FAILED}
