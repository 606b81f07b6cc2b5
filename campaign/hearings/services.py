"""Testimony: switching it on, the body's rules, asking to speak, the order, plan B, drafts.

A slot is taken and freed under the lock of the date's row. Whoever frees one passes it on at
once to the longest waiting, who is told.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update

from campaign import clock
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.events import queries as events
from campaign.events.models import (
    Event,
    EventKind,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpState,
)
from campaign.events.services import RsvpDetails, add_answer
from campaign.hearings import delivery, emails, queries, rules
from campaign.hearings.models import (
    Hearing,
    HearingTask,
    Outcome,
    SpeakerState,
    TaskDone,
    Testimony,
    Way,
)
from campaign.hearings.rules import TaskDetails
from campaign.mail.addresses import address_hash
from campaign.organizations.services import record
from campaign.people import names

# --- the hearing and its rules -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingDetails:
    """What an organizer writes about the testimony of an event. `slot_count` None: no limit."""

    body: Words = field(default_factory=Words)
    rules_note: Words = field(default_factory=Words)
    is_open: bool = True
    slot_count: int | None = None
    minutes_each: int = 3
    most_pages: int = 2
    ways: tuple[str, ...] = tuple(Way)
    practice_event_id: uuid.UUID | None = None


def set_up_hearing(
    event: Event, details: HearingDetails, *, template: str = "", user_id: uuid.UUID | None = None
) -> Hearing:
    """Take testimony for an event, beginning with a template's tasks.

    Raises Conflict for an event that is no hearing, or takes testimony already.
    """
    if event.kind != EventKind.HEARING:
        raise Conflict(_l("Only an event of the kind “Hearing” takes testimony."))
    if queries.hearing_of(event.id) is not None:
        raise Conflict(_l("This hearing takes testimony already."))
    hearing = Hearing(event_id=event.id, organization_id=event.organization_id, event=event)
    _apply(hearing, details)
    db.session.add(hearing)
    for task in rules.TEMPLATES.get(template, ()):
        add_task(event, task)
    record(
        "hearing.opened",
        organization_id=event.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=event.id,
        details={"slots": details.slot_count, "template": template},
    )
    db.session.flush()
    return hearing


def change_hearing(
    hearing: Hearing, details: HearingDetails, *, user_id: uuid.UUID | None = None
) -> None:
    """Change what a hearing asks. More slots go to the line at once; fewer throw nobody out.

    Raises Invalid at `slot_count` for fewer slots than are taken.
    """
    dates = _coming_dates(hearing.event_id)
    locked = [delivery.lock(one.id) for one in dates]
    if details.slot_count is not None:
        taken = max((queries.slots_taken(one.id) for one in locked), default=0)
        if details.slot_count < taken:
            raise Invalid(
                _l("%(count)s people have a slot already. Give at least that many.", count=taken),
                field="slot_count",
            )
    _apply(hearing, details)
    db.session.flush()
    for occurrence in locked:
        delivery.fill_slots(occurrence)
    record(
        "hearing.changed",
        organization_id=hearing.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=hearing.event_id,
        details={"slots": details.slot_count, "open": details.is_open},
    )


def _apply(hearing: Hearing, details: HearingDetails) -> None:
    hearing.body, hearing.rules_note = details.body, details.rules_note
    hearing.is_open, hearing.slot_count = details.is_open, details.slot_count
    hearing.minutes_each, hearing.most_pages = details.minutes_each, details.most_pages
    hearing.ways = [way for way in Way if way in details.ways]
    hearing.practice_event_id = details.practice_event_id


def open_hearing(hearing: Hearing, *, is_open: bool, user_id: uuid.UUID | None = None) -> None:
    """Take speakers, or take no more; those who are on the list stay."""
    hearing.is_open = is_open
    record(
        "hearing.opened" if is_open else "hearing.closed",
        organization_id=hearing.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=hearing.event_id,
    )


def _coming_dates(event_id: uuid.UUID) -> list[Occurrence]:
    return list(
        db.session.scalars(
            select(Occurrence)
            .where(
                Occurrence.event_id == event_id,
                Occurrence.state == OccurrenceState.SCHEDULED,
                Occurrence.starts_at > clock.now(),
            )
            .order_by(Occurrence.id)
        ).unique()
    )


def add_task(event: Event, details: TaskDetails) -> HearingTask:
    """Add a rule of the body as something to do. Raises Conflict over the most there may be."""
    present = queries.tasks_of(event.id)
    if len(present) >= rules.MOST_TASKS:
        raise Conflict(_l("There are 20 tasks already. Remove one first."))
    task = HearingTask(
        organization_id=event.organization_id,
        event_id=event.id,
        position=max((one.position for one in present), default=-1) + 1,
    )
    _write_task(task, details)
    db.session.add(task)
    db.session.flush()
    _plan(event.id)
    return task


def change_task(task: HearingTask, details: TaskDetails) -> None:
    """Change a task; its reminders are planned anew, those that went out stay out."""
    _write_task(task, details)
    db.session.flush()
    _plan(task.event_id)


def remove_task(task: HearingTask) -> None:
    """Remove a task with its reminders and what was ticked."""
    event_id = task.event_id
    db.session.delete(task)
    db.session.flush()
    _plan(event_id)


def _write_task(task: HearingTask, details: TaskDetails) -> None:
    task.title, task.text = details.title, details.text
    task.opens, task.closes = details.opens, details.closes
    task.reminders = list(dict.fromkeys(details.reminders))
    task.ways = [way for way in Way if way in details.ways]


def _plan(event_id: uuid.UUID) -> None:
    for occurrence in _coming_dates(event_id):
        if not occurrence.is_cancelled:
            delivery.plan_reminders(occurrence)


# --- asking to speak ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TestimonyDetails:
    """What somebody says about their testimony. `minutes` None: as the body gives everybody."""

    way: str = Way.IN_PERSON
    language: str = "en"
    topic: str = ""
    offers_to_read: bool = False
    wants_reader: bool = False
    minutes: int | None = None


def ask_to_speak(
    rsvp: Rsvp, details: TestimonyDetails, *, user_id: uuid.UUID | None = None
) -> Testimony:
    """Put somebody who answered the event on the list, or in line when it is full.

    Twice is once: the second time changes what they said. Raises Conflict when the date takes no
    speakers (any more), Invalid at `way` for one that the body does not allow.
    """
    hearing = _taking(rsvp, user_id)
    _check_way(rsvp, hearing, details.way)
    occurrence = delivery.lock(rsvp.occurrence_id)
    testimony = queries.testimony_by_rsvp(rsvp.id)
    if testimony is not None and testimony.state != SpeakerState.WITHDRAWN:
        change_testimony(testimony, details)
        return testimony
    if testimony is None:
        testimony = Testimony(
            organization_id=rsvp.organization_id,
            event_id=rsvp.event_id,
            occurrence_id=rsvp.occurrence_id,
            rsvp_id=rsvp.id,
            rsvp=rsvp,
            occurrence=occurrence,
            state=SpeakerState.WITHDRAWN,
        )
        db.session.add(testimony)
    testimony.occurrence_id = rsvp.occurrence_id
    testimony.outcome, testimony.offered_at = Outcome.NONE, None
    _write(testimony, details, hearing)
    delivery.seat(testimony, occurrence)
    emails.write("asked", testimony)
    db.session.flush()
    return testimony


def add_speaker(
    occurrence: Occurrence,
    person: RsvpDetails,
    details: TestimonyDetails,
    *,
    user_id: uuid.UUID | None = None,
) -> Testimony:
    """Put somebody on the list by hand: their answer to the event first, where there is none yet.

    Who speaks in person takes a seat; who does not says "maybe", which takes none. Raises what
    `add_answer` and `ask_to_speak` raise.
    """
    hashed = address_hash(person.email) if person.email else None
    mine = events.rsvps_by_address(hashed) if hashed is not None else []
    rsvp = next(
        (
            row
            for row in mine
            if row.occurrence_id == occurrence.id and names.agree(row.first_name, person.first_name)
        ),
        None,
    )
    if rsvp is None or rsvp.state == RsvpState.CANCELLED:
        comes = details.way == Way.IN_PERSON
        status = RsvpState.ACCEPTED if comes else RsvpState.TENTATIVE
        rsvp = add_answer(occurrence, replace(person, status=status), user_id=user_id)
    return ask_to_speak(rsvp, details, user_id=user_id)


def _taking(rsvp: Rsvp, user_id: uuid.UUID | None) -> Hearing:
    """The hearing, if this answer may ask to speak now: an organizer may also when it is closed."""
    hearing = queries.hearing_of(rsvp.event_id)
    occurrence = rsvp.occurrence
    if hearing is None or not occurrence.is_open(clock.now()):
        raise Conflict(_l("This hearing takes no speakers."))
    if not hearing.is_open and user_id is None:
        raise Conflict(_l("The list of speakers is closed."))
    return hearing


def _check_way(rsvp: Rsvp, hearing: Hearing, way: str) -> None:
    if way not in hearing.ways:
        raise Invalid(_l("Please choose one of these."), field="way")
    if rsvp.state == RsvpState.CANCELLED:
        raise Conflict(_l("Your answer was taken back. Say that you come first."))
    if rsvp.state == RsvpState.DECLINED and way == Way.IN_PERSON:
        raise Invalid(
            _l("You said that you cannot come. Choose another way, or change your answer."),
            field="way",
        )


def _write(testimony: Testimony, details: TestimonyDetails, hearing: Hearing) -> None:
    testimony.way, testimony.language = details.way, details.language
    testimony.topic = details.topic
    testimony.offers_to_read = details.offers_to_read
    testimony.wants_reader = details.wants_reader
    if details.minutes is not None:
        testimony.minutes = details.minutes
    elif testimony.state == SpeakerState.WITHDRAWN:
        testimony.minutes = hearing.minutes_each


def change_testimony(testimony: Testimony, details: TestimonyDetails) -> None:
    """Change what somebody said. From writing to speaking asks for a slot anew; back frees one.

    Who wants no reader any more has none, and who reads no more for others reads for nobody.
    """
    hearing = queries.hearing_of(testimony.event_id)
    if hearing is None or testimony.state == SpeakerState.WITHDRAWN:
        raise Conflict(_l("This hearing takes no speakers."))
    if testimony.rsvp is not None and details.way != testimony.way:
        _check_way(testimony.rsvp, hearing, details.way)
    occurrence = delivery.lock(testimony.occurrence_id)
    was_aloud = testimony.way in rules.ALOUD
    _write(testimony, details, hearing)
    if not testimony.wants_reader:
        testimony.reader_id = None
    if not testimony.offers_to_read:
        _stop_reading(testimony)
    if was_aloud != (testimony.way in rules.ALOUD):
        testimony.waiting_since = None
        delivery.seat(testimony, occurrence)
        delivery.fill_slots(occurrence)
    db.session.flush()


def _stop_reading(testimony: Testimony) -> None:
    db.session.execute(
        update(Testimony).where(Testimony.reader_id == testimony.id).values(reader_id=None)
    )


def withdraw_testimony(testimony: Testimony, *, user_id: uuid.UUID | None = None) -> None:
    """Take somebody off the list; the slot goes to the longest waiting. Twice is once.

    Their words stay theirs: asking again finds the draft as it was.
    """
    if testimony.state == SpeakerState.WITHDRAWN:
        return
    occurrence = delivery.lock(testimony.occurrence_id)
    delivery.stop_for(testimony)
    delivery.vacate(testimony)
    emails.write("off", testimony)
    if clock.now() < occurrence.ends_at and not occurrence.is_cancelled:
        delivery.fill_slots(occurrence)
    if user_id is not None:
        _record("hearing.speaker_removed", testimony, user_id)


def return_testimony(testimony: Testimony, *, user_id: uuid.UUID) -> None:
    """Undo of a removal: back on the list, or in line when the slot has gone to another."""
    if testimony.state != SpeakerState.WITHDRAWN or testimony.rsvp is None:
        return
    hearing = _taking(testimony.rsvp, user_id)
    _check_way(testimony.rsvp, hearing, testimony.way)
    delivery.seat(testimony, delivery.lock(testimony.occurrence_id))
    emails.write("asked", testimony)
    _record("hearing.speaker_returned", testimony, user_id)


def _record(action: str, testimony: Testimony, user_id: uuid.UUID) -> None:
    record(
        action,
        organization_id=testimony.organization_id,
        user_id=user_id,
        subject_kind="testimony",
        subject_id=testimony.id,
    )


# --- the order ---------------------------------------------------------------------------------


def move_speaker(testimony: Testimony, *, up: bool) -> bool:
    """Let somebody speak one place earlier or later; whether there was such a place."""
    delivery.lock(testimony.occurrence_id)
    db.session.refresh(testimony)
    order = [row for row in queries.speakers(testimony.occurrence_id) if row.way in rules.ALOUD]
    if testimony not in order:
        raise Conflict
    here = order.index(testimony)
    there = here + (-1 if up else 1)
    if not 0 <= there < len(order):
        return False
    order[here], order[there] = order[there], order[here]
    for place, row in enumerate(order, 1):
        row.position = place
    db.session.flush()
    return True


def mark_outcome(testimony: Testimony, outcome: str) -> None:
    """Write down what became of it. Raises Invalid for what is no outcome."""
    if outcome not in set(Outcome):
        raise Invalid(_l("Please choose one of these."), field="outcome")
    testimony.outcome = Outcome(outcome)


# --- plan B ------------------------------------------------------------------------------------


def find_reader(testimony: Testimony) -> Testimony | None:
    """Pair a speaker with somebody who offered to read, or None when nobody is free.

    Asking for a reader is agreeing that the reader sees the draft: without it nobody is paired.
    """
    if not testimony.wants_reader or testimony.state != SpeakerState.SPEAKING:
        raise Conflict
    delivery.lock(testimony.occurrence_id)
    for reader in queries.possible_readers(testimony):
        pair_reader(testimony, reader)
        return reader
    return None


def pair_reader(testimony: Testimony, reader: Testimony | None) -> None:
    """Say who reads it out if its speaker cannot; both are told. None: nobody.

    Raises Conflict unless the speaker wants a reader and the reader offers to be one.
    """
    if reader is None:
        testimony.reader_id = None
        db.session.flush()
        return
    is_same_date = reader.occurrence_id == testimony.occurrence_id
    if not (is_same_date and testimony.wants_reader and reader.offers_to_read):
        raise Conflict(_l("These two cannot be paired: one must ask, the other offer."))
    if reader.id == testimony.id or reader.state != SpeakerState.SPEAKING:
        raise Conflict(_l("These two cannot be paired: one must ask, the other offer."))
    if testimony.reader_id == reader.id:
        return
    testimony.reader_id = reader.id
    db.session.flush()
    emails.write("reader", testimony, other_name=_first_name(reader))
    emails.write("reading", reader, other_name=_first_name(testimony))


def give_back_reading(testimony: Testimony) -> Testimony | None:
    """The reader cannot after all: find another among those who offer; None when there is none."""
    delivery.lock(testimony.occurrence_id)
    before = testimony.reader_id
    testimony.reader_id = None
    db.session.flush()
    for reader in queries.possible_readers(testimony):
        if reader.id != before and testimony.wants_reader:
            pair_reader(testimony, reader)
            return reader
    emails.write("unread", testimony)
    return None


def _first_name(testimony: Testimony) -> str:
    return testimony.rsvp.first_name if testimony.rsvp is not None else ""


# --- drafts and tasks --------------------------------------------------------------------------


def save_draft(testimony: Testimony, text: str) -> datetime:
    """Keep the words as they are; returns when."""
    testimony.draft, testimony.draft_saved_at = text, clock.now()
    if not text:
        testimony.draft_saved_at = None
    db.session.flush()
    return clock.now()


def tick_task(testimony: Testimony, task: HearingTask, *, is_done: bool) -> None:
    """A speaker has done a task, or has not after all. Raises Conflict for another event's."""
    if task.event_id != testimony.event_id:
        raise Conflict
    mine = (TaskDone.testimony_id == testimony.id, TaskDone.task_id == task.id)
    if not is_done:
        db.session.execute(delete(TaskDone).where(*mine))
    elif db.session.scalar(select(TaskDone).where(*mine)) is None:
        db.session.add(TaskDone(testimony_id=testimony.id, task_id=task.id, at=clock.now()))
    db.session.flush()


# --- erasing -----------------------------------------------------------------------------------


def erase_testimonies(rsvp_ids: Collection[uuid.UUID]) -> int:
    """Erase what somebody added to these answers: their words go, that they spoke stays a number.

    Whoever had a slot still to come leaves it to the longest waiting. Returns how many.
    """
    found = queries.of_rsvps(rsvp_ids)
    for testimony in found:
        if testimony.occurrence.starts_at > clock.now():
            occurrence = delivery.lock(testimony.occurrence_id)
            delivery.stop_for(testimony)
            delivery.vacate(testimony)
            delivery.fill_slots(occurrence)
        _stop_reading(testimony)
        delivery.forget_words(testimony)
    db.session.flush()
    return len(found)
