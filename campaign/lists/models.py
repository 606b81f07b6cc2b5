"""Lists, segments, and what they know of messages."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Timestamped


class List(Owned, Timestamped, Model):
    """People put together by hand or by an import.

    A deleted list finds nobody and can be taken back for a month; its name is free at once.
    """

    __tablename__ = "lists"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(String(120))
    description: Mapped[Long]
    deleted_at: Mapped[datetime | None]


class ListMember(Model):
    """Who is on a list."""

    __tablename__ = "list_members"

    list_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime]


class Segment(Owned, Timestamped, Model):
    """A saved question. `rules` is the JSON of a `lists.rules.Group`. Deleted as a List is."""

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(String(120))
    rules: Mapped[dict[str, Any]] = mapped_column(JSON)
    deleted_at: Mapped[datetime | None]


class AskKind(StrEnum):
    """What a link in a message leads to, where somebody can do something."""

    PETITION = "petition"
    EVENT = "event"
    DATE = "date"  # one date of an event
    CAMPAIGN = "campaign"


class MailedMessage(Owned, Model):
    """A message that went out, as far as segments need to know it: "got it", "did what it asked".

    `mailings/` writes it when the audience is whole; the id is the message's.
    """

    __tablename__ = "mailed_messages"
    __table_args__ = (Index("ix_mailed_messages_organization", "organization_id", "sent_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[uuid.UUID] = mapped_column()  # found by the index above
    name: Mapped[str] = mapped_column(String(300))
    sent_at: Mapped[datetime]


class MailedAsk(Model):
    """Something of the organization's own that a link in a message leads to."""

    __tablename__ = "mailed_asks"

    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("mailed_messages.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    thing_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
