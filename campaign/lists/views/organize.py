"""Lists in the console: make them, fill them, see who is on them."""

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
from campaign.errors import Conflict, Invalid, NotFound
from campaign.lists import queries, services
from campaign.lists.forms import ListForm, PasteForm
from campaign.lists.models import List
from campaign.organizations.models import Permission
from campaign.people import queries as people_queries
from campaign.people import services as people_services
from campaign.people.models import Person
from campaign.people.queries import tags_of_many
from campaign.places.queries import district_names
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.csrf import signer
from campaign.web.flashes import done, failed, told, undoable
from campaign.web.languages import language
from campaign.web.pagination import keyset_page

blueprint = Blueprint("lists", __name__, url_prefix="/organize/lists")

UNDO_SECONDS = 24 * 3600
MOST_UNDOABLE = 200


@blueprint.get("/", strict_slashes=False)
@allow(Permission.PEOPLE_VIEW)
def index() -> str:
    """All lists with their sizes."""
    lists = queries.lists_of(actor().organization_id)
    return render_template(
        "lists/index.html",
        lists=lists,
        sizes=queries.list_sizes(list_.id for list_ in lists),
        segment_count=len(queries.segments_of(actor().organization_id)),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.LISTS_EDIT)
def new() -> str | Response:
    """Make a list."""
    form = ListForm()
    if form.is_posted_and_valid():
        try:
            list_ = services.create_list(
                actor().organization_id, form.name.data, form.description.data
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("The list is made. Now put people on it."))
            return to_list(list_.id)
    return render_template("lists/edit.html", form=form, list=None)


@blueprint.get("/<uuid:list_id>")
@allow(Permission.PEOPLE_VIEW)
def show(list_id: uuid.UUID) -> str:
    """Who is on a list. Looking at people is audited once an hour."""
    list_ = queries.find_list(actor().organization_id, list_id)
    note_listing()
    page = keyset_page(queries.members_of(list_.id), Person.id)
    ids = [person.id for person in page.rows]
    return render_template(
        "lists/show.html",
        list=list_,
        page=page,
        size=queries.list_sizes([list_.id]).get(list_.id, 0),
        tags_by_person=tags_of_many(ids),
        districts=district_names(language()),
        segments=queries.segments_of(actor().organization_id),
        form=PasteForm(),
        unknown=[],
    )


@blueprint.route("/<uuid:list_id>/edit", methods=["GET", "POST"])
@allow(Permission.LISTS_EDIT)
def edit(list_id: uuid.UUID) -> str | Response:
    """Rename a list or say what it is for."""
    list_ = queries.find_list(actor().organization_id, list_id)
    form = ListForm(obj=list_)
    if form.is_posted_and_valid():
        try:
            services.change_list(list_, form.name.data, form.description.data)
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("Saved."))
            return to_list(list_id)
    return render_template("lists/edit.html", form=form, list=list_)


@blueprint.post("/<uuid:list_id>/delete")
@allow(Permission.LISTS_EDIT)
def delete(list_id: uuid.UUID) -> Response:
    """Take a list away; can be undone. The people stay."""
    list_ = queries.find_list(actor().organization_id, list_id)
    try:
        services.delete_list(list_, user_id=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        failed(error.message)
        return to_list(list_id)
    db.session.commit()
    undoable(_("List deleted. The people stay."), url_for("lists.restore", list_id=list_id))
    return redirect(url_for("lists.index"), 303)


@blueprint.post("/<uuid:list_id>/restore")
@allow(Permission.LISTS_EDIT)
def restore(list_id: uuid.UUID) -> Response:
    """Bring a deleted list back."""
    list_ = queries.find_list(actor().organization_id, list_id, is_deleted=True)
    services.restore(list_, user_id=actor().user_id)
    db.session.commit()
    done(_("The list is back."))
    return to_list(list_id)


@blueprint.post("/<uuid:list_id>/addresses")
@allow(Permission.LISTS_EDIT)
def add_addresses(list_id: uuid.UUID) -> str | Response:
    """Put the people behind pasted addresses on a list; unknown addresses stay in the box."""
    list_ = queries.find_list(actor().organization_id, list_id)
    form = PasteForm()
    pasted = None
    if form.is_posted_and_valid():
        try:
            pasted = services.add_addresses(list_, form.addresses.data)
        except Invalid as error:
            form.add_error(error.field, error.message)
    if pasted is None:
        return render_template("lists/paste.html", list=list_, form=form, unknown=[])
    db.session.commit()
    tell_added(list_, pasted.added, pasted.already_count)
    if not pasted.unknown:
        return to_list(list_id)
    form.addresses.data = "\n".join(pasted.unknown)
    return render_template("lists/paste.html", list=list_, form=form, unknown=pasted.unknown)


@blueprint.get("/<uuid:list_id>/addresses")
@allow(Permission.LISTS_EDIT)
def paste(list_id: uuid.UUID) -> str:
    """Where addresses are pasted."""
    list_ = queries.find_list(actor().organization_id, list_id)
    return render_template("lists/paste.html", list=list_, form=PasteForm(), unknown=[])


@blueprint.post("/<uuid:list_id>/segment")
@allow(Permission.LISTS_EDIT)
def add_segment(list_id: uuid.UUID) -> Response:
    """Put everybody whom a segment finds now on a list."""
    list_ = queries.find_list(actor().organization_id, list_id)
    segment = queries.find_segment(actor().organization_id, read_id(request.form.get("segment")))
    count = services.add_found_to_list(list_, queries.people_in_segment(segment))
    db.session.commit()
    done(ngettext("%(num)s person added.", "%(num)s people added.", count))
    return to_list(list_id)


@blueprint.post("/<uuid:list_id>/remove")
@allow(Permission.LISTS_EDIT)
def remove(list_id: uuid.UUID) -> Response:
    """Take the selected people off a list; can be undone."""
    list_ = queries.find_list(actor().organization_id, list_id)
    removed = services.remove_from_list(list_, selected_ids())
    db.session.commit()
    if not removed:
        told(_("Select some rows first."))
    else:
        undoable(
            ngettext("%(num)s person removed.", "%(num)s people removed.", len(removed)),
            undo_url(list_, removed, was_added=False),
        )
    return to_list(list_id)


@blueprint.post("/undo/<token>")
@allow(Permission.LISTS_EDIT)
def undo(token: str) -> Response:
    """Take back the last adding or removing."""
    found: Any = signer().read("list-undo", token, max_age=UNDO_SECONDS)
    organization, key, joined, was_added = found
    if organization != actor().organization_id.hex:
        raise NotFound
    list_ = queries.find_list(actor().organization_id, uuid.UUID(key))
    ids = [uuid.UUID(joined[at : at + 32]) for at in range(0, len(joined), 32)]
    (services.remove_from_list if was_added else services.add_to_list)(list_, ids)
    db.session.commit()
    done(_("Undone."))
    return to_list(list_.id)


def note_listing() -> None:
    """Audit that this user looked at people, at most once an hour."""
    me = actor()
    if not people_queries.has_listed(
        me.organization_id, me.user_id, clock.now() - timedelta(hours=1)
    ):
        with writing():
            people_services.record_listing(me.organization_id, me.user_id)
            db.session.commit()


def tell_added(list_: List, added: list[uuid.UUID], already_count: int) -> None:
    """Say how many were added, with the way back."""
    words = ngettext("%(num)s person added.", "%(num)s people added.", len(added))
    if already_count:
        words += " " + ngettext(
            "%(num)s was on it already.", "%(num)s were on it already.", already_count
        )
    if 0 < len(added) <= MOST_UNDOABLE:
        undoable(words, undo_url(list_, added, was_added=True))
    else:
        done(words)


def undo_url(list_: List, ids: list[uuid.UUID], *, was_added: bool) -> str:
    joined = "".join(key.hex for key in ids[:MOST_UNDOABLE])
    value = [list_.organization_id.hex, list_.id.hex, joined, was_added]
    return url_for("lists.undo", token=signer().sign("list-undo", value))


def selected_ids() -> list[uuid.UUID]:
    """The ticked rows; what is no id is passed over."""
    found = []
    for text in request.form.getlist("ids")[:1000]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def read_id(text: str | None) -> uuid.UUID:
    """An id out of a form; raises NotFound."""
    try:
        return uuid.UUID(text or "")
    except ValueError:
        raise NotFound from None


def to_list(list_id: uuid.UUID) -> Response:
    return redirect(url_for("lists.show", list_id=list_id), 303)
