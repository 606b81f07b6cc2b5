"""Where the links of a mailing lead: what is seen as one writes, and trying them on request.
Only the asking itself is replaced; `tests/test_outward.py` is about that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from flask import Flask

from campaign import clock, outward
from campaign.accounts.models import User
from campaign.db import db
from campaign.mailings import queries, services, tasks
from campaign.mailings.models import Message
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import Organization, Role
from campaign.outward import Found, State
from campaign.petitions.models import PetitionState
from campaign.web.links import preferences_url
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.contests import make_contest, variant
from tests.factories.mailings import make_message, make_reader
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition

HOME = "/organize/mailings/"
BODY = """Hi {{ first_name|friend }}, read [the news](https://news.city.gov/a) and
[the rules](https://old.city.gov/b). [Write to us](mailto:us@clinics.org)

[Read the news again](https://news.city.gov/a)
"""
NEWS, RULES = "https://news.city.gov/a", "https://old.city.gov/b"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER)
    log_in(client, user)
    return user


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been asked, all at once each time; the rules are gone."""
    calls: list[list[str]] = []

    def answer(urls: Iterable[str]) -> dict[str, Found]:
        calls.append(list(urls))
        return {
            url: Found(State.GONE, 404)
            if url == RULES
            else Found(State.MOVED, 200, "https://news.city.gov/b?c=d e")
            for url in calls[-1]
        }

    monkeypatch.setattr(outward, "look_at_all", answer)
    return calls


def page(message: Message, step: str = "") -> str:
    return f"{HOME}{message.id}{f'/{step}' if step else ''}"


def codes(message: Message) -> list[tuple[str, str]]:
    organization = db.session.get_one(Organization, message.organization_id)
    found = queries.findings(
        message, organization, queries.reach(message.organization_id, message.chosen)
    )
    return [
        (finding.code, str(finding.level))
        for finding in found
        if "link" in finding.code or finding.code == "field_in_link"
    ]


def test_the_button_has_them_tried_and_the_page_says_what_came(
    client: Client,
    organization: Organization,
    organizer: User,
    asked: list[list[str]],
    run_tasks: Callable[[], int],
) -> None:
    message = make_message(organization, body=BODY)
    updated_at = message.updated_at
    before = read(client.get(page(message)))
    assert before.text.count("Not tried yet") == 2
    answer = client.submit(page(message), {}, form="/links")
    assert answer.location == f"{page(message)}#links"
    waiting = client.get(page(message))
    assert "We try them." in read(waiting).text
    assert "every 3s" in waiting.text
    assert run_tasks() == 1
    assert asked == [[NEWS, RULES]]
    db.session.refresh(message)
    assert message.links_found == {
        NEWS: "moved 200 https://news.city.gov/b?c=d e",
        RULES: "gone 404",
    }
    assert message.links_looked_at is not None
    assert message.updated_at == updated_at
    for path in (page(message), page(message, "links")):
        after = read(client.get(path)).text
        assert "Works, and leads on" in after
        assert "leads on to https://news.city.gov/b?c=d e" in after
        assert "There is no such page (404)" in after
        assert "Tried:" in after
    assert f"A link did not work when we tried it: {RULES}" in read(client.get(page(message))).text
    assert ("dead_link", "look") in codes(message)


def test_a_link_that_was_changed_has_not_been_tried(
    organization: Organization, asked: list[list[str]], run_tasks: Callable[[], int]
) -> None:
    message = make_message(organization, body=BODY)
    assert services.try_links(message)
    db.session.commit()
    run_tasks()
    services.edit_message(
        message, MessageDetails(subject="Hi", body=BODY.replace(RULES, "https://new.city.gov/"))
    )
    assert codes(message) == []
    assert queries.tried_links(message)[1] == ("https://new.city.gov/", None)


def test_pressed_twice_it_is_tried_once_and_later_again(
    organization: Organization, asked: list[list[str]], run_tasks: Callable[[], int]
) -> None:
    message = make_message(organization, body=BODY)
    assert services.try_links(message)
    assert not services.try_links(message)
    db.session.commit()
    assert run_tasks() == 1
    assert services.try_links(message)
    db.session.commit()
    assert run_tasks() == 1
    assert len(asked) == 2


def test_a_lost_call_is_made_again_and_given_up_in_the_end(
    organization: Organization,
    rung: list[object],
    asked: list[list[str]],
    run_tasks: Callable[[], int],
    client: Client,
    organizer: User,
) -> None:
    message = make_message(organization, body=BODY)
    services.try_links(message)
    db.session.commit()
    rung.clear()
    tasks.try_waiting_links()
    assert rung == []
    message.links_asked_at = clock.now() - queries.LINKS_AGAIN - timedelta(seconds=1)
    db.session.commit()
    tasks.try_waiting_links()
    assert run_tasks() == 1
    assert len(asked) == 1
    message.links_looked_at = None
    message.links_asked_at = clock.now() - queries.LINKS_TAKE - timedelta(seconds=1)
    db.session.commit()
    tasks.try_waiting_links()
    tasks.try_links(str(message.id))
    assert len(asked) == 1
    assert "No answer came. Please try again." in read(client.get(page(message))).text


def test_our_own_pages_and_other_ways_to_write_are_not_asked(
    app: Flask, organization: Organization
) -> None:
    base = app.extensions["settings"].base_url
    body = f"[a b]({base}/p/x) [c d](tel:988) [e f](mailto:a@b.org) [g h](https://c.org/{{{{ ward|x }}}})"
    assert queries.outward_links(make_message(organization, body=body)) == []


def test_there_is_a_limit(
    client: Client, organization: Organization, organizer: User, asked: list[list[str]]
) -> None:
    message = make_message(organization, body=BODY)
    for _ in range(20):
        client.submit(page(message), {}, form="/links")
        message.links_looked_at = clock.now()
        db.session.commit()
    last = message.links_asked_at
    client.submit(page(message), {}, form="/links")
    db.session.refresh(message)
    assert message.links_asked_at == last
    assert "Please wait an hour" in client.get(page(message)).text


def test_a_viewer_sees_what_came_and_asks_nobody(
    client: Client, organization: Organization, asked: list[list[str]]
) -> None:
    log_in(client, make_member(organization, Role.VIEWER))
    message = make_message(organization, body=BODY)
    assert "Not tried yet" in client.get(page(message)).text
    assert "Check the links" not in client.get(page(message)).text
    token = client.get(page(message)).text.partition('csrf-token" content="')[2].partition('"')[0]
    answer = client.post(page(message, "links"), data={"csrf_token": token})
    assert answer.status_code == 403
    db.session.refresh(message)
    assert message.links_asked_at is None


def test_another_organizations_links_are_not_there(
    client: Client, organizer: User, rung: list[object]
) -> None:
    theirs = make_message(make_organization(), body=BODY)
    assert client.get(page(theirs, "links")).status_code == 404
    own = client.get(HOME).text.partition('csrf-token" content="')[2].partition('"')[0]
    assert client.post(page(theirs, "links"), data={"csrf_token": own}).status_code == 404
    assert rung == []


def test_what_a_stranger_answers_is_text(
    client: Client, organization: Organization, organizer: User
) -> None:
    message = make_message(organization, body=BODY)
    message.links_found = {
        NEWS: "moved 200 javascript:<script>alert(1)</script>",
        RULES: "nonsense <b>",
    }
    message.links_asked_at = message.links_looked_at = clock.now()
    db.session.commit()
    html = client.get(page(message)).text
    assert "<script>alert" not in html
    assert 'href="javascript' not in html
    assert "Not tried yet" in html


def test_pages_of_ours_are_looked_up_as_one_writes(
    app: Flask, client: Client, organization: Organization, organizer: User
) -> None:
    base = app.extensions["settings"].base_url
    draft = make_petition(make_campaign(organization), state=PetitionState.DRAFT)
    theirs = make_petition(make_campaign(make_organization()), state=PetitionState.DRAFT)
    own_page = preferences_url("person", make_reader(organization).id)
    body = (
        f"[Sign it]({base}/p/{draft.slug}) [Sign theirs]({base}/p/{theirs.slug}) "
        f"[Your page]({own_page}) [Look](https://example.org/x) [Call](tel:12)"
    )
    message = make_message(organization, body=body)
    assert codes(message) == [
        ("link_missing", "stop"),
        ("link_personal", "stop"),
        ("link_draft", "look"),
        ("link_sample", "look"),
        ("link_tel", "look"),
    ]
    token = client.get(HOME).text.partition('csrf-token" content="')[2].partition('"')[0]
    said = client.post(f"{HOME}checks", data={"csrf_token": token, "subject": "Hi", "body": body})
    assert "not published yet" in said.text
    assert "one person" in said.text
    assert "Go on to send" in client.get(page(message)).text
    assert "Send to" not in read(client.get(page(message, "send"))).text


def test_versions_have_their_links_tried_together(
    organization: Organization, asked: list[list[str]], run_tasks: Callable[[], int]
) -> None:
    message = make_contest(organization, details={"body": BODY})
    variant(message, "b").own_body = "[Go there](https://b.city.gov/)"
    db.session.commit()
    assert queries.outward_links(message) == [NEWS, RULES, "https://b.city.gov/"]
