"""Files of people that are brought in."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Short
from campaign.errors import Conflict


class ImportState(StrEnum):
    """A file is uploaded and read through once (reading), its columns are named (draft), its rows
    are worked in (queued, running) until somebody stops that, it fails or all are in."""

    READING = "reading"
    DRAFT = "draft"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


WAITING = (ImportState.READING, ImportState.QUEUED, ImportState.RUNNING)
"""A worker has it, or is to have it."""


class Import(Owned, Model):
    """A file of people brought in: who, on what basis, and what became of its rows.

    The counts and `report_size` (bytes) are committed with the rows they count, so that a run
    that was cut off goes on exactly where it stood. `lease_until` is how long the present run
    may stay silent before another takes over. A trial (`is_trial`) reads all rows and saves none;
    what it came to stands in `trial`, and the import is a draft again.
    """

    __tablename__ = "imports"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None]
    filename: Mapped[Short]
    path: Mapped[str] = mapped_column(String(300), default="")
    basis: Mapped[Long]
    list_id: Mapped[uuid.UUID | None]
    source: Mapped[str] = mapped_column(String(80), default="")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    mapping: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=ImportState.DRAFT, index=True)
    is_trial: Mapped[bool] = mapped_column(default=False)
    trial: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
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
    begun_at: Mapped[datetime | None]  # the present run, which began after `begun_count` rows
    begun_count: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None]

    def take_as_read(self, path: str, row_count: int) -> None:
        """reading → draft: the file is a table of so many rows. Raises Conflict otherwise."""
        if self.state != ImportState.READING:
            raise Conflict
        self.path, self.row_count = path, row_count
        self.state, self.lease_until = ImportState.DRAFT, None

    def start(self, *, is_trial: bool = False) -> None:
        """draft → queued: the columns are named. Raises Conflict otherwise."""
        if self.state != ImportState.DRAFT:
            raise Conflict
        self.is_trial = is_trial
        self.state = ImportState.QUEUED

    def stop(self) -> None:
        """queued, running → stopped (a trial: a draft again). Raises Conflict otherwise."""
        if self.state not in {ImportState.QUEUED, ImportState.RUNNING}:
            raise Conflict
        self.state = ImportState.STOPPED
        self.lease_until = None
        if self.is_trial:
            self.end_trial()

    def go_on(self) -> None:
        """stopped → queued, where it stood. Raises Conflict otherwise, and without its file."""
        if self.state != ImportState.STOPPED or not self.path:
            raise Conflict
        self.state = ImportState.QUEUED

    def end_trial(self) -> None:
        """A trial is over, whole or not: what it came to is kept, and nothing else of it."""
        self.trial = {
            "rows": self.done_count,
            "is_whole": self.done_count >= self.row_count,
            **{name: getattr(self, f"{name}_count") for name in COUNTED},
        }
        for name in (*COUNTED, "done"):
            setattr(self, f"{name}_count", 0)
        self.is_trial, self.report_size = False, 0
        self.state, self.lease_until = ImportState.DRAFT, None

    @property
    def is_over(self) -> bool:
        return self.state in {ImportState.DONE, ImportState.FAILED}

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    def seconds_left(self, now: datetime) -> int | None:
        """How long the rest takes at the pace of this run; None where nobody can tell yet."""
        if self.begun_at is None or self.state != ImportState.RUNNING or not self.row_count:
            return None
        done = self.done_count - self.begun_count
        took = (now - self.begun_at).total_seconds()
        if done <= 0 or took < 1:
            return None
        return round(took / done * max(self.row_count - self.done_count, 0))


COUNTED = ("added", "updated", "unchanged", "refused", "suppressed")


class ImportMapping(Model):
    """What an organization said that the columns of such a file hold; offered the next time.

    `header_key` is the hash of the headings as they are compared, in their order.
    """

    __tablename__ = "import_mappings"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organizations.id"), primary_key=True
    )
    header_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    mapping: Mapped[dict[str, Any]] = mapped_column(JSON)
    used_at: Mapped[datetime]
