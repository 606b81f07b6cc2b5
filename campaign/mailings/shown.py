"""What a message shows its readers beside its words."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import select

from campaign.db import db
from campaign.designs import blocks, cards, leads
from campaign.designs import queries as designs
from campaign.designs.blocks import Kind
from campaign.designs.cards import Cards
from campaign.designs.leads import Pages
from campaign.designs.models import Picture
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import Organization

WAITING = (MessageState.SCHEDULED, MessageState.CALCULATING)


def is_waiting(picture: Picture) -> bool:
    """Whether a message that is scheduled shows this picture."""
    waiting = db.session.scalars(
        select(Message).where(
            Message.organization_id == picture.organization_id, Message.state.in_(WAITING)
        )
    )
    return any(_shows(wording.body, picture) for message in waiting for wording in message.wordings)


def _shows(body: str, picture: Picture) -> bool:
    if picture.token in body:
        return True
    own = (Kind.IMAGE, picture.name)
    return any((block.kind, block.name) == own for block in blocks.parse(body).blocks)


def known_for(message: Message) -> Cards:
    """What the blocks of a message stand for now, in all its variants."""
    organization = db.session.get_one(Organization, message.organization_id)
    texts = [wording.body for wording in message.wordings]
    return cards.look_up(message.organization_id, texts, organization.language)


def pages_for(message: Message) -> Pages:
    """How the pages of ours stand now to which the links of a message may lead, in all its
    variants."""
    return leads.look_up(message.organization_id, [one.body for one in message.wordings])


def around(message: Message) -> str:
    """All that readers see and that stands outside the message's own row."""
    organization = db.session.get_one(Organization, message.organization_id)
    template = designs.template_for(organization.id, message.template_id)
    profile = (
        organization.name,
        organization.postal_address,
        organization.crisis_line,
        organization.sender_name,
        organization.sender_email,
        organization.reply_to,
        organization.language,
    )
    look = asdict(designs.look_for(organization, template))
    return json.dumps([profile, look, known_for(message).seen], sort_keys=True, default=str)
