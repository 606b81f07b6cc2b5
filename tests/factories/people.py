"""People and their consents."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from campaign.db import db
from campaign.organizations.models import Organization
from campaign.people import services
from campaign.people.models import Consent, Person, Purpose

_numbers = itertools.count(1)


def make_person(organization: Organization | uuid.UUID, **details: Any) -> Person:
    """A person of `organization` (or of its id); `email` and the names are new unless given."""
    n = next(_numbers)
    given = {
        "email": f"person{n}@people.example",
        "first_name": f"First{n}",
        "last_name": f"Last{n}",
        "postal_code": "60637",
        "source": "test",
    } | details
    organization_id = organization if isinstance(organization, uuid.UUID) else organization.id
    person = services.get_or_add_person(organization_id, services.PersonDetails(**given))
    db.session.commit()
    return person


def make_consent(
    person: Person,
    grantee: Organization,
    *,
    text: str = "",
    language: str = "en",
    purpose: str = Purpose.EMAIL,
    source: str = "page",
    **details: Any,
) -> Consent:
    """A grant by `person` to `grantee`, in the words of `text`."""
    wording = services.wording_for(
        grantee.id,
        purpose=purpose,
        language=language,
        text=text or f"Yes, {grantee.name} may e-mail me.",
    )
    line = services.grant_consent(
        person,
        grantee_id=grantee.id,
        purpose=purpose,
        wording_id=wording.id,
        source=source,
        **details,
    )
    db.session.commit()
    return line
