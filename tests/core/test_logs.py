"""Logs and error reports never carry an address or a personal link."""

from __future__ import annotations

import sys

import pytest

from campaign.settings import SettingsError
from campaign.web import logs


def test_addresses_and_tokens_are_scrubbed() -> None:
    line = "no route for /confirm/AbC123-_x from maria.ortiz@example.org, /me/eyJ.x?lang=es"

    scrubbed = logs.scrub(line)

    assert "maria" not in scrubbed
    assert "AbC123" not in scrubbed
    assert "eyJ" not in scrubbed
    assert "/confirm/…" in scrubbed


def test_a_report_leaves_out_the_request_and_the_person() -> None:
    event = {
        "request": {"data": {"email": "maria@example.org"}},
        "user": {"ip_address": "203.0.113.9"},
        "breadcrumbs": {"values": ["x"]},
        "message": "bounced: maria@example.org",
        "exception": {"values": [{"type": "ValueError", "value": "bad maria@example.org"}]},
    }

    kept = logs.scrub_report(event, None)

    assert set(kept) == {"message", "exception"}
    assert "maria" not in str(kept)


def test_sentry_without_its_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(SettingsError, match="SENTRY_DSN needs the package sentry-sdk"):
        logs.report_errors("https://key@sentry.example.org/1")

    logs.report_errors("")  # nothing asked, nothing needed
