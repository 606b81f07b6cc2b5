"""Messages that are out, and what the provider and people did with them, by the doors of life."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.mail import webhook
from campaign.mail.models import Delivery
from campaign.mailings.models import Message
from campaign.organizations.models import Organization
from campaign.people.models import Person
from tests.factories.lists import make_list
from tests.factories.mailings import make_message, make_reader, send_out, to_list

_numbers = itertools.count(1)
HERE = "http://127.0.0.1:8000"
BOUNCE = {"event": "bounce", "type": "bounce", "status": "5.1.1"}
BLOCKED = {"event": "bounce", "type": "blocked", "status": "4.7.1"}


def sent_to(
    organization: Organization, readers: list[Person] | int = 12, *paths: str, **details: Any
) -> tuple[Message, list[Person]]:
    """A message that is out, with a link to each path, and its readers."""
    if isinstance(readers, int):
        readers = [make_reader(organization) for _ in range(readers)]
    links = "\n\n".join(f"[Look {n}]({HERE}{path})" for n, path in enumerate(paths))
    message = make_message(
        organization,
        to_list(make_list(organization, readers)),
        **({"body": f"Dear all,\n\n{links}"} | details),
    )
    send_out(message)
    return message, readers


def deliveries_of(message: Message) -> dict[uuid.UUID, Delivery]:
    """Person → their delivery."""
    rows = db.session.scalars(
        select(Delivery).where(Delivery.batch_id == message.batch_id).order_by(Delivery.id)
    )
    return {row.person_id: row for row in rows if row.person_id is not None}


def tell(
    message: Message, *told: tuple[Person, dict[str, Any]], at: datetime | None = None
) -> None:
    """The provider's webhook says these things about these people's e-mails."""
    rows = deliveries_of(message)
    body = [
        {
            "sg_event_id": f"event-{next(_numbers)}",
            "delivery": str(rows[person.id].id),
            "email": person.email,
            "timestamp": (at or clock.now()).timestamp(),
            **event,
        }
        for person, event in told
    ]
    db.session.commit()
    webhook.process(webhook.keep(json.dumps(body).encode()))
    db.session.expire_all()


def say(event: str) -> dict[str, Any]:
    return {"event": event}
