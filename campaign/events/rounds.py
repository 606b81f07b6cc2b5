"""At their hour: reminders and notices become rows of the outbox.

Every piece is bounded, takes its rows first and may run any number of times side by side; the
task commits. Where a round had come to is read from its batch, so that a worker that is killed
leaves what it committed, and whoever goes on adds the rest.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import ColumnElement, Row, func, select

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
from campaign.mail import queries as mail_queries
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, BatchState, Delivery
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.web.languages import known

PEOPLE_AT_ONCE = 2000
SIGNED_IN = "events.signed_in"
SignedIn = Callable[[Sequence[uuid.UUID]], set[uuid.UUID]]
ROUNDS_AT_ONCE = 200
HALT = timedelta(minutes=5)
"""Later than this a reminder is late: the beat stood still, or the workers had no time."""


def init_app(app: Flask, signed_in: SignedIn) -> None:
    """`signed_in` says who of these answers signed in at the door: that is known further up."""
    app.extensions[SIGNED_IN] = signed_in


def is_due(now: datetime) -> bool:
    """Whether `queue_due` would find something."""
    reminder = select(Reminder.id).where(*_due(now)).limit(1)
    notice = select(Notice.id).where(Notice.state == ReminderState.PLANNED).limit(1)
    return db.session.scalar(notice) is not None or db.session.scalar(reminder) is not None


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Reminder.state == ReminderState.PLANNED, Reminder.due_at <= now)


def queue_due(now: datetime, *, limit: int = PEOPLE_AT_ONCE) -> bool:
    """Queue one piece of what is due, of at most `limit` people; True while there may be more.

    Notices go before reminders. Of rows in another's hands nothing is touched. A piece costs a
    statement for each table, not for each date: many small meetings begin at the same hour.
    """
    rows = _one_a_date(_next_notices() or _next_reminders(now))
    if not rows:
        return False
    occurrences = _occurrences(rows)
    batches = mail_queries.batches_of(
        [(row.organization_id, delivery.kind_of(row), str(row.id)) for row in rows]
    )
    overtaken = _overtaken(rows, now)
    begun: list[tuple[Notice | Reminder, Batch]] = []
    fresh: list[Notice | Reminder] = []
    for row in rows:
        occurrence = occurrences[row.occurrence_id]
        state, reason = _verdict(row, occurrence, now, is_overtaken=row.id in overtaken)
        batch = batches.get(str(row.id))
        if state != ReminderState.QUEUED:
            delivery.stop_batch(row, reason)
            delivery.close(row, state, reason, now)
        elif batch is None:
            fresh.append(row)
        elif batch.state != BatchState.BUILDING:
            delivery.close(row, ReminderState.CANCELLED, "stopped", now)
        else:
            begun.append((row, batch))
    if begun:  # the others keep for the next piece
        row, batch = begun[0]
        _go_on(row, occurrences[row.occurrence_id], batch, now, limit)
    elif fresh:
        _begin(fresh, occurrences, now, limit)
    db.session.flush()
    return True


def _next_notices() -> Sequence[Notice]:
    return db.session.scalars(
        select(Notice)
        .where(Notice.state == ReminderState.PLANNED)
        .order_by(Notice.id)
        .limit(ROUNDS_AT_ONCE)
        .with_for_update(skip_locked=True, of=Notice)
        .execution_options(populate_existing=True)
    ).all()


def _next_reminders(now: datetime) -> Sequence[Reminder]:
    return db.session.scalars(
        select(Reminder)
        .where(*_due(now))
        .order_by(Reminder.due_at, Reminder.id)
        .limit(ROUNDS_AT_ONCE)
        .with_for_update(skip_locked=True, of=Reminder)
        .execution_options(populate_existing=True)
    ).all()


def _one_a_date(rows: Sequence[Notice] | Sequence[Reminder]) -> list[Notice | Reminder]:
    """The first row of each date; what else a date has keeps for the next piece."""
    first: dict[uuid.UUID, Notice | Reminder] = {}
    for row in rows:
        first.setdefault(row.occurrence_id, row)
    return list(first.values())


def _occurrences(rows: Sequence[Notice | Reminder]) -> dict[uuid.UUID, Occurrence]:
    """The dates of rows by id, as they are now: whoever moves one holds its rows meanwhile."""
    found = db.session.scalars(
        select(Occurrence)
        .where(Occurrence.id.in_([row.occurrence_id for row in rows]))
        .execution_options(populate_existing=True)
    )
    return {occurrence.id: occurrence for occurrence in found}


def _overtaken(rows: Sequence[Notice | Reminder], now: datetime) -> set[uuid.UUID]:
    """The late reminders whose date has a later one due as well: after a halt, one is enough."""
    late = [
        row
        for row in rows
        if isinstance(row, Reminder) and row.offset != delivery.AFTER and now - row.due_at >= HALT
    ]
    if not late:
        return set()
    due = db.session.execute(
        select(Reminder.occurrence_id, Reminder.time_version, func.max(Reminder.due_at))
        .where(
            Reminder.occurrence_id.in_([row.occurrence_id for row in late]),
            Reminder.offset != delivery.AFTER,
            Reminder.due_at <= now,
            Reminder.state.in_((ReminderState.PLANNED, ReminderState.QUEUED)),
        )
        .group_by(Reminder.occurrence_id, Reminder.time_version)
    )
    last = {(occurrence_id, version): at for occurrence_id, version, at in due}
    return {
        row.id for row in late if row.due_at < last[row.occurrence_id, row.time_version]
    }  # fmt: skip


def _verdict(
    row: Reminder | Notice, occurrence: Occurrence, now: datetime, *, is_overtaken: bool
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
    if is_overtaken:
        return ReminderState.DROPPED, "overtaken by the next"
    return ReminderState.QUEUED, ""


Write = Callable[[Reader, Shift | None], Letter]


@dataclass(frozen=True, slots=True)
class _Round:
    """One batch in the making: until when it is of use, and what each of its people reads."""

    kind: str
    organization: Organization
    expires_at: datetime
    write: Write


def _round_of(row: Reminder | Notice, occurrence: Occurrence, organization: Organization) -> _Round:
    if isinstance(row, Notice):
        letter = (
            notices.changed_letter if row.kind == delivery.CHANGED else notices.cancelled_letter
        )

        def tell(reader: Reader, _shift: Shift | None) -> Letter:
            return letter(row, occurrence, organization, reader)

        return _Round(notices.NOTICE, organization, occurrence.ends_at, tell)

    def remind(reader: Reader, shift: Shift | None) -> Letter:
        if row.offset == delivery.AFTER:
            return notices.after_letter(occurrence, organization, reader)
        return notices.reminder_letter(occurrence, organization, reader, shift)

    return _Round(delivery.kind_of(row), organization, row.expires_at, remind)


def _begin(
    rows: Sequence[Notice | Reminder],
    occurrences: Mapping[uuid.UUID, Occurrence],
    now: datetime,
    limit: int,
) -> None:
    """Write the first people of rows that have no letters yet; most are whole at once."""
    people = _people(rows, limit)
    is_cut = len(people) == limit  # the last date may go on behind it, and others follow
    of_date: dict[uuid.UUID, list[Row[Any]]] = defaultdict(list)
    for person in people:
        of_date[person.occurrence_id].append(person)
    last = people[-1].occurrence_id if people else None
    organizations_ = _organizations(rows)
    shifts = _shifts(people)
    here = _signed_in(rows, people)
    written = []
    for row in rows:
        mine = of_date.get(row.occurrence_id, [])
        if not mine:
            if not is_cut:
                delivery.close(row, ReminderState.DROPPED, "nobody to write to", now)
            continue
        occurrence = occurrences[row.occurrence_id]
        round_ = _round_of(row, occurrence, organizations_[row.organization_id])
        is_whole = not (is_cut and row.occurrence_id == last)
        written.append(
            mail.NewBatch(
                organization_id=row.organization_id,
                kind=round_.kind,
                key=str(row.id),
                sender=organizations.sender_of(round_.organization),
                letters=_letters(round_, mine, shifts, here),
                expires_at=round_.expires_at,
                is_whole=is_whole,
            )
        )
        if is_whole:
            delivery.close(row, ReminderState.QUEUED, "", now, len(mine))
    mail.write_batches(written)


def _go_on(
    row: Notice | Reminder, occurrence: Occurrence, batch: Batch, now: datetime, limit: int
) -> None:
    """Write the next people of a row into the batch it has begun, and release it with the last."""
    keys = select(Delivery.unique_key).where(Delivery.batch_id == batch.id)
    last = db.session.scalar(keys.order_by(Delivery.unique_key.desc()).limit(1))
    people = _people([row], limit, after=last)
    round_ = _round_of(row, occurrence, _organizations([row])[row.organization_id])
    here = _signed_in([row], people)
    for letter, addressees in _letters(round_, people, _shifts(people), here).items():
        mail.add_addressees(batch, letter, addressees)
    if len(people) < limit:
        mail.release(batch)
        delivery.close(row, ReminderState.QUEUED, "", now, batch.total_count)


def _people(
    rows: Sequence[Notice | Reminder], limit: int, *, after: uuid.UUID | None = None
) -> Sequence[Row[Any]]:
    """The next answers by date and id. They are locked: who takes one back meanwhile waits for
    us, and then finds a letter to cancel."""
    states = TOLD if isinstance(rows[0], Notice) else COMING
    chosen = select(
        Rsvp.id,
        Rsvp.occurrence_id,
        Rsvp.person_id,
        Rsvp.email,
        Rsvp.address_hash,
        Rsvp.first_name,
        Rsvp.language,
        Rsvp.state,
        Rsvp.shift_id,
    ).where(
        Rsvp.occurrence_id.in_([row.occurrence_id for row in rows]),
        Rsvp.state.in_(states),
        Rsvp.email.is_not(None),
        Rsvp.email != "",
        Rsvp.address_hash.is_not(None),
        Rsvp.review_reason == "",  # what is held for a look is written nothing
    )
    if after is not None:
        chosen = chosen.where(Rsvp.id > after)
    chosen = chosen.order_by(Rsvp.occurrence_id, Rsvp.id).limit(limit)
    return list(db.session.execute(chosen.with_for_update(read=True, of=Rsvp)))


def _organizations(rows: Sequence[Notice | Reminder]) -> dict[uuid.UUID, Organization]:
    ids = {row.organization_id for row in rows}
    found = db.session.scalars(select(Organization).where(Organization.id.in_(ids)))
    return {organization.id: organization for organization in found}


def _shifts(people: Sequence[Row[Any]]) -> dict[uuid.UUID, Shift]:
    ids = {person.shift_id for person in people if person.shift_id is not None}
    if not ids:
        return {}
    return {one.id: one for one in db.session.scalars(select(Shift).where(Shift.id.in_(ids)))}


def _signed_in(rows: Sequence[Notice | Reminder], people: Sequence[Row[Any]]) -> set[uuid.UUID]:
    """Who of the people signed in, where that makes a difference to what they are written."""
    over = {
        row.occurrence_id
        for row in rows
        if isinstance(row, Reminder) and row.offset == delivery.AFTER
    }
    asked = [person.id for person in people if person.occurrence_id in over]
    signed_in: SignedIn = current_app.extensions[SIGNED_IN]
    return signed_in(asked) if asked else set()


def _letters(
    round_: _Round,
    people: Sequence[Row[Any]],
    shifts: Mapping[uuid.UUID, Shift],
    here: set[uuid.UUID],
) -> dict[Letter, list[mail.Addressee]]:
    """Each group of readers gets its letter; groups that read the same share it."""
    groups: dict[Reader, list[mail.Addressee]] = defaultdict(list)
    for person in people:
        reader = Reader(
            known(person.language) or "en", person.state, person.shift_id, person.id in here
        )
        groups[reader].append(
            mail.Addressee(
                unique_key=person.id,
                address=person.email,
                address_hash=person.address_hash,
                values=notices.values_for(
                    round_.kind, person.id, person.first_name, reader.language, person.person_id
                ),
                person_id=person.person_id,
            )
        )
    by_letter: dict[Letter, list[mail.Addressee]] = defaultdict(list)
    for reader, addressees in groups.items():
        shift = shifts[reader.shift_id] if reader.shift_id is not None else None
        by_letter[round_.write(reader, shift)] += addressees
    return by_letter
