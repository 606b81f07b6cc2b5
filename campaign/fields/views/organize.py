"""Fields in the console: the organization's own, and a person's values."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db, writing
from campaign.errors import CampaignError
from campaign.fields import queries, services
from campaign.fields.forms import KIND_NAMES, FieldForm, values_form
from campaign.fields.models import CustomField
from campaign.organizations.models import Permission
from campaign.people.queries import find_person
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.flashes import done, undoable
from campaign.web.languages import language

blueprint = Blueprint("fields", __name__, url_prefix="/organize")


@blueprint.get("/fields/")
@allow(Permission.FIELDS_EDIT)
def index() -> str:
    """All fields, in their order."""
    fields = queries.fields_of(actor().organization_id, with_sensitive=True)
    return render_template(
        "fields/index.html",
        fields=fields,
        counts=queries.counts([field.id for field in fields]),
        kinds=KIND_NAMES,
    )


@blueprint.route("/fields/new", methods=["GET", "POST"])
@allow(Permission.FIELDS_EDIT)
def new() -> str | Response:
    """Make a field."""
    return build(None)


@blueprint.route("/fields/<uuid:field_id>", methods=["GET", "POST"])
@allow(Permission.FIELDS_EDIT)
def edit(field_id: uuid.UUID) -> str | Response:
    """Change a field."""
    return build(queries.find_field(actor().organization_id, field_id))


def build(field: CustomField | None) -> str | Response:
    form = FieldForm.of(field) if field else FieldForm()
    if field:
        form.kind.data = field.kind
    if form.is_posted_and_valid():
        me = actor()
        try:
            if field is None:
                services.make_field(me.organization_id, form.details(), user_id=me.user_id)
            else:
                services.change_field(field, form.details(), user_id=me.user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("Saved."))
            return to_fields()
    return render_template("fields/edit.html", form=form, one=field, kinds=KIND_NAMES)


@blueprint.post("/fields/<uuid:field_id>/up")
@allow(Permission.FIELDS_EDIT)
def up(field_id: uuid.UUID) -> Response:
    """Move a field one place up."""
    services.move_up(queries.find_field(actor().organization_id, field_id))
    db.session.commit()
    return to_fields()


@blueprint.post("/fields/<uuid:field_id>/delete")
@allow(Permission.FIELDS_EDIT)
def delete(field_id: uuid.UUID) -> Response:
    """Take a field away; can be undone."""
    field = queries.find_field(actor().organization_id, field_id)
    services.delete_field(field, user_id=actor().user_id)
    db.session.commit()
    undoable(_("Field deleted."), url_for("fields.restore", field_id=field_id))
    return to_fields()


@blueprint.post("/fields/<uuid:field_id>/restore")
@allow(Permission.FIELDS_EDIT)
def restore(field_id: uuid.UUID) -> Response:
    """Bring a deleted field back."""
    field = queries.find_field(actor().organization_id, field_id, is_deleted=True)
    services.restore_field(field, user_id=actor().user_id)
    db.session.commit()
    done(_("The field is back, with all it held."))
    return to_fields()


@blueprint.route("/people/<uuid:person_id>/fields", methods=["GET", "POST"])
@allow(Permission.PEOPLE_EDIT)
def values(person_id: uuid.UUID) -> str | Response:
    """What is known of a person under the fields that are not sensitive."""
    return fill_in(person_id, is_sensitive=False)


@blueprint.route("/people/<uuid:person_id>/sensitive", methods=["GET", "POST"])
@allow(Permission.SENSITIVE_VIEW)
def sensitive(person_id: uuid.UUID) -> str | Response:
    """What is known of a person under the sensitive fields. Each look is audited, and it is on no
    other page: nobody sees it in passing."""
    return fill_in(person_id, is_sensitive=True)


def fill_in(person_id: uuid.UUID, *, is_sensitive: bool) -> str | Response:
    me = actor()
    person = find_person(me.organization_id, person_id)
    fields = [
        field
        for field in queries.fields_of(me.organization_id, with_sensitive=is_sensitive)
        if field.is_sensitive == is_sensitive
    ]
    held = queries.values_of(person.id)
    form = values_form(fields, {field.key: held.get(field.id, "") for field in fields})
    if form.is_posted_and_valid():
        typed = {field.key: form[field.key].data or "" for field in fields}
        services.set_values(person, fields, typed, language=language(), user_id=me.user_id)
        db.session.commit()
        done(_("Saved."))
        return redirect(url_for("person.show", person_id=person_id), 303)
    if is_sensitive and fields and request.method == "GET":
        with writing():
            services.note_look(person, user_id=me.user_id)
            db.session.commit()
    return render_template(
        "fields/values.html", form=form, person=person, fields=fields, is_sensitive=is_sensitive
    )


def to_fields() -> Response:
    return redirect(url_for("fields.index"), 303)
