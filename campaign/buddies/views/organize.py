"""What an organizer sees of buddies: that there are introductions, never what was wished."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.buddies import queries, services
from campaign.db import db
from campaign.errors import Conflict
from campaign.events import desk
from campaign.events import queries as events
from campaign.organizations.models import Permission
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done, failed

blueprint = Blueprint("organize_buddies", __name__, url_prefix="/organize")


@blueprint.get("/events/<uuid:event_id>/buddies")
@allow(Permission.ANSWERS_VIEW)
def buddies(event_id: uuid.UUID) -> str:
    """Numbers by date, and who is introduced to whom."""
    event = events.event_of(actor().organization_id, event_id)
    return render_template(
        "buddies/buddies.html",
        event=event,
        numbers=queries.numbers_of(event),
        introductions=queries.introductions_of(event),
        dates=desk.all_dates(event),
        coming=events.open_occurrences(event, clock.now(), 1),
        edits=actor().can(Permission.EVENTS_EDIT),
        **desk.part_numbers(event.id),
    )


@blueprint.post("/buddies/<uuid:introduction_id>/end")
@allow(Permission.ANSWERS_EDIT)
def end(introduction_id: uuid.UUID) -> Response:
    """End an introduction for somebody who asked for it."""
    introduction = queries.introduction_in(actor().organization_id, introduction_id)
    event_id = introduction.asker.rsvp.event_id
    try:
        services.end_for(introduction, user_id=actor().user_id)
    except Conflict:
        db.session.rollback()
        failed(_("This has changed meanwhile. Please look again."))
    else:
        db.session.commit()
        done(_("Both are told, and we look for somebody else for each."))
    return redirect(url_for("organize_buddies.buddies", event_id=event_id), 303)
