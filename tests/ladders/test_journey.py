"""Up a ladder as a signer goes: the petition's form, the link in the e-mail, and two letters."""

from __future__ import annotations

from datetime import timedelta

import time_machine
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.ladders import queries
from campaign.ladders.models import RunState
from campaign.mail.models import Batch, Chunk, Delivery, DeliveryState, MailboxMessage
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.ladders import beat, make_ladder, runs_in, send, wait
from tests.factories.mailings import deliver
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition
from tests.petitions.conftest import ANA, Sign, outbox, sign

__all__ = ["sign"]


def inbox() -> list[str]:
    """The subjects of what Ana's mail service took, the first first."""
    deliver()
    rows = select(MailboxMessage).where(MailboxMessage.address == ANA["email"])
    return [one.content.subject for one in db.session.scalars(rows.order_by(MailboxMessage.id))]


def deliveries() -> list[tuple[str, str]]:
    """State and person of what ladders sent, as rows."""
    rows = db.session.execute(
        select(Delivery, Chunk)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .join(Batch, Batch.id == Delivery.batch_id)
        .where(Batch.kind == queries.KIND)
        .order_by(Delivery.id)
    )
    return [(one.state or chunk.state, one.person_id) for one, chunk in rows]


def test_from_the_petitions_form_to_the_second_letter(client: Client, sign: Sign) -> None:
    client.application.extensions["pages"].clear()
    organization = make_organization(slug="stop", name="STOP")
    petition = make_petition(make_campaign(organization))
    with time_machine.travel(clock.now() - timedelta(minutes=1), tick=False):
        ladder = make_ladder(organization, send("Thank you"), wait(1), send("Bring a neighbor"))

    sign(petition.slug, **{"consent-stop": "1"})
    beat()
    assert runs_in(ladder) == [], "nobody is on a ladder before they confirmed"
    link = outbox(ANA["email"])[-1].link("confirm")
    client.submit(link, {}, form="/confirm/", follow_redirects=True)
    confirmed_at, before = clock.now(), inbox()

    def by(**time: float) -> list[str]:
        """Move the clock, let three beats come, and tell what is new in the inbox."""
        with time_machine.travel(confirmed_at + timedelta(**time), tick=False):
            for _ in range(3):
                beat()
            return inbox()[len(before) :]

    assert by(minutes=1) == ["Thank you"]
    assert by(hours=24) == ["Thank you"]
    assert by(hours=24, minutes=1) == ["Thank you", "Bring a neighbor"]
    assert by(days=30) == ["Thank you", "Bring a neighbor"]

    (run,) = runs_in(ladder)
    assert run.state == RunState.DONE
    assert deliveries() == [(DeliveryState.ACCEPTED, run.person_id)] * 2
    assert [step.done_count for step in queries.steps_of(ladder.id)] == [1, 1, 1]
