"""What is asked about campaigns, clinics, milestones and partnerships."""

from __future__ import annotations

import uuid

from sqlalchemy import case, select
from sqlalchemy.orm import joinedload

from campaign.campaigns.models import (
    Campaign,
    CampaignState,
    Clinic,
    ClinicStatusChange,
    Milestone,
    Partnership,
    PartnershipState,
)
from campaign.db import db


def campaign_by_slug(slug: str) -> Campaign | None:
    """The campaign at `/c/<slug>`, a draft too: the caller decides who may see it."""
    return db.session.scalar(select(Campaign).where(Campaign.slug == slug))


def campaign_of(organization_id: uuid.UUID, campaign_id: uuid.UUID) -> Campaign | None:
    """A campaign that this organization leads, or None."""
    return db.session.scalar(
        select(Campaign).where(
            Campaign.organization_id == organization_id, Campaign.id == campaign_id
        )
    )


def campaigns_of(organization_id: uuid.UUID) -> list[Campaign]:
    """All campaigns an organization leads: running ones first, then drafts, then ended ones."""
    order = case(
        (Campaign.state == CampaignState.ACTIVE, 0),
        (Campaign.state == CampaignState.DRAFT, 1),
        else_=2,
    )
    return list(
        db.session.scalars(
            select(Campaign)
            .where(Campaign.organization_id == organization_id)
            .order_by(order, Campaign.id.desc())
        )
    )


def public_campaigns() -> list[Campaign]:
    """What the front page shows: running campaigns by their decision, then ended ones."""
    is_over = case((Campaign.state == CampaignState.ACTIVE, 0), else_=1)
    without_date = case((Campaign.decision_on.is_(None), 1), else_=0)
    return list(
        db.session.scalars(
            select(Campaign)
            .where(Campaign.state != CampaignState.DRAFT)
            .order_by(
                is_over, without_date, Campaign.decision_on, Campaign.ended_at.desc(), Campaign.id
            )
        )
    )


def clinics_of(campaign_id: uuid.UUID) -> list[Clinic]:
    """A campaign's clinics in their order, with their district."""
    return list(
        db.session.scalars(
            select(Clinic)
            .options(joinedload(Clinic.district))
            .where(Clinic.campaign_id == campaign_id)
            .order_by(Clinic.position, Clinic.id)
        )
    )


def clinic_of(organization_id: uuid.UUID, clinic_id: uuid.UUID) -> Clinic | None:
    return db.session.scalar(
        select(Clinic).where(Clinic.organization_id == organization_id, Clinic.id == clinic_id)
    )


def status_history(clinic_id: uuid.UUID) -> list[ClinicStatusChange]:
    """A clinic's status changes, the latest first."""
    return list(
        db.session.scalars(
            select(ClinicStatusChange)
            .where(ClinicStatusChange.clinic_id == clinic_id)
            .order_by(ClinicStatusChange.at.desc(), ClinicStatusChange.id.desc())
        )
    )


def milestones_of(campaign_id: uuid.UUID, *, only_public: bool = False) -> list[Milestone]:
    """The timeline, the latest first."""
    found = select(Milestone).where(Milestone.campaign_id == campaign_id)
    if only_public:
        found = found.where(Milestone.is_public)
    return list(db.session.scalars(found.order_by(Milestone.on.desc(), Milestone.id.desc())))


def milestone_of(organization_id: uuid.UUID, milestone_id: uuid.UUID) -> Milestone | None:
    return db.session.scalar(
        select(Milestone).where(
            Milestone.organization_id == organization_id, Milestone.id == milestone_id
        )
    )


def partners_of(campaign_id: uuid.UUID) -> list[Partnership]:
    """Active partnerships in their order, each with its organization and consent wording."""
    return list(
        db.session.scalars(
            select(Partnership)
            .options(joinedload(Partnership.partner))
            .where(
                Partnership.campaign_id == campaign_id,
                Partnership.state == PartnershipState.ACTIVE,
            )
            .order_by(Partnership.position, Partnership.id)
        )
    )


def partnerships_of(campaign_id: uuid.UUID) -> list[Partnership]:
    """All partnerships for the console, those who left at the end."""
    has_left = case((Partnership.state == PartnershipState.LEFT, 1), else_=0)
    return list(
        db.session.scalars(
            select(Partnership)
            .options(joinedload(Partnership.partner))
            .where(Partnership.campaign_id == campaign_id)
            .order_by(has_left, Partnership.position, Partnership.id)
        )
    )


def partnership_of(organization_id: uuid.UUID, partnership_id: uuid.UUID) -> Partnership | None:
    return db.session.scalar(
        select(Partnership)
        .options(joinedload(Partnership.partner))
        .where(Partnership.organization_id == organization_id, Partnership.id == partnership_id)
    )
