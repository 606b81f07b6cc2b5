"""SendGrid through its SDK, against a server in its shape, with every fault it can have."""

from __future__ import annotations

import logging
import socket
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from campaign import clock
from campaign.db import db
from campaign.mail import delivery, queries, rates, sendgrid, sweeping
from campaign.mail.letters import Letter
from campaign.mail.models import Chunk
from campaign.settings import Settings
from tests.factories.mail import CALENDAR, LETTER, chunks_of, crowd, make_batch, queue, states_of
from tests.factories.sendgrid_server import Fault, SendGridServer

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def server(app: Flask, with_settings: Callable[..., Settings]) -> Iterator[SendGridServer]:
    with SendGridServer() as server:
        with_settings(
            mail_transport="sendgrid",
            sendgrid_api_key="SG.test",
            sendgrid_base_url=server.url,
            sendgrid_webhook_public_key=server.webhook_public_key,
            mail_batch_size=4,
        )
        yield server
        with app.app_context():
            report = queries.invariants()
        assert report["ok"], report["checks"]


def send_all(rounds: int = 6) -> None:
    """Work, and let time pass, until nothing is left to do."""
    for _ in range(rounds):
        delivery.work(bulk=True, seconds=5)
        past = clock.now() - timedelta(seconds=1)
        db.session.execute(update(Chunk).values(next_attempt_at=past))
        db.session.commit()


def test_everybody_gets_their_own_words_and_headers(server: SendGridServer) -> None:
    people = crowd(6)
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    assert server.statuses == {202: 2}
    assert (server.unique, server.duplicates) == (6, 0)
    names = {address: name for _, address, name in people}
    for taken in server.taken:
        assert taken.subject == f"News for {names[taken.to]}"
        assert f"Hello {names[taken.to]}," in taken.text
        assert f"<p>Hello {names[taken.to]},</p>" in taken.html
        link = taken.headers["List-Unsubscribe"].strip("<>")
        assert link in taken.text
        assert f'href="{link}"' in taken.html
        assert taken.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert taken.headers["Message-ID"] == f"<{taken.delivery}@127.0.0.1>"
        assert "List-Id" in taken.headers
    assert states_of(batch) == ["accepted"] * 6


def test_sendgrids_own_tracking_is_off_in_every_request(server: SendGridServer) -> None:
    make_batch(1)
    delivery.work(bulk=True, seconds=5)
    body = server.taken[0].request
    assert not any(part["enable"] for part in body["tracking_settings"].values())
    assert "asm" not in body
    assert body["reply_to"] == {"email": "desk@clinics.example"}
    assert body["from"] == {"email": "hello@clinics.example", "name": "Keep Our Clinics"}


def test_values_are_escaped_in_html_only_and_cannot_name_another_key(
    server: SendGridServer,
) -> None:
    letter = Letter(
        "Hi {{ first_name|you }}", "Hi {{ first_name|you }}", "<p>{{ first_name|you }}</p>"
    )
    people = crowd(2)
    hostile = [
        (people[0][0], people[0][1], '<b>"Bo" & Co</b>'),
        (people[1][0], people[1][1], "   "),
    ]
    make_batch(hostile, letter=letter)
    delivery.work(bulk=True, seconds=5)
    by_address = {taken.to: taken for taken in server.taken}
    first, second = by_address[people[0][1]], by_address[people[1][1]]
    assert first.text == 'Hi <b>"Bo" & Co</b>'
    assert first.html == "<p>&lt;b&gt;&#34;Bo&#34; &amp; Co&lt;/b&gt;</p>"
    assert (second.text, second.html) == ("Hi you", "<p>you</p>")


def test_a_thousand_in_one_request_keep_within_the_documented_limits(
    server: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_batch_size=1000)
    make_batch(1000)
    delivery.work(bulk=True, seconds=10)
    assert server.statuses == {202: 1}
    assert server.unique == 1000


def test_a_bad_address_is_found_by_halving(server: SendGridServer) -> None:
    people = crowd(4)
    server.bad_addresses = {people[2][1]}
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"] * 3 + ["failed"]
    assert queries.batch_reasons(batch.id) == {"status 400": 1}
    assert server.duplicates == 0


@given(st.lists(st.text(alphabet=st.sampled_from('",\\[]é\n a'), max_size=8), min_size=1))
def test_texts_encoded_together_are_encoded_as_each_alone(texts: list[str]) -> None:
    assert sendgrid._insides(texts) == [orjson.dumps(text)[1:-1] for text in texts]


@pytest.mark.parametrize("kind", ["429", "503", "drop"])
def test_every_third_request_fails_before_it_is_taken_and_nobody_is_lost(
    server: SendGridServer, kind: str, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_unknown_policy="retry", mail_batch_size=2)
    server.faults = [Fault(kind, every=3, retry_after="0.05")]
    batch = make_batch(12)
    for _ in range(8):
        delivery.work(bulk=True, seconds=5)
        sweeping.settle_unknown()
    assert states_of(batch) == ["accepted"] * 12
    assert (server.unique, server.duplicates) == (12, 0)


@pytest.mark.parametrize("kind", ["500", "drop"])
def test_taken_and_then_an_error_is_unknown_until_the_webhook_speaks(
    server: SendGridServer, kind: str, client: object
) -> None:
    server.faults = [Fault(kind, every=1, times=1, after=True)]
    batch = make_batch(3)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["unknown"] * 3
    events = [server.event("processed", taken.delivery) for taken in server.taken]
    body = __import__("json").dumps(events).encode()
    answer = client.post("/webhooks/sendgrid", data=body, headers=server.signed(body))  # type: ignore[attr-defined]
    assert answer.status_code == 204
    assert states_of(batch) == ["accepted"] * 3
    sweeping.sweep()
    delivery.work(bulk=True, seconds=2)
    assert (server.unique, server.duplicates) == (3, 0)


def test_a_silent_provider_is_unknown_after_the_read_timeout(
    server: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_read_seconds=0.2)
    server.faults = [Fault("hang", times=1, seconds=1)]
    batch = make_batch(2)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["unknown"] * 2
    assert chunks_of(batch)[0].reason == "connection lost: TimeoutError"


def test_nobody_listening_is_a_definite_no(
    server: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with_settings(sendgrid_base_url=f"http://127.0.0.1:{port}")
    batch = make_batch(2)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["retry"] * 2
    assert chunks_of(batch)[0].reason == "not connected"


def test_a_name_that_does_not_resolve_is_a_definite_no(
    server: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(sendgrid_base_url="http://nowhere.invalid")
    batch = make_batch(1)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["retry"]


def test_tls_that_fails_is_a_definite_no(
    server: SendGridServer, with_settings: Callable[..., Settings]
) -> None:
    with_settings(sendgrid_base_url=server.url.replace("http://", "https://"))
    batch = make_batch(1)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["retry"]


def test_a_wrong_key_is_tried_again_and_never_logged(
    server: SendGridServer,
    with_settings: Callable[..., Settings],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_settings(sendgrid_api_key="SG.very-secret")
    caplog.set_level(logging.DEBUG)
    batch = make_batch(1)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["retry"]
    assert chunks_of(batch)[0].reason == "status 401"
    assert "very-secret" not in caplog.text
    assert "@people.example" not in caplog.text


def test_the_reset_time_is_obeyed_without_a_retry_after(server: SendGridServer) -> None:
    server.faults = [Fault("429", times=1, reset_in=40)]
    batch = make_batch(2)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["queued"] * 2
    assert 30 < rates.wait_seconds() <= 40


def test_a_single_email_is_one_request(server: SendGridServer) -> None:
    queue("ada@people.example")
    queue("bea@people.example")
    delivery.work(bulk=False, seconds=3)
    assert server.requests == 2
    assert server.taken[0].headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "99999999"}, sendgrid.LONGEST_WAIT_SECONDS),
        ({"Retry-After": "soon"}, sendgrid.DEFAULT_WAIT_SECONDS),
        ({"Retry-After": "-5"}, 0.1),
        ({"X-RateLimit-Reset": "7"}, 7.0),
        ({}, sendgrid.DEFAULT_WAIT_SECONDS),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.1),
    ],
)
def test_what_a_provider_can_say_about_waiting(headers: dict[str, str], wait: float) -> None:
    assert sendgrid.wait_of(headers) == pytest.approx(wait)


def test_a_calendar_file_is_one_attachment_for_all_of_a_request(server: SendGridServer) -> None:
    make_batch(4, letter=replace(LETTER, calendar=CALENDAR))
    delivery.work(bulk=True, seconds=5)
    (request,) = {id(taken.request): taken.request for taken in server.taken}.values()
    (file,) = request["attachments"]
    assert b64decode(file.pop("content")) == CALENDAR.encode()
    assert file == {
        "type": "text/calendar; method=CANCEL",
        "filename": "event.ics",
        "disposition": "attachment",
    }
    assert len(request["personalizations"]) == 4
    make_batch(1)
    delivery.work(bulk=True, seconds=5)
    assert "attachments" not in server.taken[-1].request
