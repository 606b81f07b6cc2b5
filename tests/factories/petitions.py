"""Rows of petitions: a petition open for signing, signatures in any state with their count."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import Words, db
from campaign.people import services as people
from campaign.people.services import PersonDetails
from campaign.petitions import rules
from campaign.petitions.models import (
    Display,
    Petition,
    PetitionState,
    Signature,
    SignatureDelta,
    SignatureState,
)
from campaign.places import queries as places
from campaign.tokens import random_token
from tests.factories.campaigns import make_campaign

_number = itertools.count(1)


def make_petition(campaign: Campaign | None = None, **values: Any) -> Petition:
    """A published petition of `campaign` (or of a new one)."""
    n = next(_number)
    campaign = campaign or make_campaign()
    given: dict[str, Any] = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "slug": f"petition-{n}",
        "title": Words(en=f"Keep place {n} open", es=f"Que siga abierto el lugar {n}"),
        "summary": Words(en="The city plans to close it. We can stop that."),
        "text": Words(en="## Why\n\nPeople come here every day."),
        "state": PetitionState.PUBLISHED,
        "published_at": clock.now(),
    }
    petition = Petition(**(given | values))
    db.session.add(petition)
    db.session.flush()
    return petition


def make_signature(
    petition: Petition | None = None, state: str = SignatureState.CONFIRMED, **values: Any
) -> Signature:
    """A signature in `state`: a confirmed one has its person, a counted one its delta.

    `person` may name an existing Person; `email=None` makes one without an address.
    """
    n = next(_number)
    petition = petition or make_petition()
    person = values.pop("person", None)
    now = values.get("created_at") or clock.now()
    given: dict[str, Any] = {
        "organization_id": petition.organization_id,
        "petition_id": petition.id,
        "state": state,
        "email": None if state == SignatureState.UNVERIFIED else f"signer-{n}@example.org",
        "first_name": f"First{n}",
        "last_name": f"Last{n}",
        "postal_code": "60637",
        "display": Display.HIDDEN,
        "referral_code": random_token(9),
        "created_at": now,
        "expires_at": now + timedelta(days=7) if state == SignatureState.PENDING else None,
        "confirmed_at": now if state == SignatureState.CONFIRMED else None,
    } | values
    if person is not None:
        given |= {"email": person.email, "first_name": person.first_name}
        given |= {"last_name": person.last_name, "postal_code": person.postal_code}
    district_id, share = places.district_for(given["postal_code"])
    given.setdefault("district_id", district_id)
    given.setdefault("district_share", share)
    given.setdefault(
        "address_hash",
        rules.signer_hash(
            given["email"] or "", given["first_name"], given["last_name"], given["postal_code"]
        ),
    )
    if state == SignatureState.CONFIRMED and person is None:
        person = people.get_or_add_person(
            petition.organization_id,
            PersonDetails(
                email=given["email"] or "",
                first_name=given["first_name"],
                last_name=given["last_name"],
                postal_code=given["postal_code"],
                district_id=given["district_id"],
                district_share=given["district_share"],
            ),
        )
    signature = Signature(**given, person_id=person.id if person is not None else None)
    db.session.add(signature)
    if state in {SignatureState.CONFIRMED, SignatureState.UNVERIFIED}:
        district_id = given["district_id"]
        db.session.add(
            SignatureDelta(
                petition_id=petition.id,
                district_key=district_id.hex if district_id else "",
                kind=state,
                amount=1,
                created_at=now,
            )
        )
    db.session.flush()
    return signature
