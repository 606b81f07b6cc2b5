"""Above a number of readers two people stand behind a mailing, and both saw the same words."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.lists.models import List
from campaign.mailings import queries, rules, services
from campaign.mailings.models import Audience, Message, MessageState
from campaign.mailings.rules import Look
from campaign.mailings.services import MessageDetails
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization, Role
from campaign.organizations.services import Profile
from tests.conftest import Client
from tests.factories.mailings import (
    beat,
    freeze,
    make_message,
    make_reader,
    make_readers,
    to_list,
)
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read

HOME = "/organize/mailings/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together", second_look_above=2)


@pytest.fixture
def marta(organization: Organization) -> User:
    return make_member(organization, Role.ORGANIZER, name="Marta", email="marta@stop.example")


@pytest.fixture
def ana(organization: Organization) -> User:
    return make_member(
        organization, Role.OWNER, name="Ana", email="ana@stop.example", language="es"
    )


@pytest.fixture
def readers(organization: Organization) -> List:
    return make_readers(organization, 3)


@pytest.fixture
def message(organization: Organization, readers: List, marta: User, ana: User) -> Message:
    return make_message(organization, to_list(readers))


def look(message: Message) -> Look:
    organization = db.session.get_one(Organization, message.organization_id)
    counts = queries.reach(message.organization_id, message.chosen)
    return rules.look_of(message, organization, counts.included)


def test_nobody_sends_alone_to_more_than_the_organization_allows(
    message: Message, marta: User, ana: User
) -> None:
    assert look(message) == Look.TO_ASK
    for attempt in (
        lambda: services.send_message(message, user_id=marta.id),
        lambda: services.schedule_message(
            message,
            (clock.now() + timedelta(days=1)).replace(tzinfo=None),
            "America/Chicago",
            user_id=marta.id,
        ),
    ):
        with pytest.raises(Invalid):
            attempt()
    services.ask_for_look(message, user_id=marta.id)
    assert look(message) == Look.ASKED
    with pytest.raises(Conflict):  # whoever asked is no second person
        services.agree_to(message, message.look_mark, user_id=marta.id)
    services.agree_to(message, message.look_mark, user_id=ana.id)
    assert look(message) == Look.AGREED
    services.send_message(message, user_id=marta.id)
    assert message.state == MessageState.SCHEDULED


def test_few_readers_need_nobody(organization: Organization, marta: User) -> None:
    message = make_message(organization, to_list(make_readers(organization, 2)))
    assert look(message) == Look.NOT_NEEDED
    services.send_message(message, user_id=marta.id)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Come on Tuesday"},
        {"preheader": "Now"},
        {"body": "Other words"},
        {"from_name": "Somebody else"},
        {"reply_to": "other@stop.example"},
    ],
)
def test_what_is_changed_after_it_was_read_is_read_again(
    message: Message, marta: User, ana: User, change: dict[str, str]
) -> None:
    services.ask_for_look(message, user_id=marta.id)
    services.agree_to(message, message.look_mark, user_id=ana.id)
    details = {"subject": message.subject, "body": message.body} | change
    services.edit_message(message, MessageDetails(**details))
    assert look(message) == Look.TO_ASK
    with pytest.raises(Invalid):
        services.send_message(message, user_id=marta.id)


def test_other_readers_need_another_look(
    message: Message, organization: Organization, marta: User, ana: User
) -> None:
    services.ask_for_look(message, user_id=marta.id)
    services.agree_to(message, message.look_mark, user_id=ana.id)
    more = make_readers(organization, 4)
    services.choose_audience(message, Audience((*message.chosen.include, to_list(more))))
    assert look(message) == Look.TO_ASK


def test_one_agrees_to_what_one_has_read(message: Message, marta: User, ana: User) -> None:
    services.ask_for_look(message, user_id=marta.id)
    read_then = message.look_mark
    services.edit_message(message, MessageDetails(subject="New", body="New"))
    with pytest.raises(Conflict):
        services.agree_to(message, read_then, user_id=ana.id)
    services.ask_for_look(message, user_id=marta.id)
    with pytest.raises(Conflict):
        services.agree_to(message, read_then, user_id=ana.id)


def test_sent_back_with_a_word_and_asked_again(message: Message, marta: User, ana: User) -> None:
    services.ask_for_look(message, user_id=marta.id)
    with pytest.raises(Invalid):
        services.send_back(message, message.look_mark, "  ", user_id=ana.id)
    services.send_back(message, message.look_mark, "The day is wrong.", user_id=ana.id)
    db.session.commit()
    assert look(message) == Look.SENT_BACK
    (letter,) = outbox(to=marta.email)
    assert "The day is wrong." in letter.text
    services.ask_for_look(message, user_id=marta.id)
    assert look(message) == Look.ASKED


def test_the_others_who_may_send_are_written_to_in_their_language(
    message: Message, organization: Organization, marta: User, ana: User
) -> None:
    make_member(organization, Role.VIEWER, email="viewer@stop.example")
    services.ask_for_look(message, user_id=marta.id)
    db.session.commit()
    assert outbox(to="viewer@stop.example") == []
    assert outbox(to=marta.email) == []
    (letter,) = outbox(to=ana.email)
    assert "Marta" in letter.text
    assert f"{HOME}{message.id}/send" in letter.text
    assert "espera" in letter.subject
    services.agree_to(message, message.look_mark, user_id=ana.id)
    db.session.commit()
    assert [mail.subject for mail in outbox(to=marta.email)] == ["Your mailing may go out"]


def test_an_audience_that_grows_after_its_hour_was_set_waits(
    organization: Organization, marta: User, ana: User
) -> None:
    list_ = make_readers(organization, 2)
    message = make_message(organization, to_list(list_))
    wall = (clock.now() + timedelta(days=1)).replace(tzinfo=None)
    services.schedule_message(message, wall, "UTC", user_id=marta.id)
    db.session.commit()
    from campaign.lists import services as lists

    lists.add_to_list(list_, [make_reader(organization).id for _ in range(3)])
    db.session.commit()
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        beat()
        freeze(message)
    db.session.refresh(message)
    assert (message.state, message.scheduled_at, message.batch_id) == (
        MessageState.DRAFT,
        None,
        None,
    )
    assert outbox(kind="mailing") == []
    assert len(outbox(to=marta.email)) == len(outbox(to=ana.email)) == 1


def test_asking_leaves_a_test_of_this_version_valid(message: Message, marta: User) -> None:
    organization = db.session.get_one(Organization, message.organization_id)
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=False):
        services.send_test(message, organization, [marta], {})
        db.session.commit()
    with time_machine.travel(clock.now() + timedelta(hours=1), tick=False):
        services.ask_for_look(message, user_id=marta.id)
        db.session.commit()
    counts = queries.reach(organization.id, message.chosen)
    assert "not_tested" not in {one.code for one in queries.findings(message, organization, counts)}


def test_a_copy_is_read_anew(message: Message, marta: User, ana: User) -> None:
    services.ask_for_look(message, user_id=marta.id)
    services.agree_to(message, message.look_mark, user_id=ana.id)
    assert look(services.copy_message(message, author_id=marta.id)) == Look.TO_ASK


def test_a_team_of_one_cannot_ask_for_a_second(app: Flask) -> None:
    organization = make_organization()
    make_member(organization, Role.OWNER)
    make_member(organization, Role.VIEWER)
    with pytest.raises(Invalid) as refused:
        organizations.change_profile(
            organization, Profile(name="A", second_look_above=100), by=None
        )
    assert refused.value.field == "second_look_above"


def test_from_asking_to_sending_in_the_browser(
    client: Client, message: Message, marta: User, ana: User
) -> None:
    send = f"{HOME}{message.id}/send"
    log_in(client, marta)
    page = read(client.get(send))
    assert "Send to 3 people now" not in page.text
    client.submit(send, {}, form="/ask")
    assert "waits for a second look" in read(client.get("/organize/")).text
    assert "As soon as one of them agrees" in read(client.get(send)).text
    log_in(client, ana)
    assert "waits for your look" in read(client.get("/organize/?lang=en")).text
    answer = client.submit(f"{send}?lang=en", {}, form="/send-back")
    assert answer.status_code == 400
    client.submit(f"{send}?lang=en", {}, form="/agree")
    db.session.refresh(message)
    assert message.agreed_by == ana.id
    log_in(client, marta)
    page = read(client.get(send))
    assert "Ana read it as it is now and agreed" in page.text
    client.submit(send, {}, form="/send")
    db.session.refresh(message)
    assert message.state == MessageState.SCHEDULED
