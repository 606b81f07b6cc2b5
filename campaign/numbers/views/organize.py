"""The page of numbers."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from campaign import clock
from campaign.db import db
from campaign.numbers import queries
from campaign.organizations.models import Organization, Permission
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language

blueprint = Blueprint("numbers", __name__)

PERIODS = (4, 12, 52)
LONGEST_TABLE = 50


@blueprint.get("/organize/numbers/")
@allow(Permission.PEOPLE_VIEW)
def index() -> str:
    """How many people there are and were, by source, ward and list."""
    asked = request.args.get("weeks", type=int)
    weeks = asked if asked in PERIODS else PERIODS[1]
    organization = db.session.get_one(Organization, actor().organization_id)
    numbers = queries.numbers_of(organization, clock.now(), weeks=weeks, language=language())
    return render_template(
        "numbers/index.html",
        numbers=numbers,
        weeks=weeks,
        periods=PERIODS,
        most=LONGEST_TABLE,
    )
