"""Mailings in the console: write, choose who, check, send, watch, read the report."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import partial
from typing import Any

from babel.dates import format_time
from flask import make_response, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.mailings import emails, queries, rules, services, writing
from campaign.mailings.emails import Draft
from campaign.mailings.forms import (
    AudienceForm,
    LookNoteForm,
    PaceForm,
    ScheduleForm,
    TrialForm,
    suggestion,
)
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message, MessageState
from campaign.mailings.views import plans, words
from campaign.mailings.views.pages import blueprint, found, own_organization, to
from campaign.mailings.views.readers import values_of
from campaign.mailings.views.tried import links_shown
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization, Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import moment, number
from campaign.web.languages import language
from campaign.web.pagination import keyset_page

UNDER_WAY = (MessageState.CALCULATING, MessageState.SENDING, MessageState.PAUSED)
OVER = (MessageState.STOPPED, MessageState.SENT)
GROWTH = 1.05  # how much an audience may grow between the question and the answer
GROWTH_PEOPLE = 10


# --- the list ------------------------------------------------------------------------------------


@blueprint.get("/")
@allow(Permission.MAILINGS_VIEW)
def mailings() -> str:
    organization_id = actor().organization_id
    newest = Message.id.desc()

    def some(*states: MessageState) -> list[Message]:
        rows = queries.messages_in(organization_id, states).order_by(newest).limit(100)
        return list(db.session.scalars(rows))

    page = keyset_page(queries.messages_in(organization_id, OVER), Message.id, size=25)
    return render_template(
        "mailings/mailings.html",
        under_way=[(message, queries.progress(message)) for message in some(*UNDER_WAY)],
        scheduled=sorted(some(MessageState.SCHEDULED), key=_due),
        drafts=some(MessageState.DRAFT),
        page=page,
        clicks=queries.clicks_of([message.id for message in page.rows]),
        signed=queries.signed_of(page.rows),
    )


def _due(message: Message) -> datetime:
    return message.scheduled_at or clock.now()


# --- audience ------------------------------------------------------------------------------------


@blueprint.route("/<uuid:message_id>/audience", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def audience(message_id: uuid.UUID) -> Response | str:
    message = found(message_id, lock=request.method == "POST")
    if not message.is_draft:
        flashes.told(_("This message can no longer be changed."))
        return to("message", message_id=message.id)
    groups = queries.options(actor().organization_id, language(), message.chosen)
    form = AudienceForm(groups, data=message.chosen.dump())
    if form.is_posted_and_valid():
        if request.form.get("go") == "count":
            return audience_page(message, form, groups)
        services.choose_audience(message, form.chosen())
        db.session.commit()
        flashes.done(_("Saved who gets it."))
        return to("message", message_id=message.id)
    return audience_page(message, form, groups)


def audience_page(message: Message, form: AudienceForm, groups: Any) -> str:
    return render_template(
        "mailings/audience.html",
        message=message,
        form=form,
        groups=groups,
        **counted(message, form.chosen()),
    )


@blueprint.get("/<uuid:message_id>/audience/count")
@allow(Permission.MAILINGS_EDIT)
def audience_count(message_id: uuid.UUID) -> str:
    """How many the ticks in the form would reach (for htmx); nothing is saved."""
    message = found(message_id)
    form = AudienceForm(
        queries.options(actor().organization_id, language(), message.chosen),
        data={name: request.args.getlist(name) for name in ("include", "exclude")},
    )
    return render_template(
        "mailings/_reach.html", message=message, **counted(message, form.chosen())
    )


def counted(message: Message, audience: Audience) -> dict[str, Any]:
    """How many an audience reaches now, and how that differs from the last message's."""
    reach = queries.reach(message.organization_id, audience)
    return {"reach": reach, "difference": queries.difference(message, audience, reach.included)}


# --- checking ------------------------------------------------------------------------------------


@blueprint.get("/<uuid:message_id>")
@allow(Permission.MAILINGS_VIEW)
def message(message_id: uuid.UUID) -> str:
    """A draft to check, or what became of a message."""
    message = found(message_id)
    if message.is_out or queries.progress(message).state == MessageState.CALCULATING:
        return progress_page(message)
    return check_page(message)


def check_page(message: Message, test: TrialForm | None = None) -> str:
    counts = counted(message, message.chosen)
    organization = own_organization()
    return render_template(
        "mailings/check.html",
        message=message,
        organization=organization,
        sender=services.sender_of(message, organization),
        findings=queries.findings(message, organization, counts["reach"]),
        audience=audience_words(message),
        test=test or test_form(),
        line=emails.inbox_line(Draft.of(message)),
        plan_words=plan_words(message, organization, counts["reach"].included),
        samples=queries.sample_people(message) if actor().can(Permission.PEOPLE_VIEW) else [],
        **links_shown(message),
        **counts,
    )


def audience_words(message: Message) -> dict[str, list[str]]:
    """Who was chosen and who is left out, by name."""
    chosen = message.chosen
    names = queries.names_of(
        actor().organization_id, (*chosen.include, *chosen.exclude), language()
    )
    everybody = {"everybody": _("Everybody")}
    gone = _("(no longer there)")
    known = names | everybody
    return {
        "include": [choice_words(choice, known.get(choice.key, gone)) for choice in chosen.include],
        "exclude": [choice_words(choice, known.get(choice.key, gone)) for choice in chosen.exclude],
    }


def choice_words(choice: Choice, name: str) -> str:
    if choice.kind is ChoiceKind.GOT:
        return str(_("Got: %(message)s", message=name))
    if choice.kind is ChoiceKind.ACTED:
        return str(_("Did what it asked: %(message)s", message=name))
    return name


def test_form() -> TrialForm:
    users = [member.user for member in organizations.members(actor().organization_id)]
    return TrialForm(users, data={"to": [actor().user_id.hex]})


@blueprint.post("/<uuid:message_id>/test")
@allow(Permission.MAILINGS_EDIT)
def test(message_id: uuid.UUID) -> Response | tuple[str, int]:
    message = found(message_id)
    form = test_form()
    if not form.is_posted_and_valid():
        return check_page(message, form), 400
    try:
        count = services.send_test(message, own_organization(), form.chosen(), test_values(message))
    except Invalid as error:
        flashes.failed(error.message)
        return to("message", message_id=message.id)
    db.session.commit()
    flashes.done(
        ngettext(
            "The test is on its way to %(num)s person.",
            "The test is on its way to %(num)s people.",
            count,
        )
    )
    return to("message", message_id=message.id)


def test_values(message: Message) -> dict[str, str]:
    """A test reads like an e-mail to the first who would get it, where one may see people."""
    samples = queries.sample_people(message, 1) if actor().can(Permission.PEOPLE_VIEW) else []
    return values_of(samples[0]) if samples else {}


# --- sending -------------------------------------------------------------------------------------


@blueprint.get("/<uuid:message_id>/send")
@allow(Permission.MAILINGS_SEND, fresh=True)
def confirm(message_id: uuid.UUID) -> Response | str:
    message = found(message_id)
    if not services.may_be_sent(message):
        return to("message", message_id=message.id)
    return confirm_page(message, ScheduleForm(message, data=suggestion(message)))


def quiet_words(organization: Organization) -> str:
    """The quiet hours as people say them; "" where there are none."""
    quiet = rules.Quiet.of(organization)
    if quiet is None:
        return ""
    begin, end = (format_time(at, "short", locale=language()) for at in (quiet.since, quiet.until))
    return str(_("%(begin)s to %(end)s", begin=begin, end=end))


def when_words(message: Message, organization: Organization, included: int) -> dict[str, str]:
    """When it would go out if it were sent now, and when the last would have their turn."""
    now, zone = clock.now(), message.time_zone
    table = rules.timetable(message, organization, now)
    first, last = table.due(0), table.due(max(0, included - 1))
    return {
        "waits_until": moment(first, zone=zone) if first > now else "",
        "lasts_until": moment(last, zone=zone) if message.per_hour else "",
    }


@blueprint.post("/<uuid:message_id>/pace")
@allow(Permission.MAILINGS_SEND)
def pace(message_id: uuid.UUID) -> Response | tuple[str, int]:
    """How many an hour, and whether at night."""
    message = found(message_id, lock=True)
    form = PaceForm()
    if form.is_posted_and_valid():
        included = queries.reach(message.organization_id, message.chosen).included
        try:
            services.set_pace(
                message,
                form.per_hour.data,
                ignores_quiet=form.ignores_quiet.data,
                included=included,
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        except Conflict as error:
            flashes.told(error.message)
            return to("message", message_id=message.id)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to("confirm", message_id=message.id)
    return confirm_page(message, ScheduleForm(message, data=suggestion(message)), pace=form), 400


def confirm_page(
    message: Message,
    form: ScheduleForm,
    note: LookNoteForm | None = None,
    pace: PaceForm | None = None,
) -> str:
    organization = own_organization()
    counts = counted(message, message.chosen)
    look = rules.look_of(message, organization, counts["reach"].included)
    findings = queries.findings(message, organization, counts["reach"])
    return render_template(
        "mailings/confirm.html",
        message=message,
        form=form,
        sender=services.sender_of(message, organization),
        audience=audience_words(message),
        findings=findings,
        may_go=not any(finding.level == writing.Level.STOP for finding in findings),
        organization=organization,
        look=look,
        pace=pace
        or PaceForm(data={"per_hour": message.per_hour, "ignores_quiet": message.ignores_quiet}),
        quiet=quiet_words(organization),
        plan_words=plan_words(message, organization, counts["reach"].included),
        **when_words(message, organization, counts["reach"].included),
        note=note or LookNoteForm(),
        mark=rules.mark_of(message),
        asker=queries.user_name(message.look_asked_by),
        agreer=queries.user_name(message.agreed_by),
        may_agree=rules.may_agree(message, actor().user_id),
        **counts,
    )


def plan_words(message: Message, organization: Organization, included: int) -> list[str]:
    """What an A/B test will do, in sentences; none without one."""
    plan = plans.planned(message, organization, included)
    if message.contest is None or plan is None or not included:
        return []
    return plans.plan_words(message.contest, plan, message.time_zone)


@blueprint.post("/<uuid:message_id>/ask")
@allow(Permission.MAILINGS_SEND)
def ask(message_id: uuid.UUID) -> Response:
    """Ask for a second pair of eyes."""
    return about_look(message_id, services.ask_for_look, _("We have written to the others."))


@blueprint.post("/<uuid:message_id>/agree")
@allow(Permission.MAILINGS_SEND, fresh=True)
def agree(message_id: uuid.UUID) -> Response:
    """Be the second pair of eyes."""
    mark = request.form.get("mark", "")
    return about_look(
        message_id, partial(services.agree_to, mark=mark), _("Thank you. Now it may go out.")
    )


@blueprint.post("/<uuid:message_id>/send-back")
@allow(Permission.MAILINGS_SEND)
def send_back(message_id: uuid.UUID) -> Response | tuple[str, int]:
    """Ask for a change first."""
    message = found(message_id, lock=True)
    form = LookNoteForm()
    if not form.is_posted_and_valid():
        return confirm_page(message, ScheduleForm(message, data=suggestion(message)), form), 400
    return about_look(
        message_id,
        partial(services.send_back, mark=request.form.get("mark", ""), note=form.note.data or ""),
        _("We have written to whoever asked you."),
    )


def about_look(message_id: uuid.UUID, service: Any, done: str) -> Response:
    message = found(message_id, lock=True)
    try:
        service(message, user_id=actor().user_id)
    except (Conflict, Invalid) as error:
        db.session.rollback()
        flashes.told(error.message)
    else:
        db.session.commit()
        flashes.done(done)
    return to("confirm", message_id=message_id)


@blueprint.post("/<uuid:message_id>/send")
@allow(Permission.MAILINGS_SEND, fresh=True)
def send(message_id: uuid.UUID) -> Response:
    message = found(message_id, lock=True)
    refusal = cannot_go(message) or has_grown(message)
    if refusal is not None:
        return refusal
    services.send_message(message, user_id=actor().user_id)
    db.session.commit()
    if message.is_due(clock.now()):
        flashes.done(_("It is on its way."))
    else:
        when = moment(message.scheduled_at, zone=message.time_zone)
        flashes.done(_("It is quiet now, so it goes out on %(when)s.", when=when))
    return to("message", message_id=message.id)


@blueprint.post("/<uuid:message_id>/schedule")
@allow(Permission.MAILINGS_SEND, fresh=True)
def schedule(message_id: uuid.UUID) -> Response | tuple[str, int]:
    message = found(message_id, lock=True)
    refusal = cannot_go(message)
    if refusal is not None:
        return refusal
    form = ScheduleForm(message)
    if form.is_posted_and_valid():
        try:
            resolved = services.schedule_message(
                message, form.wall(), form.zone.data, user_id=actor().user_id
            )
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            tell_time(resolved, form.zone.data)
            return to("message", message_id=message.id)
    return confirm_page(message, form), 400


def tell_time(resolved: services.Moment, zone: str) -> None:
    """Say when it goes out, and what became of a time that the clocks skip or repeat."""
    when = moment(resolved.at, zone=zone)
    flashes.done(_("It goes out on %(when)s.", when=when))
    if resolved.oddity == "gap":
        flashes.told(
            _(
                "The clocks go forward then and skip the time you chose, so it is %(when)s.",
                when=when,
            )
        )
    elif resolved.oddity == "quiet":
        flashes.told(_("The time you chose is in your quiet hours, so it goes out when they end."))
    elif resolved.oddity == "fold":
        flashes.told(
            _(
                "The clocks go back then and that time comes twice. We take the first: %(when)s.",
                when=when,
            )
        )


def cannot_go(message: Message) -> Response | None:
    """The way back where a message is gone already or must not go."""
    if not services.may_be_sent(message):
        flashes.told(_("This message is already on its way."))
        return to("message", message_id=message.id)
    counts = queries.reach(message.organization_id, message.chosen)
    findings = queries.findings(message, own_organization(), counts)
    stops = [finding for finding in findings if finding.level == writing.Level.STOP]
    if stops:
        flashes.failed(words.finding_words(stops[0]))
        return to("message", message_id=message.id)
    if rules.wants_second_look(message, own_organization(), counts.included):
        flashes.told(_("So many people get this that somebody else has to agree first."))
        return to("confirm", message_id=message.id)
    return None


def has_grown(message: Message) -> Response | None:
    """The way back where far more people would get it than were shown."""
    shown = request.form.get("people", "")
    counts = queries.reach(message.organization_id, message.chosen)
    most = int(shown) * GROWTH + GROWTH_PEOPLE if shown.isascii() and shown.isdigit() else 0
    if counts.included <= most:
        return None
    flashes.told(
        _(
            "Now %(count)s people would get it. Please look again before you send.",
            count=number(counts.included),
        )
    )
    return to("confirm", message_id=message.id)


@blueprint.post("/<uuid:message_id>/unschedule")
@allow(Permission.MAILINGS_SEND)
def unschedule(message_id: uuid.UUID) -> Response:
    return change(
        message_id, services.unschedule_message, _("It is a draft again and goes to nobody.")
    )


@blueprint.post("/<uuid:message_id>/pause")
@allow(Permission.MAILINGS_SEND)
def pause(message_id: uuid.UUID) -> Response:
    return change(message_id, services.pause_message, _("Paused. Nobody new gets it for now."))


@blueprint.post("/<uuid:message_id>/resume")
@allow(Permission.MAILINGS_SEND)
def resume(message_id: uuid.UUID) -> Response:
    return change(message_id, services.resume_message, _("It goes on."))


@blueprint.post("/<uuid:message_id>/stop")
@allow(Permission.MAILINGS_SEND)
def stop(message_id: uuid.UUID) -> Response:
    return change(
        message_id, services.stop_message, _("Stopped. Those who had not got it will not get it.")
    )


@blueprint.post("/<uuid:message_id>/again")
@allow(Permission.MAILINGS_SEND, fresh=True)
def again(message_id: uuid.UUID) -> Response:
    return change(message_id, services.send_again, _("We send it to them once more."))


def change(message_id: uuid.UUID, service: Any, done: str) -> Response:
    """Do one thing to a message and say so; where it came too late, say that."""
    message = found(message_id, lock=True)
    try:
        service(message, user_id=actor().user_id)
    except Conflict:
        db.session.rollback()
        flashes.told(_("That was too late: see how it stands now."))
    else:
        db.session.commit()
        flashes.done(done)
    return to("message", message_id=message_id)


# --- drafts --------------------------------------------------------------------------------------


@blueprint.post("/<uuid:message_id>/copy")
@allow(Permission.MAILINGS_EDIT)
def copy(message_id: uuid.UUID) -> Response:
    copied = services.copy_message(found(message_id), author_id=actor().user_id)
    db.session.commit()
    flashes.done(_("This is a new draft with the same text."))
    return to("edit", message_id=copied.id)


@blueprint.post("/<uuid:message_id>/delete")
@allow(Permission.MAILINGS_EDIT)
def delete(message_id: uuid.UUID) -> Response:
    message = found(message_id, lock=True)
    services.delete_message(message)
    db.session.commit()
    flashes.undoable(_("Draft deleted."), url_for("mailings.restore", message_id=message_id))
    return to("mailings")


@blueprint.post("/<uuid:message_id>/restore")
@allow(Permission.MAILINGS_EDIT)
def restore(message_id: uuid.UUID) -> Response:
    message = queries.deleted_message(actor().organization_id, message_id)
    services.restore_message(message)
    db.session.commit()
    flashes.done(_("The draft is back."))
    return to("message", message_id=message_id)


# --- on its way ----------------------------------------------------------------------------------


def progress_page(message: Message) -> str:
    """How far it is; what it did is told by `results/`."""
    return render_template(
        "mailings/report.html",
        message=message,
        progress=queries.progress(message),
        **progress_words(message),
        standing=plans.standing_of(message),
        audience=audience_words(message),
    )


def progress_words(message: Message) -> dict[str, str]:
    """How long it takes, and what going on would do."""
    return {
        "left": plans.left_words(message) if message.is_out else "",
        "resuming": plans.resume_words(message) if message.is_paused else "",
    }


@blueprint.get("/<uuid:message_id>/progress")
@allow(Permission.MAILINGS_VIEW)
def progress(message_id: uuid.UUID) -> Response:
    """The bar (for htmx); when it is over, the whole page comes anew."""
    message = found(message_id)
    state = queries.progress(message)
    response = make_response(
        render_template(
            "mailings/_progress.html", message=message, progress=state, **progress_words(message)
        )
    )
    if state.state != request.args.get("state"):
        response.headers["HX-Refresh"] = "true"
    return response
