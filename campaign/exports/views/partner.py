"""What a partner sees: its own numbers, and the exports of those who said yes to it."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Invalid
from campaign.exports import queries, services
from campaign.exports.forms import PartnerExportForm
from campaign.exports.models import Export, ExportKind
from campaign.organizations.models import Organization, Permission
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language
from campaign.web.links import external

blueprint = Blueprint("partner", __name__, url_prefix="/partner")


@blueprint.get("/", strict_slashes=False)
@allow(Permission.PARTNER_VIEW)
def index() -> str:
    """The campaigns it takes part in, each with its own numbers."""
    partner = db.session.get_one(Organization, actor().organization_id)
    numbers = [
        queries.partner_numbers(partner, campaign, partner.time_zone)
        for campaign in queries.shared_campaigns(partner.id)
    ]
    links = {
        petition.id: external("petitions.petition", petition=petition.slug, source=partner.slug)
        for one in numbers
        for petition in one.petitions
    }
    return render_template("partner/index.html", partner=partner, numbers=numbers, links=links)


@blueprint.route("/exports", methods=["GET"], strict_slashes=False)
@allow(Permission.PARTNER_EXPORT)
def exports() -> str:
    """Its exports so far."""
    return render_template(
        "partner/exports.html",
        exports=queries.exports_of(actor().organization_id, ExportKind.PARTNER),
        campaigns=campaign_names(),
    )


@blueprint.route("/exports/new", methods=["GET", "POST"])
@allow(Permission.PARTNER_EXPORT, fresh=True)
def new() -> str | Response:
    """Ask for an export: of which campaign, and what for."""
    form = PartnerExportForm()
    form.campaign.choices = list(campaign_names().items())
    if request.method == "GET" and request.args.get("campaign"):
        form.campaign.data = request.args["campaign"]
    if form.is_posted_and_valid():
        campaign = queries.shared_campaign(actor().organization_id, read_id(form.campaign.data))
        try:
            export = services.request_partner_export(
                campaign,
                partner_id=actor().organization_id,
                user_id=actor().user_id,
                reason=form.reason.data,
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            return redirect(url_for("partner.export", export_id=export.id), 303)
    return render_template("partner/new.html", form=form)


@blueprint.get("/exports/<uuid:export_id>")
@allow(Permission.PARTNER_EXPORT)
def export(export_id: uuid.UUID) -> str:
    """How far an export is; then the link to its file."""
    found = find(export_id)
    is_partial = "HX-Request" in request.headers
    return render_template(
        "partner/_export.html" if is_partial else "partner/export.html",
        export=found,
        campaign=campaign_names().get(str(found.campaign_id), ""),
        show_url=url_for("partner.export", export_id=export_id),
        file_url=url_for("partner.download", export_id=export_id),
        new_url=url_for("partner.new"),
    )


@blueprint.get("/exports/<uuid:export_id>/file")
@allow(Permission.PARTNER_EXPORT, fresh=True, writes=True)
def download(export_id: uuid.UUID) -> Response:
    """The file, for 24 hours; each download is audited."""
    found = find(export_id)
    path = services.fetch_export(found, user_id=actor().user_id)
    db.session.commit()
    response = send_file(
        path,
        mimetype="text/csv; charset=utf-8",
        as_attachment=True,
        download_name=f"supporters-{found.created_at:%Y-%m-%d}.csv",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def find(export_id: uuid.UUID) -> Export:
    return queries.find_export(actor().organization_id, export_id, ExportKind.PARTNER)


def campaign_names() -> dict[str, str]:
    """Campaign id → title of those it takes part in."""
    return {
        str(campaign.id): campaign.title.get_for(language())
        for campaign in queries.shared_campaigns(actor().organization_id)
    }


def read_id(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None
