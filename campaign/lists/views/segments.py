"""Segments in the console: a sentence put together from rows, with a live count."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.campaigns.queries import campaigns_of
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.events.words import KIND_NAMES as KIND_NAMES_OF_EVENTS
from campaign.fields.models import CustomField
from campaign.fields.queries import fields_of
from campaign.lists import queries, rules, services
from campaign.lists.forms import DID_NAMES, HOW_NAMES, KIND_NAMES, SegmentDraft
from campaign.lists.models import Segment
from campaign.lists.rules import Group, How
from campaign.lists.taking_part import Did
from campaign.organizations.models import Permission
from campaign.people.models import Purpose
from campaign.people.queries import sources_of, tags_in
from campaign.petitions.queries import petitions_of
from campaign.places.queries import district_names, districts
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done, failed, undoable
from campaign.web.languages import language

blueprint = Blueprint("segments", __name__, url_prefix="/organize/segments")

PREVIEW_ROWS = 8


@blueprint.get("/", strict_slashes=False)
@allow(Permission.PEOPLE_VIEW)
def index() -> str:
    """All segments as sentences; their counts come one by one."""
    found = [
        (segment, sentence(segment)) for segment in queries.segments_of(actor().organization_id)
    ]
    return render_template("segments/index.html", segments=found)


@blueprint.get("/<uuid:segment_id>/count")
@allow(Permission.PEOPLE_VIEW)
def count(segment_id: uuid.UUID) -> str:
    """How many people a segment finds now."""
    segment = queries.find_segment(actor().organization_id, segment_id)
    found = queries.count_audience(actor().organization_id, segment.rules)
    is_partial = "HX-Request" in request.headers
    return render_template(
        "segments/_count.html" if is_partial else "segments/count.html",
        segment=segment,
        count=found,
        sentence=sentence(segment),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.LISTS_EDIT)
def new() -> str | Response:
    """Build a segment."""
    return build(None)


@blueprint.route("/<uuid:segment_id>", methods=["GET", "POST"])
@allow(Permission.LISTS_EDIT)
def edit(segment_id: uuid.UUID) -> str | Response:
    """Change a segment."""
    return build(queries.find_segment(actor().organization_id, segment_id))


@blueprint.post("/answer")
@allow(Permission.LISTS_EDIT)
def answer() -> str:
    """The sentence, the count and the first people of a form that is being filled in."""
    draft = SegmentDraft.posted(request.form, ward_ids())
    return render_template("segments/_answer.html", **answer_of(draft.group()))


@blueprint.post("/<uuid:segment_id>/delete")
@allow(Permission.LISTS_EDIT)
def delete(segment_id: uuid.UUID) -> Response:
    """Take a segment away; can be undone."""
    segment = queries.find_segment(actor().organization_id, segment_id)
    try:
        services.delete_segment(segment, user_id=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        failed(error.message)
        return redirect(url_for("segments.edit", segment_id=segment_id), 303)
    db.session.commit()
    undoable(_("Segment deleted."), url_for("segments.restore", segment_id=segment_id))
    return redirect(url_for("segments.index"), 303)


@blueprint.post("/<uuid:segment_id>/restore")
@allow(Permission.LISTS_EDIT)
def restore(segment_id: uuid.UUID) -> Response:
    """Bring a deleted segment back."""
    segment = queries.find_segment(actor().organization_id, segment_id, is_deleted=True)
    services.restore(segment, user_id=actor().user_id)
    db.session.commit()
    done(_("The segment is back."))
    return redirect(url_for("segments.edit", segment_id=segment_id), 303)


def build(segment: Segment | None) -> str | Response:
    """The builder: a posted button changes the rows, shows the count, or saves."""
    wards = ward_ids()
    if request.method != "POST":
        saved = rules.parse(segment.rules) if segment is not None else rules.EVERYBODY
        draft = SegmentDraft.of(saved, segment.name if segment is not None else "", wards)
        return show(segment, draft, draft.group())
    draft = SegmentDraft.posted(request.form, wards)
    action = request.form.get("do", "save")
    if action not in {"save", "count"}:
        draft.act(action, request.form)
        return show(segment, draft, None)
    group = draft.group()
    if action == "save" and group is not None:
        try:
            services.save_segment(actor().organization_id, draft.name, group, segment=segment)
        except Invalid as error:
            db.session.rollback()
            draft.errors.append(str(error.message))
        else:
            db.session.commit()
            done(_("The segment is saved."))
            return redirect(url_for("segments.index"), 303)
    return show(segment, draft, group)


def show(segment: Segment | None, draft: SegmentDraft, group: Group | None) -> str:
    return render_template(
        "segments/edit.html",
        segment=segment,
        draft=draft,
        kinds=KIND_NAMES,
        options=options(segment),
        **answer_of(group),
    )


def answer_of(group: Group | None) -> dict[str, Any]:
    """Sentence, count and first people of a tree; nothing while it is not complete."""
    if group is None:
        return {"sentence": "", "count": None, "people": [], "districts": {}}
    organization_id = actor().organization_id
    try:
        found = queries.first_people(organization_id, group, PREVIEW_ROWS)
        return {
            "sentence": rules.describe(group, queries.names_in(organization_id, group, language())),
            "count": queries.count_audience(organization_id, group),
            "people": found,
            "districts": district_names(language()),
        }
    except Invalid as error:
        return {"sentence": str(error.message), "count": None, "people": [], "districts": {}}


def sentence(segment: Segment) -> str:
    """What a segment asks, in words."""
    try:
        group = rules.parse(segment.rules)
    except Invalid as error:
        return str(error.message)
    return rules.describe(group, queries.names_in(segment.organization_id, group, language()))


def fields_to_ask_about() -> list[CustomField]:
    """The fields that this person may ask about."""
    me = actor()
    return fields_of(me.organization_id, with_sensitive=me.can(Permission.SENSITIVE_VIEW))


def ward_ids() -> dict[str, uuid.UUID]:
    """Ward number → id."""
    return {district.code: district.id for district in districts("ward")}


def options(segment: Segment | None) -> dict[str, list[tuple[str, str]]]:
    """What the builder's selects offer: the organization's own things by name."""
    organization_id = actor().organization_id
    return {
        "petition_id": [
            (str(row.id), row.title.get_for(language())) for row in petitions_of(organization_id)
        ],
        "event_id": [
            (str(row.id), row.title.get_for(language()))
            for row in queries.events_to_ask_about(organization_id)
        ],
        "event_kind": [(kind, str(name)) for kind, name in KIND_NAMES_OF_EVENTS.items()],
        "campaign_id": [
            (str(row.id), row.title.get_for(language())) for row in campaigns_of(organization_id)
        ],
        "did": [(did.value, str(DID_NAMES[did])) for did in Did],
        "tag_id": [(str(row.id), row.name) for row in tags_in(organization_id)],
        "list_id": [(str(row.id), row.name) for row in queries.lists_of(organization_id)],
        "segment_id": [
            (str(row.id), row.name)
            for row in queries.segments_of(organization_id)
            if segment is None or row.id != segment.id
        ],
        "grantee_id": [(str(row.id), row.name) for row in queries.grantees(organization_id)],
        "message_id": [(str(row.id), row.name) for row in queries.mailed_messages(organization_id)],
        "field_id": [(str(row.id), row.name.get_for(language())) for row in fields_to_ask_about()],
        "km": [(str(km), _("%(km)s km", km=km)) for km in rules.DISTANCES_KM],
        "how": [(how.value, str(HOW_NAMES[how])) for how in How],
        "purpose": [(purpose.value, rules.purpose_name(purpose)) for purpose in Purpose],
        "language": [("en", _("English")), ("es", _("Spanish"))],
        "source": [(source, source) for source in sources_of(organization_id)],
    }
