"""A buddy's pages: ask, agree, decline, block. The link is the one of their answer."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, redirect, url_for
from flask import render_template as render
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.buddies import queries, services
from campaign.buddies.forms import CompanyForm
from campaign.buddies.models import Wish, WishState
from campaign.db import db
from campaign.errors import Conflict, Gone
from campaign.events import queries as events
from campaign.events.models import COMING, Company, Event, Rsvp
from campaign.organizations.models import Organization
from campaign.web.access import link
from campaign.web.flashes import done, failed
from campaign.web.links import rsvp_of, rsvp_token

blueprint = Blueprint("buddies", __name__)


@blueprint.get("/rsvp/<token>/company")
@link
def company(token: str) -> str:
    """What somebody wished, and whom we suggest. Opening it changes nothing."""
    return _page(_answer(token))


@blueprint.post("/rsvp/<token>/company")
@link
def change(token: str) -> str | Response:
    """Ask for company, offer it, or neither."""
    rsvp = _answer(token)
    form = CompanyForm()
    if not form.is_posted_and_valid():
        return _page(rsvp, form)
    services.change_wish(rsvp, kind=form.company.data, wish=form.wish.data or "")
    db.session.commit()
    done(_("Thank you. We write to you as soon as we have found somebody."))
    return redirect(url_for("buddies.company", token=token), 303)


@blueprint.post("/rsvp/<token>/company/agree")
@link
def agree(token: str) -> Response:
    """Say yes to the one we suggest."""
    return _act(token, services.agree)


@blueprint.post("/rsvp/<token>/company/no")
@link
def say_no(token: str) -> Response:
    """Say no, or end what was agreed."""
    return _act(token, services.say_no)


@blueprint.post("/rsvp/<token>/company/block")
@link
def block(token: str) -> Response:
    """Never be introduced to this person again."""
    return _act(token, services.block)


def _act(token: str, service: Callable[[Wish], object]) -> Response:
    wish = queries.wish_of(_answer(token).id, lock=True)
    if wish is None:
        abort(404)
    try:
        service(wish)
    except Conflict as error:
        db.session.rollback()
        failed(error.message or _("This has changed meanwhile. Please look again."))
    else:
        db.session.commit()
    return redirect(url_for("buddies.company", token=token), 303)


def _answer(token: str) -> Rsvp:
    """The answer behind a link, of somebody who comes to a date that asks about company."""
    rsvp = events.rsvp_by_id(rsvp_of(token))
    if rsvp is None:
        abort(404)
    event = db.session.get_one(Event, rsvp.event_id)
    if not event.asks_company and rsvp.company == Company.NONE:
        abort(404)
    if rsvp.state not in COMING or not rsvp.occurrence.is_open(clock.now()):
        raise Gone(_("This is only for those who come, and until it begins."))
    return rsvp


def _page(rsvp: Rsvp, form: CompanyForm | None = None) -> str:
    event = db.session.get_one(Event, rsvp.event_id)
    organization = db.session.get_one(Organization, rsvp.organization_id)
    wish = queries.wish_of(rsvp.id)
    introduction = queries.introduction_of(wish) if wish is not None else None
    if form is None:
        form = CompanyForm(
            formdata=None,
            data={
                "company": wish.kind if wish and wish.state != WishState.ENDED else rsvp.company,
                "wish": wish.wish if wish else rsvp.company_wish,
            },
        )
    return render(
        "buddies/company.html",
        rsvp=rsvp,
        event=event,
        occurrence=rsvp.occurrence,
        organization=organization,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        wish=wish,
        introduction=introduction,
        other=introduction.other(wish) if introduction is not None and wish is not None else None,
        form=form,
        token=rsvp_token(rsvp.id),
    )
