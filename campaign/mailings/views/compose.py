"""Writing a mailing: its form, what is noticed as one writes, and how it will look."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from flask import make_response, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.designs import cards, leads
from campaign.designs import queries as designs
from campaign.errors import Invalid
from campaign.mail.letters import Letter
from campaign.mailings import emails, queries, services, writing
from campaign.mailings.emails import Draft
from campaign.mailings.forms import MessageForm
from campaign.mailings.models import Audience, Choice, Message
from campaign.mailings.views import words
from campaign.mailings.views.pages import blueprint, found, own_organization, to
from campaign.mailings.views.readers import person_asked_for, sample_values, view_asked_for
from campaign.mailings.writing import Format
from campaign.organizations.models import Permission
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.languages import language

FRAME_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def new() -> Response | str:
    """A new draft; `?to=event:…` says for whom, where somebody comes from the page of it."""
    form = message_form(None)
    if put_in(form):
        return compose_page(form, None)
    details = details_to_save(form)
    if details is not None:
        choice = Choice.read(request.args.get("to", ""))
        try:
            message = services.create_message(
                actor().organization_id,
                details,
                author_id=actor().user_id,
                audience=Audience(include=(choice,)) if choice is not None else None,
            )
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            return after_writing(message, form)
    return compose_page(form, None)


@blueprint.route("/<uuid:message_id>/edit", methods=["GET", "POST"])
@allow(Permission.MAILINGS_EDIT)
def edit(message_id: uuid.UUID) -> Response | str:
    message = found(message_id, lock=request.method == "POST")
    if not message.is_draft:
        flashes.told(_("This message can no longer be changed."))
        return to("message", message_id=message.id)
    form = message_form(message)
    if put_in(form):
        return compose_page(form, message)
    details = details_to_save(form)
    if details is not None:
        try:
            services.edit_message(message, details)
        except Invalid as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            return after_writing(message, form)
    return compose_page(form, message)


def put_in(form: MessageForm) -> bool:
    """Without JavaScript a block is put at the end of the text by the server; nothing is saved."""
    if request.form.get("go") != "block":
        return False
    number = request.form.get("block", "")
    found = block_choices()
    if number.isascii() and number.isdigit() and int(number) < len(found):
        body = (form.body.data or "").rstrip()
        form.body.data = f"{body}\n\n{found[int(number)].text}".lstrip()
    return True


def details_to_save(form: MessageForm) -> services.MessageDetails | None:
    """What is to be saved, once it is asked whether it is to be taken for something else than it
    was: a text that was written with marks looks broken as HTML, and the other way round."""
    if not form.is_posted_and_valid():
        return None
    details = form.details()
    if not form.is_turning:
        return details
    if not form.turns.data:
        form.add_error("format", turning_words(details.format))
        return None
    try:
        turned = services.turn(own_organization(), details, author_id=actor().user_id)
    except Invalid as error:
        db.session.rollback()
        form.add_error(error.field, error.message)
        return None
    form.body.data = turned.body
    flashes.told(_("The version before is kept as a draft of its own."))
    return turned


def turning_words(form: str) -> str:
    if form == Format.HTML:
        return str(
            _(
                "Nothing is saved yet. Your text becomes HTML, and its blocks become what they show now: dates and counts no longer follow. Tick the box below to go on."
            )
        )
    return str(
        _(
            "Nothing is saved yet. Your HTML keeps its words, links and pictures, but loses its colors and widths. Tick the box below to go on."
        )
    )


def block_choices() -> list[cards.Choice]:
    """The blocks that can be put into a text."""
    return cards.choices(actor().organization_id, language())


def message_form(message: Message | None) -> MessageForm:
    """The form of a message, with the templates it may stand in."""
    form = MessageForm(obj=message)
    form.offer(designs.templates_of(actor().organization_id), message)
    if message is not None and message.template_id is not None:
        template = designs.template_for(message.organization_id, message.template_id)
        if template is not None and template.deleted_at is not None:
            form.offer_gone(template)
    return form


def after_writing(message: Message, form: MessageForm) -> Response:
    flashes.done(_("Draft saved."))
    if message.format == Format.HTML:
        tell_of_cleaning(form.body.data or "")
    stays = request.form.get("go") == "stay"
    return to("edit" if stays else "audience", message_id=message.id)


def tell_of_cleaning(source: str) -> None:
    """Say what a letter cannot hold and was taken out, and what was closed."""
    removed = words.removed_words(writing.cleaned(source).removed)
    if removed:
        flashes.told(_("We took out what email cannot hold: %(what)s.", what=", ".join(removed)))
    broken = writing.breaks(source)
    if broken:
        places = ", ".join(
            _("%(tag)s in line %(line)s", tag=one.tag, line=one.line) for one in broken[:5]
        )
        flashes.told(_("We closed what was left open: %(places)s.", places=places))


def compose_page(form: MessageForm, message: Message | None) -> str:
    samples, reader = [], None
    if message is not None and actor().can(Permission.PEOPLE_VIEW):
        samples, reader = queries.sample_people(message), person_asked_for()
        if reader is not None and reader not in samples:
            samples.insert(0, reader)
    return render_template(
        "mailings/compose.html",
        form=form,
        message=message,
        organization=own_organization(),
        samples=samples,
        reader=reader,
        merge_fields=words.merge_fields(own_organization().language),
        blocks=block_choices(),
        petitions=[
            (petition.title.get_for(language()), petition_url(petition.slug))
            for petition in queries.open_petitions(actor().organization_id)
        ],
        findings=findings_of_draft(form.draft()),
    )


def petition_url(slug: str) -> str:
    return f"{emails.base_url()}/p/{slug}"


def findings_of_draft(draft: Draft) -> list[writing.Finding] | None:
    """None while nothing is written: an empty page is no mistake yet."""
    return current_findings(draft) if draft.subject or draft.body else None


def current_findings(draft: Draft) -> list[writing.Finding]:
    organization = own_organization()
    known = cards.look_up(organization.id, [draft.body], organization.language)
    return writing.findings(
        draft.subject,
        draft.preheader,
        draft.body,
        form=draft.format,
        known=known,
        pages=leads.look_up(organization.id, [draft.body]),
        language=organization.language,
    )


@blueprint.post("/checks")
@allow(Permission.MAILINGS_EDIT)
def checks() -> str:
    """What is wrong with a text that is being written (for htmx)."""
    return render_template(
        "mailings/_findings.html", findings=current_findings(MessageForm().draft())
    )


@blueprint.post("/preview")
@allow(Permission.MAILINGS_EDIT)
def preview() -> Response:
    """The text in the form as an e-mail, for the frame beside it; nothing is saved."""
    letter = emails.render_message(MessageForm().draft(), own_organization())
    return frame_of(letter, view_asked_for(), sample_values())


@blueprint.get("/<uuid:message_id>/frame")
@allow(Permission.MAILINGS_VIEW)
def frame(message_id: uuid.UUID) -> Response:
    """The saved message as an e-mail, for a frame; once it is out, word for word what went."""
    message = found(message_id)
    content = queries.frozen_content(message)
    if content is None:
        letter = emails.render_message(Draft.of(message), own_organization())
    else:
        urls = {link.id: link.url for link in queries.links_of(message.id)}
        html = emails.without_counting(content.html, urls)
        letter = Letter(content.subject, content.text, html)
    return frame_of(letter, view_asked_for(), sample_values())


def frame_of(letter: Letter, view: str, values: Mapping[str, str]) -> Response:
    """A page for a frame on our own pages: the e-mail as it is, without any power."""
    letter = emails.filled_in(letter, values)
    if view == "text":
        html = render_template("mailings/_text_frame.html", letter=letter)
    else:
        html = emails.in_scheme(letter.html, is_dark=view == "dark")
        html = html.replace("<head>", '<head><base target="_blank">', 1)
    response = make_response(html)
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response
