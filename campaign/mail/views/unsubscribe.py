"""Unsubscribe: a page that asks how far, and RFC 8058's one-click POST.

GET and HEAD change nothing, for mail scanners follow links. The token names a delivery, so no
address is ever in a link.
"""

from __future__ import annotations

import uuid

from flask import Blueprint, render_template, request, url_for
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Invalid
from campaign.mail import queries, services
from campaign.mail.models import Scope
from campaign.web import csrf
from campaign.web.access import link, machine

blueprint = Blueprint("unsubscribe", __name__)

ONE_CLICK = {"List-Unsubscribe": ["One-Click"]}


@blueprint.get("/unsubscribe/<token>")
@link
def unsubscribe(token: str) -> str:
    """The page: what may be stopped, and what is stopped already."""
    ticket = queries.unsubscribe_ticket(_delivery_id(token))
    return render_template("mail/unsubscribe.html", ticket=ticket, token=token)


@blueprint.post("/unsubscribe/<token>")
@machine
def stop(token: str) -> Response:
    """Stop it. A mail reader's one-click POST brings no form token and gets no redirect;
    everybody else posts the page's form. One click stops all bulk of the organization."""
    is_one_click = not request.files and request.form.to_dict(flat=False) == ONE_CLICK
    if not is_one_click:
        csrf.require_token()
    ticket = queries.unsubscribe_ticket(_delivery_id(token))
    scope = Scope.ORGANIZATION if is_one_click else request.form.get("scope", "")
    if scope not in ticket.scopes and not is_one_click:
        raise Invalid(field="scope")
    services.unsubscribe(ticket, scope=scope)
    db.session.commit()
    if is_one_click:
        return Response("", status=200, mimetype="text/plain")
    return redirect(url_for(".unsubscribe", token=token), 303)


def _delivery_id(token: str) -> uuid.UUID:
    return csrf.signer().read_id("unsubscribe", token)
