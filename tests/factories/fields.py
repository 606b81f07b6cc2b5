"""Fields of an organization's own."""

from __future__ import annotations

from typing import Any

from campaign.db import Words, db
from campaign.fields import services
from campaign.fields.models import CustomField, FieldKind
from campaign.organizations.models import Organization
from campaign.people.models import Person


def make_field(
    organization: Organization, name: str = "Union local", kind: str = "text", **details: Any
) -> CustomField:
    """A field; of a choice the lines are by bus and by car."""
    given: dict[str, Any] = {"hint": Words()} | details
    if kind == FieldKind.CHOICE:
        given.setdefault("choices", [{"en": "By bus", "es": "En autobús"}, {"en": "By car"}])
    made = services.make_field(
        organization.id,
        services.FieldDetails(name=Words(en=name), kind=kind, **given),
        user_id=None,
    )
    db.session.commit()
    return made


def fill(person: Person, field: CustomField, typed: str) -> None:
    """Write a value down, as an organizer does."""
    services.set_values(person, [field], {field.key: typed}, language="en", user_id=None)
    db.session.commit()
