"""The briefing as organizers see it: how many have read it, and who has not."""

from __future__ import annotations

import uuid

from flask import Blueprint, render_template
from werkzeug.wrappers import Response

from campaign.db import db, writing
from campaign.events import queries as events
from campaign.events import services as event_services
from campaign.organizations.models import Permission
from campaign.sit_ins import queries
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("organize_briefings", __name__)
MOST_OTHERS = 60


@blueprint.get("/organize/briefings/<uuid:occurrence_id>")
@allow(Permission.ANSWERS_VIEW)
def readers(occurrence_id: uuid.UUID) -> Response | str:
    """Who still has to read it, with how to reach them. Nothing here says who risks arrest."""
    me = actor()
    occurrence = events.occurrence_of(me.organization_id, occurrence_id)
    with writing():
        if event_services.note_listing(occurrence, user_id=me.user_id):
            db.session.commit()
            occurrence = events.occurrence_of(me.organization_id, occurrence_id)
    return render_template(
        "sit_ins/readers.html",
        occurrence=occurrence,
        event=occurrence.event,
        others=events.dates_of(occurrence.event, limit=MOST_OTHERS),
        has_briefing=queries.has_briefing(occurrence.event),
        readers=queries.readers(occurrence),
        here="briefing",
    )
