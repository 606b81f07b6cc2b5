"""Messages to an audience."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship
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


@dataclass(frozen=True, slots=True)
class Wording:
    """What readers see of a message, or of one of its variants."""

    subject: str
    preheader: str
    body: str
    from_name: str


class Message(Owned, Timestamped, Model):
    """An e-mail to many.

    With a `contest` a part of the audience is written to first, in several variants, and the rest
    gets the best of them: then each variant has a batch of its own, and `batch_id` is the rest's,
    None until it is decided. `queries.batch_ids` names them all.

    Its body is Markdown; `audience` is the JSON of an Audience. The first of each household are
    frozen before the second: `frozen_slot` says of whom slices were planned last, 0 for nobody yet.
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
    frozen_slot: Mapped[int] = mapped_column(default=0)
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
    sent_by: Mapped[uuid.UUID | None]  # who pressed the button: they hear when something is wrong
    told: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    """What they were told by e-mail, and when: once each, until somebody lets it go on."""

    contest: Mapped[Contest | None] = relationship(
        back_populates="message", uselist=False, cascade="all, delete-orphan"
    )

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

    @property
    def is_paused(self) -> bool:
        return self.state == MessageState.PAUSED

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
        """What a signature or an answer to an event says that came from a link in this message;
        through a variant's it is `Variant.source`: this and its letter, "m-0123456789ab-b"."""
        return f"m-{self.id.hex[-12:]}"

    @property
    def sources(self) -> tuple[str, ...]:
        """All that may come from this message, whether it has variants or not."""
        return (self.source, *(f"{self.source}-{letter}" for letter in LETTERS))

    @property
    def wording(self) -> Wording:
        return Wording(self.subject, self.preheader, self.body, self.from_name)

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """All that anybody may read: of its variants, or its own."""
        if self.contest is None:
            return (self.wording,)
        return tuple(variant.wording for variant in self.contest.variants)

    @property
    def excluded_count(self) -> int:
        return sum(self.excluded.values())


LETTERS = "abcdef"
FEWEST_VARIANTS = 2
MOST_VARIANTS = len(LETTERS)


class Measure(StrEnum):
    """By what variants are compared."""

    ACTIONS = "actions"  # signatures and answers to events that came through its links
    CLICKS = "clicks"
    UNSUBSCRIBES = "unsubscribes"  # the fewest


class Unit(StrEnum):
    """How the size of the test is given."""

    PERCENT = "percent"
    PEOPLE = "people"


class ContestState(StrEnum):
    """How far the variants are. The message itself is `sending` until it is over."""

    PLANNED = "planned"
    TESTING = "testing"  # the variants are on their way or there, and nothing is decided
    DECIDED = "decided"  # the rest waits for its turn, or is being frozen
    OVER = "over"  # the rest is in the outbox
    STOPPED = "stopped"


_NEXT_CONTEST: dict[ContestState, frozenset[ContestState]] = {
    ContestState.PLANNED: frozenset({ContestState.TESTING, ContestState.STOPPED}),
    ContestState.TESTING: frozenset({ContestState.DECIDED, ContestState.STOPPED}),
    ContestState.DECIDED: frozenset({ContestState.OVER, ContestState.STOPPED}),
    ContestState.OVER: frozenset({ContestState.STOPPED}),
    ContestState.STOPPED: frozenset(),
}


class Verdict(StrEnum):
    """How it was decided."""

    CLEAR = "clear"  # one did better than each of the others
    CLOSE = "close"  # too little between some: the first of those went
    NOTHING = "nothing"  # nobody did anything: the first went
    ALONE = "alone"  # all others had been stopped
    CHOSEN = "chosen"  # somebody of the team chose


class VariantState(StrEnum):
    """How a variant stands."""

    PLANNED = "planned"
    RUNNING = "running"
    STOPPED = "stopped"  # by itself: too many complaints or returns. It cannot win
    WON = "won"
    LOST = "lost"


_NEXT_VARIANT: dict[VariantState, frozenset[VariantState]] = {
    VariantState.PLANNED: frozenset({VariantState.RUNNING}),
    VariantState.RUNNING: frozenset({VariantState.STOPPED, VariantState.WON, VariantState.LOST}),
    VariantState.STOPPED: frozenset({VariantState.RUNNING, VariantState.LOST}),
    VariantState.WON: frozenset(),
    VariantState.LOST: frozenset(),
}


class Contest(Model):
    """The A/B test of a message: how many test, what decides, and what came of it.

    Who tests is drawn by a hash of their address and the message (`contests.draw`): `bounds` are
    the draws up to which each variant's group goes, in the order of the letters, fixed with the
    first step of freezing. `frozen_part` is the variant whose group is being frozen.

    What it came to: `winner_id`, `verdict`, and `numbers`, the figures by letter at the moment
    in which it was decided (`standing.Figures` as JSON). The figures of now are in
    `standing.figures(message)`.
    """

    __tablename__ = "message_contests"
    __table_args__ = (CheckConstraint("size > 0", name="size_positive"),)

    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
    )
    state: Mapped[str] = mapped_column(String(12), default=ContestState.PLANNED)
    size: Mapped[int] = mapped_column(default=20)
    unit: Mapped[str] = mapped_column(String(8), default=Unit.PERCENT)
    measure: Mapped[str] = mapped_column(String(12), default=Measure.ACTIONS)
    hours: Mapped[int] = mapped_column(default=4)
    is_automatic: Mapped[bool] = mapped_column(default=True)
    bounds: Mapped[list[str]] = mapped_column(JSON, default=list)
    frozen_part: Mapped[int] = mapped_column(default=0)
    audience_count: Mapped[int] = mapped_column(default=0)  # readers in all when it was drawn
    decide_at: Mapped[datetime | None]
    held_since: Mapped[datetime | None]  # paused: its clock stands still
    decided_at: Mapped[datetime | None]
    verdict: Mapped[str] = mapped_column(String(12), default="")
    winner_id: Mapped[uuid.UUID | None]
    numbers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    rest_at: Mapped[datetime | None]  # when the rest's turn begins: not at night

    message: Mapped[Message] = relationship(back_populates="contest")
    variants: Mapped[list[Variant]] = relationship(
        back_populates="contest", order_by="Variant.letter", cascade="all, delete-orphan"
    )

    def move(self, state: ContestState) -> None:
        """Go to `state`. Raises Conflict where that is not the next step."""
        if state not in _NEXT_CONTEST[ContestState(self.state)]:
            raise Conflict
        self.state = state

    @property
    def is_open(self) -> bool:
        """Whether more is to come: a decision, or the rest."""
        return self.state in {ContestState.TESTING, ContestState.DECIDED}

    @property
    def is_testing(self) -> bool:
        return self.state == ContestState.TESTING

    @property
    def running(self) -> list[Variant]:
        """The variants that may still win."""
        return [variant for variant in self.variants if variant.state == VariantState.RUNNING]

    @property
    def winner(self) -> Variant | None:
        return next((row for row in self.variants if row.id == self.winner_id), None)

    def variant(self, letter: str) -> Variant | None:
        return next((row for row in self.variants if row.letter == letter), None)

    def hold(self, now: datetime) -> None:
        """Its clock stands still: the message is paused."""
        if self.held_since is None:
            self.held_since = now

    def go_on(self, now: datetime) -> None:
        """Its clock goes on, later by as long as it stood."""
        if self.held_since is None:
            return
        stood = max(timedelta(), now - self.held_since)
        self.held_since = None
        if self.is_testing and self.decide_at is not None:
            self.decide_at += stood


class Variant(Model):
    """One wording that is tried: what is empty is the message's own.

    Its group has a batch of its own (`batch_id`), its links count for it alone
    (`MessageLink.variant_id`), and what came through them carries its `source`. The rest, who get
    the winner later, count for the message: links without a variant, `Message.source`.
    """

    __tablename__ = "message_variants"
    __table_args__ = (UniqueConstraint("message_id", "letter"),)

    id: Mapped[Key]
    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("message_contests.message_id", ondelete="CASCADE")
    )
    letter: Mapped[str] = mapped_column(String(1))
    own_subject: Mapped[str] = mapped_column(String(300), default="")
    own_preheader: Mapped[str] = mapped_column(String(200), default="")
    own_body: Mapped[str] = mapped_column(Text, default="")
    own_from_name: Mapped[Short]
    state: Mapped[str] = mapped_column(String(12), default=VariantState.PLANNED)
    stopped_for: Mapped[str] = mapped_column(String(20), default="")  # "complaints" or "returns"
    stopped_at: Mapped[datetime | None]
    forgiven: Mapped[int] = mapped_column(default=0)  # harm it had done when it was let go on
    batch_id: Mapped[uuid.UUID | None]
    rest_content_id: Mapped[uuid.UUID | None]  # its letter for the rest, frozen with its own
    recipient_count: Mapped[int] = mapped_column(default=0)

    contest: Mapped[Contest] = relationship(back_populates="variants")

    def move(self, state: VariantState) -> None:
        """Go to `state`. Raises Conflict where that is not the next step."""
        if state not in _NEXT_VARIANT[VariantState(self.state)]:
            raise Conflict
        self.state = state

    @property
    def name(self) -> str:
        """How people call it: "A"."""
        return self.letter.upper()

    @property
    def is_stopped(self) -> bool:
        return self.state == VariantState.STOPPED

    @property
    def source(self) -> str:
        """What a signature or an answer says that came from a link in this variant's letter."""
        return f"{self.contest.message.source}-{self.letter}"

    @property
    def wording(self) -> Wording:
        """What its readers see."""
        own = self.contest.message.wording
        return Wording(
            self.own_subject or own.subject,
            self.own_preheader or own.preheader,
            self.own_body or own.body,
            self.own_from_name or own.from_name,
        )


class MessageLink(Model):
    """A link in a message, counted when it is followed: how often, never by whom.

    `id` derives from message (or variant) and address, so that freezing twice makes one row;
    `words` is the address as it was written, `url` where it leads. `variant_id` says whose letter
    it is in; None is the letter of a message without variants, and the rest's of one with them.
    """

    __tablename__ = "message_links"

    id: Mapped[Key]
    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    variant_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("message_variants.id", ondelete="CASCADE")
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
