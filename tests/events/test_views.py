"""Answering as a person meets it: pages, answers, e-mails, rows."""

from __future__ import annotations

from sqlalchemy import select

from campaign.db import db
from campaign.events.models import Rsvp, RsvpState
from tests.conftest import Client
from tests.events.answering import ANA, Answer, outbox
from tests.factories.events import make_event, occurrence_of
from tests.factories.pages import read


def only() -> Rsvp:
    return db.session.scalars(select(Rsvp)).one()


def test_page_shows_the_event_and_its_form(client: Client) -> None:
    event = make_event(capacity=20, needs_asked=["ride"], asks_company=True)
    db.session.commit()
    page = read(client.get(f"/e/{event.slug}"))
    assert event.title["en"] in page.text
    assert "6:00" in page.text
    assert "6337 S Woodlawn Ave" in page.text
    assert "20 places are left." in page.text
    fields = {name for name, _value in page.forms[0]["fields"]}
    assert "A ride" in page.text
    assert {"status", "first_name", "email", "guests", "company"} <= fields


def test_answering_takes_a_seat_and_writes(client: Client, answer: Answer) -> None:
    event = make_event(capacity=20)
    db.session.commit()
    response = answer(event.slug, guests="2")
    assert response.status_code == 303
    assert response.headers["Location"] == f"/e/{event.slug}/thanks"
    rsvp = only()
    assert (rsvp.state, rsvp.guests, rsvp.email) == (RsvpState.ACCEPTED, 2, ANA["email"])
    assert occurrence_of(event).taken_count == 3
    (mail,) = outbox(ANA["email"])
    assert "Your answer for" in mail.subject
    assert "you and 2 guests" in mail.text
    assert "6337 S Woodlawn Ave" in mail.text
    assert rsvp.person_id is not None
