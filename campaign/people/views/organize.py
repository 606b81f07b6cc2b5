"""People in the console: find, add, change, tag, note. What they did is `console.views.person`."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db, writing
from campaign.errors import Conflict, NotFound
from campaign.organizations.models import Permission
from campaign.people import queries, services
from campaign.people.forms import BY_HAND, NewPersonForm, NoteForm, PersonForm, TagForm
from campaign.people.models import Person
from campaign.places.queries import district_names
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.csrf import signer
from campaign.web.flashes import done, failed, told, undoable
from campaign.web.languages import language
from campaign.web.limits import limiter
from campaign.web.pagination import keyset_page

blueprint = Blueprint("people", __name__, url_prefix="/organize/people")

CONSENTS = ("yes", "no", "withdrawn")
UNDO_SECONDS = 3600
LINKS_PER_PERSON = "3 per day"


@blueprint.get("/")
@allow(Permission.PEOPLE_VIEW)
def index() -> str:
    """The table: search, filters, keyset pages. Opening it is audited once an hour."""
    note_listing()
    asked = {name: request.args.get(name, "").strip() for name in ("q", "tag", "source", "consent")}
    tags = queries.tags_in(actor().organization_id)
    tag = next((tag for tag in tags if tag.name_key == asked["tag"]), None)
    statement = queries.search_people(
        actor().organization_id,
        asked["q"],
        tag_id=tag.id if tag else None,
        source=asked["source"],
        consent=asked["consent"] if asked["consent"] in CONSENTS else "",
    )
    page = keyset_page(statement, Person.id)
    ids = [person.id for person in page.rows]
    return render_template(
        "people/index.html",
        page=page,
        asked=asked,
        tags=tags,
        sources=queries.sources_of(actor().organization_id),
        tags_by_person=queries.tags_of_many(ids),
        consents=queries.consents_of_many(ids),
        districts=district_names(language()),
    )


def note_listing() -> None:
    """Audit that this user looked at people, at most once an hour."""
    me = actor()
    since = clock.now() - timedelta(hours=1)
    if not queries.has_listed(me.organization_id, me.user_id, since):
        with writing():
            services.record_listing(me.organization_id, me.user_id)
            db.session.commit()


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


@blueprint.post("/tags")
@allow(Permission.PEOPLE_EDIT)
def tag_many() -> Response:
    """Put a tag on the selected rows, or take it off; can be undone."""
    form = TagForm()
    ids = selected_ids()
    if not ids:
        told(_("Select some rows first."))
    elif not form.is_posted_and_valid():
        failed(form.tag.errors[0])
    elif request.form.get("action") == "remove":
        tag = queries.tag_by_name(actor().organization_id, form.tag.data)
        changed = services.remove_tag_from(tag, ids) if tag else []
        db.session.commit()
        tell_tagged(tag.id if tag else None, changed, was_added=False)
    else:
        tag = services.tag_named(actor().organization_id, form.tag.data)
        changed = services.add_tag_to(tag, ids)
        db.session.commit()
        tell_tagged(tag.id, changed, was_added=True)
    return back_to_list()


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
    return to_person(uuid.UUID(back)) if back else redirect_to(url_for("people.index"))


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


def selected_ids() -> list[uuid.UUID]:
    """The ids of the ticked rows; what is no id is left out."""
    found: list[uuid.UUID] = []
    for value in request.form.getlist("ids"):
        try:
            found.append(uuid.UUID(value))
        except ValueError:
            continue
    return found


def tell_tagged(tag_id: uuid.UUID | None, changed: list[uuid.UUID], *, was_added: bool) -> None:
    if not changed or tag_id is None:
        told(_("Nothing to change: the selected people stand like that already."))
        return
    words = (
        ngettext("%(num)d person tagged.", "%(num)d people tagged.", len(changed))
        if was_added
        else ngettext(
            "Tag taken off %(num)d person.", "Tag taken off %(num)d people.", len(changed)
        )
    )
    undoable(words, undo_url(tag_id, changed, was_added=was_added))


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


def back_to_list() -> Response:
    """The list as it was filtered, whose query the form carries."""
    kept: dict[str, Any] = {
        name: request.form[name]
        for name in ("q", "tag_filter", "source", "consent", "after", "before")
        if request.form.get(name)
    }
    if "tag_filter" in kept:
        kept["tag"] = kept.pop("tag_filter")
    return redirect_to(url_for("people.index", **kept))


def to_person(person_id: uuid.UUID) -> Response:
    return redirect_to(url_for("person.show", person_id=person_id))


def redirect_to(url: str) -> Response:
    return redirect(url, code=303)
