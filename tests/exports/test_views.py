"""The partner's pages and the organization's own exports."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from campaign import clock
from campaign.accounts.models import FRESH, Session
from campaign.db import db
from campaign.exports.models import Export
from campaign.organizations.models import AuditEntry, Organization, Role
from tests.conftest import Client
from tests.exports.conftest import Coalition
from tests.factories.organizations import log_in, make_member
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature


def text(response: Any) -> str:
    return read(response).text


def enter(client: Client, organization: Organization, role: str = Role.PARTNER) -> Session:
    return log_in(client, make_member(organization, role))


@pytest.mark.parametrize("role", [Role.PARTNER, Role.ORGANIZER, Role.OWNER])
def test_a_partner_sees_its_own_numbers_and_nothing_else(
    role: Role, client: Client, coalition: Coalition
) -> None:
    petition = make_petition(coalition.campaign)
    make_signature(petition, source="nurses")
    for _n in range(3):
        make_signature(petition, source="union")
    enter(client, coalition.nurses, role)
    page = client.get("/partner/")
    assert "agreed to hear from you 2 " in text(page)
    assert "signed by your links and confirmed 1 " in text(page)
    html = page.get_data(as_text=True)
    assert f"/p/{petition.slug}?source=nurses" in html
    assert "Union" not in html
    for person in (coalition.ann, coalition.cy):
        assert str(person.email) not in html
    assert client.get("/organize/people/").status_code == (403 if role == Role.PARTNER else 200)


def test_an_export_is_asked_for_built_and_fetched(
    client: Client, coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    enter(client, coalition.nurses)
    assert "No exports yet" in text(client.get("/partner/exports"))
    missing = client.submit(
        "/partner/exports/new", {"campaign": str(coalition.campaign.id), "reason": ""}
    )
    assert "Say in a few words what this is for." in text(missing)
    answer = client.submit(
        "/partner/exports/new",
        {"campaign": str(coalition.campaign.id), "reason": "An invitation"},
    )
    building = client.get(answer.location)
    assert 'http-equiv="refresh"' in building.get_data(as_text=True)
    assert client.get(f"{answer.location}/file").status_code == 410
    run_tasks()
    ready = client.get(answer.location)
    assert "2 people are in the file" in text(ready)
    file = client.get(f"{answer.location}/file")
    assert file.status_code == 200
    assert "attachment" in file.headers["Content-Disposition"]
    assert "no-store" in file.headers["Cache-Control"]
    lines = file.get_data(as_text=True).splitlines()
    assert [line.split(",")[0] for line in lines] == ["email", "ann@example.org", "bo@example.org"]
    actions = set(db.session.scalars(select(AuditEntry.action)))
    assert {"partner.export.requested", "partner.export.downloaded"} <= actions
    assert "An invitation" in text(client.get("/partner/exports"))


def test_after_a_day_the_link_is_gone(
    client: Client, coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    enter(client, coalition.nurses)
    answer = client.submit(
        "/partner/exports/new",
        {"campaign": str(coalition.campaign.id), "reason": "An invitation"},
    )
    run_tasks()
    export = db.session.scalars(select(Export)).one()
    export.expires_at = clock.now() - timedelta(seconds=1)
    db.session.commit()
    gone = client.get(f"{answer.location}/file")
    assert gone.status_code == 410
    assert "24 hours" in text(gone)
    assert "This file is deleted" in text(client.get(answer.location))
    Path(export.path).unlink()


def test_asking_and_fetching_want_a_fresh_log_in(
    client: Client, coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    session = enter(client, coalition.nurses)
    answer = client.submit(
        "/partner/exports/new",
        {"campaign": str(coalition.campaign.id), "reason": "An invitation"},
    )
    run_tasks()
    session = db.session.get_one(Session, session.id)
    session.authenticated_at = clock.now() - FRESH - timedelta(seconds=1)
    db.session.commit()
    for path in ("/partner/exports/new", f"{answer.location}/file"):
        again = client.get(path)
        assert again.status_code in {302, 303}
        assert "/login" in again.location
    assert client.get(answer.location).status_code == 200


def test_another_partners_export_is_404(
    client: Client, coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    enter(client, coalition.union)
    answer = client.submit(
        "/partner/exports/new", {"campaign": str(coalition.campaign.id), "reason": "Ours alone"}
    )
    run_tasks()
    other = client.application.test_client()
    assert isinstance(other, Client)
    enter(other, coalition.nurses)
    for path in (answer.location, f"{answer.location}/file", f"/partner/exports/{uuid.uuid4()}"):
        assert other.get(path).status_code == 404
    assert "Ours alone" not in text(other.get("/partner/exports"))
    export = db.session.scalars(select(Export)).one()
    assert export.download_count == 0
    lead = client.application.test_client()
    assert isinstance(lead, Client)
    enter(lead, coalition.lead, Role.OWNER)
    for path in (f"/organize/exports/{export.id}", f"/organize/exports/{export.id}/file"):
        assert lead.get(path).status_code == 404


def test_a_campaign_one_has_no_part_in_is_404(client: Client, coalition: Coalition) -> None:
    enter(client, coalition.lead, Role.OWNER)
    assert "No campaign is shared with you yet" in text(client.get("/partner/"))
    token = dict(read(client.get("/partner/exports/new")).forms[0]["fields"])["csrf_token"]
    answer = client.post(
        "/partner/exports/new",
        data={"csrf_token": token, "campaign": str(coalition.campaign.id), "reason": "Let me see"},
    )
    assert answer.status_code == 404
    assert db.session.scalars(select(Export)).all() == []


def test_own_people_are_exported_by_organizers_alone(
    client: Client, coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    enter(client, coalition.lead, Role.ORGANIZER)
    answer = client.submit(
        "/organize/exports/new", {"whom": "", "format": "jsonl", "reason": "Moving house"}
    )
    run_tasks()
    assert "5 people are in the file" in text(client.get(answer.location))
    file = client.get(f"{answer.location}/file")
    assert file.mimetype == "application/x-ndjson"
    assert len(file.get_data(as_text=True).splitlines()) == 5
    for value in (f"list:{uuid.uuid4()}", "segment:x", "list:"):
        refused = client.submit(
            "/organize/exports/new", {"whom": value, "format": "csv", "reason": "Moving house"}
        )
        assert refused.status_code == 404
    for role in (Role.DATA_ENTRY, Role.VIEWER, Role.PARTNER):
        other = client.application.test_client()
        assert isinstance(other, Client)
        enter(other, coalition.lead, role)
        assert other.get("/organize/exports/").status_code == 403
        assert other.get(f"{answer.location}/file").status_code == 403
