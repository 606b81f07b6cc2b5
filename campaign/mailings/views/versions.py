"""An A/B test in the console: write its versions, read them, send them as tests, choose one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import render_template, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.errors import Conflict, Invalid, NotFound
from campaign.mail.letters import Letter
from campaign.mailings import emails, queries, services, variants
from campaign.mailings.emails import Draft
from campaign.mailings.forms import TrialForm, VersionsForm
from campaign.mailings.models import MOST_VARIANTS, Message, Variant
from campaign.mailings.views import plans
from campaign.mailings.views.compose import frame_of
from campaign.mailings.views.organize import test_form, test_values
from campaign.mailings.views.pages import blueprint, found, own_organization, to
from campaign.mailings.views.readers import sample_values
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor


def variant_of(message: Message, letter: str) -> Variant:
    """One version of a message; raises NotFound."""
    one = message.contest.variant(letter) if message.contest is not None else None
    if one is None:
        raise NotFound
    return one


@blueprint.route("/<uuid:message_id>/versions", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def versions(message_id: uuid.UUID) -> Response | str:
    """The plan of the test and the words of each version."""
    message = found(message_id, lock=request.method == "POST")
    if not message.is_draft:
        flashes.told(_("This message can no longer be changed."))
        return to("message", message_id=message.id)
    contest = message.contest
    if contest is None:
        return versions_page(message, None)
    form = VersionsForm.of(contest)
    if form.is_posted_and_valid():
        try:
            variants.edit_contest(message, form.plan(), form.wordings(contest))
            done = then(message, request.form.get("go", ""))
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(done)
            if request.form.get("go") == "on":
                return to("message", message_id=message.id)
            return to("versions", message_id=message.id)
    return versions_page(message, form)


def then(message: Message, go: str) -> str:
    """What a button of the page does besides saving; what it says."""
    what, _colon, letter = go.partition(":")
    if what == "add":
        added = variants.add_variant(message)
        return str(_("Saved. Version %(name)s is new: write what differs in it.", name=added.name))
    if what == "remove":
        variants.remove_variant(message, letter)
        return str(_("Saved, with one version less."))
    return str(_("Versions saved."))


def versions_page(
    message: Message, form: VersionsForm | None, test: TrialForm | None = None
) -> str:
    organization = own_organization()
    reach = queries.reach(message.organization_id, message.chosen)
    plan = plans.planned(message, organization, reach.included)
    contest = message.contest
    return render_template(
        "mailings/versions.html",
        message=message,
        contest=contest,
        form=form,
        organization=organization,
        plan=plan,
        plan_words=plans.plan_words(contest, plan, message.time_zone)
        if contest is not None and plan is not None and reach.included
        else [],
        findings=queries.findings(message, organization, reach),
        most=MOST_VARIANTS,
        test=test or test_form(),
        letter_fields=("subject", "preheader", "from_name", "body"),
    )


@blueprint.post("/<uuid:message_id>/versions/begin")
@allow(Permission.MAILINGS_EDIT)
def begin_versions(message_id: uuid.UUID) -> Response:
    return about_test(
        message_id,
        variants.begin_contest,
        _("Version A is the message as it is. Write what differs in version B."),
    )


@blueprint.post("/<uuid:message_id>/versions/end")
@allow(Permission.MAILINGS_EDIT)
def end_versions(message_id: uuid.UUID) -> Response:
    return about_test(
        message_id,
        variants.end_contest,
        _("There is no test any more: everybody gets the message."),
    )


def about_test(message_id: uuid.UUID, service: Callable[[Message], Any], done: str) -> Response:
    message = found(message_id, lock=True)
    try:
        service(message)
    except Conflict as error:
        db.session.rollback()
        flashes.told(error.message)
        return to("message", message_id=message_id)
    db.session.commit()
    flashes.done(done)
    return to("versions", message_id=message_id)


@blueprint.get("/<uuid:message_id>/versions/<any(a, b, c, d, e, f):letter>")
@allow(Permission.MAILINGS_VIEW)
def version_frame(message_id: uuid.UUID, letter: str) -> Response:
    """One version as an e-mail, for a frame; once it is out, word for word what went."""
    message = found(message_id)
    variant = variant_of(message, letter)
    content = queries.frozen_content(message, variant) if variant.batch_id else None
    if content is None:
        draft = Draft.of(message).worded(variant.wording)
        shown = emails.render_message(draft, own_organization())
    else:
        urls = {link.id: link.url for link in queries.links_of(message.id)}
        html = emails.without_counting(content.html, urls)
        shown = Letter(content.subject, content.text, html)
    return frame_of(shown, request.args.get("view", ""), sample_values())


@blueprint.post("/<uuid:message_id>/versions/test")
@allow(Permission.MAILINGS_EDIT)
def test_versions(message_id: uuid.UUID) -> Response | tuple[str, int]:
    """Every version to people of the team, each marked with its letter."""
    message = found(message_id)
    if message.contest is None:
        return to("message", message_id=message.id)
    form = test_form()
    if not form.is_posted_and_valid():
        return versions_page(message, VersionsForm.of(message.contest), form), 400
    try:
        count = services.send_test(
            message,
            own_organization(),
            form.chosen(),
            test_values(message),
            message.contest.variants,
        )
    except Invalid as error:
        db.session.rollback()
        flashes.failed(error.message)
        return to("versions", message_id=message_id)
    db.session.commit()
    flashes.done(
        ngettext(
            "Each version is on its way to %(num)s person.",
            "Each version is on its way to %(num)s people.",
            count,
        )
    )
    return to("versions", message_id=message_id)


@blueprint.post("/<uuid:message_id>/versions/<any(a, b, c, d, e, f):letter>/choose")
@allow(Permission.MAILINGS_SEND, fresh=True)
def choose_version(message_id: uuid.UUID, letter: str) -> Response:
    """The rest gets this one."""
    message = found(message_id, lock=True)
    variant = variant_of(message, letter)
    try:
        variants.choose_winner(message, variant.letter, user_id=actor().user_id)
    except Conflict:
        db.session.rollback()
        flashes.told(_("That was too late: see how it stands now."))
    else:
        db.session.commit()
        flashes.done(_("The rest gets version %(name)s.", name=variant.name))
    return to("message", message_id=message_id)
