"""/go/: counts what people follow, leads only where a message said, changes nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Table, select

from campaign import clock
from campaign.db import Model, db, uuid7
from campaign.mailings import emails, queries
from campaign.mailings.models import LinkClicks, MessageLink
from campaign.web.csrf import signer
from tests.conftest import Client
from tests.factories.mailings import make_message, make_reader, send_out
from tests.factories.organizations import make_organization

PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}


@pytest.fixture
def link(app: Flask) -> MessageLink:
    organization = make_organization()
    make_reader(organization)
    message = make_message(organization, body="[Look](https://a.example/x?y=1)")
    send_out(message)
    (found,) = queries.links_of(message.id)
    return found


def path_of(link_id: Any) -> str:
    return emails.counted_url(link_id).removeprefix("http://127.0.0.1:8000")


def rows() -> dict[str, list[Any]]:
    """Everything in the database."""
    tables: list[Table] = list(Model.metadata.sorted_tables)
    return {table.name: sorted(map(str, db.session.execute(select(table)))) for table in tables}


def test_a_person_is_led_on_and_counted(client: Client, link: MessageLink) -> None:
    for expected in (1, 2):
        response = client.get(path_of(link.id), headers=PERSON)
        assert response.status_code == 302
        assert response.location == "https://a.example/x?y=1"
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
        assert db.session.get_one(MessageLink, link.id).click_count == expected


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("HEAD", {}),
        ("HEAD", PERSON),
        ("GET", PERSON | {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", PERSON | {"Sec-Fetch-Dest": "image"}),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}),
    ],
)
def test_scanners_are_led_on_and_no_row_changes(
    client: Client, link: MessageLink, method: str, headers: dict[str, str]
) -> None:
    before = rows()
    response = client.open(path_of(link.id), method=method, headers=headers)
    assert response.status_code == 302
    assert rows() == before


def test_only_what_is_stored_is_a_way_out(client: Client, link: MessageLink) -> None:
    good = path_of(link.id)
    for path in (
        "/go/x",
        "/go/https://evil.example",
        # Not the last letter: two of its bits say nothing.
        good[:-2] + ("a" if good[-2] != "a" else "b") + good[-1],
        f"/go/{link.id.hex}",
        path_of(uuid7()),
        f"/go/{signer().sign('unsubscribe', link.id.hex)}",
    ):
        assert client.get(path, headers=PERSON).status_code == 404
    response = client.get(f"{good}?url=https://evil.example", headers=PERSON)
    assert response.location == "https://a.example/x?y=1"
    assert db.session.get_one(MessageLink, link.id).click_count == 1


def test_nothing_can_be_posted(client: Client, link: MessageLink) -> None:
    assert client.post(path_of(link.id)).status_code in {400, 405}


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("http://127.0.0.1:8000/p/keep", "http://127.0.0.1:8000/p/keep?source=m-1"),
        ("http://127.0.0.1:8000/p/keep?a=1#b", "http://127.0.0.1:8000/p/keep?a=1&source=m-1#b"),
        ("http://127.0.0.1:8000/p/keep?source=flyer", "http://127.0.0.1:8000/p/keep?source=flyer"),
        ("http://127.0.0.1:8000/p/keep.json", "http://127.0.0.1:8000/p/keep.json"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/"),
        ("http://127.0.0.1:8000.evil.example/p/x", "http://127.0.0.1:8000.evil.example/p/x"),
        ("https://other.example/p/keep", "https://other.example/p/keep"),
    ],
)
def test_own_petitions_learn_where_signers_come_from(app: Flask, url: str, result: str) -> None:
    assert emails.with_source(url, "m-1") == result


def test_an_address_that_is_none_breaks_nothing(app: Flask) -> None:
    organization = make_organization()
    make_reader(organization)
    message = make_message(organization, body="[x](http://[oops) [y](http://[::1]/p/a)")
    send_out(message)
    assert queries.progress(message).state == "sent"


def test_clicks_are_kept_by_the_quarter_of_an_hour(
    client: Client, link: MessageLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in (0, 14, 15, 59):
        at = datetime(2026, 11, 1, 6, minute, 30, tzinfo=UTC)
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        client.get(path_of(link.id), headers=PERSON)
    kept = db.session.execute(select(LinkClicks.since, LinkClicks.count).order_by(LinkClicks.since))
    assert [(since.minute, count) for since, count in kept] == [(0, 2), (15, 1), (45, 1)]
    assert db.session.get_one(MessageLink, link.id).click_count == 4
