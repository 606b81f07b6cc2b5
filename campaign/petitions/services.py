"""Signing, confirming, withdrawing; writing, publishing and closing petitions; moderation.

Answers to a signer are alike for a new, a known, a barred and a limited one, and so is the work
before the answer: neither the page nor the clock tells who has signed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from campaign import clock
from campaign.campaigns import boxes
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import SLUG, SLUG_LENGTH, first_free_slug, slug_from
from campaign.db import Words, db, uuid7
from campaign.errors import Conflict, Gone, Invalid
from campaign.fields import services as fields
from campaign.fields.rules import read_answers
from campaign.organizations.services import record
from campaign.people import services as people
from campaign.people import strangers
from campaign.people.services import PersonDetails
from campaign.petitions import delivery, emails, newcomers, queries, rules, tasks
from campaign.petitions.models import (
    CommentState,
    Display,
    Invalidation,
    Petition,
    PetitionState,
    Signature,
    SignatureState,
    SigningMail,
    SigningRepeat,
)
from campaign.petitions.queries import Rule, Sheet
from campaign.tokens import fingerprint, random_token
from campaign.worker import enqueue, ring_now

REFERRAL_BYTES = 9
BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerDetails:
    """What somebody typed under a petition; every door (page, command, API) builds this.

    `consents` maps an organization's slug to the mark of the wording that was shown, or to
    anything else for the present wording; `answers` a question's key to what was typed. `signals` is what the door found odd (rules.py).
    """

    first_name: str
    last_name: str = ""
    email: str = ""
    postal_code: str = ""
    phone: str = ""
    comment: str = ""
    display: str = Display.HIDDEN
    consents: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    source: str = ""
    referral_code: str = ""
    channel: str = "web"
    ip: str = ""
    signals: Sequence[str] = ()


# --- signing -----------------------------------------------------------------------------------


def sign_petition(petition: Petition | Sheet, details: SignerDetails) -> None:
    """Take a signature; the e-mail that follows tells its owner what happened.

    Whoever signs, this is one and the same statement: it adds a newcomer with their
    confirmation, and notes the post of somebody who stands there already, to be worked off after
    the answer. Raises Conflict when the petition takes no signatures (any more), Invalid when
    the words of a consent box are not known any more.
    """
    now = clock.now()
    sheet = petition if isinstance(petition, Sheet) else queries.sheet_of(petition)
    if not sheet.is_open(now):
        raise Conflict(_l("This petition is closed. It takes no more signatures."))
    typed = _typed(sheet, details)
    signals = [*details.signals, *rules.signals_in(details.email, details.comment)]
    reason = strangers.review_reason(signals)
    row = delivery.new_row(sheet, typed, now, review_reason=reason)
    done = newcomers.add(sheet, row, typed, now)
    if not done.is_new:
        (ring_now if done.is_committed else enqueue)(tasks.work_repeats)


def _typed(sheet: Sheet, details: SignerDetails) -> dict[str, Any]:
    """What was typed, as far as this petition asks for it, in plain values."""
    return {
        "first_name": details.first_name,
        "last_name": details.last_name,
        "email": details.email,
        "postal_code": details.postal_code,
        "phone": details.phone if sheet.asks_phone else "",
        "comment": details.comment if sheet.has_comments else "",
        "display": rules.least(details.display, sheet.most_public).value,
        "language": details.language,
        "source": details.source,
        "channel": details.channel,
        "referrer": _referrer(sheet, details.referral_code),
        "wordings": boxes.wordings_of(
            sheet.boxes, sheet.boxes_key, details.consents, details.language
        ),
        "answers": read_answers(sheet.questions, details.answers, details.language),
        "ip": details.ip,
    }


def _referrer(sheet: Sheet, code: str) -> str | None:
    found = queries.signature_by_referral(code) if code else None
    return found.id.hex if found is not None and found.petition_id == sheet.id else None


def sign_remembered(sheet: Sheet, earlier: Signature, details: SignerDetails) -> Signature | None:
    """One tap on a device that a confirmed signer asked to remember: counted at once.

    `earlier` is the signature whose device this is. None when this one is barred or waits for a
    look, which the answer must not tell. Raises Conflict when the petition is closed.
    """
    now = clock.now()
    if not sheet.is_open(now):
        raise Conflict(_l("This petition is closed. It takes no more signatures."))
    known = replace(
        details,
        first_name=earlier.first_name,
        last_name=earlier.last_name,
        email=earlier.email or "",
        postal_code=earlier.postal_code,
        phone="",
    )
    row = delivery.new_row(sheet, _typed(sheet, known), now)
    place = delivery.take_place(row)
    if place.is_new:
        signature = db.session.get_one(Signature, row["id"])
    elif place.holder is None or not place.is_same or place.holder.state in delivery.BARRED:
        return None
    elif place.holder.state == SignatureState.CONFIRMED:
        return place.holder
    else:
        signature = place.holder
        delivery.begin_anew(signature, row)
    return count_signature(db.session.get_one(Petition, sheet.id), signature)


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
    fields.take_answers(person, signature.answers, signature.language)
    signature.answers = {}  # they stand with the person now
    boxes.grant(
        person,
        signature.wordings,
        lead_id=petition.organization_id,
        campaign_id=petition.campaign_id,
        source_detail=f"/p/{petition.slug}",
    )
    delivery.count(petition.id, signature.district_id, SignatureState.CONFIRMED, 1, now)
    sheet = queries.sheet_of(petition)
    if delivery.take_mail_turn(signature.address_hash, now):
        delivery.write_to("signed", sheet, signature)
    db.session.flush()
    return signature


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
        delivery.count(signature.petition_id, signature.district_id, signature.state, -1, now)
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
        for table in (SigningMail, SigningRepeat):
            db.session.execute(delete(table).where(table.address_hash == address_hash))
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
    signature.wordings, signature.answers = {}, {}
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
    field_ids: Sequence[str] = ()
    closes_at: datetime | None = None


TEXTS = (
    *("title", "summary", "text", "target", "thanks", "result", "own_wording"),
    *("next_label", "next_url", "goal", "most_public", "has_comments", "asks_phone"),
    *("field_ids", "closes_at", "campaign_id", "clinic_id"),
)


def create_petition(
    organization_id: uuid.UUID, details: PetitionDetails, *, user_id: uuid.UUID | None = None
) -> Petition:
    """A new draft. Raises Invalid at `slug` when its address is taken or not an address."""
    _check(organization_id, details)
    title = next((text for text in details.title.values() if text), "")
    slug = details.slug or first_free_slug(slug_from(title, fallback="petition"), _slug_is_taken)
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
    fields.check_chosen(organization_id, details.field_ids)


def _take_texts(petition: Petition, details: PetitionDetails) -> None:
    for name in TEXTS:
        value = getattr(details, name)
        value = list(value) if name == "field_ids" else value
        if getattr(petition, name) != value:
            setattr(petition, name, value)


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
            delivery.count(petition.id, signature.district_id, SignatureState.UNVERIFIED, 1, now)
        elif delivery.take_mail_turn(signature.address_hash, now):
            signature.state = SignatureState.PENDING
            signature.token_hash = fingerprint(emails.confirmation_token(signature.id))
            signature.expires_at = now + timedelta(days=rules.CONFIRM_DAYS)
            delivery.write_to("confirm", sheet, signature)
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
        delivery.count(petition_id, district_id, state, sign * amount, now)


def batched(ids: Sequence[uuid.UUID], size: int) -> Iterator[Sequence[uuid.UUID]]:
    """`ids` in parts of `size`: a database takes only so many values in one statement."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
