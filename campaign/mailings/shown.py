"""What a message shows its readers beside its words."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import select

from campaign.db import db
from campaign.designs import queries as designs
from campaign.designs.models import Picture
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import Organization

WAITING = (MessageState.SCHEDULED, MessageState.CALCULATING)


def is_waiting(picture: Picture) -> bool:
    """Whether a message that is scheduled shows this picture."""
    bodies = db.session.scalars(
        select(Message.body).where(
            Message.organization_id == picture.organization_id, Message.state.in_(WAITING)
        )
    )
    return any(picture.token in body for body in bodies)


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
    return json.dumps([profile, look], sort_keys=True)
