"""A speaker's pages: ask to speak, draft, tasks, plan B."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from babel.dates import format_time
from flask import Blueprint, g, jsonify, make_response, redirect, request, url_for
from flask import render_template as render
from flask_babel import gettext as _
from flask_babel import ngettext, refresh
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db
from campaign.errors import CampaignError, Gone, Invalid, NotFound
from campaign.events import queries as events
from campaign.events.models import Event, EventKind, Occurrence, Rsvp, RsvpState
from campaign.hearings import emails, queries, rules, services, writing
from campaign.hearings.forms import DraftForm, SpeakForm
from campaign.hearings.models import Hearing, SpeakerState, Testimony
from campaign.organizations.models import Organization
from campaign.paper import Paper
from campaign.web import csrf
from campaign.web.access import link, public
from campaign.web.error_pages import error_page
from campaign.web.filters import number
from campaign.web.languages import language
from campaign.web.links import rsvp_of

blueprint = Blueprint("hearings", __name__)
OFFER_HOURS = 48
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


# --- before somebody has answered --------------------------------------------------------------


@blueprint.get("/e/<event>/speak")
@public
def speak(event: str) -> Response:
    """What speaking takes, and the way there: say that you come, then take a slot."""
    found = events.event_by_slug(event)
    hearing = queries.hearing_of(found.id)
    occurrence = events.next_occurrence(found, clock.now())
    if found.kind != EventKind.HEARING or hearing is None or occurrence is None:
        raise NotFound
    response = make_response(
        render(
            "hearings/speak.html",
            counts=queries.counts(occurrence.id),
            free=_free(hearing, occurrence),
            **_frame(hearing, occurrence),
        )
    )
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.app_template_global("hearing_of")
def hearing_of(event: Event) -> Hearing | None:
    """The hearing that an event is, for the event's own page and an answer's: they lead to
    speaking only where speakers are taken."""
    return queries.hearing_of(event.id)


def _free(hearing: Hearing, occurrence: Occurrence) -> int | None:
    """Free slots; 0 while somebody waits, None where there is no limit."""
    if hearing.slot_count is None:
        return None
    if queries.waiting(occurrence.id):
        return 0
    return max(hearing.slot_count - queries.slots_taken(occurrence.id), 0)


def _frame(hearing: Hearing | None, occurrence: Occurrence) -> dict[str, Any]:
    """What every page about a hearing stands in."""
    event = occurrence.event
    lead = db.session.get_one(Organization, event.organization_id)
    practice = hearing.practice_event if hearing is not None else None
    return {
        "event": event,
        "occurrence": occurrence,
        "hearing": hearing,
        "organization": lead,
        "crisis_line": event.campaign.crisis_line or lead.crisis_line,
        "when": emails.starts_in_words(occurrence, language()),
        "tasks": rules.still_to_do_first(
            rules.in_order(queries.tasks_of(event.id), occurrence), clock.now()
        ),
        "too_late": lambda one: one.is_over(clock.now()),
        "due": lambda one: rules.due(one, event.zone),
        "window": lambda one: rules.window(one, event.zone),
        "way_names": rules.WAY_NAMES,
        "is_taken": occurrence.is_open(clock.now()),
        "practice": practice if practice is not None and practice.is_public else None,
    }


# --- behind the link ---------------------------------------------------------------------------


def _rsvp_behind(token: str) -> Rsvp:
    """The answer of a link, in words a person can use when there is none (any more)."""
    rsvp = events.rsvp_by_id(rsvp_of(token))
    if rsvp is None:
        raise NotFound(_("This link does not work. Answer the event again, and we send a new one."))
    if not rsvp.first_name:
        raise Gone(_("This answer was erased. There is nothing left to see."))
    g.user_language = rsvp.language  # the page speaks it unless asked for another
    refresh()
    if queries.hearing_of(rsvp.event_id) is None:
        raise NotFound(_("This event takes no speakers."))
    return rsvp


def _speaker_behind(token: str) -> Testimony:
    """The testimony of a link; raises Gone where there is none (any more)."""
    testimony = queries.testimony_by_rsvp(_rsvp_behind(token).id)
    if testimony is None or testimony.state == SpeakerState.WITHDRAWN:
        raise Gone(_("You are not on the list of speakers. You can ask to speak again."))
    return testimony


def _to_page(token: str, anchor: str = "") -> Response:
    return redirect(
        url_for("hearings.testimony", token=token, lang=language(), _anchor=anchor or None), 303
    )


@blueprint.get("/rsvp/<token>/testimony")
@link
def testimony(token: str) -> Response:
    """Where a speaker stands, what to do by when, and their words."""
    return _page(token, _rsvp_behind(token))


def _page(
    token: str,
    rsvp: Rsvp,
    *,
    form: SpeakForm | None = None,
    draft_form: DraftForm | None = None,
    status: int = 200,
) -> Response:
    hearing = queries.hearing_of(rsvp.event_id)
    found = queries.testimony_by_rsvp(rsvp.id)
    is_on = found is not None and found.state != SpeakerState.WITHDRAWN
    occurrence = found.occurrence if found is not None and is_on else rsvp.occurrence
    if hearing is None:
        raise NotFound
    if form is None:
        form = SpeakForm.of(hearing, found, formdata=None)
    more = _standing(found, occurrence, draft_form) if found is not None and is_on else {}
    html = render(
        "hearings/testimony.html" if is_on else "hearings/ask.html",
        rsvp=rsvp,
        token=token,
        form=form,
        testimony=found,
        free=_free(hearing, occurrence),
        is_cancelled=rsvp.state == RsvpState.CANCELLED,
        **_frame(hearing, occurrence) | more,
    )
    response = make_response(html, status)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _standing(
    found: Testimony, occurrence: Occurrence, draft_form: DraftForm | None
) -> dict[str, Any]:
    """Where a speaker stands: their number and time, tasks done, words, readers."""
    speakers = queries.speakers(occurrence.id)
    aloud = [row for row in speakers if row.way in rules.ALOUD]
    text = found.draft
    offered = found.offered_at
    return {
        "draft_form": draft_form or DraftForm(formdata=None, data={"draft": text}),
        "length": _length(found, text),
        "is_over": _is_over(found, text),
        "place": queries.place_in_line(found),
        "number": aloud.index(found) + 1 if found in aloud else 0,
        "about": _clock_time(rules.times(aloud, occurrence.starts_at).get(found.id), occurrence),
        "tasks": [
            one
            for one in rules.still_to_do_first(
                rules.in_order(queries.tasks_of(found.event_id), occurrence), clock.now()
            )
            if found.way in one.task.ways
        ],
        "done": queries.done_by([found.id])[found.id],
        "reader": _reader_of(found),
        "readings": queries.readings_of(found),
        "language_name": writing.language_names().get(found.language, found.language),
        "is_offer": offered is not None and clock.now() - offered < timedelta(hours=OFFER_HOURS),
    }


def _clock_time(at: datetime | None, occurrence: Occurrence) -> str:
    """A time as the clock in the room shows it."""
    if at is None:
        return ""
    there = at.astimezone(clock.zone(occurrence.event.zone))
    return str(format_time(there, "short", locale=language()))


def _reader_of(found: Testimony) -> str:
    """The first name of who reads for a speaker, "" for nobody."""
    reader = db.session.get(Testimony, found.reader_id) if found.reader_id else None
    return reader.rsvp.first_name if reader is not None and reader.rsvp is not None else ""


def _minutes(value: float) -> str:
    if value == 1:
        return str(_("1 minute"))
    return str(_("%(count)s minutes", count=number(value)))


def _length(found: Testimony, text: str) -> str:
    """How long the words are: in minutes for who speaks, in pages for who writes."""
    words = writing.words_in(text, found.language)
    if not words:
        return str(_("Nothing yet."))
    shown = ngettext("%(count)s word", "%(count)s words", words, count=number(words))
    if found.way not in rules.ALOUD:
        pages = writing.pages_for(text, found.language)
        about = ngettext("about %(num)d page", "about %(num)d pages", pages)
        return f"{shown}, {about}"
    minutes = _minutes(writing.minutes_for(text, found.language))
    return str(_("%(words)s, about %(minutes)s to say", words=shown, minutes=minutes))


def _is_over(found: Testimony, text: str) -> str:
    """A word of warning when the text is longer than there is room for, "" when it fits."""
    hearing = queries.hearing_of(found.event_id)
    if hearing is not None and found.way not in rules.ALOUD:
        if writing.pages_for(text, found.language) > hearing.most_pages:
            return str(
                ngettext(
                    "Only %(num)d page may be handed in. Shorten it a little.",
                    "Only %(num)d pages may be handed in. Shorten it a little.",
                    hearing.most_pages,
                )
            )
    elif writing.minutes_for(text, found.language) > found.minutes:
        return str(
            _(
                "You have %(minutes)s. Shorten it a little, so that you can end calmly.",
                minutes=_minutes(found.minutes),
            )
        )
    return ""


@blueprint.post("/rsvp/<token>/testimony")
@link
def ask(token: str) -> Response:
    """Ask to speak, or change what was said."""
    rsvp = _rsvp_behind(token)
    hearing = queries.hearing_of(rsvp.event_id)
    if hearing is None:
        raise NotFound
    form = SpeakForm.of(hearing)
    if not form.validate():
        return _page(token, rsvp, form=form, status=400)
    try:
        services.ask_to_speak(rsvp, form.testimony())
    except CampaignError as error:
        if not isinstance(error, Invalid):
            db.session.rollback()
        form.add_error(error.field, error.message)
        return _page(token, _rsvp_behind(token), form=form, status=400)
    db.session.commit()
    return _to_page(token)


@blueprint.post("/rsvp/<token>/testimony/draft")
@link
def save_draft(token: str) -> Response:
    """Keep the words; a page with a script asks for JSON and stays where it is."""
    found = _speaker_behind(token)
    form = DraftForm()
    wants_json = request.accept_mimetypes.best == "application/json"
    if not form.validate():
        if wants_json:
            return make_response(jsonify(error=str(form.draft.errors[0])), 400)
        return _page(token, _rsvp_behind(token), draft_form=form, status=400)
    services.save_draft(found, form.draft.data or "")
    db.session.commit()
    if wants_json:
        return jsonify(
            length=_length(found, found.draft),
            warning=_is_over(found, found.draft),
            token=csrf.form_token(),
        )
    return _to_page(token, "draft")


@blueprint.post("/rsvp/<token>/testimony/tasks/<uuid:task_id>")
@link
def tick(token: str, task_id: uuid.UUID) -> Response:
    """A task is done, or is not after all."""
    found = _speaker_behind(token)
    task = queries.task_of(found.organization_id, task_id)
    if task.event_id != found.event_id:
        raise NotFound
    services.tick_task(found, task, is_done=request.form.get("done") == "1")
    db.session.commit()
    return _to_page(token, "tasks")


@blueprint.post("/rsvp/<token>/testimony/reader")
@link
def reader(token: str) -> Response:
    """Find somebody who reads the words if the speaker cannot, or do without."""
    found = _speaker_behind(token)
    if request.form.get("reader") == "none":
        services.pair_reader(found, None)
    else:
        services.find_reader(found)
    db.session.commit()
    return _to_page(token, "reader")


@blueprint.post("/rsvp/<token>/testimony/withdraw")
@link
def withdraw(token: str) -> Response:
    """Off the list, also out of the line; the slot goes to the next. Twice is once."""
    rsvp = _rsvp_behind(token)
    found = queries.testimony_by_rsvp(rsvp.id)
    if found is not None:
        services.withdraw_testimony(found)
        db.session.commit()
    return _to_page(token)


# --- reading for somebody else -----------------------------------------------------------------


@blueprint.get("/rsvp/<token>/testimony/reading/<uuid:testimony_id>")
@link
def reading(token: str, testimony_id: uuid.UUID) -> Response:
    """The words of somebody who cannot speak, for who reads them out."""
    mine = _speaker_behind(token)
    other = _read_by(mine, testimony_id)
    response = make_response(
        render(
            "hearings/reading.html",
            token=token,
            other=other,
            length=_length(other, other.draft),
            language_name=writing.language_names().get(other.language, other.language),
            **_frame(queries.hearing_of(mine.event_id), mine.occurrence),
        )
    )
    response.headers["Cache-Control"] = "private, no-store"
    return response


@blueprint.post("/rsvp/<token>/testimony/reading/<uuid:testimony_id>")
@link
def give_back(token: str, testimony_id: uuid.UUID) -> Response:
    """I cannot read for them after all: another is found where somebody else offers."""
    mine = _speaker_behind(token)
    services.give_back_reading(_read_by(mine, testimony_id))
    db.session.commit()
    return _to_page(token, "reader")


def _read_by(mine: Testimony, testimony_id: uuid.UUID) -> Testimony:
    for other in queries.readings_of(mine):
        if other.id == testimony_id:
            return other
    raise NotFound


# --- to take along -----------------------------------------------------------------------------


@blueprint.get("/rsvp/<token>/testimony.pdf")
@link
def statement(token: str) -> Response:
    """One's own words on paper, to hand in or to read from."""
    found = _speaker_behind(token)
    return _file(found, _paper(found).finish(), "application/pdf", "pdf")


def _paper(found: Testimony) -> Paper:
    rsvp, occurrence = found.rsvp, found.occurrence
    hearing = queries.hearing_of(found.event_id)
    body = hearing.body.get_for(found.language) if hearing is not None else ""
    name = f"{rsvp.first_name} {rsvp.last_name}".strip() if rsvp is not None else ""
    paper = Paper(
        found.topic or _("Statement"),
        made_at=found.draft_saved_at or found.created_at,
        subtitle=occurrence.event.title.get_for(language()),
        running=name,
        language=found.language,
    )
    when = emails.starts_in_words(occurrence, language())
    paper.facts([(_("Name"), name), (_("Before whom"), body), (_("Hearing"), when)])
    paper.space(3)
    paper.text(found.draft or _("There are no words yet."), size=12)
    return paper


@blueprint.get("/rsvp/<token>/testimony.txt")
@link
def words(token: str) -> Response:
    """One's own words as they are."""
    found = _speaker_behind(token)
    return _file(found, found.draft.encode(), "text/plain; charset=utf-8", "txt")


def _file(found: Testimony, data: bytes, kind: str, ending: str) -> Response:
    name = _NOT_IN_NAMES.sub("-", found.occurrence.event.slug.lower()).strip("-")
    response = Response(data, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-statement.{ending}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


# --- what came too late ------------------------------------------------------------------------


@blueprint.errorhandler(BadRequest)
def stale(error: BadRequest) -> Response:
    """A form that was open for too long: nothing typed is lost, one more press sends it."""
    token = str((request.view_args or {}).get("token", ""))
    if request.endpoint not in {"hearings.save_draft", "hearings.ask"}:
        return error_page(400, str(error.description or ""))
    message = _(
        "This page was open for a long time. Please check what you typed and press once more."
    )
    try:
        rsvp = _rsvp_behind(token)
        hearing = queries.hearing_of(rsvp.event_id)
    except (NotFound, Gone):
        return error_page(400, str(error.description or ""))
    if request.endpoint == "hearings.save_draft":
        draft_form = DraftForm()
        draft_form.form_errors.append(message)
        return _page(token, rsvp, draft_form=draft_form, status=400)
    if hearing is None:
        return error_page(404)
    form = SpeakForm.of(hearing)
    form.form_errors.append(message)
    return _page(token, rsvp, form=form, status=400)
