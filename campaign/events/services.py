"""Answering, changing, taking back, confirming; organizers who write down or look at answers.

Answers to a stranger are alike for a new, a known and a late one, and so is the work before the
answer: neither the page nor the clock tells who comes. The e-mail says what came of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy import delete, or_, select

from campaign import clock
from campaign.campaigns import boxes
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.events import coming, delivery, queries, rules, seats, settling, tasks
from campaign.events.emails import Note, note_of
from campaign.events.models import (
    COMING,
    Company,
    Occurrence,
    Rsvp,
    RsvpMail,
    RsvpRepeat,
    RsvpState,
)
from campaign.events.queries import Sheet
from campaign.fields import services as fields
from campaign.fields.rules import read_answers
from campaign.organizations.services import record
from campaign.people import queries as people_queries
from campaign.people import strangers
from campaign.worker import enqueue, ring_now

LISTED_EVERY = timedelta(hours=1)
ANSWERS = (RsvpState.ACCEPTED, RsvpState.TENTATIVE, RsvpState.DECLINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RsvpDetails:
    """What somebody answered; every door (page, console, command, API) builds this.

    `consents` maps an organization's slug to the mark of the wording that was shown, or to
    anything else for the present wording; `answers` a question's key to what was typed. `signals`
    is what the door found odd.
    """

    first_name: str
    last_name: str = ""
    email: str = ""
    postal_code: str = ""
    phone: str = ""
    status: str = RsvpState.ACCEPTED
    guests: int = 0
    needs: Sequence[str] = ()
    needs_note: str = ""
    shift_id: uuid.UUID | None = None
    company: str = Company.NONE
    company_wish: str = ""
    consents: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    source: str = ""
    channel: str = "web"
    ip: str = ""
    signals: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the owner of an answer may change behind their link."""

    status: str
    guests: int = 0
    needs: Sequence[str] = ()
    needs_note: str = ""
    shift_id: uuid.UUID | None = None


# --- answering ---------------------------------------------------------------------------------


def answer(occurrence: Occurrence | Sheet, details: RsvpDetails) -> None:
    """Take a stranger's answer; the e-mail that follows tells its owner what came of it.

    Whoever answers, this is one and the same statement. Raises Conflict when the date takes no
    answers (any more), Invalid at `status`, `guests`, `shift` or a consent box.
    """
    sheet = occurrence if isinstance(occurrence, Sheet) else queries.sheet_of(occurrence)
    now = clock.now()
    if not sheet.is_open(now):
        raise _closed()
    typed = _typed(sheet, details)
    odd = rules.signals_in(details.email, details.needs_note, details.company_wish)
    reason = strangers.review_reason([*details.signals, *odd])
    if details.shift_id in sheet.limited_shifts and typed["shift"]:
        seats.check_shift(sheet.occurrence_id, uuid.UUID(typed["shift"]), but=None)
    row = seats.new_row(sheet, typed, now, review_reason=reason)
    done = seats.add(sheet, row, typed, now)
    if not done.is_open:
        raise _closed()
    follow = tasks.settle_rsvps if done.is_new else tasks.work_repeats
    (ring_now if done.is_committed else enqueue)(follow)


def _closed() -> Conflict:
    return Conflict(_l("This event takes no more answers."))


def _typed(sheet: Sheet, details: RsvpDetails) -> dict[str, Any]:
    """What was answered, as far as this event asks for it, in plain values."""
    if details.status not in ANSWERS:
        raise Invalid(_l("Please choose one of these answers."), field="status")
    comes = details.status == RsvpState.ACCEPTED
    is_no = details.status == RsvpState.DECLINED
    guests = 0 if is_no else details.guests
    check_guests(guests, sheet.most_guests)
    if comes:
        seats.check_party(guests, sheet.capacity)
    if details.shift_id is not None and details.shift_id not in sheet.shifts:
        raise Invalid(_l("Please choose one of the shifts."), field="shift")
    asks_company = sheet.asks_company and not is_no and details.company in set(Company)
    return {
        "first_name": details.first_name,
        "last_name": details.last_name,
        "email": details.email,
        "postal_code": details.postal_code,
        "phone": details.phone if sheet.asks_phone else "",
        "status": str(details.status),
        "guests": guests,
        "needs": [need for need in sheet.needs_asked if need in details.needs],
        "needs_note": details.needs_note if sheet.needs_asked else "",
        "shift": details.shift_id.hex if details.shift_id is not None and not is_no else None,
        "company": str(details.company) if asks_company else Company.NONE.value,
        "company_wish": details.company_wish if asks_company else "",
        "language": details.language,
        "source": details.source,
        "channel": details.channel,
        "wordings": boxes.wordings_of(
            sheet.boxes, sheet.boxes_key, details.consents, details.language
        ),
        "answers": read_answers(sheet.questions, details.answers, details.language),
        "ip": details.ip,
    }


def check_guests(guests: int, most: int) -> None:
    """Raises Invalid at `guests` with the number that may come along."""
    if guests < 0:
        raise Invalid(_l("Write a number from 0."), field="guests")
    if guests > most:
        raise Invalid(
            ngettext(
                "You can bring %(num)d guest. For more, please write to us.",
                "You can bring up to %(num)d guests. For more, please write to us.",
                most,
            )
            if most
            else _l("This event is without guests. Please let them answer for themselves."),
            field="guests",
        )


def add_answer(
    occurrence: Occurrence, details: RsvpDetails, *, user_id: uuid.UUID | None = None
) -> Rsvp:
    """Write down somebody's answer for them: from the phone, a sign-up sheet, a conversation.

    Also for a date that is over. They may have no e-mail. Raises Invalid like `answer`, and at
    `email` when this address has answered already; Conflict for a cancelled date.
    """
    now = clock.now()
    sheet = queries.sheet_of(occurrence)
    if not sheet.is_scheduled:
        raise _closed()
    typed = _typed(replace(sheet, asks_phone=True), replace(details, signals=()))
    if typed["shift"]:
        seats.check_shift(sheet.occurrence_id, uuid.UUID(typed["shift"]), but=None)
    db.session.flush()
    row = seats.new_row(sheet, typed, now)
    rsvp = seats.add_by_hand(row)
    if rsvp is None:
        raise Invalid(_l("Somebody with this address has answered already."), field="email")
    settling.settle(rsvp)
    if sheet.is_open(now):
        seats.write_to(note_of(rsvp), sheet, rsvp)
    record(
        "rsvp.added",
        organization_id=rsvp.organization_id,
        user_id=user_id,
        subject_kind="rsvp",
        subject_id=rsvp.id,
        details={"event": rsvp.event_id.hex, "channel": rsvp.channel},
    )
    return rsvp


# --- behind the link ---------------------------------------------------------------------------


def change_rsvp(rsvp: Rsvp, change: Change, *, user_id: uuid.UUID | None = None) -> None:
    """Another answer, more or fewer guests, other needs, another shift.

    A letter goes out when the answer itself has become another one. Raises Conflict when the
    date takes no answers any more, Invalid at the field that cannot be.
    """
    sheet = queries.sheet_of(rsvp.occurrence)
    if not sheet.is_open(clock.now()):
        raise _closed()
    if change.status not in ANSWERS:
        raise Invalid(_l("Please choose one of these answers."), field="status")
    is_no = change.status == RsvpState.DECLINED
    guests = 0 if is_no else change.guests
    check_guests(guests, max(sheet.most_guests, rsvp.guests if user_id is None else 0))
    if change.shift_id is not None and change.shift_id not in {*sheet.shifts, rsvp.shift_id}:
        raise Invalid(_l("Please choose one of the shifts."), field="shift")
    if change.shift_id is not None and not is_no and change.shift_id != rsvp.shift_id:
        seats.check_shift(rsvp.occurrence_id, change.shift_id, but=rsvp.id)
    before = note_of(rsvp)
    came = seats.take(rsvp, change.status, guests=guests)
    rsvp.shift_id = None if is_no else change.shift_id
    rsvp.needs = [need for need in sheet.needs_asked if need in change.needs]
    rsvp.needs_note = change.needs_note
    db.session.flush()
    if rsvp.state not in COMING:
        delivery.stop_for(rsvp)
    if note_of(rsvp) != before and rsvp not in came:
        seats.write_to(note_of(rsvp), sheet, rsvp)
    if user_id is not None:
        _record("rsvp.changed", rsvp, user_id)


def cancel_rsvp(rsvp: Rsvp, *, user_id: uuid.UUID | None = None) -> None:
    """Take an answer back; its place goes at once to the longest waiting. Twice is once."""
    if rsvp.state == RsvpState.CANCELLED:
        return
    seats.release(rsvp)
    delivery.stop_for(rsvp)
    seats.write_to(Note.TAKEN_BACK, queries.sheet_of(rsvp.occurrence), rsvp)
    if user_id is not None:
        _record("rsvp.cancelled", rsvp, user_id)


def confirm_rsvp(rsvp: Rsvp) -> None:
    """The owner of the address says "that's me": the boxes ticked enter the ledger, and what they
    answered besides stands with their person. Once."""
    if rsvp.confirmed_at is not None or rsvp.email is None:
        return
    rsvp.confirmed_at = clock.now()
    person = people_queries.person_by_id(settling.settle(rsvp, fills_blanks=True))
    if person is not None:
        fields.take_answers(person, rsvp.answers, rsvp.language)
        rsvp.answers = {}  # they stand with the person now
    if person is not None and rsvp.wordings:
        event = rsvp.occurrence.event
        boxes.grant(
            person,
            rsvp.wordings,
            lead_id=rsvp.organization_id,
            campaign_id=event.campaign_id,
            source_detail=f"/e/{event.slug}",
        )
    db.session.flush()


def not_me(rsvp: Rsvp) -> None:
    """Somebody typed another's address: the answer is taken back and nobody's any more."""
    erase_rsvp(rsvp)


# --- looking at what was odd -------------------------------------------------------------------


def approve_rsvp(rsvp: Rsvp, *, user_id: uuid.UUID | None = None) -> None:
    """An answer that was held for a look is fine: now its owner is written to."""
    if not rsvp.review_reason:
        return
    rsvp.review_reason = ""
    settling.settle(rsvp)
    seats.write_to(note_of(rsvp), queries.sheet_of(rsvp.occurrence), rsvp)
    _record("rsvp.approved", rsvp, user_id)


def reject_rsvp(rsvp: Rsvp, *, user_id: uuid.UUID | None = None) -> None:
    """An answer that was held is nobody's: its place is free, what was typed is gone."""
    erase_rsvp(rsvp)
    _record("rsvp.rejected", rsvp, user_id)


def _record(action: str, rsvp: Rsvp, user_id: uuid.UUID | None) -> None:
    record(
        action,
        organization_id=rsvp.organization_id,
        user_id=user_id,
        subject_kind="rsvp",
        subject_id=rsvp.id,
        details={"event": rsvp.event_id.hex},
    )


# --- for organizers ----------------------------------------------------------------------------


def note_listing(occurrence: Occurrence, *, user_id: uuid.UUID) -> bool:
    """Audit that somebody looked at who comes, at most once an hour; whether it did."""
    since = clock.now() - LISTED_EVERY
    if coming.has_listed(occurrence.organization_id, user_id, since):
        return False
    record(
        coming.ANSWERS_LISTED,
        organization_id=occurrence.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=occurrence.id,
    )
    return True


def note_export(occurrence: Occurrence, rows: int, *, user_id: uuid.UUID) -> None:
    """Audit that the list for the door left the house as a file."""
    record(
        "answers.exported",
        organization_id=occurrence.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=occurrence.id,
        details={"rows": rows},
    )


def meet_needs(rsvp: Rsvp, *, is_met: bool) -> None:
    """Mark what somebody needs as seen to, or take the mark back."""
    rsvp.needs_met_at = (rsvp.needs_met_at or clock.now()) if is_met else None
    db.session.flush()


# --- erasing -----------------------------------------------------------------------------------


def erase_rsvps(*, person_id: uuid.UUID | None = None, address_hash: str | None = None) -> int:
    """Erase who answered: state, guests and times stay. Returns how many answers."""
    mine = [
        clause
        for clause in (
            Rsvp.person_id == person_id if person_id is not None else None,
            Rsvp.address_hash == address_hash if address_hash is not None else None,
        )
        if clause is not None
    ]
    if not mine:
        return 0
    found = db.session.scalars(select(Rsvp).where(or_(*mine)).order_by(Rsvp.occurrence_id)).all()
    for rsvp in found:
        erase_rsvp(rsvp)
    if address_hash is not None:
        for table in (RsvpMail, RsvpRepeat):
            db.session.execute(delete(table).where(table.address_hash == address_hash))
    return len(found)


def erase_rsvp(rsvp: Rsvp) -> None:
    """Erase one; a seat on a date to come goes to whoever waits. Blank first: whoever is writing
    reminders at this moment has then either left it out or made a row that can be stopped."""
    settling.forget(rsvp)
    delivery.stop_for(rsvp)
