"""The e-mail of a step, word for word, in both languages."""

from __future__ import annotations

import pytest
from flask import Flask
from syrupy.assertion import SnapshotAssertion

from campaign.db import Words
from campaign.ladders import emails
from campaign.ladders.rules import Details
from tests.factories.organizations import make_organization

STEP = Details(
    subject=Words(en="Thank you, {{ first_name|neighbor }}", es="Gracias, {{ first_name|vecina }}"),
    preheader=Words(en="What your name does", es="Lo que hace su nombre"),
    body=Words(
        en="Dear {{ first_name|neighbor }},\n\nyou signed.\n\n[Tell two](https://example.org/tell)",
        es="Hola, {{ first_name|vecina }}:\n\nUsted firmó.\n\n[Cuente](https://example.org/tell)",
    ),
)


@pytest.mark.parametrize("language", ["en", "es"])
def test_letter(app: Flask, snapshot: SnapshotAssertion, language: str) -> None:
    organization = make_organization(
        name="Southside Together",
        postal_address="61 Example Street, Chicago, IL 60637",
        crisis_line="Warmline: 312 555 0142",
    )
    letter = emails.letter_of(STEP, language, organization, source="l-000000000001")
    assert letter.subject == snapshot(name=f"{language} subject")
    assert letter.text == snapshot(name=f"{language} text")
    assert letter.html == snapshot(name=f"{language} html")
    assert "{{ unsubscribe_url }}" in letter.text


def test_a_link_to_a_petition_says_where_it_came_from(app: Flask) -> None:
    base = app.extensions["settings"].base_url
    details = Details(subject=Words(en="Hi"), body=Words(en=f"[Sign]({base}/p/clinic)"))
    letter = emails.letter_of(details, "en", make_organization(), source="l-000000000001")
    assert f"{base}/p/clinic?source=l-000000000001" in letter.text
