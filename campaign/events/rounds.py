"""At their hour: reminders and notices become rows of the outbox.

Every piece is bounded, takes its rows first and may run any number of times side by side; the
task commits. Where a round had come to is read from its batch, so that a worker that is killed
leaves what it committed, and whoever goes on adds the rest.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import aliased

from campaign.db import db
from campaign.events import delivery, notices
from campaign.events.models import (
    COMING,
    TOLD,
    Notice,
    Occurrence,
    Reminder,
    ReminderState,
    Rsvp,
    Shift,
)
from campaign.events.notices import Reader
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, BatchState, Delivery
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.web.languages import known

PEOPLE_AT_ONCE = 2000
ROUNDS_AT_ONCE = 200
HALT = timedelta(minutes=5)
"""Later than this a reminder is late: the beat stood still, or the workers had no time."""


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
        delivery.stop_batch(row, reason)
        delivery.close(row, state, reason, now)
        return 0
    return _freeze(_round_of(row, occurrence), row, now, limit)


def _verdict(
    row: Reminder | Notice, occurrence: Occurrence, now: datetime
) -> tuple[ReminderState, str]:
    """Whether a due row is still of use: the world may have changed since it was planned."""
    if isinstance(row, Notice):
        if now >= occurrence.ends_at:
            return ReminderState.DROPPED, "late"
        if row.kind == delivery.CHANGED and not delivery.is_on(occurrence):
            return ReminderState.CANCELLED, "cancelled"
        return ReminderState.QUEUED, ""
    if not delivery.is_on(occurrence):
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
    if row.offset == delivery.AFTER or now - row.due_at < HALT:
        return False
    other = aliased(Reminder)
    later = (
        select(other.id)
        .where(
            other.occurrence_id == row.occurrence_id,
            other.time_version == row.time_version,
            other.offset != delivery.AFTER,
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
        letter = (
            notices.changed_letter if row.kind == delivery.CHANGED else notices.cancelled_letter
        )

        def tell(reader: Reader, _shift: Shift | None) -> Letter:
            return letter(row, occurrence, organization, reader)

        return _Round(
            notices.NOTICE, occurrence, organization, TOLD, occurrence.ends_at, tell
        )  # fmt: skip

    def remind(reader: Reader, shift: Shift | None) -> Letter:
        if row.offset == delivery.AFTER:
            return notices.after_letter(occurrence, organization, reader)
        return notices.reminder_letter(occurrence, organization, reader, shift)

    return _Round(delivery.kind_of(row), occurrence, organization, COMING, row.expires_at, remind)


def _freeze(round_: _Round, row: Reminder | Notice, now: datetime, limit: int) -> int:
    """Write the next people of a round into its batch, and release it with the last."""
    batch = delivery.batch_of(row)
    if batch is not None and batch.state != BatchState.BUILDING:
        delivery.close(row, ReminderState.CANCELLED, "stopped", now)
        return 0
    people = _people(round_, batch, limit)
    if people:
        batch = batch or _begin(round_, row, people[0])
        _add(round_, batch, people)
    if len(people) == limit:
        return limit
    if batch is None:
        delivery.close(row, ReminderState.DROPPED, "nobody to write to", now)
        return 0
    count = batch.total_count
    mail.release(batch)
    delivery.close(row, ReminderState.QUEUED, "", now, count)
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
