"""A date in numbers: how many will come, how many came. Nobody's name."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign import clock
from campaign.checkin import queries, services
from campaign.checkin.forms import ExpectForm
from campaign.checkin.views.organize import found, frame
from campaign.db import db
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("organize_reports", __name__)


def page(occurrence_id: uuid.UUID, form: ExpectForm) -> str:
    occurrence = found(occurrence_id)
    now = clock.now()
    numbers = queries.numbers_of(occurrence.id)
    return render_template(
        "checkin/report_print.html"
        if request.args.get("view") == "print"
        else "checkin/report.html",
        form=form,
        numbers=numbers,
        forecast=queries.forecast_for(occurrence, numbers.said.people, now),
        sources=queries.by_source(occurrence.id),
        ways=queries.by_way(occurrence.id),
        counts=queries.head_counts(occurrence.id),
        feedback=queries.feedback_of(occurrence.id) if actor().can(Permission.ANSWERS_VIEW) else [],
        is_over=occurrence.is_over(now),
        has_begun=now >= occurrence.starts_at,
        here="report",
        **frame(occurrence),
    )


@blueprint.get("/organize/checkin/<uuid:occurrence_id>/report")
@allow(Permission.EVENTS_VIEW)
def report(occurrence_id: uuid.UUID) -> str:
    """Said they come, signed in, counted: three numbers, side by side and never mixed."""
    occurrence = found(occurrence_id)
    return page(occurrence_id, ExpectForm(data={"count": occurrence.expected_count}))


@blueprint.post("/organize/checkin/<uuid:occurrence_id>/expect")
@allow(Permission.EVENTS_EDIT)
def expect(occurrence_id: uuid.UUID) -> Response | str:
    """An organizer's own forecast over ours; left empty, ours is back."""
    occurrence = found(occurrence_id)
    form = ExpectForm()
    if not form.is_posted_and_valid():
        return page(occurrence_id, form)
    services.expect(occurrence, form.count.data, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("Saved."))
    return redirect(url_for("organize_reports.report", occurrence_id=occurrence_id), 303)
