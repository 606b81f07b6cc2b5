"""Adding a signature: the hot path, and the one place where every post does the same work.

One statement adds the signature, takes the address's turn of the day and queues the confirmation;
where the address stands on the petition already, it notes the post instead (`SigningRepeat`).
PostgreSQL does all of it in one round trip. SQLite runs the same parts in turn, each of which adds
a row or does not, and those who sign in the same moment share one commit (`at_once`). Nothing that is written here is read by others in the
same moment: no counter, no hot row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, bindparam, exists, literal_column, select

from campaign.at_once import AtOnce
from campaign.db import insert
from campaign.mail.services import email_inserts, email_row, ring
from campaign.people import strangers
from campaign.petitions import emails
from campaign.petitions.models import (
    Signature,
    SignatureDelta,
    SignatureState,
    SigningMail,
    SigningRepeat,
)
from campaign.petitions.queries import Sheet

LATER = frozenset({"person_id", "confirmed_at", "withdrawn_at", "invalidation_id"})
COLUMNS = {
    column.name: f"s{place}"  # short names: psycopg keeps a statement only up to 4,096 letters
    for place, column in enumerate(Signature.__table__.columns)
    if column.name not in LATER
}


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: it is committed, unless the caller has begun a transaction."""

    is_committed: bool
    is_new: bool


def add(sheet: Sheet, row: Mapping[str, Any], typed: Mapping[str, Any], now: datetime) -> Done:
    """Add the signature `row`, or note `typed` as a repeat when its address has one already."""
    is_unverified = row["state"] == SignatureState.UNVERIFIED
    values = {short: row[name] for name, short in COLUMNS.items()}
    values |= {
        "is_counted": is_unverified,
        "wants_mail": row["state"] == SignatureState.PENDING,
        "day": now.date(),
        "delta_id": row["id"],
        "district_key": row["district_id"].hex if row["district_id"] else "",
        "repeat_id": row["id"],
        "typed": dict(typed),
        "is_held": bool(row["review_reason"]),
    }
    envelope = emails.envelope("confirm", sheet, row["language"])
    values |= email_row(
        row["email"] or "",
        envelope.letter,
        organization_id=sheet.organization_id,
        kind=emails.KIND,
        values=emails.values_for(
            row["id"],
            token=row["token"],
            sheet=sheet,
            first_name=row["first_name"],
            language=row["language"],
            referral_code=row["referral_code"],
        ),
        sender=envelope.sender,
        hashed=row["address_hash"] if row["email"] else "",
    )
    is_committed = _signing.execute(values)
    if values["is_new"]:
        ring(is_committed=is_committed)
    return Done(is_committed, bool(values["is_new"]))


def _whole() -> Any:
    """PostgreSQL's statement: each part follows from what the part before it returned."""
    signed = _signature().cte("signed")
    is_new = exists(select(signed.c.id))
    turn = _turn(is_new).cte("turn")
    chunk, delivery = email_inserts(exists(select(turn.c.count)))
    delta = _delta(is_new).cte("delta")
    repeat = _repeat(~is_new).cte("repeat")
    return select(is_new.label("is_new")).add_cte(turn, chunk, delivery, delta, repeat)


def _steps() -> Sequence[tuple[Any, str]]:
    """SQLite's statements: whether a part adds its row is a parameter."""
    is_new = bindparam("is_new", type_=Boolean)
    chunk, delivery = email_inserts(bindparam("has_turn", type_=Boolean))
    return (
        (_signature(), "is_new"),
        (_turn(is_new), "has_turn"),
        (chunk, ""),
        (delivery, ""),
        (_delta(is_new), ""),
        (_repeat(~is_new), ""),
    )


_signing = AtOnce(_whole, _steps)


def _signature() -> Any:
    table = Signature.__table__
    values = {name: bindparam(short, type_=table.c[name].type) for name, short in COLUMNS.items()}
    return (
        insert(table)
        .values(values)
        .on_conflict_do_nothing(index_elements=["petition_id", "address_hash", "slot"])
        .returning(table.c.id)
    )


def _turn(is_new: ColumnElement[bool]) -> Any:
    """The address's turn: at most so many e-mails a day about signing, over all petitions."""
    table = SigningMail.__table__
    row = select(
        bindparam(COLUMNS["address_hash"], type_=table.c.address_hash.type),
        bindparam("day", type_=table.c.day.type),
        literal_column("1"),
    ).where(is_new, bindparam("wants_mail", type_=Boolean))
    return (
        insert(table)
        .from_select(["address_hash", "day", "count"], row, include_defaults=False)
        .on_conflict_do_update(
            index_elements=["address_hash", "day"],
            set_={"count": table.c.count + 1},
            where=table.c.count < strangers.MAILS_A_DAY,
        )
        .returning(table.c.count)
    )


def _delta(is_new: ColumnElement[bool]) -> Any:
    """A name without e-mail counts at once, apart from the confirmed."""
    table = SignatureDelta.__table__
    row = select(
        bindparam("delta_id", type_=table.c.id.type),
        bindparam(COLUMNS["petition_id"], type_=table.c.petition_id.type),
        bindparam("district_key", type_=table.c.district_key.type),
        literal_column("'unverified'"),
        literal_column("1"),
        bindparam(COLUMNS["created_at"], type_=table.c.created_at.type),
    ).where(is_new, bindparam("is_counted", type_=Boolean))
    names = ["id", "petition_id", "district_key", "kind", "amount", "created_at"]
    return insert(table).from_select(names, row, include_defaults=False)


def _repeat(is_known: ColumnElement[bool]) -> Any:
    table = SigningRepeat.__table__
    row = select(
        bindparam("repeat_id", type_=table.c.id.type),
        bindparam(COLUMNS["petition_id"], type_=table.c.petition_id.type),
        bindparam(COLUMNS["address_hash"], type_=table.c.address_hash.type),
        bindparam("typed", type_=table.c.typed.type),
        bindparam("is_held", type_=table.c.is_held.type),
        bindparam(COLUMNS["created_at"], type_=table.c.created_at.type),
    ).where(is_known)
    names = ["id", "petition_id", "address_hash", "typed", "is_held", "created_at"]
    return insert(table).from_select(names, row, include_defaults=False)
