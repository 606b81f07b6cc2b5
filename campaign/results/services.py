"""Writing again to those who did not act, and noting what was taken out in a file."""

from __future__ import annotations

import uuid
from dataclasses import fields, replace

from flask_babel import gettext as _

from campaign.errors import Conflict, Invalid
from campaign.lists import queries as lists
from campaign.mailings import queries as mailings
from campaign.mailings import services as mailing_services
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message, MessageState
from campaign.mailings.services import MessageDetails
from campaign.organizations import services as organizations

NAME_CHARS = 120


def rest_of(message: Message) -> Audience:
    """Those who got a message, without those who did what it asked. Who does not want mail any
    more, or cannot get it, is left out of every mailing."""
    return Audience(
        include=(Choice(ChoiceKind.GOT, message.id),),
        exclude=(Choice(ChoiceKind.ACTED, message.id),),
    )


def check_again(message: Message) -> None:
    """Whether there can be a second letter to those who did not act. Raises Conflict with the
    reason why not."""
    state = mailings.progress(message).state
    if state == MessageState.STOPPED:
        raise Conflict(_("You stopped this message, so it is not sent again to anybody."))
    if state != MessageState.SENT:
        raise Conflict(_("This message is still on its way. Wait until it is out."))
    if not lists.asks_of(message.id):
        raise Conflict(
            _(
                "None of its links leads to a petition, an event or a campaign of yours, so nobody"
                " can tell who did not act."
            )
        )


def write_again(message: Message, subject: str, *, user_id: uuid.UUID) -> Message:
    """A new draft with the text of a message for those who got it and did not act.

    Of a message with variants it is the text that went to most. Nothing is sent: the draft goes
    the way of every other. Raises Conflict as `check_again`, and Invalid for the subject they have
    seen before.
    """
    check_again(message)
    seen = {wording.subject.strip().casefold() for wording in (message.wording, *message.wordings)}
    if subject.strip().casefold() in seen:
        raise Invalid(
            _("They have seen this subject and did not act. Please write another one."),
            field="subject",
        )
    draft = mailing_services.copy_message(message, author_id=user_id)
    contest, draft.contest = message.contest, None
    details = MessageDetails(
        **{field.name: getattr(draft, field.name) for field in fields(MessageDetails)}
    )
    if contest is not None:
        best = contest.winner or contest.variants[0]
        wording = best.wording
        details = replace(
            details,
            preheader=wording.preheader,
            body=wording.body,
            from_name=wording.from_name,
        )
    name = _("Again: %(name)s", name=message.title)[:NAME_CHARS]
    mailing_services.edit_message(draft, replace(details, name=name, subject=subject))
    mailing_services.choose_audience(draft, rest_of(message))
    organizations.record(
        "mailing.resend",
        organization_id=message.organization_id,
        user_id=user_id,
        subject_kind="message",
        subject_id=draft.id,
        details={"of": str(message.id)},
    )
    return draft


def note_download(
    organization_id: uuid.UUID,
    *,
    user_id: uuid.UUID,
    name: str,
    message_id: uuid.UUID | None = None,
    count: int = 1,
) -> None:
    """A report, or a comparison of `count` mailings, was taken out in a file."""
    organizations.record(
        "mailing.report",
        organization_id=organization_id,
        user_id=user_id,
        subject_kind="message" if message_id else "",
        subject_id=message_id,
        details={"file": name, "messages": count},
    )
