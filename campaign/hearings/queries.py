"""What is asked about hearings and their speakers."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, String, and_, cast, exists, func, or_, select
from sqlalchemy.orm import contains_eager, joinedload

from campaign.db import db
from campaign.errors import NotFound
from campaign.events.models import (
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
    ReminderState,
    Rsvp,
    RsvpState,
)
from campaign.hearings.models import (
    Hearing,
    HearingTask,
    SpeakerState,
    TaskDone,
    TaskReminder,
    Testimony,
)
from campaign.hearings.rules import ALOUD

# --- hearings and their tasks ------------------------------------------------------------------


def hearing_of(event_id: uuid.UUID) -> Hearing | None:
    """What a hearing asks of its speakers; None where testimony was not switched on."""
    return db.session.get(Hearing, event_id)


def tasks_of(event_id: uuid.UUID) -> list[HearingTask]:
    """The rules of the body as things to do, in the order they were written."""
    return list(
        db.session.scalars(
            select(HearingTask)
            .where(HearingTask.event_id == event_id)
            .order_by(HearingTask.position, HearingTask.id)
        )
    )


def task_of(organization_id: uuid.UUID, task_id: uuid.UUID) -> HearingTask:
    """A task of this organization. Raises NotFound for another's and unknown ones."""
    task = db.session.scalar(
        select(HearingTask).where(
            HearingTask.id == task_id, HearingTask.organization_id == organization_id
        )
    )
    if task is None:
        raise NotFound
    return task


def practice_events(organization_id: uuid.UUID, event: Event) -> list[Event]:
    """Events that could be the practice session of this one: of the same campaign, not over."""
    return list(
        db.session.scalars(
            select(Event)
            .where(
                Event.organization_id == organization_id,
                Event.campaign_id == event.campaign_id,
                Event.id != event.id,
                Event.state != EventState.CANCELLED,
            )
            .order_by(Event.starts_wall.desc())
            .limit(100)
        )
    )


# --- speakers ----------------------------------------------------------------------------------


def _with_rsvp() -> Select[Testimony]:
    return (
        select(Testimony)
        .join(Rsvp, Rsvp.id == Testimony.rsvp_id)
        .options(contains_eager(Testimony.rsvp), joinedload(Testimony.occurrence))
    )


def testimony_of(organization_id: uuid.UUID, testimony_id: uuid.UUID) -> Testimony:
    """A speaker of this organization. Raises NotFound for another's and unknown ones."""
    testimony = db.session.scalar(
        _with_rsvp().where(
            Testimony.id == testimony_id, Testimony.organization_id == organization_id
        )
    )
    if testimony is None:
        raise NotFound
    return testimony


def testimony_by_rsvp(rsvp_id: uuid.UUID) -> Testimony | None:
    """What somebody who answered added to it as a speaker."""
    return db.session.scalar(_with_rsvp().where(Testimony.rsvp_id == rsvp_id))


def speakers(occurrence_id: uuid.UUID) -> list[Testimony]:
    """Who speaks, in order, and after them the written statements as they came."""
    rows = db.session.scalars(
        _with_rsvp()
        .where(Testimony.occurrence_id == occurrence_id, Testimony.state == SpeakerState.SPEAKING)
        .order_by(Testimony.position.is_(None), Testimony.position, Testimony.id)
    ).all()
    return [row for row in rows if row.way in ALOUD] + [row for row in rows if row.way not in ALOUD]


def waiting(occurrence_id: uuid.UUID) -> list[Testimony]:
    """Who waits for a slot, the longest first."""
    return list(
        db.session.scalars(
            _with_rsvp()
            .where(
                Testimony.occurrence_id == occurrence_id, Testimony.state == SpeakerState.WAITING
            )
            .order_by(Testimony.waiting_since, Testimony.id)
        )
    )


def place_in_line(testimony: Testimony) -> int:
    """Which place somebody has among those who wait, from 1; 0 for those who do not."""
    if testimony.state != SpeakerState.WAITING:
        return 0
    ids = db.session.scalars(
        select(Testimony.id)
        .where(
            Testimony.occurrence_id == testimony.occurrence_id,
            Testimony.state == SpeakerState.WAITING,
        )
        .order_by(Testimony.waiting_since, Testimony.id)
    ).all()
    return list(ids).index(testimony.id) + 1


def slots_taken(occurrence_id: uuid.UUID) -> int:
    """How many slots of a date are taken."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Testimony.occurrence_id == occurrence_id,
                Testimony.state == SpeakerState.SPEAKING,
                Testimony.way.in_(ALOUD),
            )
        )
        or 0
    )


def done_by(testimony_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, set[uuid.UUID]]:
    """Testimony → the tasks its speaker has done."""
    found: dict[uuid.UUID, set[uuid.UUID]] = {one: set() for one in testimony_ids}
    rows = db.session.execute(
        select(TaskDone.testimony_id, TaskDone.task_id).where(
            TaskDone.testimony_id.in_(testimony_ids)
        )
    )
    for testimony_id, task_id in rows:
        found[testimony_id].add(task_id)
    return found


def readings_of(testimony: Testimony) -> list[Testimony]:
    """Whom a speaker reads for, if they cannot speak themselves."""
    return list(
        db.session.scalars(
            _with_rsvp()
            .where(Testimony.reader_id == testimony.id, Testimony.state == SpeakerState.SPEAKING)
            .order_by(Testimony.id)
        )
    )


def possible_readers(testimony: Testimony) -> list[Testimony]:
    """Who offered to read and could for this speaker: same language first, fewest readings first."""
    rows = db.session.execute(
        select(Testimony.reader_id, func.count())
        .where(
            Testimony.occurrence_id == testimony.occurrence_id,
            Testimony.reader_id.is_not(None),
            Testimony.state == SpeakerState.SPEAKING,
            Testimony.id != testimony.id,
        )
        .group_by(Testimony.reader_id)
    )
    readings = {reader_id: count for reader_id, count in rows}  # noqa: C416 - typed rows
    found = [
        row
        for row in speakers(testimony.occurrence_id)
        if row.offers_to_read and testimony.id not in {row.id, row.reader_id}
    ]
    return sorted(
        found,
        key=lambda row: (row.language != testimony.language, readings.get(row.id, 0), row.id),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """How a date's testimony stands."""

    speaking: int = 0
    written: int = 0
    waiting: int = 0
    drafts: int = 0


def counts(occurrence_id: uuid.UUID) -> Counts:
    """The numbers of a date, nobody's name."""
    rows = db.session.execute(
        select(
            Testimony.state,
            Testimony.way.in_(ALOUD).label("aloud"),
            Testimony.draft_saved_at.is_not(None).label("drafted"),
            func.count(),
        )
        .where(Testimony.occurrence_id == occurrence_id, Testimony.state != SpeakerState.WITHDRAWN)
        .group_by(Testimony.state, "aloud", "drafted")
    ).all()
    speaking = written = line = drafts = 0
    for state, aloud, drafted, count in rows:
        if state == SpeakerState.WAITING:
            line += count
        elif aloud:
            speaking += count
        else:
            written += count
        drafts += count if drafted else 0
    return Counts(speaking, written, line, drafts)


def not_done(reminder: TaskReminder, ways: Sequence[str]) -> Select[Testimony]:
    """Whom a round of reminders concerns: they speak, in that way, and have not done it."""
    return _with_rsvp().where(
        Testimony.occurrence_id == reminder.occurrence_id,
        Testimony.state == SpeakerState.SPEAKING,
        Testimony.way.in_(ways),
        Rsvp.email.is_not(None),
        ~exists().where(
            TaskDone.testimony_id == Testimony.id, TaskDone.task_id == reminder.task_id
        ),
    )


def of_rsvps(rsvp_ids: Collection[uuid.UUID]) -> list[Testimony]:
    """Everything somebody added to these answers as a speaker, the latest first."""
    mine = _with_rsvp().where(Testimony.rsvp_id.in_(rsvp_ids)).order_by(Testimony.id.desc())
    return list(db.session.scalars(mine)) if rsvp_ids else []


# --- what the clock looks for ------------------------------------------------------------------


def dates_to_plan(now: datetime, limit: int) -> list[Occurrence]:
    """Dates of hearings whose reminders are not those of their present time."""
    mine = (TaskReminder.occurrence_id == Occurrence.id,)
    old = exists().where(
        *mine,
        TaskReminder.state == ReminderState.PLANNED,
        TaskReminder.time_version != Occurrence.time_version,
    )
    present = exists().where(*mine, TaskReminder.time_version == Occurrence.time_version)
    reminding = exists().where(
        HearingTask.event_id == Occurrence.event_id,
        cast(HearingTask.reminders, String) != "[]",
    )
    found = (
        select(Occurrence)
        .join(Event, Event.id == Occurrence.event_id)
        .where(
            Occurrence.starts_at > now,
            Occurrence.state == OccurrenceState.SCHEDULED,
            Event.state == EventState.PUBLISHED,
            exists().where(Hearing.event_id == Occurrence.event_id),
            or_(old, and_(reminding, ~present)),
        )
        .order_by(Occurrence.starts_at)
        .limit(limit)
    )
    return list(db.session.scalars(found).unique())


def who_left(limit: int) -> list[Testimony]:
    """Speakers whose answer was taken back, says no, or is for another date now."""
    gone = or_(
        Rsvp.state == RsvpState.CANCELLED,
        and_(Rsvp.state == RsvpState.DECLINED, Testimony.way == ALOUD[0]),
        Rsvp.occurrence_id != Testimony.occurrence_id,
    )
    found = _with_rsvp().where(Testimony.state != SpeakerState.WITHDRAWN, gone)
    return list(db.session.scalars(found.order_by(Testimony.id).limit(limit)))
