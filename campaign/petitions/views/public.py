"""A petition: read, sign, confirm, thanks, withdraw."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, g, jsonify, make_response, redirect, request, url_for
from flask import render_template as render
from flask_babel import gettext as _
from markupsafe import escape
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.boxes import mark_of
from campaign.db import db
from campaign.errors import CampaignError, Conflict, Gone, Invalid, NotFound
from campaign.organizations.models import Organization
from campaign.people.door import HONEYPOT, signals
from campaign.petitions import emails, queries, rules, services
from campaign.petitions.forms import (
    SignForm,
    came_with,
    consents,
)
from campaign.petitions.models import Petition, Signature, SignatureState
from campaign.petitions.queries import Sheet
from campaign.petitions.services import SignerDetails
from campaign.places import queries as places
from campaign.web.access import link, public
from campaign.web.csrf import signer
from campaign.web.error_pages import error_page
from campaign.web.headers import content_policy
from campaign.web.languages import (
    LANGUAGES,
    LanguageLink,
    browser_language,
    chosen,
    language,
)
from campaign.web.links import PERSON, SIGNATURE, external, preferences_url
from campaign.web.page_cache import keep_answer, page_cache
from campaign.web.requests import settings

blueprint = Blueprint("petitions", __name__)
DEVICE_DAYS = 180
QUERY_MARK = "query-0f6d"
SOURCE_MARK = "source-0f6d"
REFERRAL_MARK = "referral-0f6d"
SHARED_SECONDS = 5
FAILED = "campaign.signing_failed"
"""Where the express desk (express.py) leaves the error that this module makes a page of."""


# --- the page ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as everybody gets it: marks stand where the visitor's own query is put in."""

    html: str
    plain: bytes
    etag: str
    policy: str


@blueprint.get("/p/<petition>")
@public
def petition(petition: str) -> Response:
    """The petition with its form: one rendering for all, unless the device is remembered."""
    if device_cookie() in request.cookies:
        return _remembered_page(petition)
    key = ("petition", petition, language(), chosen())
    kept = page_cache().get(key, lambda: _render_page(petition))
    if not request.query_string or set(request.args) == {"lang"}:
        keep_answer(key)
    return _answer(kept)


def _render_page(slug: str) -> Rendered:
    found = queries.petition_by_slug(slug)
    html = page(
        found,
        SignForm.of(queries.sheet_of(found), formdata=None),
        source=SOURCE_MARK,
        referral=REFERRAL_MARK,
        language_links=lambda: _language_links(slug),
    )
    plain = _fill(html, "", "", "").encode()
    etag = hashlib.sha256(plain).hexdigest()[:24]
    return Rendered(html, plain, etag, content_policy(g.get("csp_nonce")))


def _language_links(slug: str) -> list[LanguageLink]:
    here = language()
    return [
        LanguageLink(
            code, name, url_for("petitions.petition", petition=slug, lang=code) + QUERY_MARK
        )
        for code, name in LANGUAGES.items()
        if code != here
    ]


def _fill(html: str, query: str, source: str, referral: str) -> str:
    """Put a visitor's own query into a shared page, escaped."""
    return (
        html.replace(QUERY_MARK, str(escape(query)))
        .replace(SOURCE_MARK, str(escape(source)))
        .replace(REFERRAL_MARK, str(escape(referral)))
    )


def _answer(kept: Rendered) -> Response:
    body, etag = kept.plain, kept.etag
    if request.query_string and (request.args.keys() - {"lang"}):
        carried = came_with(request)
        source, referral = carried["source"], carried["referral_code"]
        query = "".join(
            f"&{name}={quote(value)}"
            for name, value in (("source", source), ("ref", referral))
            if value
        )
        body = _fill(kept.html, query, source, referral).encode()
        etag = hashlib.sha256(body).hexdigest()[:24]
    response = Response(body, mimetype="text/html")
    response.headers["Content-Security-Policy"] = kept.policy
    response.headers["Cache-Control"] = (
        f"public, max-age=0, s-maxage={SHARED_SECONDS}, stale-while-revalidate=30"
    )
    response.headers["Vary"] = "Accept-Language, Cookie"
    response.set_etag(etag)
    return response.make_conditional(request)


def page(found: Petition, form: SignForm, **more: Any) -> str:
    """The petition's page as HTML, with `form` as it stands."""
    now = clock.now()
    counts = queries.count(found.id)
    lead = db.session.get_one(Organization, found.organization_id)
    wards = {key for key in queries.counts_by_district(found.id) if key is not None}
    return render(
        "petitions/petition.html",
        petition=found,
        campaign=found.campaign,
        organization=lead,
        crisis_line=found.campaign.crisis_line or lead.crisis_line,
        form=form,
        boxes=queries.boxes_of(found),
        mark_of=mark_of,
        is_open=found.is_open(now),
        is_closed=found.ended_at(now) is not None,
        counts=counts,
        goal=rules.goal_for(counts.confirmed, found.goal),
        ward_count=len(wards),
        wards_in_all=queries.district_count(),
        signers=queries.public_signers(found, language()),
        comments=queries.public_comments(found, language()),
        clinics=campaigns.clinics_of(found.campaign_id),
        honeypot=HONEYPOT,
        **more,
    )


@blueprint.get("/p/<petition>.json")
@public
def counts(petition: str) -> Response:
    """Public counts, for other sites and programs: `{"total", "goal", "by_ward"}`."""
    kept = page_cache().get(("counts", petition), lambda: _counts(petition))
    keep_answer(("counts", petition))
    response = jsonify(kept)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Cache-Control"] = (
        f"public, max-age=0, s-maxage={SHARED_SECONDS}, stale-while-revalidate=30"
    )
    response.add_etag()
    return response.make_conditional(request)


def _counts(slug: str) -> dict[str, Any]:
    found = queries.petition_by_slug(slug)
    total = queries.count(found.id).confirmed
    return {
        "total": total,
        "goal": rules.goal_for(total, found.goal),
        "by_ward": queries.counts_by_ward(found.id),
    }


# --- signing -----------------------------------------------------------------------------------


@blueprint.post("/p/<petition>")
@public
def sign(petition: str) -> Response:
    """Take a signature. The answer is the same whoever signed, and whatever became of it."""
    sheet = queries.sheet(petition)
    if not sheet.is_open(clock.now()):
        return _closed(petition)
    earlier = _remembered() if request.form.get("one_tap") else None
    if earlier is not None:
        return _sign_with_one_tap(sheet, earlier)
    try:
        failed = request.environ.get(FAILED)
        if failed is not None:
            raise failed  # at the express desk, where nobody can make a page of it
        form, ip = SignForm.of(sheet), request.remote_addr or ""
        odd = signals(request, "sign", sheet.id.hex)
        if not form.validate():
            return _again(petition, form)
        details = form.details(odd, ip)
        services.sign_petition(sheet, details)
    except Conflict:
        return _closed(petition)
    except Invalid as error:
        return _again(petition, SignForm.of(sheet), {error.field: error.message})
    if db.session.registry.has():  # signing may have been one statement and no session
        db.session.commit()
    return Response(status=303, headers={"Location": _thanks_address(petition, details.language)})


def _thanks_address(slug: str, here: str) -> str:
    """The answer's address; it keeps the language, also when only the form says it."""
    if chosen() or here != browser_language():
        return url_for("petitions.thanks", petition=slug, lang=here)
    return f"{request.script_root}/p/{slug}/thanks"


def _again(slug: str, form: SignForm, box_errors: dict[str, Any] | None = None) -> Response:
    """The page once more, with what was typed and what is wrong with it."""
    db.session.rollback()
    carried = came_with(request)
    html = page(
        queries.petition_by_slug(slug),
        form,
        ticked=consents(request.form),
        box_errors=box_errors or {},
        source=carried["source"],
        referral=carried["referral_code"],
    )
    return make_response(html, 400)


@blueprint.errorhandler(BadRequest)
def stale(error: BadRequest) -> Response:
    """A form that was open for too long: nothing typed is lost, one more press sends it."""
    message = str(error.description or "")
    slug = str((request.view_args or {}).get("petition", ""))
    if request.endpoint != "petitions.sign":
        return error_page(400, message)
    try:
        form = SignForm.of(queries.sheet(slug))
    except NotFound:
        return error_page(404)
    form.form_errors.append(
        _("This page was open for a long time. Please check what you typed and press once more.")
        if request.form
        else message
    )
    return _again(slug, form)


def _closed(slug: str) -> Response:
    """The closed petition's own page says what came of it; the post did not count."""
    db.session.rollback()
    found = queries.petition_by_slug(slug)
    form = SignForm.of(queries.sheet_of(found))
    return make_response(page(found, form, came_late=True), 410)


@blueprint.get("/p/<petition>/thanks")
@public
def thanks(petition: str) -> Response:
    """The answer to every post, whatever became of it."""
    found = queries.petition_by_slug(petition)
    response = make_response(render("petitions/thanks.html", **_frame(found)))
    response.headers["Cache-Control"] = "no-cache"
    return response


def _frame(found: Petition) -> dict[str, Any]:
    """What every page about a petition stands in."""
    lead = db.session.get_one(Organization, found.organization_id)
    return {
        "petition": found,
        "campaign": found.campaign,
        "organization": lead,
        "crisis_line": found.campaign.crisis_line or lead.crisis_line,
    }


# --- confirming --------------------------------------------------------------------------------


@blueprint.get("/confirm/<token>")
@link
def confirm(token: str) -> Response:
    """A page with a button: opening it, as mail scanners do, changes nothing."""
    signature = _signature_behind(token)
    found = db.session.get_one(Petition, signature.petition_id)
    if signature.state == SignatureState.CONFIRMED:
        return make_response(_thank(found, signature, token))
    return make_response(
        render(
            "petitions/confirm.html",
            **_frame(found),
            signature=signature,
            shown=queries.as_public(signature, found, places.district_names(language())),
            wordings=queries.wordings_in(signature),
            answers=queries.answers_of(signature, language()),
            token=token,
        )
    )


@blueprint.post("/confirm/<token>")
@link
def confirm_now(token: str) -> Response:
    """Count the signature, once."""
    signature = _signature_behind(token)
    services.confirm_signature(token)
    db.session.commit()
    page_cache().freshen()
    response = redirect(url_for("petitions.confirm", token=token), 303)
    return _remember(response, signature) if request.form.get("remember") else response


def _signature_behind(token: str) -> Signature:
    """The signature of a link, in words a person can use when there is none (any more)."""
    try:
        signature = queries.signature_by_token(token)
    except NotFound:
        raise NotFound(
            _("This link does not work. Links work for 7 days. You can sign again on the petition.")
        ) from None
    except Gone:
        raise Gone(_("This link is older than 7 days. You can sign again.")) from None
    if signature.state not in {SignatureState.PENDING, SignatureState.CONFIRMED}:
        raise Gone(_("This signature was taken back. You can sign again on the petition."))
    return signature


def _thank(found: Petition, signature: Signature, token: str) -> str:
    """Thanks, what to do next, and the signer's own link."""
    text = _("I signed “%(title)s”. Will you?", title=found.title.get_for(language()))
    return render(
        "petitions/signed.html",
        **_frame(found),
        signature=signature,
        counts=queries.count(found.id),
        goal=rules.goal_for(queries.count(found.id).confirmed, found.goal),
        share_url=external("petitions.petition", petition=found.slug, ref=signature.referral_code),
        share_text=text,
        preferences=_preferences(signature),
        is_remembered=_remembered() is not None,
        token=token,
    )


# --- withdrawing -------------------------------------------------------------------------------


@blueprint.get("/withdraw/<token>")
@link
def withdraw(token: str) -> str:
    """A page with a button that takes the name off."""
    signature = _signature_to_withdraw(token)
    found = db.session.get_one(Petition, signature.petition_id)
    return render(
        "petitions/withdraw.html",
        **_frame(found),
        signature=signature,
        preferences=_preferences(signature),
        token=token,
    )


def _preferences(signature: Signature) -> str:
    """The address of what we hold about a signer."""
    if signature.person_id is not None:
        return preferences_url(PERSON, signature.person_id, language())
    return preferences_url(SIGNATURE, signature.id, language())


@blueprint.post("/withdraw/<token>")
@link
def withdraw_now(token: str) -> Response:
    """Take the name off: the count falls by one."""
    services.withdraw_signature(_signature_to_withdraw(token))
    db.session.commit()
    page_cache().clear()
    return redirect(url_for("petitions.withdraw", token=token), 303)


def _signature_to_withdraw(token: str) -> Signature:
    try:
        return queries.signature_by_token(token, in_time=False)
    except NotFound:
        raise NotFound(
            _("This signature is not here any more. There is nothing left to take back.")
        ) from None


# --- a device that is remembered ---------------------------------------------------------------


def device_cookie() -> str:
    """The name of the one cookie that a public page may set, and only when it is asked to."""
    return "__Host-signer" if settings().is_secure else "signer"


def _remember(response: Response, signature: Signature) -> Response:
    response.set_cookie(
        device_cookie(),
        signer().sign(emails.DEVICE, signature.id.hex),
        max_age=DEVICE_DAYS * 86400,
        secure=settings().is_secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def _remembered() -> Signature | None:
    """The confirmed signature whose owner asked this device to remember them, if it still counts."""
    token = request.cookies.get(device_cookie())
    if not token:
        return None
    try:
        value = signer().read(emails.DEVICE, token, max_age=DEVICE_DAYS * 86400)
    except CampaignError:
        return None
    signature = queries.signature_by_id(uuid.UUID(value))
    if signature is None or signature.state != SignatureState.CONFIRMED or not signature.email:
        return None
    return signature


def _remembered_page(slug: str) -> Response:
    """The petition for a device that knows its owner: one tap signs, "not you?" forgets."""
    found = queries.petition_by_slug(slug)
    earlier = _remembered()
    carried = came_with(request)
    html = page(
        found,
        SignForm.of(queries.sheet_of(found), formdata=None),
        remembered=earlier,
        source=carried["source"],
        referral=carried["referral_code"],
        has_signed=earlier is not None and queries.has_signed(found.id, earlier),
    )
    response = make_response(html)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _sign_with_one_tap(sheet: Sheet, earlier: Signature) -> Response:
    details = SignerDetails(
        first_name=earlier.first_name,
        display=request.form.get("display", ""),
        ip=request.remote_addr or "",
        **came_with(request),
    )
    signature = services.sign_remembered(sheet, earlier, details)
    db.session.commit()
    page_cache().freshen()
    if signature is None:
        return redirect(url_for("petitions.thanks", petition=sheet.slug), 303)
    token = emails.confirmation_token(signature.id)
    return redirect(url_for("petitions.confirm", token=token), 303)


@blueprint.post("/confirm/<token>/remember")
@link
def remember(token: str) -> Response:
    """Remember the signer on this device, when the box is ticked."""
    signature = _signature_behind(token)
    response = redirect(url_for("petitions.confirm", token=token), 303)
    if signature.state == SignatureState.CONFIRMED and request.form.get("remember"):
        return _remember(response, signature)
    return response


@blueprint.post("/p/<petition>/not-me")
@public
def not_me(petition: str) -> Response:
    """Forget whoever this device remembers."""
    response = redirect(url_for("petitions.petition", petition=petition), 303)
    response.delete_cookie(
        device_cookie(), path="/", secure=settings().is_secure, httponly=True, samesite="Lax"
    )
    return response
