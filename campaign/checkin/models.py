"""Who came: signed in one by one, counted by the head, told afterwards."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.db import Key, Model, Owned, Short
from campaign.events.models import Occurrence, Rsvp


class SignInWay(StrEnum):
    QR = "qr"
    LIST = "list"
    DOOR = "door"  # walked in, typed at the door
    SHEET = "sheet"  # from the paper sheet, typed later


class CountWay(StrEnum):
    HAND = "hand"
    CLICKER = "clicker"
    PHOTO = "photo"  # heads counted on a picture: the number is kept, never the picture


class SignIn(Owned, Model):
    """One person (and guests) who came to a date, with or without an answer before.

    `client_key` is made by the device that signs in: sent twice, after a while offline, it is
    still one. Undone is kept, so that a sync that comes late does not bring it back. `settled_at`
    is when the person was found and the boxes ticked went into the ledger: some minutes later,
    so that a slip of the thumb agrees for nobody.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (
        UniqueConstraint("occurrence_id", "client_key"),
        Index(
            "uq_sign_ins_rsvp",
            "rsvp_id",
            unique=True,
            postgresql_where=text("rsvp_id IS NOT NULL"),
            sqlite_where=text("rsvp_id IS NOT NULL"),
        ),
        CheckConstraint("guests >= 0", name="guests_not_negative"),
        Index("ix_sign_ins_occurrence", "occurrence_id", "undone_at"),
        Index("ix_sign_ins_person", "person_id"),
        Index("ix_sign_ins_address", "address_hash"),
        Index(
            "ix_sign_ins_unsettled",
            "received_at",
            postgresql_where=text("settled_at IS NULL"),
            sqlite_where=text("settled_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id"))
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    rsvp_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("rsvps.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"))
    client_key: Mapped[str] = mapped_column(String(40))
    way: Mapped[str] = mapped_column(String(8))
    guests: Mapped[int] = mapped_column(default=0)
    first_name: Mapped[Short]
    last_name: Mapped[Short]
    email: Mapped[str | None] = mapped_column(String(254))
    address_hash: Mapped[str | None] = mapped_column(String(64))
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    wordings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    sheet_line: Mapped[str] = mapped_column(String(40), default="")  # "2/14": sheet 2, line 14
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    user_id: Mapped[uuid.UUID | None]
    undone_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]

    rsvp: Mapped[Rsvp | None] = relationship()
    occurrence: Mapped[Occurrence] = relationship()

    @property
    def party(self) -> int:
        """How many came: the person and their guests."""
        return 1 + self.guests

    @property
    def is_undone(self) -> bool:
        return self.undone_at is not None

    @property
    def name(self) -> str:
        """As it was given at the door, else as it was given with the answer."""
        who = self if self.first_name or self.rsvp is None else self.rsvp
        return f"{who.first_name} {who.last_name}".strip()


class HeadCount(Owned, Model):
    """Heads in the room at one moment. The highest one is cited."""

    __tablename__ = "head_counts"
    __table_args__ = (
        Index("ix_head_counts_occurrence", "occurrence_id"),
        CheckConstraint("count >= 0", name="count_not_negative"),
    )

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    count: Mapped[int]
    way: Mapped[str] = mapped_column(String(8), default=CountWay.HAND)
    note: Mapped[Short]
    at: Mapped[datetime]
    user_id: Mapped[uuid.UUID | None]
    removed_at: Mapped[datetime | None]


class CameAnswer(Owned, Model):
    """What somebody answered to "did you come?": told by themselves, kept apart from sign-ins."""

    __tablename__ = "came_answers"

    rsvp_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("rsvps.id", ondelete="CASCADE"), primary_key=True
    )
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"), index=True)
    has_come: Mapped[bool]
    feedback: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime]
