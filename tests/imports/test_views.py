"""Imports in the console, by the pages that people use, without a script."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db
from campaign.imports.models import Import, ImportState
from campaign.lists import queries
from campaign.organizations.models import Organization, Role
from campaign.people.models import Person
from tests.conftest import Client
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read


@pytest.fixture
def organization(client: Client) -> Organization:
    """The organization that `client` is logged in for as an organizer."""
    made = make_organization()
    log_in(client, make_member(made, Role.ORGANIZER))
    return made


def text(response: Any) -> str:
    return read(response).text


def upload(client: Client, content: bytes, **fields: Any) -> Any:
    return client.submit(
        "/organize/people/import",
        {
            "file": (io.BytesIO(content), "people.csv"),
            "basis": "They signed our paper sheets",
        }
        | fields,
    )


def test_a_file_is_brought_in_step_by_step(
    client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    content = "Dirección,First,Surname\nann@example.org,Ann,Lee\nbroken,Bo,May\n".encode()
    answer = upload(client, content, list_name="Paper")
    assert answer.status_code == 303
    page = client.get(answer.location)
    assert "ann@example.org" in text(page)
    assert dict(read(page).forms[-2]["fields"])["column-1"] == "first_name"
    wrong = client.submit(answer.location, form="start")
    assert "No column holds email addresses" in text(wrong)
    assert db.session.scalar(select(func.count()).select_from(Person)) == 0
    client.submit(answer.location, {"column-0": "email"}, form="start")
    assert "It goes on by itself" in text(client.get(answer.location))
    assert 'http-equiv="refresh"' in client.get(answer.location).get_data(as_text=True)
    run_tasks()
    page = client.get(answer.location)
    assert "added 1 " in text(page)
    assert "refused 1 " in text(page)
    report = client.get(next(href for href, _more in read(page).links if "report" in href))
    assert report.get_data(as_text=True).splitlines()[:2] == ["row,verdict,reason", "2,added,"]
    assert "attachment" in report.headers["Content-Disposition"]
    list_ = queries.list_by_name(organization.id, "paper")
    assert list_ is not None
    assert queries.list_sizes([list_.id]) == {list_.id: 1}
    assert "people.csv" in text(client.get("/organize/people/import"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There is nothing in this file"),
        (b"PK\x03\x04 more", "Save it as CSV"),
        (b"\x89PNG\r\n", "This is not a table"),
        (b'"open', "must name the columns"),
    ],
)
def test_files_that_are_no_tables_are_refused_at_the_field(
    content: bytes, message: str, client: Client, organization: Organization, settings: Any
) -> None:
    before = set((settings.data_dir / "imports").glob("*"))
    answer = upload(client, content)
    assert answer.status_code == 200
    assert message in text(answer)
    assert db.session.scalar(select(func.count()).select_from(Import)) == 0
    assert set((settings.data_dir / "imports").glob("*")) == before


def test_a_file_without_a_basis_or_too_large_is_refused(
    client: Client, organization: Organization
) -> None:
    assert "Please fill this in" in text(upload(client, b"email\na@example.org\n", basis=""))
    large = upload(client, b"email\n" + b"x" * (21 * 1024 * 1024))
    assert large.status_code == 413
    fine = upload(client, b"email\n" + b"a@example.org\n" * 150_000)  # 2 MB: over a form's limit
    assert fine.status_code == 303


def test_a_dropped_draft_leaves_nothing(client: Client, organization: Organization) -> None:
    answer = upload(client, b"email\na@example.org\n")
    (found,) = db.session.scalars(select(Import))
    path = Path(found.path)
    assert path.exists()
    client.submit(answer.location, form="drop")
    assert not path.exists()
    assert db.session.scalar(select(func.count()).select_from(Import)) == 0


def test_imports_of_another_organization_are_404(
    client: Client, organization: Organization
) -> None:
    other = make_organization()
    found = Import(
        organization_id=other.id, basis="x", state=ImportState.DONE, created_at=clock.now()
    )
    db.session.add(found)
    db.session.commit()
    at = f"/organize/people/import/{found.id}"
    token = dict(read(client.get("/organize/people/import")).forms[-1]["fields"])["csrf_token"]
    for path in (at, f"{at}/report"):
        assert client.get(path).status_code == 404, path
    for path in (f"{at}/start", f"{at}/drop"):
        assert client.post(path, data={"csrf_token": token}).status_code == 404, path
