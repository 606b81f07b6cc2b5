"""People in the console: add, change, tag, note. The table of them is `table.views`, what they did
`console.views.person`."""

from __future__ import annotations

import uuid

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Conflict, NotFound
from campaign.organizations.models import Permission
from campaign.people import queries, services
from campaign.people.forms import BY_HAND, NewPersonForm, NoteForm, PersonForm, TagForm
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.csrf import signer
from campaign.web.flashes import done, failed, told, undoable
from campaign.web.limits import limiter

blueprint = Blueprint("people", __name__, url_prefix="/organize/people")

UNDO_SECONDS = 3600
LINKS_PER_PERSON = "3 per day"


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.PEOPLE_EDIT)
def new() -> str | Response:
    """Add somebody by hand; a consent needs its stated basis and becomes a ledger line."""
    form = NewPersonForm()
    if form.is_posted_and_valid():
        person, is_new = services.add_by_hand(
            actor().organization_id,
            form.details(BY_HAND),
            basis=form.basis.data if form.has_agreed.data else "",
            user_id=actor().user_id,
        )
        db.session.commit()
        if is_new:
            done(_("Added."))
        else:
            told(_("This person was here already. We filled in what was missing."))
        return to_person(person.id)
    return render_template("people/edit.html", form=form, person=None)


@blueprint.route("/<uuid:person_id>/edit", methods=["GET", "POST"])
@allow(Permission.PEOPLE_EDIT)
def edit(person_id: uuid.UUID) -> str | Response:
    """Change somebody's fields; what they were is kept as history."""
    person = queries.find_person(actor().organization_id, person_id)
    form = PersonForm(obj=person)
    if form.is_posted_and_valid():
        try:
            services.change_person(person, form.details(person.source), user_id=actor().user_id)
        except Conflict as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("Saved."))
            return to_person(person_id)
    return render_template("people/edit.html", form=form, person=person)


@blueprint.post("/<uuid:person_id>/tags")
@allow(Permission.PEOPLE_EDIT)
def add_tag(person_id: uuid.UUID) -> Response:
    """Put a tag on one person."""
    person = queries.find_person(actor().organization_id, person_id)
    form = TagForm()
    if form.is_posted_and_valid():
        services.add_tag(person, form.tag.data)
        db.session.commit()
        done(_("Tagged."))
    else:
        failed(form.tag.errors[0])
    return to_person(person_id)


@blueprint.post("/<uuid:person_id>/tags/<uuid:tag_id>/remove")
@allow(Permission.PEOPLE_EDIT)
def remove_tag(person_id: uuid.UUID, tag_id: uuid.UUID) -> Response:
    """Take a tag off one person; can be undone."""
    person = queries.find_person(actor().organization_id, person_id)
    tag = queries.find_tag(actor().organization_id, tag_id)
    carried = services.remove_tag_from(tag, [person.id])
    db.session.commit()
    if carried:
        undoable(_("Tag removed."), undo_url(tag.id, carried, was_added=False, back=person_id))
    return to_person(person_id)


@blueprint.post("/tags/undo/<token>")
@allow(Permission.PEOPLE_EDIT)
def undo_tags(token: str) -> Response:
    """Take back the last tagging or untagging."""
    organization, tag_id, ids, was_added, back = signer().read(
        "tag-undo", token, max_age=UNDO_SECONDS
    )
    if organization != actor().organization_id.hex:
        raise NotFound
    tag = queries.find_tag(actor().organization_id, uuid.UUID(tag_id))
    people = [uuid.UUID(ids[at : at + 32]) for at in range(0, len(ids), 32)]
    (services.remove_tag_from if was_added else services.add_tag_to)(tag, people)
    db.session.commit()
    done(_("Undone."))
    return to_person(uuid.UUID(back)) if back else redirect_to(url_for("table.index"))


@blueprint.post("/<uuid:person_id>/notes")
@allow(Permission.PEOPLE_EDIT)
def add_note(person_id: uuid.UUID) -> Response:
    """Write a note; the person can read it when they download what we hold."""
    person = queries.find_person(actor().organization_id, person_id)
    form = NoteForm()
    if form.is_posted_and_valid():
        services.add_note(person, form.text.data, author_id=actor().user_id)
        db.session.commit()
        done(_("Note added."))
    else:
        failed(form.text.errors[0])
    return to_person(person_id)


@blueprint.post("/<uuid:person_id>/link")
@allow(Permission.PEOPLE_EDIT)
def send_link(person_id: uuid.UUID) -> Response:
    """E-mail the person the link to what we hold about them."""
    person = queries.find_person(actor().organization_id, person_id)
    if not person.email:
        failed(_("There is no email address to send it to."))
    elif not limiter().hit(LINKS_PER_PERSON, "preferences-link", person_id.hex):
        failed(_("They were sent the link three times today. Try again tomorrow."))
    else:
        is_queued = services.send_own_page(person)
        db.session.commit()
        if is_queued:
            done(_("The link is on its way."))
        else:
            failed(_("We cannot write to this address: earlier email to it came back."))
    return to_person(person_id)


@blueprint.post("/<uuid:person_id>/withdraw")
@allow(Permission.PEOPLE_EDIT)
def withdraw(person_id: uuid.UUID) -> Response:
    """Withdraw one consent because the person asked for it; the ledger says who entered it."""
    person = queries.find_person(actor().organization_id, person_id)
    line = queries.find_consent(person, request.form.get("consent", ""))
    services.withdraw_on_request(person, line, user_id=actor().user_id)
    db.session.commit()
    done(_("Withdrawn. Partners that have this person in a file will be told to delete them."))
    return to_person(person_id)


def undo_url(
    tag_id: uuid.UUID,
    people: list[uuid.UUID],
    *,
    was_added: bool,
    back: uuid.UUID | None = None,
) -> str:
    token = signer().sign(
        "tag-undo",
        [
            actor().organization_id.hex,
            tag_id.hex,
            "".join(person_id.hex for person_id in people),
            was_added,
            back.hex if back else "",
        ],
    )
    return url_for("people.undo_tags", token=token)


def to_person(person_id: uuid.UUID) -> Response:
    return redirect_to(url_for("person.show", person_id=person_id))


def redirect_to(url: str) -> Response:
    return redirect(url, code=303)
