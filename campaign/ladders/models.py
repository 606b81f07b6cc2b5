"""Ladders, their steps, who is on them, and what an organizer is asked to do."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.accounts.models import User
from campaign.db import Key, Model, Owned, Timestamped
from campaign.errors import Conflict


class LadderState(StrEnum):
    DRAFT = "draft"
    ON = "on"
    PAUSED = "paused"  # nobody enters and nobody moves; all keep their place
    OFF = "off"  # nobody enters; those inside go on to their end


_NEXT: dict[LadderState, frozenset[LadderState]] = {
    LadderState.DRAFT: frozenset({LadderState.ON}),
    LadderState.ON: frozenset({LadderState.PAUSED, LadderState.OFF}),
    LadderState.PAUSED: frozenset({LadderState.ON, LadderState.OFF}),
    LadderState.OFF: frozenset({LadderState.ON}),
}


class Trigger(StrEnum):
    """What somebody did to take the first step."""

    SIGNED = "signed"  # a petition, and confirmed it
    COMING = "coming"  # said they come to an event, or may come
    ATTENDED = "attended"  # signed in
    MISSED = "missed"  # said they come, and did not sign in where others did
    TAGGED = "tagged"
    LISTED = "listed"
    CONSENTED = "consented"  # to e-mail from the organization


class StepKind(StrEnum):
    WAIT = "wait"
    WAIT_DAY = "wait-day"
    WAIT_EVENT = "wait-event"
    IF = "if"
    SEND = "send"
    TAG = "tag"
    LIST_ADD = "list-add"
    LIST_REMOVE = "list-remove"
    FOLLOW_UP = "follow-up"
    STOP = "stop"


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


class Ladder(Owned, Timestamped, Model):
    """Steps that somebody goes through after what `trigger` names.

    `trigger_id` is the petition, event, tag or list; None means any. Only what happens from
    `on_at` on counts. `looked_until` is the moment of the last round that found everybody: the
    next one looks from a while before it. Whoever changes the ladder, its steps or its people
    holds this row, so that rounds and editors take turns.
    """

    __tablename__ = "ladders"
    __table_args__ = (Index("ix_ladders_state", "state"),)

    id: Mapped[Key]
    author_id: Mapped[uuid.UUID | None]
    name: Mapped[str] = mapped_column(String(120))
    state: Mapped[str] = mapped_column(String(12), default=LadderState.DRAFT)
    trigger: Mapped[str] = mapped_column(String(12))
    trigger_id: Mapped[uuid.UUID | None]
    may_repeat: Mapped[bool] = mapped_column(default=False)
    on_at: Mapped[datetime | None]
    looked_until: Mapped[datetime | None]
    entered_count: Mapped[int] = mapped_column(default=0)
    done_count: Mapped[int] = mapped_column(default=0)
    stopped_count: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]

    def move(self, state: LadderState) -> None:
        """Go to `state`. Raises Conflict where that is not the next one."""
        if self.deleted_at is not None or state not in _NEXT[LadderState(self.state)]:
            raise Conflict
        self.state = state

    @property
    def is_on(self) -> bool:
        return self.state == LadderState.ON

    @property
    def is_moving(self) -> bool:
        """Whether those inside go on."""
        return self.state in {LadderState.ON, LadderState.OFF} and self.deleted_at is None


class LadderStep(Timestamped, Model):
    """One step. Its id is somebody's place, so it stays the same wherever the step is moved.

    `details` is the JSON of `rules.Details`. A deleted step keeps its counts and can be taken
    back; nobody stands on it. `passed_over` counts by reason whom the step did nothing for.
    """

    __tablename__ = "ladder_steps"
    __table_args__ = (Index("ix_ladder_steps_ladder", "ladder_id", "position"),)

    id: Mapped[Key]
    ladder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ladders.id", ondelete="CASCADE"))
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(String(12))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    entered_count: Mapped[int] = mapped_column(default=0)
    done_count: Mapped[int] = mapped_column(default=0)
    left_count: Mapped[int] = mapped_column(default=0)  # whose way ended here
    passed_over: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    deleted_at: Mapped[datetime | None]


class LadderRun(Owned, Model):
    """One person's way through a ladder, from one occasion.

    `occasion` names the row below that brought them in, `turn` counts their times through: the
    two constraints are what makes an occasion count once, and a person once unless allowed.
    `step_id` is where they stand, `wakes_at` when to look at them again; `due_at` is until when
    they wait, for people to read.
    """

    __tablename__ = "ladder_runs"
    __table_args__ = (
        UniqueConstraint("ladder_id", "occasion"),
        UniqueConstraint("ladder_id", "person_id", "turn"),
        Index(
            "ix_ladder_runs_due",
            "ladder_id",
            "wakes_at",
            postgresql_where=text("state = 'running'"),
            sqlite_where=text("state = 'running'"),
        ),
        Index("ix_ladder_runs_step", "step_id", "state"),
        Index("ix_ladder_runs_person", "person_id"),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID] = mapped_column()  # found by ladder or person
    ladder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ladders.id", ondelete="CASCADE"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    occasion: Mapped[str] = mapped_column(String(100))
    turn: Mapped[int] = mapped_column(default=1)
    occurrence_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("event_occurrences.id"))
    entered_at: Mapped[datetime]
    step_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ladder_steps.id"))
    arrived_at: Mapped[datetime]
    wakes_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(12), default=RunState.RUNNING)
    reason: Mapped[str] = mapped_column(String(40), default="")
    ended_at: Mapped[datetime | None]


class FollowUp(Owned, Model):
    """Something the team is asked to do about a person: by a ladder, one for each run and step, or
    by one of them. Without `assignee_id` it is anybody's."""

    __tablename__ = "follow_ups"
    __table_args__ = (
        UniqueConstraint("run_id", "step_id"),
        Index(
            "ix_follow_ups_open",
            "organization_id",
            "due_at",
            postgresql_where=text("done_at IS NULL"),
            sqlite_where=text("done_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID] = mapped_column()  # the partial index finds it
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ladder_runs.id"))
    step_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ladder_steps.id"))
    text: Mapped[str] = mapped_column(Text)
    assignee_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    asked_by: Mapped[uuid.UUID | None]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    done_by: Mapped[uuid.UUID | None]

    assignee: Mapped[User | None] = relationship()
