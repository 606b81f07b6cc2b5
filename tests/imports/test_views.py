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
from tests.factories.people import make_person


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
    assert "We are reading the file" in text(client.get(answer.location))
    run_tasks()
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
    ("name", "said"),
    [
        ("a\x00b.csv", "ab.csv"),
        ("a\u202ecsv.exe", "acsv.exe"),
        ("x" * 400 + ".csv", "x" * 200),
        ("../../etc/passwd", "passwd"),
        ("señas <b>.csv", "señas <b>.csv"),
    ],
)
def test_a_file_may_have_any_name(
    name: str, said: str, client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    answer = upload(client, b"email\na@example.org\n", file=(io.BytesIO(b"email\na@b.org\n"), name))
    assert answer.status_code == 303
    run_tasks()
    assert db.session.scalar(select(Import.filename)) == said
    assert said in text(client.get(answer.location))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There is nothing in this file"),
        (b"PK\x03\x04 more", "This spreadsheet is damaged"),
        (b"\xd0\xcf\x11\xe0 more", "Save it as XLSX or CSV"),
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
    large = client.post(
        "/organize/people/import",
        data=b"--x",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str(201 * 1024 * 1024)},
    )
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


def test_a_trial_saves_nothing_and_tells_what_would_come(
    client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    known = make_person(organization, email="ann@example.org", first_name="Ann", last_name="Lee")
    content = "email,first_name,last_name,phone\nann@example.org,Ann,Lee,312-555-0101\n"
    content += "bo@example.org,Bo,May,\nbo@example.org,Bo,May,\nbroken,,,\n"
    at = upload(client, content.encode(), list_name="Paper").location
    run_tasks()
    client.submit(at, {"do": "try"}, form="/start")
    run_tasks()
    page = client.get(at)
    shown = text(page)
    assert "4 rows were read, and nothing is saved." in shown
    for words in (
        "would be added 1",
        "would be updated 1",
        "would stay as they are 1",
        "would be refused 1",
    ):
        assert words in shown, words
    assert db.session.scalar(select(func.count()).select_from(Person)) == 1
    assert known.phone == ""
    report = client.get(f"{at}/report").get_data(as_text=True).splitlines()
    assert [line.split(",")[1] for line in report[1:]] == [
        "updated",
        "added",
        "unchanged",
        "refused",
    ]
    client.submit(at, {"do": "start"}, form="/start")
    run_tasks()
    (found,) = db.session.scalars(select(Import))
    assert (found.added_count, found.updated_count, found.unchanged_count) == (1, 1, 1)
    assert db.session.scalar(select(func.count()).select_from(Person)) == 2


def test_columns_are_remembered_and_programs_known(
    client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    content = b"Email Address,First Name,Branch,LEID,EUID\na@example.org,Ann,South,1,2\n"
    at = upload(client, content).location
    run_tasks()
    shown = text(client.get(at))
    assert "people.csv looks like an export of Mailchimp." in shown
    assert "We have guessed" in shown
    client.submit(at, {"column-2": "source", "do": "start"}, form="/start")
    run_tasks()
    again = upload(client, content.replace(b"Branch", b" BRANCH")).location
    run_tasks()
    page = client.get(again)
    assert "The columns are as you named them the last time." in text(page)
    other = make_organization()
    log_in(client, make_member(other, Role.ORGANIZER), other)
    at = upload(client, content).location
    run_tasks()
    assert "We have guessed" in text(client.get(at))


def test_the_first_rows_are_shown_as_they_are_read(
    client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    content = b"email,name,zip\nann@example.org,Ann Lee,60637-1234\nbroken,,\n"
    at = upload(client, content, tags="press; vigil").location
    run_tasks()
    shown = text(client.get(at))
    assert "Ann Lee , ann@example.org, 60637 · press · vigil" in shown
    assert "Row 3 is refused: The email address is not complete or not correct." in shown


def test_an_import_is_stopped_and_goes_on(
    client: Client, organization: Organization, run_tasks: Callable[[], int]
) -> None:
    at = upload(client, b"email\na@example.org\nb@example.org\n").location
    run_tasks()
    client.submit(at, {"do": "start"}, form="/start")
    client.submit(at, form="/stop")
    run_tasks()
    assert db.session.scalar(select(func.count()).select_from(Person)) == 0
    assert "0 of 2 rows are worked in" in text(client.get(at))
    client.submit(at, form="/go-on")
    run_tasks()
    assert "added 2 " in text(client.get(at)) or "2 added" in text(client.get(at))
    page = read(client.get("/organize/people/import"))
    token = dict(page.forms[-1]["fields"])["csrf_token"]
    assert client.post(f"{at}/stop", data={"csrf_token": token}).status_code == 409
    assert client.post(f"{at}/go-on", data={"csrf_token": token}).status_code == 409
