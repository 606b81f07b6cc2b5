"""Unsubscribe, development's mailbox, and the commands, as people and programs use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.db import Model, db, uuid7
from campaign.mail import delivery, queries, services
from campaign.mail.addresses import address_hash
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, Scope, Suppression
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories import pages
from tests.factories.mail import CALENDAR, LETTER, crowd, make_batch, queue, states_of

pytestmark = pytest.mark.usefixtures("app")

ONE_CLICK = "List-Unsubscribe=One-Click"


def ticket(**given: Any) -> tuple[Batch, str, str]:
    """A mailing to one person: the batch, the path of the unsubscribe page, the address."""
    people = crowd(1)
    batch = make_batch(people, **given)
    delivery.work(bulk=True, seconds=5)
    (message,) = queries.mailbox(to=people[0][1], limit=1)
    path = message.headers["List-Unsubscribe"].strip("<>").removeprefix("http://127.0.0.1:8000")
    return batch, path, people[0][1]


def scopes() -> list[str]:
    return list(db.session.scalars(select(Suppression.scope).order_by(Suppression.id)))


def everything() -> dict[str, int]:
    return {
        table.name: db.session.scalar(select(func.count()).select_from(table)) or 0
        for table in Model.metadata.sorted_tables
    }


# One click


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_one_click_stops_the_organization_before_it_answers(kind: str, client: Client) -> None:
    batch, path, address = ticket()
    for _ in range(2):
        answer = client.post(path, data={"List-Unsubscribe": "One-Click"}, content_type=kind)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert "Location" not in answer.headers
    assert scopes() == ["organization"]
    again = make_batch([(uuid7(), address, "Ada")], organization_id=batch.organization_id)
    delivery.work(bulk=True, seconds=5)
    assert states_of(again) == ["suppressed"]


def test_one_click_is_exactly_that_body(client: Client) -> None:
    _, path, _ = ticket()
    for data in ("List-Unsubscribe=One-Click&x=1", "List-Unsubscribe=Two-Click", "", ONE_CLICK * 2):
        answer = client.post(path, data=data, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 400
    assert scopes() == []


@pytest.mark.parametrize("token", ["x", "0" * 43, "A" * 43, "%00", "é"])
def test_a_forged_token_is_not_found(token: str, client: Client) -> None:
    assert client.get(f"/unsubscribe/{token}").status_code == 404
    answer = client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 404


def test_a_changed_letter_in_the_token_is_not_found(client: Client) -> None:
    _, path, _ = ticket()
    for place in (-1, -10, -30, -43):
        # The last letter carries two bits that mean nothing: change one that means something.
        other = "A" if path[place] not in "ABCD" else "Q"
        forged = path[:place] + other + (path[place + 1 :] if place != -1 else "")
        assert client.get(forged).status_code == 404


# The page


def test_looking_changes_nothing(client: Client) -> None:
    _, path, _ = ticket()
    before = everything()
    assert client.get(path).status_code == 200
    assert client.head(path).status_code == 200
    assert client.get("/mailbox/").status_code == 200
    assert client.get("/mailbox/messages.json").status_code == 200
    assert everything() == before


@pytest.mark.parametrize("scope", ["list", "organization", "everything"])
def test_the_page_stops_as_far_as_one_chooses(scope: str, client: Client) -> None:
    _, path, _ = ticket(list_id=uuid7())
    answer = client.submit(path, {"scope": scope}, follow_redirects=True)
    assert answer.status_code == 200
    assert scopes() == [scope]
    text = pages.read(client.get(path)).text
    words = {
        "list": "You are off this list of Keep Our Clinics.",
        "organization": "Keep Our Clinics will send you no more mailings.",
        "everything": "We send you no mailings at all",
    }
    assert words[scope] in text


def test_the_page_asks_for_its_form(client: Client) -> None:
    _, path, _ = ticket()
    assert client.post(path, data={"scope": "organization"}).status_code == 400
    assert scopes() == []


@pytest.mark.parametrize("scope", ["", "address", "list", "world", "organization\x00"])
def test_a_scope_that_is_not_offered_is_refused(scope: str, client: Client) -> None:
    _, path, _ = ticket()
    assert client.submit(path, {"scope": scope}).status_code == 400
    assert scopes() == []


def test_a_list_is_only_one_list(client: Client) -> None:
    first = uuid7()
    batch, path, address = ticket(list_id=first)
    client.submit(path, {"scope": "list"})
    person = [(uuid7(), address, "Ada")]
    same = make_batch(person, organization_id=batch.organization_id, list_id=first)
    other = make_batch(person, organization_id=batch.organization_id, list_id=uuid7())
    delivery.work(bulk=True, seconds=5)
    assert (states_of(same), states_of(other)) == (["suppressed"], ["accepted"])


def test_what_is_queued_is_cancelled_at_once(client: Client) -> None:
    batch, path, address = ticket()
    waiting = make_batch([(uuid7(), address, "Ada")], organization_id=batch.organization_id)
    client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert states_of(waiting) == ["suppressed"]


def test_the_page_names_no_address_and_sets_no_cookie(client: Client) -> None:
    _, path, address = ticket()
    answer = client.get(path)
    assert address not in answer.get_data(as_text=True)
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def test_after_an_erasure_the_link_is_over(client: Client) -> None:
    _, path, address = ticket()
    services.forget_person(None, address_hash(address))
    db.session.commit()
    assert client.get(path).status_code == 410


# The mailbox


def test_the_mailbox_is_readable_and_says_that_nothing_left(client: Client) -> None:
    letter = Letter(
        "Hello {{ first_name }}",
        "Text https://x.example/a",
        "<p>Hi <a href='https://x.example/b'>b</a></p>",
    )
    queue("ada@people.example", content=letter)
    delivery.work(bulk=False, seconds=5)
    page = client.get("/mailbox/")
    assert "Nothing here has left this machine" in page.get_data(as_text=True)
    links = [href for href, _ in pages.read(page).links if href.startswith("/mailbox/0")]
    one = client.get(links[0])
    html = one.get_data(as_text=True)
    assert "Hello Ada" in html
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in html
    assert "script-src 'self' 'nonce-" in one.headers["Content-Security-Policy"]
    assert {"https://x.example/a", "https://x.example/b"} <= {
        href for href, _ in pages.read(one).links
    }


def test_hostile_mail_stays_inside_its_frame(client: Client) -> None:
    letter = Letter("<script>1</script>", "</pre><script>2</script>", '"><script>3</script>')
    queue("ada@people.example", content=letter)
    delivery.work(bulk=False, seconds=5)
    message_id = client.get("/mailbox/messages.json").json[0]["id"]  # type: ignore[index]
    html = client.get(f"/mailbox/{message_id}").get_data(as_text=True)
    for number in "123":
        assert f"<script>{number}" not in html


def test_programs_read_the_same(client: Client) -> None:
    for n in range(3):
        queue(f"reader{n}@box.example", values={"first_name": f"N{n}"})
    delivery.work(bulk=False, seconds=5)
    found = client.get("/mailbox/messages.json").json
    assert [message["subject"] for message in found] == [f"News for N{n}" for n in (2, 1, 0)]
    assert set(found[0]) == {
        "id", "to", "from", "subject", "headers", "text", "html", "links",
        "attachments", "sent_at",
    }  # fmt: skip
    assert found[0]["headers"]["Subject"] == "News for N2"
    assert found[0]["attachments"] == []
    assert found[0]["links"][0].startswith("http://127.0.0.1:8000/unsubscribe/")
    one = client.get("/mailbox/messages.json?to=reader1@box.example").json
    assert [message["to"] for message in one] == ["reader1@box.example"]
    assert client.get("/mailbox/messages.json?to=reader").json == []
    assert len(client.get("/mailbox/messages.json?limit=2").json) == 2
    older = client.get(f"/mailbox/messages.json?before={found[1]['id']}").json
    assert [message["id"] for message in older] == [found[2]["id"]]


def test_a_calendar_file_is_offered_and_told_to_programs(client: Client) -> None:
    queue("ada@box.example", content=replace(LETTER, calendar=CALENDAR))
    delivery.work(bulk=False, seconds=5)
    (found,) = client.get("/mailbox/messages.json").json  # type: ignore[misc]
    assert found["attachments"] == [
        {
            "filename": "event.ics",
            "content_type": "text/calendar; method=CANCEL",
            "content": CALENDAR,
        }
    ]
    page = client.get(f"/mailbox/{found['id']}").get_data(as_text=True)
    assert f"/mailbox/{found['id']}/event.ics" in page
    file = client.get(f"/mailbox/{found['id']}/event.ics")
    assert file.get_data() == CALENDAR.encode()
    assert file.headers["Content-Type"] == "text/calendar; method=CANCEL; charset=utf-8"
    assert file.headers["Content-Disposition"] == 'attachment; filename="event.ics"'


def test_an_email_without_a_file_offers_none(client: Client) -> None:
    queue("ada@box.example")
    delivery.work(bulk=False, seconds=5)
    (found,) = client.get("/mailbox/messages.json").json  # type: ignore[misc]
    assert client.get(f"/mailbox/{found['id']}/event.ics").status_code == 404
    assert "event.ics" not in client.get(f"/mailbox/{found['id']}").get_data(as_text=True)


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=x", "before=x"])
def test_wrong_questions_get_400(query: str, client: Client) -> None:
    assert client.get(f"/mailbox/messages.json?{query}").status_code == 400


def test_the_mailbox_exists_only_in_development(
    client: Client, app: Flask, with_settings: Callable[..., Settings], settings: Settings
) -> None:
    from dataclasses import replace

    from campaign.app import create_app

    real = create_app(replace(settings, base_url="https://campaign.example"))
    for path in ("/mailbox/", "/mailbox/messages.json", f"/mailbox/{uuid7()}"):
        answer = real.test_client().get(path, base_url="https://campaign.example")
        assert answer.status_code == 404
    assert client.get(f"/mailbox/{uuid7()}").status_code == 404


# Commands


def test_verify_passes_and_fails_with_its_exit_code(app: Flask) -> None:
    batch = make_batch(3)
    delivery.work(bulk=True, seconds=5)
    runner = app.test_cli_runner()
    result = runner.invoke(args=["mail", "verify"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["deliveries"] == 3
    batch = db.session.get(Batch, batch.id)  # type: ignore[assignment]
    batch.total_count = 4
    db.session.commit()
    result = runner.invoke(args=["mail", "verify"])
    assert result.exit_code == 1
    assert json.loads(result.output)["checks"]["rows equal the audience"]["breaches"] == 1


def test_status_and_requeue(app: Flask) -> None:
    batch = make_batch(3)
    services.pause(batch)
    db.session.commit()
    runner = app.test_cli_runner()
    report = json.loads(runner.invoke(args=["mail", "status"]).output)
    assert report["recipients_by_chunk_state"]["bulk"] == {"queued": 3}
    assert report["paused"] == [{"batch": str(batch.id), "reason": "organizer"}]
    result = runner.invoke(args=["mail", "requeue", "--state", "unknown_final"])
    assert json.loads(result.output) == {"requeued": 0}
    assert runner.invoke(args=["mail", "requeue", "--state", "sent"]).exit_code == 2


@pytest.mark.parametrize("command", ["verify", "status", "requeue"])
def test_every_command_has_an_example(command: str, app: Flask) -> None:
    assert "Example:" in app.test_cli_runner().invoke(args=["mail", command, "--help"]).output


def test_suppressed_for_bulk_knows_the_scopes() -> None:
    organization, a_list = uuid7(), uuid7()
    names = ("bounced", "everything", "organization", "list", "other")
    for name, scope, scope_id in (
        ("bounced", Scope.ADDRESS, ""),
        ("everything", Scope.EVERYTHING, ""),
        ("organization", Scope.ORGANIZATION, organization),
        ("list", Scope.LIST, a_list),
        ("other", Scope.ORGANIZATION, uuid7()),
    ):
        services.suppress(address_hash(name), scope=scope, scope_id=scope_id, reason="test")
    db.session.flush()

    def held(*scope_ids: Any) -> set[str]:
        found = set(db.session.scalars(queries.suppressed_for_bulk(*scope_ids)))
        return {name for name in names if address_hash(name) in found}

    assert held(organization) == {"bounced", "everything", "organization"}
    assert held(organization, a_list) == {"bounced", "everything", "organization", "list"}
    assert [row.scope for row in queries.suppressions_of(address_hash("list"))] == ["list"]


def test_the_form_works_after_the_token_has_left_the_address_bar(client: Client) -> None:
    _, path, _ = ticket()
    (form,) = [f for f in pages.read(client.get(path)).forms if f["method"] == "post"]
    assert form["action"] == path
