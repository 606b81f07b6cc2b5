"""DKIM signatures as a receiver checks them: dkimpy's verifier over what the server took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from campaign.db import db
from campaign.mail import delivery, services, signing
from campaign.mail.letters import Letter
from campaign.settings import Settings
from tests.factories.mail import CALENDAR, LETTER, crowd, make_batch, queue
from tests.mail.test_smtp import Inbox, inbox

__all__ = ["inbox"]
pytestmark = pytest.mark.usefixtures("app")

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SIGNER = signing.Signer("clinics.example", "campaign1", KEY)
ODD = Letter(
    subject="Für {{ first_name|dich }}: die Klinik – heute, 明日 " + "lang " * 20,
    text=".begins with a dot\n\nHello {{ first_name|you }}\n"
    + "x" * 200
    + "\n..\n.\n \t\nEnd é\n\n\n",
    html="<p>.Hello {{ first_name|you }} — <a href='{{ unsubscribe_url }}'>stop</a></p>\n\n",
)


@pytest.fixture
def signed(inbox: Inbox, with_settings: Callable[..., Settings]) -> Inbox:
    """The server of the tests, and a sender that signs."""
    url = delivery.transport()._url  # type: ignore[attr-defined]
    settings = with_settings(
        mail_transport="smtp",
        smtp_url=url,
        mail_batch_size=50,
        dkim_domain="clinics.example",
        dkim_selector="campaign1",
        dkim_private_key=PEM,
    )
    record = signing.published(settings)
    assert record is not None
    inbox.record = record  # type: ignore[attr-defined]
    return inbox


def verifies(inbox: Inbox, message: bytes) -> bool:
    """Whether the signature holds, by the key in our record; any other name is not asked for."""
    record: signing.Published = inbox.record  # type: ignore[attr-defined]

    def stub(name: bytes, **_more: object) -> bytes:
        assert name == f"{record.host}.".encode()
        return record.value.encode()

    checked = dkim.DKIM(message)
    return bool(checked.verify(dnsfunc=stub))


def raw(inbox: Inbox) -> list[bytes]:
    return [envelope.original_content or b"" for envelope in inbox.envelopes]


@pytest.mark.parametrize("calendar", ["", CALENDAR], ids=["texts", "calendar"])
@pytest.mark.parametrize("letter", [LETTER, ODD], ids=["plain", "odd"])
def test_every_message_is_signed_as_it_travels(
    signed: Inbox, letter: Letter, calendar: str
) -> None:
    people = crowd(3)
    people[0] = (people[0][0], people[0][1], ".Zoë <b>, 山田")
    people[1] = (people[1][0], people[1][1], ".")
    batch = make_batch(people, letter=replace(letter, calendar=calendar), is_released=False)
    batch.from_name = 'Enfermeras, "Año" y compañía de la clínica'
    services.release(batch)
    db.session.commit()
    queue("single@people.example", content=replace(letter, calendar=calendar))
    delivery.work(bulk=True, seconds=5)
    delivery.work(bulk=False, seconds=5)
    assert len(raw(signed)) == 4
    for message in raw(signed):
        assert verifies(signed, message)
    assert len({message["DKIM-Signature"] for message in signed.messages.values()}) == 4
    assert max(len(line) for message in raw(signed) for line in message.split(b"\r\n")) <= 998


def test_it_covers_what_must_not_change(signed: Inbox) -> None:
    make_batch(crowd(1))
    delivery.work(bulk=True, seconds=5)
    (message,) = raw(signed)
    value = str(next(iter(signed.messages.values()))["DKIM-Signature"])
    tags = dict(part.split("=", 1) for part in "".join(value.split()).split(";"))
    assert (tags["a"], tags["c"]) == ("rsa-sha256", "relaxed/relaxed")
    assert (tags["d"], tags["s"]) == ("clinics.example", "campaign1")
    names = tags["h"].split(":")
    for name in (
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "list-id",
        "content-type",
    ):
        assert name in names
    for before, after in (
        (b"List-Unsubscribe: <", b"List-Unsubscribe: <https://evil.example/"),
        (b"Subject: ", b"Subject: Re: "),
        (b"From: ", b"From: somebody@evil.example\r\nFrom: "),
        (b"Content-Type: text/html", b"Content-Type: text/plain"),
    ):
        assert before in message
        changed = message.replace(before, after, 1)
        with_error = False
        try:
            with_error = not verifies(signed, changed)
        except dkim.ValidationError:
            with_error = True
        assert with_error, before


def test_without_a_key_nothing_is_signed(inbox: Inbox) -> None:
    make_batch(crowd(1))
    delivery.work(bulk=True, seconds=5)
    (message,) = inbox.messages.values()
    assert message["DKIM-Signature"] is None


LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=90), max_size=8
)


@given(LINES, st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])))
def test_any_message_verifies(lines: list[str], subject: str) -> None:
    message = (
        f"From: a@clinics.example\r\nSubject: {subject}\r\nX-Other: {subject}\r\n\r\n"
        + "\r\n".join(lines)
    ).encode()
    key = signing.Published(
        "clinics.example", "campaign1", signing.spelled(KEY.public_key())
    ).value.encode()
    signature = SIGNER.sign(message)
    assert dkim.verify(signature + message, dnsfunc=lambda *_args, **_more: key)
