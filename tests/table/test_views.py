"""The table of people in the console: columns, filters, order, all that match; who may what."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from sqlalchemy import func, select

from campaign.db import db
from campaign.exports.models import Export
from campaign.fields import services as fields
from campaign.lists.queries import list_by_name, list_sizes
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import services as people
from campaign.people.models import Person, PersonTag
from campaign.people.services import PersonDetails
from campaign.table import services
from campaign.table.models import ChosenColumns, ManyChange
from tests.conftest import Client
from tests.factories.fields import make_field
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person

PEOPLE = "/organize/people/"


@pytest.fixture
def here(client: Client) -> Organization:
    organization = make_organization()
    log_in(client, make_member(organization, Role.ORGANIZER, name="Olga"), organization)
    return organization


def crowd(here: Organization, count: int = 120) -> None:
    rows = [
        PersonDetails(email=f"p{n:03}@mail.example", first_name=f"N{n:03}") for n in range(count)
    ]
    people.merge_people(here.id, rows)
    db.session.commit()


def text(response: Any) -> str:
    return read(response).text


def names(response: Any) -> list[str]:
    return re.findall(r"Select (N\d{3})", text(response))


def token(client: Client) -> str:
    return dict(read(client.get(f"{PEOPLE}new")).forms[-1]["fields"])["csrf_token"]


def test_columns_are_chosen_put_in_order_and_kept(client: Client, here: Organization) -> None:
    make_person(here, first_name="Zora", phone="+1 312 555 0100", source="flyer")
    page = f"{PEOPLE}columns?at=q%3Dzora"
    form = read(client.get(page)).forms[-1]
    given = dict(form["fields"])
    assert given["at"] == "q=zora"
    moved = client.post(
        f"{PEOPLE}columns", data=given | {"columns": ["source", "phone"], "move": "up:source"}
    )
    order = dict(read(moved).forms[-1]["fields"])["order"].split(",")
    assert order.index("source") < order.index("phone") or order.index("source") > 0
    assert db.session.scalar(select(func.count()).select_from(ChosenColumns)) == 0
    done = client.post(
        f"{PEOPLE}columns", data=given | {"columns": ["source", "phone"], "order": "source,phone"}
    )
    assert done.location.endswith("/organize/people/?q=zora")
    shown = text(client.get(PEOPLE))
    assert shown.index("Source", shown.index("Name Source") - 1) < shown.index("Phone")
    assert "flyer" in shown
    assert "Agreed to email from" not in shown
    other = make_organization()
    log_in(client, make_member(other, Role.OWNER), other)
    assert "Agreed to email from" in text(client.get(f"{PEOPLE}columns"))
    log_in(client, make_member(here, Role.OWNER), here)
    make_person(here)
    assert "Agreed to email from" in text(client.get(PEOPLE))  # the choice was Olga's alone


def test_the_usual_columns_come_back_and_unknown_ones_are_passed_over(
    client: Client, here: Organization
) -> None:
    make_person(here)
    given = {"csrf_token": token(client), "columns": ["phone", "password", "field:gone"]}
    client.post(f"{PEOPLE}columns", data=given | {"order": "phone,password"})
    assert db.session.scalars(select(ChosenColumns.columns)).one() == ["phone"]
    client.post(f"{PEOPLE}columns", data=given | {"do": "usual"})
    assert "Agreed to email from" in text(client.get(PEOPLE))


def test_sensitive_columns_are_for_few_and_each_look_is_audited(
    client: Client, here: Organization
) -> None:
    person = make_person(here, first_name="Zora")
    plain, secret = make_field(here, "Shirt"), make_field(here, "Clinic used", is_sensitive=True)
    for field, value in ((plain, "Large"), (secret, "Northside")):
        fields.set_values(person, [field], {field.key: value}, language="en", user_id=None)
    db.session.commit()
    chosen = [f"field:{plain.key}", f"field:{secret.key}"]

    def choose() -> None:
        client.post(
            f"{PEOPLE}columns",
            data={"csrf_token": token(client), "columns": chosen, "order": ",".join(chosen)},
        )

    choose()
    for _look in range(2):
        shown = text(client.get(PEOPLE))
        assert "Large" in shown
        assert "Northside" in shown
    looks = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "people.sensitive")
    ).all()
    assert [line.details for line in looks] == [{"fields": [str(secret.id)], "people": 1}] * 2
    assert f"field={secret.key}" not in client.get(PEOPLE).text
    typist = make_member(here, Role.DATA_ENTRY)
    log_in(client, typist, here)
    choose()
    shown = text(client.get(PEOPLE))
    assert "Large" in shown
    assert "Northside" not in shown
    assert "Clinic used" not in shown
    for value in ("Northside", "Southside"):  # a filter tells nothing either
        assert "Choose one." in text(client.get(f"{PEOPLE}?field={secret.key}&value={value}"))
    assert db.session.scalars(
        select(ChosenColumns.columns).where(ChosenColumns.user_id == typist.id)
    ).one() == [f"field:{plain.key}"]


def test_order_and_filters_stay_in_the_address(client: Client, here: Organization) -> None:
    crowd(here)
    first = client.get(f"{PEOPLE}?sort=-name&q=n")
    assert names(first)[0] == "N119"
    following = next(h for h, given in read(first).links if given.get("rel") == "next")
    assert "sort=-name" in following
    assert "q=n" in following
    assert "mail.example" not in following  # the address bar holds nobody's name or address
    second = client.get(following)
    assert names(second)[0] == "N069"
    back = next(h for h, given in read(second).links if given.get("rel") == "prev")
    assert names(client.get(back)) == names(first)
    assert names(client.get(f"{PEOPLE}?sort=password"))[0] == "N119"
    assert 'aria-sort="descending"' in first.text


def test_filters_are_chips_that_can_be_taken_off(client: Client, here: Organization) -> None:
    zora = make_person(here, first_name="Zora")
    people.add_tag(zora, "Speaker")
    list_ = make_list(here, [zora], name="Walkers")
    db.session.commit()
    page = client.get(f"{PEOPLE}?tag=speaker&list={list_.id}&tag=gone&since=2026-01-01")
    said = text(page)
    for words in ("Tag: Speaker", "List: Walkers", "Tag: (gone)", "Added since January 1, 2026"):
        assert words in said
    assert "Nobody fits" in said
    links = {href for href, given in read(page).links if given.get("class") == "chip"}
    assert f"{PEOPLE}?tag=speaker&list={list_.id}&since=2026-01-01" in links
    assert "Zora" in text(client.get(f"{PEOPLE}?tag=speaker&list={list_.id}&since=2026-01-01"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=soon", "Write the day like 2026-06-30."),
        ("since=2026-02-02&until=2026-01-01", "The first day must not be after the last."),
        ("list=x", "Choose one."),
        ("ward=x", "Choose one."),
        ("q=a%00b", ""),
        ("field=shirt", "Write a value."),
        ("field=shirt&how=least&value=3", "Only numbers and days are more or less than others."),
        ("field=nothing&value=3", "Choose one."),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field(
    client: Client, here: Organization, query: str, words: str
) -> None:
    make_field(here, "Shirt")
    make_person(here)
    page = client.get(f"{PEOPLE}?{query}")
    assert page.status_code == 200
    assert words in text(page)
    assert "-error" in page.text
    csrf = token(client)
    answer = client.post(
        f"{PEOPLE}tags",
        data={"csrf_token": csrf, "all": "1", "at": query, "tag": "A", "action": "add"},
    )
    assert answer.status_code == 303
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 0


def test_others_lists_and_segments_are_unknown(client: Client, here: Organization) -> None:
    other = make_organization()
    list_, segment = make_list(other), make_segment(other)
    csrf = token(client)
    for query in (f"list={list_.id}", f"segment={segment.id}", f"list={uuid.uuid4()}"):
        assert client.get(f"{PEOPLE}?{query}").status_code == 404
        for path in (f"{PEOPLE}tags", f"{PEOPLE}lists"):
            data = {"csrf_token": csrf, "all": "1", "at": query, "tag": "A", "action": "add"}
            assert client.post(path, data=data).status_code == 404


def test_all_that_match_are_tagged_listed_and_back(client: Client, here: Organization) -> None:
    crowd(here)
    odd = [
        person for person in db.session.scalars(select(Person)) if person.first_name[-1] in "13579"
    ]
    tag = people.tag_named(here.id, "Odd")
    people.add_tag_to(tag, [person.id for person in odd])
    make_person(make_organization(), first_name="Foreign")
    db.session.commit()
    page = client.get(f"{PEOPLE}?tag=odd&sort=name")
    form = next(form for form in read(page).forms if form["action"] == f"{PEOPLE}tags")
    given = dict(form["fields"]) | {"all": "1"}
    assert given["at"] == "tag=odd&sort=name"
    answer = client.post(f"{PEOPLE}tags", data=given | {"tag": "Walked", "action": "add"})
    assert answer.location.endswith("?tag=odd&sort=name")
    page = client.get(answer.location)
    assert "60 people tagged." in text(page)
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 120
    undo = next(form for form in read(page).forms if form["action"].endswith("/undo"))
    client.post(undo["action"], data=dict(undo["fields"]))
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 60
    asked = client.post(f"{PEOPLE}lists", data=given | {"action": "add"})
    assert "Put 60 people on a list" in text(asked)
    again = dict(read(asked).forms[-1]["fields"])
    client.post(f"{PEOPLE}lists", data=again | {"list_name": "Odd ones"})
    made = list_by_name(here.id, "odd ones")
    assert made is not None
    assert list_sizes([made.id]) == {made.id: 60}
    off = given | {"action": "remove", "list_id": str(made.id)}
    assert "Take 60 people off a list" in text(
        client.post(f"{PEOPLE}lists", data=given | {"action": "remove"})
    )
    client.post(f"{PEOPLE}lists", data=off)
    assert list_sizes([made.id]) == {}


def test_many_go_to_a_worker_with_a_page_that_tells(
    client: Client, here: Organization, run_tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "AT_ONCE", 10)
    crowd(here)
    answer = client.post(
        f"{PEOPLE}tags",
        data={"csrf_token": token(client), "all": "1", "at": "", "tag": "W", "action": "add"},
    )
    page = client.get(answer.location)
    assert 'http-equiv="refresh"' in page.text
    assert "You can leave this page" in text(page)
    run_tasks()
    page = client.get(answer.location)
    assert "120 people tagged." in text(page)
    undo = next(form for form in read(page).forms if form["action"].endswith("/undo"))
    back = client.post(undo["action"], data=dict(undo["fields"]))
    assert back.location == answer.location
    run_tasks()
    assert "Taken back" in text(client.get(answer.location))
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 0
    other = make_organization()
    log_in(client, make_member(other), other)
    csrf = token(client)
    assert client.get(answer.location).status_code == 404
    assert client.post(undo["action"], data={"csrf_token": csrf}).status_code == 404


def test_the_count_comes_after_the_page(client: Client, here: Organization) -> None:
    crowd(here)
    page = client.get(PEOPLE)
    assert f'hx-get="{PEOPLE}count"' in page.text
    partial = client.get(f"{PEOPLE}count?q=n00", headers={"HX-Request": "true"})
    assert "10 people" in text(partial)
    assert "Select all 10 that match" in partial.text
    assert client.get(f"{PEOPLE}count?q=n00").status_code == 303
    broken = client.get(f"{PEOPLE}count?since=x", headers={"HX-Request": "true"})
    assert text(broken) == ""


def test_the_table_leads_to_a_file_of_those_found_or_ticked(
    client: Client, here: Organization, run_tasks: Any
) -> None:
    crowd(here)
    some = db.session.scalars(select(Person).order_by(Person.id).limit(2)).all()
    csrf = token(client)
    at = {"csrf_token": csrf, "at": "q=n00"}
    nobody = client.post("/organize/exports/selected", data=at)
    assert nobody.location.endswith("/organize/people/?q=n00")
    found = client.post("/organize/exports/selected", data=at | {"all": "1"})
    page = client.get(found.location)
    assert "The people that your filters found" in text(page)
    given = dict(read(page).forms[-1]["fields"]) | {"format": "csv"}
    assert (given["whom"], given["q"]) == ("found", "n00")
    moved = client.post(
        "/organize/exports/new", data=given | {"move": "up:phone", "columns": ["phone"]}
    )
    order = dict(read(moved).forms[-1]["fields"])["order"].split(",")
    assert order.index("phone") == 3
    none = client.post("/organize/exports/new", data=given | {"reason": "Walk list", "columns": []})
    assert "Tick at least one column." in text(none)
    asked = {
        "reason": "Walk list",
        "columns": ["email", "phone"],
        "order": "email,phone",
        "format": "xlsx",
    }
    answer = client.post("/organize/exports/new", data=given | asked)
    run_tasks()
    assert "10 people are in the file" in text(client.get(answer.location))
    assert "People you chose" in text(client.get(answer.location))
    file = client.get(f"{answer.location}/file")
    assert file.mimetype.endswith("spreadsheetml.sheet")
    assert ".xlsx" in file.headers["Content-Disposition"]
    ticked = client.post(
        "/organize/exports/selected", data=at | {"ids": [str(person.id) for person in some]}
    )
    page = client.get(ticked.location)
    assert "The 2 people you ticked" in text(page)
    form = read(page).forms[-1]["fields"]
    assert dict(form)["order"].startswith("email,phone")  # the columns of the last time
    data = {
        "csrf_token": csrf, "whom": "ticked", "format": "csv", "reason": "Call them",
        "ids": [value for name, value in form if name == "ids"], "columns": ["email"],
    }  # fmt: skip
    answer = client.post("/organize/exports/new", data=data)
    run_tasks()
    assert "2 people are in the file" in text(client.get(answer.location))
    exports = db.session.scalars(select(Export).order_by(Export.id)).all()
    assert [export.columns for export in exports] == [["email", "phone"], ["email"]]


def test_roles_do_what_they_may(client: Client) -> None:
    here = make_organization()
    person = make_person(here)
    list_ = make_list(here)
    log_in(client, make_member(here, Role.DATA_ENTRY), here)
    page = client.get(PEOPLE)
    assert f"{PEOPLE}lists" not in page.text
    assert "/organize/exports/selected" not in page.text
    data = {"csrf_token": token(client), "ids": [str(person.id)], "tag": "A", "action": "add"}
    assert client.post(f"{PEOPLE}lists", data=data | {"list_id": str(list_.id)}).status_code == 403
    assert client.post("/organize/exports/selected", data=data).status_code == 403
    assert client.post(f"{PEOPLE}tags", data=data).status_code == 303
    change = ManyChange(
        organization_id=here.id, act="enlist", target_id=list_.id, state="done", changed_count=1,
        created_at=person.created_at, finished_at=person.created_at,
    )  # fmt: skip
    db.session.add(change)
    db.session.commit()
    undo = f"{PEOPLE}changes/{change.id}/undo"
    assert client.post(undo, data={"csrf_token": data["csrf_token"]}).status_code == 404
    for role in (Role.VIEWER, Role.LEGAL, Role.PARTNER):
        log_in(client, make_member(here, role), here)
        for path in (PEOPLE, f"{PEOPLE}columns", f"{PEOPLE}count", f"{PEOPLE}changes/{change.id}"):
            assert client.get(path).status_code == 403


def test_hostile_words_are_shown_as_they_are(client: Client, here: Organization) -> None:
    evil = '"><script>alert(1)</script>'
    person = make_person(here, first_name=evil, source=evil[:80])
    people.add_tag(person, evil)
    db.session.commit()
    page = client.get(f"{PEOPLE}?q=alert&source={evil}&tag={evil}")
    assert "<script>alert" not in page.text
    csrf = token(client)
    for data in ({"tag": "a\x00b"}, {"tag": ""}, {"tag": "x" * 81}):
        client.post(
            f"{PEOPLE}tags",
            data={"csrf_token": csrf, "ids": [str(person.id)], "action": "add"} | data,
        )
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 1
    back = client.post(f"{PEOPLE}tags", data={"csrf_token": csrf, "at": "//evil.example?q=1"})
    assert back.location.startswith("/organize/people/")
