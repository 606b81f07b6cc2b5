"""Messages to an audience."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Model, Owned, Short, Timestamped
from campaign.errors import Conflict


class MessageState(StrEnum):
    """OSDI's words, and `paused`, which an organizer can resume."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    CALCULATING = "calculating"
    SENDING = "sending"
    PAUSED = "paused"
    STOPPED = "stopped"
    SENT = "sent"


_NEXT: dict[MessageState, frozenset[MessageState]] = {
    MessageState.DRAFT: frozenset({MessageState.SCHEDULED, MessageState.CALCULATING}),
    MessageState.SCHEDULED: frozenset({MessageState.DRAFT, MessageState.CALCULATING}),
    MessageState.CALCULATING: frozenset({MessageState.SENDING, MessageState.STOPPED}),
    MessageState.SENDING: frozenset({MessageState.PAUSED, MessageState.STOPPED, MessageState.SENT}),
    MessageState.PAUSED: frozenset({MessageState.SENDING, MessageState.STOPPED}),
    MessageState.STOPPED: frozenset(),
    MessageState.SENT: frozenset(),
}


class Message(Owned, Timestamped, Model):
    """An e-mail to many. Its body is Markdown; `audience` names lists, segments and petitions."""

    __tablename__ = "messages"
    __table_args__ = (Index("ix_messages_due", "state", "scheduled_at"),)

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("campaigns.id"), index=True)
    author_id: Mapped[uuid.UUID | None]
    name: Mapped[Short]
    subject: Mapped[str] = mapped_column(String(300), default="")
    preheader: Mapped[str] = mapped_column(String(200), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    from_name: Mapped[Short]
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    audience: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=MessageState.DRAFT)
    scheduled_at: Mapped[datetime | None]
    time_zone: Mapped[str] = mapped_column(String(64), default="America/Chicago")
    batch_id: Mapped[uuid.UUID | None]
    excluded: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # reason → count, frozen
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def move(self, state: MessageState) -> None:
        """Go to `state`. Raises Conflict where that is not the next step."""
        if state not in _NEXT[MessageState(self.state)]:
            raise Conflict
        self.state = state


class MessageLink(Model):
    """A link in a message, counted when it is followed: how often, never by whom."""

    __tablename__ = "message_links"

    id: Mapped[Key]
    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    url: Mapped[str] = mapped_column(Text)
    click_count: Mapped[int] = mapped_column(default=0)
