"""The e-mail as people read it."""

from __future__ import annotations

import pytest
from flask import Flask
from syrupy.assertion import SnapshotAssertion

from campaign.mailings import emails
from campaign.mailings.emails import Draft
from campaign.organizations.models import Organization

BODY = """# Come to Woodlawn on Monday

Dear {{ first_name|neighbor }},

the city wants to close our clinic. **Monday at 6** we stand in front of it.
Bring a candle.

[Sign the petition](http://127.0.0.1:8000/p/keep-our-clinics-open)

- Bring a neighbor from the {{ ward|area }}
- Read [what happened](https://example.org/2009)

> "I come here every week."
"""
VALUES = {
    "first_name": "Ana <b>",
    "ward": "20th Ward",
    "preferences_url": "http://127.0.0.1:8000/me/token",
    "unsubscribe_url": "http://127.0.0.1:8000/unsubscribe/token",
}


@pytest.fixture
def organization(app: Flask) -> Organization:
    return Organization(
        slug="stop",
        name="Southside Together",
        postal_address="602 E 61st St\r\nChicago, IL 60637",
        crisis_line="Warmline 855-555-0119",
        language="en",
    )


def test_the_email_in_english(organization: Organization, snapshot: SnapshotAssertion) -> None:
    letter = emails.filled_in(
        emails.render_message(
            Draft("Come, {{ first_name|friend }}", "Monday at 6", BODY), organization
        ),
        VALUES,
    )
    assert letter.subject == snapshot(name="subject")
    assert letter.text == snapshot(name="text")
    assert letter.html == snapshot(name="html")


def test_every_bulk_email_says_who_why_and_how_to_stop(organization: Organization) -> None:
    letter = emails.render_message(Draft("Hi", "", "Text"), organization)
    for part in (letter.text, letter.html):
        assert "602 E 61st St, Chicago, IL 60637" in part
        assert "You get this because you agreed to get email from Southside Together." in part
        assert "{{ unsubscribe_url }}" in part
        assert "{{ preferences_url }}" in part
        assert "988" in part


def test_the_frame_speaks_the_organizations_language(organization: Organization) -> None:
    organization.language = "es"
    html = emails.render_message(Draft("Hola", "", "Texto"), organization).html
    assert '<html lang="es">' in html


def test_the_accent_colours_buttons(organization: Organization) -> None:
    organization.accent, organization.accent_dark = "#7a1f5c", "#e59ccc"
    html = emails.render_message(Draft("Hi", "", "[Go](https://a.example)"), organization).html
    assert "background: #7a1f5c" in html
    assert "#e59ccc !important" in html


def test_the_preheader_is_escaped(organization: Organization) -> None:
    letter = emails.render_message(Draft("x", "<b> {{ first_name|a&b }}", "y"), organization)
    html = emails.filled_in(letter, {"first_name": "<i>"}).html
    assert "&lt;b&gt; &lt;i&gt;" in html


def test_own_name_with_markup_stays_text(organization: Organization) -> None:
    organization.name = "Keep <script> & Co"
    letter = emails.render_message(Draft("x", "", "y"), organization)
    assert "<script>" not in letter.html
    assert "Keep <script> & Co" in letter.text
