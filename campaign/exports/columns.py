"""What an export holds of a person: columns by allow-list, and the OSDI form.

A partner gets what the person agreed to share and the consent itself, word for word: nothing of
the lead's own (tags, notes, source, other consents, how to phone somebody who agreed to e-mail).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaign.people.models import Consent, Person

NAMESPACE = "campaign"


@dataclass(frozen=True, slots=True)
class Known:
    """A person with what belongs beside them in an export."""

    person: Person
    consent: Consent | None = None  # the line in force to whom the export is for
    ward: str = ""
    tags: Sequence[str] = ()
    mail_status: str = ""  # OSDI: subscribed, unsubscribed, bouncing, spam complaint


def instant(value: datetime | None) -> str:
    """An instant as ISO 8601 in UTC, to the second."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value is not None else ""


Column = tuple[str, Callable[[Known], object]]
_IDENTITY: tuple[Column, ...] = (
    ("email", lambda known: known.person.email),
    ("first_name", lambda known: known.person.first_name),
    ("last_name", lambda known: known.person.last_name),
    ("postal_code", lambda known: known.person.postal_code),
)
PARTNER_COLUMNS: tuple[Column, ...] = (
    *_IDENTITY,
    ("ward", lambda known: known.ward),
    ("language", lambda known: known.person.language),
    ("consent_at", lambda known: instant(known.consent.at) if known.consent else ""),
    ("consent_page", lambda known: known.consent.source if known.consent else ""),
    ("consent_wording", lambda known: _wording(known.consent)),
    ("consent_wording_version", lambda known: _version(known.consent)),
    ("person_id", lambda known: known.person.id),
)
OWN_COLUMNS: tuple[Column, ...] = (
    *_IDENTITY,
    ("phone", lambda known: known.person.phone),
    ("tags", lambda known: "; ".join(known.tags)),
    ("language", lambda known: known.person.language),
    ("source", lambda known: known.person.source),
    ("ward", lambda known: known.ward),
    ("email_status", lambda known: known.mail_status),
    ("consent_at", lambda known: instant(known.consent.at) if known.consent else ""),
    ("added_at", lambda known: instant(known.person.created_at)),
    ("person_id", lambda known: known.person.id),
)


def _wording(consent: Consent | None) -> str:
    return consent.wording.text if consent is not None and consent.wording is not None else ""


def _version(consent: Consent | None) -> object:
    return consent.wording.version if consent is not None and consent.wording is not None else ""


def header(columns: Sequence[Column]) -> list[str]:
    return [name for name, _value in columns]


def cells(columns: Sequence[Column], known: Known) -> list[object]:
    return [value(known) for _name, value in columns]


def identifier(person_id: uuid.UUID) -> str:
    """How other systems name a person of ours."""
    return f"{NAMESPACE}:{person_id}"


def osdi_person(known: Known, *, is_own: bool) -> Mapping[str, Any]:
    """The person as OSDI 1.2 writes one; `is_own` adds what only their organization may have."""
    person = known.person
    found: dict[str, Any] = {
        "identifiers": [identifier(person.id)],
        "origin_system": "Campaign",
        "created_date": instant(person.created_at),
        "modified_date": instant(person.updated_at),
        "given_name": person.first_name,
        "family_name": person.last_name,
        "email_addresses": (
            [{"address": person.email, "primary": True, "status": known.mail_status}]
            if person.email
            else []
        ),
        "postal_addresses": (
            [{"primary": True, "postal_code": person.postal_code}] if person.postal_code else []
        ),
        "languages_spoken": [person.language],
        "custom_fields": {"ward": known.ward} if known.ward else {},
    }
    if is_own:
        found["phone_numbers"] = [{"number": person.phone, "primary": True}] if person.phone else []
        found["custom_fields"] |= {"source": person.source}
        found["tags"] = list(known.tags)
    return found
