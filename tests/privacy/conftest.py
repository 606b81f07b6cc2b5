"""Somebody of whom much is held, in every slice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from campaign import clock
from campaign.db import db, uuid7
from campaign.exports.models import Export, ExportedPerson, ExportState
from campaign.lists.models import List
from campaign.mail.letters import Letter
from campaign.mail.services import queue_email
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.people import services as people
from campaign.people.models import Person
from campaign.people.services import PersonDetails
from campaign.petitions.models import Petition, Signature
from campaign.web.links import PERSON, preferences_url
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.lists import make_list
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_petition, make_signature


@dataclass
class Known:
    """A person with everything that may be held about them."""

    organization: Organization
    partner: Organization
    petition: Petition
    person: Person
    signature: Signature
    list_: List
    export_path: Path

    @property
    def path(self) -> str:
        return path_of(self.person)


def path_of(person: Person) -> str:
    """The path of somebody's own page."""
    return "/me/" + preferences_url(PERSON, person.id).rsplit("/", 1)[1].split("?")[0]


WORDS = (
    "Xiomara",
    "Quetzalcóatl",
    "xq.unique@mail.example",
    "60699",
    "555-0142",
    "2410555",
    "plum orchard",
)


@pytest.fixture
def known(app: Flask, tmp_path: Path) -> Known:
    organization = make_organization(slug="stop-test", name="STOP Test")
    partner = make_organization(slug="nurses-test", name="Nurses Test")
    campaign = make_campaign(organization)
    make_partner(campaign, partner)
    petition = make_petition(campaign)
    person = make_person(
        organization,
        email="XQ.Unique@mail.example",
        first_name="Xiomara",
        last_name="Quetzalcóatl",
        postal_code="60699",
        phone="(312) 555-0142",
    )
    signature = make_signature(
        petition,
        person=person,
        phone="(312) 555-0142",
        comment="I planted the plum orchard behind the clinic.",
        source="plum orchard",
        ip="198.51.100.77",
    )
    make_consent(person, organization, source_detail="plum orchard meeting")
    make_consent(person, partner, campaign_id=campaign.id)
    people.add_tag(person, "VIP")
    people.add_note(person, "Xiomara lives by the plum orchard", author_id=None)
    people.change_person(
        person,
        PersonDetails(
            email="xq.unique@mail.example",
            first_name="Xiomara",
            last_name="Quetzalcóatl",
            postal_code="60699",
            phone="312-555-0142",
        ),
        user_id=None,
    )
    list_ = make_list(organization, [person])
    queue_email(
        person.email or "",
        Letter(
            "Hello {{ first_name|friend }}", "Hi {{ first_name }}", "<p>Hi {{ first_name }}</p>"
        ),
        organization_id=organization.id,
        kind="test",
        values={"first_name": "Xiomara"},
        person_id=person.id,
        sender=sender_of(organization),
    )
    path = tmp_path / "export.csv"
    path.write_text("Xiomara,Quetzalcóatl\n")
    export = Export(
        id=uuid7(),
        organization_id=partner.id,
        lead_id=organization.id,
        reason="vigil",
        state=ExportState.READY,
        path=str(path),
        ready_at=clock.now(),
    )
    db.session.add(export)
    db.session.flush()
    db.session.add(ExportedPerson(export_id=export.id, person_id=person.id))
    db.session.commit()
    return Known(organization, partner, petition, person, signature, list_, path)
