"""One person's page in the console, with the history from every slice."""

from __future__ import annotations

import uuid

from flask import Blueprint, render_template

from campaign.console.history import history_of
from campaign.events.words import ANSWER_NAMES
from campaign.fields import queries as fields
from campaign.fields.rules import shown
from campaign.ladders import queries as ladders
from campaign.lists.queries import lists_with
from campaign.mail.queries import suppressions_of
from campaign.organizations.models import Permission
from campaign.people import queries as people
from campaign.petitions.queries import signatures_of
from campaign.places.queries import district_names
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language

blueprint = Blueprint("person", __name__)


@blueprint.get("/organize/people/<uuid:person_id>")
@allow(Permission.PEOPLE_VIEW)
def show(person_id: uuid.UUID) -> str:
    """Who this is, what is in force, and everything that happened."""
    person = people.find_person(actor().organization_id, person_id)
    hashed = person.address_hash
    own_fields = fields.fields_of(person.organization_id, with_sensitive=True)
    values = fields.values_of(person.id)
    return render_template(
        "person/show.html",
        person=person,
        consents=people.consents_in_force(person.id),
        suppressions=suppressions_of(hashed) if hashed else [],
        signatures=signatures_of(person.id),
        tags=people.tags_of(person.id),
        known_tags=people.tags_in(actor().organization_id),
        lists=lists_with(person.id),
        ladders=ladders.runs_of(person.id) if actor().can(Permission.MAILINGS_VIEW) else [],
        fields=[
            (field, shown(field, values.get(field.id, ""), language()))
            for field in own_fields
            if not field.is_sensitive
        ],
        has_sensitive=any(field.is_sensitive for field in own_fields)
        and actor().can(Permission.SENSITIVE_VIEW),
        follow_ups=ladders.follow_ups_of(person.id, is_open=True),
        history=history_of(person, language()),
        answer_names=ANSWER_NAMES,
        district=district_names(language()).get(person.district_id) if person.district_id else None,
    )
