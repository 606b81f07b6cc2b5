"""A mailing as one person gets it: their words, whether they get it, and nothing they alone may
follow."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.mail import services as mail
from campaign.mail.models import Scope
from campaign.mailings import queries
from campaign.mailings.models import Message
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people.models import Person
from campaign.people.queries import LISTED
from tests.conftest import Client
from tests.factories.contests import make_contest, variant
from tests.factories.mailings import make_message, make_reader, make_readers, send_out, to_list
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read

HOME = "/organize/mailings/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER)
    log_in(client, user)
    return user


def page(message: Message, step: str = "read", **query: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return f"{HOME}{message.id}/{step}{f'?{asked}' if asked else ''}"


def listings() -> int:
    return len(db.session.scalars(select(AuditEntry).where(AuditEntry.action == LISTED)).all())


def frame_in(html: str) -> str:
    found = re.search(r'<iframe[^>]* src="([^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def test_somebody_is_found_and_reads_their_own_words(
    client: Client, organization: Organization, organizer: User
) -> None:
    rosa = make_reader(organization, first_name="Rosa", last_name="Núñez", language="es")
    make_reader(organization, first_name="", last_name="", email="nameless@people.example")
    message = make_message(
        organization, subject="Hi {{ first_name|friend }}", body="Dear {{ first_name|friend }},"
    )
    nobody = client.get(page(message))
    assert "As somebody we know nothing about gets it" in nobody.text
    assert "Hi friend" in read(nobody).text
    assert "Dear friend" in client.get(frame_in(nobody.text)).text
    for asked in ("nunez ros", "Núñez", rosa.email or ""):
        hits = client.get(page(message, q=asked))
        assert f"person={rosa.id.hex}" in hits.text
        assert "nameless" not in hits.text
    assert "nameless@people.example" in read(client.get(page(message, q="nameless@"))).text
    hers = client.get(page(message, person=rosa.id.hex))
    text = read(hers).text
    assert "As Rosa Núñez gets it" in text
    assert "Hi Rosa" in text
    assert f"This person would get it, at {rosa.email}." in text
    assert "They would rather read Spanish." in text
    assert "Dear Rosa" in client.get(frame_in(hers.text)).text
    assert (
        "Dear Rosa"
        in client.get(
            frame_in(client.get(f"{page(message, person=rosa.id.hex)}&view=text").text)
        ).text
    )
    compose = client.get(page(message, "edit", person=rosa.id.hex)).text
    assert f'value="{rosa.id.hex}" selected' in compose


def test_nothing_in_it_is_theirs_alone(
    client: Client, organization: Organization, organizer: User
) -> None:
    rosa = make_reader(organization, first_name="Rosa")
    message = make_message(organization)
    paths = [page(message, "frame", person=rosa.id.hex), page(message, person=rosa.id.hex)]
    paths.append(f"{paths[0]}&view=text")
    send_out(message)
    for path in paths:
        html = client.get(path).text
        assert "Reader" not in html
        for way in ("/me/", "/unsubscribe/", "/go/", "/rsvp/", "{{"):
            assert way not in html, (way, path)


def test_who_would_not_get_it_is_told_why(
    client: Client, organization: Organization, organizer: User
) -> None:
    list_ = make_readers(organization, 1, name="Woodlawn")
    message = make_message(organization, to_list(list_))
    outside = make_reader(organization, first_name="Olga")
    everybody = make_message(organization)
    silent = make_reader(organization, consents=False, first_name="Silvia")
    bounced = make_reader(organization, first_name="Bruno")
    mail.suppress(bounced.address_hash or "", scope=Scope.ADDRESS, reason="hard bounce")
    db.session.commit()
    for asked, person, words in (
        (message, outside, "Not among those you chose"),
        (everybody, silent, "Has not agreed to email from you"),
        (everybody, bounced, "Address does not take mail"),
    ):
        text = read(client.get(page(asked, person=person.id.hex))).text
        assert "This person would not get it." in text
        assert words in text
        hits = read(client.get(page(asked, q=person.first_name))).text
        assert f"Would not get it: {words}" in hits
    assert queries.reasons_for(everybody, [outside.id]) == {outside.id: ""}


def test_the_second_of_a_household_reads_over_the_firsts_shoulder(
    organization: Organization,
) -> None:
    first = make_reader(organization, first_name="Ana", email="home@people.example")
    second = make_reader(organization, first_name="Ben", email="home@people.example")
    assert first.id != second.id
    message = make_message(organization)
    assert queries.reasons_for(message, [first.id, second.id]) == {
        first.id: "",
        second.id: "same_address",
    }


def test_reasons_add_up_to_what_is_counted(organization: Organization) -> None:
    make_reader(organization, email="home@people.example", first_name="Ana")
    make_reader(organization, email="home@people.example", first_name="Ben")
    make_reader(organization, consents=False)
    make_readers(organization, 3)
    message = make_message(organization)
    reach = queries.reach(organization.id, message.chosen)
    ids = list(db.session.scalars(select(Person.id)))
    reasons = list(queries.reasons_for(message, ids).values())
    assert reasons.count("") == reach.included
    assert {one: reasons.count(one) for one in set(reasons) - {""}} == reach.reasons


def test_looking_for_somebody_is_audited_once_an_hour(
    client: Client, organization: Organization, organizer: User
) -> None:
    message = make_message(organization)
    make_reader(organization, first_name="Rosa")
    client.get(page(message))
    assert listings() == 0
    client.get(page(message, q="rosa"))
    client.get(page(message, q="ros"))
    assert listings() == 1
    client.get("/organize/people/")
    assert listings() == 1
    db.session.execute(update(AuditEntry).values(at=clock.now() - timedelta(minutes=61)))
    db.session.commit()
    client.get(page(message, q="rosa"))
    assert listings() == 2


@pytest.mark.parametrize("step", ["read", "frame", "preview"])
def test_reading_it_as_somebody_is_audited_and_as_nobody_is_not(
    client: Client, organization: Organization, organizer: User, step: str
) -> None:
    message = make_message(organization)
    rosa = make_reader(organization, first_name="Rosa")

    def look(person: str) -> None:
        if step == "preview":
            token = client.get(f"{HOME}new").text.partition('csrf-token" content="')[2]
            data = {"csrf_token": token.partition('"')[0], "body": "Hi", "person": person}
            assert client.post(f"{HOME}preview", data=data).status_code == 200
        else:
            assert client.get(page(message, step, person=person)).status_code == 200

    look("")
    assert listings() == 0
    look(rosa.id.hex)
    look(rosa.id.hex)
    assert listings() == 1


def test_people_and_messages_of_others_are_not_there(
    client: Client, organization: Organization, organizer: User
) -> None:
    other = make_organization()
    stranger = make_reader(other, first_name="Stranger")
    message = make_message(organization)
    assert client.get(page(message, person=stranger.id.hex)).status_code == 404
    assert client.get(page(message, "edit", person=stranger.id.hex)).status_code == 404
    assert client.get(page(make_message(other))).status_code == 404
    assert "We found nobody." in client.get(page(message, q="Stranger")).text
    assert stranger.id.hex not in client.get(page(message, q="Stranger")).text
    assert client.get(page(message, person="nonsense")).status_code == 200


def test_who_may_not_see_people_sees_none(client: Client, organization: Organization) -> None:
    rosa = make_reader(organization, first_name="Rosa")
    message = make_message(organization)
    log_in(client, make_member(organization, Role.VIEWER))
    assert client.get(page(message, q="rosa")).status_code == 403
    assert "Rosa" not in client.get(page(message, "frame", person=rosa.id.hex)).text
    assert "/read" not in client.get(f"{HOME}{message.id}").text


@pytest.mark.parametrize(
    "asked",
    ["%3Cscript%3Ealert(1)%3C/script%3E", "%00", "'%20OR%201=1", "%", "x" * 3000, "%F0%9F%98%80"],
)
def test_any_question_is_answered(
    client: Client, organization: Organization, organizer: User, asked: str
) -> None:
    make_reader(organization, first_name="<script>alert(2)</script>", last_name="'; drop table")
    answer = client.get(page(make_message(organization), q=asked))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_a_version_is_read_as_somebody(
    client: Client, organization: Organization, organizer: User
) -> None:
    rosa = make_reader(organization, first_name="Rosa")
    message = make_contest(organization, details={"body": "First, {{ first_name|friend }}"})
    variant(message, "b").own_subject = "Second for {{ first_name|friend }}"
    variant(message, "b").own_body = "Second, {{ first_name|friend }}"
    db.session.commit()
    first = client.get(page(message, person=rosa.id.hex))
    assert "First, Rosa" in client.get(frame_in(first.text)).text
    second = client.get(page(message, person=rosa.id.hex, version="b"))
    assert "Second for Rosa" in read(second).text
    assert "Second, Rosa" in client.get(frame_in(second.text)).text


def test_merge_fields_can_be_copied_in_the_language_of_the_letter(
    client: Client, organization: Organization, organizer: User
) -> None:
    text = read(client.get(f"{HOME}new")).text
    for code in (
        "first_name|neighbor",
        "last_name|neighbor",
        "postal_code|your area",
        "ward|your ward",
    ):
        assert f"{{{{ {code} }}}}" in text
    assert "What they are called" in text
    organization.language = "es"
    db.session.commit()
    spanish = client.get(f"{HOME}new").text
    assert "first_name|neighbor" not in spanish
    assert "What they are called" in spanish
