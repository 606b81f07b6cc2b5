"""The console's pages of a hearing: its rules, its speakers, the running order."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from babel.dates import format_time
from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db
from campaign.errors import CampaignError, Invalid, NotFound
from campaign.events import desk
from campaign.events import queries as events
from campaign.events.dates import hold_fresh
from campaign.events.models import Event, EventKind, Occurrence
from campaign.hearings import emails, queries, rules, services, writing
from campaign.hearings.forms import (
    HearingForm,
    NewSpeakerForm,
    SpeakerForm,
    TaskForm,
    values_of,
)
from campaign.hearings.models import Hearing, HearingTask, SpeakerState, Testimony
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization, Permission
from campaign.organizations.services import record
from campaign.paper import Column, Paper
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import number
from campaign.web.languages import language
from campaign.web.links import external

blueprint = Blueprint("organize_hearings", __name__)
SIZES = ("letter", "a4")


def to_hearing(
    event_id: uuid.UUID, occurrence_id: uuid.UUID | None = None, at: str = ""
) -> Response:
    """See the hearing, with the date that was worked on."""
    return redirect(
        url_for(
            "organize_hearings.hearing",
            event_id=event_id,
            date=occurrence_id,
            _anchor=at or None,
        ),
        303,
    )


def found_event(event_id: uuid.UUID) -> Event:
    """A hearing of the organization one works for; raises NotFound, also for other kinds."""
    event = events.event_of(actor().organization_id, event_id)
    if event.kind != EventKind.HEARING:
        raise NotFound
    return event


def found_hearing(event_id: uuid.UUID) -> Hearing:
    """The same, with testimony switched on."""
    hearing = queries.hearing_of(found_event(event_id).id)
    if hearing is None:
        raise NotFound
    return hearing


def chosen_date(event: Event) -> Occurrence | None:
    """The date a page is about: the one in its address, else the next."""
    given = request.args.get("date", "")
    if given:
        try:
            occurrence = events.occurrence_of(actor().organization_id, uuid.UUID(given))
        except (ValueError, NotFound):
            occurrence = None
        if occurrence is not None and occurrence.event_id == event.id:
            return occurrence
    return events.next_occurrence(event, clock.now())


# --- the hearing -------------------------------------------------------------------------------


@blueprint.get("/organize/events/<uuid:event_id>/hearing")
@allow(Permission.EVENTS_VIEW, writes=True)
def hearing(event_id: uuid.UUID) -> Response | str:
    """Who speaks, who waits, what the body asks. Names only for those who may see answers."""
    event = found_event(event_id)
    found = queries.hearing_of(event.id)
    if found is None:
        return render_template(
            "hearings/none.html", event=event, edits=actor().can(Permission.EVENTS_EDIT)
        )
    occurrence = chosen_date(event)
    sees = actor().can(Permission.ANSWERS_VIEW)
    if sees and occurrence is not None:
        note_look(event)
        db.session.commit()
    return render_template("hearings/show.html", sees=sees, **_show(found, event, occurrence, sees))


def _show(
    found: Hearing, event: Event, occurrence: Occurrence | None, sees: bool
) -> dict[str, Any]:
    speakers = queries.speakers(occurrence.id) if occurrence is not None and sees else []
    aloud = [row for row in speakers if row.way in rules.ALOUD]
    line = queries.waiting(occurrence.id) if occurrence is not None and sees else []
    tasks = queries.tasks_of(event.id)
    dated = rules.in_order(tasks, occurrence) if occurrence is not None else []
    return {
        "event": event,
        "hearing": found,
        "occurrence": occurrence,
        "dates": events.open_occurrences(event, clock.now(), 60),
        "counts": queries.counts(occurrence.id) if occurrence is not None else queries.Counts(),
        "aloud": aloud,
        "written": [row for row in speakers if row.way not in rules.ALOUD],
        "line": line,
        "times": _times(aloud, occurrence),
        "readers": {row.id: _name(row) for row in speakers},
        "tasks": dated,
        "name_of": _name,
        "public_url": external("hearings.speak", event=event.slug),
        "done": queries.done_by([row.id for row in speakers]),
        "concerned": lambda row: [one for one in tasks if row.way in one.ways],
        "window": lambda one: rules.window(one, event.zone),
        "words_in": lambda row: writing.words_in(row.draft, row.language),
        "minutes_of": lambda row: writing.minutes_for(row.draft, row.language),
        "way_names": rules.WAY_NAMES,
        "outcome_names": rules.OUTCOME_NAMES,
        "language_names": writing.language_names(),
        "needs_interpreter": lambda row: _interpreter(row, event),
        "when": emails.starts_in_words(occurrence, language()) if occurrence is not None else "",
        "has_begun": occurrence is not None and clock.now() >= occurrence.starts_at,
        "edits": actor().can(Permission.EVENTS_EDIT),
        **desk.part_numbers(event.id),
        "total_minutes": sum(row.minutes for row in aloud),
    }


def note_look(event: Event) -> None:
    """Looking at names is noted in the log."""
    record(
        "hearing.listed",
        organization_id=event.organization_id,
        user_id=actor().user_id,
        subject_kind="event",
        subject_id=event.id,
    )


def _times(aloud: list[Testimony], occurrence: Occurrence | None) -> dict[uuid.UUID, str]:
    if occurrence is None:
        return {}
    place = clock.zone(occurrence.event.zone)
    return {
        key: str(format_time(at.astimezone(place), "short", locale=language()))
        for key, at in rules.times(aloud, occurrence.starts_at).items()
    }


def _name(row: Testimony) -> str:
    rsvp = row.rsvp
    if rsvp is None or not rsvp.first_name:
        return str(_("Somebody who was erased"))
    return f"{rsvp.first_name} {rsvp.last_name}".strip()


def _interpreter(row: Testimony, event: Event) -> bool:
    needs = row.rsvp.needs if row.rsvp is not None else []
    return rules.needs_interpreter(row.language, event.languages, needs)


@blueprint.route("/organize/events/<uuid:event_id>/hearing/edit", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def edit_hearing(event_id: uuid.UUID) -> Response | str:
    """Switch testimony on, or change what the hearing asks."""
    event = found_event(event_id)
    if request.method == "POST":
        hold_fresh(event.id, event)
    found = queries.hearing_of(event.id)
    form = HearingForm.of(found, queries.practice_events(event.organization_id, event))
    here = event.organization_id
    last = partial(organizations.last_time, here, "hearing.changed", event.id)
    is_mine = found is None or form.is_mine(values_of(found), last)
    if is_mine and form.is_posted_and_valid():
        try:
            if found is None:
                services.set_up_hearing(
                    event,
                    form.details(is_open=True),
                    template=form.template.data,
                    user_id=actor().user_id,
                )
            else:
                services.change_hearing(
                    found, form.details(is_open=found.is_open), user_id=actor().user_id
                )
        except Invalid as error:
            db.session.rollback()
            event, found = found_event(event_id), queries.hearing_of(event_id)
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to_hearing(event.id)
    return render_template("hearings/edit.html", form=form, event=event, hearing=found)


@blueprint.post("/organize/events/<uuid:event_id>/hearing/<any(open,close):state>")
@allow(Permission.EVENTS_EDIT)
def switch(event_id: uuid.UUID, state: str) -> Response:
    """Take speakers, or take no more."""
    found = found_hearing(event_id)
    services.open_hearing(found, is_open=state == "open", user_id=actor().user_id)
    db.session.commit()
    if state == "open":
        flashes.done(_("People can ask to speak now."))
    else:
        flashes.undoable(
            _("The list of speakers is closed. Who is on it stays."),
            url_for("organize_hearings.switch", event_id=event_id, state="open"),
        )
    return to_hearing(event_id)


# --- the body's rules as tasks -----------------------------------------------------------------


@blueprint.route("/organize/events/<uuid:event_id>/hearing/tasks/new", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def new_task(event_id: uuid.UUID) -> Response | str:
    found = found_hearing(event_id)
    form = TaskForm.of(None, chosen_date(found.event))
    if form.is_posted_and_valid():
        try:
            services.add_task(found.event, form.details())
        except CampaignError as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to_hearing(event_id, at="tasks")
    return render_template("hearings/task.html", form=form, event=found.event, task=None)


@blueprint.route("/organize/hearing-tasks/<uuid:task_id>", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def edit_task(task_id: uuid.UUID) -> Response | str:
    task, event = _task(task_id)
    form = TaskForm.of(task, chosen_date(event))
    if form.is_posted_and_valid():
        services.change_task(task, form.details())
        db.session.commit()
        flashes.done(_("Saved."))
        return to_hearing(task.event_id, at="tasks")
    return render_template("hearings/task.html", form=form, event=event, task=task)


@blueprint.post("/organize/hearing-tasks/<uuid:task_id>/remove")
@allow(Permission.EVENTS_EDIT)
def remove_task(task_id: uuid.UUID) -> Response:
    task, event = _task(task_id)
    services.remove_task(task)
    db.session.commit()
    flashes.done(_("The task is gone. Nobody is reminded of it any more."))
    return to_hearing(event.id, at="tasks")


def _task(task_id: uuid.UUID) -> tuple[HearingTask, Event]:
    task = queries.task_of(actor().organization_id, task_id)
    return task, events.event_of(actor().organization_id, task.event_id)


# --- speakers ----------------------------------------------------------------------------------


def found_speaker(testimony_id: uuid.UUID) -> Testimony:
    """A speaker of the organization one works for; raises NotFound."""
    return queries.testimony_of(actor().organization_id, testimony_id)


def to_speakers(row: Testimony) -> Response:
    return to_hearing(row.event_id, row.occurrence_id, f"speaker-{row.id.hex[-12:]}")


@blueprint.route("/organize/dates/<uuid:occurrence_id>/speakers/new", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def new_speaker(occurrence_id: uuid.UUID) -> Response | str:
    """Somebody who asked by phone or in person."""
    occurrence, found = _date(occurrence_id)
    form = NewSpeakerForm.of(found)
    if form.is_posted_and_valid():
        try:
            row = services.add_speaker(
                occurrence, form.person(), form.testimony(), user_id=actor().user_id
            )
        except CampaignError as error:
            db.session.rollback()
            occurrence, found = _date(occurrence_id)
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(
                _("%(name)s waits in line.", name=_name(row))
                if row.state == SpeakerState.WAITING
                else _("%(name)s is on the list.", name=_name(row))
            )
            return to_speakers(row)
    return render_template(
        "hearings/new_speaker.html", form=form, event=occurrence.event, occurrence=occurrence
    )


@blueprint.route("/organize/speakers/<uuid:testimony_id>", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def edit_speaker(testimony_id: uuid.UUID) -> Response | str:
    """One speaker: way, language, minutes, reader, what became of it. Not their words."""
    row = found_speaker(testimony_id)
    found = queries.hearing_of(row.event_id)
    if found is None or row.state == SpeakerState.WITHDRAWN:
        raise NotFound
    form = SpeakerForm.of(found, row)
    if form.is_posted_and_valid():
        try:
            services.change_testimony(row, form.testimony())
        except CampaignError as error:
            db.session.rollback()
            row = found_speaker(testimony_id)
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to_speakers(row)
    return render_template(
        "hearings/speaker.html",
        form=form,
        row=row,
        name=_name(row),
        event=row.occurrence.event,
        tasks=[
            one
            for one in rules.in_order(queries.tasks_of(row.event_id), row.occurrence)
            if row.way in one.task.ways
        ],
        done=queries.done_by([row.id])[row.id],
        window=lambda one: rules.window(one, row.occurrence.event.zone),
        words=writing.words_in(row.draft, row.language),
        outcome_names=rules.OUTCOME_NAMES,
        minutes=writing.minutes_for(row.draft, row.language),
        possible=[(one.id, _name(one)) for one in queries.possible_readers(row)],
        is_waiting=row.state == SpeakerState.WAITING,
    )


@blueprint.post("/organize/speakers/<uuid:testimony_id>/<any(up,down):way>")
@allow(Permission.EVENTS_EDIT)
def move(testimony_id: uuid.UUID, way: str) -> Response:
    """One place earlier or later."""
    row = found_speaker(testimony_id)
    if row.state != SpeakerState.SPEAKING or row.way not in rules.ALOUD:
        raise NotFound
    moved = services.move_speaker(row, up=way == "up")
    db.session.commit()
    if moved:
        name = _name(row)
        flashes.undoable(
            _("%(name)s speaks one place earlier.", name=name)
            if way == "up"
            else _("%(name)s speaks one place later.", name=name),
            url_for(
                "organize_hearings.move",
                testimony_id=row.id,
                way="down" if way == "up" else "up",
            ),
        )
    return to_speakers(row)


@blueprint.post("/organize/speakers/<uuid:testimony_id>/remove")
@allow(Permission.EVENTS_EDIT)
def remove_speaker(testimony_id: uuid.UUID) -> Response:
    """Off the list; the slot goes to the longest waiting."""
    row = found_speaker(testimony_id)
    services.withdraw_testimony(row, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("%(name)s is off the list and was told.", name=_name(row)),
        url_for("organize_hearings.return_speaker", testimony_id=row.id),
    )
    return to_hearing(row.event_id, row.occurrence_id)


@blueprint.post("/organize/speakers/<uuid:testimony_id>/return")
@allow(Permission.EVENTS_EDIT)
def return_speaker(testimony_id: uuid.UUID) -> Response:
    """Undo of a removal."""
    row = found_speaker(testimony_id)
    try:
        services.return_testimony(row, user_id=actor().user_id)
    except CampaignError as error:
        db.session.rollback()
        flashes.failed(error.message)
    else:
        db.session.commit()
        if row.state == SpeakerState.WAITING:
            flashes.told(
                _("%(name)s waits in line: the slot has gone to another.", name=_name(row))
            )
        else:
            flashes.done(_("%(name)s is on the list again.", name=_name(row)))
    return to_speakers(row)


@blueprint.post("/organize/speakers/<uuid:testimony_id>/reader")
@allow(Permission.EVENTS_EDIT)
def pair(testimony_id: uuid.UUID) -> Response:
    """Say who reads it out if the speaker cannot."""
    row = found_speaker(testimony_id)
    given = request.form.get("reader", "")
    try:
        reader = found_speaker(uuid.UUID(given)) if given else None
        services.pair_reader(row, reader)
    except (ValueError, NotFound):
        flashes.failed(_("Please choose one of these."))
    except CampaignError as error:
        flashes.failed(error.message)
    else:
        db.session.commit()
        flashes.done(_("Saved. Both were told.") if reader is not None else _("Saved."))
    return redirect(url_for("organize_hearings.edit_speaker", testimony_id=row.id), 303)


@blueprint.post("/organize/speakers/<uuid:testimony_id>/outcome")
@allow(Permission.EVENTS_EDIT)
def outcome(testimony_id: uuid.UUID) -> Response:
    """What became of it."""
    row = found_speaker(testimony_id)
    before = row.outcome
    try:
        services.mark_outcome(row, request.form.get("outcome", ""))
    except Invalid as error:
        flashes.failed(error.message)
    else:
        db.session.commit()
        if row.outcome != before:
            flashes.done(_("%(name)s: %(outcome)s.", name=_name(row), outcome=_of(row)))
    return to_speakers(row)


def _of(row: Testimony) -> str:
    return str(rules.OUTCOME_NAMES[row.outcome])


# --- the running order -------------------------------------------------------------------------


@blueprint.get("/organize/dates/<uuid:occurrence_id>/running-order")
@allow(Permission.ANSWERS_VIEW, writes=True)
def running_order(occurrence_id: uuid.UUID) -> str:
    """The order as a page to print."""
    occurrence, found = _date(occurrence_id)
    note_look(occurrence.event)
    db.session.commit()
    return render_template(
        "hearings/running_order.html", **_show(found, occurrence.event, occurrence, sees=True)
    )


@blueprint.get("/organize/dates/<uuid:occurrence_id>/running-order.pdf")
@allow(Permission.ANSWERS_VIEW, writes=True)
def running_order_file(occurrence_id: uuid.UUID) -> Response:
    """The order as a PDF, on letter paper or (`?size=a4`) A4."""
    occurrence, found = _date(occurrence_id)
    size = request.args.get("size", "")
    data = order_on_paper(found, occurrence, size=size if size in SIZES else "letter").finish()
    note_look(occurrence.event)
    db.session.commit()
    response = Response(data, content_type="application/pdf")
    name = re.sub(r"[^a-z0-9-]", "", occurrence.event.slug)
    response.headers["Content-Disposition"] = (
        f'attachment; filename="running-order-{name}-{occurrence.starts_wall[:10]}.pdf"'
    )
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _date(occurrence_id: uuid.UUID) -> tuple[Occurrence, Hearing]:
    occurrence = events.occurrence_of(actor().organization_id, occurrence_id)
    found = queries.hearing_of(occurrence.event_id)
    if found is None:
        raise NotFound
    return occurrence, found


def order_on_paper(found: Hearing, occurrence: Occurrence, *, size: str = "letter") -> Paper:
    """The running order as one hands it to a clerk or pins it up behind the stage."""
    event = occurrence.event
    shown = _show(found, event, occurrence, sees=True)
    names, readers = shown["language_names"], shown["readers"]
    organization = db.session.get_one(Organization, event.organization_id)
    asked = [row for row in [*shown["aloud"], *shown["written"]] if shown["needs_interpreter"](row)]
    paper = Paper(
        _("Running order"),
        made_at=max((row.updated_at for row in shown["aloud"]), default=found.updated_at),
        subtitle=event.title.get_for(language()),
        running=f"{organization.name} · {organization.postal_address}".strip(" ·"),
        size=size,
        language=language(),
    )
    paper.facts(
        [
            (_("Before whom"), found.body.get_for(language())),
            (_("When"), shown["when"]),
            (_("Where"), _place(occurrence)),
            (_("Speakers"), _total(shown)),
            (_("Interpreters for"), _interpreters(asked, names)),
        ]
    )
    if shown["aloud"]:
        paper.heading(_("Speakers"))
        paper.table(
            [
                Column(_("No."), 0.5, "right"),
                Column(_("About when"), 1.05),
                Column(_("Name"), 2.7, is_strong=True),
                Column(_("Min."), 0.55, "right"),
                Column(_("Language"), 1.15),
                Column(_("Way"), 1.25),
                Column(_("If absent, read by"), 1.5),
            ],
            [
                [
                    str(place),
                    shown["times"].get(row.id, ""),
                    f"{readers[row.id]}\n{row.topic}".strip(),
                    str(row.minutes),
                    _language_cell(row, names, shown["needs_interpreter"](row)),
                    str(rules.WAY_NAMES[row.way]),
                    readers.get(row.reader_id, "") if row.reader_id else "",
                ]
                for place, row in enumerate(shown["aloud"], 1)
            ],
        )
    if shown["written"]:
        paper.heading(_("Written statements"))
        paper.table(
            [Column(_("Name"), 2, is_strong=True), Column(_("About"), 3), Column(_("Language"), 1)],
            [
                [readers[row.id], row.topic, names.get(row.language, row.language)]
                for row in shown["written"]
            ],
        )
    if not shown["aloud"] and not shown["written"]:
        paper.text(_("Nobody is on the list yet."))
    return paper


def _place(occurrence: Occurrence) -> str:
    event = occurrence.event
    parts = (occurrence.venue or event.venue, occurrence.address or event.address, event.city)
    return ", ".join(part for part in parts if part)


def _total(shown: dict[str, Any]) -> str:
    count = len(shown["aloud"])
    minutes = shown["total_minutes"]
    people = ngettext("%(count)s speaker", "%(count)s speakers", count, count=number(count))
    return str(
        _("%(people)s, about %(minutes)s minutes", people=people, minutes=number(minutes))
        if count
        else ""
    )


def _interpreters(asked: list[Testimony], names: dict[str, str]) -> str:
    """The languages an interpreter is needed for, and for how many each."""
    counted: dict[str, int] = {}
    for row in asked:
        name = names.get(row.language, row.language)
        counted[name] = counted.get(name, 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in sorted(counted.items()))


def _language_cell(row: Testimony, names: dict[str, str], needs: bool) -> str:
    name = names.get(row.language, row.language)
    return f"{name}\n{_('interpreter')}" if needs else name
