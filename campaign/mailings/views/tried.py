"""The links of a mailing to elsewhere: having them tried, and what they answered."""

from __future__ import annotations

import uuid
from typing import Any

from flask import redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.mailings import queries, services
from campaign.mailings.models import Message
from campaign.mailings.views.pages import blueprint, found
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.limits import limiter

LINK_TRIES = "20 per hour"


def links_shown(message: Message) -> dict[str, Any]:
    """The links of a message to elsewhere, what they answered, and whether somebody asks them."""
    return {"links": queries.tried_links(message), "tries": queries.waits_for_links(message)}


@blueprint.get("/<uuid:message_id>/links")
@allow(Permission.MAILINGS_VIEW)
def links(message_id: uuid.UUID) -> str:
    """What its links answered so far (for htmx)."""
    message = found(message_id)
    return render_template("mailings/_links.html", message=message, **links_shown(message))


@blueprint.post("/<uuid:message_id>/links")
@allow(Permission.MAILINGS_EDIT)
def try_links(message_id: uuid.UUID) -> Response:
    """Have the links tried; strangers see this server ask, so there is a limit."""
    message = found(message_id, lock=True)
    if not limiter().hit(LINK_TRIES, "try-links", actor().organization_id.hex):
        flashes.told(_("You had links tried many times lately. Please wait an hour."))
    elif services.try_links(message):
        db.session.commit()
        flashes.told(_("We try the links. That takes less than a minute."))
    return redirect(url_for("mailings.message", message_id=message.id, _anchor="links"), 303)
