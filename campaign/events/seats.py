"""Seats and the waiting line: the one place that changes what a date has taken.

A date's row is the lock. Whoever takes, frees or offers a seat holds it until the commit, so the
counters are never wrong and the capacity is never passed. A party comes together: somebody and
their guests get seats at once or wait at once. The line is strict: while somebody waits, everybody
new waits behind them, and a freed place goes to the head of the line when the whole party fits;
a smaller party further back does not overtake. Only a party larger than the whole capacity, which
can never fit, lets others pass. Lowering the capacity throws nobody out.

Adding an answer is the path that a crowd takes at once: one statement on PostgreSQL, parts in
turn on SQLite (`at_once`). It locks the date, decides, adds the answer or notes that the address
has one, and queues the letter that says what came of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    case,
    exists,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import lazyload

from campaign import clock
from campaign.at_once import AtOnce
from campaign.db import db, insert, uuid7
from campaign.errors import Invalid
from campaign.events import emails, queries
from campaign.events.emails import Note
from campaign.events.models import (
    TOLD,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpMail,
    RsvpRepeat,
    RsvpState,
    Shift,
)
from campaign.events.queries import Sheet
from campaign.mail.addresses import address_hash
from campaign.mail.services import email_inserts, email_row, freeze_letter, queue_email, ring
from campaign.people import strangers
from campaign.places import queries as places

# --- one answer at a time, in a session --------------------------------------------------------


def lock(occurrence_id: uuid.UUID) -> Occurrence:
    """The date, read again and held until the commit. First the date, then its answers: whoever
    keeps to this order never waits for somebody who waits for them."""
    return db.session.scalars(
        select(Occurrence)
        .where(Occurrence.id == occurrence_id)
        .options(lazyload(Occurrence.event))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def take(rsvp: Rsvp, wanted: str, *, guests: int | None = None) -> list[Rsvp]:
    """Give an answer another state or party; returns who got a place that came free by it.

    Somebody who wants to come gets seats while there are any and nobody waits, else a place in
    the line; who waits already keeps theirs. Raises Invalid at `guests` when a party that comes
    cannot grow, at `status` when all seats are taken and there is no line.
    """
    date = lock(rsvp.occurrence_id)
    db.session.refresh(rsvp, with_for_update=True)
    party = 1 + (rsvp.guests if guests is None else guests)
    if wanted == RsvpState.ACCEPTED:
        _take_seats(date, rsvp, party)
    else:
        _leave(date, rsvp, RsvpState(wanted))
    rsvp.guests = party - 1
    return fill_places(date)


def release(rsvp: Rsvp) -> list[Rsvp]:
    """Take an answer back: its place goes at once to whoever waits. Twice is once."""
    return take(rsvp, RsvpState.CANCELLED)


def add_by_hand(row: Mapping[str, Any]) -> Rsvp | None:
    """Add an answer that an organizer writes down; None when its address has answered already.

    Two of a household share an address in slots 1 and 2. Raises Invalid like `take`.
    """
    for slot in (1, 2):
        rsvp = Rsvp(**{**row, "slot": slot, "state": RsvpState.DECLINED})
        try:
            with db.session.begin_nested():
                db.session.add(rsvp)
        except IntegrityError:
            if slot == 1 and _is_somebody_else(row):
                continue
            return None
        take(rsvp, row["state"])
        return rsvp
    return None


def _is_somebody_else(row: Mapping[str, Any]) -> bool:
    """Whether nobody of this name has answered under the address."""
    mine = (row["first_name"], row["last_name"])
    found = holders_of(row["occurrence_id"], row["address_hash"])
    return not any(strangers.is_same_name((one.first_name, one.last_name), mine) for one in found)


def holders_of(occurrence_id: uuid.UUID, address_hash: str | None) -> list[Rsvp]:
    """The answers to a date under one address: one, or two of a household."""
    found = select(Rsvp).where(
        Rsvp.occurrence_id == occurrence_id, Rsvp.address_hash == address_hash
    )
    return list(db.session.scalars(found.order_by(Rsvp.slot)))


def _take_seats(date: Occurrence, rsvp: Rsvp, party: int) -> None:
    more = party - rsvp.seats
    if rsvp.state == RsvpState.ACCEPTED and more <= 0:
        date.taken_count += more
        return
    check_party(party - 1, date.capacity)
    if rsvp.state == RsvpState.WAITING:
        return
    if _has_room(date, more):
        rsvp.state = RsvpState.ACCEPTED
        rsvp.waiting_since = rsvp.cancelled_at = None
        date.taken_count += more
        return
    if rsvp.state == RsvpState.ACCEPTED:
        raise Invalid(_too_many_guests(date, rsvp), field="guests")
    if not date.event.has_waiting_list:
        raise Invalid(_l("All places are taken."), field="status")
    date.line_count += 1
    date.waiting_count += 1
    rsvp.state, rsvp.line_number = RsvpState.WAITING, date.line_count
    rsvp.waiting_since, rsvp.cancelled_at = clock.now(), None


def _has_room(date: Occurrence, seats: int) -> bool:
    if date.capacity is None:
        return True
    return not date.waiting_count and date.taken_count + seats <= date.capacity


def _too_many_guests(date: Occurrence, rsvp: Rsvp) -> Any:
    left = (date.seats_left or 0) + rsvp.guests
    return ngettext(
        "There is room for %(num)d guest of yours.",
        "There is room for %(num)d guests of yours.",
        left,
    )


def _leave(date: Occurrence, rsvp: Rsvp, state: RsvpState) -> None:
    """To maybe, no or cancelled: seats and the place in the line are given up."""
    date.taken_count -= rsvp.seats
    if rsvp.state == RsvpState.WAITING:
        date.waiting_count -= 1
    if state == RsvpState.CANCELLED and rsvp.state != RsvpState.CANCELLED:
        rsvp.cancelled_at = clock.now()
    if state in {RsvpState.CANCELLED, RsvpState.DECLINED}:
        rsvp.shift_id = None
    rsvp.state = state
    rsvp.line_number = rsvp.waiting_since = rsvp.offered_at = None


def fill_places(occurrence: Occurrence) -> list[Rsvp]:
    """Give free places to the longest waiting, and tell them; returns who got one.

    To be called, in the same transaction, by whoever frees a seat or adds some.
    """
    db.session.flush()
    date = lock(occurrence.id)
    now = clock.now()
    if not date.waiting_count or not date.is_open(now):
        return []
    came: list[Rsvp] = []
    for rsvp in queries.line_of(date.id):
        if date.capacity is not None:
            if rsvp.party > date.capacity:
                continue
            if date.taken_count + rsvp.party > date.capacity:
                break
        rsvp.state, rsvp.offered_at = RsvpState.ACCEPTED, now
        date.taken_count += rsvp.party
        date.waiting_count -= 1
        came.append(rsvp)
    db.session.flush()
    if came:
        sheet = queries.sheet_of(date)
        for rsvp in came:
            write_to(Note.PLACE, sheet, rsvp)
    return came


def check_party(guests: int, capacity: int | None) -> None:
    """A party larger than the whole room never fits. Raises Invalid at `guests`."""
    if capacity is not None and 1 + guests > capacity:
        raise Invalid(
            ngettext(
                "There is %(num)d place in all. Please bring fewer guests.",
                "There are %(num)d places in all. Please bring fewer guests.",
                capacity,
            )
            if capacity
            else _l("All places are taken."),
            field="guests" if capacity else "status",
        )


def check_shift(occurrence_id: uuid.UUID, shift_id: uuid.UUID, *, but: uuid.UUID | None) -> None:
    """A shift takes so many. Holds the date until the commit; raises Invalid at `shift`."""
    date = lock(occurrence_id)
    shift = db.session.get(Shift, shift_id)
    if shift is None or shift.event_id != date.event_id or shift.is_removed:
        raise Invalid(_l("Please choose one of the shifts."), field="shift")
    if shift.capacity is None:
        return
    holders = db.session.scalars(
        select(Rsvp.id).where(
            Rsvp.occurrence_id == occurrence_id,
            Rsvp.shift_id == shift_id,
            Rsvp.state.in_(TOLD),
        )
    )
    if len(set(holders) - {but}) >= shift.capacity:
        raise Invalid(_l("This shift is full. Please choose another."), field="shift")


def write_to(note: Note, sheet: Sheet, rsvp: Rsvp) -> None:
    """Queue a letter about an answer, where there is an address to write to."""
    if not rsvp.email or rsvp.review_reason:
        return
    envelope = emails.envelope(note, sheet, rsvp.language)
    queue_email(
        rsvp.email,
        freeze_letter(envelope.letter),
        organization_id=sheet.organization_id,
        kind=emails.KIND,
        values=emails.values_for(
            rsvp.id,
            first_name=rsvp.first_name,
            guests=rsvp.guests,
            language=rsvp.language,
            state=rsvp.state,
            person_id=rsvp.person_id,
        ),
        person_id=rsvp.person_id,
        sender=envelope.sender,
    )


def take_mail_turn(hashed: str | None, now: datetime) -> bool:
    """Whether strangers' posts may bring the address one more e-mail today; counts it."""
    statement = insert(RsvpMail).values(address_hash=hashed, day=now.date(), count=1)
    taken = statement.on_conflict_do_update(
        index_elements=["address_hash", "day"],
        set_={"count": RsvpMail.count + 1},
        where=RsvpMail.count < strangers.MAILS_A_DAY,
    ).returning(RsvpMail.count)
    return db.session.execute(taken).scalar() is not None


# --- a new answer ------------------------------------------------------------------------------


LATER = frozenset(
    {"person_id", "needs_met_at", "offered_at", "confirmed_at", "settled_at", "cancelled_at"}
)
BY_SEAT = frozenset({"state", "line_number", "waiting_since"})
COLUMNS = {
    column.name: f"s{place}"  # short names: psycopg keeps a statement only up to 4,096 letters
    for place, column in enumerate(Rsvp.__table__.columns)
    if column.name not in LATER | BY_SEAT
}
ACCEPTED = literal_column(f"'{RsvpState.ACCEPTED.value}'", String)
WAITING = literal_column(f"'{RsvpState.WAITING.value}'", String)
DECLINED = literal_column(f"'{RsvpState.DECLINED.value}'", String)
NOTHING, ONE = literal_column("0", Integer), literal_column("1", Integer)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: it is committed, unless the caller has begun a transaction.

    `is_open` is False when the date takes no answers any more: then nothing was written.
    """

    is_committed: bool
    is_open: bool
    is_new: bool


def new_row(
    sheet: Sheet, typed: Mapping[str, Any], now: datetime, *, review_reason: str = ""
) -> dict[str, Any]:
    """An answer as it is inserted; `state` is what was answered, the seat decides the rest."""
    district_id, share = places.district_for(typed["postal_code"])
    email: str = typed["email"]
    return {
        "id": uuid7(),
        "organization_id": sheet.organization_id,
        "event_id": sheet.event_id,
        "occurrence_id": sheet.occurrence_id,
        "state": typed["status"],
        "address_hash": address_hash(email) if email else None,
        "slot": 1,
        "email": email or None,
        "first_name": typed["first_name"],
        "last_name": typed["last_name"],
        "postal_code": typed["postal_code"],
        "phone": typed["phone"],
        "district_id": district_id,
        "district_share": share,
        "guests": typed["guests"],
        "needs": typed["needs"],
        "needs_note": typed["needs_note"],
        "shift_id": uuid.UUID(typed["shift"]) if typed["shift"] else None,
        "company": typed["company"],
        "company_wish": typed["company_wish"],
        "language": typed["language"],
        "source": typed["source"],
        "channel": typed["channel"],
        "wordings": typed["wordings"],
        "answers": typed.get("answers", {}),
        "ip": typed["ip"],
        "review_reason": review_reason,
        "created_at": now,
        "updated_at": now,
    }


def add(
    sheet: Sheet,
    row: Mapping[str, Any],
    typed: Mapping[str, Any],
    now: datetime,
    *,
    notes_repeats: bool = True,
    is_asked: bool = False,
) -> Done:
    """Add the answer `row`, or note `typed` as a repeat when its address has one already.

    `is_asked`: an organizer writes it down for somebody, so that no limit of e-mails holds.
    """
    wants_seat = row["state"] == RsvpState.ACCEPTED
    main = emails.envelope(emails.OF_STATE[RsvpState(row["state"])], sheet, row["language"])
    values = {short: row[name] for name, short in COLUMNS.items()}
    values |= {
        "now": now,
        "wants_seat": wants_seat,
        "answered": str(row["state"]),
        "party": 1 + row["guests"],
        "has_line": sheet.has_waiting_list,
        "wants_mail": bool(row["email"]) and not row["review_reason"],
        "most_mails": 1_000_000 if is_asked else strangers.MAILS_A_DAY,
        "mail_day": row["address_hash"] or "",
        "day": now.date(),
        "notes_repeats": notes_repeats,
        "repeat_id": uuid7(),
        "typed": dict(typed),
        "is_held": bool(row["review_reason"]),
    }
    values |= email_row(
        row["email"] or "",
        main.letter,
        organization_id=sheet.organization_id,
        kind=emails.KIND,
        values=emails.values_for(
            row["id"], first_name=row["first_name"], guests=row["guests"], language=row["language"]
        ),
        sender=main.sender,
    )
    other = Note.WAITING if sheet.has_waiting_list else Note.FULL
    values["other_content"] = (
        freeze_letter(emails.envelope(other, sheet, row["language"]).letter)
        if wants_seat
        else values["mail_content_id"]
    )
    is_committed = _answering.execute(values)
    if values["is_new"]:
        ring(is_committed=is_committed)
    return Done(is_committed, bool(values["is_open"]), bool(values["is_new"]))


def _whole() -> Any:
    """PostgreSQL's statement: each part follows from what the part before it returned."""
    seat = _seat().with_for_update().cte("seat")
    answered = _answer(seat.c.state, seat.c.line, seat).cte("answered")
    is_open, is_new = exists(select(seat.c.id)), exists(select(answered.c.id))
    counted = _count(answered.c.state).where(Occurrence.__table__.c.id == answered.c.occurrence_id)
    turn = _turn(is_new).cte("turn")
    state = select(answered.c.state).scalar_subquery()
    chunk, delivery = email_inserts(exists(select(turn.c.count)), _content(state))
    repeat = _repeat(and_(is_open, ~is_new)).cte("repeat")
    parts = (counted.cte("counted"), turn, chunk, delivery, repeat)
    return select(is_new.label("is_new"), is_open.label("is_open")).add_cte(*parts)


def _steps() -> Sequence[tuple[Any, str]]:
    """SQLite's statements: whether a part adds its row is a parameter."""
    is_open, is_new = bindparam("is_open", type_=Boolean), bindparam("is_new", type_=Boolean)
    rsvps, dates = Rsvp.__table__, Occurrence.__table__
    seat = _seat().subquery()
    state = (
        select(rsvps.c.state)
        .where(rsvps.c.id == bindparam(COLUMNS["id"], type_=rsvps.c.id.type))
        .scalar_subquery()
    )
    mine = dates.c.id == bindparam(COLUMNS["occurrence_id"], type_=dates.c.id.type)
    chunk, delivery = email_inserts(bindparam("has_turn", type_=Boolean), _content(state))
    return (
        (_seat(), "is_open"),
        (_answer(seat.c.state, seat.c.line, seat), "is_new"),
        (_count(state).where(mine, is_new), ""),
        (_turn(is_new), "has_turn"),
        (chunk, ""),
        (delivery, ""),
        (_repeat(and_(is_open, not_(is_new))), ""),
    )


_answering = AtOnce(_whole, _steps, is_brief=True)


def _seat() -> Any:
    """What the answer comes to, by the date's row as it is when nobody else holds it."""
    dates = Occurrence.__table__
    party = bindparam("party", type_=Integer)
    has_room = or_(
        dates.c.capacity.is_(None),
        and_(dates.c.waiting_count == NOTHING, dates.c.taken_count + party <= dates.c.capacity),
    )
    state = case(
        (not_(bindparam("wants_seat", type_=Boolean)), bindparam("answered", type_=String)),
        (has_room, ACCEPTED),
        (bindparam("has_line", type_=Boolean), WAITING),
        else_=DECLINED,
    )
    return select(dates.c.id, state.label("state"), (dates.c.line_count + ONE).label("line")).where(
        dates.c.id == bindparam(COLUMNS["occurrence_id"], type_=dates.c.id.type),
        dates.c.state == literal_column(f"'{OccurrenceState.SCHEDULED.value}'"),
        dates.c.ends_at > bindparam("now", type_=dates.c.ends_at.type),
    )


def _answer(state: Any, line: Any, seat: Any) -> Any:
    table = Rsvp.__table__
    wants = bindparam("wants_seat", type_=Boolean)
    row: dict[str, Any] = {
        name: bindparam(short, type_=table.c[name].type) for name, short in COLUMNS.items()
    }
    row["state"] = state
    row["line_number"] = case((state == WAITING, line))
    row["waiting_since"] = case(
        (and_(wants, state != ACCEPTED), bindparam("now", type_=table.c.waiting_since.type))
    )
    found = select(*row.values()).select_from(seat).where(seat.c.id.is_not(None))
    return (
        insert(table)
        .from_select(list(row), found, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["occurrence_id", "address_hash", "slot"])
        .returning(table.c.id, table.c.occurrence_id, table.c.state)
    )


def _count(state: Any) -> Any:
    dates = Occurrence.__table__
    party = bindparam("party", type_=Integer)
    in_line = case((state == WAITING, ONE), else_=NOTHING)
    return update(Occurrence).values(
        taken_count=dates.c.taken_count + case((state == ACCEPTED, party), else_=NOTHING),
        waiting_count=dates.c.waiting_count + in_line,
        line_count=dates.c.line_count + in_line,
    )


def _turn(is_new: ColumnElement[bool]) -> Any:
    """The address's turn: strangers bring it at most so many e-mails a day, over all events."""
    table = RsvpMail.__table__
    row = select(
        bindparam("mail_day", type_=table.c.address_hash.type),
        bindparam("day", type_=table.c.day.type),
        ONE,
    ).where(is_new, bindparam("wants_mail", type_=Boolean))
    return (
        insert(table)
        .from_select(["address_hash", "day", "count"], row, include_defaults=False)
        .on_conflict_do_update(
            index_elements=["address_hash", "day"],
            set_={"count": table.c.count + ONE},
            where=table.c.count < bindparam("most_mails", type_=Integer),
        )
        .returning(table.c.count)
    )


def _content(state: Any) -> Any:
    """Which letter says what came of it."""
    kind = Rsvp.__table__.c.id.type
    return case(
        (
            state == bindparam("answered", type_=String),
            bindparam("mail_content_id", type_=kind),
        ),
        else_=bindparam("other_content", type_=kind),
    )


def _repeat(is_known: ColumnElement[bool]) -> Any:
    table = RsvpRepeat.__table__
    row = select(
        bindparam("repeat_id", type_=table.c.id.type),
        bindparam(COLUMNS["occurrence_id"], type_=table.c.occurrence_id.type),
        bindparam(COLUMNS["address_hash"], type_=table.c.address_hash.type),
        bindparam("typed", type_=table.c.typed.type),
        bindparam("is_held", type_=table.c.is_held.type),
        bindparam(COLUMNS["created_at"], type_=table.c.created_at.type),
    ).where(is_known, bindparam("notes_repeats", type_=Boolean))
    names = ["id", "occurrence_id", "address_hash", "typed", "is_held", "created_at"]
    return insert(table).from_select(names, row, include_defaults=False)
