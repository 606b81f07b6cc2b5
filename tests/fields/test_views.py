"""Fields in the console, by the pages that people use, without a script."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from campaign.db import db
from campaign.fields import queries
from campaign.fields.models import CustomField
from campaign.lists.models import Segment
from campaign.organizations.models import AuditEntry, Organization, Role
from tests.conftest import Client
from tests.factories.fields import fill, make_field
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person

FIELDS = "/organize/fields/"


@pytest.fixture
def organization(client: Client) -> Organization:
    made = make_organization()
    log_in(client, make_member(made, Role.ORGANIZER), made)
    return made


def text(response: Any) -> str:
    return read(response).text


def test_a_field_is_made_changed_moved_and_deleted_with_undo(
    client: Client, organization: Organization
) -> None:
    assert "No fields yet" in text(client.get(FIELDS))
    nameless = client.submit(f"{FIELDS}new", {"kind": "text"})
    assert "Give the field a name" in text(nameless)
    uneven = client.submit(
        f"{FIELDS}new",
        {"name_en": "Comes", "kind": "choice", "choices_en": "Bus\nCar", "choices_es": "Autobús"},
    )
    assert "as many lines" in text(uneven)
    client.submit(
        f"{FIELDS}new",
        {
            "name_en": "Comes",
            "name_es": "Viene",
            "kind": "choice",
            "choices_en": "Bus\nCar",
            "choices_es": "Autobús\nCoche",
        },
    )
    client.submit(f"{FIELDS}new", {"name_en": "Years", "kind": "number"})
    first, second = queries.fields_of(organization.id, with_sensitive=True)
    assert [option.words for option in first.options] == [
        {"en": "Bus", "es": "Autobús"},
        {"en": "Car", "es": "Coche"},
    ]
    client.submit(f"{FIELDS}{second.id}", {"name_en": "Years here", "kind": "text"})
    client.submit(FIELDS, form=f"{FIELDS}{second.id}/up")
    page = text(client.get(FIELDS))
    assert page.index("Years here") < page.index("Comes")
    assert db.session.get_one(CustomField, second.id).kind == "number"
    gone = client.submit(f"{FIELDS}{second.id}", form=f"{FIELDS}{second.id}/delete")
    undo = next(
        form for form in read(client.get(gone.location)).forms if "/restore" in form["action"]
    )
    assert "Years here" not in text(client.get(FIELDS))
    client.post(undo["action"], data=dict(undo["fields"]))
    assert "Years here" in text(client.get(FIELDS))
    actions = db.session.scalars(
        select(AuditEntry.action).where(AuditEntry.action.like("field.%")).order_by(AuditEntry.id)
    ).all()
    assert actions == [
        "field.made",
        "field.made",
        "field.changed",
        "field.deleted",
        "field.restored",
    ]


def test_values_are_written_read_and_refused_at_their_field(
    client: Client, organization: Organization
) -> None:
    make_field(organization, "Years", "number")
    make_field(organization, "Comes", "choice")
    person = make_person(organization)
    path = f"/organize/people/{person.id}/fields"
    wrong = client.submit(path, {"years": "many", "comes": "by_bus"})
    assert wrong.status_code == 200
    assert "Write a number" in text(wrong)
    client.submit(path, {"years": "1,200.5", "comes": "by_bus"})
    page = text(client.get(f"/organize/people/{person.id}"))
    assert "1,200.5" in page
    assert "By bus" in page
    assert queries.values_of(person.id) != {}
    client.submit(path, {"years": "", "comes": ""})
    assert queries.values_of(person.id) == {}


def test_sensitive_values_are_on_a_page_of_their_own_for_those_who_may_see_them(
    client: Client, organization: Organization
) -> None:
    field = make_field(organization, "Clinic", is_sensitive=True)
    make_field(organization, "Years", "number")
    person = make_person(organization)
    fill(person, field, "Woodlawn")
    page = f"/organize/people/{person.id}"
    for where in (page, f"{page}/fields"):
        assert "Woodlawn" not in client.get(where).text
    assert "Woodlawn" in client.get(f"{page}/sensitive").text
    assert db.session.scalars(
        select(AuditEntry.subject_id).where(AuditEntry.action == "person.sensitive")
    ).all() == [person.id]
    client.submit(f"{page}/sensitive", {"clinic": "Roseland"})
    assert queries.values_of(person.id) == {field.id: "Roseland"}
    log_in(client, make_member(organization, Role.DATA_ENTRY), organization)
    assert client.get(f"{page}/sensitive").status_code == 403
    assert "Sensitive details" not in client.get(page).text
    token = next(form for form in read(client.get(f"{page}/fields")).forms if form["fields"])
    client.post(f"{page}/fields", data={**dict(token["fields"]), "clinic": "Somewhere"})
    assert queries.values_of(person.id) == {field.id: "Roseland"}
    assert client.get(FIELDS).status_code == 403


def test_nobody_elses_fields_and_people(client: Client, organization: Organization) -> None:
    other = make_organization()
    field, person = make_field(other), make_person(other)
    for path in (f"{FIELDS}{field.id}", f"/organize/people/{person.id}/fields"):
        assert client.get(path).status_code == 404
    mine = make_field(organization, "Mine")
    token = read(client.get(FIELDS)).forms[0]["fields"]
    for action in ("up", "delete", "restore"):
        assert client.post(f"{FIELDS}{field.id}/{action}", data=dict(token)).status_code == 404
    assert client.get(f"{FIELDS}{mine.id}").status_code == 200


def test_a_segment_is_built_of_a_field(client: Client, organization: Organization) -> None:
    field = make_field(organization, "Years", "number")
    fill(make_person(organization, first_name="Ana"), field, "9")
    page = client.submit(
        "/organize/segments/new", {"name": "Long here", "add-": "has_field", "do": "add:"}
    )
    form = next(form for form in read(page).forms if "r-0-kind" in dict(form["fields"]))
    rows = dict(form["fields"]) | {
        "name": "Long here",
        "r-0-field_id": str(field.id),
        "r-0-how": "least",
        "r-0-value": "nine",
        "do": "save",
    }
    refused = client.post("/organize/segments/new", data=rows)
    assert "Write a number" in text(refused)
    client.post("/organize/segments/new", data={**rows, "r-0-value": "5"})
    segment = db.session.scalars(select(Segment)).one()
    assert "have 5 or more under “Years”" in text(client.get(f"/organize/segments/{segment.id}"))
