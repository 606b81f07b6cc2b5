"""Hearings: the body's rules, who speaks, what each speaker has to do by when."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Short, Timestamped, Words
from campaign.events.models import Event, Occurrence, ReminderState, Rsvp


class Way(StrEnum):
    """How somebody testifies."""

    IN_PERSON = "in-person"
    REMOTE = "remote"
    WRITTEN = "written"


class SpeakerState(StrEnum):
    SPEAKING = "speaking"
    WAITING = "waiting"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What became of a testimony, told afterwards."""

    NONE = ""
    SPOKE = "spoke"
    READ = "read"  # by the reader
    HANDED_IN = "handed-in"
    ABSENT = "absent"


class Hearing(Owned, Timestamped, Model):
    """What a hearing asks of its speakers. One row for each event that takes testimony."""

    __tablename__ = "hearings"

    event_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("events.id", ondelete="CASCADE"), primary_key=True
    )
    body: Mapped[Words] = mapped_column(default=Words)  # "Chicago City Council"
    rules_note: Mapped[Words] = mapped_column(default=Words)  # Markdown
    is_open: Mapped[bool] = mapped_column(default=True)  # takes speakers
    slot_count: Mapped[int | None]  # how many may speak; None: no limit
    minutes_each: Mapped[int] = mapped_column(default=3)
    most_pages: Mapped[int] = mapped_column(default=2)  # of a written statement
    ways: Mapped[list[str]] = mapped_column(JSON, default=lambda: list(Way))
    practice_event_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("events.id", ondelete="SET NULL")
    )

    event: Mapped[Event] = relationship(foreign_keys=[event_id])
    practice_event: Mapped[Event | None] = relationship(foreign_keys=[practice_event_id])


class Testimony(Owned, Timestamped, Model):
    """One speaker of one date: they have answered the event, this is what they add to it.

    Speakers are in order of `position`, those who wait in order of `waiting_since`. `reader_id`
    is plan B: another speaker who reads it out if this one cannot.
    """

    __tablename__ = "testimonies"
    __table_args__ = (
        UniqueConstraint("rsvp_id"),
        CheckConstraint("minutes > 0", name="minutes_positive"),
        Index("ix_testimonies_order", "occurrence_id", "state", "position"),
    )

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id"))
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    rsvp_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("rsvps.id"))
    state: Mapped[str] = mapped_column(String(12), default=SpeakerState.SPEAKING)
    position: Mapped[int | None]
    waiting_since: Mapped[datetime | None]
    offered_at: Mapped[datetime | None]  # when a freed slot came to them
    minutes: Mapped[int] = mapped_column(default=3)
    language: Mapped[str] = mapped_column(String(8), default="en")
    way: Mapped[str] = mapped_column(String(12), default=Way.IN_PERSON)
    topic: Mapped[Short]
    draft: Mapped[Long]
    draft_saved_at: Mapped[datetime | None]
    offers_to_read: Mapped[bool] = mapped_column(default=False)
    wants_reader: Mapped[bool] = mapped_column(default=False)
    reader_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("testimonies.id", ondelete="SET NULL")
    )
    outcome: Mapped[str] = mapped_column(String(12), default=Outcome.NONE)

    rsvp: Mapped[Rsvp | None] = relationship()
    occurrence: Mapped[Occurrence] = relationship()


class HearingTask(Owned, Model):
    """A rule of the body as something to do: from when, until when, by whom.

    `opens` and `closes` are offsets in the hearing's zone, before its start: "mon@00:01" (the
    Monday of its week), "1d@08:00" (the day before), "0d@10:00" (the day itself). `reminders`
    are offsets of the same kind at which each speaker who has not done it is reminded.
    """

    __tablename__ = "hearing_tasks"
    __table_args__ = (Index("ix_hearing_tasks_event", "event_id", "position"),)

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    title: Mapped[Words]
    text: Mapped[Words] = mapped_column(default=Words)  # Markdown
    opens: Mapped[str] = mapped_column(String(20), default="")
    closes: Mapped[str] = mapped_column(String(20), default="")
    reminders: Mapped[list[str]] = mapped_column(JSON, default=list)
    ways: Mapped[list[str]] = mapped_column(JSON, default=lambda: list(Way))  # whom it concerns
    position: Mapped[int] = mapped_column(default=0)


class TaskDone(Model):
    """A speaker has done a task."""

    __tablename__ = "hearing_tasks_done"

    testimony_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("testimonies.id", ondelete="CASCADE"), primary_key=True
    )
    task_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("hearing_tasks.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[datetime]


class TaskReminder(Owned, Model):
    """One round of e-mails about one task of one date; unique by the version of its time."""

    __tablename__ = "hearing_task_reminders"
    __table_args__ = (
        UniqueConstraint("task_id", "occurrence_id", "offset", "time_version"),
        Index("ix_hearing_task_reminders_due", "state", "due_at"),
    )

    id: Mapped[Key]
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hearing_tasks.id", ondelete="CASCADE"))
    occurrence_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("event_occurrences.id", ondelete="CASCADE")
    )
    offset: Mapped[str] = mapped_column(String(20))
    time_version: Mapped[int]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default=ReminderState.PLANNED)
    reason: Mapped[str] = mapped_column(String(80), default="")
    recipient_count: Mapped[int] = mapped_column(default=0)
    settled_at: Mapped[datetime | None]

    task: Mapped[HearingTask] = relationship()
    occurrence: Mapped[Occurrence] = relationship()
