"""Synthetic data at scale, to measure and to try with: people, consents, signatures, events.

The same numbers and the same seed make the same people, so running it again adds nobody. All of
it belongs to one organization; addresses are at domains that RFC 2606 reserves.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import bindparam, select, update

from campaign import clock
from campaign.campaigns import services as campaigns
from campaign.campaigns.models import Campaign
from campaign.campaigns.services import CampaignDetails
from campaign.db import Words, db, insert
from campaign.operations.invented import Somebody, key_at, somebody
from campaign.operations.seed_events import seed_events
from campaign.organizations import queries as organizations_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.organizations.services import Profile
from campaign.people import services as people
from campaign.people.models import Consent, Person, Purpose
from campaign.people.services import PersonDetails, Verdict
from campaign.petitions import rules
from campaign.petitions.models import Petition, Signature, SignatureDelta, SignatureState
from campaign.places import queries as places
from campaign.places import services as places_services
from campaign.places.models import PostalCodeShare
from campaign.tokens import random_token

BATCH = 2000
SLUG = "seed"
SPREAD = timedelta(days=365)
CONSENTING = 0.8
ELSEWHERE = ("60302", "60304", "60402", "60805")
SOURCES = ("", "whatsapp", "facebook", "flyer", "qr", "radio")

_PEOPLE = Person.__table__
_DATE = (
    update(_PEOPLE)  # type: ignore[arg-type]  # a declared class has a Table here
    .where(_PEOPLE.c.id == bindparam("person_id"))
    .values(created_at=bindparam("moment"), updated_at=bindparam("moment"))
)


def seed(
    people_count: int,
    signature_count: int,
    event_count: int = 0,
    *,
    seed_number: int,
    slug: str = SLUG,
) -> Iterator[int]:
    """Make the data batch by batch; yields how many rows of work each batch was.

    The caller commits after each, so that a broken run goes on where it was when it is repeated.
    Every person signs each petition at most once: as many petitions are made as that takes.
    """
    if not places.districts():
        places_services.load_chicago()
    codes = _postal_codes()
    organization = _organization(slug)
    petitions = _petitions(organization, people_count, signature_count)
    yield 0
    for start in range(0, people_count, BATCH):
        numbers = range(start, min(start + BATCH, people_count))
        random = Random(f"{seed_number}:{start}")  # noqa: S311 - synthetic on purpose
        keys = Random()  # noqa: S311 - ids need only differ
        crowd = [somebody(n, random, postal_codes=codes) for n in numbers]
        moments = [clock.now() - SPREAD * random.random() for _ in crowd]
        person_ids = _add_people(organization, crowd, moments, random, keys)
        signers = list(zip(crowd, person_ids, moments, strict=True))
        yield len(crowd)
        for place, petition in enumerate(petitions):
            quota = min(max(signature_count - place * people_count - start, 0), len(crowd))
            if quota:
                _sign(petition, signers[:quota], random, keys)
                yield quota
    if event_count:
        yield from seed_events(_campaign(organization), event_count, seed_number=seed_number)


def _postal_codes() -> dict[str, int]:
    """Postal codes with equal weights; a few of them outside the map."""
    known = db.session.scalars(
        select(PostalCodeShare.postal_code).distinct().order_by(PostalCodeShare.postal_code)
    )
    return dict.fromkeys(known, 10) | dict.fromkeys(ELSEWHERE, 2)


def _organization(slug: str) -> Organization:
    return organizations_queries.organization_by_slug(slug) or organizations.create_organization(
        slug,
        Profile(
            name="Synthetic data",
            postal_address="1 Example Street, Chicago, IL 60601",
            sender_email="hello@seed.example",
        ),
    )


def _petitions(organization: Organization, people_count: int, count: int) -> list[Petition]:
    """The petitions that so many signatures take: one for every time the crowd signs."""
    wanted = -(-count // people_count) if people_count else 0
    slugs = [f"{organization.slug}-petition-{place + 1}" for place in range(wanted)]
    found = {
        petition.slug: petition
        for petition in db.session.scalars(select(Petition).where(Petition.slug.in_(slugs)))
    }
    campaign = _campaign(organization) if wanted else None
    for slug in slugs:
        if slug not in found and campaign is not None:
            found[slug] = _petition(campaign, slug)
    db.session.flush()
    return [found[slug] for slug in slugs]


def _campaign(organization: Organization) -> Campaign:
    slug = f"{organization.slug}-campaign"
    found = db.session.scalar(select(Campaign).where(Campaign.slug == slug))
    if found is None:
        found = campaigns.create_campaign(
            organization.id,
            CampaignDetails(
                slug=slug,
                title=Words(en="A synthetic campaign", es="Una campaña sintética"),
                summary=Words(
                    en="Made by a program, to try and to measure.",
                    es="Hecha por un programa, para probar y medir.",
                ),
            ),
        )
        campaigns.publish_campaign(found)
    return found


def _petition(campaign: Campaign, slug: str) -> Petition:
    petition = Petition(
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        slug=slug,
        title=Words(en="A synthetic petition", es="Una petición sintética"),
        goal=1000,
    )
    petition.publish(clock.now() - SPREAD)
    db.session.add(petition)
    return petition


def _add_people(
    organization: Organization,
    crowd: Sequence[Somebody],
    moments: Sequence[datetime],
    random: Random,
    keys: Random,
) -> list[uuid.UUID]:
    """The ids of the people, in their order; new ones get their date and most of them consent."""
    rows = []
    for who in crowd:
        district_id, share = places.district_for(who.postal_code)
        rows.append(
            PersonDetails(
                email=who.email,
                first_name=who.first_name,
                last_name=who.last_name,
                postal_code=who.postal_code,
                language=who.language,
                source=random.choice(SOURCES),
                district_id=district_id,
                district_share=share,
            )
        )
    merged = people.merge_people(organization.id, rows)
    wording = people.wording_for(
        organization.id, language="en", text=f"{organization.name} may email me."
    )
    dates, consents = [], []
    for found, moment in zip(merged, moments, strict=True):
        says_yes = random.random() < CONSENTING
        if found.verdict is not Verdict.ADDED:
            continue
        dates.append({"person_id": found.person_id, "moment": moment})
        if says_yes:
            consents.append(
                {
                    "id": key_at(moment, keys),
                    "organization_id": organization.id,
                    "person_id": found.person_id,
                    "grantee_id": organization.id,
                    "purpose": Purpose.EMAIL,
                    "is_granted": True,
                    "wording_id": wording.id,
                    "source": "import",
                    "source_detail": "synthetic data",
                    "at": moment,
                }
            )
    if dates:
        db.session.execute(_DATE, dates)
    if consents:
        db.session.execute(insert(Consent.__table__), consents)
    return [found.person_id for found in merged]


def _sign(
    petition: Petition,
    signers: Sequence[tuple[Somebody, uuid.UUID, datetime]],
    random: Random,
    keys: Random,
) -> None:
    """Confirmed signatures with their count; who has signed already is passed over."""
    rows: list[dict[str, Any]] = []
    for who, person_id, moment in signers:
        district_id, share = places.district_for(who.postal_code)
        rows.append(
            {
                "id": key_at(moment, keys),
                "organization_id": petition.organization_id,
                "petition_id": petition.id,
                "person_id": person_id,
                "state": SignatureState.CONFIRMED,
                "address_hash": rules.signer_hash(
                    who.email, who.first_name, who.last_name, who.postal_code
                ),
                "slot": 1,
                "email": who.email,
                "first_name": who.first_name,
                "last_name": who.last_name,
                "postal_code": who.postal_code,
                "district_id": district_id,
                "district_share": share,
                "language": who.language,
                "source": random.choice(SOURCES),
                "referral_code": random_token(12),
                "created_at": moment,
                "confirmed_at": moment,
            }
        )
    added = set(
        db.session.scalars(
            insert(Signature.__table__).on_conflict_do_nothing().returning(Signature.id), rows
        )
    )
    deltas = [
        {
            "id": key_at(row["created_at"], keys),
            "petition_id": petition.id,
            "district_key": row["district_id"].hex if row["district_id"] else "",
            "kind": SignatureState.CONFIRMED,
            "amount": 1,
            "created_at": row["created_at"],
        }
        for row in rows
        if row["id"] in added
    ]
    if deltas:
        db.session.execute(insert(SignatureDelta.__table__), deltas)
