"""What we hold about you, without an account: `/me/<token>`.

The token in the path is the permission: signed, stored nowhere, good for a year. GET shows and
changes nothing; every page works without a script and sets no cookie.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import orjson
from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from flask_babel import refresh
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Conflict, Gone, NotFound
from campaign.events import queries as events
from campaign.events.models import Rsvp
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.organizations.models import Organization
from campaign.people.models import Person
from campaign.petitions.models import Signature
from campaign.privacy import queries, services
from campaign.privacy.forms import AskForm, OwnDetailsForm
from campaign.web.access import link, public
from campaign.web.csrf import signer
from campaign.web.languages import language
from campaign.web.limits import limiter, source_network
from campaign.web.links import rsvp_of

blueprint = Blueprint("privacy", __name__)

YEAR_SECONDS = 366 * 24 * 3600
ANSWER_SECONDS = 0.25  # the clock must not tell who is known here
LINKS_PER_ADDRESS = "3 per day"
LINKS_PER_SOURCE = "20 per hour"
DONE = frozenset({"saved", "stopped", "started", "withdrawn", "cancelled"})


def holder(token: str) -> Person | Signature | Rsvp:
    """Who the token speaks of; the page then speaks their language. Raises NotFound, Gone."""
    found = queries.holder_of(signer().read("preferences", token, max_age=YEAR_SECONDS))
    g.user_language = found.language
    refresh()
    return found


def person_of(token: str) -> Person:
    """The person of a token. Raises NotFound where it speaks of what has no person yet."""
    found = holder(token)
    if not isinstance(found, Person):
        raise NotFound
    return found


@blueprint.errorhandler(Gone)
def gone(_error: Gone) -> Response:
    """Nothing is left, or the link is more than a year old."""
    db.session.rollback()
    page = render_template("privacy/gone.html", is_erased=request.args.get("done") == "erased")
    return make_response(page, 410)


@blueprint.route("/me", methods=["GET", "POST"])
@public
def ask() -> str | Response:
    """Send the link to an address, if it is known; the answer is the same if it is not."""
    form = AskForm()
    if form.is_posted_and_valid():
        started = time.monotonic()
        hashed = address_hash(form.email.data)
        is_within = limiter().hit(LINKS_PER_SOURCE, "own-page", source_network())
        if is_within and limiter().hit(LINKS_PER_ADDRESS, "own-page", hashed):
            services.send_links(form.email.data)
            db.session.commit()
        time.sleep(max(0.0, ANSWER_SECONDS - (time.monotonic() - started)))
        return redirect(url_for("privacy.ask", done="sent"), 303)
    return render_template(
        "privacy/ask.html",
        form=form,
        is_sent=request.args.get("done") == "sent",
        is_erased=request.args.get("done") == "not-me",
    )


@blueprint.get("/me/<token>")
@link
def preferences(token: str) -> str:
    """All we hold, with the boxes and buttons to change it."""
    found = holder(token)
    if isinstance(found, Signature):
        return render_template(
            "privacy/unconfirmed.html",
            token=token,
            one=queries.signed(found),
            may_write=queries.partners_of_signed(found),
            organization=db.session.get(Organization, found.organization_id),
        )
    if isinstance(found, Rsvp):
        return render_template(
            "privacy/answer.html",
            token=token,
            one=queries.answered(found, language()),
            may_write=events.wordings_in(found),
            organization=db.session.get(Organization, found.organization_id),
        )
    return show(found, token, OwnDetailsForm(obj=found))


def show(person: Person, token: str, form: OwnDetailsForm, failure: Any = "") -> str:
    """The page of a person."""
    holding = queries.holding_of(person)
    return render_template(
        "privacy/preferences.html",
        token=token,
        held=holding,
        organization=holding.organization,
        choices=queries.choices_for(person, language()),
        form=form,
        failure=failure,
        done=request.args.get("done") if request.args.get("done") in DONE else "",
    )


@blueprint.post("/me/<token>")
@link
def save(token: str) -> str | Response:
    """Details and consents, as the form has them."""
    person = person_of(token)
    form = OwnDetailsForm(obj=person)
    if not form.is_posted_and_valid():
        return show(person, token, form)
    offered = set(request.form.getlist("offered"))
    choices = [
        choice
        for choice in queries.choices_for(person, language())
        if not offered or choice.field in offered
    ]
    ticked = {choice.field: request.form.get(choice.field, "") for choice in choices}
    ticked = {name: value for name, value in ticked.items() if name in request.form}
    try:
        services.change_choices(person, choices, ticked, language=language())
    except Conflict as error:
        db.session.rollback()
        return show(person_of(token), token, form, failure=error.message)
    services.correct(person, form.details(person))
    db.session.commit()
    return back(token, "saved")


@blueprint.post("/me/<token>/mail")
@link
def mail(token: str) -> Response:
    """Stop the mail of this organization or of everybody here, or start this one's again."""
    person = person_of(token)
    action = request.form.get("action", "")
    if action == "start":
        own = queries.choices_for(person, language())[0]
        services.start_mail(person, own, language=language())
    elif action in {Scope.ORGANIZATION, Scope.EVERYTHING}:
        services.stop_mail(person, Scope(action))
    else:
        raise BadRequest
    db.session.commit()
    return back(token, "started" if action == "start" else "stopped")


@blueprint.post("/me/<token>/signatures/<uuid:signature_id>/withdraw")
@link
def withdraw(token: str, signature_id: uuid.UUID) -> Response:
    """Take a name off a petition: the count falls by one."""
    services.withdraw_signature(person_of(token), signature_id)
    db.session.commit()
    return back(token, "withdrawn")


@blueprint.post("/me/<token>/answers/<uuid:rsvp_id>/cancel")
@link
def cancel(token: str, rsvp_id: uuid.UUID) -> Response:
    """Take an answer to an event back: its place goes to whoever waits."""
    services.cancel_rsvp(person_of(token), rsvp_id)
    db.session.commit()
    return back(token, "cancelled")


@blueprint.post("/rsvp/<token>/not-me")
@link
def not_me(token: str) -> Response:
    """Somebody typed another's address into an answer: it goes, and the link with it."""
    rsvp = events.rsvp_by_id(rsvp_of(token))
    if rsvp is None or rsvp.address_hash is None:
        raise Gone
    g.user_language = rsvp.language
    refresh()
    erased = services.not_me(rsvp)
    db.session.commit()
    erased.delete_files()
    return redirect(url_for("privacy.ask", done="not-me"), 303)


@blueprint.get("/me/<token>/data")
@link
def data(token: str) -> str:
    """All of it, to read or to print."""
    holding = queries.holding_of(person_of(token))
    return render_template(
        "privacy/data.html", token=token, held=holding, organization=holding.organization
    )


@blueprint.get("/me/<token>/data.json")
@link
def download(token: str) -> Response:
    """All of it, to take away."""
    plain = queries.as_plain(queries.holding_of(person_of(token)))
    response = make_response(orjson.dumps(plain, option=orjson.OPT_INDENT_2))
    response.headers["Content-Type"] = "application/json; charset=utf-8"
    response.headers["Content-Disposition"] = 'attachment; filename="about-me.json"'
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@blueprint.get("/me/<token>/erase")
@link
def erase(token: str) -> str:
    """What will happen, and the button."""
    person = person_of(token)
    elsewhere = queries.same_person_elsewhere(person)
    return render_template(
        "privacy/erase.html",
        token=token,
        person=person,
        organization=db.session.get(Organization, person.organization_id),
        elsewhere=queries.organizations_named([other.organization_id for other in elsewhere]),
    )


@blueprint.post("/me/<token>/erase")
@link
def erase_now(token: str) -> Response:
    """Erase; the link then answers 410."""
    found = holder(token)
    if isinstance(found, Signature):
        services.drop_signature(found)
        db.session.commit()
    elif isinstance(found, Rsvp):
        services.drop_rsvp(found)
        db.session.commit()
    else:
        erased = services.erase_everywhere(found)
        db.session.commit()
        erased.delete_files()
    return back(token, "erased")


def back(token: str, done: str) -> Response:
    return redirect(url_for("privacy.preferences", token=token, done=done), 303)
