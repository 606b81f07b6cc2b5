"""The front page, a campaign's page, and how we keep names safe."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, current_app, g, make_response, render_template, request
from werkzeug.wrappers import Response

from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import Campaign
from campaign.errors import NotFound
from campaign.front import queries
from campaign.organizations.models import Permission
from campaign.web.access import allow, public
from campaign.web.actor import actor
from campaign.web.languages import chosen, language
from campaign.web.page_cache import page_cache

blueprint = Blueprint("front", __name__)
SHARED_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Kept:
    """A page as everybody gets it, with the content policy that its nonce belongs to."""

    body: bytes
    etag: str
    policy: str


def shared(*key: str, make: Callable[[], str]) -> Response:
    """The page that `make` renders, the same for everybody who reads its language.

    Made at most every two seconds in this process; a proxy may keep it for five.
    """
    kept = page_cache().get((*key, language(), chosen()), lambda: _keep(make()))
    response = Response(kept.body, mimetype="text/html")
    response.headers["Content-Security-Policy"] = kept.policy
    response.headers["Cache-Control"] = (
        f"public, max-age=0, s-maxage={SHARED_SECONDS}, stale-while-revalidate=30"
    )
    response.headers["Vary"] = "Accept-Language"
    response.set_etag(kept.etag)
    return response.make_conditional(request)


def _keep(html: str) -> Kept:
    body = html.encode()
    response = current_app.process_response(make_response(body))
    return Kept(
        body, hashlib.sha256(body).hexdigest()[:24], response.headers["Content-Security-Policy"]
    )


@blueprint.get("/")
@public
def home() -> Response:
    return shared("home", make=render_home)


def render_home() -> str:
    return render_template("front/home.html", cards=queries.cards(), dates=queries.next_dates())


@blueprint.get("/c/<campaign>")
@public
def campaign(campaign: str) -> Response:
    return shared(
        "campaign", campaign, make=lambda: render_campaign(queries.public_campaign(campaign))
    )


@blueprint.get("/privacy")
@public
def privacy() -> Response:
    return shared("privacy", make=lambda: render_template("front/privacy.html"))


@blueprint.get("/organize/campaigns/<uuid:campaign_id>/preview")
@allow(Permission.DASHBOARD)
def preview(campaign_id: uuid.UUID) -> str:
    found = campaigns.campaign_of(actor().organization_id, campaign_id)
    if found is None:
        raise NotFound
    return render_campaign(found, is_preview=True)


def render_campaign(campaign: Campaign, *, is_preview: bool = False) -> str:
    """A campaign's page, in the time zone of the organization that leads it."""
    page = queries.campaign_page(campaign, language())
    g.time_zone = page.card.organization.time_zone
    return render_template(
        "front/campaign.html",
        page=page,
        campaign=campaign,
        organization=page.card.organization,
        crisis_line=campaign.crisis_line,
        is_preview=is_preview,
    )
