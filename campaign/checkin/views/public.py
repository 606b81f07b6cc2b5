"""The code to show at the door, and "did you come?": pages behind the link of an answer."""

from __future__ import annotations

import io

import segno
from flask import Blueprint, g, make_response, redirect, render_template, url_for
from flask_babel import refresh
from werkzeug.wrappers import Response

from campaign import clock
from campaign.checkin import queries, services
from campaign.checkin.forms import CameForm
from campaign.checkin.models import CameAnswer
from campaign.db import db
from campaign.errors import Gone
from campaign.events import queries as events
from campaign.events.models import Rsvp
from campaign.organizations.models import Organization
from campaign.web.access import link
from campaign.web.links import checkin_token, external, rsvp_of

blueprint = Blueprint("checkin", __name__)


def holder(token: str) -> Rsvp:
    """The answer behind a link; the page then speaks its language. Raises NotFound, Gone."""
    rsvp = events.rsvp_by_id(rsvp_of(token))
    if rsvp is None or not rsvp.first_name:
        raise Gone
    g.user_language = rsvp.language
    refresh()
    return rsvp


@blueprint.get("/rsvp/<token>/code.svg")
@link
def code(token: str) -> Response:
    """The QR code of an answer.

    It holds an address with a token of its own: whoever photographs the code can neither change
    the answer nor sign anybody in, for that takes a log-in of the team.
    """
    rsvp = holder(token)
    address = external("organize_checkin.scan", token=checkin_token(rsvp.id))
    picture = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        picture,
        kind="svg",
        scale=8,
        border=4,
        dark="#000",
        light="#fff",
        svgclass=None,
        lineclass=None,
    )
    response = make_response(picture.getvalue())
    response.headers["Content-Type"] = "image/svg+xml"
    return response


@blueprint.get("/rsvp/<token>/code")
@link
def ticket(token: str) -> str:
    """The code by itself, as large as the phone is wide: to hold up at the door."""
    rsvp = holder(token)
    return render_template(
        "checkin/ticket.html",
        token=token,
        rsvp=rsvp,
        event=rsvp.occurrence.event,
        occurrence=rsvp.occurrence,
        organization=db.session.get(Organization, rsvp.organization_id),
    )


@blueprint.get("/rsvp/<token>/came")
@link
def came(token: str) -> str:
    """Did you come? Shows; changes nothing."""
    rsvp = holder(token)
    told = queries.came_answer(rsvp.id)
    form = CameForm(
        data={
            "came": _answer_so_far(rsvp, told),
            "feedback": told.feedback if told else "",
        }
    )
    return _page(token, rsvp, form)


def _answer_so_far(rsvp: Rsvp, told: CameAnswer | None) -> str | None:
    """What they said; who signed in has said it by that."""
    if told is None:
        return "yes" if queries.signed_in_among([rsvp.id]) else None
    return "yes" if told.has_come else "no"


def _page(token: str, rsvp: Rsvp, form: CameForm) -> str:
    return render_template(
        "checkin/came.html",
        token=token,
        rsvp=rsvp,
        form=form,
        told=queries.came_answer(rsvp.id),
        has_signed_in=bool(queries.signed_in_among([rsvp.id])),
        event=rsvp.occurrence.event,
        occurrence=rsvp.occurrence,
        has_begun=clock.now() >= rsvp.occurrence.starts_at,
        organization=db.session.get(Organization, rsvp.organization_id),
    )


@blueprint.post("/rsvp/<token>/came")
@link
def tell_came(token: str) -> Response | str:
    """Keep the answer; it can be changed by answering again."""
    rsvp = holder(token)
    form = CameForm()
    if not form.is_posted_and_valid():
        return _page(token, rsvp, form)
    services.tell_came(rsvp, form.came.data == "yes", form.feedback.data or "")
    db.session.commit()
    return redirect(url_for("checkin.came", token=token, done="told"), 303)
