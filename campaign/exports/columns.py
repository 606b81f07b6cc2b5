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

from flask_babel import lazy_gettext as _l

from campaign.people.models import Consent, Person

NAMESPACE = "campaign"
FIELD = "field:"
"""What the column of a custom field begins with: no word that an import takes for something else."""
TAGS_BETWEEN = "; "
UNIT = "\x1f"
"""What stands between tags where they are to be parted again: no tag has it in its name."""


@dataclass(frozen=True, slots=True)
class Known:
    """A person with what belongs beside them in an export."""

    person: Person
    consent: Consent | None = None  # the line in force to whom the export is for
    ward: str = ""
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
OWN_COLUMNS: dict[str, Any] = {
    "email": _l("Email"),
    "first_name": _l("First name"),
    "last_name": _l("Last name"),
    "postal_code": _l("ZIP code"),
    "phone": _l("Phone"),
    "tags": _l("Tags"),
    "language": _l("Language"),
    "source": _l("Source"),
    "ward": _l("Ward"),
    "email_status": _l("Whether email reaches them"),
    "consent_at": _l("Agreed to your email on"),
    "added_at": _l("Added on"),
    "last_action_at": _l("Last did something on"),
    "person_id": _l("Number of the person here"),
}
"""What a file of one's own people may hold: the heading for programs, the words for people."""
USUAL = tuple(name for name in OWN_COLUMNS if name != "last_action_at")
"""The columns of somebody who chose none."""


def _wording(consent: Consent | None) -> str:
    return consent.wording.text if consent is not None and consent.wording is not None else ""


def _version(consent: Consent | None) -> object:
    return consent.wording.version if consent is not None and consent.wording is not None else ""


def header(columns: Sequence[Column]) -> list[str]:
    return [name for name, _value in columns]


def cells(columns: Sequence[Column], known: Known) -> list[object]:
    return [value(known) for _name, value in columns]


def identifier(person_id: uuid.UUID | str) -> str:
    """How other systems name a person of ours."""
    return f"{NAMESPACE}:{person_id}"


def osdi_person(known: Known) -> Mapping[str, Any]:
    """The person as OSDI 1.2 writes one, for a partner."""
    person = known.person
    return osdi(
        {
            "person_id": str(person.id),
            "added_at": instant(person.created_at),
            "modified_at": instant(person.updated_at),
            "email": person.email or "",
            "email_status": known.mail_status,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "postal_code": person.postal_code,
            "language": person.language,
            "ward": known.ward,
        }
    )


def osdi(values: Mapping[str, str]) -> Mapping[str, Any]:
    """A person as OSDI 1.2 writes one, from the values of columns; what is no column is not said."""
    found: dict[str, Any] = {
        "identifiers": [identifier(values["person_id"])],
        "origin_system": "Campaign",
    }
    for name, word in _OSDI.items():
        if name in values:
            found[word] = values[name]
    if "email" in values:
        address = {"address": values["email"], "primary": True}
        if "email_status" in values:
            address["status"] = values["email_status"]
        found["email_addresses"] = [address] if values["email"] else []
    if "postal_code" in values:
        code = values["postal_code"]
        found["postal_addresses"] = [{"primary": True, "postal_code": code}] if code else []
    if "language" in values:
        found["languages_spoken"] = [values["language"]]
    if "phone" in values:
        phone = values["phone"]
        found["phone_numbers"] = [{"number": phone, "primary": True}] if phone else []
    found["custom_fields"] = {
        name.removeprefix(FIELD): value
        for name, value in values.items()
        if value and (name in {"ward", "source", "consent_at", "last_action_at"} or FIELD in name)
    }
    if "tags" in values:
        found["tags"] = values["tags"].split(UNIT) if values["tags"] else []
    return found


_OSDI = {
    "added_at": "created_date",
    "modified_at": "modified_date",
    "first_name": "given_name",
    "last_name": "family_name",
}
