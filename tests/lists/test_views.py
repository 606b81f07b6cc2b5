"""Lists and segments in the console, by the pages that people use, without a script."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from campaign.db import db
from campaign.lists import queries
from campaign.lists.models import List, ListMember, Segment
from campaign.lists.rules import OnList, Tagged
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import services as people
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person
from tests.factories.petitions import make_petition, make_signature


@pytest.fixture
def organization(client: Client) -> Organization:
    """The organization that `client` is logged in for as an organizer."""
    made = make_organization()
    log_in(client, make_member(made, Role.ORGANIZER))
    return made


def text(response: Any) -> str:
    return read(response).text


def undo(client: Client, response: Any) -> Any:
    """Press "Undo" on the page after a redirect."""
    page = read(client.get(response.location))
    form = [
        form for form in page.forms if "/undo/" in form["action"] or "/restore" in form["action"]
    ][-1]
    return client.post(form["action"], data=dict(form["fields"]))


def test_a_list_is_made_renamed_and_deleted_with_undo(
    client: Client, organization: Organization
) -> None:
    assert "No lists yet" in text(client.get("/organize/lists"))
    client.submit("/organize/lists/new", {"name": "Phone tree", "description": "Call first"})
    (list_,) = queries.lists_of(organization.id)
    again = client.submit("/organize/lists/new", {"name": "phone TREE"})
    assert again.status_code == 200
    assert "There is a list of this name already" in text(again)
    client.submit(f"/organize/lists/{list_.id}/edit", {"name": "Callers"})
    assert list_.name == "Callers"
    assert "Callers" in text(client.get("/organize/lists/"))
    gone = client.submit(f"/organize/lists/{list_.id}/edit", form="delete")
    assert queries.lists_of(organization.id) == []
    undo(client, gone)
    assert queries.lists_of(organization.id) == [list_]


def test_people_are_pasted_selected_and_removed_with_undo(
    client: Client, organization: Organization
) -> None:
    ann = make_person(organization, email="ann@example.org", first_name="Ann", last_name="Lee")
    bo = make_person(organization, email="bo@example.org", first_name="Bo", last_name="May")
    list_ = make_list(organization)
    path = f"/organize/lists/{list_.id}"
    answer = client.submit(
        path, {"addresses": "ann@example.org, nobody@x.example"}, form="addresses"
    )
    assert "1 address belongs to nobody here" in text(answer)
    assert "nobody@x.example" in answer.get_data(as_text=True)
    assert "Ann Lee" in text(client.get(path))

    token = dict(read(client.get(path)).forms[-1]["fields"])["csrf_token"]
    chosen = {"csrf_token": token, "ids": [str(bo.id), str(ann.id), "no id"]}
    asked = client.post("/organize/people/lists", data=chosen)
    assert "Put 2 people on a list" in text(asked)
    client.post("/organize/people/lists", data=chosen | {"list_id": str(list_.id)})
    assert queries.list_sizes([list_.id]) == {list_.id: 2}
    client.post("/organize/people/lists", data=chosen | {"list_name": "Brand new"})
    made = queries.list_by_name(organization.id, "brand new")
    assert made is not None
    assert queries.list_sizes([made.id]) == {made.id: 2}

    removed = client.post(f"{path}/remove", data={"csrf_token": token, "ids": [str(bo.id)]})
    assert queries.list_sizes([list_.id]) == {list_.id: 1}
    undo(client, removed)
    assert queries.list_sizes([list_.id]) == {list_.id: 2}


def test_the_people_page_leads_to_lists_and_imports_and_looking_is_audited(
    client: Client, organization: Organization
) -> None:
    person = make_person(organization)
    list_ = make_list(organization)
    page = client.get("/organize/people/")
    html = page.get_data(as_text=True)
    assert 'formaction="/organize/people/lists"' in html
    assert "/organize/people/import/" in html
    form = next(form for form in read(page).forms if form["action"] == "/organize/people/tags")
    fields = dict(form["fields"])
    chosen = {"csrf_token": fields["csrf_token"], "ids": str(person.id), "list_id": str(list_.id)}
    assert client.post("/organize/people/lists", data=chosen).status_code == 303
    db.session.execute(delete(AuditEntry))
    db.session.commit()
    for _n in range(2):
        client.get(f"/organize/lists/{list_.id}")
    assert list(db.session.scalars(select(AuditEntry.action))) == ["people.listed"]


def test_a_segment_is_put_on_a_list(client: Client, organization: Organization) -> None:
    person = make_person(organization)
    make_person(organization)
    tag = people.add_tag(person, "press")
    segment = make_segment(organization, Tagged(tag_id=tag.id))
    list_ = make_list(organization)
    client.submit(f"/organize/lists/{list_.id}", {"segment": str(segment.id)}, form="segment")
    assert list(db.session.scalars(queries.people_in_list(list_.id))) == [person.id]


def test_members_are_paged_by_key(client: Client, organization: Organization) -> None:
    crowd = [make_person(organization, first_name=f"P{n}") for n in range(60)]
    list_ = make_list(organization, crowd)
    first = read(client.get(f"/organize/lists/{list_.id}"))
    following = next(href for href, more in first.links if more.get("rel") == "next")
    second = client.get(following)
    assert "P59" in first.text
    assert "P0 " in text(second)
    assert "P59" not in text(second)


def rows(response: Any) -> dict[str, str]:
    """The builder's fields on a page."""
    return dict(read(response).forms[_builder(response)]["fields"])


def _builder(response: Any) -> int:
    forms = read(response).forms
    return next(
        place
        for place, form in enumerate(forms)
        if any(name == "r-match" for name, _value in form["fields"])
    )


def press(client: Client, path: str, fields: dict[str, str], do: str) -> Any:
    return client.post(path, data=fields | {"do": do})


def test_a_segment_is_built_without_a_script(client: Client, organization: Organization) -> None:
    petition = make_petition(make_campaign(organization))
    signer = make_person(organization, postal_code="60637", first_name="Sig")
    make_signature(petition, person=signer)
    far = make_person(organization, postal_code="90210")
    make_signature(petition, person=far)
    make_person(organization, postal_code="60637", first_name="Unsigned")
    path = "/organize/segments/new"
    page = client.get(path)
    assert "3 people" in text(page)
    page = press(client, path, rows(page) | {"add-": "signed"}, "add:")
    page = press(client, path, rows(page) | {"r-0-petition_id": str(petition.id)}, "group:")
    page = press(client, path, rows(page) | {"add-1": "postal_code"}, "add:1")
    page = press(client, path, rows(page) | {"r-1-0-codes": "6?"}, "count")
    assert "Write postal codes like 60637" in text(page)
    page = press(client, path, rows(page) | {"r-1-0-codes": "606*, 70112"}, "count")
    assert "1 person" in text(page)
    assert "Sig" in text(page)
    assert "Unsigned" not in text(page)
    assert "live at postal code 606* or 70112" in text(page)
    page = press(client, path, rows(page) | {"add-": "speaks"}, "add:")
    assert "r-2-kind" in rows(page)
    page = press(client, path, rows(page), "remove:2")
    assert "r-2-kind" not in rows(page)
    nameless = press(client, path, rows(page), "save")
    assert "Please give it a name" in text(nameless)
    assert rows(nameless)["r-1-0-codes"] == "606*, 70112"
    assert press(client, path, rows(page) | {"name": "Near"}, "save").status_code == 303
    (segment,) = queries.segments_of(organization.id)
    assert list(db.session.scalars(queries.people_in_segment(segment))) == [signer.id]

    edit = f"/organize/segments/{segment.id}"
    page = client.get(edit)
    assert rows(page)["r-1-0-codes"] == "606*, 70112"
    assert press(client, edit, rows(page) | {"r-match": "any"}, "save").status_code == 303
    assert queries.count_audience(organization.id, segment.rules) == 3
    assert " or (live" not in text(client.get("/organize/segments"))
    assert " or live" in text(client.get("/organize/segments"))
    counted = client.get(f"{edit}/count", headers={"HX-Request": "true"})
    assert counted.get_data(as_text=True) == "3"


def test_a_ward_that_is_none_is_said_at_the_rule(
    client: Client, organization: Organization
) -> None:
    path = "/organize/segments/new"
    page = press(client, path, rows(client.get(path)) | {"add-": "in_district"}, "add:")
    page = press(client, path, rows(page) | {"r-0-wards": "20"}, "save")
    assert page.status_code == 200
    assert "There is no ward 20." in text(page)


def test_the_live_answer_is_a_part_of_the_page(client: Client, organization: Organization) -> None:
    make_person(organization, language="es")
    page = client.get("/organize/segments/new")
    fields = rows(page) | {"r-0-kind": "speaks", "r-0-language": "es"}
    part = client.post("/organize/segments/answer", data=fields, headers={"HX-Request": "true"})
    assert "<html" not in part.get_data(as_text=True)
    assert "People who read Spanish" in text(part)
    incomplete = client.post("/organize/segments/answer", data=fields | {"r-0-language": ""})
    assert "Fill in the rules" in text(incomplete)


def test_hostile_builder_posts_are_met_with_a_page(
    client: Client, organization: Organization
) -> None:
    path = "/organize/segments/new"
    fields = rows(client.get(path))
    for more in (
        {"r-0-kind": "speaks", "r-0-language": "x'; --"},
        {"r-0-kind": "came_from", "r-0-source": "\x00"},
        {"r-0-kind": "signed", "r-0-since": "2026-99-99"},
        {"r-0-kind": "tagged", "r-0-tag_id": str(uuid.uuid4())},
        {"r-match": "most"},
        {"r-0-match": "all"},
        {"r-" + "0-" * 20 + "kind": "speaks"},
        {f"r-{n}-kind": "speaks" for n in range(300)},
        {"r-0-kind": "made up"},
    ):
        for do in ("save", "count", "remove:9-9", "add:x", "group:", "remove:", "nonsense"):
            answer = press(client, path, {**fields, **more, "name": "x"}, do)
            assert answer.status_code in {200, 303}
            for segment in queries.segments_of(organization.id):
                assert segment.rules == {"match": "all", "rules": []}
                assert next(iter(more)) in {"r-match", "r-0-kind", "r-" + "0-" * 20 + "kind"}
                db.session.delete(segment)
                db.session.commit()


def test_deleting_a_segment_can_be_undone(client: Client, organization: Organization) -> None:
    list_ = make_list(organization)
    segment = make_segment(organization, OnList(list_id=list_.id))
    refused = client.submit(f"/organize/lists/{list_.id}/edit", form="delete")
    assert "Change that segment first" in text(client.get(refused.location))
    gone = client.submit(f"/organize/segments/{segment.id}", form="delete")
    assert queries.segments_of(organization.id) == []
    undo(client, gone)
    assert queries.segments_of(organization.id) == [segment]


def test_everything_of_another_organization_is_404_and_stays(
    client: Client, organization: Organization
) -> None:
    other = make_organization()
    person = make_person(other)
    list_ = make_list(other, [person], name="Theirs")
    segment = make_segment(other)
    deleted = make_list(other, name="Deleted")
    deleted.deleted_at = list_.created_at
    db.session.commit()
    token = dict(read(client.get("/organize/lists/new")).forms[-1]["fields"])["csrf_token"]
    for path in (
        f"/organize/lists/{list_.id}",
        f"/organize/lists/{list_.id}/edit",
        f"/organize/lists/{list_.id}/addresses",
        f"/organize/segments/{segment.id}",
        f"/organize/segments/{segment.id}/count",
    ):
        assert client.get(path).status_code == 404, path
    for path in (
        f"/organize/lists/{list_.id}/edit",
        f"/organize/lists/{list_.id}/delete",
        f"/organize/lists/{deleted.id}/restore",
        f"/organize/lists/{list_.id}/addresses",
        f"/organize/lists/{list_.id}/segment",
        f"/organize/lists/{list_.id}/remove",
        f"/organize/segments/{segment.id}",
        f"/organize/segments/{segment.id}/delete",
        f"/organize/segments/{segment.id}/restore",
    ):
        data = {"csrf_token": token, "name": "Mine", "ids": [str(person.id)], "do": "save"}
        assert client.post(path, data=data).status_code == 404, path
    mine = make_list(organization)
    stolen = {"csrf_token": token, "ids": [str(person.id)], "list_id": str(mine.id)}
    client.post("/organize/people/lists", data=stolen)
    assert client.post(
        f"/organize/lists/{mine.id}/segment", data={"csrf_token": token, "segment": str(segment.id)}
    ).status_code == 404  # fmt: skip
    assert queries.list_sizes([mine.id]) == {}
    assert db.session.scalars(select(List.name).order_by(List.name)).all()[-1] == "Theirs"
    assert db.session.scalar(select(func.count()).select_from(ListMember)) == 1
    assert db.session.scalar(select(func.count()).select_from(Segment)) == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PARTNER])
def test_roles_without_people_see_no_list(client: Client, role: Role) -> None:
    made = make_organization()
    list_ = make_list(made)
    log_in(client, make_member(made, role))
    for path in ("/organize/lists/", f"/organize/lists/{list_.id}", "/organize/people/import/"):
        assert client.get(path).status_code == 403
    assert client.get("/organize/segments/new").status_code == 403


def test_data_entry_sees_lists_and_changes_none(client: Client) -> None:
    made = make_organization()
    list_ = make_list(made)
    log_in(client, make_member(made, Role.DATA_ENTRY))
    page = client.get(f"/organize/lists/{list_.id}")
    assert page.status_code == 200
    assert "Rename or delete" not in text(page)
    assert client.get(f"/organize/lists/{list_.id}/edit").status_code == 403


def test_a_rule_about_events_is_built_said_and_saved(
    client: Client, organization: Organization
) -> None:
    event = make_event(make_campaign(organization))
    person = make_person(organization)
    make_rsvp(event, person_id=person.id)
    make_person(organization)
    db.session.commit()
    path = "/organize/segments/new"
    page = press(client, path, {**rows(client.get(path)), "add-": "at_event"}, "add:")
    fields = rows(page) | {"r-0-did": "coming", "r-0-event_id": str(event.id)}
    assert "1 person" in text(press(client, path, fields, "count"))
    saved = press(client, path, fields | {"name": "Vigil"}, "save")
    assert saved.status_code == 303
    (segment,) = queries.segments_of(organization.id)
    assert segment.rules["rules"] == [
        {"kind": "at_event", "did": "coming", "event_id": str(event.id)}
    ]
    assert "said they come to “Vigil at Woodlawn”" in text(client.get("/organize/segments/"))
