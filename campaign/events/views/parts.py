"""The console's pages about parts of an event: one date, shifts and roles, who hosts."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import Partnership
from campaign.db import db
from campaign.errors import CampaignError, Conflict
from campaign.events import desk, hosting, queries, scheduling
from campaign.events.dates import hold_fresh
from campaign.events.editor import (
    DateForm,
    NoteForm,
    PartnerHostForm,
    ShiftForm,
    VolunteerHostForm,
    date_values,
    shift_values,
)
from campaign.events.hosting import HostDetails
from campaign.events.models import Event, HostState, Occurrence, Shift
from campaign.events.views.organize import (
    HOSTING,
    first_error,
    found,
    frame,
    last_time,
    oddities,
    show_at_once,
)
from campaign.events.words import ROLE_NAMES
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language

blueprint = Blueprint("event_parts", __name__)
blueprint.after_request(show_at_once)


def found_date(occurrence_id: uuid.UUID) -> Occurrence:
    return queries.occurrence_of(actor().organization_id, occurrence_id)


def to_event(event_id: uuid.UUID) -> Response:
    return redirect(url_for("organize_events.event", event_id=event_id), 303)


# One date


@blueprint.route("/organize/events/dates/<uuid:occurrence_id>", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def date(occurrence_id: uuid.UUID) -> Response | str:
    """Another time, place or room for one date of a series; a note for it."""
    row = found_date(occurrence_id)
    event = row.event
    if request.method == "POST":
        hold_fresh(event.id, row)
    is_open = row.state == "scheduled" and not row.is_cancelled and row.starts_at > clock.now()
    stored = date_values(row)
    form = DateForm(data=stored)
    last = last_time("date.changed", event, date=row.id.hex)
    if form.is_mine(stored, last) and form.is_posted_and_valid():
        try:
            changes = scheduling.change_occurrence(
                row, form.details(event), user_id=actor().user_id
            )
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(
                _("Saved. Whoever comes is told by email.") if changes.moved else _("Saved.")
            )
            for text in oddities(changes):
                flashes.told(text)
            return to_event(event.id)
    return render_template(
        "events/organize/date.html",
        form=form,
        row=row,
        is_open=is_open,
        note=NoteForm(formdata=None, prefix="cancel-"),
        **frame(event),
    )


@blueprint.post("/organize/events/dates/<uuid:occurrence_id>/cancel")
@allow(Permission.EVENTS_EDIT)
def cancel_date(occurrence_id: uuid.UUID) -> Response:
    row, form = found_date(occurrence_id), NoteForm(prefix="cancel-")
    if not form.is_posted_and_valid():
        return refused(row.event_id, Conflict(first_error(form)))
    try:
        scheduling.cancel_occurrence(row, form.words("note"), user_id=actor().user_id)
    except CampaignError as error:
        return refused(row.event_id, error)
    db.session.commit()
    flashes.undoable(
        _("This date is cancelled. Whoever comes is told by email."),
        url_for("event_parts.restore_date", occurrence_id=row.id),
    )
    return to_event(row.event_id)


@blueprint.post("/organize/events/dates/<uuid:occurrence_id>/remove")
@allow(Permission.EVENTS_EDIT)
def remove_date(occurrence_id: uuid.UUID) -> Response:
    row = found_date(occurrence_id)
    try:
        scheduling.remove_occurrence(row, user_id=actor().user_id)
    except CampaignError as error:
        return refused(row.event_id, error)
    db.session.commit()
    flashes.undoable(
        _("This date is left out of the series."),
        url_for("event_parts.restore_date", occurrence_id=row.id),
    )
    return to_event(row.event_id)


@blueprint.post("/organize/events/dates/<uuid:occurrence_id>/restore")
@allow(Permission.EVENTS_EDIT)
def restore_date(occurrence_id: uuid.UUID) -> Response:
    row = found_date(occurrence_id)
    try:
        scheduling.restore_occurrence(row, user_id=actor().user_id)
    except CampaignError as error:
        return refused(row.event_id, error)
    db.session.commit()
    flashes.done(_("This date takes place after all."))
    return to_event(row.event_id)


def refused(event_id: uuid.UUID, error: CampaignError, endpoint: str = "") -> Response:
    """Say on a page of the event what does not go."""
    db.session.rollback()
    flashes.failed(error.message or _("This is not possible any more. Please look again."))
    return redirect(url_for(endpoint or "organize_events.event", event_id=event_id), 303)


# Shifts and roles


def found_shift(shift_id: uuid.UUID) -> Shift:
    return desk.shift_of(actor().organization_id, shift_id)


@blueprint.route("/organize/events/<uuid:event_id>/shifts", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def shifts(event_id: uuid.UUID) -> Response | str:
    """All shifts, and the form for another one."""
    event, form = found(event_id), ShiftForm()
    if form.is_posted_and_valid():
        try:
            scheduling.add_shift(event, form.details(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The shift is added."))
            return redirect(url_for("event_parts.shifts", event_id=event.id), 303)
    return render_template(
        "events/organize/shifts.html",
        form=form,
        shifts=queries.shifts_of(event.id),
        role_names=ROLE_NAMES,
        times=shift_times(event),
        **frame(event),
    )


def shift_times(event: Event) -> dict[uuid.UUID, str]:
    """When each shift begins and ends on the next date; "" for one as long as the event."""
    date = queries.date_of(event, None)
    return {
        row.id: queries.shift_hours(row, date, language()) for row in queries.shifts_of(event.id)
    }


@blueprint.route("/organize/events/shifts/<uuid:shift_id>", methods=["GET", "POST"])
@allow(Permission.EVENTS_EDIT)
def shift(shift_id: uuid.UUID) -> Response | str:
    row = found_shift(shift_id)
    event = found(row.event_id)
    if request.method == "POST":
        hold_fresh(event.id, row)
    stored = shift_values(row)
    form = ShiftForm(data=stored)
    if form.is_mine(stored, lambda: None) and form.is_posted_and_valid():
        try:
            scheduling.change_shift(row, form.details(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return redirect(url_for("event_parts.shifts", event_id=event.id), 303)
    return render_template("events/organize/shift.html", form=form, shift=row, **frame(event))


@blueprint.post("/organize/events/shifts/<uuid:shift_id>/<any(remove,restore):how>")
@allow(Permission.EVENTS_EDIT)
def set_shift(shift_id: uuid.UUID, how: str) -> Response:
    """Offer a shift no more, or again. Who has it keeps it."""
    row = found_shift(shift_id)
    scheduling.set_shift_removed(row, how == "remove", user_id=actor().user_id)
    db.session.commit()
    if how == "remove":
        flashes.undoable(
            _("The shift is not offered any more. Who has it keeps it."),
            url_for("event_parts.set_shift", shift_id=row.id, how="restore"),
        )
    else:
        flashes.done(_("The shift is offered again."))
    return redirect(url_for("event_parts.shifts", event_id=row.event_id), 303)


# Hosts


@blueprint.get("/organize/events/<uuid:event_id>/hosts")
@allow(Permission.EVENTS_EDIT)
def hosts(event_id: uuid.UUID) -> str:
    return hosts_page(found(event_id))


def hosts_page(
    event: Event,
    partner: PartnerHostForm | None = None,
    volunteer: VolunteerHostForm | None = None,
) -> str:
    """Who hosts, with both forms as they stand."""
    return render_template(
        "events/organize/hosts.html",
        hosts=desk.hosts_of(event.id),
        partner_form=partner or PartnerHostForm.of(_partners(event), formdata=None),
        form=volunteer or VolunteerHostForm(formdata=None, data={"language": language()}),
        **frame(event),
    )


def _partners(event: Event) -> list[Partnership]:
    asked = {row.partner_id for row in desk.hosts_of(event.id) if row.state in HOSTING}
    return [row for row in campaigns.partners_of(event.campaign_id) if row.partner_id not in asked]


@blueprint.post("/organize/events/<uuid:event_id>/hosts/partner")
@allow(Permission.EVENTS_EDIT)
def invite_partner(event_id: uuid.UUID) -> Response | str:
    event = found(event_id)
    form = PartnerHostForm.of(_partners(event))
    if form.is_posted_and_valid():
        try:
            hosting.invite_partner(event, uuid.UUID(form.partner.data), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("They are asked by email. You see here what they answer."))
            return redirect(url_for("event_parts.hosts", event_id=event.id), 303)
    return hosts_page(event, partner=form)


@blueprint.post("/organize/events/<uuid:event_id>/hosts/volunteer")
@allow(Permission.EVENTS_EDIT)
def invite_volunteer(event_id: uuid.UUID) -> Response | str:
    event, form = found(event_id), VolunteerHostForm()
    if form.is_posted_and_valid():
        details = HostDetails(
            name=form.name.data, email=form.email.data, language=form.language.data
        )
        try:
            hosting.invite_host(event, details, user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("They are asked by email. You see here what they answer."))
            return redirect(url_for("event_parts.hosts", event_id=event.id), 303)
    return hosts_page(event, volunteer=form)


@blueprint.post("/organize/events/hosts/<uuid:host_id>/<any(off,back):how>")
@allow(Permission.EVENTS_EDIT)
def set_host(host_id: uuid.UUID, how: str) -> Response:
    """Take a host off, or put them back as they stood."""
    row = desk.host_of(actor().organization_id, host_id)
    if how == "off":
        hosting.take_off_host(row, user_id=actor().user_id)
        flashes.undoable(
            _("They are no host any more."),
            url_for("event_parts.set_host", host_id=row.id, how="back"),
        )
    else:
        hosting.put_back_host(row, user_id=actor().user_id)
        flashes.done(
            _("They host again.") if row.state == HostState.ACTIVE else _("They are asked again.")
        )
    db.session.commit()
    return redirect(url_for("event_parts.hosts", event_id=row.event_id), 303)
