"""Rows of campaigns: a campaign, its clinics, its partners."""

from __future__ import annotations

import itertools
import json
from typing import Any

from campaign import clock
from campaign.campaigns.models import (
    Campaign,
    CampaignState,
    Clinic,
    ClinicStatus,
    Milestone,
    Partnership,
    PartnershipState,
)
from campaign.db import Words, db
from campaign.organizations.models import Organization
from campaign.places import services as places
from tests.factories.organizations import make_organization

_number = itertools.count(1)


def make_campaign(organization: Organization | None = None, **values: Any) -> Campaign:
    """A running campaign of `organization` (or of a new one)."""
    n = next(_number)
    organization = organization or make_organization()
    given: dict[str, Any] = {
        "organization_id": organization.id,
        "slug": f"campaign-{n}",
        "title": Words(en=f"Keep clinic {n} open", es=f"Que siga abierta la clínica {n}"),
        "summary": Words(en="Our clinic must stay."),
        "state": CampaignState.ACTIVE,
        "published_at": clock.now(),
    }
    campaign = Campaign(**(given | values))
    db.session.add(campaign)
    db.session.flush()
    return campaign


def make_partner(
    campaign: Campaign, organization: Organization | None = None, **values: Any
) -> Partnership:
    """`organization` (or a new one) as an active partner with wording in both languages."""
    organization = organization or make_organization()
    given: dict[str, Any] = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "partner_id": organization.id,
        "state": PartnershipState.ACTIVE,
        "wording": Words(
            en=f"{organization.name} may email me.", es=f"{organization.name} puede escribirme."
        ),
    }
    partnership = Partnership(**(given | values))
    db.session.add(partnership)
    db.session.flush()
    return partnership


def make_clinic(campaign: Campaign, **values: Any) -> Clinic:
    """An open clinic of the campaign."""
    n = next(_number)
    given: dict[str, Any] = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "name": f"Clinic {n}",
        "address": f"{n} Main St",
        "postal_code": "60637",
        "status": ClinicStatus.OPEN,
        "position": n,
    }
    clinic = Clinic(**(given | values))
    db.session.add(clinic)
    db.session.flush()
    return clinic


def make_milestone(campaign: Campaign, **values: Any) -> Milestone:
    """Something that was done today."""
    given: dict[str, Any] = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "on": clock.now().date(),
        "title": Words(en="We held a vigil"),
        "result": Words(en="The council heard us"),
    }
    milestone = Milestone(**(given | values))
    db.session.add(milestone)
    db.session.flush()
    return milestone


def make_wards() -> None:
    """Chicago's wards and postal codes as they come with the software."""
    places.load_chicago()


def square(west: float, south: float, size: float = 1.0) -> list[list[float]]:
    """A closed ring around a square."""
    return [
        [west, south],
        [west + size, south],
        [west + size, south + size],
        [west, south + size],
        [west, south],
    ]


def collection(**rings: list[Any]) -> str:
    """A GeoJSON text of districts: code → the coordinates of its Polygon."""
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {
                        "code": code.removeprefix("d"),
                        "name": f"Ward {code}",
                        "ocd_id": f"ocd-division/test:{code}",
                    },
                    "geometry": {"type": "Polygon", "coordinates": coordinates},
                }
                for code, coordinates in rings.items()
            ],
        }
    )
