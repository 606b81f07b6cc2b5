"""A mailing with somebody's eyes: their words in it, and whether they get it.

Only for whoever may see people, and audited as a look at the list of people: once an hour. What
only this person may follow (their own page, leaving the list) leads nowhere in it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from flask import render_template, request

from campaign import clock
from campaign.db import db, writing
from campaign.mailings import emails, queries, services
from campaign.mailings.emails import Draft
from campaign.mailings.forms import own_id
from campaign.mailings.models import Message, Variant
from campaign.mailings.views.pages import blueprint, found, own_organization
from campaign.organizations.models import Permission
from campaign.people import queries as people
from campaign.people.models import Person
from campaign.people.services import record_listing
from campaign.web.access import allow
from campaign.web.actor import actor

MOST_FOUND = 10


@blueprint.get("/<uuid:message_id>/read")
@allow(Permission.PEOPLE_VIEW)
def read(message_id: uuid.UUID) -> str:
    """A message as one person gets it, and whether they do."""
    message = found(message_id)
    asked = request.args.get("q", "").strip()[:120]
    reader = person_asked_for()
    if asked or reader is not None:
        note_looking()
    hits = matches(asked) if asked else []
    known = [*hits, *([reader] if reader is not None else [])]
    variant = variant_asked_for(message)
    draft = Draft.of(message)
    line = draft if variant is None else draft.worded(variant.wording)
    return render_template(
        "mailings/read.html",
        message=message,
        asked=asked,
        hits=hits,
        reader=reader,
        reasons=queries.reasons_for(message, [person.id for person in known]) if known else {},
        version=variant.letter if variant is not None else "",
        line=emails.inbox_line(line, values_of(reader) if reader is not None else None),
        sender=services.sender_of(message, own_organization(), variant),
        view=view_asked_for(),
        organization=own_organization(),
    )


def matches(asked: str) -> list[Person]:
    """The first people who are found by a name or an address."""
    statement = people.search_people(actor().organization_id, asked)
    return list(db.session.scalars(statement.order_by(Person.id).limit(MOST_FOUND)))


def variant_asked_for(message: Message) -> Variant | None:
    """The version to read: the one asked for, else the first; None where there is only one."""
    variants = message.contest.variants if message.contest is not None else []
    asked = request.args.get("version", "")
    return next((row for row in variants if row.letter == asked), next(iter(variants), None))


def view_asked_for() -> str:
    """desktop, phone, dark or text."""
    return request.values.get("view", "")


def sample_values() -> dict[str, str]:
    """The merge values of the person asked for, or of nobody: then the fallbacks show."""
    values = dict.fromkeys(("preferences_url", "unsubscribe_url"), "#")
    person = person_asked_for()
    if person is None:
        return values
    values |= values_of(person)
    note_looking()
    return values


def person_asked_for() -> Person | None:
    """The person with whose eyes it is read, for whoever may see people. Raises NotFound for
    somebody else's."""
    person_id = own_id(request.values.get("person", ""))
    if person_id is None or not actor().can(Permission.PEOPLE_VIEW):
        return None
    return people.find_person(actor().organization_id, person_id)


def values_of(person: Person) -> dict[str, str]:
    return {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "postal_code": person.postal_code,
        "ward": person.district.name if person.district else "",
    }


def note_looking() -> None:
    """Audit that this user looked at people, at most once an hour."""
    me = actor()
    if not people.has_listed(me.organization_id, me.user_id, clock.now() - timedelta(hours=1)):
        with writing():
            record_listing(me.organization_id, me.user_id)
            db.session.commit()
