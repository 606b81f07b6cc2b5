"""Messages and the people who read them."""

from __future__ import annotations

import itertools
from typing import Any

from campaign.db import db
from campaign.lists import services as lists
from campaign.lists.models import List
from campaign.mail import delivery as mail
from campaign.mailings import delivery, services, tasks
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Person
from campaign.people.services import PersonDetails

_numbers = itertools.count(1)

BODY = """Dear {{ first_name|neighbor }},

the clinic is open on Monday. [Look](https://example.org/look)
"""


def make_reader(organization: Organization, *, consents: bool = True, **given: Any) -> Person:
    """A person who agreed to e-mail from `organization`; `consents=False` one who did not."""
    n = next(_numbers)
    details = {
        "email": f"reader{n}@people.example",
        "first_name": f"Reader{n}",
        "last_name": "Moore",
        "postal_code": "60637",
    } | given
    person = people.get_or_add_person(organization.id, PersonDetails(**details))
    if consents:
        people.grant_consent(person, grantee_id=organization.id, source="page")
    db.session.flush()
    return person


def make_readers(organization: Organization, count: int, name: str = "") -> List:
    """A list with that many readers."""
    list_ = lists.create_list(organization.id, name or f"Readers {next(_numbers)}")
    lists.add_to_list(list_, [make_reader(organization).id for _ in range(count)])
    db.session.commit()
    return list_


def to_list(list_: List) -> Choice:
    return Choice(ChoiceKind.LIST, list_.id)


def make_message(
    organization: Organization,
    *include: Choice,
    exclude: tuple[Choice, ...] = (),
    **details: Any,
) -> Message:
    """A draft to whoever `include` finds; to everybody where nothing is named."""
    given = {"subject": "Come on Monday", "body": BODY} | details
    message = services.create_message(
        organization.id,
        MessageDetails(**given),
        audience=Audience(include or (Choice(ChoiceKind.EVERYBODY),), exclude),
    )
    db.session.commit()
    return message


def freeze(message: Message, *, limit: int = 0) -> None:
    """Do all the steps that are left, as a task does."""
    message_id = message.id
    while delivery.build_outbox(message_id, limit=limit):
        db.session.commit()
    db.session.commit()


def send_out(message: Message) -> None:
    """Send `message` and let mail deliver everything."""
    services.send_message(message)
    db.session.commit()
    freeze(message)
    deliver()


def deliver() -> None:
    """Send all that is due."""
    db.session.commit()  # sending rolls back what it read: not what the test has open
    while mail.work(bulk=True, seconds=30):
        pass
    db.session.expire_all()


def beat() -> None:
    """What the beat rings for: start what is due, note what is through."""
    for task in (tasks.start_due, tasks.follow_messages):
        db.session.commit()
        task()
    db.session.expire_all()
