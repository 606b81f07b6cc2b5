"""The briefing and the list of those who risk arrest: who sees what."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.db import Words, db
from campaign.events.models import Event, EventKind, Rsvp, RsvpState
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.privacy import queries as privacy
from campaign.privacy import services as erasing
from campaign.sit_ins import queries, services
from campaign.sit_ins.models import Acknowledgement, ArrestRisk
from campaign.sit_ins.queries import Confided
from campaign.web.links import rsvp_token
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.checkin import make_came_answer, make_sign_in
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.leftovers import traces_of
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person

WRITTEN = {
    "legal_name": "Xiomara Quetzal",
    "born_on": "May 4, 1961",
    "emergency_contact": "her sister",
    "medical": "insulin at nine",
}


@pytest.fixture
def event(app: Flask) -> Event:
    return make_event(
        make_campaign(make_organization()),
        kind=EventKind.SIT_IN,
        briefing=Words(en="# Stay calm\n\nSit down.", es="# Mantenga la calma"),
    )


@pytest.fixture
def rsvp(event: Event) -> Rsvp:
    found = make_rsvp(event)
    db.session.commit()
    return found


def path_to(rsvp: Rsvp, page: str = "briefing") -> str:
    return f"/rsvp/{rsvp_token(rsvp.id)}/{page}"


def enter(client: Client, event: Event, role: Role = Role.LEGAL) -> None:
    organization = db.session.get_one(Organization, event.organization_id)
    log_in(client, make_member(organization, role), organization)


def join(client: Client, rsvp: Rsvp) -> Any:
    client.submit(path_to(rsvp), {}, form="/briefing")
    return client.submit(path_to(rsvp, "risk"), WRITTEN, follow_redirects=True)


# --- the person --------------------------------------------------------------------------------


def test_reading_asks_once_and_again_for_a_new_version(client: Client, rsvp: Rsvp) -> None:
    page = read(client.get(path_to(rsvp)))
    assert "Stay calm" in page.text
    assert db.session.scalars(select(Acknowledgement)).all() == []
    response = client.submit(path_to(rsvp), {}, form="/briefing", follow_redirects=True)
    assert "We know that you have read it" in read(response).text
    rsvp.occurrence.event.briefing_version = 2
    db.session.commit()
    assert "I have read this" in client.get(path_to(rsvp)).get_data(as_text=True)


@pytest.mark.parametrize("version", ["0", "7", "", "x", "²", "9" * 400, "\x00"])
def test_another_version_than_the_one_shown_is_not_taken(
    client: Client, rsvp: Rsvp, version: str
) -> None:
    page = read(client.submit(path_to(rsvp), {"version": version}, form="/briefing"))
    assert "has changed" in page.text
    assert db.session.scalars(select(Acknowledgement)).all() == []


def test_nothing_to_read_is_no_page(client: Client, app: Flask) -> None:
    rsvp = make_rsvp(make_event())
    db.session.commit()
    assert client.get(path_to(rsvp)).status_code == 404
    assert client.get(path_to(rsvp, "risk")).status_code == 404
    assert client.get("/rsvp/forged/briefing").status_code == 404


def test_joining_changing_and_leaving(client: Client, rsvp: Rsvp) -> None:
    early = client.submit(path_to(rsvp, "risk"), WRITTEN)
    assert "read the briefing first" in read(early).text
    assert "You are on the list." in read(join(client, rsvp)).text
    page = read(client.get(path_to(rsvp, "risk")))
    assert "Xiomara Quetzal" in str(page.forms)
    client.submit(path_to(rsvp, "risk"), {"medical": "nothing"})
    risk = queries.risk_by_rsvp(rsvp.id)
    assert risk is not None
    opened = queries.open_seal(risk)
    assert opened is not None
    assert (opened.legal_name, opened.medical) == ("Xiomara Quetzal", "nothing")
    client.submit(path_to(rsvp), {}, form="/leave")
    assert db.session.scalars(select(ArrestRisk)).all() == []


def test_mistakes_keep_what_was_typed(client: Client, rsvp: Rsvp) -> None:
    client.submit(path_to(rsvp), {}, form="/briefing")
    page = read(client.submit(path_to(rsvp, "risk"), WRITTEN | {"legal_name": ""}))
    assert "write your name" in page.text
    assert "insulin at nine" in str(page.forms)
    page = read(client.submit(path_to(rsvp, "risk"), WRITTEN | {"medical": "a\u202eb"}))
    assert "hidden characters" in page.text


def test_who_does_not_come_is_not_asked(client: Client, rsvp: Rsvp) -> None:
    rsvp.state = RsvpState.DECLINED
    db.session.commit()
    assert client.get(path_to(rsvp, "risk")).status_code == 404


# --- the legal role ----------------------------------------------------------------------------


def test_the_legal_role_alone_sees_the_list(client: Client, event: Event, rsvp: Rsvp) -> None:
    join(client, rsvp)
    path = f"/organize/legal/{occurrence_of(event).id}"
    for role in set(Role) - {Role.LEGAL}:
        enter(client, event, role)
        assert client.get(path).status_code == 403
        assert client.get("/organize/legal/").status_code == 403
    enter(client, event)
    for page in (path, f"{path}?view=print"):
        assert "insulin at nine" in read(client.get(page)).text
    assert "1 person risks arrest" in read(client.get("/organize/legal/")).text


def test_each_look_is_noted_without_a_name(client: Client, event: Event, rsvp: Rsvp) -> None:
    join(client, rsvp)
    enter(client, event)
    for _time in range(3):
        client.get(f"/organize/legal/{occurrence_of(event).id}")
    looks = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "arrests.listed")
    ).all()
    assert [look.details for look in looks] == [{"rows": 1}] * 3


def test_what_happened_is_noted(client: Client, event: Event, rsvp: Rsvp) -> None:
    join(client, rsvp)
    enter(client, event)
    path = f"/organize/legal/{occurrence_of(event).id}"
    client.submit(path, {"status": "arrested", "note": "18th district"}, form="/status")
    assert db.session.scalars(select(ArrestRisk.status)).one() == "arrested"
    assert "18th district" in client.get(path).get_data(as_text=True)
    assert traces_of("18th district", "insulin") == {}
    wrong = client.submit(path, {"status": "freed"}, form="/status")
    assert wrong.status_code == 200
    wrong = client.submit(path, {"note": "a\x00b"}, form="/status")
    assert "characters we cannot use" in read(wrong).text


def test_a_lost_key_leaves_the_rest_of_the_list_readable(
    client: Client, event: Event, rsvp: Rsvp
) -> None:
    join(client, rsvp)
    other = make_rsvp(event, first_name="Zoe")
    services.acknowledge(other, 1)
    broken = services.join_list(other, Confided(legal_name="Zoe Z"))
    broken.sealed = "not to be opened"
    enter(client, event)
    text = read(client.get(f"/organize/legal/{occurrence_of(event).id}")).text
    assert "Xiomara Quetzal" in text
    assert "cannot be read" in text


def test_organizers_see_who_has_to_read_and_nothing_of_the_list(
    client: Client, event: Event, rsvp: Rsvp
) -> None:
    join(client, rsvp)
    make_rsvp(event, first_name="Zoe", last_name="Zimmer")
    enter(client, event, Role.OWNER)
    text = read(client.get(f"/organize/briefings/{occurrence_of(event).id}")).text
    assert "Zoe Zimmer" in text
    assert "Maria Reyes" not in text
    for word in ("arrest", "Quetzal"):
        assert word not in text
    shown = client.get(f"/organize/events/dates/{occurrence_of(event).id}/answers.csv")
    assert "Quetzal" not in shown.get_data(as_text=True)


# --- the person's own data ---------------------------------------------------------------------


def test_the_person_takes_it_along_and_erasing_takes_it_away(client: Client, event: Event) -> None:
    person = make_person(event.organization_id, first_name="Xenia", last_name="Quill")
    rsvp = make_rsvp(event, email=person.email, first_name="Xenia", last_name="Quill")
    rsvp.person_id = person.id
    services.acknowledge(rsvp, 1)
    services.join_list(rsvp, Confided(**WRITTEN))
    make_sign_in(event, rsvp)
    walked = make_sign_in(
        make_event(event.campaign),
        email=person.email,
        first_name="Xenia",
        last_name="Quill",
        sheet_line="3/7",
    )
    make_came_answer(rsvp, feedback="plum orchard")
    db.session.commit()

    plain = str(privacy.as_plain(privacy.holding_of(person)))
    for word in (*WRITTEN.values(), "plum orchard", "3/7"):
        assert word in plain
    organization = db.session.get_one(Organization, event.organization_id)
    from campaign.web.links import PERSON, preferences_url

    own = "/me/" + preferences_url(PERSON, person.id).rsplit("/", 1)[1].split("?")[0]
    text = read(client.get(f"{own}/data")).text
    assert "insulin at nine" in text
    assert organization.name in text

    erasing.erase_person(person)
    db.session.commit()
    assert traces_of("Xenia", "Quill", "plum orchard", "3/7") == {}
    assert db.session.scalars(select(ArrestRisk)).all() == []
    assert db.session.scalars(select(Acknowledgement)).all() == []
    db.session.refresh(walked)
    assert (walked.person_id, walked.address_hash, walked.guests) == (None, None, 0)
