"""The legal role's pages: who risks arrest, and what became of them. Nobody else sees them."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.events import queries as events
from campaign.organizations.models import Permission
from campaign.sit_ins import queries, services
from campaign.sit_ins.forms import StatusForm
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("legal", __name__)


@blueprint.get("/organize/legal/")
@allow(Permission.ARRESTS_VIEW)
def index() -> str:
    """The dates that have such a list; no names."""
    return render_template(
        "sit_ins/legal/index.html",
        rows=queries.dates_with_risks(actor().organization_id),
    )


@blueprint.get("/organize/legal/<uuid:occurrence_id>")
@allow(Permission.ARRESTS_VIEW, writes=True)
def people(occurrence_id: uuid.UUID) -> str:
    """The list of a date. Each look is in the audit log."""
    return _page(occurrence_id, None, None)


def _page(occurrence_id: uuid.UUID, wrong: uuid.UUID | None, form: StatusForm | None) -> str:
    occurrence = events.occurrence_of(actor().organization_id, occurrence_id)
    rows = queries.risks_at(occurrence.id)
    services.note_look(occurrence, len(rows), user_id=actor().user_id)
    is_print = request.args.get("view") == "print"
    page = render_template(
        "sit_ins/legal/print.html" if is_print else "sit_ins/legal/people.html",
        occurrence=occurrence,
        event=occurrence.event,
        rows=[(risk, queries.open_seal(risk)) for risk in rows],
        form_of=lambda risk, confided: (
            form
            if form is not None and risk.id == wrong
            else StatusForm(
                formdata=None,
                data={"status": risk.status, "note": confided.note if confided else ""},
            )
        ),
        kept_days=queries.KEPT.days,
    )
    db.session.commit()
    return page


@blueprint.post("/organize/legal/people/<uuid:risk_id>/status")
@allow(Permission.ARRESTS_VIEW)
def status(risk_id: uuid.UUID) -> Response | str:
    """Arrested, released, with a note."""
    risk = queries.risk_of(actor().organization_id, risk_id)
    occurrence_id = risk.occurrence_id
    form = StatusForm()
    if not form.is_posted_and_valid():
        return _page(occurrence_id, risk_id, form)
    services.set_status(risk, form.status.data, form.note.data or "", user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("Noted."))
    return redirect(url_for("legal.people", occurrence_id=occurrence_id) + f"#r-{risk_id}", 303)
