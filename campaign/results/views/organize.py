"""Results in the console: a report, its files, mailings side by side, writing again."""

from __future__ import annotations

import io
import uuid
from typing import Any

from babel.dates import format_skeleton, format_time
from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask_babel import format_percent, get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.mailings import queries as mailings
from campaign.mailings.models import Message, MessageState
from campaign.mailings.reasons import reason_words, reasons_in_words
from campaign.organizations.models import Permission
from campaign.results import queries, services, sheets, words
from campaign.results.forms import AgainForm, Wish
from campaign.results.rules import Span
from campaign.tabular import Sheet, write_sheet, write_workbook
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import short_day
from campaign.web.languages import language

blueprint = Blueprint("results", __name__, url_prefix="/organize/results")

COMPARED_AT_FIRST = 10
CHOICES = 50
SMALL_SHARE = 0.2
FILES = ", ".join(f"'{name}'" for name in ("report.xlsx", *(f"{n}.csv" for n in sheets.SHEETS)))
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.context_processor
def vocabulary() -> dict[str, Any]:
    return {
        "base_words": words.base_words,
        "mailbox_words": words.mailbox_words,
        "measure_words": words.measure_words,
        "part_words": words.part_words,
        "percent": percent,
        "reason_words": reason_words,
        "reasons_in_words": reasons_in_words,
        "return_words": words.return_words,
        "result_state_kind": words.state_kind,
        "result_state_words": words.state_words,
    }


def percent(share: float | None) -> str:
    """0.1234 as 12.3%; a dash where there is none."""
    if share is None:
        return "–"
    return str(format_percent(share, "#,##0.0%" if share < SMALL_SHARE else "#,##0%"))


def found(message_id: uuid.UUID) -> Message:
    """A message of the organization one works for; raises NotFound."""
    return mailings.message_of(actor().organization_id, message_id)


def span_words(span: Span, zone_name: str) -> str:
    """An hour or a day, as a person says it there; of an hour that comes twice, which one."""
    local = span.start.astimezone(clock.zone(zone_name))
    if not span.is_hour:
        return short_day(local.date())
    locale = get_locale() or "en"
    day = format_skeleton("MMMEd", local, locale=locale)
    return f"{day}, {format_time(local, 'short', locale=locale)} {local.tzname()}"


# --- a report ------------------------------------------------------------------------------------


@blueprint.get("/<uuid:message_id>")
@allow(Permission.MAILINGS_VIEW)
def report(message_id: uuid.UUID) -> Response | str:
    """What a message did until now; of one that is not out yet, how far it is."""
    message = found(message_id)
    if not message.is_out:
        return redirect(url_for("mailings.message", message_id=message.id), 303)
    told = queries.report_of(message, language())
    state = mailings.progress(message).state
    return render_template(
        "results/report.html",
        message=message,
        report=told,
        state=state,
        states=[(name, told.total.states.get(name)) for name in words.STATES],
        bar=[
            (words.state_words(name), count, words.state_kind(name))
            for name in words.STATES
            if (count := told.total.states.get(name))
        ],
        returns=[(words.return_words(reason), count) for reason, count in told.returns.items()],
        charts=[chart for chart in charts_of(told) if chart["rows"]],
        sheets=[(name, make(told).title) for name, make in sheets.SHEETS.items()],
        may_write_again=state == MessageState.SENT,
    )


def charts_of(told: queries.Report) -> list[dict[str, Any]]:
    """The hours and the days, each as a small chart for every measure."""
    if told.total.is_small:
        return []
    found = []
    for title, is_hour in ((_("Hour by hour"), True), (_("Day by day"), False)):
        part = told.times.part(is_hour=is_hour)
        labels = [span_words(span, told.zone_name) for span in part.spans]
        rows = [
            (words.measure_words(name), list(zip(labels, counts, strict=True)))
            for name, counts in part.series.items()
            if is_hour or any(counts)
        ]
        found.append({"title": title, "rows": rows if labels else [], "labels": labels})
    return found


@blueprint.get(f"/<uuid:message_id>/files/<any({FILES}):name>")
@allow(Permission.MAILINGS_VIEW, writes=True)
def file(message_id: uuid.UUID, name: str) -> Response:
    """The report as a workbook (report.xlsx), or one of its tables (links.csv)."""
    message = found(message_id)
    kind, _dot, ending = name.rpartition(".")
    if not message.is_out:
        return redirect(url_for("mailings.message", message_id=message.id), 303)
    told = queries.report_of(message, language())
    tables = sheets.sheets_of(told) if ending == "xlsx" else [sheets.SHEETS[kind](told)]
    services.note_download(
        actor().organization_id, user_id=actor().user_id, name=name, message_id=message.id
    )
    db.session.commit()
    day = message.started_at.strftime("%Y-%m-%d") if message.started_at else ""
    return as_file(tables, ending, f"mailing-{day}-{kind}.{ending}")


def as_file(tables: list[Sheet], ending: str, name: str) -> Response:
    file = io.BytesIO()
    if ending == "xlsx":
        write_workbook(file, tables)
    else:
        write_sheet(file, tables[0])
    file.seek(0)
    response = send_file(
        file,
        mimetype=XLSX if ending == "xlsx" else CSV,
        as_attachment=True,
        download_name=name,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


# --- side by side --------------------------------------------------------------------------------


@blueprint.get("/", strict_slashes=False)
@allow(Permission.MAILINGS_VIEW)
def compare() -> str:
    """Mailings side by side: the last ten, or those chosen."""
    wish = Wish.of(request.args)
    rows = compared(wish)
    shown = {row.message.id for row in rows}
    key = wish.sort.removeprefix("-")
    charted = key if key in queries.RATES else "clicks"
    return render_template(
        "results/compare.html",
        wish=wish,
        rows=rows,
        shown=shown,
        choices=queries.latest_sent(actor().organization_id, CHOICES, wish.words),
        rates=queries.RATES,
        charted=charted,
        largest=max((row.figures.rate(charted) or 0 for row in rows), default=0),
        file_ids=[row.hex for row in wish.ids],
        zone_name=queries.zone_of(actor().organization_id),
        here=url_for("results.compare", id=[row.hex for row in wish.ids], q=wish.words or None),
        most=queries.MOST_COMPARED,
    )


@blueprint.get("/files/<any('comparison.csv', 'comparison.xlsx'):name>")
@allow(Permission.MAILINGS_VIEW, writes=True)
def compared_file(name: str) -> Response:
    """The comparison as a file: comparison.csv or comparison.xlsx."""
    organization_id = actor().organization_id
    rows = compared(Wish.of(request.args))
    table = sheets.comparison(rows, queries.zone_of(organization_id))
    services.note_download(organization_id, user_id=actor().user_id, name=name, count=len(rows))
    db.session.commit()
    return as_file([table], name.rpartition(".")[2], name)


def compared(wish: Wish) -> list[queries.Compared]:
    organization_id = actor().organization_id
    if wish.ids:
        messages = queries.sent_among(organization_id, wish.ids)
    else:
        messages = queries.latest_sent(organization_id, COMPARED_AT_FIRST)
    return queries.compared(messages, wish.sort)


# --- again ---------------------------------------------------------------------------------------


@blueprint.route("/<uuid:message_id>/again", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def again(message_id: uuid.UUID) -> Response | str:
    """A draft for those who got it and did not act, once somebody has seen how many they are."""
    message = found(message_id)
    try:
        services.check_again(message)
    except Conflict as error:
        flashes.told(error.message)
        return redirect(url_for("results.report", message_id=message.id), 303)
    form = AgainForm()
    if form.is_posted_and_valid():
        try:
            draft = services.write_again(message, form.subject.data or "", user_id=actor().user_id)
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("This is a draft. Nothing is sent until you say so."))
            return redirect(url_for("mailings.message", message_id=draft.id), 303)
    return render_template(
        "results/again.html",
        message=message,
        form=form,
        figures=queries.total_of(message),
        reach=mailings.reach(message.organization_id, services.rest_of(message)),
        asks=queries.asked_by(message, language()),
    )
