"""The console's pages about who comes: answers, needs, shifts, the line, the list for the door.

Each look at names is noted in the audit log, at most once an hour, as with the list of people.
"""

from __future__ import annotations

import io
import uuid
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns.boxes import mark_of
from campaign.db import db, writing
from campaign.errors import CampaignError, NotFound
from campaign.events import coming, queries, services
from campaign.events.coming import AnswerFilters
from campaign.events.forms import AnswerForm, ChangeForm
from campaign.events.models import Occurrence, Rsvp, RsvpState
from campaign.events.words import ANSWER_NAMES, NEED_NAMES, ROLE_NAMES
from campaign.organizations.models import Permission
from campaign.people.door import consents_in
from campaign.tabular import CsvWriter
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import LANGUAGES, language
from campaign.web.pagination import Page, keyset_page, keyset_page_by

blueprint = Blueprint("organize_answers", __name__)
MOST_OTHERS = 60
SORTS = {"name", "new", "old"}


def found(occurrence_id: uuid.UUID) -> Occurrence:
    """A date of the organization one works for; raises NotFound."""
    return queries.occurrence_of(actor().organization_id, occurrence_id)


def to(endpoint: str, **values: Any) -> Response:
    """See another page of this file."""
    return redirect(url_for(f"organize_answers.{endpoint}", **values), 303)


def seen(occurrence_id: uuid.UUID) -> Occurrence:
    """The date whose names are about to be shown; that is noted, at most once an hour."""
    occurrence = found(occurrence_id)
    with writing():
        if services.note_listing(occurrence, user_id=actor().user_id):
            db.session.commit()
            occurrence = found(occurrence_id)
    return occurrence


def frame(occurrence: Occurrence, section: str) -> dict[str, Any]:
    """What every page about one date shows."""
    counts = coming.answer_counts(occurrence.id)
    return {
        "occurrence": occurrence,
        "event": occurrence.event,
        "others": queries.dates_of(occurrence.event, limit=MOST_OTHERS),
        "counts": counts,
        "held_count": coming.held_count(occurrence.id),
        "open_needs": coming.open_needs(occurrence.id),
        "here": "answers",
        "section": section,
        "edits": actor().can(Permission.ANSWERS_EDIT),
        "exports": actor().can(Permission.PEOPLE_EXPORT),
        "need_names": NEED_NAMES,
        "answer_names": ANSWER_NAMES,
        "role_names": ROLE_NAMES,
        "language_names": LANGUAGES,
        "is_open": occurrence.is_open(clock.now()),
        "shift_name": shift_name,
    }


def shift_name(shift: Any) -> str:
    """What a shift is called: its own name, else its role."""
    return str(shift.name.get_for(language()) or ROLE_NAMES.get(shift.role, shift.role))


# --- the list ----------------------------------------------------------------------------------


@blueprint.get("/organize/events/<uuid:event_id>/answers")
@allow(Permission.ANSWERS_VIEW)
def of_event(event_id: uuid.UUID) -> Response:
    """Who comes to an event's next date, or came to its last."""
    event = queries.event_of(actor().organization_id, event_id)
    occurrence = queries.next_occurrence(event, clock.now())
    if occurrence is None:
        raise NotFound
    return to("who_comes", occurrence_id=occurrence.id)


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/answers")
@allow(Permission.ANSWERS_VIEW)
def who_comes(occurrence_id: uuid.UUID) -> str:
    """The table of answers: search, filters, sorting, keyset pages."""
    occurrence = seen(occurrence_id)
    asked = {
        name: request.args.get(name, "").replace("\0", "").strip()[:100]
        for name in ("q", "state", "need", "shift", "sort")
    }
    filters = AnswerFilters(
        text=asked["q"],
        state=asked["state"] if asked["state"] in set(RsvpState) else "",
        need=asked["need"] if asked["need"] in NEED_NAMES else "",
        shift_id=_uuid(asked["shift"]),
    )
    return render_template(
        "events/answers/index.html",
        page=_page(occurrence, filters, asked["sort"]),
        asked=asked,
        sort=asked["sort"] if asked["sort"] in SORTS else "name",
        shifts=queries.shifts_of(occurrence.event_id),
        **frame(occurrence, "list"),
    )


def _page(occurrence: Occurrence, filters: AnswerFilters, sort: str) -> Page[Any]:
    statement = coming.answers_to(occurrence, filters)
    if sort in {"new", "old"}:
        return keyset_page(statement, Rsvp.id, newest_first=sort == "new")
    columns = (func.lower(Rsvp.last_name), func.lower(Rsvp.first_name))
    return keyset_page_by(statement, columns, Rsvp.id)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/answers/print")
@allow(Permission.ANSWERS_VIEW)
def printed(occurrence_id: uuid.UUID) -> str:
    """The list for the door on paper: names with a box to tick, nothing around it."""
    occurrence = seen(occurrence_id)
    return render_template(
        "events/answers/print.html",
        rows=coming.for_the_door(occurrence.id),
        **frame(occurrence, "list"),
    )


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/answers.csv")
@allow(Permission.PEOPLE_EXPORT, fresh=True, writes=True)
def as_csv(occurrence_id: uuid.UUID) -> Response:
    """The list for the door as a file; cells that a spreadsheet would run are guarded."""
    occurrence = found(occurrence_id)
    rows = coming.for_the_door(occurrence.id)
    file = io.BytesIO()
    table = CsvWriter(
        file,
        [
            _("Last name"),
            _("First name"),
            _("Answer"),
            _("Guests"),
            _("Email"),
            _("Phone"),
            _("ZIP code"),
            _("Needs"),
            _("Note"),
            _("Shift"),
            _("Language"),
        ],
    )
    for row in rows:
        table.write(
            [
                row.last_name,
                row.first_name,
                ANSWER_NAMES[row.state],
                row.guests,
                row.email or "",
                row.phone,
                row.postal_code,
                ", ".join(str(NEED_NAMES.get(need, need)) for need in row.needs),
                row.needs_note,
                shift_name(row.shift) if row.shift else "",
                LANGUAGES.get(row.language, row.language),
            ]
        )
    table.close()
    services.note_export(occurrence, len(rows), user_id=actor().user_id)
    name = f"{occurrence.event.slug}-{occurrence.starts_wall[:10]}.csv"
    db.session.commit()
    response = make_response(file.getvalue())
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# --- work lists --------------------------------------------------------------------------------


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/needs")
@allow(Permission.ANSWERS_VIEW)
def needs(occurrence_id: uuid.UUID) -> str:
    """What people need, as work to be done: rides by ZIP code, interpretation by language."""
    occurrence = seen(occurrence_id)
    return render_template(
        "events/answers/needs.html",
        lists=coming.work_lists(occurrence.id),
        **frame(occurrence, "needs"),
    )


@blueprint.post("/organize/events/answers/<uuid:rsvp_id>/<any(met,unmet):how>")
@allow(Permission.ANSWERS_EDIT)
def meet(rsvp_id: uuid.UUID, how: str) -> Response:
    """Somebody's needs are seen to; "unmet" takes it back."""
    rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
    services.meet_needs(rsvp, is_met=how == "met")
    occurrence_id = rsvp.occurrence_id
    db.session.commit()
    if how == "met":
        flashes.undoable(
            _("Seen to."), url_for("organize_answers.meet", rsvp_id=rsvp_id, how="unmet")
        )
    else:
        flashes.done(_("It is on the list again."))
    return to("needs", occurrence_id=occurrence_id)


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/shifts")
@allow(Permission.ANSWERS_VIEW)
def shifts(occurrence_id: uuid.UUID) -> str:
    """Who takes which shift, and what is still open."""
    occurrence = seen(occurrence_id)
    return render_template(
        "events/answers/shifts.html",
        lists=coming.shift_lists(occurrence),
        hours_of=lambda shift: queries.shift_hours(shift, occurrence, language()),
        **frame(occurrence, "shifts"),
    )


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/line")
@allow(Permission.ANSWERS_VIEW)
def line(occurrence_id: uuid.UUID) -> str:
    """Who waits for a place, in order: a freed one goes to the first by itself."""
    occurrence = seen(occurrence_id)
    return render_template(
        "events/answers/line.html",
        rows=coming.waiting_line(occurrence.id),
        **frame(occurrence, "line"),
    )


# --- answers held for a look -------------------------------------------------------------------


@blueprint.get("/organize/events/dates/<uuid:occurrence_id>/held")
@allow(Permission.ANSWERS_VIEW)
def held(occurrence_id: uuid.UUID) -> str:
    """Answers in which something was odd: their owners hear from us when somebody lets them go."""
    occurrence = seen(occurrence_id)
    return render_template(
        "events/answers/held.html",
        rows=coming.held_answers(occurrence.id),
        **frame(occurrence, "held"),
    )


@blueprint.post("/organize/events/answers/<uuid:rsvp_id>/<any(approve,reject):how>")
@allow(Permission.ANSWERS_EDIT)
def decide(rsvp_id: uuid.UUID, how: str) -> Response:
    """Let a held answer go its way, or turn it away: then its place is free."""
    rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
    occurrence_id = rsvp.occurrence_id
    if how == "approve":
        services.approve_rsvp(rsvp, user_id=actor().user_id)
    else:
        services.reject_rsvp(rsvp, user_id=actor().user_id)
    db.session.commit()
    flashes.done(
        _("The answer is fine. They get their email now.")
        if how == "approve"
        else _("The answer is turned away.")
    )
    return to("held", occurrence_id=occurrence_id)


# --- for somebody else -------------------------------------------------------------------------


@blueprint.route("/organize/events/dates/<uuid:occurrence_id>/answers/new", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def new_answer(occurrence_id: uuid.UUID) -> Response | str:
    """Write an answer down for somebody: from the phone, a list, a conversation."""
    occurrence = found(occurrence_id)
    form = AnswerForm.of(occurrence)
    if form.is_posted_and_valid() and form.check_consents():
        try:
            services.add_answer(occurrence, form.by_hand(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            occurrence = found(occurrence_id)
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The answer is written down."))
            return to("who_comes", occurrence_id=occurrence_id)
    return render_template(
        "events/answers/new.html",
        form=form,
        boxes=queries.boxes_of(occurrence.event),
        mark_of=mark_of,
        ticked=consents_in(request.form),
        **frame(occurrence, "list"),
    )


@blueprint.route("/organize/events/answers/<uuid:rsvp_id>", methods=["GET", "POST"])
@allow(Permission.ANSWERS_EDIT)
def answer(rsvp_id: uuid.UUID) -> Response | str:
    """One answer: see it, change it for somebody, take it back."""
    rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
    if request.method == "GET":
        seen(rsvp.occurrence_id)
        rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
    form = ChangeForm.of(rsvp)
    form.speak_of_them()
    if form.is_posted_and_valid():
        try:
            services.change_rsvp(rsvp, form.change(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
            form.add_error(error.field, error.message)
        else:
            occurrence_id = rsvp.occurrence_id
            db.session.commit()
            flashes.done(_("Changed. They hear of it by email if it is another answer now."))
            return to("who_comes", occurrence_id=occurrence_id)
    return render_template(
        "events/answers/answer.html",
        form=form,
        rsvp=rsvp,
        answers=queries.answers_of(rsvp, language(), with_sensitive=False),
        **frame(rsvp.occurrence, "list"),
    )


@blueprint.post("/organize/events/answers/<uuid:rsvp_id>/cancel")
@allow(Permission.ANSWERS_EDIT)
def cancel(rsvp_id: uuid.UUID) -> Response:
    """Take an answer back for somebody: their place goes to the longest waiting."""
    rsvp = queries.rsvp_of(actor().organization_id, rsvp_id)
    services.cancel_rsvp(rsvp, user_id=actor().user_id)
    occurrence_id = rsvp.occurrence_id
    db.session.commit()
    flashes.done(_("The answer is taken back. They were told by email."))
    return to("who_comes", occurrence_id=occurrence_id)
