"""Reading who came. Said they come, signed in and counted are three numbers, never one."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import joinedload

from campaign.checkin import rules
from campaign.checkin.models import CameAnswer, HeadCount, SignIn
from campaign.checkin.rules import Forecast, Past
from campaign.db import db
from campaign.errors import NotFound
from campaign.events.models import Event, Occurrence, OccurrenceState, Rsvp, RsvpState
from campaign.mail.addresses import address_hash
from campaign.organizations.models import AuditEntry
from campaign.people import names
from campaign.people.models import Person

EXPECTED = (RsvpState.ACCEPTED, RsvpState.TENTATIVE, RsvpState.WAITING)
"""Whose names stand on the list at the door."""
MOST_ROWS = 1500
MOST_FEEDBACK = 200
DOOR_LISTED = "door.listed"


# --- one row -----------------------------------------------------------------------------------


def sign_in_of(organization_id: uuid.UUID, sign_in_id: uuid.UUID) -> SignIn:
    """A sign-in of this organization. Raises NotFound for another's and unknown ones."""
    found = db.session.scalar(
        select(SignIn).where(SignIn.id == sign_in_id, SignIn.organization_id == organization_id)
    )
    if found is None:
        raise NotFound
    return found


def head_count_of(organization_id: uuid.UUID, head_count_id: uuid.UUID) -> HeadCount:
    """A head count of this organization. Raises NotFound for another's and unknown ones."""
    found = db.session.scalar(
        select(HeadCount).where(
            HeadCount.id == head_count_id, HeadCount.organization_id == organization_id
        )
    )
    if found is None:
        raise NotFound
    return found


def sign_in_by_rsvp(rsvp_id: uuid.UUID) -> SignIn | None:
    """The sign-in of an answer, undone or not."""
    return db.session.scalar(select(SignIn).where(SignIn.rsvp_id == rsvp_id))


def signed_in_among(rsvp_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these answers signed in; an undone sign-in is none."""
    found = select(SignIn.rsvp_id).where(SignIn.rsvp_id.in_(rsvp_ids), SignIn.undone_at.is_(None))
    return set(db.session.scalars(found))


def came_answer(rsvp_id: uuid.UUID) -> CameAnswer | None:
    """What somebody told about having come, or None."""
    return db.session.get(CameAnswer, rsvp_id)


def has_listed(organization_id: uuid.UUID, user_id: uuid.UUID, since: datetime) -> bool:
    """Whether the audit log says that this user looked at a list at the door since then."""
    return bool(
        db.session.scalar(
            select(AuditEntry.id)
            .where(
                AuditEntry.organization_id == organization_id,
                AuditEntry.user_id == user_id,
                AuditEntry.action == DOOR_LISTED,
                AuditEntry.at > since,
            )
            .limit(1)
        )
    )


# --- the door ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DoorRow:
    """Somebody on the list, and whether they are here."""

    rsvp: Rsvp
    sign_in: SignIn | None

    @property
    def is_here(self) -> bool:
        return self.sign_in is not None and not self.sign_in.is_undone


def door_rows(occurrence_id: uuid.UUID, text: str = "") -> list[DoorRow]:
    """Who is on the list of a date, by last name; `text` finds by name, address or ZIP code.

    At most `MOST_ROWS`: a longer list is searched, not read.
    """
    statement = (
        select(Rsvp, SignIn)
        .outerjoin(SignIn, SignIn.rsvp_id == Rsvp.id)
        .where(Rsvp.occurrence_id == occurrence_id, Rsvp.first_name != "")
        .order_by(func.lower(Rsvp.last_name), func.lower(Rsvp.first_name), Rsvp.id)
    )
    if not text:
        statement = statement.where(Rsvp.state.in_(EXPECTED)).limit(MOST_ROWS)
    rows = [DoorRow(rsvp, sign_in) for rsvp, sign_in in db.session.execute(statement)]
    return [row for row in rows if fits(row.rsvp, text)][:MOST_ROWS]


def fits(rsvp: Rsvp, text: str) -> bool:
    """Whether each word of `text` is in the name (accents do not matter), or is the address or
    the ZIP code."""
    words = unicodedata.normalize("NFKC", text).split()[:6]
    name = names.fold(f"{rsvp.first_name} {rsvp.last_name}")
    return all(
        (names.fold(word) or word) in name
        or word == rsvp.postal_code
        or ("@" in word and address_hash(word) == rsvp.address_hash)
        for word in words
    )


def unlisted(occurrence_id: uuid.UUID) -> list[SignIn]:
    """Who came without an answer, the last first; undone ones left out."""
    return list(
        db.session.scalars(
            select(SignIn)
            .where(
                SignIn.occurrence_id == occurrence_id,
                SignIn.rsvp_id.is_(None),
                SignIn.undone_at.is_(None),
            )
            .order_by(SignIn.id.desc())
            .limit(MOST_ROWS)
        )
    )


def signed_in(occurrence_id: uuid.UUID) -> dict[uuid.UUID, SignIn]:
    """Answer → its sign-in, undone ones left out."""
    rows = db.session.scalars(
        select(SignIn).where(
            SignIn.occurrence_id == occurrence_id,
            SignIn.rsvp_id.is_not(None),
            SignIn.undone_at.is_(None),
        )
    )
    return {row.rsvp_id: row for row in rows if row.rsvp_id is not None}


def sheet_lines(occurrence_id: uuid.UUID, sheet: int) -> list[SignIn]:
    """What is entered of one paper sheet, by line."""
    rows = db.session.scalars(
        select(SignIn)
        .where(
            SignIn.occurrence_id == occurrence_id,
            SignIn.sheet_line.startswith(f"{sheet}/", autoescape=True),
            SignIn.undone_at.is_(None),
        )
        .options(joinedload(SignIn.rsvp))
    )
    return sorted(rows, key=lambda row: int(row.sheet_line.split("/")[1]))


def line_entered(occurrence_id: uuid.UUID, sheet_line: str) -> SignIn | None:
    """The sign-in that was entered from this line of this sheet, if any stands."""
    return db.session.scalar(
        select(SignIn).where(
            SignIn.occurrence_id == occurrence_id,
            SignIn.sheet_line == sheet_line,
            SignIn.undone_at.is_(None),
        )
    )


def look_alikes(
    occurrence_id: uuid.UUID, *, email: str, first_name: str, last_name: str
) -> list[SignIn]:
    """Who has signed in already and seems to be the same: by address, else by full name.

    Two people of one household share an address: another first name is somebody else.
    """
    hashed = address_hash(email) if email else None
    statement = (
        select(SignIn)
        .outerjoin(Rsvp, SignIn.rsvp_id == Rsvp.id)
        .where(SignIn.occurrence_id == occurrence_id, SignIn.undone_at.is_(None))
        .options(joinedload(SignIn.rsvp))
    )
    if hashed:
        statement = statement.where(or_(SignIn.address_hash == hashed, Rsvp.address_hash == hashed))
    else:
        like = [last_name, last_name.lower(), last_name.upper(), last_name.title()]
        statement = statement.where(or_(SignIn.last_name.in_(like), Rsvp.last_name.in_(like)))
    return [
        row
        for row in db.session.scalars(statement.limit(50))
        if names.fold(row.name) == names.fold(f"{first_name} {last_name}")
    ]


def answer_of(
    occurrence_id: uuid.UUID, *, email: str, first_name: str, last_name: str
) -> Rsvp | None:
    """The answer somebody gave to this date: by address and first name, else by full name.

    Without an address a name must be on the list exactly once.
    """
    here = select(Rsvp).where(Rsvp.occurrence_id == occurrence_id)
    if email:
        found = [
            row
            for row in db.session.scalars(here.where(Rsvp.address_hash == address_hash(email)))
            if names.agree(row.first_name, first_name)
        ]
        return found[0] if found else None
    like = [last_name, last_name.lower(), last_name.upper(), last_name.title()]
    found = [
        row
        for row in db.session.scalars(
            here.where(Rsvp.last_name.in_(like), Rsvp.state.in_(EXPECTED)).limit(50)
        )
        if names.fold(f"{row.first_name} {row.last_name}")
        == names.fold(f"{first_name} {last_name}")
    ]
    return found[0] if len(found) == 1 else None


# --- numbers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers or sign-ins, and the people they stand for (with their guests)."""

    rows: int = 0
    people: int = 0


@dataclass(frozen=True, slots=True)
class Numbers:
    """One date in numbers. The three that may be cited stay apart: `said`, `here`, `heads`."""

    said: Tally
    maybe: Tally
    waiting: Tally
    here: Tally
    from_answers: Tally
    walked_in: Tally
    missed: Tally
    heads: HeadCount | None
    told_came: int
    told_missed: int

    @property
    def has_door(self) -> bool:
        """Whether anybody was signed in at all; without, nobody has "missed" anything."""
        return self.here.rows > 0


def numbers_of(occurrence_id: uuid.UUID) -> Numbers:
    """All numbers of a date, counted from its rows."""
    answers = {
        state: Tally(rows, int(people))
        for state, rows, people in db.session.execute(
            select(Rsvp.state, func.count(), func.coalesce(func.sum(Rsvp.guests + 1), 0))
            .where(Rsvp.occurrence_id == occurrence_id)
            .group_by(Rsvp.state)
        )
    }
    stands = (SignIn.occurrence_id == occurrence_id, SignIn.undone_at.is_(None))
    here = _tally(SignIn.guests, *stands)
    from_answers = _tally(SignIn.guests, *stands, SignIn.rsvp_id.is_not(None))
    signed = select(SignIn.rsvp_id).where(*stands, SignIn.rsvp_id.is_not(None))
    told = db.session.execute(
        select(CameAnswer.has_come, func.count())
        .where(CameAnswer.occurrence_id == occurrence_id)
        .group_by(CameAnswer.has_come)
    ).all()
    return Numbers(
        said=answers.get(RsvpState.ACCEPTED, Tally()),
        maybe=answers.get(RsvpState.TENTATIVE, Tally()),
        waiting=answers.get(RsvpState.WAITING, Tally()),
        here=here,
        from_answers=from_answers,
        walked_in=Tally(here.rows - from_answers.rows, here.people - from_answers.people),
        missed=_tally(
            Rsvp.guests,
            Rsvp.occurrence_id == occurrence_id,
            Rsvp.state == RsvpState.ACCEPTED,
            Rsvp.id.not_in(signed),
        ),
        heads=highest(occurrence_id),
        told_came=sum(count for has_come, count in told if has_come),
        told_missed=sum(count for has_come, count in told if not has_come),
    )


def _tally(guests: Any, *where: ColumnElement[bool]) -> Tally:
    rows, people = db.session.execute(
        select(func.count(), func.coalesce(func.sum(guests + 1), 0)).where(*where)
    ).one()
    return Tally(rows, int(people))


def highest(occurrence_id: uuid.UUID) -> HeadCount | None:
    """The highest head count of a date: the one that is cited."""
    return db.session.scalar(
        _counts(occurrence_id).order_by(HeadCount.count.desc(), HeadCount.at).limit(1)
    )


def head_counts(occurrence_id: uuid.UUID) -> list[HeadCount]:
    """All head counts of a date that stand, in order of time."""
    return list(db.session.scalars(_counts(occurrence_id).order_by(HeadCount.at, HeadCount.id)))


def _counts(occurrence_id: uuid.UUID) -> Select[HeadCount]:
    return select(HeadCount).where(
        HeadCount.occurrence_id == occurrence_id, HeadCount.removed_at.is_(None)
    )


def by_source(occurrence_id: uuid.UUID) -> list[tuple[str, int, int]]:
    """Where those who said yes came from: source, people who said yes, people who signed in."""
    rows = db.session.execute(
        select(
            Rsvp.source,
            func.sum(Rsvp.guests + 1),
            func.coalesce(func.sum(SignIn.guests + 1), 0),
        )
        .outerjoin(SignIn, (SignIn.rsvp_id == Rsvp.id) & (SignIn.undone_at.is_(None)))
        .where(Rsvp.occurrence_id == occurrence_id, Rsvp.state == RsvpState.ACCEPTED)
        .group_by(Rsvp.source)
        .order_by(func.sum(Rsvp.guests + 1).desc(), Rsvp.source)
        .limit(30)
    )
    return [(source, int(said), int(came)) for source, said, came in rows]


def by_way(occurrence_id: uuid.UUID) -> dict[str, int]:
    """How people were signed in: way → people."""
    rows = db.session.execute(
        select(SignIn.way, func.sum(SignIn.guests + 1))
        .where(SignIn.occurrence_id == occurrence_id, SignIn.undone_at.is_(None))
        .group_by(SignIn.way)
    )
    return {way: int(people) for way, people in rows}


def feedback_of(occurrence_id: uuid.UUID) -> list[CameAnswer]:
    """What people wrote afterwards, the last first."""
    return list(
        db.session.scalars(
            select(CameAnswer)
            .where(CameAnswer.occurrence_id == occurrence_id, CameAnswer.feedback != "")
            .order_by(CameAnswer.at.desc())
            .limit(MOST_FEEDBACK)
        )
    )


# --- what past dates say -----------------------------------------------------------------------


def past_of(organization_id: uuid.UUID, now: datetime, *, kind: str = "") -> Past:
    """Past dates with a door: who had said yes, who signed in. Dates without one say nothing."""
    here = (
        select(SignIn.occurrence_id, func.sum(SignIn.guests + 1).label("people"))
        .where(SignIn.organization_id == organization_id, SignIn.undone_at.is_(None))
        .group_by(SignIn.occurrence_id)
        .subquery()
    )
    statement = (
        select(
            func.count(),
            func.coalesce(func.sum(Occurrence.taken_count), 0),
            func.coalesce(func.sum(here.c.people), 0),
        )
        .join(here, here.c.occurrence_id == Occurrence.id)
        .where(
            Occurrence.organization_id == organization_id,
            Occurrence.state == OccurrenceState.SCHEDULED,
            Occurrence.ends_at < now,
            Occurrence.taken_count > 0,
        )
    )
    if kind:
        statement = statement.join(Event, Event.id == Occurrence.event_id).where(Event.kind == kind)
    dates, said, came = db.session.execute(statement).one()
    return Past(dates, int(said), int(came))


def forecast_for(occurrence: Occurrence, said_yes: int, now: datetime) -> Forecast:
    """How many will come to a date, from dates of its kind and of the organization before it.

    Once it is over the forecast is what it was: the date itself and later ones say nothing.
    """
    own, until = occurrence.organization_id, min(now, occurrence.starts_at)
    return rules.forecast(
        said_yes, past_of(own, until, kind=occurrence.event.kind), past_of(own, until)
    )


# --- for others --------------------------------------------------------------------------------


def sign_ins_of(person: Person, rsvp_ids: Sequence[uuid.UUID] = ()) -> list[SignIn]:
    """A person's sign-ins, undone ones too, the latest first: theirs by row, by an answer of
    theirs, or by address and name where nobody has settled them yet."""
    mine = [SignIn.person_id == person.id, SignIn.rsvp_id.in_(rsvp_ids)]
    if person.address_hash:
        mine.append((SignIn.address_hash == person.address_hash) & SignIn.person_id.is_(None))
    rows = db.session.scalars(
        select(SignIn)
        .where(SignIn.organization_id == person.organization_id, or_(*mine))
        .order_by(SignIn.at.desc())
    )
    return [
        row
        for row in rows
        if row.person_id == person.id
        or row.rsvp_id in rsvp_ids
        or names.agree(row.first_name, person.first_name)
    ]


def sign_ins_by_rsvps(rsvp_ids: Sequence[uuid.UUID]) -> list[SignIn]:
    """The sign-ins of these answers."""
    return list(db.session.scalars(select(SignIn).where(SignIn.rsvp_id.in_(rsvp_ids))))


def loose_sign_ins(hashed: str, organization_id: uuid.UUID | None = None) -> list[SignIn]:
    """Sign-ins under an address that belong to no person."""
    statement = select(SignIn).where(SignIn.address_hash == hashed, SignIn.person_id.is_(None))
    if organization_id is not None:
        statement = statement.where(SignIn.organization_id == organization_id)
    return list(db.session.scalars(statement))


def came_answers(rsvp_ids: Sequence[uuid.UUID]) -> list[CameAnswer]:
    """What was told about having come, for these answers."""
    return list(db.session.scalars(select(CameAnswer).where(CameAnswer.rsvp_id.in_(rsvp_ids))))


def unsettled(now: datetime, limit: int) -> list[SignIn]:
    """Sign-ins older than the minutes in which a slip is undone, not settled and not undone."""
    before = now - timedelta(minutes=rules.UNDO_MINUTES)
    return list(
        db.session.scalars(
            select(SignIn)
            .where(
                SignIn.settled_at.is_(None),
                SignIn.undone_at.is_(None),
                SignIn.received_at <= before,
            )
            .order_by(SignIn.received_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


def dates_open(organization_id: uuid.UUID, now: datetime) -> Sequence[Occurrence]:
    """Dates whose door may be open: from half a day before to half a day after."""
    return list(
        db.session.scalars(
            select(Occurrence)
            .where(
                Occurrence.organization_id == organization_id,
                Occurrence.state == OccurrenceState.SCHEDULED,
                Occurrence.starts_at <= now + rules.DOOR_OPENS,
                Occurrence.ends_at >= now - rules.DOOR_OPENS,
            )
            .order_by(Occurrence.starts_at)
            .limit(50)
        )
    )
