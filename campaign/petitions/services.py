"""Signing, confirming, withdrawing; writing, publishing and closing petitions; moderation.

Signing is the hot path: plain statements, one after the other, and the confirmation queued in
the same transaction. Its answers are alike for a new, a known, a blocked and a limited signer,
and each path does the same work, so that neither the page nor the clock tells who has signed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import SLUG, SLUG_LENGTH, slug_from
from campaign.db import Words, db, insert, uuid7
from campaign.errors import Conflict, Gone, Invalid
from campaign.mail.services import freeze_letter, queue_email
from campaign.organizations.services import record
from campaign.people import services as people
from campaign.people.models import ConsentWording, Person, Purpose
from campaign.people.services import PersonDetails
from campaign.petitions import emails, queries, rules
from campaign.petitions.models import (
    CommentState,
    Display,
    Invalidation,
    Petition,
    PetitionState,
    Signature,
    SignatureDelta,
    SignatureState,
    SigningMail,
)
from campaign.petitions.queries import Rule, Sheet
from campaign.places import queries as places
from campaign.tokens import fingerprint, random_token

REFERRAL_BYTES = 9
BATCH = 1000
BARRED = frozenset({SignatureState.INVALIDATED, SignatureState.REVIEW})


class Outcome(StrEnum):
    """What became of a post. For tests and counts: no answer to a signer may depend on it."""

    PENDING = "pending"
    UNVERIFIED = "unverified"
    REVIEW = "review"
    ALREADY = "already"
    AGAIN = "again"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerDetails:
    """What somebody typed under a petition; every door (page, command, API) builds this.

    `consents` maps an organization's slug to the mark of the wording that was shown, or to
    anything else for the present wording. `signals` is what the door found odd (rules.py).
    """

    first_name: str
    last_name: str = ""
    email: str = ""
    postal_code: str = ""
    phone: str = ""
    comment: str = ""
    display: str = Display.HIDDEN
    consents: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    source: str = ""
    referral_code: str = ""
    channel: str = "web"
    ip: str = ""
    signals: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a post landed: a new row, or the row of whoever holds the address there."""

    is_new: bool = False
    holder: Signature | None = None
    is_same: bool = False


# --- signing -----------------------------------------------------------------------------------


def sign_petition(petition: Petition | Sheet, details: SignerDetails) -> Outcome:
    """Take a signature; the e-mail that follows tells its owner what happened.

    Raises Conflict when the petition takes no signatures (any more).
    """
    now = clock.now()
    sheet = petition if isinstance(petition, Sheet) else queries.sheet_of(petition)
    if not sheet.is_open(now):
        raise Conflict(_l("This petition is closed. It takes no more signatures."))
    signals = [*details.signals, *rules.signals_in(details.email, details.comment)]
    reason = rules.review_reason(signals)
    row = _row_for(sheet, details, now)
    if reason:
        row |= {"state": SignatureState.REVIEW, "review_reason": reason, "expires_at": None}
    may_mail = bool(details.email) and _take_mail_turn(row["address_hash"], now, reason)
    quiet = bool(reason) or not may_mail
    place = _take_place(sheet, row)
    if not place.is_new:
        return _sign_again(sheet, place, row, quiet=quiet, is_held=bool(reason))
    if row["state"] == SignatureState.UNVERIFIED:
        _count(sheet.id, row["district_id"], SignatureState.UNVERIFIED, 1, now)
    elif details.email:
        _write("confirm", sheet, row, quiet=quiet)
    return Outcome(str(row["state"]))


def sign_remembered(sheet: Sheet, earlier: Signature, details: SignerDetails) -> Signature | None:
    """One tap on a device that a confirmed signer asked to remember: counted at once.

    `earlier` is the signature whose device this is. None when this one is barred or waits for a
    look, which the answer must not tell. Raises Conflict when the petition is closed.
    """
    now = clock.now()
    if not sheet.is_open(now):
        raise Conflict(_l("This petition is closed. It takes no more signatures."))
    details = replace(
        details,
        first_name=earlier.first_name,
        last_name=earlier.last_name,
        email=earlier.email or "",
        postal_code=earlier.postal_code,
        phone="",
    )
    row = _row_for(sheet, details, now)
    place = _take_place(sheet, row)
    if place.is_new:
        signature = db.session.get_one(Signature, row["id"])
    elif place.holder is None or not place.is_same or place.holder.state in BARRED:
        return None
    elif place.holder.state == SignatureState.CONFIRMED:
        return place.holder
    else:
        signature = place.holder
        _begin_anew(signature, row)
    return count_signature(db.session.get_one(Petition, sheet.id), signature)


def _row_for(sheet: Sheet, details: SignerDetails, now: datetime) -> dict[str, object]:
    """A signature as it is inserted: to be confirmed, or unverified when there is no e-mail."""
    signature_id = uuid7()
    district_id, share = places.district_for(details.postal_code)
    has_comment = bool(details.comment) and sheet.has_comments
    row: dict[str, object] = {
        "id": signature_id,
        "organization_id": sheet.organization_id,
        "petition_id": sheet.id,
        "state": SignatureState.PENDING if details.email else SignatureState.UNVERIFIED,
        "address_hash": rules.signer_hash(
            details.email, details.first_name, details.last_name, details.postal_code
        ),
        "slot": 1,
        "email": details.email or None,
        "first_name": details.first_name,
        "last_name": details.last_name,
        "postal_code": details.postal_code,
        "phone": details.phone if sheet.asks_phone else "",
        "district_id": district_id,
        "district_share": share,
        "display": rules.least(details.display, sheet.most_public),
        "comment": details.comment if has_comment else "",
        "comment_state": CommentState.WAITING if has_comment else CommentState.NONE,
        "language": details.language,
        "source": details.source,
        "channel": details.channel,
        "referral_code": random_token(REFERRAL_BYTES),
        "referrer_id": _referrer(sheet, details.referral_code),
        "wordings": wordings_of(sheet, details.consents, details.language),
        "token_hash": None,
        "review_reason": "",
        "ip": details.ip,
        "created_at": now,
        "expires_at": None,
    }
    if details.email:
        row["token_hash"] = fingerprint(emails.confirmation_token(signature_id))
        row["expires_at"] = now + timedelta(days=rules.CONFIRM_DAYS)
    return row


def _referrer(sheet: Sheet, code: str) -> uuid.UUID | None:
    found = queries.signature_by_referral(code) if code else None
    return found.id if found is not None and found.petition_id == sheet.id else None


def wordings_of(sheet: Sheet, consents: Mapping[str, str], language: str) -> dict[str, str]:
    """Grantee → id of the exact wording agreed to. Unknown organizations are left out.

    A mark names the wording that the page showed; any other value means the present one. Raises
    Invalid when the words shown are not known any more: nobody agrees to what they did not read.
    """
    chosen: dict[str, str] = {}
    for slug, given in consents.items():
        box = sheet.box_for(slug)
        if box is not None:
            chosen[box.grantee_id.hex] = _wording_id(box, given, language).hex
    return chosen


_wordings: WeakKeyDictionary[Any, dict[tuple[uuid.UUID, str, str], uuid.UUID]] = WeakKeyDictionary()
"""Wordings that are settled, by database: they never change, so nobody asks for them twice."""


def _wording_id(box: queries.Box, given: str, language: str) -> uuid.UUID:
    text = box.wording.get_for(language)
    if queries.is_mark(given) and given != queries.mark_of(text):
        return _older_wording_id(box, given)
    kept = _wordings.setdefault(db.engine, {})
    key = (box.grantee_id, language, text)
    if key in kept:
        return kept[key]
    found = people.wording_for(box.grantee_id, language=language, text=text)
    if found.created_at < clock.now() - timedelta(minutes=1):
        kept[key] = found.id
    return found.id


def _older_wording_id(box: queries.Box, given: str) -> uuid.UUID:
    """The wording of a page that was loaded before the words changed."""
    older = db.session.scalar(
        select(ConsentWording.id).where(
            ConsentWording.grantee_id == box.grantee_id,
            ConsentWording.purpose == Purpose.EMAIL,
            ConsentWording.text_hash.startswith(given),
        )
    )
    if older is None:
        raise Invalid(_l("These words have changed. Please read them again."), field=box.field)
    return older


def _take_mail_turn(hashed: object, now: datetime, reason: str) -> bool:
    """Whether the address may still get an e-mail today, counting this one; it costs no turn
    when a reason for review holds the e-mail back. Other posts of the address wait here."""
    turns = 0 if reason else 1
    table = SigningMail.__table__
    statement = (
        insert(table)
        .values(address_hash=hashed, day=now.date(), count=turns)
        .on_conflict_do_update(
            index_elements=["address_hash", "day"],
            set_={"count": table.c.count + turns},
            where=table.c.count < rules.MAILS_A_DAY,
        )
        .returning(table.c.count)
    )
    return db.session.execute(statement).scalar() is not None


def _insert(row: Mapping[str, object]) -> bool:
    """Add the signature; False when its address (and slot) has one on this petition already."""
    table = Signature.__table__
    statement = (
        insert(table)
        .on_conflict_do_nothing(index_elements=["petition_id", "address_hash", "slot"])
        .returning(table.c.id)
    )
    return db.session.execute(statement, dict(row)).scalar() is not None


def _take_place(sheet: Sheet, row: dict[str, object]) -> Place:
    """Insert the signature, in slot 2 when it is a second neighbor of one household."""
    if _insert(row):
        return Place(is_new=True)
    known = list(
        db.session.scalars(
            select(Signature)
            .where(
                Signature.petition_id == sheet.id,
                Signature.address_hash == row["address_hash"],
            )
            .order_by(Signature.slot)
            .with_for_update()
        )
    )
    name = (str(row["first_name"]), str(row["last_name"]))
    for one in known:
        if rules.is_same_name((one.first_name, one.last_name), name):
            return Place(holder=one, is_same=True)
    if row["email"] and len(known) == 1:
        row["slot"] = 3 - known[0].slot
        if rules.share_household(known[0].postal_code, str(row["postal_code"])) and _insert(row):
            return Place(is_new=True)
    return Place(holder=known[0] if known else None)


def _sign_again(
    sheet: Sheet, place: Place, row: Mapping[str, object], *, quiet: bool, is_held: bool
) -> Outcome:
    """The address is known here: remind, say that it is counted, or begin anew after a
    withdrawal. Somebody else's name under it changes nothing of what its owner typed."""
    signature = place.holder
    if signature is None or signature.email is None:
        return Outcome.ALREADY
    if signature.state == SignatureState.CONFIRMED:
        _write_to("already", sheet, signature, quiet=quiet)
        return Outcome.ALREADY
    if is_held or signature.state in BARRED:
        _write_to("confirm", sheet, signature, quiet=True)
        return Outcome.BLOCKED
    if place.is_same:
        _begin_anew(signature, row)
    signature.token_hash = fingerprint(emails.confirmation_token(signature.id))
    signature.expires_at = clock.now() + timedelta(days=rules.CONFIRM_DAYS)
    signature.state = SignatureState.PENDING
    _write_to("confirm", sheet, signature, quiet=quiet)
    return Outcome.AGAIN


RETYPED = (
    *("first_name", "last_name", "email", "postal_code", "phone", "district_id"),
    *("district_share", "display", "comment", "comment_state", "language", "wordings", "ip"),
)


def _begin_anew(signature: Signature, row: Mapping[str, object]) -> None:
    """Until it is confirmed, what was typed last holds; the confirmation page shows all of it."""
    for name in RETYPED:
        setattr(signature, name, row[name])
    signature.state = SignatureState.PENDING
    signature.withdrawn_at = None


def _write(kind: str, sheet: Sheet, row: Mapping[str, object], *, quiet: bool) -> None:
    _queue(
        kind,
        sheet,
        signature_id=row["id"],  # type: ignore[arg-type]
        to=str(row["email"]),
        first_name=str(row["first_name"]),
        language=str(row["language"]),
        referral_code=str(row["referral_code"]),
        quiet=quiet,
    )


def _write_to(kind: str, sheet: Sheet, signature: Signature, *, quiet: bool = False) -> None:
    _queue(
        kind,
        sheet,
        signature_id=signature.id,
        to=signature.email or "",
        first_name=signature.first_name,
        language=signature.language,
        referral_code=signature.referral_code,
        person_id=signature.person_id,
        quiet=quiet,
    )


def _queue(
    kind: str,
    sheet: Sheet,
    *,
    signature_id: uuid.UUID,
    to: str,
    first_name: str,
    language: str,
    referral_code: str,
    person_id: uuid.UUID | None = None,
    quiet: bool = False,
) -> None:
    """Queue an e-mail to a signer. A quiet one is queued and taken back: the same work, no mail."""
    if quiet:
        place = db.session.begin_nested()
    envelope = emails.envelope(kind, sheet, language)
    queue_email(
        to,
        freeze_letter(envelope.letter),
        organization_id=sheet.organization_id,
        kind=emails.KIND,
        values=emails.values_for(
            signature_id,
            sheet=sheet,
            first_name=first_name,
            language=language,
            referral_code=referral_code,
            person_id=person_id,
        ),
        person_id=person_id,
        sender=envelope.sender,
    )
    if quiet:
        place.rollback()


def _count(
    petition_id: uuid.UUID, district_id: object, kind: str, amount: int, now: datetime
) -> None:
    """Write a delta, in the transaction that makes or ends a counted signature."""
    db.session.execute(
        insert(SignatureDelta.__table__),
        {
            "id": uuid7(),
            "petition_id": petition_id,
            "district_key": district_id.hex if isinstance(district_id, uuid.UUID) else "",
            "kind": kind,
            "amount": amount,
            "created_at": now,
        },
    )


# --- confirming and withdrawing ----------------------------------------------------------------


def confirm_signature(token: str) -> Signature:
    """Count the signature of a confirmation link; again and again is once.

    Raises NotFound for an unknown link, Gone for one that ran out, was withdrawn, or came more
    than a day after the petition closed.
    """
    signature = queries.signature_by_token(token, lock=True)
    if signature.state == SignatureState.CONFIRMED:
        return signature
    if signature.state != SignatureState.PENDING:
        raise Gone
    petition = db.session.get_one(Petition, signature.petition_id)
    ended_at = petition.ended_at(clock.now())
    late = timedelta(hours=rules.CONFIRM_AFTER_CLOSING_HOURS)
    if petition.state == PetitionState.DRAFT or (
        ended_at is not None and clock.now() >= ended_at + late
    ):
        raise Gone(_l("This petition is closed. It takes no more signatures."))
    return count_signature(petition, signature)


def count_signature(petition: Petition, signature: Signature) -> Signature:
    """pending → confirmed: the person, their consents and the count, all in this transaction."""
    now = clock.now()
    person = people.get_or_add_person(
        signature.organization_id,
        PersonDetails(
            email=signature.email or "",
            first_name=signature.first_name,
            last_name=signature.last_name,
            postal_code=signature.postal_code,
            phone=signature.phone,
            language=signature.language,
            source=signature.source or f"petition {petition.slug}"[:80],
            district_id=signature.district_id,
            district_share=signature.district_share,
        ),
    )
    signature.state = SignatureState.CONFIRMED
    signature.confirmed_at = now
    signature.person_id = person.id
    _grant(petition, signature, person)
    _count(petition.id, signature.district_id, SignatureState.CONFIRMED, 1, now)
    sheet = queries.sheet_of(petition)
    if _take_mail_turn(signature.address_hash, now, ""):
        _write_to("signed", sheet, signature)
    db.session.flush()
    return signature


def _grant(petition: Petition, signature: Signature, person: Person) -> None:
    """Put the boxes ticked into the ledger; a partner that left meanwhile gets nothing."""
    grantees = {petition.organization_id} | {
        partnership.partner_id for partnership in campaigns.partners_of(petition.campaign_id)
    }
    for grantee, wording in signature.wordings.items():
        if uuid.UUID(grantee) in grantees:
            people.grant_consent(
                person,
                grantee_id=uuid.UUID(grantee),
                purpose=Purpose.EMAIL,
                wording_id=uuid.UUID(wording),
                source="page",
                source_detail=f"/p/{petition.slug}",
                campaign_id=petition.campaign_id,
            )


def withdraw_signature(signature: Signature) -> None:
    """Take a name off: the count falls by one. Twice is once; erasing is something else.

    Raises Gone for a signature that is neither waiting nor counted.
    """
    if signature.state == SignatureState.WITHDRAWN:
        return
    if signature.state not in {
        SignatureState.PENDING,
        SignatureState.REVIEW,
        *queries.COUNTED,
    }:
        raise Gone
    now = clock.now()
    if signature.state in queries.COUNTED:
        _count(signature.petition_id, signature.district_id, signature.state, -1, now)
        record(
            "signature.withdrawn",
            organization_id=signature.organization_id,
            subject_kind="signature",
            subject_id=signature.id,
            details={"petition": signature.petition_id.hex},
        )
    signature.state = SignatureState.WITHDRAWN
    signature.withdrawn_at = now
    signature.display = Display.HIDDEN
    signature.comment_state = CommentState.NONE
    signature.comment = ""
    db.session.flush()


def erase_signatures(*, person_id: uuid.UUID | None = None, address_hash: str | None = None) -> int:
    """Erase who signed: the count and the ward stay, unconfirmed rows go. Returns how many."""
    if person_id is None and address_hash is None:
        return 0
    mine = [
        clause
        for clause in (
            Signature.person_id == person_id if person_id is not None else None,
            Signature.address_hash == address_hash if address_hash is not None else None,
        )
        if clause is not None
    ]
    found = db.session.scalars(select(Signature).where(queries.any_of(mine)).with_for_update())
    count = 0
    for signature in found:
        count += 1
        erase_signature(signature)
    if address_hash is not None:
        db.session.execute(delete(SigningMail).where(SigningMail.address_hash == address_hash))
    db.session.flush()
    return count


def erase_signature(signature: Signature) -> None:
    """Erase one: what was never counted goes; of what was, an anonymous tombstone stays."""
    if signature.state in {SignatureState.PENDING, SignatureState.REVIEW}:
        db.session.delete(signature)
    else:
        _blank(signature)
    db.session.flush()


def _blank(signature: Signature) -> None:
    """Leave an anonymous tombstone: state, district and times."""
    for name in ("first_name", "last_name", "postal_code", "phone", "comment", "source", "ip"):
        setattr(signature, name, "")
    signature.email = signature.address_hash = signature.token_hash = None
    signature.person_id = signature.referrer_id = signature.district_share = None
    signature.display = Display.HIDDEN
    signature.comment_state = CommentState.NONE
    signature.wordings = {}
    signature.review_reason = ""
    signature.referral_code = random_token(REFERRAL_BYTES)


# --- writing, publishing, closing --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PetitionDetails:
    """What an organizer writes about a petition."""

    campaign_id: uuid.UUID
    clinic_id: uuid.UUID | None = None
    slug: str = ""
    title: Words
    summary: Words = field(default_factory=Words)
    text: Words = field(default_factory=Words)
    target: Words = field(default_factory=Words)
    thanks: Words = field(default_factory=Words)
    result: Words = field(default_factory=Words)
    own_wording: Words = field(default_factory=Words)
    next_label: Words = field(default_factory=Words)
    next_url: str = ""
    goal: int = 100
    most_public: str = Display.FULL
    has_comments: bool = True
    asks_phone: bool = False
    closes_at: datetime | None = None


TEXTS = (
    *("title", "summary", "text", "target", "thanks", "result", "own_wording"),
    *("next_label", "next_url", "goal", "most_public", "has_comments", "asks_phone"),
    *("closes_at", "campaign_id", "clinic_id"),
)


def create_petition(
    organization_id: uuid.UUID, details: PetitionDetails, *, user_id: uuid.UUID | None = None
) -> Petition:
    """A new draft. Raises Invalid at `slug` when its address is taken or not an address."""
    _check(organization_id, details)
    title = next((text for text in details.title.values() if text), "")
    slug = details.slug or _free_slug(slug_from(title, fallback="petition"))
    petition = Petition(organization_id=organization_id, slug=_checked_slug(slug))
    _take_texts(petition, details)
    petition.state = PetitionState.DRAFT
    try:
        with db.session.begin_nested():
            db.session.add(petition)
    except IntegrityError:
        raise _taken() from None
    _record("petition.created", petition, user_id)
    return petition


def edit_petition(
    petition: Petition, details: PetitionDetails, *, user_id: uuid.UUID | None = None
) -> Petition:
    """Take over what was written. Once published, the address stays: links point at it.

    Raises Invalid at `slug` when the new address is taken.
    """
    _check(petition.organization_id, details)
    if details.slug and details.slug != petition.slug and petition.published_at is None:
        if _slug_is_taken(_checked_slug(details.slug), but=petition.id):
            raise _taken()
        petition.slug = details.slug
    _take_texts(petition, details)
    db.session.flush()
    _record("petition.edited", petition, user_id)
    return petition


def _check(organization_id: uuid.UUID, details: PetitionDetails) -> None:
    """The campaign and the clinic are this organization's, and belong together."""
    if campaigns.campaign_of(organization_id, details.campaign_id) is None:
        raise Invalid(_l("Choose one of your campaigns."), field="campaign")
    if details.clinic_id is not None:
        clinic = campaigns.clinic_of(organization_id, details.clinic_id)
        if clinic is None or clinic.campaign_id != details.campaign_id:
            raise Invalid(_l("Choose a clinic of this campaign."), field="clinic")


def _take_texts(petition: Petition, details: PetitionDetails) -> None:
    for name in TEXTS:
        if getattr(petition, name) != getattr(details, name):
            setattr(petition, name, getattr(details, name))


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug) or len(slug) > SLUG_LENGTH:
        raise Invalid(
            _l("Use small letters, digits and hyphens, like keep-woodlawn."), field="slug"
        )
    return slug


def _slug_is_taken(slug: str, *, but: uuid.UUID | None = None) -> bool:
    found = select(Petition.id).where(Petition.slug == slug)
    if but is not None:
        found = found.where(Petition.id != but)
    return db.session.scalar(found) is not None


def _free_slug(slug: str) -> str:
    """`slug`, or with the first number behind it that is free."""
    candidate, number = slug, 2
    while _slug_is_taken(candidate):
        candidate, number = f"{slug[: SLUG_LENGTH - 4].rstrip('-')}-{number}", number + 1
    return candidate


def _taken() -> Invalid:
    return Invalid(_l("Another petition has this address. Choose another."), field="slug")


def _record(action: str, petition: Petition, user_id: uuid.UUID | None, **details: object) -> None:
    record(
        action,
        organization_id=petition.organization_id,
        user_id=user_id,
        subject_kind="petition",
        subject_id=petition.id,
        details=details,
    )


def publish_petition(petition: Petition, *, user_id: uuid.UUID | None = None) -> None:
    """draft or closed → published. A closing time that has passed is taken out."""
    petition.publish(clock.now())
    _record("petition.published", petition, user_id)


def close_petition(petition: Petition, *, user_id: uuid.UUID | None = None) -> None:
    """published → closed. Confirmations are taken for another day."""
    petition.close(clock.now())
    _record("petition.closed", petition, user_id)


# --- moderation --------------------------------------------------------------------------------


def decide_comments(
    petition: Petition,
    ids: Sequence[uuid.UUID],
    state: CommentState,
    *,
    user_id: uuid.UUID | None = None,
) -> int:
    """Approve or hide comments, or put them back to wait; returns how many changed."""
    if state == CommentState.NONE:
        raise Invalid
    changed = 0
    for signature in _locked(petition, ids):
        if signature.comment and signature.comment_state not in {CommentState.NONE, state}:
            signature.comment_state = state
            changed += 1
    if changed:
        _record(f"comments.{state}", petition, user_id, count=changed)
    return changed


def lower_display(
    petition: Petition,
    ids: Sequence[uuid.UUID],
    display: str,
    *,
    user_id: uuid.UUID | None = None,
) -> int:
    """Show less of names in public than their owners allowed; never more."""
    changed = 0
    for signature in _locked(petition, ids):
        lower = rules.least(signature.display, display)
        if lower != signature.display:
            signature.display = lower
            changed += 1
    if changed:
        _record("signatures.display_lowered", petition, user_id, count=changed)
    return changed


def approve_reviews(
    petition: Petition, ids: Sequence[uuid.UUID], *, user_id: uuid.UUID | None = None
) -> tuple[int, int]:
    """Let signatures go their way: the confirmation goes out, or without e-mail they count.

    Returns how many went, and how many must wait for tomorrow because their address has had
    its three e-mails today.
    """
    now, sheet = clock.now(), queries.sheet_of(petition)
    gone = waiting = 0
    for signature in _locked(petition, ids, SignatureState.REVIEW):
        if signature.email is None:
            signature.state = SignatureState.UNVERIFIED
            _count(petition.id, signature.district_id, SignatureState.UNVERIFIED, 1, now)
        elif _take_mail_turn(signature.address_hash, now, ""):
            signature.state = SignatureState.PENDING
            signature.token_hash = fingerprint(emails.confirmation_token(signature.id))
            signature.expires_at = now + timedelta(days=rules.CONFIRM_DAYS)
            _write_to("confirm", sheet, signature)
        else:
            waiting += 1
            continue
        gone += 1
    if gone:
        _record("signatures.approved", petition, user_id, count=gone)
    return gone, waiting


def reject_reviews(
    petition: Petition, ids: Sequence[uuid.UUID], *, user_id: uuid.UUID | None = None
) -> int:
    """Turn signatures away that were held for a look; can be taken back."""
    changed = 0
    for signature in _locked(petition, ids, SignatureState.REVIEW):
        signature.state_before = signature.state
        signature.state = SignatureState.INVALIDATED
        changed += 1
    if changed:
        _record("signatures.rejected", petition, user_id, count=changed)
    return changed


def review_again(
    petition: Petition, ids: Sequence[uuid.UUID], *, user_id: uuid.UUID | None = None
) -> int:
    """Take `reject_reviews` back: they are held for a look again."""
    changed = 0
    for signature in _locked(petition, ids, SignatureState.INVALIDATED):
        if signature.invalidation_id is None and signature.state_before == SignatureState.REVIEW:
            signature.state, signature.state_before = SignatureState.REVIEW, ""
            changed += 1
    if changed:
        _record("signatures.review_again", petition, user_id, count=changed)
    return changed


def _locked(petition: Petition, ids: Sequence[uuid.UUID], state: str = "") -> Sequence[Signature]:
    """Signatures of this petition among `ids`; ids of others are as if they did not exist."""
    statement = (
        select(Signature)
        .where(Signature.petition_id == petition.id, Signature.id.in_(ids))
        .order_by(Signature.id)
        .with_for_update()
    )
    if state:
        statement = statement.where(Signature.state == state)
    return db.session.scalars(statement).all()


def invalidate(
    petition: Petition, rule: Rule, *, reason: str, user_id: uuid.UUID | None = None
) -> Invalidation:
    """Take all signatures that fit `rule` out of the count. Raises Invalid without a rule or
    reason, and when nothing fits."""
    if rule.is_empty:
        raise Invalid(_l("Say which signatures you mean: fill in at least one field."))
    if not reason:
        raise Invalid(_l("Write why: the log keeps it."), field="reason")
    now = clock.now()
    invalidation = Invalidation(
        id=uuid7(),
        organization_id=petition.organization_id,
        petition_id=petition.id,
        user_id=user_id,
        rule=rule.as_kept(),
        reason=reason,
        at=now,
    )
    db.session.add(invalidation)
    db.session.flush()
    chosen = (
        select(Signature.id, Signature.state, Signature.district_id)
        .where(*queries.fitting(petition.id, rule))
        .order_by(Signature.id)
        .with_for_update()
    )
    rows = db.session.execute(chosen).all()
    if not rows:
        raise Invalid(_l("No signature fits. Check what you filled in."))
    for part in batched([row[0] for row in rows], BATCH):
        db.session.execute(
            update(Signature)
            .where(Signature.id.in_(part))
            .values(
                state=SignatureState.INVALIDATED,
                state_before=Signature.state,
                invalidation_id=invalidation.id,
            )
            .execution_options(synchronize_session=False)
        )
    _count_many(petition.id, rows, -1, now)
    invalidation.count = len(rows)
    db.session.flush()
    db.session.expire_all()
    _record(
        "signatures.invalidated",
        petition,
        user_id,
        invalidation=invalidation.id.hex,
        by=sorted(rule.as_kept()),
        count=len(rows),
    )
    return invalidation


def revert_invalidation(invalidation: Invalidation, *, user_id: uuid.UUID | None = None) -> int:
    """Bring the signatures of an invalidation back to the state they had; twice is once."""
    if invalidation.reverted_at is not None:
        return 0
    now = clock.now()
    petition = db.session.get_one(Petition, invalidation.petition_id)
    chosen = (
        select(Signature.id, Signature.state_before, Signature.district_id)
        .where(
            Signature.invalidation_id == invalidation.id,
            Signature.state == SignatureState.INVALIDATED,
        )
        .order_by(Signature.id)
        .with_for_update()
    )
    rows = db.session.execute(chosen).all()
    for part in batched([row[0] for row in rows], BATCH):
        db.session.execute(
            update(Signature)
            .where(Signature.id.in_(part))
            .values(state=Signature.state_before, state_before="", invalidation_id=None)
            .execution_options(synchronize_session=False)
        )
    _count_many(petition.id, rows, 1, now)
    invalidation.reverted_at, invalidation.reverted_by_id = now, user_id
    db.session.flush()
    db.session.expire_all()
    _record(
        "signatures.restored",
        petition,
        user_id,
        invalidation=invalidation.id.hex,
        count=len(rows),
    )
    return len(rows)


def _count_many(
    petition_id: uuid.UUID,
    rows: Sequence[tuple[uuid.UUID, str, uuid.UUID | None]],
    sign: int,
    now: datetime,
) -> None:
    """One delta for each district and kind among `rows` (id, state, district)."""
    sums = Counter((row[1], row[2]) for row in rows if row[1] in queries.COUNTED)
    for (state, district_id), amount in sums.items():
        _count(petition_id, district_id, state, sign * amount, now)


def batched(ids: Sequence[uuid.UUID], size: int) -> Iterator[Sequence[uuid.UUID]]:
    """`ids` in parts of `size`: a database takes only so many values in one statement."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
