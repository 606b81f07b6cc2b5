"""What the front page and a campaign's page show."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import SLUG, Campaign, Clinic, Milestone, Partnership
from campaign.db import db
from campaign.errors import NotFound
from campaign.events import agenda
from campaign.events.agenda import CalendarDate, Wish
from campaign.organizations.models import Organization
from campaign.petitions import queries as petitions
from campaign.petitions.models import Petition, PetitionState
from campaign.petitions.queries import Counts
from campaign.petitions.rules import goal_for
from campaign.places import queries as places
from campaign.places.queries import Shape

NEXT_DATES = 4


@dataclass(frozen=True, slots=True)
class Action:
    """A petition as something to do, with its count."""

    petition: Petition
    counts: Counts
    is_open: bool

    @property
    def goal(self) -> int:
        """The next stop: the goal grows as it is reached."""
        return goal_for(self.counts.confirmed, self.petition.goal)


@dataclass(frozen=True, slots=True)
class Card:
    """A campaign on the front page. `signed` counts confirmed signatures of all its petitions."""

    campaign: Campaign
    organization: Organization
    actions: tuple[Action, ...]
    signed: int
    goal: int | None
    days_left: int | None


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """All of a campaign's page."""

    card: Card
    clinics: Sequence[Clinic]
    milestones: Sequence[Milestone]
    partners: Sequence[Partnership]
    shapes: Sequence[Shape]
    dates: Sequence[CalendarDate]

    @property
    def district_count(self) -> int:
        """How many districts have signers."""
        return sum(1 for shape in self.shapes if shape.value)


def public_campaign(slug: str) -> Campaign:
    """The campaign everybody may read. Raises NotFound for drafts as for unknown ones."""
    campaign = campaigns.campaign_by_slug(slug) if SLUG.fullmatch(slug) else None
    if campaign is None or not campaign.is_public:
        raise NotFound
    return campaign


def cards(rows: Sequence[Campaign] | None = None) -> list[Card]:
    """The campaigns of the front page in five statements, however many there are."""
    found = campaigns.public_campaigns() if rows is None else list(rows)
    organizations = {
        organization.id: organization
        for organization in db.session.scalars(
            select(Organization).where(
                Organization.id.in_({campaign.organization_id for campaign in found})
            )
        )
    }
    actions = _actions([campaign.id for campaign in found])
    return [
        _card(campaign, organizations[campaign.organization_id], actions.get(campaign.id, []))
        for campaign in found
    ]


def _card(campaign: Campaign, organization: Organization, actions: list[Action]) -> Card:
    signed = sum(action.counts.confirmed for action in actions)
    goal = campaign.goal or (actions[0].petition.goal if len(actions) == 1 else 0)
    return Card(
        campaign=campaign,
        organization=organization,
        actions=tuple(actions),
        signed=signed,
        goal=goal_for(signed, goal) if goal else None,
        days_left=_days_until(campaign.decision_on, organization.time_zone, clock.now()),
    )


def _days_until(day: date | None, zone: str, now: datetime) -> int | None:
    return None if day is None else (day - now.astimezone(clock.zone(zone)).date()).days


def _actions(campaign_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Action]]:
    """Petitions that were ever public, by campaign: those that can be signed now come first."""
    rows = list(
        db.session.scalars(
            select(Petition)
            .where(Petition.campaign_id.in_(campaign_ids), Petition.state != PetitionState.DRAFT)
            .order_by(Petition.published_at.desc(), Petition.id.desc())
        )
    )
    counts = petitions.counts([petition.id for petition in rows])
    now = clock.now()
    found: dict[uuid.UUID, list[Action]] = {}
    for petition in sorted(rows, key=lambda petition: not petition.is_open(now)):
        action = Action(petition, counts.get(petition.id, Counts()), petition.is_open(now))
        found.setdefault(petition.campaign_id, []).append(action)
    return found


def next_dates(campaign: str = "") -> list[CalendarDate]:
    """The next few dates that take place, of a campaign or of all."""
    wish = Wish(campaign=campaign)
    return agenda.upcoming(wish, clock.now(), limit=NEXT_DATES, with_cancelled=False)


def campaign_page(campaign: Campaign, language: str) -> CampaignPage:
    """What a campaign's page shows, in the order of the page."""
    card = cards([campaign])[0]
    by_district: dict[uuid.UUID, int] = {}
    for action in card.actions:
        for district_id, amount in petitions.counts_by_district(action.petition.id).items():
            if district_id is not None:
                by_district[district_id] = by_district.get(district_id, 0) + amount
    return CampaignPage(
        card=card,
        clinics=campaigns.clinics_of(campaign.id),
        milestones=campaigns.milestones_of(campaign.id, only_public=True),
        partners=campaigns.partners_of(campaign.id),
        shapes=places.map_shapes(by_district, language=language) if by_district else [],
        dates=next_dates(campaign.slug),
    )
