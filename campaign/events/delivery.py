"""By the clock: reminders are planned as rows, and at their hour become rows of the outbox.

Every piece is bounded, takes its rows first and may run any number of times side by side; the
task commits. A `Reminder` or `Notice` is locked while its people are written, and whoever moves or
cancels a date takes the same lock: so its letters are either not there yet or can be cancelled.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select
from sqlalchemy.orm import aliased

from campaign import clock
from campaign.db import Words, db, insert, uuid7
from campaign.events import notices, recurrence
from campaign.events.models import (
    COMING,
    TOLD,
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
    Shift,
)
from campaign.events.notices import Reader
from campaign.mail import queries as mail_queries
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, BatchState, Delivery
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.web.languages import known
from campaign.worker import declared, enqueue

AFTER = "after"
"""The offset of "did you come?"."""
AFTER_DELAY = timedelta(hours=2)
AFTER_LIFE = timedelta(days=7)
HALT = timedelta(minutes=5)
"""Later than this a reminder is late: the beat stood still, or the workers had no time."""
PEOPLE_AT_ONCE = 2000
ROUNDS_AT_ONCE = 200
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
    is_on = _is_on(occurrence)
    wanted = _wanted(occurrence) if is_on else {}
    for row in rows:
        if row.time_version != occurrence.time_version:
            _withdraw(row, "moved")
        elif row.offset not in wanted:
            _withdraw(row, "no longer wanted" if is_on else "cancelled")
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


def _is_on(occurrence: Occurrence) -> bool:
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
            batch = _batch_of(row)
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
    stopped = _stop_batch(row, reason)
    if row.state == ReminderState.PLANNED:
        _close(row, ReminderState.CANCELLED, reason, clock.now())
    return stopped


def _stop_batch(row: Reminder | Notice, reason: str) -> int:
    batch = _batch_of(row)
    if batch is None or batch.state == BatchState.STOPPED or batch.finished_at is not None:
        return 0
    return mail.stop(batch, reason=reason)


def _close(
    row: Reminder | Notice, state: ReminderState, reason: str, now: datetime, count: int = 0
) -> None:
    """Write what became of a row, all at once and last.

    A second UPDATE of one row in a transaction makes PostgreSQL check its foreign key again and
    lock the date, which whoever moves it holds while they wait for this row.
    """
    row.state, row.settled_at, row.recipient_count = state, now, count
    if isinstance(row, Reminder):
        row.reason = reason


def _batch_of(row: Reminder | Notice) -> Batch | None:
    return mail_queries.batch_of(row.organization_id, _kind_of(row), str(row.id))


def _kind_of(row: Reminder | Notice) -> str:
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
        rsvp.id.hex,
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
    if not _is_on(occurrence) or occurrence.is_over(clock.now()):
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


# --- at their hour: into the outbox ------------------------------------------------------------


def is_due(now: datetime) -> bool:
    """Whether `queue_due` would find something."""
    reminder = select(Reminder.id).where(*_due(now)).limit(1)
    notice = select(Notice.id).where(Notice.state == ReminderState.PLANNED).limit(1)
    return db.session.scalar(notice) is not None or db.session.scalar(reminder) is not None


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Reminder.state == ReminderState.PLANNED, Reminder.due_at <= now)


def queue_due(now: datetime, *, limit: int = PEOPLE_AT_ONCE) -> bool:
    """Queue one piece of what is due, of about `limit` people; True while there may be more.

    Notices go before reminders. Of rows in another's hands nothing is touched.
    """
    written = 0
    row: Notice | Reminder | None = _next_notice()
    for _ in range(ROUNDS_AT_ONCE):
        row = row or _next_reminder(now)
        if row is None:
            return False
        written += _settle(row, now, limit)
        db.session.flush()
        if written >= limit:
            break
        row = _next_notice() if isinstance(row, Notice) else None
    return True


def _next_notice() -> Notice | None:
    return db.session.scalar(
        select(Notice)
        .where(Notice.state == ReminderState.PLANNED)
        .order_by(Notice.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Notice)
        .execution_options(populate_existing=True)
    )


def _next_reminder(now: datetime) -> Reminder | None:
    return db.session.scalar(
        select(Reminder)
        .where(*_due(now))
        .order_by(Reminder.due_at, Reminder.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Reminder)
        .execution_options(populate_existing=True)
    )


def _settle(row: Reminder | Notice, now: datetime, limit: int) -> int:
    """Write the next people of a row into its batch, or say why nobody gets it; how many."""
    occurrence = db.session.get_one(Occurrence, row.occurrence_id, populate_existing=True)
    state, reason = _verdict(row, occurrence, now)
    if state != ReminderState.QUEUED:
        _stop_batch(row, reason)
        _close(row, state, reason, now)
        return 0
    return _freeze(_round_of(row, occurrence), row, now, limit)


def _verdict(
    row: Reminder | Notice, occurrence: Occurrence, now: datetime
) -> tuple[ReminderState, str]:
    """Whether a due row is still of use: the world may have changed since it was planned."""
    if isinstance(row, Notice):
        if now >= occurrence.ends_at:
            return ReminderState.DROPPED, "late"
        if row.kind == CHANGED and not _is_on(occurrence):
            return ReminderState.CANCELLED, "cancelled"
        return ReminderState.QUEUED, ""
    if not _is_on(occurrence):
        return ReminderState.CANCELLED, "cancelled"
    if row.time_version != occurrence.time_version:
        return ReminderState.CANCELLED, "moved"
    if now >= row.expires_at:
        return ReminderState.DROPPED, "late"
    if _is_overtaken(row, now):
        return ReminderState.DROPPED, "overtaken by the next"
    return ReminderState.QUEUED, ""


def _is_overtaken(row: Reminder, now: datetime) -> bool:
    """Whether the next reminder of the date is due as well: after a halt, one is enough."""
    if row.offset == AFTER or now - row.due_at < HALT:
        return False
    other = aliased(Reminder)
    later = (
        select(other.id)
        .where(
            other.occurrence_id == row.occurrence_id,
            other.time_version == row.time_version,
            other.offset != AFTER,
            other.due_at > row.due_at,
            other.due_at <= now,
            other.state.in_((ReminderState.PLANNED, ReminderState.QUEUED)),
        )
        .limit(1)
    )
    return db.session.scalar(later) is not None


Write = Callable[[Reader, Shift | None], Letter]


@dataclass(frozen=True, slots=True)
class _Round:
    """One batch in the making: who it goes to, until when, and what each reads."""

    kind: str
    occurrence: Occurrence
    organization: Organization
    states: tuple[str, ...]
    expires_at: datetime
    write: Write


def _round_of(row: Reminder | Notice, occurrence: Occurrence) -> _Round:
    organization = db.session.get_one(Organization, occurrence.organization_id)
    if isinstance(row, Notice):
        letter = notices.changed_letter if row.kind == CHANGED else notices.cancelled_letter

        def tell(reader: Reader, _shift: Shift | None) -> Letter:
            return letter(row, occurrence, organization, reader)

        return _Round(
            notices.NOTICE, occurrence, organization, TOLD, occurrence.ends_at, tell
        )  # fmt: skip

    def remind(reader: Reader, shift: Shift | None) -> Letter:
        if row.offset == AFTER:
            return notices.after_letter(occurrence, organization, reader)
        return notices.reminder_letter(occurrence, organization, reader, shift)

    return _Round(_kind_of(row), occurrence, organization, COMING, row.expires_at, remind)


def _freeze(round_: _Round, row: Reminder | Notice, now: datetime, limit: int) -> int:
    """Write the next people of a round into its batch, and release it with the last.

    Where it had come to is read from the batch itself: a worker that was killed leaves what it
    committed, and whoever goes on adds the rest.
    """
    batch = _batch_of(row)
    if batch is not None and batch.state != BatchState.BUILDING:
        _close(row, ReminderState.CANCELLED, "stopped", now)
        return 0
    people = _people(round_, batch, limit)
    if people:
        batch = batch or _begin(round_, row, people[0])
        _add(round_, batch, people)
    if len(people) == limit:
        return limit
    if batch is None:
        _close(row, ReminderState.DROPPED, "nobody to write to", now)
        return 0
    count = batch.total_count
    mail.release(batch)
    _close(row, ReminderState.QUEUED, "", now, count)
    return len(people)


def _people(round_: _Round, batch: Batch | None, limit: int) -> Sequence[Row[Any]]:
    """The next answers by id. They are locked: who takes one back meanwhile waits for us, and
    then finds a letter to cancel."""
    after = None
    if batch is not None:
        last = select(func.max(Delivery.unique_key)).where(Delivery.batch_id == batch.id)
        after = db.session.scalar(last)
    chosen = select(
        Rsvp.id,
        Rsvp.person_id,
        Rsvp.email,
        Rsvp.address_hash,
        Rsvp.first_name,
        Rsvp.language,
        Rsvp.state,
        Rsvp.shift_id,
    ).where(
        Rsvp.occurrence_id == round_.occurrence.id,
        Rsvp.state.in_(round_.states),
        Rsvp.email.is_not(None),
        Rsvp.email != "",
        Rsvp.address_hash.is_not(None),
        Rsvp.review_reason == "",  # what is held for a look is written nothing
    )
    if after is not None:
        chosen = chosen.where(Rsvp.id > uuid.UUID(hex=after))
    chosen = chosen.order_by(Rsvp.id).limit(limit).with_for_update(read=True, of=Rsvp)
    return list(db.session.execute(chosen))


def _begin(round_: _Round, row: Reminder | Notice, first: Row[Any]) -> Batch:
    return mail.create_batch(
        organization_id=row.organization_id,
        kind=round_.kind,
        key=str(row.id),
        letter=round_.write(_reader(first), None),
        sender=organizations.sender_of(round_.organization),
        is_bulk=False,
        expires_at=round_.expires_at,
    )


def _reader(person: Row[Any]) -> Reader:
    return Reader(known(person.language) or "en", person.state, person.shift_id)


def _add(round_: _Round, batch: Batch, people: Sequence[Row[Any]]) -> None:
    """Each group of readers gets its letter; the chunks of a batch may hold different ones."""
    groups: dict[Reader, list[mail.Addressee]] = defaultdict(list)
    for person in people:
        reader = _reader(person)
        groups[reader].append(
            mail.Addressee(
                unique_key=person.id.hex,
                address=person.email,
                address_hash=person.address_hash,
                values=notices.values_for(
                    round_.kind, person.id, person.first_name, reader.language, person.person_id
                ),
                person_id=person.person_id,
            )
        )
    shift_ids = {reader.shift_id for reader in groups if reader.shift_id is not None}
    shifts = {}
    if shift_ids:
        shifts = {
            shift.id: shift
            for shift in db.session.scalars(select(Shift).where(Shift.id.in_(shift_ids)))
        }
    by_letter: dict[Letter, list[mail.Addressee]] = defaultdict(list)
    for reader, addressees in groups.items():
        shift = shifts.get(reader.shift_id) if reader.shift_id else None
        by_letter[round_.write(reader, shift)] += addressees
    for letter, addressees in by_letter.items():
        mail.add_addressees(batch, letter, addressees)


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
