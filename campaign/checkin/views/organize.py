"""The door: sign in by QR, list or sheet, count heads, report."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from babel.dates import format_time
from flask import Blueprint, jsonify, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import boxes
from campaign.checkin import queries, rules, services
from campaign.checkin.forms import HeadsForm, WalkInForm
from campaign.checkin.models import SignInWay
from campaign.checkin.services import Pressed
from campaign.db import db, writing
from campaign.errors import Invalid, NotFound
from campaign.events import queries as events
from campaign.events.models import Occurrence, Rsvp
from campaign.events.recurrence import read_wall
from campaign.events.words import NEED_NAMES
from campaign.organizations.models import Permission
from campaign.people.door import consents_in
from campaign.people.names import fold
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language
from campaign.web.links import checkin_of, checkin_token

blueprint = Blueprint("organize_checkin", __name__)
MOST_PRESSED = 500
MOST_OTHERS = 60


def found(occurrence_id: uuid.UUID) -> Occurrence:
    """A date of the organization one works for; raises NotFound."""
    return events.occurrence_of(actor().organization_id, occurrence_id)


def to(endpoint: str, **values: Any) -> Response:
    """See another page of this file."""
    return redirect(url_for(f"organize_checkin.{endpoint}", **values), 303)


def clock_time(at: datetime, occurrence: Occurrence) -> str:
    """An instant as the clock on the wall there shows it."""
    there = at.astimezone(clock.zone(occurrence.event.zone))
    return str(format_time(there, "short", locale=language()))


def frame(occurrence: Occurrence) -> dict[str, Any]:
    """What every page of one date shows."""
    return {
        "occurrence": occurrence,
        "event": occurrence.event,
        "day_there": read_wall(occurrence.starts_wall).date(),
        "others": events.dates_of(occurrence.event, limit=MOST_OTHERS),
        "at_clock": lambda at: clock_time(at, occurrence),
        "need_names": NEED_NAMES,
        "mark_of": boxes.mark_of,
    }


def may_scan(response: Response) -> Response:
    """Let this page, and no other, ask for the camera."""
    response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
    return response


# --- the door ----------------------------------------------------------------------------------


@blueprint.get("/organize/checkin/")
@allow(Permission.ANSWERS_EDIT)
def doors() -> str:
    """The dates whose door is open today."""
    now = clock.now()
    rows = queries.dates_open(actor().organization_id, now)
    return render_template(
        "checkin/doors.html",
        rows=[(row, queries.numbers_of(row.id)) for row in rows],
    )


@blueprint.get("/organize/checkin/event/<uuid:event_id>")
@allow(Permission.ANSWERS_EDIT)
def door_of_event(event_id: uuid.UUID) -> Response:
    """The door of an event's next date."""
    return to("door", occurrence_id=_date_of(event_id).id)


@blueprint.get("/organize/checkin/event/<uuid:event_id>/report")
@allow(Permission.EVENTS_VIEW)
def report_of_event(event_id: uuid.UUID) -> Response:
    """The numbers of an event's next date, or of its last."""
    return redirect(url_for("organize_reports.report", occurrence_id=_date_of(event_id).id), 303)


def _date_of(event_id: uuid.UUID) -> Occurrence:
    event = events.event_of(actor().organization_id, event_id)
    occurrence = events.next_occurrence(event, clock.now() - rules.DOOR_OPENS)
    if occurrence is None:
        raise NotFound
    return occurrence


@blueprint.get("/organize/checkin/<uuid:occurrence_id>")
@allow(Permission.ANSWERS_EDIT)
def door(occurrence_id: uuid.UUID) -> Response:
    """The list with its buttons. Looking at names is noted in the log, once an hour."""
    occurrence = found(occurrence_id)
    with writing():
        if services.note_listing(occurrence, user_id=actor().user_id):
            db.session.commit()
            occurrence = found(occurrence_id)
    asked = request.args.get("q", "").strip()[:100]
    page = render_template(
        "checkin/door.html",
        rows=queries.door_rows(occurrence.id, asked),
        unlisted=queries.unlisted(occurrence.id),
        numbers=queries.numbers_of(occurrence.id),
        asked=asked,
        new_key=services.new_key,
        code_of=lambda rsvp: checkin_token(rsvp.id),
        fold=fold,
        most_rows=queries.MOST_ROWS,
        here="door",
        **frame(occurrence),
    )
    return may_scan(make_response(page))


def state_of(occurrence: Occurrence) -> dict[str, Any]:
    """Who is here, as ids and times: what a phone needs to bring its page up to date."""
    numbers = queries.numbers_of(occurrence.id)
    return {
        "here": {
            rsvp_id.hex: {
                "key": row.client_key,
                "guests": row.guests,
                "at": clock_time(row.at, occurrence),
            }
            for rsvp_id, row in queries.signed_in(occurrence.id).items()
        },
        "numbers": {
            "here": numbers.here.people,
            "said": numbers.said.people,
            "heads": numbers.heads.count if numbers.heads else None,
        },
    }


@blueprint.get("/organize/checkin/<uuid:occurrence_id>/state.json")
@allow(Permission.ANSWERS_EDIT)
def state(occurrence_id: uuid.UUID) -> Response:
    """Who is here by now; names are not in it."""
    return jsonify(state_of(found(occurrence_id)))


@blueprint.post("/organize/checkin/<uuid:occurrence_id>/sync")
@allow(Permission.ANSWERS_EDIT)
def sync(occurrence_id: uuid.UUID) -> Response:
    """What a phone pressed while it was away; sending it twice, late or mixed up does no harm."""
    occurrence = found(occurrence_id)
    done = services.apply(
        occurrence, pressed_in(request.get_json(silent=True)), user_id=actor().user_id
    )
    db.session.commit()
    return jsonify({"done": done, **state_of(occurrence)})


def pressed_in(body: Any) -> list[Pressed]:
    """The buttons in a phone's message. Raises BadRequest for what no page of ours sends."""
    try:
        sent, rows = float(body["sent"]), list(body["pressed"])
        if len(rows) > MOST_PRESSED:
            raise BadRequest
        now = clock.now()
        return [
            Pressed(
                rsvp_id=uuid.UUID(row["rsvp"]),
                key=str(row["key"]),
                at=rules.moment_of(float(row["at"]), sent, now),
                is_undo=row["do"] == "out",
                guests=None if row.get("guests") is None else int(row["guests"]),
                way=SignInWay.QR if row.get("way") == SignInWay.QR else SignInWay.LIST,
            )
            for row in rows
        ]
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise BadRequest from error


@blueprint.post("/organize/checkin/<uuid:occurrence_id>/sign-in")
@allow(Permission.ANSWERS_EDIT)
def sign_in(occurrence_id: uuid.UUID) -> Response:
    """The button of a page without a script."""
    occurrence = found(occurrence_id)
    rsvp = _rsvp_of(occurrence)
    row = services.sign_in(
        rsvp,
        way=SignInWay.LIST,
        guests=_guests(rsvp),
        key=request.form.get("key", ""),
        user_id=actor().user_id,
    )
    is_here, row_id = not row.is_undone, row.id
    db.session.commit()
    if is_here:
        flashes.undoable(_("Signed in."), url_for("organize_checkin.undo_row", sign_in_id=row_id))
    return to("door", occurrence_id=occurrence_id, q=request.form.get("q") or None)


@blueprint.post("/organize/checkin/<uuid:occurrence_id>/undo")
@allow(Permission.ANSWERS_EDIT)
def undo(occurrence_id: uuid.UUID) -> Response:
    """Take somebody's sign-in back, by their row."""
    occurrence = found(occurrence_id)
    rsvp = _rsvp_of(occurrence)
    services.undo(rsvp, key=request.form.get("key", ""), user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("Undone."))
    return to("door", occurrence_id=occurrence_id, q=request.form.get("q") or None)


def _rsvp_of(occurrence: Occurrence) -> Rsvp:
    """The answer a form names; it must be of this date."""
    try:
        rsvp = events.rsvp_of(actor().organization_id, uuid.UUID(request.form.get("rsvp", "")))
    except ValueError as error:
        raise NotFound from error
    if rsvp.occurrence_id != occurrence.id:
        raise NotFound
    return rsvp


def _guests(rsvp: Rsvp) -> int:
    """How many came along; what is no number means as many as they said."""
    given = request.form.get("guests", "").strip()
    return int(given) if given.isascii() and given.isdigit() and len(given) < 4 else rsvp.guests


@blueprint.post("/organize/checkin/sign-ins/<uuid:sign_in_id>/undo")
@allow(Permission.ANSWERS_EDIT)
def undo_row(sign_in_id: uuid.UUID) -> Response:
    """Take any sign-in back, of a walk-in too; that can be undone."""
    row = queries.sign_in_of(actor().organization_id, sign_in_id)
    services.undo_sign_in(row)
    occurrence_id, is_sheet = row.occurrence_id, row.way == SignInWay.SHEET
    db.session.commit()
    flashes.undoable(
        _("The sign-in is undone."),
        url_for("organize_checkin.restore_row", sign_in_id=sign_in_id),
    )
    if is_sheet and request.form.get("back") == "sheets":
        return redirect(url_for("organize_sheets.enter", occurrence_id=occurrence_id), 303)
    return to("door", occurrence_id=occurrence_id)


@blueprint.post("/organize/checkin/sign-ins/<uuid:sign_in_id>/restore")
@allow(Permission.ANSWERS_EDIT)
def restore_row(sign_in_id: uuid.UUID) -> Response:
    """Bring an undone sign-in back."""
    row = queries.sign_in_of(actor().organization_id, sign_in_id)
    services.restore_sign_in(row)
    occurrence_id = row.occurrence_id
    db.session.commit()
    flashes.done(_("Signed in again."))
    return to("door", occurrence_id=occurrence_id)


# --- walking in --------------------------------------------------------------------------------


@blueprint.route("/organize/checkin/<uuid:occurrence_id>/walk-in", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def walk_in(occurrence_id: uuid.UUID) -> Response | str:
    """Somebody who is not on the list."""
    occurrence = found(occurrence_id)
    form = WalkInForm(data={"key": services.new_key(), "guests": 0})
    ticked = consents_in(request.form) if request.method == "POST" else {}
    if form.is_posted_and_valid() and form.check_consents(ticked):
        try:
            wordings = wordings_of(occurrence, ticked, language())
            services.walk_in(
                occurrence,
                form.details(wordings, language()),
                key=form.key.data or "",
                user_id=actor().user_id,
                is_somebody_else=form.repeat.data,
            )
        except Invalid as error:
            db.session.rollback()
            occurrence = found(occurrence_id)
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Signed in. The form is ready for the next one."))
            return to("walk_in", occurrence_id=occurrence_id)
    return render_template(
        "checkin/walk_in.html",
        form=form,
        boxes=events.boxes_of(occurrence.event),
        ticked=ticked,
        numbers=queries.numbers_of(occurrence.id),
        here="door",
        **frame(occurrence),
    )


def wordings_of(
    occurrence: Occurrence, ticked: Mapping[str, str], in_language: str
) -> dict[str, str]:
    """The exact words behind the boxes ticked. Raises Invalid when they are not known any more."""
    shown = events.boxes_of(occurrence.event)
    return boxes.wordings_of(shown, boxes.key_of(shown), ticked, in_language)


# --- scanning ----------------------------------------------------------------------------------


@blueprint.route("/organize/checkin/scan/<token>", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def scan(token: str) -> Response | str:
    """What a phone's camera opens: who it is, and the button.

    The code alone signs nobody in: it takes somebody of the team, and a press of the button. With
    `at` it is told when the code is for another date than the door it was scanned at.
    """
    rsvp = events.rsvp_of(actor().organization_id, checkin_of(token))
    occurrence = found(rsvp.occurrence_id)
    row = queries.sign_in_by_rsvp(rsvp.id)
    if request.method == "POST":
        guests = _guests(rsvp)
        key = request.form.get("key", "")
        services.sign_in(rsvp, way=SignInWay.QR, guests=guests, key=key, user_id=actor().user_id)
        db.session.commit()
        return to("scan", token=token, done="in")
    now = clock.now()
    at = request.args.get("at", "")
    return render_template(
        "checkin/scan.html",
        rsvp=rsvp,
        row=row if row is not None and not row.is_undone else None,
        is_elsewhere=bool(at) and at != occurrence.id.hex,
        is_another_day=not (
            occurrence.starts_at - rules.DOOR_OPENS <= now <= occurrence.ends_at + rules.DOOR_OPENS
        ),
        is_done=request.args.get("done") == "in",
        new_key=services.new_key(),
        token=token,
        here="door",
        **frame(occurrence),
    )


# --- heads -------------------------------------------------------------------------------------


@blueprint.route("/organize/checkin/<uuid:occurrence_id>/heads", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def heads(occurrence_id: uuid.UUID) -> Response | str:
    """Heads in the room: we count heads, not faces, and keep no picture."""
    occurrence = found(occurrence_id)
    form = HeadsForm()
    if form.is_posted_and_valid():
        row = services.count_heads(
            occurrence,
            form.count.data,
            way=form.way.data,
            note=form.note.data or "",
            user_id=actor().user_id,
        )
        row_id = row.id
        db.session.commit()
        flashes.undoable(
            _("Counted."), url_for("organize_checkin.remove_heads", head_count_id=row_id)
        )
        return to("heads", occurrence_id=occurrence_id)
    return render_template(
        "checkin/heads.html",
        form=form,
        counts=queries.head_counts(occurrence.id),
        highest=queries.highest(occurrence.id),
        here="heads",
        **frame(occurrence),
    )


@blueprint.post("/organize/checkin/heads/<uuid:head_count_id>/remove")
@allow(Permission.ANSWERS_EDIT)
def remove_heads(head_count_id: uuid.UUID) -> Response:
    row = queries.head_count_of(actor().organization_id, head_count_id)
    services.remove_head_count(row)
    occurrence_id = row.occurrence_id
    db.session.commit()
    flashes.undoable(
        _("The count is removed."),
        url_for("organize_checkin.restore_heads", head_count_id=head_count_id),
    )
    return to("heads", occurrence_id=occurrence_id)


@blueprint.post("/organize/checkin/heads/<uuid:head_count_id>/restore")
@allow(Permission.ANSWERS_EDIT)
def restore_heads(head_count_id: uuid.UUID) -> Response:
    row = queries.head_count_of(actor().organization_id, head_count_id)
    services.restore_head_count(row)
    occurrence_id = row.occurrence_id
    db.session.commit()
    flashes.done(_("The count is back."))
    return to("heads", occurrence_id=occurrence_id)
