"""Requests that nothing here sends: an error page that stands, never a failure of our own."""

from __future__ import annotations

import pytest

from campaign.db import db
from tests.conftest import Client
from tests.factories.pages import read
from tests.factories.petitions import make_petition


@pytest.mark.parametrize("path", ["/", "/login", "/p/nowhere", "/p/nowhere.json", "/organize/"])
def test_an_unknown_host_is_told_so_and_never_shown_a_kept_page(client: Client, path: str) -> None:
    client.get(path)
    answer = client.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert b"evil.example" not in answer.data
    if not path.endswith(".json"):
        page = read(answer)
        assert "This address is not ours. Please start at http://127.0.0.1:8000." in page.text
        assert any(href.startswith("/privacy") for href, _ in page.links)


@pytest.mark.parametrize("body", [b'{"first_name": 1, "email": [2]}', b"[1]", b"null", b"{"])
def test_a_body_of_json_is_no_form(client: Client, body: bytes) -> None:
    petition = make_petition()
    db.session.commit()
    for path in (f"/p/{petition.slug}", "/login", "/me", "/reset"):
        answer = client.post(path, data=body, content_type="application/json")
        assert answer.status_code == 400
