"""What the e-mails of an account say, word for word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from flask import Flask
from syrupy.assertion import SnapshotAssertion

from campaign.accounts import emails
from tests.factories.organizations import make_user
from tests.factories.outbox import outbox


@pytest.mark.parametrize("language", ["en", "es"])
def test_reset(app: Flask, snapshot: SnapshotAssertion, language: str) -> None:
    user = make_user(email="ana@example.org", language=language)
    emails.send_reset(user, "TOKEN")
    (letter,) = outbox("ana@example.org")
    assert letter.values == {"url": f"http://127.0.0.1:8000/reset/TOKEN?lang={language}"}
    assert f"{letter.subject}\n\n{letter.text}" == snapshot
    assert 'href="http://127.0.0.1:8000/reset/TOKEN' in letter.html
    assert "<style>" not in letter.html


@pytest.mark.parametrize("language", ["en", "es"])
def test_password_changed(app: Flask, snapshot: SnapshotAssertion, language: str) -> None:
    user = make_user(email="ana@example.org", language=language)
    with time_machine.travel(datetime(2026, 6, 16, 23, 0, tzinfo=UTC), tick=False):
        emails.send_password_changed(user)
    (letter,) = outbox("ana@example.org")
    assert f"{letter.subject}\n\n{letter.text}" == snapshot


def test_the_token_is_in_no_stored_letter(app: Flask) -> None:
    from campaign.db import db
    from campaign.mail.models import Content

    emails.send_reset(make_user(), "TOKEN")
    for content in db.session.query(Content):
        assert "TOKEN" not in content.text + content.html + content.subject
