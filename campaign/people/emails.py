"""What a person is written by the team on request: the link to what we hold about them."""

from __future__ import annotations

import uuid

from flask_babel import force_locale
from flask_babel import gettext as _

from campaign.db import db
from campaign.mail.letters import merge_tag, render_letter
from campaign.mail.services import queue_email
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.people.models import Person
from campaign.web.links import PERSON, preferences_url


def send_preferences_link(person: Person) -> uuid.UUID | None:
    """Queue the link to a person's own page; None when mail to the address bounces.

    The subject says nothing about what the organization works for: a lock screen shows it.
    """
    organization = db.session.get_one(Organization, person.organization_id)
    with force_locale(person.language):
        why = _("You get this because your own page was asked for at this address.")
    letter = render_letter(
        "people/preferences",
        person.language,
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=organization.crisis_line,
        why=why,
        url=merge_tag("preferences_url"),
    )
    return queue_email(
        person.email or "",
        letter,
        organization_id=organization.id,
        kind="preferences",
        values={"preferences_url": preferences_url(PERSON, person.id, person.language)},
        person_id=person.id,
        sender=sender_of(organization),
    )
