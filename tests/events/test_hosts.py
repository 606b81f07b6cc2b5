"""Volunteers propose, partners and volunteers are asked: nobody hosts without having said so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign.campaigns.models import Campaign, CampaignState
from campaign.db import Words, db
from campaign.errors import Conflict
from campaign.events import hosting, tasks
from campaign.events.hosting import HostDetails
from campaign.events.models import Event, EventState, Host, HostState, Occurrence
from campaign.organizations.models import Organization, Role
from campaign.people.models import Person
from campaign.web.links import host_token, rsvp_token
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.events import make_event, make_host
from tests.factories.organizations import log_in, make_member
from tests.factories.outbox import Queued, outbox
from tests.factories.pages import read

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TYPED = {
    "title": "Candles on Cottage Grove",
    "kind": "vigil",
    "about": "We stand in front of the clinic.",
    "starts": "2026-06-12T20:00",
    "venue": "Woodlawn Clinic",
    "city": "Chicago",
    "postal_code": "60637",
    "name": "Vera Volunteer",
    "email": "vera@example.org",
}


@pytest.fixture(autouse=True)
def june() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=True) as travel:
        yield travel


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    found = make_campaign(state=CampaignState.ACTIVE)
    db.session.commit()
    return found


@pytest.fixture
def propose(client: Client, june: time_machine.Coordinates) -> Any:
    """Load the form, wait as a person would, and send it."""

    def send(path: str = "/e/propose", **typed: Any) -> TestResponse:
        original = client.post

        def later(*args: Any, **more: Any) -> TestResponse:
            june.shift(timedelta(seconds=20))
            return original(*args, **more)

        client.post = later  # type: ignore[method-assign]
        try:
            return client.submit(path, TYPED | typed)
        finally:
            client.post = original  # type: ignore[method-assign]

    return send


def letters_to(address: str) -> list[Queued]:
    return outbox(address)


def link_in(letter: Queued) -> str:
    """The host's own link."""
    return letter.values["url"].removeprefix("http://127.0.0.1:8000")


def only() -> Event:
    return db.session.scalars(select(Event)).one()


def proposer() -> Host:
    return db.session.scalars(select(Host).where(Host.is_proposer.is_(True))).one()


def press(client: Client, path: str, answer: str, **more: str) -> TestResponse:
    page = read(client.get(path))
    token = next(value for name, value in page.forms[0]["fields"] if name == "csrf_token")
    return client.post(path, data={"csrf_token": token, "answer": answer, **more})


def test_a_proposal_from_the_form_to_the_calendar(
    client: Client, campaign: Campaign, propose: Any
) -> None:
    response = propose()
    assert (response.status_code, response.location) == (303, "/e/propose/thanks")
    assert "One step is left" in read(client.get(response.location)).text
    event = only()
    assert (event.state, event.organization_id) == (EventState.PROPOSED, campaign.organization_id)
    assert (event.title, event.venue) == ({"en": TYPED["title"]}, "Woodlawn Clinic")
    assert event.starts_wall == "2026-06-12T20:00"
    assert client.get(f"/e/{event.slug}").status_code == 404
    (letter,) = letters_to("vera@example.org")
    assert letter.subject == "Please confirm your proposal"
    assert "Vera Volunteer" in letter.text
    assert "Friday, June 12, 8:00\u202fPM – 9:30\u202fPM CDT" in letter.text
    path = link_in(letter)
    organization = db.session.get_one(Organization, campaign.organization_id)
    desk = client.application.test_client()
    assert isinstance(desk, Client)
    log_in(desk, make_member(organization, Role.ORGANIZER), organization)
    listed = "/organize/events/?part=proposals"
    assert "Candles" not in read(desk.get(listed)).text
    asked = read(client.get(path)).text
    assert "Is this your proposal?" in asked
    assert "Friday, June 12" in asked
    assert proposer().state == HostState.INVITED, "opening the link changes nothing"
    assert press(client, path, "yes").status_code == 303
    assert proposer().state == HostState.ACTIVE
    assert "An organizer looks at your proposal" in read(client.get(path)).text
    assert "Vera Volunteer" in read(desk.get(listed)).text
    desk.submit(f"/organize/events/{event.id}", {}, form="approve")
    assert only().state == EventState.PUBLISHED
    assert letters_to("vera@example.org")[-1].subject == "Your proposal is on the calendar"
    assert "Vera" not in client.get(f"/e/{event.slug}").get_data(as_text=True)
    press(client, path, "yes", is_public="1")
    client.application.extensions["pages"].clear()
    assert "Together with Vera Volunteer." in read(client.get(f"/e/{event.slug}")).text
    person = db.session.get_one(Person, proposer().person_id)
    assert (person.first_name, person.email) == ("Vera", "vera@example.org")


def test_a_declined_proposal_stays_unseen(client: Client, campaign: Campaign, propose: Any) -> None:
    propose()
    event = only()
    press(client, link_in(letters_to("vera@example.org")[0]), "yes")
    hosting.decline_event(only(), "The street is taken that day.")
    hosting.decline_event(only(), "Twice tells nobody twice.")
    db.session.commit()
    letters = letters_to("vera@example.org")
    assert len(letters) == 2
    assert "The street is taken that day." in letters[-1].text
    assert client.get(f"/e/{event.slug}").status_code == 404
    assert "does not take place" in read(client.get(link_in(letters[0]))).text
    hosting.approve_event(only())  # a second thought
    assert only().state == EventState.PUBLISHED
    with pytest.raises(Conflict):
        hosting.approve_event(only())


def test_a_strangers_address_takes_it_back(
    client: Client, campaign: Campaign, propose: Any
) -> None:
    propose()
    path = link_in(letters_to("vera@example.org")[0])
    response = press(client, path, "no")
    assert response.location == "/host/forgotten?lang=en"
    assert "It is gone" in read(client.get(response.location)).text
    for table in (Event, Host, Occurrence, Person):
        assert db.session.scalars(select(table)).all() == []
    assert client.get(path).status_code == 404


def test_what_nobody_confirms_is_forgotten_after_a_week(
    client: Client, campaign: Campaign, propose: Any, june: time_machine.Coordinates
) -> None:
    propose()
    june.shift(timedelta(days=6))
    tasks.clean_up_proposals()
    assert only()
    june.shift(timedelta(days=1, minutes=1))
    tasks.clean_up_proposals()
    for table in (Event, Host, Occurrence):
        assert db.session.scalars(select(table)).all() == []


def test_a_robot_is_thanked_and_nothing_is_kept(campaign: Campaign, propose: Any) -> None:
    response = propose(website="https://spam.example")
    assert response.location == "/e/propose/thanks"
    assert db.session.scalars(select(Event)).all() == []


def test_an_address_gets_three_emails_a_day(campaign: Campaign, propose: Any) -> None:
    for _n in range(5):
        assert propose().location == "/e/propose/thanks"
    assert len(letters_to("vera@example.org")) == 3


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"title": ""}, "Give it a name."),
        ({"name": ""}, "Please write your name."),
        ({"email": "vera"}, "email address"),
        ({"starts": ""}, "Say when it begins."),
        ({"starts": "soon"}, "Write the day and the time"),
        ({"ends": "2026-06-12T19:00"}, "ends before it begins"),
        ({"venue": ""}, "Say where it is"),
        ({"campaign": "no-such"}, "Please"),
        ({"kind": "party"}, "Not a valid choice"),
        ({"name": "a\x00b"}, "characters we cannot use"),
        ({"title": "a\u202eb"}, "direction of text"),
    ],
)
def test_what_is_wrong_is_said_and_kept(
    campaign: Campaign, propose: Any, typed: dict[str, str], message: str
) -> None:
    response = propose(**typed)
    assert response.status_code == 400
    assert message in read(response).text
    assert "We stand in front of the clinic." in response.get_data(as_text=True)
    assert db.session.scalars(select(Event)).all() == []


def test_the_form_in_spanish_and_for_one_campaign(
    client: Client, campaign: Campaign, propose: Any
) -> None:
    other = make_campaign(state=CampaignState.ACTIVE)
    make_campaign(state=CampaignState.DRAFT, title=Words(en="Not yet"))
    db.session.commit()
    path = f"/e/propose?lang=es&campaign={other.slug}"
    page = read(client.get(path))
    assert "Proponer un evento" in page.text
    assert "Not yet" not in page.text
    response = propose(path)
    assert response.location == "/e/propose/thanks?lang=es"
    event = only()
    assert (event.campaign_id, event.title) == (other.id, {"es": TYPED["title"]})
    assert letters_to("vera@example.org")[0].subject == "Confirme su propuesta"


def test_without_a_campaign_there_is_no_form(client: Client) -> None:
    assert "No campaign is running" in read(client.get("/e/propose")).text


def test_a_form_open_for_long_loses_nothing(client: Client, campaign: Campaign) -> None:
    response = client.post("/e/propose", data=TYPED | {"csrf_token": "old"})
    assert response.status_code == 400
    assert "open for a long time" in read(response).text
    assert "We stand in front" in response.get_data(as_text=True)


# Asked to host


def test_a_partner_answers_for_all(client: Client, campaign: Campaign) -> None:
    event = make_event(campaign, starts_wall="2026-06-12T20:00")
    partner = make_partner(campaign).partner
    first, second = make_member(partner), make_member(partner)
    db.session.commit()
    hosting.invite_partner(event, partner.id)
    db.session.commit()
    assert [letter.subject for letter in letters_to(first.email)] == ["Will you host an event?"]
    path = link_in(letters_to(second.email)[0])
    assert partner.name not in read(client.get(f"/e/{event.slug}")).text.split("Who may write")[0]
    page = read(client.get(path))
    assert "Yes, we host it" in page.text
    assert "Show my name" not in page.text
    press(client, path, "yes")
    client.application.extensions["pages"].clear()
    assert f"Together with {partner.name}." in read(client.get(f"/e/{event.slug}")).text
    assert db.session.scalars(select(Person)).all() == []
    press(client, path, "no")
    client.application.extensions["pages"].clear()
    assert "Together with" not in read(client.get(f"/e/{event.slug}")).text


def test_a_volunteer_says_no_and_then_yes(client: Client, campaign: Campaign) -> None:
    event = make_event(campaign)
    host = hosting.invite_host(
        event, HostDetails(name="Ana Ruiz", email="ana@example.org", language="es")
    )
    db.session.commit()
    (letter,) = letters_to("ana@example.org")
    assert letter.subject == "¿Quiere ser anfitrión de un evento?"
    path = link_in(letter)
    press(client, path, "no")
    db.session.refresh(host)
    assert (host.state, host.person_id) == (HostState.DECLINED, None)
    press(client, path, "yes")
    db.session.refresh(host)
    assert (host.state, host.is_public) == (HostState.ACTIVE, False)
    person = db.session.get_one(Person, host.person_id)
    assert (person.first_name, person.last_name, person.language) == ("Ana", "Ruiz", "es")
    event.state = EventState.CANCELLED
    db.session.commit()
    assert "cancelado" in read(client.get(path)).text
    press_refused = client.post(path, data={"answer": "no"})
    assert press_refused.status_code == 400


def test_no_link_brings_back_whom_an_organizer_took_off(client: Client, campaign: Campaign) -> None:
    host = make_host(make_event(campaign))
    hosting.take_off_host(host)
    db.session.commit()
    path = f"/host/{host_token(host.id)}"
    page = read(client.get(path))
    assert "You do not host this event" in page.text
    assert page.forms == []
    client.post(path, data={"csrf_token": _token(client), "answer": "yes"})
    db.session.refresh(host)
    assert host.state == HostState.REMOVED
    hosting.put_back_host(host)
    assert host.state == HostState.INVITED


def _token(client: Client) -> str:
    form = read(client.get("/e/propose")).forms[0]
    return str(next(value for name, value in form["fields"] if name == "csrf_token"))


@pytest.mark.parametrize("token", ["x", "a" * 43, "%00", "é"])
def test_forged_links_are_unknown(client: Client, app: Flask, token: str) -> None:
    assert client.get(f"/host/{token}").status_code == 404


def test_a_link_of_another_kind_is_unknown(client: Client, campaign: Campaign) -> None:
    host = make_host(make_event(campaign))
    db.session.commit()
    assert client.get(f"/host/{rsvp_token(host.id)}").status_code == 404
    page = client.get(f"/host/{host_token(host.id)}")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in page.headers
    client.submit(f"/host/{host_token(host.id)}", {"answer": "perhaps"})
    db.session.refresh(host)
    assert host.state == HostState.ACTIVE


def test_erasing_leaves_the_event_and_nobodys_name(client: Client, campaign: Campaign) -> None:
    host = make_host(make_event(campaign), is_public=True)
    db.session.commit()
    path = f"/host/{host_token(host.id)}"
    assert hosting.erase_hosts() == 0
    assert hosting.erase_hosts(address_hash=host.address_hash or "") == 0
    host.address_hash = "f" * 64
    db.session.flush()
    assert hosting.erase_hosts(address_hash="f" * 64) == 1
    db.session.commit()
    assert (host.name, host.email, host.is_public) == ("", None, False)
    assert client.get(path).status_code == 404
