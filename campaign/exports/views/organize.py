"""The organization's own exports."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Invalid, NotFound
from campaign.exports import queries, services
from campaign.exports.columns import FIELD, OWN_COLUMNS, USUAL
from campaign.exports.forms import PeopleExportForm
from campaign.exports.models import Export, ExportKind
from campaign.fields.queries import fields_of
from campaign.lists import queries as lists
from campaign.lists.models import List, Segment
from campaign.organizations.models import Permission
from campaign.table import columns, rules
from campaign.table import queries as table
from campaign.table.models import Place
from campaign.table.queries import chosen_columns as columns_chosen
from campaign.table.rules import Asked
from campaign.table.services import choose_columns as keep_columns
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import told
from campaign.web.languages import language

blueprint = Blueprint("exports", __name__, url_prefix="/organize/exports")

MIMETYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/x-ndjson",
}
FOUND, TICKED = "found", "ticked"


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
    """Ask for an export: of everybody, a list, a segment, or whom the table found or had ticked."""
    form = PeopleExportForm()
    asked, ids = rules.read(request.values), read_ids()
    form.whom.choices = choices(asked, ids)
    known = known_columns()
    ticked = columns.shown(chosen_columns(), known, USUAL)
    order = columns.arranged((), ticked, list(known))
    if request.method == "GET":
        form.whom.data = TICKED if ids else FOUND if asked.is_anything else ""
    else:
        order = columns.arranged(request.form.get("order", "").split(","), (), list(known))
        order = columns.moved(order, request.form.get("move", ""))
        ticked = [key for key in order if key in request.form.getlist("columns")]
    if request.method == "POST" and not request.form.get("move") and form.is_posted_and_valid():
        try:
            if not ticked:
                raise Invalid(_("Tick at least one column."), field="columns")
            export = services.request_people_export(
                actor().organization_id,
                user_id=actor().user_id,
                reason=form.reason.data,
                format=form.format.data,
                chosen=chosen(form.whom.data or "", asked, ids),
                columns=ticked,
            )
        except Invalid as error:
            if error.field == "columns":
                form.add_error("", error.message)
            else:
                form.add_error(error.field, error.message)
        else:
            keep_columns(actor().user_id, actor().organization_id, Place.FILE, ticked)
            db.session.commit()
            return redirect(url_for("exports.show", export_id=export.id), 303)
    return render_template(
        "exports/new.html",
        form=form,
        asked=asked,
        ids=ids,
        order=order,
        ticked=ticked,
        titles={key: title for key, (title, _is_sensitive) in known.items()},
        notes={
            key: _("Sensitive. The log keeps that it was in a file.")
            for key, (_title, is_sensitive) in known.items()
            if is_sensitive
        },
    )


@blueprint.post("/selected")
@allow(Permission.PEOPLE_EXPORT)
def take_selected() -> Response:
    """The table's button: to the form, with the ticked rows or with the filters of the table."""
    at = MultiDict(parse_qsl(request.form.get("at", "")[:4000]))
    if request.form.get("all"):
        return redirect(url_for("exports.new", **rules.read(at).query()), 303)
    ids = read_ids()
    if not ids:
        told(_("Select some rows first."))
        return redirect(url_for("table.index", **rules.read(at).query()), 303)
    return redirect(url_for("exports.new", ids=[key.hex for key in ids]), 303)


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


def choices(asked: Asked, ids: list[uuid.UUID]) -> list[tuple[str, str]]:
    """Whom the table had ticked or found, everybody, each list, each segment."""
    organization_id = actor().organization_id
    beside = []
    if ids:
        words = ngettext("The %(num)s person you ticked", "The %(num)s people you ticked", len(ids))
        beside.append((TICKED, words))
    if asked.is_anything:
        beside.append((FOUND, _("The people that your filters found")))
    return [
        *beside,
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


def known_columns() -> dict[str, tuple[Any, bool]]:
    """The columns that the actor may have in a file: key → words, and whether it is sensitive."""
    found: dict[str, tuple[Any, bool]] = {key: (words, False) for key, words in OWN_COLUMNS.items()}
    fields = fields_of(
        actor().organization_id, with_sensitive=actor().can(Permission.SENSITIVE_VIEW)
    )
    for field in fields:
        found[f"{FIELD}{field.key}"] = (field.name.get_for(language()), field.is_sensitive)
    return found


def chosen_columns() -> list[str] | None:
    return columns_chosen(actor().user_id, actor().organization_id, Place.FILE)


def read_ids() -> list[uuid.UUID]:
    """The people named; what is no id is passed over."""
    found = []
    for text in request.values.getlist("ids")[:1000]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def chosen(
    value: str, asked: Asked, ids: list[uuid.UUID]
) -> List | Segment | Asked | list[uuid.UUID] | None:
    """What a choice names. Raises NotFound when it is not the organization's, Invalid where a
    filter cannot be asked."""
    if value == TICKED and ids:
        return ids
    if value == FOUND:
        may_see = actor().can(Permission.SENSITIVE_VIEW)
        meant = table.meaning(actor().organization_id, asked, with_sensitive=may_see)
        if meant.problems:
            raise Invalid(next(iter(meant.problems.values())), field="whom")
        table.found(actor().organization_id, meant)
        return asked
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
