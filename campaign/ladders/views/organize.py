"""Ladders in the console: write the steps, switch on, watch who is where, tick what is done."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db
from campaign.errors import Conflict, Invalid, NotFound
from campaign.ladders import emails, queries, rules, services
from campaign.ladders.forms import (
    FORMS,
    AskForm,
    LadderForm,
    SendForm,
    StepForm,
    TagForm,
    trigger_key,
    values_of,
)
from campaign.ladders.models import Ladder, LadderStep, StepKind
from campaign.ladders.queries import Things
from campaign.ladders.rules import Details
from campaign.ladders.views import words
from campaign.mailings import queries as mailings
from campaign.mailings.emails import base_url, filled_in
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization, Permission
from campaign.people import services as people
from campaign.people.queries import find_person
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.forms import LastTime
from campaign.web.languages import LANGUAGES, language

blueprint = Blueprint("ladders", __name__, url_prefix="/organize/ladders")
KIND_NAMES = ", ".join(f'"{kind}"' for kind in StepKind)
FRAME_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


def found(ladder_id: uuid.UUID, *, lock: bool | None = None) -> Ladder:
    """A ladder of the organization one works for, held where the request may change it."""
    is_changing = request.method == "POST" if lock is None else lock
    return queries.find_ladder(actor().organization_id, ladder_id, lock=is_changing)


def to(endpoint: str, **values: Any) -> Response:
    """See another page of this file."""
    return redirect(url_for(f"ladders.{endpoint}", **values), 303)


def things() -> Things:
    return queries.things_of(actor().organization_id, language())


@blueprint.context_processor
def vocabulary() -> dict[str, Any]:
    return {
        "state_words": words.state_words,
        "problem_words": words.problem_words,
        "reason_words": words.reason_words,
        "trigger_words": words.trigger_words,
        "step_words": lambda step, known: words.step_words(step, known, language()),
        "kind_words": words.KINDS,
    }


# --- the list --------------------------------------------------------------------------------------


@blueprint.get("/")
@allow(Permission.MAILINGS_VIEW)
def index() -> str:
    """All ladders, with how many people are inside."""
    ladders = queries.ladders_of(actor().organization_id)
    return render_template(
        "ladders/index.html",
        ladders=ladders,
        inside=queries.inside_of([ladder.id for ladder in ladders]),
        things=things(),
        follow_up_count=queries.count_open_follow_ups(actor().organization_id, clock.now()),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def new() -> Response | str:
    """A new draft: its name and what begins it."""
    form = LadderForm(things())
    if form.is_posted_and_valid():
        ladder = services.create_ladder(
            actor().organization_id, form.details(), author_id=actor().user_id
        )
        db.session.commit()
        flashes.done(_("Draft saved. Now write its first step."))
        return to("ladder", ladder_id=ladder.id)
    return render_template("ladders/edit.html", form=form, ladder=None)


@blueprint.route("/<uuid:ladder_id>/edit", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def edit(ladder_id: uuid.UUID) -> Response | str:
    """Another name, another beginning, or whether people may come again."""
    ladder = found(ladder_id)
    stored = {
        "name": ladder.name,
        "trigger": trigger_key(ladder.trigger, ladder.trigger_id),
        "may_repeat": ladder.may_repeat,
    }
    form = LadderForm(things(), data=stored, ladder=ladder)
    if form.is_mine(stored, last_change(ladder)) and form.is_posted_and_valid():
        services.edit_ladder(ladder, form.details(), user_id=actor().user_id)
        db.session.commit()
        flashes.done(_("Saved."))
        return to("ladder", ladder_id=ladder.id)
    return render_template("ladders/edit.html", form=form, ladder=ladder)


def last_change(ladder: Ladder) -> Callable[[], LastTime]:
    return lambda: organizations.last_time(ladder.organization_id, "ladder.changed", ladder.id)


# --- one ladder ------------------------------------------------------------------------------------


@blueprint.get("/<uuid:ladder_id>")
@allow(Permission.MAILINGS_VIEW)
def ladder(ladder_id: uuid.UUID) -> str:
    """The steps as sentences with their counts, and who is inside."""
    return ladder_page(found(ladder_id))


def ladder_page(ladder: Ladder) -> str:
    known = things()
    problems = queries.problems_of(ladder, known)
    sees_people = actor().can(Permission.PEOPLE_VIEW)
    search = request.args.get("q", "")
    standing = queries.standing_at(ladder.id)
    steps = queries.steps_of(ladder.id)
    return render_template(
        "ladders/ladder.html",
        ladder=ladder,
        steps=steps,
        places={step.id: number for number, step in enumerate(steps, 1)},
        things=known,
        standing=standing,
        inside_count=sum(standing.values()),
        problems={step.id if step else None: code for step, code in problems},
        general=[code for step, code in problems if step is None],
        search=search,
        inside=queries.people_inside(ladder, search) if sees_people else [],
    )


@blueprint.post("/<uuid:ladder_id>/on")
@allow(Permission.MAILINGS_SEND, fresh=True)
def switch_on(ladder_id: uuid.UUID) -> Response | tuple[str, int]:
    """draft or off → on; what is missing is marked where it is missing."""
    ladder = found(ladder_id)
    try:
        services.switch_on(ladder, user_id=actor().user_id)
    except Invalid as error:
        flashes.failed(error.message)
        return ladder_page(ladder), 400
    except Conflict:
        return too_late(ladder_id)
    db.session.commit()
    flashes.done(_("It is on. Whoever does it from now on enters."))
    return to("ladder", ladder_id=ladder_id)


@blueprint.post("/<uuid:ladder_id>/pause")
@allow(Permission.MAILINGS_SEND)
def pause(ladder_id: uuid.UUID) -> Response:
    return change(ladder_id, services.pause, _("Paused. Everybody keeps their place."))


@blueprint.post("/<uuid:ladder_id>/resume")
@allow(Permission.MAILINGS_SEND)
def resume(ladder_id: uuid.UUID) -> Response:
    return change(ladder_id, services.resume, _("It goes on."))


@blueprint.post("/<uuid:ladder_id>/off")
@allow(Permission.MAILINGS_SEND)
def switch_off(ladder_id: uuid.UUID) -> Response:
    """Nobody enters any more; `inside` says what becomes of those who are in it."""
    ladder = found(ladder_id)
    stops = request.form.get("inside") == "stop"
    try:
        count = services.switch_off(ladder, stops_inside=stops, user_id=actor().user_id)
    except Conflict:
        return too_late(ladder_id)
    db.session.commit()
    if count:
        flashes.done(
            ngettext(
                "It is off. %(num)s person was stopped.",
                "It is off. %(num)s people were stopped.",
                count,
            )
        )
    else:
        flashes.done(_("It is off. Nobody enters any more."))
    return to("ladder", ladder_id=ladder_id)


def change(ladder_id: uuid.UUID, service: Any, done: str) -> Response:
    """Do one thing to a ladder and say so; where it came too late, say that."""
    ladder = found(ladder_id)
    try:
        service(ladder, user_id=actor().user_id)
    except Conflict:
        return too_late(ladder_id)
    db.session.commit()
    flashes.done(done)
    return to("ladder", ladder_id=ladder_id)


def too_late(ladder_id: uuid.UUID) -> Response:
    db.session.rollback()
    flashes.told(_("That was too late: see how it stands now."))
    return to("ladder", ladder_id=ladder_id)


@blueprint.post("/<uuid:ladder_id>/delete")
@allow(Permission.MAILINGS_EDIT)
def delete(ladder_id: uuid.UUID) -> Response:
    ladder = found(ladder_id)
    try:
        services.delete_ladder(ladder, user_id=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        flashes.failed(error.message)
        return to("ladder", ladder_id=ladder_id)
    db.session.commit()
    flashes.undoable(_("Ladder deleted."), url_for("ladders.restore", ladder_id=ladder_id))
    return to("index")


@blueprint.post("/<uuid:ladder_id>/restore")
@allow(Permission.MAILINGS_EDIT)
def restore(ladder_id: uuid.UUID) -> Response:
    ladder = queries.find_ladder(actor().organization_id, ladder_id, lock=True, is_deleted=True)
    services.restore_ladder(ladder, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("The ladder is back."))
    return to("ladder", ladder_id=ladder_id)


@blueprint.post("/<uuid:ladder_id>/runs/<uuid:run_id>/stop")
@allow(Permission.MAILINGS_SEND)
def take_out(ladder_id: uuid.UUID, run_id: uuid.UUID) -> Response:
    """Stop one person's way."""
    ladder = found(ladder_id)
    try:
        services.take_out(ladder, queries.find_run(ladder, run_id), user_id=actor().user_id)
    except Conflict:
        return too_late(ladder_id)
    db.session.commit()
    flashes.done(_("Taken out. Nothing more happens to this person here."))
    return to("ladder", ladder_id=ladder_id)


# --- steps -----------------------------------------------------------------------------------------


@blueprint.get("/<uuid:ladder_id>/steps/new")
@allow(Permission.MAILINGS_EDIT)
def choose_step(ladder_id: uuid.UUID) -> str:
    """Which kind of step to add; `?before=` is the step that will follow it."""
    ladder = found(ladder_id)
    return render_template("ladders/choose.html", ladder=ladder, before=before_of(ladder))


def before_of(ladder: Ladder) -> LadderStep | None:
    """The step that the address names as the one to come next."""
    try:
        return queries.find_step(ladder, uuid.UUID(request.args.get("before", "")))
    except (ValueError, NotFound):
        return None


@blueprint.route(f"/<uuid:ladder_id>/steps/new/<any({KIND_NAMES}):kind>", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def new_step(ladder_id: uuid.UUID, kind: str) -> Response | str:
    """Write a step of a kind."""
    ladder = found(ladder_id)
    of_kind, known, before = StepKind(kind), things(), before_of(ladder)
    form = FORMS[of_kind]()
    form.offer(known)
    if form.is_posted_and_valid():
        try:
            services.add_step(
                ladder,
                of_kind,
                details_in(form),
                before=before.id if before else None,
                user_id=actor().user_id,
            )
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Step added."))
            return to("ladder", ladder_id=ladder_id)
    return step_page(ladder, of_kind, form, known, before=before)


@blueprint.route("/<uuid:ladder_id>/steps/<uuid:step_id>", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def edit_step(ladder_id: uuid.UUID, step_id: uuid.UUID) -> Response | str:
    """Change what a step says."""
    ladder = found(ladder_id)
    step = queries.find_step(ladder, step_id)
    kind, known = StepKind(step.kind), things()
    stored = values_of(kind, queries.details_of(step), known)
    form = FORMS[kind](data=stored)
    form.offer(known)
    if form.is_mine(stored, last_change(ladder)) and form.is_posted_and_valid():
        try:
            services.edit_step(ladder, step, details_in(form), user_id=actor().user_id)
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to("ladder", ladder_id=ladder_id)
    return step_page(ladder, kind, form, known, step=step)


def details_in(form: StepForm) -> Details:
    """What a form says; a tag is named, and made where it is new."""
    if isinstance(form, TagForm):
        tag = people.tag_named(actor().organization_id, form.tag.data or "")
        return Details(tag_id=tag.id)
    return form.details()


def step_page(
    ladder: Ladder,
    kind: StepKind,
    form: StepForm,
    known: Things,
    *,
    step: LadderStep | None = None,
    before: LadderStep | None = None,
) -> str:
    return render_template(
        "ladders/step.html",
        ladder=ladder,
        kind=kind.value,
        form=form,
        things=known,
        step=step,
        before=before,
        title=words.KINDS[kind][0],
        petitions=[
            (petition.title.get_for(language()), f"{base_url()}/p/{petition.slug}")
            for petition in mailings.open_petitions(ladder.organization_id)
        ]
        if kind == StepKind.SEND
        else [],
    )


@blueprint.post("/<uuid:ladder_id>/steps/<uuid:step_id>/move")
@allow(Permission.MAILINGS_EDIT)
def move_step(ladder_id: uuid.UUID, step_id: uuid.UUID) -> Response:
    ladder = found(ladder_id)
    step = queries.find_step(ladder, step_id)
    is_up = request.form.get("direction") == "up"
    services.move_step(ladder, step, is_up=is_up, user_id=actor().user_id)
    db.session.commit()
    return redirect(url_for("ladders.ladder", ladder_id=ladder_id) + f"#step-{step_id}", 303)


@blueprint.post("/<uuid:ladder_id>/steps/<uuid:step_id>/delete")
@allow(Permission.MAILINGS_EDIT)
def delete_step(ladder_id: uuid.UUID, step_id: uuid.UUID) -> Response:
    ladder = found(ladder_id)
    step = queries.find_step(ladder, step_id)
    try:
        services.delete_step(ladder, step, user_id=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        flashes.failed(error.message)
        return to("ladder", ladder_id=ladder_id)
    db.session.commit()
    flashes.undoable(
        _("Step deleted. Whoever stood on it goes on to the next."),
        url_for("ladders.restore_step", ladder_id=ladder_id, step_id=step_id),
    )
    return to("ladder", ladder_id=ladder_id)


@blueprint.post("/<uuid:ladder_id>/steps/<uuid:step_id>/restore")
@allow(Permission.MAILINGS_EDIT)
def restore_step(ladder_id: uuid.UUID, step_id: uuid.UUID) -> Response:
    ladder = found(ladder_id)
    step = queries.find_step(ladder, step_id, is_deleted=True)
    services.restore_step(ladder, step, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("The step is back."))
    return to("ladder", ladder_id=ladder_id)


@blueprint.post("/preview")
@allow(Permission.MAILINGS_EDIT)
def preview() -> Response:
    """The text in the form as an e-mail, for the frame beside it; nothing is saved."""
    asked = request.args.get("language", "")
    code = asked if asked in LANGUAGES else next(iter(LANGUAGES))
    return frame_of(SendForm().details(), code)


@blueprint.get("/<uuid:ladder_id>/steps/<uuid:step_id>/frame")
@allow(Permission.MAILINGS_VIEW)
def frame(ladder_id: uuid.UUID, step_id: uuid.UUID) -> Response:
    """The e-mail of a step, in the reader's own language where it is written in it."""
    step = queries.find_step(found(ladder_id), step_id)
    if step.kind != StepKind.SEND:
        raise NotFound
    details = queries.details_of(step)
    return frame_of(details, rules.language_for(details, language()))


def frame_of(details: Details, code: str) -> Response:
    """A page for a frame on our own pages: the e-mail as it is, without any power."""
    organization = db.session.get_one(Organization, actor().organization_id)
    values = dict.fromkeys(("preferences_url", "unsubscribe_url"), "#")
    letter = filled_in(emails.letter_of(details, code, organization), values)
    response = make_response(letter.html.replace("<head>", '<head><base target="_blank">', 1))
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


# --- follow-ups ------------------------------------------------------------------------------------


@blueprint.get("/follow-ups")
@allow(Permission.PEOPLE_VIEW)
def follow_ups() -> str:
    """What the team should do, or this one of them, the oldest first; and what comes later."""
    me, now = actor(), clock.now()
    is_mine = request.args.get("of") == "me"
    whose = me.user_id if is_mine else None
    return render_template(
        "ladders/follow_ups.html",
        is_mine=is_mine,
        due=queries.open_follow_ups(me.organization_id, now, user_id=whose),
        later=queries.open_follow_ups(me.organization_id, now, is_due=False, user_id=whose),
    )


@blueprint.route("/follow-ups/new/<uuid:person_id>", methods=["GET", "POST"])
@allow(Permission.PEOPLE_EDIT)
def ask_follow_up(person_id: uuid.UUID) -> str | Response:
    """Ask the team to do something about a person by a day."""
    person = find_person(actor().organization_id, person_id)
    form = AskForm.of(queries.helpers_of(person.organization_id))
    if form.is_posted_and_valid() and form.due_on.data is not None:
        try:
            services.ask_follow_up(
                person,
                form.text.data,
                due_on=form.due_on.data,
                assignee_id=uuid.UUID(form.assignee.data) if form.assignee.data else None,
                user_id=actor().user_id,
            )
        except Invalid as error:
            form.add_error(error.field, str(error.message))
        else:
            db.session.commit()
            flashes.done(_("It stands on the list, and on this page."))
            return redirect(url_for("person.show", person_id=person_id), 303)
    return render_template("ladders/ask.html", form=form, person=person)


@blueprint.post("/follow-ups/<uuid:follow_up_id>/done")
@allow(Permission.PEOPLE_EDIT)
def follow_up_done(follow_up_id: uuid.UUID) -> Response:
    follow_up = queries.find_follow_up(actor().organization_id, follow_up_id)
    services.finish_follow_up(follow_up, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("Done. Thank you."), url_for("ladders.follow_up_again", follow_up_id=follow_up_id)
    )
    if request.form.get("from") == "person":
        return redirect(url_for("person.show", person_id=follow_up.person_id), 303)
    return to("follow_ups")


@blueprint.post("/follow-ups/<uuid:follow_up_id>/again")
@allow(Permission.PEOPLE_EDIT)
def follow_up_again(follow_up_id: uuid.UUID) -> Response:
    services.reopen_follow_up(queries.find_follow_up(actor().organization_id, follow_up_id))
    db.session.commit()
    flashes.done(_("It is on the list again."))
    return to("follow_ups")
