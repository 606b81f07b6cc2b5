"""Changing campaigns, clinics, milestones and partnerships."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from campaign import clock
from campaign.accounts.models import User
from campaign.campaigns import queries
from campaign.campaigns.models import (
    SLUG,
    Campaign,
    CampaignState,
    Clinic,
    ClinicStatus,
    ClinicStatusChange,
    Milestone,
    Partnership,
    PartnershipState,
    first_free_slug,
    slug_from,
)
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.organizations.models import Organization, Role
from campaign.organizations.services import Profile, create_organization, invite, record
from campaign.places import queries as places

Ordered = TypeVar("Ordered", Clinic, Partnership)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDetails:
    """What somebody wrote about a campaign. An empty `slug` asks for a suggestion."""

    title: Words
    slug: str = ""
    summary: Words = field(default_factory=Words)
    story: Words = field(default_factory=Words)
    decision_on: date | None = None
    decision_label: Words = field(default_factory=Words)
    goal: int | None = None
    crisis_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicDetails:
    """A clinic without its status. `district_id` None: the postal code decides."""

    name: str
    address: str = ""
    postal_code: str = ""
    district_id: uuid.UUID | None = None
    people_served: int | None = None
    services: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDetails:
    """A clinic's status since, or on, a day."""

    status: ClinicStatus
    on: date | None = None
    note: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True, kw_only=True)
class MilestoneDetails:
    """A line of the timeline: what we did (`title`), what changed (`result`)."""

    on: date
    title: Words
    result: Words = field(default_factory=Words)
    is_public: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerDetails:
    """What the consent box of a partner says, and who they are."""

    wording: Words
    about: Words = field(default_factory=Words)


# Campaigns


def create_campaign(
    organization_id: uuid.UUID, details: CampaignDetails, *, user_id: uuid.UUID | None = None
) -> Campaign:
    """A new draft. Raises Invalid at `slug` when its address is taken or not an address."""
    slug = details.slug or first_free_slug(slug_from(_any(details.title)), _slug_is_taken)
    campaign = Campaign(organization_id=organization_id, slug=_checked_slug(slug))
    _take_over(campaign, details)
    campaign.state = CampaignState.DRAFT
    _add_with_slug(campaign)
    record(
        "campaign.created",
        organization_id=organization_id,
        user_id=user_id,
        subject_kind="campaign",
        subject_id=campaign.id,
    )
    return campaign


def edit_campaign(campaign: Campaign, details: CampaignDetails) -> Campaign:
    """Take over what was written. The address of a published campaign stays: links point at it.

    Raises Invalid at `slug` when the new address is taken.
    """
    _take_over(campaign, details)
    if details.slug and details.slug != campaign.slug and campaign.published_at is None:
        before, campaign.slug = campaign.slug, _checked_slug(details.slug)
        with db.session.no_autoflush:
            taken = _slug_is_taken(details.slug, but=campaign.id)
        if taken:
            campaign.slug = before
            raise _taken(details.slug)
    db.session.flush()
    return campaign


def _take_over(campaign: Campaign, details: CampaignDetails) -> None:
    campaign.title = details.title
    campaign.summary = details.summary
    campaign.story = details.story
    campaign.decision_on = details.decision_on
    campaign.decision_label = details.decision_label
    campaign.goal = details.goal
    campaign.crisis_line = details.crisis_line


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug) or len(slug) > 80:
        raise Invalid(
            _l("Use small letters, digits and hyphens, like keep-woodlawn."), field="slug"
        )
    return slug


def _slug_is_taken(slug: str, but: uuid.UUID | None = None) -> bool:
    found = select(Campaign.id).where(Campaign.slug == slug)
    if but is not None:
        found = found.where(Campaign.id != but)
    return db.session.scalar(found) is not None


def _taken(slug: str) -> Invalid:
    return Invalid(
        _l(
            "Another campaign has this address already. %(free)s is free.",
            free=first_free_slug(slug, _slug_is_taken),
        ),
        field="slug",
    )


def _add_with_slug(campaign: Campaign) -> None:
    """Two people may choose one address at the same moment: the constraint decides."""
    if _slug_is_taken(campaign.slug):
        raise _taken(campaign.slug)
    try:
        with db.session.begin_nested():
            db.session.add(campaign)
    except IntegrityError as error:
        raise _taken(campaign.slug) from error


def publish_campaign(campaign: Campaign, *, user_id: uuid.UUID | None = None) -> None:
    """Draft → everybody can read it. Raises Conflict when it is public already."""
    campaign.publish(clock.now())
    _record("campaign.published", campaign, user_id)


def withdraw_campaign(campaign: Campaign, *, user_id: uuid.UUID | None = None) -> None:
    """Back to a draft nobody sees. Its petitions stay as they are. Raises Conflict."""
    campaign.withdraw()
    _record("campaign.withdrawn", campaign, user_id)


def end_campaign(
    campaign: Campaign, outcome: CampaignState, *, user_id: uuid.UUID | None = None
) -> None:
    """Running → won, lost or ended. Raises Conflict when it is not running."""
    campaign.end(outcome, clock.now())
    _record("campaign.ended", campaign, user_id, outcome=outcome.value)


def reopen_campaign(campaign: Campaign, *, user_id: uuid.UUID | None = None) -> None:
    """An ended campaign runs again. Raises Conflict when it never ended."""
    campaign.reopen()
    _record("campaign.reopened", campaign, user_id)


def _record(
    action: str, campaign: Campaign, user_id: uuid.UUID | None, **details: str | int
) -> None:
    record(
        action,
        organization_id=campaign.organization_id,
        user_id=user_id,
        subject_kind="campaign",
        subject_id=campaign.id,
        details=details,
    )


# Clinics


def add_clinic(
    campaign: Campaign,
    details: ClinicDetails,
    status: StatusDetails | None = None,
    *,
    user_id: uuid.UUID | None = None,
) -> Clinic:
    """A clinic at the end of the list, with the first line of its status history."""
    last = db.session.scalar(
        select(func.max(Clinic.position)).where(Clinic.campaign_id == campaign.id)
    )
    clinic = Clinic(
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        position=0 if last is None else last + 1,
    )
    edit_clinic(clinic, details)
    db.session.add(clinic)
    db.session.flush()
    change_clinic_status(clinic, status or StatusDetails(status=ClinicStatus.OPEN), user_id=user_id)
    return clinic


def edit_clinic(clinic: Clinic, details: ClinicDetails) -> Clinic:
    """Take over what was written. Without a ward named, the postal code's largest share counts."""
    clinic.name = details.name
    clinic.address = details.address
    clinic.postal_code = places.normalize_postal_code(details.postal_code)
    clinic.people_served = details.people_served
    clinic.services = details.services
    clinic.district_id = details.district_id or places.district_for(details.postal_code)[0]
    return clinic


def change_clinic_status(
    clinic: Clinic, details: StatusDetails, *, user_id: uuid.UUID | None = None
) -> ClinicStatusChange:
    """Write a line of history and copy it to the clinic as its present status."""
    change = ClinicStatusChange(
        organization_id=clinic.organization_id,
        clinic_id=clinic.id,
        status=details.status,
        status_on=details.on,
        note=details.note,
        user_id=user_id,
        at=clock.now(),
    )
    db.session.add(change)
    clinic.status, clinic.status_on = details.status, details.on
    clinic.status_note = details.note
    db.session.flush()
    return change


def remove_clinic(clinic: Clinic) -> None:
    """Take away a clinic that was added by mistake.

    Raises Conflict when something hangs off it, for example a petition; then it stays.
    """
    try:
        with db.session.begin_nested():
            db.session.delete(clinic)
    except IntegrityError as error:
        raise Conflict(_l("A petition is about this clinic, so it has to stay.")) from error


# The timeline


def add_milestone(campaign: Campaign, details: MilestoneDetails) -> Milestone:
    milestone = Milestone(organization_id=campaign.organization_id, campaign_id=campaign.id)
    edit_milestone(milestone, details)
    db.session.add(milestone)
    db.session.flush()
    return milestone


def edit_milestone(milestone: Milestone, details: MilestoneDetails) -> Milestone:
    milestone.on = details.on
    milestone.title, milestone.result = details.title, details.result
    milestone.is_public = details.is_public
    return milestone


def remove_milestone(milestone: Milestone) -> None:
    """Take a line off the timeline for good."""
    db.session.delete(milestone)


# Partners


def find_partner(named: str) -> Organization:
    """The one organization whose slug or whole name is `named`, whatever the capitals.

    Never a list: one organization's members do not learn who else is here by typing letters.
    Raises Invalid at `partner` when there is none, or more than one of that name.
    """
    wanted = named.strip().lower()
    by_slug = db.session.scalar(select(Organization).where(Organization.slug == wanted))
    if by_slug is not None:
        return by_slug
    rows = select(Organization).where(func.lower(Organization.name) == wanted).limit(2)
    by_name = list(db.session.scalars(rows))
    if len(by_name) != 1:
        raise Invalid(
            _l("We know no organization of that name. Check it, or add a new one."),
            field="partner",
        )
    return by_name[0]


def create_partner_organization(
    name: str,
    *,
    website: str = "",
    contact: str = "",
    user_id: uuid.UUID | None = None,
) -> Organization:
    """A new organization for a partner that is not here yet.

    Its `contact` gets an invitation by e-mail, as somebody who sees what is shared with that
    organization and nothing else; whoever of the lead adds the partner is never a member of it.
    """
    base = slug_from(name, fallback="partner")
    taken = set(
        db.session.scalars(select(Organization.slug).where(Organization.slug.startswith(base)))
    )
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    organization = create_organization(slug, Profile(name=name, website=website))
    if contact and user_id is not None:
        invite(organization, contact, Role.PARTNER, by=db.session.get_one(User, user_id))
    return organization


def add_partner(
    campaign: Campaign,
    partner: Organization,
    details: PartnerDetails,
    *,
    user_id: uuid.UUID | None = None,
) -> Partnership:
    """Make `partner` part of the campaign; one that had left comes back with the new words.

    Raises Conflict when it is the lead itself or is in already.
    """
    if partner.id == campaign.organization_id:
        raise Conflict(
            _l("You lead this campaign. A partner is another organization."), field="partner"
        )
    rows = queries.partnerships_of(campaign.id)
    found = next((row for row in rows if row.partner_id == partner.id), None)
    if found is not None and found.is_active:
        raise Conflict(_l("This organization is a partner already."), field="partner")
    if found is None:
        found = Partnership(
            organization_id=campaign.organization_id,
            campaign_id=campaign.id,
            partner_id=partner.id,
        )
        db.session.add(found)
    found.position = max((row.position for row in rows), default=-1) + 1
    found.state = PartnershipState.ACTIVE
    edit_partner(found, details)
    db.session.flush()
    _record("partner.added", campaign, user_id, partner=str(partner.id))
    return found


def edit_partner(partnership: Partnership, details: PartnerDetails) -> Partnership:
    """Change the words of the box. Who agreed to the old ones keeps them in the ledger."""
    partnership.wording, partnership.about = details.wording, details.about
    return partnership


def end_partnership(partnership: Partnership, *, user_id: uuid.UUID | None = None) -> None:
    """The partner leaves: its box is shown no more, consents already given stay theirs.

    Raises Conflict when it has left already.
    """
    if partnership.state == PartnershipState.LEFT:
        raise Conflict
    partnership.state = PartnershipState.LEFT
    _record("partner.left", partnership.campaign, user_id, partner=str(partnership.partner_id))


def resume_partnership(partnership: Partnership, *, user_id: uuid.UUID | None = None) -> None:
    """A partner that had left is back. Raises Conflict when it is in."""
    if partnership.is_active:
        raise Conflict
    partnership.state = PartnershipState.ACTIVE
    _record("partner.added", partnership.campaign, user_id, partner=str(partnership.partner_id))


# Order


def move_clinic(clinic: Clinic, step: int) -> None:
    """One place up (-1) or down (1) in the list; at its end nothing happens."""
    _move(queries.clinics_of(clinic.campaign_id), clinic, step)


def move_partner(partnership: Partnership, step: int) -> None:
    """One place up (-1) or down (1) among the active partners."""
    _move(queries.partners_of(partnership.campaign_id), partnership, step)


def _move(rows: Sequence[Ordered], row: Ordered, step: int) -> None:
    ordered = list(rows)
    place = ordered.index(row)
    other = place + (1 if step > 0 else -1)
    if 0 <= other < len(ordered):
        ordered[place], ordered[other] = ordered[other], ordered[place]
    for position, each in enumerate(ordered):
        each.position = position


def _any(words: Words) -> str:
    return words.get_for("en")
