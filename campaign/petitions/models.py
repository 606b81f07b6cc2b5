"""Petitions, signatures and their counts."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.campaigns.models import Campaign, Clinic, missing_in
from campaign.db import Key, Model, Owned, Short, Timestamped, Words
from campaign.errors import Conflict


class PetitionState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    CLOSED = "closed"


class SignatureState(StrEnum):
    """Only `confirmed` is counted; `unverified` (no e-mail) is counted apart."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    UNVERIFIED = "unverified"
    REVIEW = "review"
    WITHDRAWN = "withdrawn"
    INVALIDATED = "invalidated"


class Display(StrEnum):
    """How much of a name may be seen in public, least first."""

    HIDDEN = "hidden"
    INITIAL = "initial"  # first name and ward
    FULL = "full"


class CommentState(StrEnum):
    NONE = "none"
    WAITING = "waiting"
    APPROVED = "approved"
    HIDDEN = "hidden"


class Petition(Owned, Timestamped, Model):
    """An ask that people sign. Its public address is `/p/<slug>`."""

    __tablename__ = "petitions"

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("campaigns.id"), index=True)
    clinic_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("clinics.id"))
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    title: Mapped[Words]
    summary: Mapped[Words] = mapped_column(default=Words)
    text: Mapped[Words] = mapped_column(default=Words)  # Markdown: story and demand
    target: Mapped[Words] = mapped_column(default=Words)  # to whom: "Chicago City Council"
    thanks: Mapped[Words] = mapped_column(default=Words)
    next_label: Mapped[Words] = mapped_column(default=Words)
    next_url: Mapped[str] = mapped_column(String(300), default="")
    state: Mapped[str] = mapped_column(String(20), default=PetitionState.DRAFT)
    goal: Mapped[int] = mapped_column(default=100)
    most_public: Mapped[str] = mapped_column(String(10), default=Display.FULL)
    has_comments: Mapped[bool] = mapped_column(default=True)
    asks_phone: Mapped[bool] = mapped_column(default=False)
    field_ids: Mapped[list[str]] = mapped_column(JSON, default=list)  # custom fields it asks
    own_wording: Mapped[Words] = mapped_column(default=Words)  # the lead's own consent box
    result: Mapped[Words] = mapped_column(default=Words)  # Markdown: what came of it, once closed
    closes_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    campaign: Mapped[Campaign] = relationship(lazy="joined")
    clinic: Mapped[Clinic | None] = relationship()

    def publish(self, now: datetime) -> None:
        """draft or closed → published. Raises Conflict when it is already public."""
        if self.state == PetitionState.PUBLISHED and self.is_open(now):
            raise Conflict
        self.state = PetitionState.PUBLISHED
        self.published_at = self.published_at or now
        self.closed_at = None
        if self.closes_at is not None and self.closes_at <= now:
            self.closes_at = None

    def close(self, now: datetime) -> None:
        """published → closed. Raises Conflict otherwise."""
        if self.state != PetitionState.PUBLISHED:
            raise Conflict
        self.state = PetitionState.CLOSED
        self.closed_at = now

    def is_open(self, now: datetime) -> bool:
        """Whether new signatures are taken."""
        return self.state == PetitionState.PUBLISHED and (
            self.closes_at is None or now < self.closes_at
        )

    @property
    def missing_languages(self) -> list[str]:
        """Languages some text of which is there in another one only, so that it falls back."""
        texts = (self.title, self.summary, self.text, self.target, self.thanks)
        return missing_in(*texts, self.own_wording, self.result, self.next_label)

    def ended_at(self, now: datetime) -> datetime | None:
        """Since when it takes no new signatures; None while it does, and for a draft."""
        if self.state == PetitionState.CLOSED:
            return self.closed_at
        if self.state == PetitionState.PUBLISHED and not self.is_open(now):
            return self.closes_at
        return None


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index over some rows only."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


class Signature(Owned, Model):
    """A name under a petition.

    Until it is confirmed, all that was typed stays in this row alone: no Person, no consent, no
    list. `address_hash` and `slot` are the constraint behind "once per address"; without e-mail
    the hash is of name and postal code, so that the same neighbor is not counted twice. After
    erasure only state, district and times remain: the count stands.
    """

    __tablename__ = "signatures"
    __table_args__ = (
        UniqueConstraint("petition_id", "address_hash", "slot"),
        CheckConstraint("slot in (1, 2)", name="slot_is_1_or_2"),
        Index("ix_signatures_petition", "petition_id", "state", "id"),
        # The rest are partial: a new signature, which nobody has confirmed, pays for few.
        _partial("ix_signatures_person", "person_id", where="person_id IS NOT NULL"),
        _partial(  # who signed what, as segments ask: answered by the index alone
            "ix_signatures_signers",
            "organization_id",
            "petition_id",
            "person_id",
            where="state = 'confirmed' AND person_id IS NOT NULL",
        ),
        _partial("ix_signatures_referral", "referral_code", where="state = 'confirmed'"),
        _partial(
            "ix_signatures_confirmed",
            "petition_id",
            "confirmed_at",
            where="confirmed_at IS NOT NULL",
        ),
        _partial(
            "ix_signatures_public",
            "petition_id",
            "confirmed_at",
            where="state = 'confirmed' AND display <> 'hidden'",
        ),
        _partial("ix_signatures_comment", "petition_id", "id", where="comment_state <> 'none'"),
        _partial("ix_signatures_address", "address_hash", where="state <> 'pending'"),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID]
    petition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("petitions.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"))
    state: Mapped[str] = mapped_column(String(20))
    address_hash: Mapped[str | None] = mapped_column(String(64))
    slot: Mapped[int] = mapped_column(default=1)
    email: Mapped[str | None] = mapped_column(String(254))
    first_name: Mapped[Short]
    last_name: Mapped[Short]
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    phone: Mapped[str] = mapped_column(String(40), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    district_share: Mapped[float | None]
    display: Mapped[str] = mapped_column(String(10), default=Display.HIDDEN)
    comment: Mapped[str] = mapped_column(Text, default="")
    comment_state: Mapped[str] = mapped_column(String(10), default=CommentState.NONE)
    language: Mapped[str] = mapped_column(String(8), default="en")
    source: Mapped[str] = mapped_column(String(80), default="")
    channel: Mapped[str] = mapped_column(String(10), default="web")
    referral_code: Mapped[str] = mapped_column(String(24))
    referrer_id: Mapped[uuid.UUID | None]
    wordings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # grantee id → wording id
    answers: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # field id → text
    token_hash: Mapped[str | None] = mapped_column(String(64))
    review_reason: Mapped[str] = mapped_column(String(120), default="")
    ip: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    invalidation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("invalidations.id"))
    state_before: Mapped[str] = mapped_column(String(20), default="")  # to undo an invalidation


class SignatureDelta(Model):
    """+1 or -1, written in the transaction that confirms, withdraws or invalidates."""

    __tablename__ = "signature_deltas"
    __table_args__ = (Index("ix_signature_deltas_petition", "petition_id", "id"),)

    id: Mapped[Key]
    petition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("petitions.id"))
    district_key: Mapped[str] = mapped_column(String(40), default="")  # district id or ""
    kind: Mapped[str] = mapped_column(String(12), default="confirmed")  # or "unverified"
    amount: Mapped[int]
    created_at: Mapped[datetime]


class SignatureTotal(Model):
    """Rolled-up deltas. The count shown is this plus what is not rolled up yet."""

    __tablename__ = "signature_totals"
    __table_args__ = (UniqueConstraint("petition_id", "district_key", "kind"),)

    id: Mapped[Key]
    petition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("petitions.id"))
    district_key: Mapped[str] = mapped_column(String(40), default="")  # district id or ""
    kind: Mapped[str] = mapped_column(String(12), default="confirmed")
    count: Mapped[int] = mapped_column(default=0)


class SigningMail(Model):
    """How many e-mails about signing an address was sent on a day (UTC), over all petitions.

    Its row is the first that a signature touches, so posts of one address wait for each other.
    """

    __tablename__ = "signing_mails"

    address_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class SigningRepeat(Model):
    """A post whose signer stands on the petition already, as it was typed.

    It is worked off right after the answer, so that neither the answer nor its time tells that
    somebody has signed before. Then the row goes.
    """

    __tablename__ = "signing_repeats"

    id: Mapped[Key]
    petition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("petitions.id"))
    address_hash: Mapped[str] = mapped_column(String(64), index=True)
    typed: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_held: Mapped[bool]
    created_at: Mapped[datetime]


class Invalidation(Owned, Model):
    """Signatures taken out of the count by a rule, with the reason; can be taken back."""

    __tablename__ = "invalidations"

    id: Mapped[Key]
    petition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("petitions.id"))
    user_id: Mapped[uuid.UUID | None]
    rule: Mapped[dict[str, Any]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(300))
    count: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime]
    reverted_at: Mapped[datetime | None]
    reverted_by_id: Mapped[uuid.UUID | None]
