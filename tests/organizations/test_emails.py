"""What an invitation says, word for word."""

from __future__ import annotations

import pytest
from flask import Flask
from syrupy.assertion import SnapshotAssertion

from campaign.organizations import services
from campaign.organizations.models import Role
from tests.factories.organizations import make_member, make_organization
from tests.factories.outbox import outbox


@pytest.mark.parametrize("language", ["en", "es"])
def test_invitation(app: Flask, snapshot: SnapshotAssertion, language: str) -> None:
    organization = make_organization(
        name="Southside Together",
        postal_address="1 Main St, Chicago, IL 60637",
        crisis_line="Warmline, 555-0134",
        language=language,
    )
    owner = make_member(organization, name="Ana <b>López</b>")
    _invitation, token = services.invite(organization, "bo@example.org", Role.VIEWER, by=owner)
    (letter,) = outbox("bo@example.org")
    text = f"{letter.subject}\n\n{letter.text}".replace(token, "TOKEN")
    assert text == snapshot
    assert "Ana &lt;b&gt;López&lt;/b&gt;" in letter.html
    assert "Southside" not in letter.subject
