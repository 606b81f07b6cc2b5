"""One person's page in the console, with the history from every slice."""

from __future__ import annotations

from flask import Blueprint
import uuid
from campaign.web.access import allow
from campaign.organizations.models import Permission
blueprint = Blueprint("person", __name__)
@blueprint.get("/organize/people/<uuid:person_id>")
@allow(Permission.PEOPLE_VIEW)
def show(person_id: uuid.UUID) -> str:
    return "x"
