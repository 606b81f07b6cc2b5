"""Erasing somebody at their request, from the console."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.organizations.models import Permission
from campaign.people import queries as people
from campaign.people.models import Person
from campaign.privacy import queries, services
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done

blueprint = Blueprint("privacy_organize", __name__, url_prefix="/organize/people")


@blueprint.get("/<uuid:person_id>/erase")
@allow(Permission.PEOPLE_ERASE, fresh=True)
def erase(person_id: uuid.UUID) -> str:
    """What will happen, and the typed word without which nothing does."""
    return show(people.find_person(actor().organization_id, person_id))


@blueprint.post("/<uuid:person_id>/erase")
@allow(Permission.PEOPLE_ERASE, fresh=True)
def erase_now(person_id: uuid.UUID) -> str | Response:
    """Erase one person from this organization."""
    person = people.find_person(actor().organization_id, person_id)
    if request.form.get("word", "").strip().casefold() != word().casefold():
        return show(person, error=_("Type the word as it stands above the field."))
    erased = services.erase_person(person, user_id=actor().user_id)
    db.session.commit()
    erased.delete_files()
    done(_("Erased. Nothing here says who it was."))
    return redirect(url_for("table.index"), 303)


def word() -> str:
    """What has to be typed, in the language of the page."""
    return str(_("erase"))


def show(person: Person, error: str = "") -> str:
    return render_template(
        "privacy/erase_person.html",
        person=person,
        held=queries.holding_of(person),
        word=word(),
        error=error,
    )
