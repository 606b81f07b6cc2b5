"""Templates in the console: what stands around the text of a mailing."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.designs import queries, services
from campaign.designs.forms import TemplateForm, values_of
from campaign.designs.models import Template
from campaign.errors import Invalid
from campaign.mail.letters import Letter
from campaign.mailings import emails
from campaign.mailings.views.compose import frame_of
from campaign.mailings.views.pages import own_organization
from campaign.mailings.views.readers import view_asked_for
from campaign.organizations.models import Organization, Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("templates", __name__, url_prefix="/organize/mailings/templates")


def template_form(template: Template | None = None) -> TemplateForm:
    pictures = queries.pictures_of(actor().organization_id)
    return TemplateForm(pictures, data=values_of(template) if template is not None else None)


def to_index() -> Response:
    return redirect(url_for("templates.index"), 303)


@blueprint.get("/")
@allow(Permission.MAILINGS_EDIT)
def index() -> str:
    return render_template(
        "designs/templates.html", templates=queries.templates_of(actor().organization_id)
    )


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def new() -> Response | str:
    form = template_form()
    if form.is_posted_and_valid():
        try:
            services.create_template(actor().organization_id, form.details())
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Template saved."))
            return to_index()
    return template_page(form, None)


@blueprint.route("/<uuid:template_id>", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def edit(template_id: uuid.UUID) -> Response | str:
    template = queries.template_of(actor().organization_id, template_id)
    form = template_form(template)
    if form.is_posted_and_valid():
        try:
            services.edit_template(template, form.details())
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Template saved."))
            return to_index()
    return template_page(form, template)


def template_page(form: TemplateForm, template: Template | None) -> str:
    return render_template(
        "designs/template.html", form=form, template=template, organization=own_organization()
    )


@blueprint.post("/preview")
@allow(Permission.MAILINGS_EDIT)
def preview() -> Response:
    """What is in the form around a sample text; nothing is saved."""
    organization = own_organization()
    template = services.preview_of(organization, template_form().details())
    letter = sample(organization, template)
    return frame_of(letter, view_asked_for(), SAMPLE_LINKS)


@blueprint.get("/<uuid:template_id>/frame")
@allow(Permission.MAILINGS_EDIT)
def frame(template_id: uuid.UUID) -> Response:
    """A saved template around a sample text."""
    template = queries.template_of(actor().organization_id, template_id)
    return frame_of(sample(own_organization(), template), view_asked_for(), SAMPLE_LINKS)


SAMPLE_LINKS = dict.fromkeys(("preferences_url", "unsubscribe_url"), "#")


def sample(organization: Organization, template: Template) -> Letter:
    """A short letter that shows all a template decides."""
    with force_locale(organization.language):
        body = "\n\n".join(
            (
                _("Dear neighbor,"),
                _(
                    "this is how a message looks in this template, with a [link](%(url)s) in it.",
                    url=emails.base_url(),
                ),
                "## " + _("A heading"),
                "> " + _("What somebody said, set apart."),
                "[" + _("Sign now") + f"]({emails.base_url()})",
            )
        )
        draft = emails.Draft(subject=_("A sample"), body=body)
    return emails.render_message(draft, organization, look=queries.look_for(organization, template))


@blueprint.post("/<uuid:template_id>/copy")
@allow(Permission.MAILINGS_EDIT)
def copy(template_id: uuid.UUID) -> Response:
    template = queries.template_of(actor().organization_id, template_id)
    copied = services.copy_template(template, _("%(name)s, a copy", name=template.name[:100]))
    db.session.commit()
    flashes.done(_("This is a new template that looks the same."))
    return redirect(url_for("templates.edit", template_id=copied.id), 303)


@blueprint.post("/<uuid:template_id>/delete")
@allow(Permission.MAILINGS_EDIT)
def delete(template_id: uuid.UUID) -> Response:
    template = queries.template_of(actor().organization_id, template_id)
    services.delete_template(template)
    db.session.commit()
    flashes.undoable(
        _("Template put away. Messages that use it keep it."),
        url_for("templates.restore", template_id=template_id),
    )
    return to_index()


@blueprint.post("/<uuid:template_id>/restore")
@allow(Permission.MAILINGS_EDIT)
def restore(template_id: uuid.UUID) -> Response:
    template = queries.template_of(actor().organization_id, template_id, is_deleted=True)
    services.restore_template(template)
    db.session.commit()
    flashes.done(_("The template is back."))
    return to_index()
