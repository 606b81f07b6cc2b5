"""Campaigns, clinics, milestones, partnerships."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.db import Key, Model, Owned, Short, Timestamped, Words
from campaign.errors import Conflict
from campaign.organizations.models import Organization
from campaign.places.models import District

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_LENGTH = 60


def slug_from(title: str, *, fallback: str = "campaign") -> str:
    """An address suggested from a title: "¡Salvemos Woodlawn!" becomes "salvemos-woodlawn".

    Lower-case ASCII letters, digits and single hyphens, at most 60 characters, cut at a word.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii").lower()
    words = re.sub(r"['’]", "", plain)
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    if len(slug) > SLUG_LENGTH:
        head = slug[: SLUG_LENGTH + 1]
        slug = (head.rsplit("-", 1)[0] if "-" in head else head)[:SLUG_LENGTH].strip("-")
    return slug or fallback


def first_free_slug(slug: str, is_taken: Callable[[str], bool]) -> str:
    """`slug`, or with the first number behind it that is free."""
    candidate, number = slug, 2
    while is_taken(candidate):
        candidate, number = f"{slug[: SLUG_LENGTH - 4].rstrip('-')}-{number}", number + 1
    return candidate


class CampaignState(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    WON = "won"
    LOST = "lost"
    ENDED = "ended"


class ClinicStatus(StrEnum):
    OPEN = "open"
    THREATENED = "threatened"
    CLOSING = "closing"
    CLOSED = "closed"
    SAVED = "saved"
    REOPENED = "reopened"


class PartnershipState(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    LEFT = "left"


LANGUAGES = ("en", "es")


def missing_in(*texts: Words | None) -> list[str]:
    """Languages in which one of `texts` is missing though another language has it."""
    return [
        language
        for language in LANGUAGES
        if any(
            not text.has(language) and any(text.has(other) for other in LANGUAGES)
            for text in texts
            if text
        )
    ]


class Campaign(Owned, Timestamped, Model):
    """An effort with one aim. `organization_id` is its lead organization."""

    __tablename__ = "campaigns"

    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    title: Mapped[Words]
    summary: Mapped[Words] = mapped_column(default=Words)
    story: Mapped[Words] = mapped_column(default=Words)  # Markdown
    state: Mapped[str] = mapped_column(String(20), default=CampaignState.DRAFT)
    decision_on: Mapped[date | None]
    decision_label: Mapped[Words] = mapped_column(default=Words)  # "Council votes"
    goal: Mapped[int | None]
    crisis_line: Mapped[Short]
    published_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    @property
    def is_public(self) -> bool:
        return self.state != CampaignState.DRAFT

    def publish(self, now: datetime) -> None:
        """draft → active. Raises Conflict otherwise."""
        if self.state != CampaignState.DRAFT:
            raise Conflict
        self.state = CampaignState.ACTIVE
        self.published_at = now

    def withdraw(self) -> None:
        """active → draft: out of sight again. Raises Conflict otherwise."""
        if self.state != CampaignState.ACTIVE:
            raise Conflict
        self.state = CampaignState.DRAFT

    def end(self, outcome: CampaignState, now: datetime) -> None:
        """active → won, lost or ended. Raises Conflict otherwise."""
        if self.state != CampaignState.ACTIVE or outcome in {
            CampaignState.DRAFT,
            CampaignState.ACTIVE,
        }:
            raise Conflict
        self.state = outcome
        self.ended_at = now

    def reopen(self) -> None:
        """won, lost or ended → active: the end was a mistake, or the fight goes on."""
        if self.state in {CampaignState.DRAFT, CampaignState.ACTIVE}:
            raise Conflict
        self.state = CampaignState.ACTIVE
        self.ended_at = None

    @property
    def is_running(self) -> bool:
        return self.state == CampaignState.ACTIVE

    @property
    def missing_languages(self) -> list[str]:
        """Languages some text of which is there in another one only, so that it falls back."""
        texts = (self.title, self.summary, self.story, self.decision_label)
        return missing_in(*texts)


class Clinic(Owned, Timestamped, Model):
    """A site of the service. Its present status is the last row of its history, copied here."""

    __tablename__ = "clinics"

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[Short]
    address: Mapped[Short]
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    people_served: Mapped[int | None]
    services: Mapped[Words] = mapped_column(default=Words)
    position: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(20), default=ClinicStatus.OPEN)
    status_on: Mapped[date | None]  # closing on, saved on
    status_note: Mapped[Words] = mapped_column(default=Words)

    district: Mapped[District | None] = relationship()

    @property
    def missing_languages(self) -> list[str]:
        return missing_in(self.services, self.status_note)


class ClinicStatusChange(Owned, Model):
    """The history of a clinic's status."""

    __tablename__ = "clinic_status_changes"

    id: Mapped[Key]
    clinic_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("clinics.id", ondelete="CASCADE"), index=True
    )
    status: Mapped[str] = mapped_column(String(20))
    status_on: Mapped[date | None]
    note: Mapped[Words] = mapped_column(default=Words)
    user_id: Mapped[uuid.UUID | None]
    at: Mapped[datetime]


class Milestone(Owned, Timestamped, Model):
    """What we did, and what changed: a line of the public timeline."""

    __tablename__ = "milestones"
    __table_args__ = (Index("ix_milestones_campaign", "campaign_id", "on"),)

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    on: Mapped[date]
    title: Mapped[Words]
    result: Mapped[Words] = mapped_column(default=Words)
    is_public: Mapped[bool] = mapped_column(default=True)

    @property
    def missing_languages(self) -> list[str]:
        return missing_in(self.title, self.result)


class Partnership(Owned, Timestamped, Model):
    """A partner organization in a campaign. `organization_id` is the lead's, `partner_id` theirs.

    `wording` is what its consent box says; the ledger keeps each version somebody agreed to.
    """

    __tablename__ = "partnerships"
    __table_args__ = (UniqueConstraint("campaign_id", "partner_id"),)

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), index=True)
    state: Mapped[str] = mapped_column(String(20), default=PartnershipState.ACTIVE)
    wording: Mapped[Words] = mapped_column(default=Words)
    about: Mapped[Words] = mapped_column(default=Words)
    position: Mapped[int] = mapped_column(default=0)

    campaign: Mapped[Campaign] = relationship()
    partner: Mapped[Organization] = relationship()

    @property
    def is_active(self) -> bool:
        return self.state == PartnershipState.ACTIVE

    @property
    def missing_languages(self) -> list[str]:
        return missing_in(self.wording, self.about)
