"""Paper at the door: sheets to print, and typing them in afterwards."""

from __future__ import annotations

import uuid

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.checkin import queries, services, sheets
from campaign.checkin.forms import MOST_SHEETS, LineForm, SheetsForm
from campaign.checkin.models import SignIn
from campaign.checkin.sheets import LINES
from campaign.checkin.views.organize import found, frame, wordings_of
from campaign.db import db, writing
from campaign.errors import Invalid
from campaign.events import queries as events
from campaign.events.models import Occurrence
from campaign.organizations.models import Organization, Permission
from campaign.people.door import consents_in
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import LANGUAGES, known, language

blueprint = Blueprint("organize_sheets", __name__)


@blueprint.route("/organize/checkin/<uuid:occurrence_id>/sheets", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def paper(occurrence_id: uuid.UUID) -> Response | str:
    """Choose what to print."""
    occurrence = found(occurrence_id)
    form = SheetsForm(data={"language": language(), "sheets": 3})
    if form.is_posted_and_valid():
        return redirect(
            url_for(
                "organize_sheets.sheet_pdf",
                occurrence_id=occurrence_id,
                language=form.language.data,
                sheets=form.sheets.data,
                names="1" if form.names.data else None,
            ),
            303,
        )
    return render_template(
        "checkin/sheets.html", form=form, lines=LINES, here="sheets", **frame(occurrence)
    )


@blueprint.get("/organize/checkin/<uuid:occurrence_id>/sheet.pdf")
@allow(Permission.ANSWERS_EDIT)
def sheet_pdf(occurrence_id: uuid.UUID) -> Response:
    """Numbered sheets with numbered lines; with names, printing them is noted in the log."""
    occurrence = found(occurrence_id)
    in_language = known(request.args.get("language")) or language()
    count = min(max(_number(request.args.get("sheets", "")), 1), MOST_SHEETS)
    rows = []
    if request.args.get("names"):
        with writing():
            if services.note_listing(occurrence, user_id=actor().user_id):
                db.session.commit()
                occurrence = found(occurrence_id)
        rows = [row.rsvp for row in queries.door_rows(occurrence.id)]
    with force_locale(in_language):
        content = sheets.sign_in_sheets(
            occurrence,
            events.boxes_of(occurrence.event),
            rows,
            organization=db.session.get_one(Organization, occurrence.organization_id),
            count=count,
            language=in_language,
            now=clock.now(),
        )
    response = make_response(content)
    response.headers["Content-Type"] = "application/pdf"
    response.headers["Content-Disposition"] = (
        f'inline; filename="sign-in-{occurrence.event.slug}-{occurrence.starts_wall[:10]}.pdf"'
    )
    return response


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 3


@blueprint.route("/organize/checkin/<uuid:occurrence_id>/enter", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def enter(occurrence_id: uuid.UUID) -> Response | str:
    """Type a sheet in, line by line: Enter keeps the line and goes to the next."""
    occurrence = found(occurrence_id)
    sheet, line = _number_or_1("sheet"), _number_or_1("line")
    form = LineForm(
        data={
            "sheet": sheet,
            "line": line,
            "sheet_language": known(request.args.get("language")) or language(),
            "key": services.new_key(),
        }
    )
    ticked = consents_in(request.form) if request.method == "POST" else {}
    alike: list[SignIn] = []
    if form.is_posted_and_valid() and form.check_consents(ticked):
        try:
            return _keep(occurrence, form, ticked)
        except Invalid as error:
            db.session.rollback()
            occurrence = found(occurrence_id)
            form.add_error(error.field, error.message)
            alike = queries.look_alikes(
                occurrence.id,
                email=form.email.data or "",
                first_name=form.first_name.data,
                last_name=form.last_name.data or "",
            )
    shown = form.sheet.data or sheet
    return render_template(
        "checkin/enter.html",
        form=form,
        boxes=events.boxes_of(occurrence.event),
        ticked=ticked,
        sheet=shown,
        box_language=known(form.sheet_language.data) or language(),
        entered=queries.sheet_lines(occurrence.id, shown),
        alike=alike,
        here="sheets",
        languages_of_sheets=LANGUAGES,
        **frame(occurrence),
    )


def _keep(occurrence: Occurrence, form: LineForm, ticked: dict[str, str]) -> Response:
    """Keep a line; the next one is at hand. Raises Invalid for what was entered before."""
    in_language = known(form.sheet_language.data) or language()
    services.walk_in(
        occurrence,
        form.details(wordings_of(occurrence, ticked, in_language), in_language),
        key=form.key.data or "",
        user_id=actor().user_id,
        is_somebody_else=form.repeat.data,
    )
    place, occurrence_id = form.place, occurrence.id
    db.session.commit()
    flashes.done(_("Line %(place)s is kept.", place=place))
    is_last = form.line.data >= LINES
    return redirect(
        url_for(
            "organize_sheets.enter",
            occurrence_id=occurrence_id,
            sheet=form.sheet.data + 1 if is_last else form.sheet.data,
            line=1 if is_last else form.line.data + 1,
            language=in_language,
        ),
        303,
    )


def _number_or_1(name: str) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 4 else 1
