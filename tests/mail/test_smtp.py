"""SMTP against a real server on loopback: whole messages, answers of each kind, lost links."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd import smtp as aiosmtpd
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign.mail import delivery, queries, smtp
from campaign.mail.letters import Letter
from campaign.settings import Settings
from tests.factories.mail import CALENDAR, LETTER, chunks_of, crowd, make_batch, queue, states_of

pytestmark = pytest.mark.usefixtures("app")


class Inbox:
    """What the server took, and how it answers."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.rcpt: dict[str, str] = {}
        self.data: list[str] = []
        self.hang_up_after = 0
        self.sessions: Counter[int] = Counter()

    async def handle_RCPT(
        self,
        server: aiosmtpd.SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: Any,
    ) -> str:
        if address in self.rcpt:
            return self.rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: aiosmtpd.SMTP, session: Session, envelope: Envelope) -> str:
        self.sessions[id(session)] += 1
        if self.hang_up_after and len(self.envelopes) + 1 == self.hang_up_after:
            self.hang_up_after = 0
            self.envelopes.append(envelope)
            server.transport.close()
            return "250 too late"
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer.startswith("250"):
            self.envelopes.append(envelope)
        return answer

    @property
    def messages(self) -> dict[str, EmailMessage]:
        return {
            envelope.rcpt_tos[0]: email.message_from_bytes(
                envelope.content or b"", policy=email.policy.default
            )
            for envelope in self.envelopes
        }  # type: ignore[return-value]


class Pipelining(aiosmtpd.SMTP):
    """A server that says what aiosmtpd's parser can do anyway."""

    async def push(self, status: str) -> None:
        if status.startswith("250 HELP"):
            status = "250-PIPELINING\r\n250 HELP"
        await super().push(status)


class PipeliningController(Controller):
    def factory(self) -> aiosmtpd.SMTP:
        return Pipelining(self.handler, enable_SMTPUTF8=False, hostname="test")


@pytest.fixture(params=["pipelined", "plain"])
def inbox(
    request: pytest.FixtureRequest, app: Flask, with_settings: Callable[..., Settings]
) -> Iterator[Inbox]:
    handler = Inbox()
    kind = PipeliningController if request.param == "pipelined" else Controller
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options: dict[str, Any] = {} if request.param == "pipelined" else {"enable_SMTPUTF8": False}
    controller = kind(handler, hostname="127.0.0.1", port=port, ready_timeout=10, **options)
    controller.start()
    with_settings(mail_transport="smtp", smtp_url=f"smtp://127.0.0.1:{port}", mail_batch_size=50)
    yield handler
    link = getattr(delivery.transport()._own, "link", None)  # type: ignore[attr-defined]
    if link is not None:
        assert link.is_fast is (request.param == "pipelined")
        link.smtp.close()
    controller.stop()
    with app.app_context():
        report = queries.invariants()
    assert report["ok"], report["checks"]


def test_a_message_arrives_whole_with_text_html_and_headers(inbox: Inbox) -> None:
    letter = Letter(
        subject="Für {{ first_name|dich }}: die Klinik – heute",
        text=".begins with a dot\n\nHello {{ first_name|you }}\n" + "x" * 200 + "\n..\n.\nEnd é\n",
        html="<p>Hello {{ first_name|you }} &amp; all — <a href='{{ unsubscribe_url }}'>stop</a></p>",
    )
    people = crowd(2)
    people = [(people[0][0], people[0][1], "Zoë <b>"), people[1]]
    make_batch(people, letter=letter)
    delivery.work(bulk=True, seconds=5)
    message = inbox.messages[people[0][1]]
    assert message["Subject"] == "Für Zoë <b>: die Klinik – heute"
    assert message["From"] == "Keep Our Clinics <hello@clinics.example>"
    assert message["Reply-To"] == "desk@clinics.example"
    assert message["To"] == f"<{people[0][1]}>" or message["To"] == people[0][1]
    assert message["Date"]
    assert message["Message-ID"].endswith("@127.0.0.1>")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = message.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == (
        ".begins with a dot\n\nHello Zoë <b>\n" + "x" * 200 + "\n..\n.\nEnd é\n"
    )
    link = message["List-Unsubscribe"].strip("<>")
    assert html.get_content().strip() == (
        f"<p>Hello Zoë &lt;b&gt; &amp; all — <a href='{link}'>stop</a></p>"
    )
    assert max(len(line) for line in inbox.envelopes[0].content.split(b"\r\n")) <= 998  # type: ignore[union-attr]


def test_a_sender_with_commas_and_letters_of_its_own(inbox: Inbox) -> None:
    from campaign.db import db

    batch = make_batch(1, is_released=False)
    batch.from_name = 'Enfermeras, "Año" <b>'
    from campaign.mail import services

    services.release(batch)
    db.session.commit()
    delivery.work(bulk=True, seconds=5)
    (message,) = inbox.messages.values()
    (sender,) = message["From"].addresses
    assert sender.display_name == 'Enfermeras, "Año" <b>'
    assert sender.addr_spec == "hello@clinics.example"
    assert message["List-Id"].endswith(".127.0.0.1>")
    assert inbox.envelopes[0].content.isascii()  # type: ignore[union-attr]


def test_many_go_over_one_kept_connection(inbox: Inbox) -> None:
    batch = make_batch(120)
    delivery.work(bulk=True, seconds=20)
    assert states_of(batch) == ["accepted"] * 120
    assert len(inbox.messages) == 120
    assert len(inbox.sessions) == 1


def test_each_recipient_is_answered_alone(inbox: Inbox) -> None:
    people = crowd(6)
    inbox.rcpt = {
        people[1][1]: "550 5.1.1 no such mailbox",
        people[3][1]: "451 4.7.1 greylisted, come back later",
    }
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"] * 4 + ["failed", "retry"]
    assert queries.batch_reasons(batch.id) == {"smtp 550 5.1.1": 1}
    assert sorted(inbox.messages) == sorted(people[n][1] for n in (0, 2, 4, 5))
    retried = [chunk for chunk in chunks_of(batch) if chunk.state == "retry"]
    assert retried[0].reason == "smtp 451 4.7.1"


def test_an_answer_after_the_body_counts_for_that_message(inbox: Inbox) -> None:
    inbox.data = ["250 OK", "452 4.2.2 mailbox full", "554 5.6.0 no", "250 OK"]
    batch = make_batch(4)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted", "accepted", "failed", "retry"]


def test_a_link_lost_in_a_body_leaves_one_in_doubt_and_the_rest_to_send(inbox: Inbox) -> None:
    inbox.hang_up_after = 3
    batch = make_batch(6)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"] * 5 + ["unknown"]
    assert len(inbox.messages) == 6


def test_a_single_email_that_is_greylisted_goes_out_later(inbox: Inbox) -> None:
    inbox.rcpt = {"ada@people.example": "451 4.7.1 later"}
    delivery_id = queue("ada@people.example")
    delivery.work(bulk=False, seconds=2)
    assert not inbox.messages
    inbox.rcpt = {}
    from sqlalchemy import update

    from campaign import clock
    from campaign.db import db
    from campaign.mail.models import Chunk, Delivery

    db.session.execute(update(Chunk).values(next_attempt_at=clock.now()))
    db.session.commit()
    delivery.work(bulk=False, seconds=2)
    message = inbox.messages["ada@people.example"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<{delivery_id.hex}@127.0.0.1>"  # type: ignore[union-attr]
    assert db.session.get(Delivery, delivery_id).values is None  # type: ignore[union-attr]


def test_an_address_that_smtp_cannot_carry_is_refused_with_a_reason(inbox: Inbox) -> None:
    people = crowd(2)
    batch = make_batch([(people[0][0], "zoë@people.example", "Zoë"), people[1]])
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted", "failed"]
    assert queries.batch_reasons(batch.id) == {"address not possible": 1}


def test_a_host_with_letters_of_its_own_goes_as_a_label(inbox: Inbox) -> None:
    people = crowd(1)
    make_batch([(people[0][0], "ada@bücher.example", "Ada")])
    delivery.work(bulk=True, seconds=5)
    assert list(inbox.messages) == ["ada@xn--bcher-kva.example"]


def test_no_server_is_a_definite_no(with_settings: Callable[..., Settings]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with_settings(mail_transport="smtp", smtp_url=f"smtp://127.0.0.1:{port}")
    batch = make_batch(2)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["retry"] * 2


def test_a_password_is_never_sent_in_the_clear(with_settings: Callable[..., Settings]) -> None:
    """A server elsewhere that offers no STARTTLS gets no log-in."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 test\r\n")
            while data := connection.recv(1000):
                seen.append(data)
                connection.sendall(b"250 test\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"smtp+starttls://user:secret@127.0.0.1:{listener.getsockname()[1]}"
    with_settings(mail_transport="smtp", smtp_url=url)
    batch = make_batch(1)
    delivery.work(bulk=True, seconds=2)
    listener.close()
    assert states_of(batch) == ["retry"]
    assert not any(b"AUTH" in data for data in seen)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_quoted_text_decodes_to_itself_and_never_begins_a_line_with_a_dot(text: str) -> None:
    import quopri

    encoded = smtp.quoted(text)
    assert quopri.decodestring(encoded).decode() == text
    lines = encoded.split(b"\r\n")
    assert not any(line.startswith(b".") for line in lines)
    assert max(len(line) for line in lines) <= 76


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=120)
)
def test_a_subject_survives_its_encoding(text: str) -> None:
    message = email.message_from_string(
        f"Subject: {smtp.header_text(text)}\r\n\r\n", policy=email.policy.default
    )
    assert " ".join(str(message["Subject"]).split()) == " ".join(text.split())


def test_a_calendar_file_travels_beside_the_texts(inbox: Inbox) -> None:
    people = crowd(3)
    make_batch(people, letter=replace(LETTER, calendar=CALENDAR))
    queue("single@people.example", content=replace(LETTER, calendar=CALENDAR))
    delivery.work(bulk=True, seconds=5)
    delivery.work(bulk=False, seconds=5)
    assert set(inbox.messages) == {*(person[1] for person in people), "single@people.example"}
    for _, address, name in people:
        message = inbox.messages[address]
        assert message.get_content_type() == "multipart/mixed"
        texts, file = message.iter_parts()
        assert texts.get_content_type() == "multipart/alternative"
        text, html = texts.iter_parts()
        assert f"Hello {name}," in text.get_content()
        assert f"<p>Hello {name},</p>" in html.get_content()
        assert file["Content-Type"].params == {"method": "CANCEL", "name": "event.ics"}
        assert file.get_content_type() == "text/calendar"
        assert (file.get_content_disposition(), file.get_filename()) == ("attachment", "event.ics")
        assert file.get_payload(decode=True) == CALENDAR.encode()
    assert all(message.defects == [] for message in inbox.messages.values())


def test_a_letter_without_a_file_stays_two_texts(inbox: Inbox) -> None:
    queue("single@people.example")
    delivery.work(bulk=False, seconds=5)
    assert inbox.messages["single@people.example"].get_content_type() == "multipart/alternative"
