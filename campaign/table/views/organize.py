"""The table of people: find, put in order, choose columns, change many at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import format_date, ngettext
from flask_babel import gettext as _
from sqlalchemy import Select
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db, writing
from campaign.errors import Invalid, NotFound
from campaign.fields.models import CustomField
from campaign.fields.queries import fields_of, values_of_many
from campaign.fields.rules import shown as shown_value
from campaign.lists import queries as lists
from campaign.lists import services as list_services
from campaign.lists.models import List
from campaign.organizations.models import Permission
from campaign.people import queries as people
from campaign.people import services as people_services
from campaign.people.models import Tag
from campaign.places.queries import district_names
from campaign.table import columns, queries, rules, services
from campaign.table.columns import Column, Sort
from campaign.table.forms import ManyListForm, ManyTagForm
from campaign.table.models import Act, ManyChange, Place
from campaign.table.queries import Found, Meant
from campaign.table.rules import Asked
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import day, number, zone_name
from campaign.web.flashes import done, failed, told, undoable
from campaign.web.languages import language
from campaign.web.pagination import Page

blueprint = Blueprint("table", __name__, url_prefix="/organize/people")

LANGUAGES = {"en": "English", "es": "Español"}
Whom = list[uuid.UUID] | tuple[Asked, Select[Any]]


@blueprint.get("/")
@allow(Permission.PEOPLE_VIEW)
def index() -> str:
    """A page of the people whom the filters find. Opening it is audited once an hour."""
    note_listing()
    asked = rules.read(request.args)
    tags = people.tags_in(actor().organization_id)
    meant = meaning(asked, tags)
    problems = dict(meant.problems)
    sort = columns.read_sort(request.args.get("sort", ""))
    try:
        found = people_page(queries.found(actor().organization_id, meant), sort)
    except Invalid as error:
        problems["value" if error.field != "how" else "how"] = str(error.message)
        found = Found((), None, None)
    known = known_columns()
    shown = [known[key] for key in columns.shown(chosen(Place.TABLE), known, columns.USUAL)]
    note_sensitive(shown, len(found.people))
    return render_template(
        "table/index.html",
        page=Page(
            rows=found.people,
            next_url=url(asked, sort, after=found.after) if found.after else None,
            previous_url=url(asked, sort, before=found.before) if found.before else None,
        ),
        asked=asked,
        meant=meant,
        problems=problems,
        chips=chips(meant, sort),
        columns=shown,
        sort=sort,
        sort_url=url(asked, Sort()),
        at=request.query_string.decode("ascii", "replace"),
        tags=tags,
        day_of=days(),
        fields=[column.field for column in known.values() if column.field],
        **beside(found, {column.key for column in shown}, shown),
        **choices(),
    )


@blueprint.get("/count")
@allow(Permission.PEOPLE_VIEW)
def count() -> str | Response:
    """How many people the filters find, for the page that asks after it is shown."""
    asked = rules.read(request.args)
    if "HX-Request" not in request.headers:
        return to_table(asked)
    meant = meaning(asked)
    try:
        found = (
            None if meant.problems else queries.count(queries.found(actor().organization_id, meant))
        )
    except Invalid:
        found = None
    return render_template("table/_count.html", count=found, asked=asked)


@blueprint.route("/columns", methods=["GET", "POST"])
@allow(Permission.PEOPLE_VIEW)
def choose_columns() -> str | Response:
    """Choose the columns and their order; kept for this person in this organization."""
    known = known_columns()
    at = request.values.get("at", "")
    ticked = columns.shown(chosen(Place.TABLE), known, columns.USUAL)
    order = columns.arranged((), ticked, list(known))
    if request.method == "POST":
        order, ticked = read_columns(list(known))
        if request.form.get("do") == "usual":
            services.choose_columns(
                actor().user_id, actor().organization_id, Place.TABLE, columns.USUAL
            )
        elif not request.form.get("move"):
            services.choose_columns(actor().user_id, actor().organization_id, Place.TABLE, ticked)
        if not request.form.get("move"):
            db.session.commit()
            done(_("Your columns are kept."))
            return back_to(at)
    return render_template("table/columns.html", known=known, order=order, ticked=ticked, at=at)


@blueprint.post("/tags")
@allow(Permission.PEOPLE_EDIT)
def tag_many() -> Response:
    """Put a tag on the selected people or take it off: those ticked, or all whom filters find."""
    form = ManyTagForm()
    whom = read_whom()
    if whom is None:
        return back()
    if not form.is_posted_and_valid():
        failed(form.tag.errors[0])
        return back()
    organization_id = actor().organization_id
    if request.form.get("action") == "remove":
        tag = people.tag_by_name(organization_id, form.tag.data)
        if tag is None:
            told(_("There is no tag of that name."))
            return back()
        return change(Act.UNTAG, tag, whom)
    try:
        tag = people_services.tag_named(organization_id, form.tag.data)
    except Invalid as error:
        failed(error.message)
        return back()
    return change(Act.TAG, tag, whom)


@blueprint.post("/lists")
@allow(Permission.LISTS_EDIT)
def list_many() -> str | Response:
    """Put the selected people on a list or take them off; asks which one, unless told."""
    whom = read_whom()
    if whom is None:
        return back()
    act = Act.UNLIST if request.form.get("action") == "remove" else Act.ENLIST
    form = ManyListForm()
    form.list_id.choices = [
        (str(list_.id), list_.name) for list_ in lists.lists_of(actor().organization_id)
    ]
    if act is Act.UNLIST and not form.list_id.choices:
        told(_("There is no list yet."))
        return back()
    if (form.list_id.data or form.list_name.data) and form.is_posted_and_valid():
        try:
            return change(act, chosen_list(form, act), whom)
        except Invalid as error:
            form.add_error("list_name", error.message)
    return render_template(
        "table/lists.html",
        form=form,
        act=act,
        ids=whom if isinstance(whom, list) else [],
        count=len(whom) if isinstance(whom, list) else queries.count(whom[1]),
        at=request.form.get("at", ""),
    )


@blueprint.get("/changes/<uuid:change_id>")
@allow(Permission.PEOPLE_VIEW)
def show_change(change_id: uuid.UUID) -> str:
    """How far a change of many people is."""
    found = queries.find_change(actor().organization_id, change_id)
    is_partial = "HX-Request" in request.headers
    return render_template(
        "table/_change.html" if is_partial else "table/change.html",
        change=found,
        words=said(found),
        can_undo=services.can_be_undone(found) and may_do(found),
    )


@blueprint.post("/changes/<uuid:change_id>/undo")
@allow(Permission.PEOPLE_EDIT)
def undo_change(change_id: uuid.UUID) -> Response:
    """Take a change back, in those it made a difference to."""
    found = queries.find_change(actor().organization_id, change_id)
    if not may_do(found):
        raise NotFound
    services.undo_change(found, user_id=actor().user_id)
    db.session.commit()
    if found.is_working:
        return redirect(url_for("table.show_change", change_id=found.id), 303)
    done(_("Undone."))
    return redirect(url_for("table.index"), 303)


# What is asked


def meaning(asked: Asked, tags: Sequence[Tag] | None = None) -> Meant:
    return queries.meaning(
        actor().organization_id,
        asked,
        tags=tags,
        language=language(),
        with_sensitive=actor().can(Permission.SENSITIVE_VIEW),
    )


def people_page(statement: Select[Any], sort: Sort) -> Found:
    return queries.page(
        statement,
        sort,
        after=read_id(request.args, "after"),
        before=read_id(request.args, "before"),
    )


def read_id(given: Any, name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(given.get(name, ""))
    except ValueError:
        return None


def url(asked: Asked, sort: Sort, **more: Any) -> str:
    """The table with these filters in this order."""
    kept: dict[str, Any] = {} if sort == Sort() else {"sort": sort.word}
    return url_for("table.index", **asked.query(), **kept, **more)


def chips(meant: Meant, sort: Sort) -> list[tuple[str, str]]:
    """Each filter in words, with the address without it."""
    asked = meant.asked
    consents = {"yes": _("Agreed"), "no": _("Not agreed"), "withdrawn": _("Withdrawn")}
    gone = _("(gone)")
    found: list[tuple[str, Asked]] = []
    if asked.q:
        found.append((f"“{asked.q}”", asked.without("q")))
    for key, tag in meant.tags.items():
        found.append(
            (_("Tag: %(name)s", name=tag.name if tag else gone), asked.without("tag", key))
        )
    if asked.consent:
        words = _("Email consent: %(state)s", state=consents[asked.consent])
        found.append((words, asked.without("consent")))
    if asked.source:
        found.append((_("Source: %(name)s", name=asked.source), asked.without("source")))
    found += [(meant.wards.get(key, gone), asked.without("ward", key)) for key in asked.wards]
    if meant.list_ is not None:
        found.append((_("List: %(name)s", name=meant.list_.name), asked.without("list")))
    if meant.segment is not None:
        found.append((_("Segment: %(name)s", name=meant.segment.name), asked.without("segment")))
    if asked.since:
        words = _("Added since %(day)s", day=said_day(asked.since))
        found.append((words, asked.without("since")))
    if asked.until:
        words = _("Added until %(day)s", day=said_day(asked.until))
        found.append((words, asked.without("until")))
    if asked.field:
        found.append((said_field(meant), asked.without("field")))
    return [(words, url(rest, sort)) for words, rest in found]


def said_day(day: Any) -> str:
    return str(format_date(day, "long", rebase=False))


def said_field(meant: Meant) -> str:
    asked, field = meant.asked, meant.field_
    name = field.name.get_for(language()) if field is not None else _("(gone)")
    signs = {"is": "=", "begins": "…", "least": "≥", "most": "≤"}
    if asked.how == "known":
        return str(_("%(field)s: anything", field=name))
    value = shown_typed(field, asked.value)
    if asked.how == "begins":
        return f"{name}: {value}…"
    return f"{name} {signs[asked.how]} {value}"


def shown_typed(field: CustomField | None, value: str) -> str:
    """A typed value as it is read; as it was typed where it is none."""
    try:
        return shown_value(field, value, language()) if field is not None else value
    except (ValueError, ArithmeticError):
        return value


def days() -> Callable[[datetime], str]:
    """Days in words. Many people come in on one day, and saying it is slow."""
    said: dict[date, str] = {}

    def day_of(at: datetime) -> str:
        there = at.astimezone(clock.zone(zone_name())).date()
        if there not in said:
            said[there] = day(there, "medium")
        return said[there]

    return day_of


def choices() -> dict[str, Any]:
    """What may be chosen in the filters."""
    organization_id = actor().organization_id
    return {
        "sources": people.sources_of(organization_id),
        "lists": lists.lists_of(organization_id),
        "segments": lists.segments_of(organization_id),
    }


def beside(found: Found, keys: set[str], shown: Sequence[Column]) -> dict[str, Any]:
    """What stands beside the people on the page, as far as a column shows it."""
    ids = [person.id for person in found.people]
    fields = [column.field for column in shown if column.field is not None]
    values = values_of_many(ids, [field.id for field in fields]) if fields and ids else {}
    actions = "last_action" in keys and ids
    return {
        "tags_by_person": people.tags_of_many(ids) if "tags" in keys else {},
        "consents": people.consents_of_many(ids) if "consent" in keys else {},
        "last_actions": queries.last_actions(lambda key: key.in_(ids)) if actions else {},
        "districts": district_names(language()),
        "values": {
            (person_id, field.id): shown_value(field, texts[field.id], language())
            for person_id, texts in values.items()
            for field in fields
            if field.id in texts
        },
        "language_names": LANGUAGES,
    }


# Columns


def known_columns() -> dict[str, Column]:
    """All columns that the actor may see."""
    fields = fields_of(
        actor().organization_id, with_sensitive=actor().can(Permission.SENSITIVE_VIEW)
    )
    return columns.columns_with(fields, language())


def chosen(place: Place) -> list[str] | None:
    return queries.chosen_columns(actor().user_id, actor().organization_id, place)


def read_columns(known: Sequence[str]) -> tuple[list[str], list[str]]:
    """The order and the ticked columns of a form in which they are chosen."""
    order = columns.arranged(request.form.get("order", "").split(","), (), known)
    order = columns.moved(order, request.form.get("move", ""))
    ticked = set(request.form.getlist("columns"))
    return order, [key for key in order if key in ticked]


def note_listing() -> None:
    """Audit that this user looked at people, at most once an hour."""
    me = actor()
    since = clock.now() - timedelta(hours=1)
    if not people.has_listed(me.organization_id, me.user_id, since):
        with writing():
            people_services.record_listing(me.organization_id, me.user_id)
            db.session.commit()


def note_sensitive(shown: Sequence[Column], people_count: int) -> None:
    """Audit each page that shows sensitive fields: which, and of how many people."""
    fields = [column.field.id for column in shown if column.field and column.is_sensitive]
    if fields and people_count:
        with writing():
            services.note_sensitive(actor().organization_id, actor().user_id, fields, people_count)
            db.session.commit()


# Many at once


def read_whom() -> Whom | None:
    """Whom a form means: the ticked rows, or all whom the filters of its page find. None, with a
    word why, where that is nobody."""
    if request.form.get("all"):
        asked = rules.read(asked_at(request.form.get("at", "")))
        meant = meaning(asked)
        try:
            if meant.problems:
                raise Invalid(next(iter(meant.problems.values())))
            return asked, queries.found(actor().organization_id, meant)
        except Invalid as error:
            failed(error.message)
            return None
    ids = selected_ids()
    if not ids:
        told(_("Select some rows first."))
        return None
    return ids


def selected_ids() -> list[uuid.UUID]:
    """The ticked rows; what is no id is passed over."""
    found = []
    for text in request.form.getlist("ids")[:1000]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def asked_at(query: str) -> MultiDict[str, str]:
    """The words of an address bar that a form carries."""
    return MultiDict(parse_qsl(query[:4000]))


def change(act: Act, target: Any, whom: Whom) -> Response:
    """Do it, or let a worker do it, and say so with the way back."""
    made = services.change_many(act, target, whom, user_id=actor().user_id)
    db.session.commit()
    if made.is_working:
        return redirect(url_for("table.show_change", change_id=made.id), 303)
    if not made.changed_count:
        told(_("Nothing to change: the selected people stand like that already."))
    else:
        undoable(said(made), url_for("table.undo_change", change_id=made.id))
    return back()


def said(made: ManyChange) -> str:
    """What a change did, in words."""
    many, name = made.changed_count, made.target_name
    count = number(many)
    if made.act == Act.TAG:
        words = ngettext("%(count)s person tagged.", "%(count)s people tagged.", many, count=count)
    elif made.act == Act.UNTAG:
        words = ngettext(
            "Tag taken off %(count)s person.", "Tag taken off %(count)s people.", many, count=count
        )
    elif made.act == Act.ENLIST:
        words = ngettext(
            "%(count)s person put on the list “%(name)s”.",
            "%(count)s people put on the list “%(name)s”.",
            many,
            count=count,
            name=name,
        )
    else:
        words = ngettext(
            "%(count)s person taken off the list “%(name)s”.",
            "%(count)s people taken off the list “%(name)s”.",
            many,
            count=count,
            name=name,
        )
    return str(words)


def may_do(made: ManyChange) -> bool:
    """Whether the actor could have asked for this change."""
    is_tag = made.act in (Act.TAG, Act.UNTAG)
    return actor().can(Permission.PEOPLE_EDIT if is_tag else Permission.LISTS_EDIT)


def chosen_list(form: ManyListForm, act: Act) -> List:
    """The list that was named or chosen; a new name makes a new list to put people on."""
    if form.list_name.data and act is Act.ENLIST:
        return list_services.get_or_create_list(actor().organization_id, form.list_name.data)
    try:
        list_id = uuid.UUID(form.list_id.data or "")
    except ValueError:
        raise NotFound from None
    return lists.find_list(actor().organization_id, list_id)


def back() -> Response:
    return back_to(request.form.get("at", ""))


def back_to(query: str) -> Response:
    """The table as it was, whose query the form carries."""
    given = asked_at(query)
    asked, sort = rules.read(given), columns.read_sort(given.get("sort", ""))
    more = {name: key for name in ("after", "before") if (key := read_id(given, name))}
    return redirect(url(asked, sort, **more), 303)


def to_table(asked: Asked) -> Response:
    return redirect(url(asked, Sort()), 303)
