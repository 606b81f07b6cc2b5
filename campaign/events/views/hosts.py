"""Volunteers who propose an event, and whoever is asked to host one, behind their link."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import Campaign
from campaign.db import db
from campaign.errors import CampaignError, Gone, NotFound
from campaign.events import hosting, invitations
from campaign.events.editor import ProposeForm
from campaign.events.hosting import HostDetails
from campaign.events.models import Event, EventState, Host, HostState
from campaign.mail.addresses import address_hash
from campaign.organizations.models import Organization
from campaign.people import door, strangers
from campaign.web.access import link, public
from campaign.web.error_pages import error_page
from campaign.web.languages import chosen, language
from campaign.web.limits import limiter
from campaign.web.links import host_of

blueprint = Blueprint("hosts", __name__)


# --- proposing ---------------------------------------------------------------------------------


def running() -> list[Campaign]:
    """The campaigns that an event can be proposed for."""
    return [row for row in campaigns.public_campaigns() if row.is_running]


@blueprint.get("/e/propose")
@public
def propose() -> str:
    mine = running()
    form = ProposeForm.of(mine, formdata=None, data={"campaign": request.args.get("campaign")})
    return _page(form)


def _page(form: ProposeForm) -> str:
    found = next((row for row in running() if row.slug == form.campaign.data), None)
    lead = db.session.get(Organization, found.organization_id) if found is not None else None
    return render_template(
        "events/hosts/propose.html",
        form=form,
        campaign=found,
        organization=lead,
        crisis_line=_crisis_line(found, lead),
        honeypot=door.HONEYPOT,
    )


def _crisis_line(campaign: Campaign | None, organization: Organization | None) -> str:
    return (campaign.crisis_line if campaign else "") or (
        organization.crisis_line if organization else ""
    )


@blueprint.post("/e/propose")
@public
def send_proposal() -> Response:
    """Keep a proposal and send its link. The answer is alike for everybody, whatever became of it."""
    mine = running()
    form = ProposeForm.of(mine)
    if not form.validate():
        return make_response(_page(form), 400)
    campaign = next(row for row in mine if row.slug == form.campaign.data)
    zone = db.session.get_one(Organization, campaign.organization_id).time_zone
    odd = door.signals(request, "propose", campaign.id.hex)
    if strangers.HONEYPOT not in odd:
        try:
            hosting.propose_event(
                campaign.organization_id,
                HostDetails(
                    name=form.name.data,
                    email=form.email.data,
                    phone=form.phone.data or "",
                    language=language(),
                ),
                form.details(campaign, zone),
                sends=not strangers.review_reason(odd) and _has_mail_left(form.email.data),
            )
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
            return make_response(_page(form), 400)
        db.session.commit()
    more: dict[str, Any] = {"lang": language()} if chosen() else {}
    return redirect(url_for("hosts.proposed", **more), 303)


def _has_mail_left(address: str) -> bool:
    """Strangers' posts bring three e-mails a day to one address, no more."""
    rule = f"{strangers.MAILS_A_DAY} per day"
    return limiter().hit(rule, "proposal", address_hash(address))


@blueprint.errorhandler(BadRequest)
def stale(error: BadRequest) -> Response:
    """A form that was open for too long: nothing typed is lost, one more press sends it."""
    message = str(error.description or "")
    if request.endpoint != "hosts.send_proposal":
        return error_page(400, message)
    form = ProposeForm.of(running())
    form.form_errors.append(
        _("This page was open for a long time. Please check what you typed and press once more.")
        if request.form
        else message
    )
    return make_response(_page(form), 400)


@blueprint.get("/e/propose/thanks")
@public
def proposed() -> str:
    return render_template("events/hosts/proposed.html")


# --- behind the link ---------------------------------------------------------------------------


def _found(token: str) -> tuple[Host, Event]:
    host = db.session.get(Host, host_of(token))
    if host is None or (not host.email and host.partner_id is None):
        raise NotFound
    return host, db.session.get_one(Event, host.event_id)


@blueprint.get("/host/<token>")
@link
def host(token: str) -> Response:
    """What one is asked to host, or proposed, and where it stands. Opening it changes nothing."""
    found, event = _found(token)
    return _personal(_host_page(found, event, token))


def _host_page(host: Host, event: Event, token: str) -> str:
    lead = db.session.get_one(Organization, event.organization_id)
    return render_template(
        "events/hosts/host.html",
        host=host,
        event=event,
        token=token,
        organization=lead,
        crisis_line=_crisis_line(event.campaign, lead),
        stage=stage_of(host, event),
        first_date=invitations.when_of(event, language()),
    )


def stage_of(host: Host, event: Event) -> str:
    """Where it stands: what the page says and which buttons it has."""
    if event.state == EventState.CANCELLED:
        return "cancelled"
    if host.is_proposer and event.state == EventState.PROPOSED:
        stages = {HostState.INVITED: "confirm", HostState.ACTIVE: "waiting"}
        return stages.get(HostState(host.state), "refused")
    if host.state == HostState.REMOVED:
        return "off"
    if host.state == HostState.ACTIVE:
        return "hosting"
    return "asked" if host.state == HostState.INVITED else "said-no"


def _personal(html: str, status: int = 200) -> Response:
    response = make_response(html, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/host/<token>")
@link
def answer(token: str) -> Response:
    """Yes or no; a host may change their mind."""
    found, _event = _found(token)
    says_yes = request.form.get("answer") == "yes"
    if request.form.get("answer") not in {"yes", "no"}:
        return redirect(_back(token), 303)
    try:
        hosting.answer_host(found, says_yes=says_yes, is_public=bool(request.form.get("is_public")))
    except Gone:
        db.session.rollback()
        return redirect(_back(token), 303)
    db.session.commit()
    if db.session.get(Host, host_of(token)) is None:
        more: dict[str, Any] = {"lang": language()} if chosen() else {}
        return redirect(url_for("hosts.forgotten", **more), 303)
    return redirect(_back(token), 303)


def _back(token: str) -> str:
    more: dict[str, Any] = {"lang": language()} if chosen() else {}
    return url_for("hosts.host", token=token, **more)


@blueprint.get("/host/forgotten")
@public
def forgotten() -> str:
    """Somebody had typed a stranger's address: nothing of it is left."""
    return render_template("events/hosts/forgotten.html", now=clock.now())
