"""The mailing pages, as an organizer, a viewer and somebody else's organizer see them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.lists.models import List
from campaign.mail.models import Delivery
from campaign.mailings import queries
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import Organization, Role
from tests.conftest import Client
from tests.factories.mailings import (
    beat,
    deliver,
    freeze,
    make_message,
    make_reader,
    make_readers,
    send_out,
    to_list,
)
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature

HOME = "/organize/mailings/"


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
    return make_readers(organization, 3, name="Woodlawn")


def page(message: Message, step: str = "") -> str:
    return f"{HOME}{message.id}{f'/{step}' if step else ''}"


def token(client: Client, path: str = HOME) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def post(client: Client, path: str, **data: str) -> int:
    return client.post(path, data={"csrf_token": token(client), **data}).status_code


def test_from_an_empty_page_to_a_sent_message(
    client: Client,
    organization: Organization,
    organizer: User,
    readers: List,
    run_tasks: Callable[[], int],
) -> None:
    make_reader(organization, consents=False)
    assert "Nobody has heard from you yet" in client.get(HOME).text
    answer = client.submit(
        f"{HOME}new",
        {"subject": "Come on Monday", "body": "Dear {{ first_name|friend }}", "go": "on"},
    )
    assert answer.status_code == 303
    message = db.session.scalars(queries.messages_in(organization.id, ["draft"])).one()
    assert answer.location == page(message, "audience")
    answer = client.submit(page(message, "audience"), {"include": [to_list(readers).key]})
    assert answer.location == page(message)
    checked = read(client.get(page(message)))
    assert "3 people will get it" in checked.text
    assert "Nobody has read a test of this version yet." in checked.text
    confirm = read(client.get(page(message, "send")))
    assert "Send to 3 people now" in confirm.text
    answer = client.submit(page(message, "send"), {}, form="/send")
    assert answer.location == page(message)
    assert "We are putting together who gets it" in client.get(page(message)).text
    run_tasks()
    deliver()
    report = client.get(page(message)).text
    assert "Sent" in report
    assert len(outbox(kind="mailing")) == 3
    assert "Woodlawn" in report


def test_unknown_fields_are_told_at_the_field_and_nothing_is_lost(
    client: Client, organizer: User
) -> None:
    answer = client.submit(
        f"{HOME}new", {"subject": "Hi", "body": "One\nDear {{ nickname|x }}", "name": "Mine"}
    )
    assert answer.status_code == 200
    assert "We do not know {{ nickname }} (line 2, character 6)" in read(answer).text
    assert "Dear {{ nickname|x }}</textarea>" in answer.text
    assert 'value="Mine"' in answer.text
    assert client.get(HOME).text.count("Without a subject") == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "Hi\r\nBcc: all@people.example"),
        ("subject", "nul \x00"),
        ("subject", "x" * 201),
        ("preheader", "\u202egnp"),
        ("body", "\x01"),
        ("body", "x" * 100_001),
        ("reply_to", "nobody"),
        ("from_name", "A\nB"),
    ],
)
def test_hostile_text_is_refused_at_its_field(
    client: Client, organizer: User, field: str, value: str
) -> None:
    answer = client.submit(f"{HOME}new", {field: value})
    assert answer.status_code == 200
    assert f'href="#{field}"' in answer.text


def test_the_preview_is_the_email_without_power(client: Client, organizer: User) -> None:
    answer = client.post(
        f"{HOME}preview",
        data={
            "csrf_token": token(client),
            "subject": "x",
            "body": "Dear {{ first_name|friend }} <script>alert(1)</script> [x](https://a.example)",
        },
    )
    assert "Dear friend" in answer.text
    assert "<script" not in answer.text
    assert "/go/" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    text = client.post(
        f"{HOME}preview",
        data={"csrf_token": token(client), "view": "text", "body": "<b>1 < 2</b>"},
    )
    assert "1 &lt; 2" in text.text
    assert "Draft" not in read(client.get(HOME)).text


def test_the_preview_reads_as_a_person_of_ones_own_organization_only(
    client: Client, organization: Organization, organizer: User
) -> None:
    own = make_reader(organization, first_name="Anastasia")
    theirs = make_reader(make_organization(), first_name="Stranger")
    message = make_message(organization)
    assert "Anastasia" in client.get(page(message, f"frame?person={own.id.hex}")).text
    assert client.get(page(message, f"frame?person={theirs.id.hex}")).status_code == 404
    assert client.get(page(message, "frame?person=nonsense")).status_code == 200


def test_checks_answer_as_one_writes(client: Client, organizer: User) -> None:
    answer = client.post(
        f"{HOME}checks",
        data={"csrf_token": token(client), "subject": "COME ON MONDAY", "body": "[a](www.x.org)"},
    )
    assert "mostly in capitals" in answer.text
    assert "lacks https://" in answer.text


def test_the_count_follows_the_ticks_and_saves_nothing(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization)
    make_reader(organization)
    key = to_list(readers).key
    counted = client.get(page(message, "audience/count"), query_string={"include": [key]})
    assert "people will get it" in read(counted).text
    assert ">3<" in counted.text
    theirs = to_list(make_readers(make_organization(), 5)).key
    forged = client.get(page(message, "audience/count"), query_string={"include": [theirs, "x"]})
    assert ">0<" in forged.text
    db.session.refresh(message)
    assert message.chosen.include[0].key == "everybody"
    without_script = client.submit(page(message, "audience"), {"include": [key], "go": "count"})
    assert without_script.status_code == 200
    assert ">3<" in without_script.text


def test_a_forged_choice_is_refused(
    client: Client, organization: Organization, organizer: User
) -> None:
    message = make_message(organization)
    theirs = to_list(make_readers(make_organization(), 2)).key
    answer = client.submit(page(message, "audience"), {"include": [theirs]})
    assert answer.status_code == 200
    db.session.refresh(message)
    assert message.chosen.include[0].key == "everybody"


def test_what_must_be_fixed_holds_the_message(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    organization.postal_address = ""
    message = make_message(organization, to_list(readers))
    confirm = client.get(page(message, "send")).text
    assert "no postal address" in confirm
    assert "Send to 3 people now" not in confirm
    assert post(client, page(message, "send"), people="3") == 303
    assert post(client, page(message, "schedule"), on="2030-01-01", at="10:00") == 303
    db.session.refresh(message)
    assert message.is_draft


def test_an_audience_that_has_grown_is_shown_again(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization)
    for _ in range(12):
        make_reader(organization)
    db.session.commit()
    answer = client.post(page(message, "send"), data={"csrf_token": token(client), "people": "3"})
    assert answer.location == page(message, "send")
    assert "Now 15 people would get it" in client.get(page(message, "send")).text
    db.session.refresh(message)
    assert message.is_draft


def test_sending_twice_is_sending_once(
    client: Client,
    organization: Organization,
    organizer: User,
    readers: List,
    rung: list[object],
    run_tasks: Callable[[], int],
) -> None:
    message = make_message(organization, to_list(readers))
    for _ in range(2):
        assert post(client, page(message, "send"), people="3") == 303
    assert len(rung) == 1
    run_tasks()
    deliver()
    assert post(client, page(message, "send"), people="3") == 303
    run_tasks()
    deliver()
    assert len(outbox(kind="mailing")) == 3


def test_scheduling_across_the_change_of_clocks_says_so(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization, to_list(readers))
    year = next(y for y in range(clock.now().year, clock.now().year + 2) if _spring(y) > _today())
    answer = client.submit(
        page(message, "send"),
        {"on": _spring(year), "at": "02:30", "zone": "America/Chicago"},
        form="/schedule",
        follow_redirects=True,
    )
    assert "skip the time you chose" in answer.text
    assert "3:30" in answer.text
    db.session.refresh(message)
    assert message.state == MessageState.SCHEDULED
    assert client.get(page(message, "edit")).location == page(message)
    client.submit(page(message), {}, form="/unschedule")
    db.session.refresh(message)
    assert message.is_draft


def _today() -> str:
    return clock.now().date().isoformat()


def _spring(year: int) -> str:
    """The second Sunday of March, when the clocks in Chicago go forward."""
    from datetime import date

    first = date(year, 3, 1)
    return (first + timedelta(days=(6 - first.weekday()) % 7 + 7)).isoformat()


@pytest.mark.parametrize(
    ("on", "at", "zone", "words"),
    [
        ("", "10:00", "America/Chicago", "Choose a day."),
        ("2020-01-01", "10:00", "America/Chicago", "This time is over."),
        ("9999-12-31", "23:59", "America/Chicago", "too far away"),
        ("tomorrow", "10:00", "America/Chicago", "on"),
        ("2030-01-01", "25:99", "America/Chicago", "at"),
        ("2030-01-01", "10:00", "Mars/Olympus", "zone"),
    ],
)
def test_times_that_cannot_be_are_told(
    client: Client,
    organization: Organization,
    organizer: User,
    readers: List,
    on: str,
    at: str,
    zone: str,
    words: str,
) -> None:
    message = make_message(organization, to_list(readers))
    answer = client.submit(
        page(message, "send"), {"on": on, "at": at, "zone": zone}, form="/schedule"
    )
    assert answer.status_code == 400
    assert words in answer.text
    assert 'class="error"' in answer.text
    db.session.refresh(message)
    assert message.is_draft


def test_a_test_goes_to_those_ticked_and_reads_like_the_first(
    client: Client, organization: Organization, organizer: User
) -> None:
    make_reader(organization, first_name="Anastasia")
    message = make_message(organization)
    stranger = make_member(make_organization())
    db.session.commit()
    answer = client.submit(page(message), {}, form="/test", follow_redirects=True)
    assert "The test is on its way to 1 person." in answer.text
    (letter,) = outbox(kind="mailing-test")
    assert (letter.to, letter.values["first_name"]) == (organizer.email, "Anastasia")
    assert client.submit(page(message), {"to": stranger.id.hex}, form="/test").status_code == 400
    assert client.submit(page(message), {"to": None}, form="/test").status_code == 400
    assert len(outbox(kind="mailing-test")) == 1
    assert "Nobody has read a test" not in client.get(page(message)).text


def test_the_bar_follows_and_ends_with_the_report(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    from campaign.mailings import services

    message = make_message(organization, to_list(readers))
    services.send_message(message)
    db.session.commit()
    ready = client.get(page(message)).text
    assert "We are putting together who gets it." in ready
    assert 'http-equiv="refresh"' in ready
    assert 'hx-trigger="every 2s"' in ready
    freeze(message)
    going = client.get(page(message)).text
    assert 'http-equiv="refresh"' in going
    assert 'hx-trigger="every 2s"' in going
    bar = client.get(page(message, "progress?state=sending"))
    assert "0 of 3" in bar.text
    assert "HX-Refresh" not in bar.headers
    deliver()
    bar = client.get(page(message, "progress?state=sending"))
    assert bar.headers["HX-Refresh"] == "true"
    assert "100%" in bar.text
    over = client.get(page(message)).text
    assert "100%" in over
    assert "hx-trigger" not in over


def test_pause_go_on_stop_from_the_page(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    from campaign.mailings import services

    message = make_message(organization, to_list(readers))
    services.send_message(message)
    db.session.commit()
    freeze(message)
    client.submit(page(message), {}, form="/pause")
    assert "Somebody of your team paused it." in client.get(page(message)).text
    client.submit(page(message), {}, form="/resume")
    client.submit(page(message), {}, form="/stop")
    report = client.get(f"/organize/results/{message.id}").text
    assert "You stopped the message" in report
    assert post(client, page(message, "resume")) == 303
    assert "too late" in client.get(page(message)).text
    deliver()
    assert queries.progress(message).counts == {"cancelled": 3}


def test_drafts_are_deleted_brought_back_and_copied(
    client: Client, organization: Organization, organizer: User
) -> None:
    message = make_message(organization)
    client.submit(page(message), {}, form="/delete")
    assert client.get(page(message)).status_code == 404
    listed = client.get(HOME)
    assert "Draft deleted." in listed.text
    client.post(page(message, "restore"), data={"csrf_token": token(client)})
    assert client.get(page(message)).status_code == 200
    copied = client.submit(page(message), {}, form="/copy")
    assert copied.location != page(message, "edit")
    assert post(client, page(message, "restore")) == 404


def test_a_viewer_sees_reports_without_names_and_changes_nothing(
    client: Client, organization: Organization, readers: List
) -> None:
    make_reader(organization, first_name="Anastasia", email="anastasia@people.example")
    draft, sent = make_message(organization), make_message(organization, subject="Gone")
    send_out(sent)
    log_in(client, make_member(organization, Role.VIEWER))
    for path in (HOME, page(draft), page(sent), page(sent, "progress"), page(draft, "frame")):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "nastasia" not in answer.text
        assert "/organize/mailings/new" not in answer.text
    for path in (f"{HOME}new", page(draft, "edit"), page(draft, "audience"), page(draft, "send")):
        assert client.get(path).status_code == 403, path
    for step in ("send", "schedule", "test", "copy", "delete", "pause", "stop", "again"):
        assert post(client, page(sent, step)) == 403, step


def test_another_organizations_messages_are_404_on_every_route(
    app: Flask, client: Client, organizer: User
) -> None:
    other = make_organization()
    make_readers(other, 2)
    theirs = make_message(other)
    before = (theirs.state, theirs.updated_at)
    csrf = token(client)
    tried = 0
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("mailings.") or "message_id" not in rule.arguments:
            continue
        path = rule.rule.replace("<uuid:message_id>", str(theirs.id))
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            answer = client.open(path, method=method, data={"csrf_token": csrf})
            assert answer.status_code == 404, f"{method} {path}"
            tried += 1
    assert tried > 15
    db.session.refresh(theirs)
    assert (theirs.state, theirs.updated_at) == before


def test_compose_offers_own_open_petitions(
    client: Client, organization: Organization, organizer: User
) -> None:
    make_petition(organization_id=organization.id, slug="ours-open")
    make_petition(organization_id=organization.id, slug="ours-draft", state="draft")
    make_petition(slug="theirs")
    text = client.get(f"{HOME}new").text
    assert "/p/ours-open" in text
    assert "ours-draft" not in text
    assert "/p/theirs" not in text


def test_sending_asks_for_the_password_again_after_a_while(
    client: Client, organization: Organization, readers: List
) -> None:
    message = make_message(organization, to_list(readers))
    session = log_in(client, make_member(organization, Role.ORGANIZER))
    session.authenticated_at = clock.now() - timedelta(hours=2)
    db.session.commit()
    for method, step in (
        ("GET", "send"),
        ("POST", "send"),
        ("POST", "schedule"),
        ("POST", "again"),
    ):
        answer = client.open(
            page(message, step), method=method, data={"csrf_token": token(client), "people": "3"}
        )
        asked = answer.location if answer.status_code == 303 else answer.text
        assert "/login/again" in asked or 'name="password"' in asked
    db.session.refresh(message)
    assert message.is_draft


def test_what_went_out_is_shown_word_for_word_and_reading_it_counts_nothing(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization, to_list(readers), body="[Look](https://a.example/x?a=1)")
    send_out(message)
    organization.name, message.body = "Renamed", "Changed"
    db.session.commit()
    shown = client.get(page(message, "frame")).text
    assert "Southside Together" in shown
    assert "Renamed" not in shown
    assert "/go/" not in shown
    assert 'href="https://a.example/x?a=1"' in shown
    assert "a.example" in client.get(page(message, "frame?view=text")).text


def test_the_list_shows_results(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization, to_list(readers))
    send_out(message)
    petition = make_petition(organization_id=organization.id)
    for _ in range(7):
        make_signature(petition, source=message.source)
    (link,) = queries.links_of(message.id)
    link.click_count = 41
    beat()
    listed = read(client.get(HOME))
    assert re.search(r"Come on Monday .* 3 0 41 7", listed.text)
    assert f"/organize/results/{message.id}" in dict(listed.links)


def test_complaints_and_unknown_ones_are_said_in_the_report(
    client: Client, organization: Organization, organizer: User, readers: List
) -> None:
    message = make_message(organization, to_list(readers))
    send_out(message)
    rows = list(db.session.scalars(select(Delivery).where(Delivery.batch_id == message.batch_id)))
    for row, state in zip(rows, ("complained", "complained", "unknown_final"), strict=True):
        row.state = state
    db.session.commit()
    report = read(client.get(page(message))).text
    assert "More than one person in a thousand marked it as spam." in report
    assert "never said whether it took the email for 1 person." in report
    assert "Send again to this 1" in report


def test_an_empty_page_is_no_mistake_yet(
    client: Client, organization: Organization, organizer: User
) -> None:
    assert "There is no subject yet" not in client.get(f"{HOME}new").text
    answer = client.submit(
        f"{HOME}new", {"body": "Come to City Hall.", "go": "stay"}, follow_redirects=True
    )
    assert "There is no subject yet" in answer.text
