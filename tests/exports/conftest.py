"""A lead with a campaign, two partners in it, and people who said yes to one, both or none."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from flask import Flask

from campaign.campaigns.models import Campaign
from campaign.db import db
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Person
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person


@dataclass
class Coalition:
    lead: Organization
    nurses: Organization
    union: Organization
    campaign: Campaign
    ann: Person  # agreed to the nurses
    bo: Person  # agreed to both
    cy: Person  # agreed to the union
    di: Person  # agreed to the nurses and withdrew
    ed: Person  # agreed to nobody


@pytest.fixture
def coalition(app: Flask) -> Coalition:
    lead = make_organization(slug="stop", name="Stop")
    nurses = make_organization(slug="nurses", name="Nurses")
    union = make_organization(slug="union", name="Union")
    campaign = make_campaign(lead)
    make_partner(campaign, nurses)
    make_partner(campaign, union)
    ann, bo, cy, di, ed = (
        make_person(lead, email=f"{name}@example.org", first_name=name.title(), last_name="Lee")
        for name in ("ann", "bo", "cy", "di", "ed")
    )
    for person, grantee in ((ann, nurses), (bo, nurses), (bo, union), (cy, union), (di, nurses)):
        make_consent(person, grantee, campaign_id=campaign.id)
    people.withdraw_consent(di, grantee_id=nurses.id, source="preferences")
    db.session.commit()
    return Coalition(lead, nurses, union, campaign, ann, bo, cy, di, ed)
