"""Bringing in people from a file, in the console: choose, name the columns, watch, read."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from campaign.db import db, uuid7
from campaign.errors import Gone, Invalid
from campaign.imports import queries, rules, services
from campaign.imports.forms import ImportForm, field_choices
from campaign.imports.models import Import, ImportState
from campaign.lists.queries import lists_of
from campaign.lists.services import get_or_create_list
from campaign.organizations.models import Permission
from campaign.tabular import CsvReader, Unreadable
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done
from campaign.web.requests import settings

blueprint = Blueprint("imports", __name__, url_prefix="/organize/people/import")

UPLOAD_BYTES = 20 * 1024 * 1024
PREVIEW_ROWS = 4


@blueprint.route("/", methods=["GET", "POST"], strict_slashes=False)
@allow(Permission.PEOPLE_IMPORT, upload=UPLOAD_BYTES)
def new() -> str | Response:
    """Choose a file and say on what basis; the next page names its columns."""
    form = ImportForm()
    if form.is_posted_and_valid():
        path = keep(form.file.data)
        try:
            look_into(path)
            found = services.draft_import(
                actor().organization_id,
                filename=form.file.data.filename or "",
                path=str(path),
                report_path=str(path.with_suffix(".report.csv")),
                basis=form.basis.data,
                list_id=named_list(form.list_name.data),
                user_id=actor().user_id,
            )
        except Invalid as error:
            db.session.rollback()
            path.unlink(missing_ok=True)
            form.add_error(error.field or "file", in_words(error))
        else:
            db.session.commit()
            return to_import(found.id)
    return render_template(
        "imports/new.html",
        form=form,
        imports=queries.imports_of(actor().organization_id),
        lists=lists_of(actor().organization_id),
    )


@blueprint.get("/<uuid:import_id>")
@allow(Permission.PEOPLE_IMPORT)
def show(import_id: uuid.UUID) -> str:
    """The columns of a draft; the progress of one that runs; what became of one that is over."""
    found = queries.find_import(actor().organization_id, import_id)
    if found.state != ImportState.DRAFT:
        is_partial = "HX-Request" in request.headers
        return render_template(
            "imports/_progress.html" if is_partial else "imports/show.html", found=found
        )
    return columns_page(found, error="")


@blueprint.post("/<uuid:import_id>/start")
@allow(Permission.PEOPLE_IMPORT)
def start(import_id: uuid.UUID) -> str | Response:
    """Take the columns as named and let a worker begin."""
    found = queries.find_import(actor().organization_id, import_id)
    header, _rows = look_into(Path(found.path)) if found.path else ((), [])
    chosen = {
        column: request.form.get(f"column-{place}", "ignore") for place, column in enumerate(header)
    }
    try:
        rules.map_columns(header, chosen)
    except Invalid as error:
        return columns_page(found, error=str(error.message), chosen=chosen)
    services.start_import(found, chosen)
    db.session.commit()
    return to_import(found.id)


@blueprint.post("/<uuid:import_id>/drop")
@allow(Permission.PEOPLE_IMPORT)
def drop(import_id: uuid.UUID) -> Response:
    """Forget a file that was not started."""
    path = services.drop_import(queries.find_import(actor().organization_id, import_id))
    db.session.commit()
    Path(path).unlink(missing_ok=True)
    done(_("The file is deleted. Nothing was brought in."))
    return redirect(url_for("imports.new"), 303)


@blueprint.get("/<uuid:import_id>/report")
@allow(Permission.PEOPLE_IMPORT)
def report(import_id: uuid.UUID) -> Response:
    """The report of every row, as CSV."""
    found = queries.find_import(actor().organization_id, import_id)
    path = Path(found.report_path)
    if not found.is_over or not found.report_path or not path.is_file():
        raise Gone(_("The report is kept for 30 days."))
    response = send_file(
        path,
        mimetype="text/csv",
        as_attachment=True,
        download_name=f"import-{found.created_at:%Y-%m-%d}-report.csv",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def keep(upload: FileStorage) -> Path:
    """The uploaded file below DATA_DIR, where the worker finds it."""
    folder = settings().data_dir.resolve() / "imports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{uuid7().hex}.csv"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        upload.save(file)
    return path


def look_into(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the first rows of a file. Raises Unreadable, or Gone when it is deleted."""
    try:
        file = path.open("rb")
    except OSError:
        raise Gone(_("This file was kept for a day and is deleted. Upload it again.")) from None
    with file:
        reader = CsvReader(file)
        rows = []
        for row in reader:
            if row.problem is None:
                rows.append(tuple(cell[:80] for cell in row.cells))
            if len(rows) == PREVIEW_ROWS:
                break
        reader.close()
    return reader.header, rows


def columns_page(found: Import, *, error: str, chosen: dict[str, str] | None = None) -> str:
    """What each column holds, with the first rows below."""
    header, rows = look_into(Path(found.path))
    recognized = rules.recognize(header)
    return render_template(
        "imports/columns.html",
        found=found,
        header=header,
        rows=rows,
        chosen=chosen or {column: recognized.get(column, "ignore") for column in header},
        choices=field_choices(),
        error=error,
    )


def named_list(name: str) -> uuid.UUID | None:
    if not name:
        return None
    try:
        return get_or_create_list(actor().organization_id, name).id
    except Invalid as error:
        raise Invalid(error.message, field="list_name") from None


def in_words(error: Invalid) -> str:
    return rules.reason_unreadable(error) if isinstance(error, Unreadable) else str(error.message)


def to_import(import_id: uuid.UUID) -> Response:
    return redirect(url_for("imports.show", import_id=import_id), 303)
