"""Slots that pass to the longest waiting, and rounds of reminders about tasks.

Whatever takes or frees a slot holds the lock of the date's row, as seats do: two who ask at once
for the last slot get one slot and one place in line.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, func, or_, select

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.events.models import EventState, Occurrence, OccurrenceState, ReminderState, Rsvp
from campaign.hearings import emails, queries, rules
from campaign.hearings.models import (
    HearingTask,
    SpeakerState,
    TaskDone,
    TaskReminder,
    Testimony,
)
from campaign.mail import services as mail
from campaign.mail.services import Addressee
from campaign.web.languages import known

AT_ONCE = 50
MOST_ROUNDS = 200
CHANGED = "changed"
TOO_OLD = timedelta(hours=1)
"""A round that was due longer ago when it was planned is not sent: its moment was not missed by
us, it lies before the task (or the new date) was there."""


# --- slots -------------------------------------------------------------------------------------


def lock(occurrence_id: uuid.UUID) -> Occurrence:
    """The row of a date, held until the commit."""
    return db.session.scalars(
        select(Occurrence)
        .where(Occurrence.id == occurrence_id)
        .with_for_update(of=Occurrence)
        .execution_options(populate_existing=True)
    ).one()


def free_slots(occurrence: Occurrence) -> int | None:
    """How many slots nobody has; None where there is no limit. Ask under the lock."""
    hearing = queries.hearing_of(occurrence.event_id)
    if hearing is None or hearing.slot_count is None:
        return None
    return max(hearing.slot_count - queries.slots_taken(occurrence.id), 0)


def seat(testimony: Testimony, occurrence: Occurrence) -> None:
    """Give a slot, or a place in line behind those who wait. Needs the lock."""
    if testimony.way not in rules.ALOUD:
        testimony.state, testimony.position = SpeakerState.SPEAKING, None
        testimony.waiting_since = None
        return
    db.session.flush()
    others = [row for row in queries.waiting(occurrence.id) if row.id != testimony.id]
    free = free_slots(occurrence)
    if free is None or (free > 0 and not others):
        _give(testimony)
        return
    testimony.state, testimony.position = SpeakerState.WAITING, None
    testimony.waiting_since = testimony.waiting_since or clock.now()
    db.session.flush()


def _give(testimony: Testimony) -> None:
    last = db.session.scalar(
        select(func.max(Testimony.position)).where(
            Testimony.occurrence_id == testimony.occurrence_id,
            Testimony.state == SpeakerState.SPEAKING,
        )
    )
    testimony.state, testimony.waiting_since = SpeakerState.SPEAKING, None
    testimony.position = (last or 0) + 1
    db.session.flush()


def vacate(testimony: Testimony) -> None:
    """Take somebody off the list; whoever they read for needs another reader. Needs the lock."""
    for other in queries.readings_of(testimony):
        other.reader_id = None
    testimony.state, testimony.position = SpeakerState.WITHDRAWN, None
    testimony.waiting_since = testimony.reader_id = testimony.offered_at = None
    db.session.flush()


def forget_words(testimony: Testimony) -> None:
    """Let go of what somebody wrote; that they spoke stays as a number."""
    testimony.topic = testimony.draft = ""
    testimony.draft_saved_at = testimony.reader_id = None
    testimony.offers_to_read = testimony.wants_reader = False
    db.session.execute(delete(TaskDone).where(TaskDone.testimony_id == testimony.id))


def fill_slots(occurrence: Occurrence) -> list[Testimony]:
    """Give freed slots to the longest waiting, and tell them. Needs the lock."""
    free = free_slots(occurrence)
    line = queries.waiting(occurrence.id)
    served = line if free is None else line[:free]
    for testimony in served:
        _give(testimony)
        testimony.offered_at = clock.now()
        emails.write("slot", testimony)
    return served


def settle_leavers() -> int:
    """Free the slots of those whose answer was taken back; returns how many."""
    leavers = queries.who_left(AT_ONCE)
    dates: dict[uuid.UUID, list[Testimony]] = defaultdict(list)
    for testimony in leavers:
        dates[testimony.occurrence_id].append(testimony)
    for occurrence_id in sorted(dates):
        occurrence = lock(occurrence_id)
        for testimony in dates[occurrence_id]:
            vacate(testimony)
            if testimony.rsvp is None or not testimony.rsvp.first_name:  # erased, or "not me"
                forget_words(testimony)
        if clock.now() < occurrence.starts_at and not occurrence.is_cancelled:
            fill_slots(occurrence)
    return len(leavers)


# --- reminders ---------------------------------------------------------------------------------


def plan_reminders(occurrence: Occurrence) -> None:
    """Make the planned rounds of a date those of its tasks and its present time.

    A round is one for each task, offset and version of the time; one that is queued stays. Those
    of a former time or of an offset that is no more are cancelled.
    """
    now = clock.now()
    wanted = _wanted(occurrence)
    mine = TaskReminder.occurrence_id == occurrence.id
    open_ones = or_(
        TaskReminder.state == ReminderState.PLANNED,
        and_(TaskReminder.state == ReminderState.CANCELLED, TaskReminder.reason == CHANGED),
    )
    for row in db.session.scalars(select(TaskReminder).where(mine, open_ones)):
        times = wanted.get((row.task_id, row.offset))
        if row.time_version != occurrence.time_version:
            _settle(row, ReminderState.CANCELLED, "moved", now)
        elif times is None:
            _settle(row, ReminderState.CANCELLED, CHANGED, now)
        else:
            row.due_at, row.expires_at = times
            if row.state == ReminderState.CANCELLED:  # its offset is wanted again
                for name, value in _first_state(*times, now).items():
                    setattr(row, name, value)
    db.session.flush()
    fresh = [
        {
            "id": uuid7(),
            "organization_id": occurrence.organization_id,
            "task_id": task_id,
            "occurrence_id": occurrence.id,
            "offset": offset,
            "time_version": occurrence.time_version,
            "due_at": due,
            "expires_at": expires,
            **_first_state(due, expires, now),
            "recipient_count": 0,
        }
        for (task_id, offset), (due, expires) in wanted.items()
    ]
    if fresh:
        db.session.execute(insert(TaskReminder.__table__).on_conflict_do_nothing(), fresh)
    db.session.flush()


def _wanted(occurrence: Occurrence) -> dict[tuple[uuid.UUID, str], tuple[datetime, datetime]]:
    """(task, offset) → when it is due and from when on it is of no use."""
    found = {}
    for task in queries.tasks_of(occurrence.event_id):
        closes = rules.dated(task, occurrence).closes_at or occurrence.starts_at
        expires = min(closes, occurrence.starts_at)
        for offset in dict.fromkeys(task.reminders):
            found[task.id, offset] = (rules.due_at(offset, occurrence), expires)
    return found


def _first_state(due: datetime, expires: datetime, now: datetime) -> dict[str, object]:
    if expires <= now or due < now - TOO_OLD:
        return {"state": ReminderState.DROPPED, "reason": "past", "settled_at": now}
    return {"state": ReminderState.PLANNED, "reason": "", "settled_at": None}


def _settle(row: TaskReminder, state: ReminderState, reason: str, now: datetime) -> None:
    row.state, row.reason, row.settled_at = state, reason, now


def plan_moved() -> int:
    """Plan the dates whose time or tasks have changed since; returns how many."""
    dates = queries.dates_to_plan(clock.now(), AT_ONCE)
    for occurrence in dates:
        plan_reminders(occurrence)
    return len(dates)


def queue_due() -> int:
    """Put the rounds that are due into the outbox, each once; returns how many were looked at.

    A round of a date that moved or is cancelled is cancelled; one that comes too late is dropped
    with that reason. What has not left by the end of its task is dropped by the sender.
    """
    now = clock.now()
    due = db.session.scalars(
        select(TaskReminder)
        .where(TaskReminder.state == ReminderState.PLANNED, TaskReminder.due_at <= now)
        .order_by(TaskReminder.due_at, TaskReminder.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for row in due:
        _queue(row, now)
    db.session.flush()
    return len(due)


def _queue(row: TaskReminder, now: datetime) -> None:
    occurrence = row.occurrence
    if occurrence.is_cancelled or occurrence.event.state != EventState.PUBLISHED:
        return _settle(row, ReminderState.CANCELLED, "cancelled", now)
    if row.time_version != occurrence.time_version or occurrence.state != OccurrenceState.SCHEDULED:
        return _settle(row, ReminderState.CANCELLED, "moved", now)
    if now >= row.expires_at:
        return _settle(row, ReminderState.DROPPED, "late", now)
    row.recipient_count = _write_round(row, row.task, occurrence)
    return _settle(row, ReminderState.QUEUED, "", now)


def _write_round(row: TaskReminder, task: HearingTask, occurrence: Occurrence) -> int:
    people: dict[str, list[Addressee]] = defaultdict(list)
    for testimony in db.session.scalars(queries.not_done(row, task.ways)):
        rsvp: Rsvp | None = testimony.rsvp
        if rsvp is not None:
            language = known(rsvp.language) or "en"
            people[language].append(emails.addressee(testimony, rsvp, language))
    count = 0
    batch = None
    for language in sorted(people):
        envelope = emails.task_letter(task, occurrence, language)
        batch = batch or mail.create_batch(
            organization_id=row.organization_id,
            kind=emails.TASK_KIND,
            key=row.id.hex,
            letter=envelope.letter,
            sender=envelope.sender,
            is_bulk=False,
            expires_at=row.expires_at,
        )
        count += mail.add_addressees(batch, envelope.letter, people[language])
    if batch is not None:
        mail.release(batch)
    return count


def stop_for(testimony: Testimony) -> None:
    """Whoever is off the list, or has done a task, gets no reminder that still waits to leave."""
    keys = db.session.scalars(
        select(TaskReminder.id).where(
            TaskReminder.occurrence_id == testimony.occurrence_id,
            TaskReminder.state == ReminderState.QUEUED,
        )
    )
    mail.cancel_addressee(
        testimony.id,
        organization_id=testimony.organization_id,
        keys=[key.hex for key in keys],
        reason="cancelled",
    )
