"""Reminders and notices as rows: planned, moved along, withdrawn, told; and old proposals let go.

Whoever moves or cancels a date locks its `Reminder` and `Notice` rows, as `rounds` does while it
writes their people into the outbox: so letters are either not there yet or can be cancelled.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from campaign import clock
from campaign.db import Words, db, insert, uuid7
from campaign.events import notices, recurrence
from campaign.events.models import (
    Event,
    EventState,
    Host,
    HostState,
    Notice,
    Occurrence,
    OccurrenceState,
    Reminder,
    ReminderState,
    Rsvp,
)
from campaign.mail import queries as mail_queries
from campaign.mail import services as mail
from campaign.mail.models import Batch, BatchState
from campaign.worker import declared, enqueue

AFTER = "after"
"""The offset of "did you come?"."""
AFTER_DELAY = timedelta(hours=2)
AFTER_LIFE = timedelta(days=7)
CHANGED, CANCELLED = "changed", "cancelled"
QUEUE_DUE = "campaign.events.tasks.queue_due"


# --- reminders: planned ------------------------------------------------------------------------


def plan_reminders(occurrence: Occurrence) -> None:
    """Make the planned reminders of a date what its event, its start and its state ask for.

    Run again, it changes nothing. Those of an earlier version of the start, and all of them once
    the date is off, are cancelled, with what of them waits in the outbox. A start that moved
    slightly keeps its version: what is planned moves along, what is queued stays queued.
    """
    db.session.flush()
    now = clock.now()
    rows = db.session.scalars(
        select(Reminder)
        .where(Reminder.occurrence_id == occurrence.id)
        .order_by(Reminder.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    is_off = not is_on(occurrence)
    wanted = {} if is_off else _wanted(occurrence)
    for row in rows:
        if row.time_version != occurrence.time_version:
            _withdraw(row, "moved")
        elif row.offset not in wanted:
            _withdraw(row, "cancelled" if is_off else "no longer wanted")
        else:
            _move(row, *wanted.pop(row.offset), occurrence, now)
    for offset, (due_at, expires_at) in wanted.items():
        reason = _reason_to_drop(offset, due_at, occurrence, now)
        db.session.execute(
            insert(Reminder.__table__).on_conflict_do_nothing(),
            {
                "id": uuid7(),
                "organization_id": occurrence.organization_id,
                "occurrence_id": occurrence.id,
                "offset": offset,
                "time_version": occurrence.time_version,
                "due_at": due_at,
                "expires_at": expires_at,
                "state": ReminderState.DROPPED if reason else ReminderState.PLANNED,
                "reason": reason,
                "recipient_count": 0,
                "settled_at": now if reason else None,
            },
        )


def is_on(occurrence: Occurrence) -> bool:
    """Whether the date takes place, as far as everybody may know."""
    return (
        occurrence.event.state == EventState.PUBLISHED
        and occurrence.state == OccurrenceState.SCHEDULED
    )


def _wanted(occurrence: Occurrence) -> dict[str, tuple[datetime, datetime]]:
    """Offset → when it is due and until when it is of use."""
    event = occurrence.event
    wall = datetime.fromisoformat(occurrence.starts_wall)
    wanted = {
        offset: (recurrence.offset_at(offset, wall, event.zone), occurrence.starts_at)
        for offset in event.reminders
    }
    if event.asks_after:
        due_at = occurrence.ends_at + AFTER_DELAY
        wanted[AFTER] = due_at, due_at + AFTER_LIFE
    return wanted


def _reason_to_drop(offset: str, due_at: datetime, occurrence: Occurrence, now: datetime) -> str:
    """Why a reminder is not even planned; "" when it is."""
    if due_at <= now:
        return "past when planned"
    if offset != AFTER and due_at >= occurrence.starts_at:
        return "not before the start"
    return ""


def _move(
    row: Reminder, due_at: datetime, expires_at: datetime, occurrence: Occurrence, now: datetime
) -> None:
    """Let a reminder follow its date; one that was withdrawn comes back while it is still ahead."""
    if row.state == ReminderState.QUEUED:
        if row.expires_at != expires_at:
            row.expires_at = expires_at
            batch = batch_of(row)
            if batch is not None:
                batch.expires_at = expires_at
        return
    if (row.due_at, row.expires_at) == (due_at, expires_at) and row.state in {
        ReminderState.PLANNED,
        ReminderState.DROPPED,
    }:
        return
    row.due_at, row.expires_at = due_at, expires_at
    row.reason = _reason_to_drop(row.offset, due_at, occurrence, now)
    row.state = ReminderState.DROPPED if row.reason else ReminderState.PLANNED
    row.settled_at = now if row.reason else None


def _withdraw(row: Reminder | Notice, reason: str) -> int:
    """Nobody further gets this; returns for how many that comes in time."""
    stopped = stop_batch(row, reason)
    if row.state == ReminderState.PLANNED:
        close(row, ReminderState.CANCELLED, reason, clock.now())
    return stopped


def stop_batch(row: Reminder | Notice, reason: str) -> int:
    """Cancel what of its letters still waits; returns how many."""
    batch = batch_of(row)
    if batch is None or batch.state == BatchState.STOPPED or batch.finished_at is not None:
        return 0
    return mail.stop(batch, reason=reason)


def close(
    row: Reminder | Notice, state: ReminderState, reason: str, now: datetime, count: int = 0
) -> None:
    """Write what became of a row, all at once and last.

    A second UPDATE of one row in a transaction makes PostgreSQL check its foreign key again and
    lock the date, which whoever moves it holds while they wait for this row.
    """
    row.state, row.settled_at, row.recipient_count = state, now, count
    if isinstance(row, Reminder):
        row.reason = reason


def batch_of(row: Reminder | Notice) -> Batch | None:
    """Its letters, once the first are written."""
    return mail_queries.batch_of(row.organization_id, kind_of(row), str(row.id))


def kind_of(row: Reminder | Notice) -> str:
    """What mail calls its batch."""
    if isinstance(row, Notice):
        return notices.NOTICE
    return notices.AFTER if row.offset == AFTER else notices.REMINDER


def stop_for(rsvp: Rsvp) -> int:
    """Cancel the reminders and notices that wait for one answer: it was taken back.

    Returns how many there were. The answer is written first, so that whoever is queueing people
    at this moment has either seen it or is through, and can be cancelled.
    """
    db.session.flush()
    ids = select(Reminder.id).where(Reminder.occurrence_id == rsvp.occurrence_id)
    others = select(Notice.id).where(Notice.occurrence_id == rsvp.occurrence_id)
    keys = [str(one) for one in (*db.session.scalars(ids), *db.session.scalars(others))]
    if not keys:
        return 0
    return mail.cancel_addressee(
        rsvp.id,
        organization_id=rsvp.organization_id,
        keys=keys,
        reason="no longer coming",
    )


# --- notices: a change, a cancellation ---------------------------------------------------------


def tell_change(occurrence: Occurrence, *, what: Sequence[str], before: str = "") -> None:
    """Write to everybody of a date that time, place or link changed; once for each SEQUENCE.

    `what` holds "time", "place", "online" or "again" (it was cancelled); `before` is the former
    local start. A notice of before that is not out yet is taken over: whoever did not get it
    learns both from this one. Who never heard of a cancellation need not hear that it is off.
    """
    db.session.flush()
    if not is_on(occurrence) or occurrence.is_over(clock.now()):
        return
    told = list(what)
    for older in _open_notices(occurrence):
        if older.sequence >= occurrence.sequence:
            continue
        was_planned = older.state == ReminderState.PLANNED
        is_unread = bool(_withdraw(older, "superseded")) or was_planned
        if is_unread and older.kind == CHANGED:
            told += [one for one in older.what if one not in told]
            before = older.before or before
        elif was_planned:
            told = [one for one in told if one != "again"]
    if not told:
        return
    _add_notice(occurrence, CHANGED, what=told, before=before)


def tell_cancelled(occurrence: Occurrence, note: Words | str = "") -> None:
    """Write to everybody of a date that it does not take place; reminders and changes not yet out
    are cancelled. The organizer's own words stand on the date or the event; `note` is for where
    there are none."""
    plan_reminders(occurrence)
    if occurrence.is_over(clock.now()):
        return
    for older in _open_notices(occurrence):
        if older.kind == CHANGED:
            _withdraw(older, "cancelled")
    text = note.get_for("en") if isinstance(note, Words) else note
    _add_notice(occurrence, CANCELLED, note=text)


def _open_notices(occurrence: Occurrence) -> Sequence[Notice]:
    """The notices of a date that may still have somebody to go to, locked, the oldest first."""
    return db.session.scalars(
        select(Notice)
        .where(
            Notice.occurrence_id == occurrence.id,
            Notice.state.in_((ReminderState.PLANNED, ReminderState.QUEUED)),
        )
        .order_by(Notice.sequence)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _add_notice(
    occurrence: Occurrence,
    kind: str,
    *,
    what: Sequence[str] = (),
    before: str = "",
    note: str = "",
) -> None:
    db.session.execute(
        insert(Notice.__table__).on_conflict_do_nothing(),
        {
            "id": uuid7(),
            "organization_id": occurrence.organization_id,
            "occurrence_id": occurrence.id,
            "kind": kind,
            "sequence": occurrence.sequence,
            "what": list(what),
            "before": before,
            "note": note,
            "state": ReminderState.PLANNED,
            "recipient_count": 0,
            "created_at": clock.now(),
        },
    )
    enqueue(declared(QUEUE_DUE))


# --- proposals that nobody confirmed -----------------------------------------------------------

UNCONFIRMED_LIFE = timedelta(days=7)
PROPOSALS_AT_ONCE = 200


def forget_unconfirmed(now: datetime) -> int:
    """Delete proposals that nobody has confirmed within a week; returns how many went."""
    found = db.session.scalars(
        select(Host.event_id)
        .join(Event, Event.id == Host.event_id)
        .where(
            Event.state == EventState.PROPOSED,
            Host.is_proposer.is_(True),
            Host.state == HostState.INVITED,
            Host.created_at < now - UNCONFIRMED_LIFE,
        )
        .limit(PROPOSALS_AT_ONCE)
    ).all()
    for event_id in found:
        forget_proposal(event_id)
    return len(found)


def forget_proposal(event_id: uuid.UUID) -> None:
    """A proposal that was never shown to anybody goes with all that hangs on it."""
    for table in (Host, Occurrence):
        db.session.execute(delete(table).where(table.event_id == event_id))
    db.session.execute(delete(Event).where(Event.id == event_id))
