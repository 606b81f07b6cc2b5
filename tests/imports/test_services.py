"""Imports: drafted, started once, dropped."""

from __future__ import annotations

import pytest
from flask import Flask

from campaign.errors import Conflict, Invalid
from campaign.imports import delivery, services
from campaign.imports.services import FileDetails
from tests.factories.organizations import make_organization


def test_a_draft_needs_a_basis_and_starts_once(app: Flask) -> None:
    organization = make_organization()
    for basis in ("", "  ", "ok", "a\x00bcd"):
        with pytest.raises(Invalid) as caught:
            services.draft_import(organization.id, FileDetails(filename="", basis=basis))
        assert caught.value.field == "basis"
    found = services.draft_import(organization.id, FileDetails(filename="", basis="They signed"))
    services.start_import(found, ["a"], {"a": "email"})
    with pytest.raises(Conflict):
        services.start_import(found, ["a"], {"a": "email"})
    with pytest.raises(Conflict):
        services.drop_import(found)
    assert delivery.claim(found.id)
    assert not delivery.claim(found.id)
