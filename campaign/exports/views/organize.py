"""The organization's own exports."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Invalid, NotFound
from campaign.exports import queries, services
from campaign.exports.forms import PeopleExportForm
from campaign.exports.models import Export, ExportKind
from campaign.lists import queries as lists
from campaign.lists.models import List, Segment
from campaign.organizations.models import Permission
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("exports", __name__, url_prefix="/organize/exports")

MIMETYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


@blueprint.get("/", strict_slashes=False)
@allow(Permission.PEOPLE_EXPORT)
def index() -> str:
    """The exports so far."""
    return render_template(
        "exports/index.html", exports=queries.exports_of(actor().organization_id, ExportKind.PEOPLE)
    )


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.PEOPLE_EXPORT, fresh=True)
def new() -> str | Response:
    """Ask for an export of everybody, a list or a segment."""
    form = PeopleExportForm()
    form.whom.choices = choices()
    if form.is_posted_and_valid():
        try:
            export = services.request_people_export(
                actor().organization_id,
                user_id=actor().user_id,
                reason=form.reason.data,
                format=form.format.data,
                chosen=chosen(form.whom.data or ""),
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            return redirect(url_for("exports.show", export_id=export.id), 303)
    return render_template("exports/new.html", form=form)


@blueprint.get("/<uuid:export_id>")
@allow(Permission.PEOPLE_EXPORT)
def show(export_id: uuid.UUID) -> str:
    """How far an export is; then the link to its file."""
    found = find(export_id)
    is_partial = "HX-Request" in request.headers
    return render_template(
        "partner/_export.html" if is_partial else "exports/show.html",
        export=found,
        show_url=url_for("exports.show", export_id=export_id),
        file_url=url_for("exports.download", export_id=export_id),
        new_url=url_for("exports.new"),
    )


@blueprint.get("/<uuid:export_id>/file")
@allow(Permission.PEOPLE_EXPORT, fresh=True, writes=True)
def download(export_id: uuid.UUID) -> Response:
    """The file, for 24 hours; each download is audited."""
    found = find(export_id)
    path = services.fetch_export(found, user_id=actor().user_id)
    db.session.commit()
    response = send_file(
        path,
        mimetype=MIMETYPES[found.format],
        as_attachment=True,
        download_name=f"people-{found.created_at:%Y-%m-%d}.{found.format}",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def find(export_id: uuid.UUID) -> Export:
    return queries.find_export(actor().organization_id, export_id, ExportKind.PEOPLE)


def choices() -> list[tuple[str, str]]:
    """Everybody, each list, each segment."""
    organization_id = actor().organization_id
    return [
        ("", _("Everybody")),
        *(
            (f"list:{row.id}", _("List: %(name)s", name=row.name))
            for row in lists.lists_of(organization_id)
        ),
        *(
            (f"segment:{row.id}", _("Segment: %(name)s", name=row.name))
            for row in lists.segments_of(organization_id)
        ),
    ]


def chosen(value: str) -> List | Segment | None:
    """What a choice names. Raises NotFound when it is not the organization's."""
    kind, _colon, key = value.partition(":")
    if not value:
        return None
    try:
        found = uuid.UUID(key)
    except ValueError:
        raise NotFound from None
    if kind == "segment":
        return lists.find_segment(actor().organization_id, found)
    return lists.find_list(actor().organization_id, found)
