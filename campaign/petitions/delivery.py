"""After a post: the signer's row, their e-mails, the posts of those who had signed before; and by
the clock: rolling up counts, letting unconfirmed signatures go, cutting IPs.

What runs by the clock does one bounded piece, claims its rows first and may run any number of
times side by side; the task commits.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, or_, select, update

from campaign import clock
from campaign.db import db, insert, is_postgres, uuid7
from campaign.mail.services import freeze_letter, queue_email
from campaign.people import strangers
from campaign.petitions import emails, queries, rules
from campaign.petitions.models import (
    CommentState,
    Petition,
    PetitionState,
    Signature,
    SignatureDelta,
    SignatureState,
    SignatureTotal,
    SigningMail,
    SigningRepeat,
)
from campaign.petitions.queries import Sheet
from campaign.places import queries as places
from campaign.tokens import fingerprint, random_token

REFERRAL_BYTES = 9
BARRED = frozenset({SignatureState.INVALIDATED, SignatureState.REVIEW})
REPEATS_AT_ONCE = 100
DELTAS_AT_ONCE = 5000
ROWS_AT_ONCE = 1000
IP_DAYS = 30
REVIEW_DAYS = 90
MAIL_COUNT_DAYS = 2


def roll_up() -> int:
    """Add deltas to the totals and remove them, in one transaction; returns how many.

    A reader sees a delta in one place or in the other, never in both and never in none. Two that
    run at once take different deltas, and totals always in the same order.
    """
    chosen = select(SignatureDelta.id).order_by(SignatureDelta.id).limit(DELTAS_AT_ONCE)
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    claimed = chosen.cte("claimed")
    rows = db.session.execute(
        delete(SignatureDelta)
        .where(SignatureDelta.id.in_(select(claimed.c.id)))
        .returning(
            SignatureDelta.petition_id,
            SignatureDelta.district_key,
            SignatureDelta.kind,
            SignatureDelta.amount,
        )
        .execution_options(synchronize_session=False)
    ).all()
    sums: Counter[tuple[uuid.UUID, str, str]] = Counter()
    for petition_id, district_key, kind, amount in rows:
        sums[petition_id, district_key, kind] += amount
    totals = SignatureTotal.__table__
    for (petition_id, district_key, kind), amount in sorted(sums.items()):
        added = insert(totals).values(
            id=uuid7(),
            petition_id=petition_id,
            district_key=district_key,
            kind=kind,
            count=amount,
        )
        db.session.execute(
            added.on_conflict_do_update(
                index_elements=["petition_id", "district_key", "kind"],
                set_={"count": totals.c.count + added.excluded.count},
            )
        )
    return len(rows)


def drop_unconfirmed() -> int:
    """Delete what nobody confirmed in seven days, and reviews nobody decided in ninety.

    Petition by petition, along the index of states: a million confirmed ones are not looked at.
    """
    now = clock.now()
    late = or_(
        and_(Signature.state == SignatureState.PENDING, Signature.expires_at < now),
        and_(
            Signature.state == SignatureState.REVIEW,
            Signature.created_at < now - timedelta(days=REVIEW_DAYS),
        ),
    )
    ids: list[uuid.UUID] = []
    for petition_id in db.session.scalars(select(Petition.id)).all():
        room = ROWS_AT_ONCE - len(ids)
        chosen = select(Signature.id).where(Signature.petition_id == petition_id, late).limit(room)
        if is_postgres():
            chosen = chosen.with_for_update(skip_locked=True)
        ids += db.session.scalars(chosen) if room else ()
    if ids:
        db.session.execute(delete(Signature).where(Signature.id.in_(ids), late))
    db.session.execute(
        delete(SigningMail).where(SigningMail.day < (now - timedelta(days=MAIL_COUNT_DAYS)).date())
    )
    return len(ids)


def cut_ips() -> int:
    """Cut addresses older than 30 days to their network, and drop those of closed petitions."""
    now = clock.now()
    closed = select(Petition.id).where(
        or_(
            Petition.state == PetitionState.CLOSED,
            and_(Petition.closes_at.is_not(None), Petition.closes_at < now - timedelta(days=1)),
        )
    )
    over = and_(Signature.ip != "", Signature.petition_id.in_(closed))
    gone = list(db.session.scalars(select(Signature.id).where(over).limit(ROWS_AT_ONCE)))
    if gone:
        db.session.execute(
            update(Signature)
            .where(Signature.id.in_(gone))
            .values(ip="")
            .execution_options(synchronize_session=False)
        )
    old = db.session.execute(
        select(Signature.id, Signature.ip)
        .where(
            Signature.ip != "",
            ~Signature.ip.contains("/"),
            Signature.created_at < now - timedelta(days=IP_DAYS),
        )
        .limit(ROWS_AT_ONCE)
    ).all()
    for signature_id, ip in old:
        db.session.execute(
            update(Signature)
            .where(Signature.id == signature_id)
            .values(ip=strangers.network_of(ip))
            .execution_options(synchronize_session=False)
        )
    return len(gone) + len(old)


# --- a signer's row ----------------------------------------------------------------------------


def new_row(
    sheet: Sheet, typed: Mapping[str, Any], now: datetime, *, review_reason: str = ""
) -> dict[str, Any]:
    """A signature as it is inserted: to be confirmed, without e-mail unverified, or held."""
    signature_id = uuid7()
    district_id, share = places.district_for(typed["postal_code"])
    email: str = typed["email"]
    state = SignatureState.PENDING if email else SignatureState.UNVERIFIED
    token = emails.confirmation_token(signature_id) if email else ""
    return {
        "token": token,  # for the e-mail; the row keeps its hash
        "id": signature_id,
        "organization_id": sheet.organization_id,
        "petition_id": sheet.id,
        "state": SignatureState.REVIEW.value if review_reason else state.value,
        "address_hash": rules.signer_hash(
            email, typed["first_name"], typed["last_name"], typed["postal_code"]
        ),
        "slot": 1,
        "email": email or None,
        "first_name": typed["first_name"],
        "last_name": typed["last_name"],
        "postal_code": typed["postal_code"],
        "phone": typed["phone"],
        "district_id": district_id,
        "district_share": share,
        "display": typed["display"],
        "comment": typed["comment"],
        "comment_state": (CommentState.WAITING if typed["comment"] else CommentState.NONE).value,
        "language": typed["language"],
        "source": typed["source"],
        "channel": typed["channel"],
        "referral_code": random_token(REFERRAL_BYTES),
        "referrer_id": uuid.UUID(typed["referrer"]) if typed["referrer"] else None,
        "wordings": typed["wordings"],
        "answers": typed.get("answers", {}),
        "token_hash": fingerprint(token) if email else None,
        "review_reason": review_reason,
        "ip": typed["ip"],
        "created_at": now,
        "expires_at": now + timedelta(days=rules.CONFIRM_DAYS) if email else None,
        "state_before": "",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a post landed: a new row, or the row of whoever holds the address there."""

    is_new: bool = False
    holder: Signature | None = None
    is_same: bool = False


def take_place(row: dict[str, Any]) -> Place:
    """Insert the signature, in slot 2 when it is a second neighbor of one household."""
    if _insert(row):
        return Place(is_new=True)
    known = list(
        db.session.scalars(
            select(Signature)
            .where(
                Signature.petition_id == row["petition_id"],
                Signature.address_hash == row["address_hash"],
            )
            .order_by(Signature.slot)
            .with_for_update()
        )
    )
    name = (row["first_name"], row["last_name"])
    for one in known:
        if strangers.is_same_name((one.first_name, one.last_name), name):
            return Place(holder=one, is_same=True)
    if row["email"] and len(known) == 1:
        row["slot"] = 3 - known[0].slot
        if strangers.share_household(known[0].postal_code, row["postal_code"]) and _insert(row):
            return Place(is_new=True)
    return Place(holder=known[0] if known else None)


def _insert(row: Mapping[str, Any]) -> bool:
    """Add the signature; False when its address (and slot) has one on this petition already."""
    statement = (
        insert(Signature)
        .on_conflict_do_nothing(index_elements=["petition_id", "address_hash", "slot"])
        .returning(Signature.id)
    )
    values = {name: value for name, value in row.items() if name != "token"}
    return db.session.execute(statement.values(**values)).scalar() is not None


RETYPED = (
    *("first_name", "last_name", "email", "postal_code", "phone", "district_id"),
    *(
        "district_share",
        "display",
        "comment",
        "comment_state",
        "language",
        "wordings",
        "answers",
        "ip",
    ),
)


def begin_anew(signature: Signature, row: Mapping[str, Any]) -> None:
    """Until it is confirmed, what was typed last holds; the confirmation page shows all of it."""
    for name in RETYPED:
        setattr(signature, name, row[name])
    signature.state = SignatureState.PENDING
    signature.withdrawn_at = None


def count(
    petition_id: uuid.UUID, district_id: uuid.UUID | None, kind: str, amount: int, now: datetime
) -> None:
    """Write a delta, in the transaction that makes or ends a counted signature."""
    db.session.add(
        SignatureDelta(
            petition_id=petition_id,
            district_key=district_id.hex if district_id else "",
            kind=kind,
            amount=amount,
            created_at=now,
        )
    )


# --- their e-mails -----------------------------------------------------------------------------


def take_mail_turn(hashed: str | None, now: datetime) -> bool:
    """Whether the address may get one more e-mail today; counts it."""
    statement = insert(SigningMail).values(address_hash=hashed, day=now.date(), count=1)
    taken = statement.on_conflict_do_update(
        index_elements=["address_hash", "day"],
        set_={"count": SigningMail.count + 1},
        where=SigningMail.count < strangers.MAILS_A_DAY,
    ).returning(SigningMail.count)
    return db.session.execute(taken).scalar() is not None


def write_to(kind: str, sheet: Sheet, signature: Signature) -> None:
    """Queue an e-mail of a kind (`confirm`, `already`, `signed`) to a signer."""
    envelope = emails.envelope(kind, sheet, signature.language)
    queue_email(
        signature.email or "",
        freeze_letter(envelope.letter),
        organization_id=sheet.organization_id,
        kind=emails.KIND,
        values=emails.values_for(
            signature.id,
            sheet=sheet,
            first_name=signature.first_name,
            language=signature.language,
            referral_code=signature.referral_code,
            person_id=signature.person_id,
        ),
        person_id=signature.person_id,
        sender=envelope.sender,
    )


# --- posts of those who had signed before ------------------------------------------------------


def work_repeats() -> int:
    """Work off posts of addresses that stood on their petition already; returns how many.

    Two that run at once take different ones; those of one address wait for each other at its
    count of e-mails.
    """
    chosen = select(SigningRepeat).order_by(SigningRepeat.id).limit(REPEATS_AT_ONCE)
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    repeats = db.session.scalars(chosen).all()
    sheets: dict[uuid.UUID, Sheet] = {}
    for repeat in repeats:
        petition = db.session.get_one(Petition, repeat.petition_id)
        if petition.is_open(repeat.created_at):
            sheet = sheets.setdefault(petition.id, queries.sheet_of(petition))
            sign_again(sheet, repeat.typed, is_held=repeat.is_held)
        db.session.delete(repeat)
        db.session.flush()
    return len(repeats)


def sign_again(sheet: Sheet, typed: Mapping[str, Any], *, is_held: bool) -> None:
    """The address is known here: a second neighbor of one household, or the same once more, who
    is reminded, told that it is counted, or begins anew after a withdrawal. Somebody else's name
    changes nothing of what the owner of the address typed."""
    now = clock.now()
    row = new_row(sheet, typed, now, review_reason="again" if is_held else "")
    if not row["email"]:
        return
    place = take_place(row)
    signature = db.session.get_one(Signature, row["id"]) if place.is_new else place.holder
    if signature is None or signature.email is None or is_held or signature.state in BARRED:
        return
    if signature.state == SignatureState.CONFIRMED:
        if take_mail_turn(signature.address_hash, now):
            write_to("already", sheet, signature)
        return
    if place.is_same:
        begin_anew(signature, row)
    signature.state = SignatureState.PENDING
    signature.token_hash = fingerprint(emails.confirmation_token(signature.id))
    signature.expires_at = now + timedelta(days=rules.CONFIRM_DAYS)
    if take_mail_turn(signature.address_hash, now):
        write_to("confirm", sheet, signature)
