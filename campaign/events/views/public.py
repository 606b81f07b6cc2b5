"""An event: read, answer, change, take back.

The answer to every post is the same page, whoever answered and whatever came of it; the e-mail
tells. What the owner of an answer may do is behind the signed link in that e-mail.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import segno
from flask import Blueprint, g, make_response, redirect, request, url_for
from flask import render_template as render
from flask_babel import gettext as _
from flask_babel import refresh
from markupsafe import Markup, escape
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns.boxes import mark_of
from campaign.db import db
from campaign.errors import Conflict, Gone, Invalid, NotFound
from campaign.events import desk, emails, queries, rules, services, words
from campaign.events.forms import ChangeForm, RsvpForm, came_with, plain_details
from campaign.events.models import Event, Occurrence, Rsvp, RsvpState
from campaign.organizations.models import Organization
from campaign.people.door import HONEYPOT, consents_in, signals
from campaign.web.access import link, public
from campaign.web.error_pages import error_page
from campaign.web.headers import content_policy
from campaign.web.languages import LANGUAGES, LanguageLink, browser_language, chosen, language
from campaign.web.links import (
    PERSON,
    RSVP,
    checkin_token,
    external,
    preferences_url,
    rsvp_of,
)
from campaign.web.page_cache import keep_answer, page_cache

blueprint = Blueprint("events", __name__)
QUERY_MARK = "query-4e1b"
SOURCE_MARK = "source-4e1b"
SHARED_SECONDS = 5
OTHER_DATES = 12


# --- the page ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as everybody gets it: marks stand where the visitor's own query is put in."""

    html: str
    plain: bytes
    etag: str
    policy: str


@blueprint.get("/e/<event>")
@public
def event(event: str) -> Response:
    """The event with its form: one rendering for all. `?on=2026-12-01` chooses a date."""
    day = request.args.get("on", "")[:16]
    key = ("event", event, day, language(), chosen())
    kept = page_cache().get(key, lambda: _render_page(event, day))
    if not request.query_string or set(request.args) <= {"lang", "on"}:
        keep_answer(key)
    return _answer(kept)


def _render_page(slug: str, day: str) -> Rendered:
    found = queries.event_by_slug(slug)
    date = _date_on(found, day)
    form = RsvpForm.of(date, formdata=None)
    html = page(date, form, source=SOURCE_MARK, language_links=lambda: _language_links(slug, day))
    plain = _fill(html, "", "").encode()
    etag = hashlib.sha256(plain).hexdigest()[:24]
    return Rendered(html, plain, etag, content_policy(g.get("csp_nonce")))


def _date_on(found: Event, day: str) -> Occurrence:
    """The date a page is about: the one asked for, else the next."""
    asked = queries.occurrence_on(found, day) if len(day) >= 10 else None
    return asked or queries.date_of(found, None)


def _language_links(slug: str, day: str) -> list[LanguageLink]:
    here = language()
    return [
        LanguageLink(
            code,
            name,
            url_for("events.event", event=slug, on=day or None, lang=code) + QUERY_MARK,
        )
        for code, name in LANGUAGES.items()
        if code != here
    ]


def _fill(html: str, query: str, source: str) -> str:
    """Put a visitor's own query into a shared page, escaped."""
    return html.replace(QUERY_MARK, str(escape(query))).replace(SOURCE_MARK, str(escape(source)))


def _answer(kept: Rendered) -> Response:
    body, etag = kept.plain, kept.etag
    source = came_with(request)["source"] if "source" in request.args else ""
    if source:
        body = _fill(kept.html, f"&source={quote(source)}", source).encode()
        etag = hashlib.sha256(body).hexdigest()[:24]
    response = Response(body, mimetype="text/html")
    response.headers["Content-Security-Policy"] = kept.policy
    response.headers["Cache-Control"] = (
        f"public, max-age=0, s-maxage={SHARED_SECONDS}, stale-while-revalidate=30"
    )
    response.headers["Vary"] = "Accept-Language, Cookie"
    response.set_etag(etag)
    return response.make_conditional(request)


def page(date: Occurrence, form: RsvpForm, **more: Any) -> str:
    """The page of a date as HTML, with `form` as it stands."""
    now, found = clock.now(), date.event
    return render(
        "events/event.html",
        **frame(date),
        form=form,
        boxes=queries.boxes_of(found),
        mark_of=mark_of,
        is_open=date.is_open(now),
        others=[
            one for one in queries.open_occurrences(found, now, OTHER_DATES) if one.id != date.id
        ],
        hosts=desk.named_hosts(found.id),
        honeypot=HONEYPOT,
        **more,
    )


def frame(date: Occurrence) -> dict[str, Any]:
    """What every page about a date stands in."""
    found = date.event
    lead = db.session.get_one(Organization, found.organization_id)
    return {
        "event": found,
        "date": date,
        "campaign": found.campaign,
        "organization": lead,
        "crisis_line": found.campaign.crisis_line or lead.crisis_line,
        "words": words,
        "day_of": day_of,
        "hours": hours_of(date),
        "hours_at": hours_of,
        "place": emails.place_of(date),
        "place_lines": emails.place_lines(date),
        "online_url": emails.online_url_of(date),
        "calendar_url": emails.calendar_url(found.slug, language()),
        "is_over": date.is_over(clock.now()),
    }


def day_of(date: Occurrence) -> str:
    """The local day of a date, in words."""
    return rules.day_of(date.starts_at, date.event.zone, language())


def hours_of(date: Occurrence) -> str:
    """From when to when a date is by the clock there."""
    found = date.event
    is_whole = found.is_all_day
    return rules.hours_of(date.starts_at, date.ends_at, found.zone, language(), is_all_day=is_whole)


# --- answering ---------------------------------------------------------------------------------


@blueprint.post("/e/<event>")
@public
def answer(event: str) -> Response:
    """Take an answer. The page that follows is the same whoever answered."""
    asked = cast(Any, request)._get_current_object()  # many look-ups follow
    date_id = _date_id(asked.form.get("occurrence", ""))
    sheet = queries.sheet(event, date_id)
    if not sheet.is_open(clock.now()):
        return _closed(event, date_id)
    odd = signals(asked, "answer", sheet.occurrence_id.hex)
    ip = asked.remote_addr or ""
    details = plain_details(sheet, asked, odd, ip)
    if details is None:
        form = _form(event, date_id)
        if not form.validate():
            return _again(event, date_id, form)
        details = form.details(odd, ip)
    try:
        services.answer(sheet, details)
    except Conflict:
        return _closed(event, date_id)
    except Invalid as error:
        form, message = _form(event, date_id), error.message
        if error.field.startswith("consent-"):
            return _again(event, date_id, form, {error.field: message})
        form.validate()
        form.add_error(error.field, str(message))
        return _again(event, date_id, form)
    if db.session.registry.has():  # answering may have been one statement and no session
        db.session.commit()
    return Response(status=303, headers={"Location": _thanks_address(sheet, details.language)})


def _date_id(given: str) -> uuid.UUID | None:
    """The date that a form names; None: the next. Raises NotFound for what is no id."""
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        raise NotFound from None


def _form(slug: str, date_id: uuid.UUID | None) -> RsvpForm:
    return RsvpForm.of(queries.date_of(queries.event_by_slug(slug), date_id))


def _thanks_address(sheet: queries.Sheet, here: str) -> str:
    """The answer's address: it names the date of a series, and keeps the language, also when only
    the form says it."""
    if sheet.day or chosen() or here != browser_language():
        lang = here if chosen() or here != browser_language() else None
        return url_for("events.thanks", event=sheet.slug, on=sheet.day or None, lang=lang)
    return f"{request.script_root}/e/{sheet.slug}/thanks"


def _again(
    slug: str,
    date_id: uuid.UUID | None,
    form: RsvpForm,
    box_errors: dict[str, Any] | None = None,
) -> Response:
    """The page once more, with what was typed and what is wrong with it."""
    db.session.rollback()
    html = page(
        queries.date_of(queries.event_by_slug(slug), date_id),
        form,
        ticked=consents_in(request.form),
        box_errors=box_errors or {},
        source=came_with(request)["source"],
    )
    return make_response(html, 400)


def _closed(slug: str, date_id: uuid.UUID | None) -> Response:
    """The event's own page says what became of the date; the post did not count.

    410: over or cancelled for good. Other dates of a series are offered there.
    """
    db.session.rollback()
    queries.forget_sheets()
    date = queries.date_of(queries.event_by_slug(slug), date_id)
    return make_response(page(date, RsvpForm.of(date), came_late=True), 410)


@blueprint.errorhandler(BadRequest)
def stale(error: BadRequest) -> Response:
    """A form that was open for too long: nothing typed is lost, one more press sends it."""
    message = str(error.description or "")
    slug = str((request.view_args or {}).get("event", ""))
    if request.endpoint != "events.answer":
        return error_page(400, message)
    try:
        date_id = _date_id(request.form.get("occurrence", ""))
        form = _form(slug, date_id)
    except NotFound:
        return error_page(404)
    form.form_errors.append(
        _("This page was open for a long time. Please check what you typed and press once more.")
        if request.form
        else message
    )
    return _again(slug, date_id, form)


@blueprint.get("/e/<event>/thanks")
@public
def thanks(event: str) -> Response:
    """The answer to every post, whatever became of it. `?on=` is the date of a series."""
    found = queries.event_by_slug(event)
    date = _date_on(found, request.args.get("on", "")[:16])
    response = make_response(render("events/thanks.html", **frame(date)))
    response.headers["Cache-Control"] = "no-cache"
    return response


# --- behind the link of an answer --------------------------------------------------------------


@blueprint.get("/rsvp/<token>")
@link
def rsvp(token: str) -> Response:
    """What we have noted, and the forms to change it: opening the link changes nothing."""
    mine = answer_behind(token)
    return make_response(show(mine, token, ChangeForm.of(mine, is_new=True)))


def answer_behind(token: str) -> Rsvp:
    """The answer of a link; its page speaks its language. Raises NotFound, Gone."""
    try:
        found = queries.rsvp_by_id(rsvp_of(token))
    except NotFound:
        raise NotFound(
            _("This link does not work. You can answer again on the event's page.")
        ) from None
    if found is None or found.address_hash is None:
        raise Gone(_("This answer was taken back and erased. You can answer again."))
    g.user_language = found.language
    refresh()
    return found


def show(mine: Rsvp, token: str, form: ChangeForm) -> str:
    """The page of an answer, with `form` as it stands."""
    date = mine.occurrence
    return render(
        "events/rsvp.html",
        **frame(date),
        rsvp=mine,
        token=token,
        form=form,
        note=emails.note_of(mine),
        party=emails.party_words(mine.guests, language()),
        is_open=date.is_open(clock.now()),
        place_in_line=queries.place_in_line(mine),
        may_write=queries.wordings_in(mine),
        answers=queries.answers_of(mine, language()),
        code=qr_code(mine),
        preferences=preferences_of(mine),
        done=request.args.get("done", ""),
    )


def qr_code(mine: Rsvp) -> Markup | None:
    """The code to show at the door; None for who is not coming.

    It holds another token than the answer's link: showing it, or having it photographed, gives
    nobody the power to change the answer, and it signs in only with a log-in of the team.
    """
    if mine.state not in {RsvpState.ACCEPTED, RsvpState.TENTATIVE}:
        return None
    url = external("organize_checkin.scan", token=checkin_token(mine.id))
    drawn = segno.make_qr(url, error="m").svg_inline(
        scale=1, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(drawn)  # noqa: S704 - drawn from an address of ours


def preferences_of(mine: Rsvp) -> str:
    """The address of what we hold about whoever answered."""
    if mine.person_id is not None:
        return preferences_url(PERSON, mine.person_id, language())
    return preferences_url(RSVP, mine.id, language())


@blueprint.post("/rsvp/<token>")
@link
def change(token: str) -> Response:
    """Another answer, other guests, needs or shift."""
    mine = answer_behind(token)
    form = ChangeForm.of(mine)
    if not form.validate():
        return make_response(show(mine, token, form), 400)
    try:
        services.change_rsvp(mine, form.change())
    except Conflict:
        db.session.rollback()
        mine = answer_behind(token)
        return make_response(show(mine, token, ChangeForm.of(mine)), 410)
    except Invalid as error:
        db.session.rollback()
        form.add_error(error.field, str(error.message))
        return make_response(show(answer_behind(token), token, form), 400)
    return _done(token, "saved")


@blueprint.post("/rsvp/<token>/cancel")
@link
def cancel(token: str) -> Response:
    """Take the answer back, or give a place back: the next in line has it at once."""
    services.cancel_rsvp(answer_behind(token))
    return _done(token, "cancelled")


@blueprint.post("/rsvp/<token>/confirm")
@link
def confirm(token: str) -> Response:
    """ "Yes, that's me": what was ticked enters the ledger."""
    services.confirm_rsvp(answer_behind(token))
    return _done(token, "confirmed")


def _done(token: str, what: str) -> Response:
    db.session.commit()
    page_cache().freshen()
    return redirect(url_for("events.rsvp", token=token, done=what), 303)
