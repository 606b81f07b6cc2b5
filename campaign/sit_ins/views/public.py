"""The briefing, and the list of those who risk arrest: pages behind the link of an answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import refresh
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Conflict, Gone, NotFound
from campaign.events import queries as events
from campaign.events.models import Rsvp
from campaign.organizations.models import Organization
from campaign.sit_ins import queries, services
from campaign.sit_ins.forms import RiskForm
from campaign.web.access import link
from campaign.web.links import rsvp_of

blueprint = Blueprint("sit_ins", __name__)


def holder(token: str) -> Rsvp:
    """The answer behind a link; the page then speaks its language. Raises NotFound, Gone."""
    rsvp = events.rsvp_by_id(rsvp_of(token))
    if rsvp is None or not rsvp.first_name:
        raise Gone
    g.user_language = rsvp.language
    refresh()
    return rsvp


def frame(token: str, rsvp: Rsvp) -> dict[str, Any]:
    """What both pages show."""
    event = rsvp.occurrence.event
    return {
        "token": token,
        "rsvp": rsvp,
        "event": event,
        "occurrence": rsvp.occurrence,
        "organization": db.session.get(Organization, rsvp.organization_id),
        "read": queries.acknowledgement(rsvp, event.briefing_version),
        "asks_risk": services.asks_risk(rsvp),
        "risk": queries.risk_by_rsvp(rsvp.id),
    }


@blueprint.get("/rsvp/<token>/briefing")
@link
def briefing(token: str) -> str:
    """What everybody reads before they come. Raises NotFound where there is nothing to read."""
    rsvp = holder(token)
    if not queries.has_briefing(rsvp.occurrence.event):
        raise NotFound
    return render_template("sit_ins/briefing.html", **frame(token, rsvp))


@blueprint.post("/rsvp/<token>/briefing")
@link
def acknowledge(token: str) -> Response | str:
    """ "I have read this": of the version that was on the page."""
    rsvp = holder(token)
    if not queries.has_briefing(rsvp.occurrence.event):
        raise NotFound
    given = request.form.get("version", "")
    try:
        version = int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0
        services.acknowledge(rsvp, version)
    except Conflict as error:
        db.session.rollback()
        return render_template(
            "sit_ins/briefing.html", failure=error.message, **frame(token, holder(token))
        )
    db.session.commit()
    return redirect(url_for("sit_ins.briefing", token=token, done="read"), 303)


@blueprint.get("/rsvp/<token>/risk")
@link
def risk(token: str) -> str:
    """The form for those who risk arrest, with what they wrote before."""
    rsvp = holder(token)
    mine = queries.risk_by_rsvp(rsvp.id)
    if mine is None and not services.asks_risk(rsvp):
        raise NotFound
    confided = queries.open_seal(mine) if mine is not None else None
    form = RiskForm(data=asdict(confided) if confided else None)
    return render_template("sit_ins/risk.html", form=form, **frame(token, rsvp))


@blueprint.post("/rsvp/<token>/risk")
@link
def join(token: str) -> Response | str:
    """Join the list, or change what one wrote."""
    rsvp = holder(token)
    if not services.asks_risk(rsvp):
        raise NotFound
    form = RiskForm()
    if form.is_posted_and_valid():
        try:
            services.join_list(rsvp, form.confided())
        except Conflict as error:
            db.session.rollback()
            rsvp = holder(token)
            form.add_error("", error.message)
        else:
            db.session.commit()
            return redirect(url_for("sit_ins.risk", token=token, done="joined"), 303)
    return render_template("sit_ins/risk.html", form=form, **frame(token, rsvp))


@blueprint.post("/rsvp/<token>/risk/leave")
@link
def leave(token: str) -> Response:
    """Leave the list: what was written is deleted at once."""
    rsvp = holder(token)
    services.leave_list(rsvp)
    db.session.commit()
    return redirect(url_for("sit_ins.briefing", token=token, done="left"), 303)
