"""Every e-mail that the product sends, as it leaves by SMTP: whole, and with the headers of its
kind. What is a kind is read from the templates and from the calls that queue; whoever adds one
adds it to `tests/factories/letters.py`, or this fails.
"""

from __future__ import annotations

import ast
import email
import email.policy
import importlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from campaign.db import db
from campaign.events import notices
from campaign.ladders import queries as ladders
from campaign.mail import delivery, letters
from campaign.mail.letters import Letter
from campaign.mail.mailbox import Mailbox
from campaign.mail.models import Batch, Delivery
from campaign.mail.smtp import Mime
from campaign.mail.transports import Pace, Parcel, Report
from campaign.mailings import delivery as mailings
from tests.factories.letters import send_everything

QUEUES = {"queue_email", "email_row", "create_batch", "NewBatch"}
"""The functions of mail that begin an e-mail; each is told its kind."""

BULK = {mailings.KIND, ladders.KIND}
"""What people get because they agreed to be written to. All else answers to something they did."""

WITH_CALENDAR = {
    f"events/{name}" for name in ("accepted", "maybe", "place", "changed", "cancelled")
}
WITHOUT_ORGANIZATION = {"accounts/reset", "accounts/password_changed"}


@dataclass(frozen=True)
class Sent:
    """One e-mail as it left."""

    folder: str
    kind: str
    delivery_id: uuid.UUID
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def part(self, subtype: str) -> str:
        found = self.message.get_body((subtype,))
        assert found is not None, (self.folder, subtype)
        return str(found.get_content())


@pytest.fixture
def sent(language: str, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sent]]:
    """All of them, encoded for SMTP at the moment when they leave."""
    folders: dict[tuple[str, str], str] = {}
    found: list[Sent] = []
    render, post = letters._render, Mailbox.send

    def note(folder: str, language: str, context: dict[str, Any]) -> Letter:
        letter = render(folder, language, context)
        folders[letter.text, letter.html] = folder
        return letter

    def leave(self: Mailbox, parcel: Parcel, pace: Pace) -> Report:
        mime = Mime(parcel)
        for one in parcel.recipients:
            row = db.session.get_one(Delivery, one.delivery_id)
            kind = db.session.get_one(Batch, row.batch_id).kind
            raw = mime.message(one).removesuffix(b".\r\n")
            found.append(Sent(folders[parcel.text, parcel.html], kind, one.delivery_id, raw))
        return post(self, parcel, pace)

    monkeypatch.setattr(letters, "_render", note)
    monkeypatch.setattr(Mailbox, "send", leave)
    app.extensions.pop("letters", None)
    delivery.letter_of.cache_clear()
    send_everything(language)
    yield found
    app.extensions.pop("letters", None)


def kinds_in_the_code(project: Path) -> set[str]:
    """What every call that queues an e-mail names as its kind."""
    found: set[str] = set()
    for path in sorted((project / "campaign").rglob("*.py")):
        source = path.read_text("utf-8")
        if not any(f"{name}(" in source for name in QUEUES):
            continue
        module = importlib.import_module(".".join(path.relative_to(project).with_suffix("").parts))
        for call in ast.walk(ast.parse(source)):
            if not isinstance(call, ast.Call) or name_of(call.func) not in QUEUES:
                continue
            (kind,) = [keyword.value for keyword in call.keywords if keyword.arg == "kind"]
            found |= values_of(module, kind)
    return found


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def values_of(module: Any, kind: ast.expr) -> set[str]:
    """A literal, a constant of the module, or one of a module it imported."""
    if isinstance(kind, ast.Constant):
        return {str(kind.value)}
    said = ast.unparse(kind)
    if said == "round_.kind":  # what a row of reminders or notices calls for
        return {notices.REMINDER, notices.AFTER, notices.NOTICE}
    value = module
    for name in said.split("."):
        value = getattr(value, name)
    return {str(value)}


@pytest.mark.parametrize("language", ["en", "es"])
def test_all_of_them_are_whole_and_say_what_they_are(
    language: str, sent: list[Sent], project: Path
) -> None:
    places = project / "templates" / "email"
    folders = {str(one.parent.relative_to(places)) for one in places.rglob("*/subject.txt")}
    spoken = f'<html lang="{language}">'
    assert {one.folder for one in sent if spoken in one.part("html")} == folders
    assert {one.kind for one in sent} == kinds_in_the_code(project)
    for one in sent:
        is_whole(one)
        has_its_headers(one)
        is_readable(one)


def is_whole(one: Sent) -> None:
    """Python's parser finds nothing wrong with it, nor any part that is not what it says."""
    message = one.message
    assert max(map(len, one.raw.split(b"\r\n"))) <= 998
    assert b"\n" not in one.raw.replace(b"\r\n", b"")
    for part in message.walk():
        assert part.defects == [], (one.folder, part.get_content_type())
        for name, value in part.items():
            assert value.defects == (), (one.folder, name, value)
    assert (message.get_content_type() == "multipart/mixed") == (one.folder in WITH_CALENDAR)
    for file in message.iter_attachments():
        assert file.get_content_type() == "text/calendar", one.folder


def has_its_headers(one: Sent) -> None:
    message, about = one.message, (one.folder, one.kind)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
        assert len(message.get_all(name, [])) == 1, (about, name)
        assert str(message[name]).strip(), (about, name)
    assert message["Date"].datetime.tzinfo is not None
    assert message["Message-ID"].startswith(f"<{one.delivery_id.hex}@"), about
    if one.folder not in WITHOUT_ORGANIZATION:
        assert message["From"].addresses[0].display_name == "Únete “Southside”", about
        assert message["Reply-To"] == "desk@unete.example", about
    if one.kind in BULK:
        assert re.fullmatch(
            r"<https?://[^<>,\s]+/unsubscribe/[^<>,\s]+>", message["List-Unsubscribe"]
        )
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert re.search(r"<[0-9a-f]{32}\.[\w.-]+>$", message["List-Id"]), about
        assert message["Auto-Submitted"] is None, about
    else:
        assert message["Auto-Submitted"] == "auto-generated", about
        assert [name for name in message if name.startswith("List-")] == [], about


def is_readable(one: Sent) -> None:
    """Both parts, nothing left to fill in, help in a crisis; who writes, where, and why."""
    for part in (one.part("plain"), one.part("html")):
        assert "{{" not in part, one.folder
        assert "{%" not in part, one.folder
        if one.folder not in WITHOUT_ORGANIZATION:
            assert "988" in part, one.folder
            assert "61 Example Street, Chicago, IL 60637" in part, one.folder
        if one.kind in BULK:
            assert "/unsubscribe/" in part, one.folder
            assert "Únete" in part, one.folder
    assert "<script" not in one.part("html")
    assert '<html lang="' in one.part("html")
