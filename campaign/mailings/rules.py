"""A second pair of eyes: above a number of readers, two people stand behind what goes out."""

from __future__ import annotations

import hashlib
import json
import uuid
from enum import StrEnum

from campaign.mailings.models import Message
from campaign.organizations.models import Organization


class Look(StrEnum):
    """How far a message is with its second look."""

    NOT_NEEDED = "not needed"
    TO_ASK = "to ask"
    ASKED = "asked"
    SENT_BACK = "sent back"
    AGREED = "agreed"


def mark_of(message: Message) -> str:
    """What somebody agrees to: the words, their sender and who gets them. Any change of one of
    them changes the mark, so that nobody has agreed to what they have not seen."""
    parts = [
        message.subject,
        message.preheader,
        message.body,
        message.from_name,
        message.reply_to,
        json.dumps(message.chosen.dump(), sort_keys=True),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_agreed(message: Message) -> bool:
    """Whether somebody else has agreed to the message as it is now."""
    return bool(message.agreed_mark) and message.agreed_mark == mark_of(message)


def wants_second_look(message: Message, organization: Organization, included: int) -> bool:
    """Whether it goes to more people than one person may decide about, and only one has."""
    limit = organization.second_look_above
    return limit is not None and included > limit and not is_agreed(message)


def look_of(message: Message, organization: Organization, included: int) -> Look:
    """How far it is. What was asked or sent back counts only for the message as it was then."""
    if is_agreed(message):
        return Look.AGREED
    if not wants_second_look(message, organization, included):
        return Look.NOT_NEEDED
    if message.look_mark != mark_of(message):
        return Look.TO_ASK
    return Look.SENT_BACK if message.look_note else Look.ASKED


def may_agree(message: Message, user_id: uuid.UUID) -> bool:
    """Whether this is a second person: not the one who asked for the look."""
    return message.look_asked_by is not None and message.look_asked_by != user_id
