"""The console's pages to write events: the list, the editor, one event with its dates."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from babel.dates import format_date, format_time
from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import slug_from
from campaign.db import db
from campaign.errors import CampaignError, Conflict
from campaign.events import desk, hosting, queries, scheduling
from campaign.events.dates import Changes, hold_fresh
from campaign.events.desk import PARTS
from campaign.events.editor import (
    DAY_ROWS,
    HOUR_ROWS,
    DeclineForm,
    EventForm,
    NoteForm,
    new_values,
    values_of,
)
from campaign.events.forms import RsvpForm
from campaign.events.models import Event, EventKind, EventState, HostState
from campaign.events.recurrence import in_words, offset_words, parse, read_wall
from campaign.events.views.public import page as public_page
from campaign.events.words import DATE_STATE_NAMES, KIND_NAMES, STATE_NAMES
from campaign.fields.queries import fields_of
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization, Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.fields import hostile
from campaign.web.filters import number
from campaign.web.forms import LastTime
from campaign.web.languages import language
from campaign.web.links import external
from campaign.web.page_cache import page_cache
from campaign.web.pagination import PAGE_SIZE, Page

blueprint = Blueprint("organize_events", __name__)
HOSTING = (HostState.INVITED, HostState.ACTIVE)


@blueprint.after_request
def show_at_once(response: Response) -> Response:
    """What was changed here shows on the public pages at the next look, not seconds later."""
    if request.method == "POST":
        queries.forget_sheets()
        page_cache().clear()
    return response


def found(event_id: uuid.UUID) -> Event:
    """An event of the organization one works for; raises NotFound."""
    return queries.event_of(actor().organization_id, event_id)


def to(event: Event) -> Response:
    """See the page of an event."""
    return redirect(url_for("organize_events.event", event_id=event.id), 303)


# The list


@blueprint.get("/organize/events/")
@allow(Permission.EVENTS_VIEW)
def events() -> str:
    """All events of the organization in parts: to come, over, drafts, proposals, cancelled."""
    here, now = actor().organization_id, clock.now()
    asked = request.args
    part = asked.get("part", "") if asked.get("part") in PARTS else PARTS[0]
    text = asked.get("q", "")[:100].strip()
    ids = list(
        db.session.scalars(
            desk.event_ids(
                here,
                part,
                now,
                campaign_id=_uuid(asked.get("campaign", "")),
                kind=asked.get("kind", "") if asked.get("kind") in set(EventKind) else "",
                text="" if hostile(text) else text,
            )
        )
    )
    page = _page(ids)
    return render_template(
        "events/organize/index.html",
        lines=desk.lines(page.rows, now),
        page=page,
        part=part,
        counts=desk.part_counts(here, now),
        asked=asked,
        campaigns=campaigns.campaigns_of(here),
        proposers=desk.proposers(page.rows) if part == "proposals" else {},
        slug=db.session.get_one(Organization, here).slug,
        **words(),
    )


def _page(ids: list[uuid.UUID]) -> Page[uuid.UUID]:
    """The piece of a list of ids that begins behind `?after=`."""
    after = _uuid(request.args.get("after", ""))
    start = ids.index(after) + 1 if after in ids else 0
    rows = ids[start : start + PAGE_SIZE]
    more: dict[str, Any] = {
        name: request.args[name]
        for name in ("part", "q", "kind", "campaign")
        if name in request.args
    }

    def link(behind: int) -> str:
        last: dict[str, Any] = {"after": ids[behind - 1]} if behind > 0 else {}
        return url_for("organize_events.events", **more, **last)

    return Page(
        rows=rows,
        next_url=link(start + PAGE_SIZE) if len(ids) > start + PAGE_SIZE else None,
        previous_url=link(start - PAGE_SIZE) if start else None,
        total=len(ids),
    )


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def words() -> dict[str, Any]:
    """What a page calls kinds and states."""
    return {
        "kind_names": KIND_NAMES,
        "state_names": STATE_NAMES,
        "date_state_names": DATE_STATE_NAMES,
        "edits": actor().can(Permission.EVENTS_EDIT),
        "offset_words": offset_words,
    }


# The editor


def form_for(**values: Any) -> EventForm:
    mine = campaigns.campaigns_of(actor().organization_id)
    clinics = [clinic for row in mine for clinic in campaigns.clinics_of(row.id)]
    own = fields_of(actor().organization_id, with_sensitive=True)
    return EventForm.of(mine, clinics, own, **values)


@blueprint.route("/organize/events/new", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def new_event() -> Response | str:
    organization = db.session.get_one(Organization, actor().organization_id)
    zone = organization.time_zone
    now = clock.now().astimezone(clock.zone(zone))
    form = form_for(data=new_values(now, zone, request.args.get("campaign")))
    if form.is_posted_and_valid():
        try:
            event = scheduling.create_event(
                actor().organization_id, form.details(), user_id=actor().user_id
            )
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The draft is saved. Nobody sees it until you publish it."))
            return to(event)
    return render_template(
        "events/organize/new.html",
        form=form,
        suggestion=slug_from(form.title_en.data or form.title_es.data or "", fallback=""),
        has_campaign=bool(form.campaign.choices),
        **editor_rows(),
    )


@blueprint.route("/organize/events/<uuid:event_id>/edit", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def edit_event(event_id: uuid.UUID) -> Response | str:
    event = found(event_id)
    if event.state == EventState.CANCELLED:
        raise Conflict(_("This event is cancelled. Copy it to hold it once more."))
    if request.method == "POST":
        hold_fresh(event.id, event)
    stored = values_of(event)
    form = form_for(data=stored, kept=event.reminders)
    if form.is_mine(stored, last_time("event.changed", event)) and form.is_posted_and_valid():
        try:
            changes = scheduling.change_event(event, form.details(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            told = _told(event, changes)
            db.session.commit()
            flashes.done(told)
            return redirect(url_for("organize_events.edit_event", event_id=event.id), 303)
    return render_template("events/organize/edit.html", form=form, **editor_rows(), **frame(event))


def last_time(action: str, event: Event, **details: str) -> Callable[[], LastTime]:
    """The question who last did this to an event; `details` say to which part of it."""
    here, about = actor().organization_id, event.id
    return lambda: organizations.last_time(here, action, about, **details)


def editor_rows() -> dict[str, Any]:
    return {"day_rows": range(DAY_ROWS), "hour_rows": range(HOUR_ROWS)}


def _told(event: Event, changes: Changes) -> str:
    """What saving did besides: how many dates moved, and that people are told."""
    said = [str(_("Saved."))]
    moved = len(changes.moved)
    if moved and event.state == EventState.PUBLISHED:
        said.append(
            ngettext(
                "%(count)s date moved. Whoever comes is told by email.",
                "%(count)s dates moved. Whoever comes is told by email.",
                moved,
                count=number(moved),
            )
        )
    if changes.cancelled:
        said.append(
            ngettext(
                "%(count)s date that people had answered is cancelled, and they are told.",
                "%(count)s dates that people had answered are cancelled, and they are told.",
                len(changes.cancelled),
                count=number(len(changes.cancelled)),
            )
        )
    return " ".join(said)


def oddities(changes: Changes) -> list[str]:
    """Warnings about times that do not happen, or happen twice."""
    return [odd_words(wall, found) for wall, found in changes.oddities]


def _oddities_of(event: Event) -> list[str]:
    return [odd_words(wall, found) for wall, found in scheduling.oddities_of(event)]


def odd_words(wall: Any, found: Any) -> str:
    here = language()
    values = {
        "day": format_date(wall, "full", locale=here),
        "time": format_time(wall, "short", locale=here),
        "shown": format_time(found.shown, "short", locale=here),
    }
    if found.oddity == "gap":
        return str(
            _(
                "On %(day)s the clocks go forward: %(time)s does not happen. "
                "It begins when the clock shows %(shown)s.",
                **values,
            )
        )
    return str(
        _(
            "On %(day)s the clocks go back: %(time)s happens twice. The first one is meant.",
            **values,
        )
    )


@blueprint.get("/organize/events/<uuid:event_id>/preview")
@allow(Permission.EVENTS_VIEW)
def preview(event_id: uuid.UUID) -> str:
    """The page as the public will see it; its form does not send."""
    event = found(event_id)
    date = queries.date_of(event, None)
    return public_page(date, RsvpForm.of(date, formdata=None), is_preview=True)


# One event


def frame(event: Event) -> dict[str, Any]:
    """What every page of one event shows."""
    now = clock.now()
    rows = desk.all_dates(event)
    return {
        "event": event,
        "dates": rows,
        "coming": [row for row in rows if row.state == "scheduled" and row.ends_at > now],
        "is_over": event.state == EventState.PUBLISHED and all(row.is_over(now) for row in rows),
        "repeats": series_words(event),
        "public_url": external("events.event", event=event.slug),
        "proposer": hosting.proposer_of(event) if event.state == EventState.PROPOSED else None,
        **desk.part_numbers(event.id),
        "can_withdraw": event.state == EventState.PUBLISHED and not scheduling.has_answers(event),
        "warnings": _oddities_of(event),
        **words(),
    }


def series_words(event: Event) -> str:
    if not event.recurrence:
        return ""
    return in_words(parse(event.recurrence), read_wall(event.starts_wall))


@blueprint.get("/organize/events/<uuid:event_id>")
@allow(Permission.EVENTS_VIEW)
def event(event_id: uuid.UUID) -> str:
    """How it stands: its dates with numbers, its address, who hosts. Nobody's name who comes."""
    event = found(event_id)
    return render_template(
        "events/organize/show.html",
        counts=desk.counts_by_date(event.id),
        hosts=desk.hosts_of(event.id),
        shifts=queries.shifts_of(event.id),
        decline=DeclineForm(formdata=None),
        note=NoteForm(formdata=None),
        **frame(event),
    )


@blueprint.post("/organize/events/<uuid:event_id>/publish")
@allow(Permission.EVENTS_EDIT)
def publish(event_id: uuid.UUID) -> Response:
    event = found(event_id)
    try:
        scheduling.publish_event(event, user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.undoable(
        _("The event is public now. People can say that they come."),
        url_for("organize_events.withdraw", event_id=event.id),
    )
    return to(event)


def _refused(event: Event, error: CampaignError) -> Response:
    """Say on the event's page what does not go."""
    db.session.rollback()
    flashes.failed(error.message or _("This is not possible any more. Please look again."))
    return to(event)


@blueprint.post("/organize/events/<uuid:event_id>/withdraw")
@allow(Permission.EVENTS_EDIT)
def withdraw(event_id: uuid.UUID) -> Response:
    event = found(event_id)
    try:
        scheduling.withdraw_event(event, user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.undoable(
        _("The event is a draft again. Only your team sees it."),
        url_for("organize_events.publish", event_id=event.id),
    )
    return to(event)


@blueprint.post("/organize/events/<uuid:event_id>/cancel")
@allow(Permission.EVENTS_EDIT)
def cancel(event_id: uuid.UUID) -> Response:
    """For good: everybody who comes is told at once, so there is no undo."""
    event, form = found(event_id), NoteForm()
    if not form.is_posted_and_valid():
        return _refused(event, Conflict(first_error(form)))
    try:
        scheduling.cancel_event(event, form.words("note"), user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.done(_("The event is cancelled. Everybody who said they come is told by email."))
    return to(event)


def first_error(form: Any) -> str:
    return next((str(text) for errors in form.errors.values() for text in errors), "")


@blueprint.post("/organize/events/<uuid:event_id>/copy")
@allow(Permission.EVENTS_EDIT)
def copy(event_id: uuid.UUID) -> Response:
    event = found(event_id)
    try:
        made = scheduling.copy_event(event, user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.done(_("This is the copy, a draft. Check its time, then publish it."))
    return redirect(url_for("organize_events.edit_event", event_id=made.id), 303)


# Proposals


@blueprint.post("/organize/events/<uuid:event_id>/approve")
@allow(Permission.EVENTS_EDIT)
def approve(event_id: uuid.UUID) -> Response:
    event = found(event_id)
    try:
        hosting.approve_event(event, user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.done(_("The event is public now, and its host is told."))
    return to(event)


@blueprint.post("/organize/events/<uuid:event_id>/decline")
@allow(Permission.EVENTS_EDIT)
def decline(event_id: uuid.UUID) -> Response:
    event, form = found(event_id), DeclineForm()
    if not form.is_posted_and_valid():
        return _refused(event, Conflict(first_error(form)))
    try:
        hosting.decline_event(event, form.word.data or "", user_id=actor().user_id)
    except CampaignError as error:
        return _refused(event, error)
    db.session.commit()
    flashes.done(_("The proposal is declined, and whoever made it is told."))
    return redirect(url_for("organize_events.events", part="proposals"), 303)
