"""Messages to an audience."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, false
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


OUT = (MessageState.SENDING, MessageState.PAUSED, MessageState.STOPPED, MessageState.SENT)
"""States in which the audience is frozen and e-mails may have left."""

_NEXT: dict[MessageState, frozenset[MessageState]] = {
    MessageState.DRAFT: frozenset({MessageState.SCHEDULED, MessageState.CALCULATING}),
    MessageState.SCHEDULED: frozenset({MessageState.DRAFT, MessageState.CALCULATING}),
    MessageState.CALCULATING: frozenset({MessageState.SENDING, MessageState.STOPPED}),
    MessageState.SENDING: frozenset({MessageState.PAUSED, MessageState.STOPPED, MessageState.SENT}),
    MessageState.PAUSED: frozenset({MessageState.SENDING, MessageState.STOPPED}),
    MessageState.STOPPED: frozenset(),
    MessageState.SENT: frozenset({MessageState.SENDING}),  # "send again to these N"
}


class ChoiceKind(StrEnum):
    """By what people are chosen."""

    EVERYBODY = "everybody"
    LIST = "list"
    SEGMENT = "segment"
    PETITION = "petition"
    TAG = "tag"
    EVENT = "event"  # those who said they come, or may come
    GOT = "got"  # those who got a message
    ACTED = "acted"  # those who did what a message asked


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that people are chosen by. EVERYBODY has no id."""

    kind: ChoiceKind
    id: uuid.UUID | None = None

    @property
    def key(self) -> str:
        """How a form and the stored JSON write it: "list:0193…"."""
        return f"{self.kind}:{self.id.hex}" if self.id else str(self.kind)

    @classmethod
    def read(cls, key: str) -> Choice | None:
        """The choice of a key, or None where it says nothing."""
        kind, _, row_id = str(key).partition(":")
        try:
            found = ChoiceKind(kind)
            return cls(found, None if found is ChoiceKind.EVERYBODY else uuid.UUID(row_id))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Audience:
    """Who a message is for: all that any of `include` finds, without those `exclude` finds."""

    include: tuple[Choice, ...] = ()
    exclude: tuple[Choice, ...] = ()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Audience:
        """The audience of its JSON; what cannot be read chooses nobody."""

        def choices(name: str) -> tuple[Choice, ...]:
            rows = data.get(name)
            found = (Choice.read(key) for key in (rows if isinstance(rows, list) else ()))
            return tuple(choice for choice in found if choice is not None)

        return cls(choices("include"), choices("exclude"))

    def dump(self) -> dict[str, list[str]]:
        return {
            "include": [choice.key for choice in self.include],
            "exclude": [choice.key for choice in self.exclude],
        }

    @property
    def only_events(self) -> tuple[uuid.UUID, ...]:
        """The events, where the message goes to those who come to them and nobody else."""
        ids = tuple(choice.id for choice in self.include if choice.id is not None)
        is_so = all(choice.kind is ChoiceKind.EVENT for choice in self.include)
        return ids if is_so else ()

    @property
    def messages(self) -> set[uuid.UUID]:
        """The messages that people are chosen by: those who got one, or did what it asked."""
        kinds = (ChoiceKind.GOT, ChoiceKind.ACTED)
        choices = (*self.include, *self.exclude)
        return {choice.id for choice in choices if choice.kind in kinds and choice.id is not None}

    @property
    def only_list(self) -> uuid.UUID | None:
        """The list, where the message goes to one list and nobody else: people can leave it."""
        if len(self.include) == 1 and self.include[0].kind is ChoiceKind.LIST:
            return self.include[0].id
        return None


class Message(Owned, Timestamped, Model):
    """An e-mail to many.

    Its body is Markdown; `audience` is the JSON of an Audience. The audience is frozen in order
    of people's ids, the first of a household before the second; `frozen_slot` and `frozen_after`
    are the place up to which that is committed, written together with the rows themselves.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_due", "state", "scheduled_at"),
        Index("ix_messages_organization_id_id", "organization_id", "id"),
    )

    id: Mapped[Key]
    author_id: Mapped[uuid.UUID | None]
    name: Mapped[Short]
    subject: Mapped[str] = mapped_column(String(300), default="")
    preheader: Mapped[str] = mapped_column(String(200), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    format: Mapped[str] = mapped_column(String(10), default="markdown", server_default="markdown")
    template_id: Mapped[uuid.UUID | None]  # None: the organization's default
    from_name: Mapped[Short]
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    audience: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=MessageState.DRAFT)
    scheduled_at: Mapped[datetime | None]
    time_zone: Mapped[str] = mapped_column(String(64), default="America/Chicago")
    batch_id: Mapped[uuid.UUID | None]
    frozen_slot: Mapped[int] = mapped_column(default=1)
    frozen_after: Mapped[uuid.UUID | None]
    recipient_count: Mapped[int] = mapped_column(default=0)
    excluded: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # reason → count, frozen
    tested_at: Mapped[datetime | None]
    tested_mark: Mapped[str] = mapped_column(String(64), default="", server_default="")
    links_asked_at: Mapped[datetime | None]
    links_looked_at: Mapped[datetime | None]
    links_found: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    look_asked_by: Mapped[uuid.UUID | None]  # who asked for a second pair of eyes
    look_asked_at: Mapped[datetime | None]
    look_mark: Mapped[str] = mapped_column(String(64), default="", server_default="")
    look_note: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    agreed_by: Mapped[uuid.UUID | None]
    agreed_at: Mapped[datetime | None]
    agreed_mark: Mapped[str] = mapped_column(String(64), default="", server_default="")
    per_hour: Mapped[int | None]  # how many get it in an hour; None: as fast as it goes
    ignores_quiet: Mapped[bool] = mapped_column(default=False, server_default=false())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    def move(self, state: MessageState) -> None:
        """Go to `state`. Raises Conflict where that is not the next step."""
        if self.deleted_at is not None or state not in _NEXT[MessageState(self.state)]:
            raise Conflict
        self.state = state

    @property
    def title(self) -> str:
        """How the team calls it."""
        return self.name or self.subject

    @property
    def is_draft(self) -> bool:
        return self.state == MessageState.DRAFT

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to freeze its audience."""
        return (
            self.state == MessageState.SCHEDULED
            and self.scheduled_at is not None
            and self.scheduled_at <= now
        )

    @property
    def is_out(self) -> bool:
        """Whether its audience is frozen and e-mails may have left."""
        return self.state in OUT

    @property
    def chosen(self) -> Audience:
        return Audience.read(self.audience)

    @property
    def source(self) -> str:
        """What a signature says that came from a link in this message."""
        return f"m-{self.id.hex[-12:]}"

    @property
    def excluded_count(self) -> int:
        return sum(self.excluded.values())


class MessageLink(Model):
    """A link in a message, counted when it is followed: how often, never by whom.

    `id` derives from message and address, so that freezing twice makes one row; `words` is the
    address as it was written, `url` where it leads.
    """

    __tablename__ = "message_links"

    id: Mapped[Key]
    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int] = mapped_column(default=0)
    words: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    click_count: Mapped[int] = mapped_column(default=0)


class LinkClicks(Model):
    """How often a link was followed in a quarter of an hour, which begins at `since`.

    Quarters, so that they add up to hours in every zone of the world.
    """

    __tablename__ = "message_link_clicks"

    link_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("message_links.id", ondelete="CASCADE"), primary_key=True
    )
    since: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
