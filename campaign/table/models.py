"""Chosen columns, and changes of many people at once."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Ids, Key, Model, Owned


class Place(StrEnum):
    """Where columns are shown."""

    TABLE = "table"
    FILE = "file"


class ChosenColumns(Model):
    """Which columns somebody wants to see, in which order: kept for each organization they work for."""

    __tablename__ = "chosen_columns"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[str] = mapped_column(String(10), primary_key=True)
    columns: Mapped[list[str]] = mapped_column(JSON)


class Act(StrEnum):
    """What is done to many people."""

    TAG = "tag"
    UNTAG = "untag"
    ENLIST = "enlist"
    UNLIST = "unlist"


class ChangeState(StrEnum):
    """Asked for, at work, done; being taken back, taken back."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class ManyChange(Owned, Model):
    """A change of many people at once, and the way back for a day.

    `target_id` is the tag or the list. Whom it meant is written into pieces when it starts (when
    `frozen_at` is set they are whole); each piece is one transaction, so that a run that was cut
    off goes on at the next. `lease_until`: how long the present run may stay silent.
    """

    __tablename__ = "many_changes"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None]
    act: Mapped[str] = mapped_column(String(10))
    target_id: Mapped[uuid.UUID]
    target_name: Mapped[str] = mapped_column(String(120), default="")
    asked: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(10), default=ChangeState.QUEUED, index=True)
    people_count: Mapped[int] = mapped_column(default=0)
    done_count: Mapped[int] = mapped_column(default=0)
    changed_count: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    frozen_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def is_working(self) -> bool:
        return self.state in {ChangeState.QUEUED, ChangeState.RUNNING, ChangeState.UNDOING}


class ChangePiece(Model):
    """Some thousands of those meant; `changed` (None: not done yet) are those it made a difference
    to, and in whom it can be taken back."""

    __tablename__ = "change_pieces"

    change_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("many_changes.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    people: Mapped[Ids]
    changed: Mapped[Ids | None]
    is_undone: Mapped[bool] = mapped_column(default=False)
