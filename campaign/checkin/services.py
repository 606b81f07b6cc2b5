"""Signing in, undoing, walking in, counting heads, and "did you come?".

Whatever a phone at the door sends may come late, twice and in any order, and means the same.
Nothing here commits.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update

from campaign import clock
from campaign.checkin import queries, rules
from campaign.checkin.models import CameAnswer, CountWay, HeadCount, SignIn, SignInWay
from campaign.db import db, insert, uuid7
from campaign.errors import Conflict, Invalid
from campaign.events.models import Occurrence, Rsvp
from campaign.mail.addresses import address_hash
from campaign.organizations.services import record
from campaign.people import queries as people_queries
from campaign.people import services as people
from campaign.people.models import Person
from campaign.tokens import random_token

MOST_GUESTS = 50
MOST_HEADS = 10_000_000
FEEDBACK_LIMIT = 2000
LISTED_EVERY = timedelta(hours=1)


class Did(StrEnum):
    """What became of a message of a phone, told back to it."""

    SIGNED_IN = "signed-in"
    UNDONE = "undone"
    REFUSED = "refused"  # not of this date


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A button pressed at the door: sign in, or undo. Ids and times, never a name."""

    rsvp_id: uuid.UUID
    key: str
    at: datetime
    is_undo: bool = False
    guests: int | None = None
    way: str = SignInWay.LIST


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkIn:
    """Somebody who is not on the list: from the door or from a line of the paper sheet.

    `wordings` maps a grantee's id to the wording they ticked, both hexadecimal.
    """

    first_name: str
    last_name: str = ""
    email: str = ""
    postal_code: str = ""
    guests: int = 0
    language: str = "en"
    wordings: Mapping[str, str] = field(default_factory=dict)
    way: str = SignInWay.DOOR
    sheet_line: str = ""


def new_key() -> str:
    """A key for a sign-in that a page without a script sends."""
    return random_token()


# --- the list ----------------------------------------------------------------------------------


def note_listing(occurrence: Occurrence, *, user_id: uuid.UUID) -> bool:
    """Audit that somebody looked at the names at the door, at most once an hour; whether it did."""
    since = clock.now() - LISTED_EVERY
    if queries.has_listed(occurrence.organization_id, user_id, since):
        return False
    record(
        queries.DOOR_LISTED,
        organization_id=occurrence.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=occurrence.id,
    )
    return True


def apply(
    occurrence: Occurrence, pressed: Sequence[Pressed], *, user_id: uuid.UUID
) -> dict[str, Did]:
    """Do what a phone says was pressed, in any order and as often as it likes; key → outcome."""
    done: dict[str, Did] = {}
    for one in sorted(pressed, key=lambda each: each.at):
        rsvp = db.session.get(Rsvp, one.rsvp_id)
        if rsvp is None or rsvp.occurrence_id != occurrence.id:
            done[one.key] = Did.REFUSED
            continue
        try:
            if one.is_undo:
                row = undo(rsvp, key=one.key, at=one.at, user_id=user_id)
            else:
                row = sign_in(
                    rsvp,
                    way=one.way,
                    guests=one.guests,
                    key=one.key,
                    at=one.at,
                    user_id=user_id,
                )
        except Conflict:
            done[one.key] = Did.REFUSED
            continue
        done[one.key] = Did.UNDONE if row.is_undone else Did.SIGNED_IN
    return done


def sign_in(
    rsvp: Rsvp,
    *,
    way: str,
    key: str,
    guests: int | None = None,
    at: datetime | None = None,
    user_id: uuid.UUID | None = None,
) -> SignIn:
    """Sign somebody in by their answer; pressed on two phones it is one sign-in, as pressed last.

    `guests` is how many came with them, None: as many as they said. An undone sign-in comes back
    only by a new pressing of the button, later than the undoing. Raises Conflict for a key that
    belongs to somebody else's sign-in.
    """
    now = clock.now()
    at = at or now
    count = rsvp.guests if guests is None else guests
    values = _row(rsvp, key=key, way=way, guests=count, at=at, user_id=user_id)
    row, is_new = _insert_or_find(rsvp, values)
    if not is_new and rules.is_newer(row, key, at):
        row.client_key, row.way, row.guests, row.at = key, way, _guests(count), at
        row.user_id = user_id
        if row.undone_at is not None:
            row.undone_at = row.settled_at = None
            row.received_at = now
    db.session.flush()
    return row


def undo(
    rsvp: Rsvp, *, key: str, at: datetime | None = None, user_id: uuid.UUID | None = None
) -> SignIn:
    """Take the sign-in of an answer back. An undoing that overtakes its sign-in is kept, so that
    the sign-in stays undone when it comes."""
    at = at or clock.now()
    values = _row(rsvp, key=key, way=SignInWay.LIST, guests=0, at=at, user_id=user_id)
    row, is_new = _insert_or_find(rsvp, values | {"undone_at": at})
    if not is_new and rules.is_undone_by(row, key, at):
        _undo(row, at)
    db.session.flush()
    return row


def _row(
    rsvp: Rsvp, *, key: str, way: str, guests: int, at: datetime, user_id: uuid.UUID | None
) -> dict[str, Any]:
    if not rules.is_key(key):
        raise Conflict
    return {
        "id": uuid7(),
        "organization_id": rsvp.organization_id,
        "event_id": rsvp.event_id,
        "occurrence_id": rsvp.occurrence_id,
        "rsvp_id": rsvp.id,
        "person_id": rsvp.person_id,
        "client_key": key,
        "way": way,
        "guests": _guests(guests),
        "address_hash": rsvp.address_hash,
        "language": rsvp.language,
        "at": at,
        "received_at": clock.now(),
        "user_id": user_id,
    }


def _guests(count: int) -> int:
    return max(0, min(count, MOST_GUESTS))


def _insert_or_find(rsvp: Rsvp, values: dict[str, Any]) -> tuple[SignIn, bool]:
    """The sign-in of an answer, made when there is none; the unique indexes decide a race."""
    statement = insert(SignIn).values(values).on_conflict_do_nothing().returning(SignIn.id)
    added = db.session.execute(statement).scalar()
    if added is not None:
        return db.session.get_one(SignIn, added), True
    found = db.session.scalar(
        select(SignIn)
        .where(SignIn.rsvp_id == rsvp.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:  # the key is another sign-in's
        raise Conflict(_l("This was signed in by another button. Please try again."))
    return found, False


# --- undoing -----------------------------------------------------------------------------------


def undo_sign_in(row: SignIn) -> None:
    """Take any sign-in back, walk-ins too; it can be brought back."""
    if row.undone_at is None:
        _undo(row, clock.now())
        db.session.flush()


def restore_sign_in(row: SignIn) -> None:
    """Bring an undone sign-in back."""
    row.undone_at = None
    row.settled_at = None
    row.received_at = clock.now()
    db.session.flush()


def _undo(row: SignIn, at: datetime) -> None:
    row.undone_at = at
    if row.settled_at is not None:
        _take_back(row, row.settled_at)
        row.settled_at = None


def _take_back(row: SignIn, settled_at: datetime) -> None:
    """End what this sign-in alone had put into the ledger: nobody agreed who was not here."""
    rsvp = row.rsvp
    grantees = set(row.wordings)
    if rsvp is not None and rsvp.confirmed_at == settled_at:
        grantees |= set(rsvp.wordings)
        rsvp.confirmed_at = None
    person = db.session.get(Person, row.person_id) if row.person_id else None
    if person is None or person.erased_at is not None:
        return
    for line in people_queries.consents_in_force(person.id):
        if line.grantee_id.hex in grantees and line.is_granted and line.at >= settled_at:
            people.withdraw_consent(
                person,
                grantee_id=line.grantee_id,
                purpose=line.purpose,
                source="by hand",
                source_detail=_("the sign-in was a mistake"),
            )


# --- walking in --------------------------------------------------------------------------------


def walk_in(
    occurrence: Occurrence,
    details: WalkIn,
    *,
    key: str,
    user_id: uuid.UUID | None,
    is_somebody_else: bool = False,
) -> SignIn:
    """Sign somebody in who gave their name at the door or on paper.

    Who has answered this date (by address, else by full name) is signed in by that answer. The
    same key is the same sign-in. Raises Invalid at `line` for a line entered before, and at
    `repeat` for somebody who seems to be in already, unless `is_somebody_else`.
    """
    if not rules.is_key(key):
        raise Invalid(_l("This form is out of date. Please send it again."))
    same = db.session.scalar(
        select(SignIn).where(SignIn.occurrence_id == occurrence.id, SignIn.client_key == key)
    )
    if same is not None:
        return same
    if details.sheet_line and queries.line_entered(occurrence.id, details.sheet_line):
        raise Invalid(_l("This line is entered already."), field="line")
    who = {
        "email": details.email,
        "first_name": details.first_name,
        "last_name": details.last_name,
    }
    if not is_somebody_else and queries.look_alikes(occurrence.id, **who):
        raise Invalid(
            _l("Somebody of this name is signed in already. Is it somebody else?"), field="repeat"
        )
    rsvp = None if is_somebody_else else queries.answer_of(occurrence.id, **who)
    now = clock.now()
    if rsvp is not None:
        row = sign_in(
            rsvp, way=details.way, guests=details.guests, key=key, at=now, user_id=user_id
        )
        row.email = details.email or None
    else:
        row = SignIn(
            organization_id=occurrence.organization_id,
            event_id=occurrence.event_id,
            occurrence_id=occurrence.id,
            client_key=key,
            way=details.way,
            guests=_guests(details.guests),
            email=details.email or None,
            address_hash=address_hash(details.email) if details.email else None,
            at=now,
            received_at=now,
            user_id=user_id,
        )
        db.session.add(row)
    row.first_name, row.last_name = details.first_name, details.last_name
    row.postal_code, row.language = details.postal_code, details.language
    row.wordings, row.sheet_line = dict(details.wordings), details.sheet_line
    db.session.flush()
    return row


# --- heads -------------------------------------------------------------------------------------


def count_heads(
    occurrence: Occurrence,
    count: int,
    *,
    way: str = CountWay.HAND,
    note: str = "",
    user_id: uuid.UUID | None,
) -> HeadCount:
    """Note how many heads there are now. Raises Invalid for a number that cannot be."""
    if not 0 <= count <= MOST_HEADS:
        raise Invalid(_l("Write a number from 0 to 10 million."), field="count")
    row = HeadCount(
        organization_id=occurrence.organization_id,
        occurrence_id=occurrence.id,
        count=count,
        way=way,
        note=note,
        at=clock.now(),
        user_id=user_id,
    )
    db.session.add(row)
    db.session.flush()
    return row


def remove_head_count(row: HeadCount) -> None:
    """Take a count out of the report; it can be brought back."""
    row.removed_at = row.removed_at or clock.now()
    db.session.flush()


def restore_head_count(row: HeadCount) -> None:
    row.removed_at = None
    db.session.flush()


def expect(occurrence: Occurrence, count: int | None, *, user_id: uuid.UUID) -> None:
    """Write an organizer's own forecast over ours; None takes it away."""
    if count is not None and not 0 <= count <= MOST_HEADS:
        raise Invalid(_l("Write a number from 0 to 10 million."), field="count")
    occurrence.expected_count = count
    record(
        "event.expected",
        organization_id=occurrence.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=occurrence.id,
        details={"count": count},
    )


# --- did you come? -----------------------------------------------------------------------------


def tell_came(rsvp: Rsvp, has_come: bool, feedback: str = "") -> CameAnswer:
    """Keep what somebody says about having come, beside the sign-ins and never among them.

    Raises Conflict before the date has begun.
    """
    now = clock.now()
    if now < rsvp.occurrence.starts_at:
        raise Conflict(_l("This has not begun yet."))
    row = db.session.get(CameAnswer, rsvp.id)
    if row is None:
        db.session.execute(
            insert(CameAnswer)
            .values(
                rsvp_id=rsvp.id,
                organization_id=rsvp.organization_id,
                occurrence_id=rsvp.occurrence_id,
                has_come=has_come,
                at=now,
            )
            .on_conflict_do_nothing()
        )
        row = db.session.get_one(CameAnswer, rsvp.id)
    row.has_come, row.at = has_come, now
    row.feedback = feedback.strip()[:FEEDBACK_LIMIT]
    db.session.flush()
    return row


# --- erasing -----------------------------------------------------------------------------------


def erase_sign_ins(rows: Sequence[SignIn]) -> int:
    """Take the identity out of sign-ins; that somebody came, and with how many, stays."""
    ids = [row.id for row in rows]
    db.session.execute(
        update(SignIn)
        .where(SignIn.id.in_(ids))
        .values(
            person_id=None,
            first_name="",
            last_name="",
            email=None,
            address_hash=None,
            postal_code="",
            language="en",
            wordings={},
            sheet_line="",
            settled_at=clock.now(),
        )
        .execution_options(synchronize_session="fetch")
    )
    return len(ids)


def erase_feedback(rsvp_ids: Sequence[uuid.UUID]) -> None:
    """Take away what people wrote afterwards; the yes or no of it stays without a name."""
    db.session.execute(
        update(CameAnswer)
        .where(CameAnswer.rsvp_id.in_(rsvp_ids))
        .values(feedback="")
        .execution_options(synchronize_session="fetch")
    )
