"""What a message shows its readers beside its words."""

from __future__ import annotations

from sqlalchemy import select

from campaign.db import db
from campaign.designs.models import Picture
from campaign.mailings.models import Message, MessageState

WAITING = (MessageState.SCHEDULED, MessageState.CALCULATING)


def is_waiting(picture: Picture) -> bool:
    """Whether a message that is scheduled shows this picture."""
    bodies = db.session.scalars(
        select(Message.body).where(
            Message.organization_id == picture.organization_id, Message.state.in_(WAITING)
        )
    )
    return any(picture.token in body for body in bodies)
