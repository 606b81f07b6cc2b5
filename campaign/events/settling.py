"""What follows an answer: whose it is, and the posts of those who had answered before.

The answer itself stands at once; this is done right after it, so that the person who waits for
the page does not wait for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update

from campaign import clock
from campaign.db import db, is_postgres
from campaign.errors import Invalid
from campaign.events import queries, seats
from campaign.events.emails import Note, note_of
from campaign.events.models import (
    Company,
    EventState,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpMail,
    RsvpRepeat,
    RsvpState,
)
from campaign.events.queries import Sheet
from campaign.people import services as people
from campaign.people import strangers
from campaign.people.services import PersonDetails

ROWS_AT_ONCE = 200
IP_DAYS = 30
MAIL_COUNT_DAYS = 2
REVIEW_DAYS = 90
REVIEW_DAYS = 90
OVER = (RsvpState.CANCELLED, RsvpState.DECLINED)


# --- whose answer it is ------------------------------------------------------------------------


def settle_rsvps() -> int:
    """Find or make the people of new answers; returns how many answers were settled.

    Two that run at once take different ones. What is held for a look waits for that.
    """
    chosen = (
        select(Rsvp)
        .where(Rsvp.settled_at.is_(None), Rsvp.review_reason == "")
        .order_by(Rsvp.created_at)
        .limit(ROWS_AT_ONCE)
    )
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    found = db.session.scalars(chosen).all()
    for rsvp in found:
        settle(rsvp)
    return len(found)


def settle(rsvp: Rsvp, *, fills_blanks: bool = False) -> uuid.UUID:
    """The person of an answer, found or made. Nothing of somebody who was there changes, unless
    the owner of the address has spoken (`fills_blanks`)."""
    if rsvp.person_id is None or fills_blanks:
        event = rsvp.occurrence.event
        person = people.get_or_add_person(
            rsvp.organization_id,
            PersonDetails(
                email=rsvp.email or "",
                first_name=rsvp.first_name,
                last_name=rsvp.last_name,
                postal_code=rsvp.postal_code,
                phone=rsvp.phone,
                language=rsvp.language,
                source=rsvp.source or f"event {event.slug}"[:80],
                district_id=rsvp.district_id,
                district_share=rsvp.district_share,
            ),
            fills_blanks=fills_blanks,
        )
        rsvp.person_id = person.id
    rsvp.settled_at = rsvp.settled_at or clock.now()
    db.session.flush()
    return rsvp.person_id


# --- posts of those who had answered before ----------------------------------------------------


def work_repeats() -> int:
    """Work off posts of addresses that had answered their date already; returns how many.

    Two that run at once take different ones; those of one date wait for each other at its row.
    """
    chosen = select(RsvpRepeat).order_by(RsvpRepeat.id).limit(ROWS_AT_ONCE)
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    repeats = db.session.scalars(chosen).all()
    sheets: dict[uuid.UUID, Sheet] = {}
    for repeat in repeats:
        occurrence = db.session.get_one(Occurrence, repeat.occurrence_id)
        if not repeat.is_held and occurrence.is_open(repeat.created_at):
            sheet = sheets.get(occurrence.id) or queries.sheet_of(occurrence)
            sheets[occurrence.id] = sheet
            _answer_again(sheet, repeat.typed)
        db.session.delete(repeat)
        db.session.flush()
    return len(repeats)


def _answer_again(sheet: Sheet, typed: Mapping[str, Any]) -> None:
    """A second neighbor of one household answers, too; the same one is told what we have, or
    answers anew after a "no". What stands is changed behind the owner's link alone."""
    now = clock.now()
    row = seats.new_row(sheet, typed, now)
    seats.lock(sheet.occurrence_id)
    known = seats.holders_of(sheet.occurrence_id, row["address_hash"])
    name = (typed["first_name"], typed["last_name"])
    same = [one for one in known if strangers.is_same_name((one.first_name, one.last_name), name)]
    is_household = len(known) == 1 and strangers.share_household(
        known[0].postal_code, row["postal_code"]
    )
    if not known or (not same and is_household):
        row["slot"] = 3 - known[0].slot if known else 1
        seats.add(sheet, row, typed, now, notes_repeats=False)
        return
    rsvp = (same or known)[0]
    if rsvp.email is None or rsvp.review_reason:
        return
    if same and rsvp.state in OVER and typed["status"] != RsvpState.DECLINED:
        note = _begin_anew(rsvp, typed)
    else:
        note = Note.ALREADY
    if seats.take_mail_turn(rsvp.address_hash, now):
        seats.write_to(note, sheet, rsvp)


def _begin_anew(rsvp: Rsvp, typed: Mapping[str, Any]) -> Note:
    """Somebody who had said no says yes. Their party may find no room: then they stay as they
    were, and the letter says so."""
    try:
        seats.take(rsvp, typed["status"], guests=typed["guests"])
    except Invalid:
        return Note.FULL
    for name in ("needs", "needs_note", "company", "company_wish", "language"):
        setattr(rsvp, name, typed[name])
    if rsvp.confirmed_at is None:
        rsvp.wordings, rsvp.answers = typed["wordings"], typed.get("answers", {})
    db.session.flush()
    return note_of(rsvp)


# --- the line, and what has served -------------------------------------------------------------


def fill_lines() -> int:
    """Give away any place that lies free while somebody waits; returns how many dates had one.

    Whoever frees a place gives it away in the same transaction; this is for a line whose head
    could never fit and has gone, or a party that got in line behind it.
    """
    now = clock.now()
    waiting = select(Occurrence.id).where(
        Occurrence.state == OccurrenceState.SCHEDULED,
        Occurrence.ends_at > now,
        Occurrence.waiting_count > 0,
        or_(Occurrence.capacity.is_(None), Occurrence.taken_count < Occurrence.capacity),
        Occurrence.event.has(state=EventState.PUBLISHED),
    )
    count = 0
    for occurrence_id in db.session.scalars(waiting.limit(ROWS_AT_ONCE)).all():
        count += bool(seats.fill_places(db.session.get_one(Occurrence, occurrence_id)))
    return count


def forget(rsvp: Rsvp) -> None:
    """Erase who answered: state, guests and times stay. Where the date is still to come the answer is taken back first: a seat that
    nobody can be told about would be kept from those who wait."""
    if rsvp.occurrence.ends_at > clock.now():
        seats.release(rsvp)
    for name in (
        *("first_name", "last_name", "postal_code", "phone", "needs_note"),
        "company_wish",
    ):
        setattr(rsvp, name, "")
    hashed = rsvp.address_hash
    rsvp.email = rsvp.address_hash = rsvp.person_id = rsvp.district_share = None
    rsvp.ip = rsvp.source = rsvp.review_reason = ""
    rsvp.needs, rsvp.wordings, rsvp.answers, rsvp.company = [], {}, {}, Company.NONE
    rsvp.shift_id = None
    rsvp.settled_at = rsvp.settled_at or clock.now()
    db.session.flush()
    if hashed is not None:
        db.session.execute(
            delete(RsvpRepeat).where(
                RsvpRepeat.address_hash == hashed,
                RsvpRepeat.occurrence_id == rsvp.occurrence_id,
            )
        )


def let_go() -> int:
    """Cut internet addresses after 30 days and drop them with the date; forget answers that were
    held and never looked at, and counts of e-mails. Returns how many answers were touched."""
    now = clock.now()
    held = select(Rsvp).where(
        Rsvp.review_reason != "", Rsvp.created_at < now - timedelta(days=REVIEW_DAYS)
    )
    for rsvp in db.session.scalars(held.order_by(Rsvp.occurrence_id).limit(ROWS_AT_ONCE)).all():
        forget(rsvp)
    db.session.execute(
        delete(RsvpMail).where(RsvpMail.day < (now - timedelta(days=MAIL_COUNT_DAYS)).date())
    )
    over = select(Occurrence.id).where(Occurrence.ends_at < now - timedelta(days=1))
    gone = db.session.scalars(
        select(Rsvp.id).where(Rsvp.ip != "", Rsvp.occurrence_id.in_(over)).limit(ROWS_AT_ONCE)
    ).all()
    cut = db.session.execute(
        select(Rsvp.id, Rsvp.ip)
        .where(
            Rsvp.ip != "",
            ~Rsvp.ip.contains("/"),
            Rsvp.created_at < now - timedelta(days=IP_DAYS),
            Rsvp.id.not_in(gone),
        )
        .limit(ROWS_AT_ONCE)
    ).all()
    changes = dict.fromkeys(gone, "")
    changes |= {rsvp_id: strangers.network_of(ip) for rsvp_id, ip in cut}
    for rsvp_id, ip in changes.items():
        db.session.execute(
            update(Rsvp)
            .where(Rsvp.id == rsvp_id)
            .values(ip=ip, updated_at=Rsvp.updated_at)
            .execution_options(synchronize_session=False)
        )
    return len(changes)
