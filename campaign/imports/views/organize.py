"""Bringing in people from a file, in the console: choose, name the columns, watch, read."""

from __future__ import annotations

import os
import uuid
from itertools import islice
from pathlib import Path

from flask import Blueprint, make_response, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db, uuid7
from campaign.errors import Conflict, Gone, Invalid
from campaign.fields.models import Question
from campaign.imports import delivery, queries, rules, services
from campaign.imports.forms import ImportForm, field_choices
from campaign.imports.models import Import, ImportState
from campaign.imports.rules import Entry
from campaign.lists.queries import lists_of
from campaign.lists.services import get_or_create_list
from campaign.organizations.models import Permission
from campaign.tabular import CsvReader, Row, Unreadable
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done
from campaign.web.languages import language
from campaign.web.requests import settings
from campaign.workbooks import check_workbook, is_workbook

blueprint = Blueprint("imports", __name__, url_prefix="/organize/people/import")

UPLOAD_BYTES = 200 * 1024 * 1024
PREVIEW_ROWS = 4
LOOK_BYTES = 4 * 1024 * 1024
"""So much of a file a page looks at to know its encoding; the worker looks at all of it."""


@blueprint.route("/", methods=["GET", "POST"], strict_slashes=False)
@allow(Permission.PEOPLE_IMPORT, upload=UPLOAD_BYTES)
def new() -> str | Response:
    """Choose a file and say on what basis; a worker reads it through."""
    form = ImportForm()
    if form.is_posted_and_valid():
        path = keep(form.file.data)
        try:
            refuse_at_once(path)
            found = services.draft_import(
                actor().organization_id,
                services.FileDetails(
                    filename=form.file.data.filename or "",
                    basis=form.basis.data,
                    list_id=named_list(form.list_name.data),
                    source=form.source.data or "",
                    tags=form.tag_names(),
                ),
                path=str(path),
                report_path=str(path.with_suffix(".report.csv")),
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
        most=UPLOAD_BYTES // 1024 // 1024,
    )


@blueprint.get("/<uuid:import_id>")
@allow(Permission.PEOPLE_IMPORT)
def show(import_id: uuid.UUID) -> str | Response:
    """The columns of a draft; the progress of one that runs; what became of one that is over."""
    found = queries.find_import(actor().organization_id, import_id)
    is_partial = "HX-Request" in request.headers
    if found.state != ImportState.DRAFT:
        return render_template(
            "imports/_progress.html" if is_partial else "imports/show.html",
            found=found,
            seconds_left=found.seconds_left(clock.now()),
        )
    if is_partial:  # it was read, or tried, a moment ago: the whole page is another one
        response = make_response("")
        response.headers["HX-Refresh"] = "true"
        return response
    return columns_page(found)


@blueprint.post("/<uuid:import_id>/start")
@allow(Permission.PEOPLE_IMPORT)
def start(import_id: uuid.UUID) -> str | Response:
    """Take the columns as named; show how they are read, try all rows, or bring them in."""
    found = queries.find_import(actor().organization_id, import_id)
    if found.state != ImportState.DRAFT:
        raise Conflict
    header, _rows = look_into(Path(found.path))
    chosen = {
        column: request.form.get(f"column-{place}", rules.IGNORED)
        for place, column in enumerate(header)
    }
    try:
        rules.map_columns(header, chosen, own_questions())
    except Invalid as error:
        return columns_page(found, error=str(error.message), chosen=chosen)
    action = request.form.get("do", "")
    if action == "look":
        return columns_page(found, chosen=chosen)
    services.start_import(found, header, chosen, is_trial=action == "try")
    db.session.commit()
    return to_import(found.id)


@blueprint.post("/<uuid:import_id>/stop")
@allow(Permission.PEOPLE_IMPORT)
def stop(import_id: uuid.UUID) -> Response:
    """Work in no more rows."""
    services.stop_import(queries.find_import(actor().organization_id, import_id))
    db.session.commit()
    done(_("Stopped. What is in stays in."))
    return to_import(import_id)


@blueprint.post("/<uuid:import_id>/go-on")
@allow(Permission.PEOPLE_IMPORT)
def go_on(import_id: uuid.UUID) -> Response:
    """Take a stopped import up where it stood."""
    services.go_on(queries.find_import(actor().organization_id, import_id))
    db.session.commit()
    return to_import(import_id)


@blueprint.post("/<uuid:import_id>/drop")
@allow(Permission.PEOPLE_IMPORT)
def drop(import_id: uuid.UUID) -> Response:
    """Forget a file that was not started."""
    paths = services.drop_import(queries.find_import(actor().organization_id, import_id))
    db.session.commit()
    for path in paths:
        Path(path).unlink(missing_ok=True)
    done(_("The file is deleted. Nothing was brought in."))
    return redirect(url_for("imports.new"), 303)


@blueprint.get("/<uuid:import_id>/report")
@allow(Permission.PEOPLE_IMPORT)
def report(import_id: uuid.UUID) -> Response:
    """The report of every row, as CSV."""
    found = queries.find_import(actor().organization_id, import_id)
    path = Path(found.report_path)
    is_there = found.is_over or found.state == ImportState.STOPPED or found.trial
    if not is_there or not found.report_path or not path.is_file():
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
    path = folder / f"{uuid7().hex}.upload"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        upload.save(file)
    return path


def refuse_at_once(path: Path) -> None:
    """Say at the form what cannot be a table, by the beginning of the file or the directory of a
    workbook. Raises Unreadable."""
    with path.open("rb") as file:
        if is_workbook(path):
            check_workbook(file)
        else:
            CsvReader(file, look_bytes=LOOK_BYTES).close()


def look_into(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The header and the first rows of a file. Raises Unreadable, or Gone when it is deleted."""
    try:
        file = path.open("rb")
    except OSError:
        raise Gone(_("This file was kept for a day and is deleted. Upload it again.")) from None
    with file:
        reader = CsvReader(file, look_bytes=LOOK_BYTES)
        rows = list(islice(reader, PREVIEW_ROWS))
        reader.close()
    return reader.header, rows


def own_questions() -> list[Question]:
    """The own fields that this user may fill from a file."""
    may_see = actor().can(Permission.SENSITIVE_VIEW)
    return delivery.questions_of(actor().organization_id, with_sensitive=may_see)


def columns_page(found: Import, *, error: str = "", chosen: dict[str, str] | None = None) -> str:
    """What each column holds, with the first rows as they are and as they are read."""
    header, rows = look_into(Path(found.path))
    own = own_questions()
    known = found.mapping or queries.remembered(found.organization_id, header)
    is_remembered = chosen is None and not found.mapping and bool(known)
    guessed = rules.recognize(header, own) | {
        column: name for column, name in known.items() if column in header
    }
    chosen = chosen or {column: guessed.get(column, rules.IGNORED) for column in header}
    return render_template(
        "imports/columns.html",
        found=found,
        header=header,
        rows=[row for row in rows if row.problem is None],
        chosen=chosen,
        choices=field_choices(own),
        error=error,
        program=rules.program_of(header),
        is_remembered=is_remembered,
        readings=[] if error else readings(found, header, chosen, own, rows),
    )


def readings(
    found: Import,
    header: tuple[str, ...],
    chosen: dict[str, str],
    own: list[Question],
    rows: list[Row],
) -> list[tuple[int, Entry | None, str]]:
    """The first rows as they are read with these columns: number, what they say, what is wrong."""
    try:
        mapping = rules.map_columns(header, chosen, own)
    except Invalid:
        return []
    plan = rules.Plan.of(
        header,
        mapping,
        own,
        wards=delivery.wards(),
        source=found.source,
        tags=tuple(found.tags),
        language=language(),
    )
    seen: list[tuple[int, Entry | None, str]] = []
    for row in rows:
        try:
            entry = rules.read_row(row, plan)
            seen.append((row.number, entry, str(entry.note)))
        except rules.RefusedError as refusal:
            seen.append((row.number, None, str(refusal.reason)))
    return seen


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
