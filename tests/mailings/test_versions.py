"""The pages of an A/B test: written, planned, read, sent as tests, chosen."""

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
from campaign.mailings import queries, rules, services, variants
from campaign.mailings.models import ContestState, Measure, Message, Unit, VariantState, Verdict
from campaign.mailings.services import MessageDetails
from campaign.mailings.variants import Plan
from campaign.organizations.models import Organization, Role
from campaign.results.figures import actions_of, parts_of
from tests.conftest import Client
from tests.factories.contests import click, make_contest, variant
from tests.factories.mailings import beat, deliver, freeze, make_message, make_readers, to_list
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature

HOME = "/organize/mailings/"
PLAN = Plan(size=50, unit=Unit.PERCENT, measure=Measure.CLICKS, hours=4, is_automatic=True)


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER, name="Denise")
    log_in(client, user)
    return user


@pytest.fixture
def readers(organization: Organization) -> List:
    return make_readers(organization, 8, name="Woodlawn")


def page(message: Message, step: str = "") -> str:
    return f"{HOME}{message.id}{f'/{step}' if step else ''}"


def letters(message: Message) -> list[tuple[str, str]]:
    db.session.expire_all()
    assert message.contest is not None
    return [(row.letter, row.own_subject) for row in message.contest.variants]


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("organizer")
def test_a_test_is_begun_written_and_planned_on_one_page(
    client: Client, organization: Organization, readers: List
) -> None:
    message = make_message(organization, to_list(readers))
    assert "Try two versions on a few first" in read(client.get(page(message))).text
    client.submit(page(message, "versions"), {})
    assert letters(message) == [("a", ""), ("b", "")]
    shown = read(client.get(page(message, "versions"))).text
    assert "Versions A, B say the same." in shown
    answer = client.submit(
        page(message, "versions"),
        {"b_subject": "Doors <b>open</b>", "size": "4", "unit": "people", "hours": "24"},
        follow_redirects=True,
    )
    text = read(answer).text
    assert "4 people test 2 versions, in groups of 2." in text
    assert "goes to the other 4 people" in text
    assert "Groups of 2 are too small" in text
    assert letters(message) == [("a", ""), ("b", "Doors <b>open</b>")]
    assert message.contest is not None
    assert (message.contest.size, message.contest.unit, message.contest.hours) == (4, "people", 24)


@pytest.mark.usefixtures("organizer")
def test_versions_are_added_up_to_six_and_taken_out_down_to_two(
    client: Client, organization: Organization, readers: List
) -> None:
    message = make_contest(organization, to_list(readers))
    for _ in range(4):
        client.submit(page(message, "versions"), {"go": "add"})
    assert [letter for letter, _subject in letters(message)] == list("abcdef")
    assert "Add a version" not in read(client.get(page(message, "versions"))).text
    client.submit(page(message, "versions"), {"c_subject": "C", "d_subject": "D", "go": "remove:c"})
    assert letters(message) == [
        ("a", ""),
        ("b", "Doors open on Monday"),
        ("c", "D"),
        ("d", ""),
        ("e", ""),
    ]
    for _ in range(3):
        variants.remove_variant(message, "c")
    with pytest.raises(Invalid):
        variants.remove_variant(message, "b")


@pytest.mark.usefixtures("organizer")
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"size": "0"}, "Write a number from 1 to 100."),
        ({"size": "101"}, "Write a number from 1 to 100."),
        ({"size": ""}, "Write a number from 1 to 100."),
        ({"hours": "0"}, "Write a number from 1 to 168."),
        ({"hours": "1000"}, "Write a number from 1 to 168."),
        ({"b_subject": "For {{ nobody }}"}, "We do not know {{ nobody }}"),
        ({"b_body": "{{ 7*7 }} {{ secret }}"}, "We do not know {{ secret }}"),
    ],
)
def test_what_makes_no_test_is_said_at_its_field(
    client: Client,
    organization: Organization,
    readers: List,
    typed: dict[str, str],
    said: str,
) -> None:
    message = make_contest(organization, to_list(readers))
    answer = client.submit(page(message, "versions"), typed)
    assert answer.status_code == 200
    assert said in read(answer).text
    assert letters(message) == [("a", ""), ("b", "Doors open on Monday")]


@pytest.mark.usefixtures("organizer")
def test_each_version_can_be_read_and_goes_to_the_team_as_a_test(
    client: Client, organizer: User, organization: Organization, readers: List
) -> None:
    message = make_contest(organization, to_list(readers))
    b = variant(message, "b")
    b.own_body, b.own_from_name = "Only in B. <script>alert(1)</script>", "Ana"
    db.session.commit()
    frame = client.get(page(message, "versions/b"))
    assert "Only in B." in frame.text
    assert "<script" not in frame.text
    assert "Only in B." not in client.get(page(message, "versions/a")).text
    assert client.get(page(message, "versions/c")).status_code == 404
    client.submit(page(message, "versions"), {}, form="/versions/test")
    assert sorted(one.subject for one in outbox(to=organizer.email)) == [
        "[Test A] Come on Monday",
        "[Test B] Doors open on Monday",
    ]


@pytest.mark.usefixtures("organizer")
def test_findings_name_the_versions_they_are_in(
    client: Client, organization: Organization, readers: List
) -> None:
    message = make_contest(organization, to_list(readers))
    variant(message, "b").own_subject = "COME NOW!!! EVERYBODY"
    db.session.commit()
    assert "Version B: The subject is mostly in capitals." in read(client.get(page(message))).text


def test_a_version_that_cannot_go_out_holds_the_whole(
    organization: Organization, readers: List
) -> None:
    message = make_contest(organization, to_list(readers), subjects=("", ""))
    with pytest.raises(Invalid, match="Two versions say the same"):
        services.send_message(message)
    variant(message, "b").own_subject = "For {{ nobody }}"
    with pytest.raises(Invalid, match="nobody"):
        services.send_message(message)


def test_whoever_agreed_agreed_to_every_version(organization: Organization, readers: List) -> None:
    message = make_contest(organization, to_list(readers))
    before = rules.mark_of(message)
    variant(message, "b").own_subject = "Another"
    after = rules.mark_of(message)
    assert before != after
    assert message.contest is not None
    message.contest.is_automatic = False
    assert rules.mark_of(message) != after
    plain = make_message(organization)
    mark = rules.mark_of(plain)
    variants.begin_contest(plain)
    assert rules.mark_of(plain) != mark
    variants.end_contest(plain)
    assert rules.mark_of(plain) == mark


def test_a_copy_has_the_versions_and_nothing_that_happened(
    organization: Organization, readers: List
) -> None:
    user = make_member(organization)
    message = make_contest(organization, to_list(readers), size=100)
    services.send_message(message)
    db.session.commit()
    freeze(message)
    copy = services.copy_message(message, author_id=user.id)
    db.session.commit()
    assert letters(copy) == letters(message)
    assert copy.contest is not None
    assert copy.contest.state == ContestState.PLANNED
    assert {row.state for row in copy.contest.variants} == {VariantState.PLANNED}
    assert queries.batch_ids(copy) == []


def test_once_it_is_scheduled_its_versions_stay_as_they_are(
    organization: Organization, readers: List
) -> None:
    message = make_contest(organization, to_list(readers))
    user = make_member(organization)
    wall = (clock.now() + timedelta(days=2)).replace(tzinfo=None, hour=12)
    services.schedule_message(message, wall, "America/Chicago", user_id=user.id)
    for change in (
        lambda: variants.add_variant(message),
        lambda: variants.end_contest(message),
        lambda: variants.remove_variant(message, "b"),
        lambda: variants.edit_contest(message, PLAN, {"b": MessageDetails(subject="X")}),
    ):
        with pytest.raises(Conflict):
            change()
    services.unschedule_message(message, user_id=user.id)
    variants.add_variant(message)
    services.delete_message(message)
    services.restore_message(message)
    assert message.contest is not None
    assert len(message.contest.variants) == 3


# --- under way -----------------------------------------------------------------------------------


@pytest.fixture
def testing(organization: Organization, organizer: User, readers: List) -> Message:
    message = make_contest(organization, to_list(readers), measure=Measure.CLICKS)
    services.send_message(message, user_id=organizer.id)
    db.session.commit()
    freeze(message)
    deliver()
    click(message, "b", 12)
    return message


def test_the_page_shows_how_they_stand_and_takes_a_choice(client: Client, testing: Message) -> None:
    text = read(client.get(page(testing))).text
    assert "It is decided by itself on" in text
    assert "Version B is clearly ahead so far." in text
    assert "4 people were not in the test." in text
    client.submit(page(testing), {}, form="/versions/a/choose")
    freeze(testing)
    text = read(client.get(page(testing))).text
    assert "Your team chose version A for the rest." in text
    assert "These are the numbers by which it was decided" in text
    assert testing.contest is not None
    assert testing.contest.verdict == Verdict.CHOSEN


def test_a_tie_is_said_on_the_page(client: Client, testing: Message) -> None:
    click(testing, "a", 11)
    with time_machine.travel(clock.now() + timedelta(hours=5), tick=False):
        beat()
    text = read(client.get(page(testing))).text
    assert "Too close to call" in text
    assert "There is too little between A, B to tell which is better." in text
    assert "So the first of them goes to the rest: version A." in text


def test_a_stranger_neither_reads_nor_chooses(client: Client, testing: Message) -> None:
    other = make_organization()
    log_in(client, make_member(other, Role.OWNER))
    token = dict(read(client.get(HOME + "new")).forms[-1]["fields"])["csrf_token"]
    for step in ("versions", "versions/a"):
        assert client.get(page(testing, step)).status_code == 404
    for step in ("versions/begin", "versions/end", "versions/test", "versions/a/choose"):
        answer = client.post(page(testing, step), data={"csrf_token": token})
        assert answer.status_code == 404
    assert testing.contest is not None
    assert testing.contest.state == ContestState.TESTING


def test_a_viewer_sees_how_they_stand_and_chooses_nothing(
    client: Client, organization: Organization, testing: Message
) -> None:
    log_in(client, make_member(organization, Role.VIEWER))
    answer = client.get(page(testing))
    assert "Version B is clearly ahead so far." in read(answer).text
    assert "/choose" not in answer.text


def test_the_message_counts_what_came_through_all_its_versions(
    client: Client, testing: Message
) -> None:
    client.submit(page(testing), {}, form="/versions/a/choose")
    freeze(testing)
    petition = make_petition(organization_id=testing.organization_id)
    for source in (testing.source, variant(testing, "a").source, variant(testing, "b").source):
        make_signature(petition, source=source)
    db.session.commit()
    assert queries.signed_of([testing]) == {testing.id: 3}
    counted = actions_of(testing, parts_of(testing), "en")
    assert [action.count for action in counted] == [3]
    assert queries.clicks_of([testing.id]) == {testing.id: 12}
