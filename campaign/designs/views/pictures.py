"""The library of pictures in the console."""

from __future__ import annotations

import uuid

from flask import Blueprint, Flask, current_app, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.designs import queries, services
from campaign.designs.forms import DescriptionForm, PictureForm, limit_words
from campaign.designs.pictures import MEGABYTE, MOST_BYTES
from campaign.designs.services import IsWaiting
from campaign.errors import Conflict, Invalid
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor

blueprint = Blueprint("library", __name__, url_prefix="/organize/mailings/pictures")
UPLOAD_BYTES = 64 * MEGABYTE
"""What is let in, so that a file that is too heavy is refused at its field and not by a wall."""


def init_app(app: Flask, is_waiting: IsWaiting) -> None:
    """`is_waiting` knows whether something that waits to go out shows a picture."""
    app.extensions["picture_is_waiting"] = is_waiting


@blueprint.context_processor
def vocabulary() -> dict[str, object]:
    return {"picture_url": queries.picture_url}


@blueprint.route("/", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT, upload=UPLOAD_BYTES)
def index() -> Response | str | tuple[str, int]:
    """The library, and a form to add to it."""
    form = PictureForm()
    if form.is_posted_and_valid():
        try:
            _picture, prepared = services.add_picture(
                actor().organization_id,
                form.file.data.stream.read(MOST_BYTES + 1),
                filename=form.file.data.filename or "",
                alt=form.alt.data or "",
                author_id=actor().user_id,
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The picture is in the library."))
            if prepared.was_moving:
                flashes.told(
                    _("It moves and is too heavy for email, so we kept its first moment.")
                    if form.file.data.mimetype == "image/gif"
                    else _("Only a GIF can move in email, so we kept its first moment.")
                )
            return redirect(url_for("library.index"), 303)
    page = render_template(
        "designs/pictures.html",
        form=form,
        limit=limit_words(MOST_BYTES // MEGABYTE),
        pictures=queries.pictures_of(actor().organization_id),
    )
    return (page, 400) if form.errors or form.form_errors else page


@blueprint.route("/<uuid:picture_id>", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def picture(picture_id: uuid.UUID) -> Response | str:
    """One picture: how to use it, and what it shows."""
    found = queries.picture_of(actor().organization_id, picture_id)
    form = DescriptionForm(obj=found)
    if form.is_posted_and_valid():
        services.describe_picture(found, form.alt.data or "")
        db.session.commit()
        flashes.done(_("Saved."))
        return redirect(url_for("library.index"), 303)
    return render_template("designs/picture.html", picture=found, form=form)


@blueprint.post("/<uuid:picture_id>/delete")
@allow(Permission.MAILINGS_EDIT)
def delete(picture_id: uuid.UUID) -> Response:
    found = queries.picture_of(actor().organization_id, picture_id)
    try:
        services.delete_picture(
            found, current_app.extensions["picture_is_waiting"], user_id=actor().user_id
        )
    except Conflict as error:
        db.session.rollback()
        flashes.told(error.message)
        return redirect(url_for("library.picture", picture_id=picture_id), 303)
    db.session.commit()
    flashes.undoable(_("Picture deleted."), url_for("library.restore", picture_id=picture_id))
    return redirect(url_for("library.index"), 303)


@blueprint.post("/<uuid:picture_id>/restore")
@allow(Permission.MAILINGS_EDIT)
def restore(picture_id: uuid.UUID) -> Response:
    services.restore_picture(queries.deleted_picture(actor().organization_id, picture_id))
    db.session.commit()
    flashes.done(_("The picture is back."))
    return redirect(url_for("library.index"), 303)
