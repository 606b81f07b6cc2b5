"""People in the console: who may see what, and what each button does."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import func, select

from campaign.db import db
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import queries, services
from campaign.people.models import Consent, Note, Person, PersonTag
from tests.conftest import Client
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_consent, make_person

PEOPLE = "/organize/people/"


@pytest.fixture
def here(client: Client) -> Organization:
    organization = make_organization()
    log_in(client, make_member(organization, Role.ORGANIZER, name="Olga"), organization)
    return organization


def listed(client: Client, query: str = "") -> list[str]:
    page = read(client.get(f"{PEOPLE}?{query}"))
    return [href.rsplit("/", 1)[1] for href, _given in page.links if _is_person(href)]


def _is_person(href: str) -> bool:
    return href.startswith(PEOPLE) and len(href) == len(PEOPLE) + 36 and "?" not in href


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PARTNER])
def test_viewers_and_partners_see_no_names(client: Client, role: str) -> None:
    organization = make_organization()
    person = make_person(organization, first_name="Hidden")
    log_in(client, make_member(organization, role), organization)
    for path in (PEOPLE, f"{PEOPLE}{person.id}", f"{PEOPLE}{person.id}/edit", f"{PEOPLE}new"):
        response = client.get(path)
        assert response.status_code == 403
        assert "Hidden" not in response.text


def test_strangers_are_asked_to_log_in(client: Client) -> None:
    person = make_person(make_organization())
    for path in (PEOPLE, f"{PEOPLE}{person.id}"):
        assert client.get(path).status_code == 303


def test_the_list_shows_own_people_and_their_consents(client: Client, here: Organization) -> None:
    person = make_person(here, first_name="Zora", last_name="Neale")
    make_person(make_organization(), first_name="Foreign")
    partner = make_organization(name="Partner Union")
    make_consent(person, partner)
    services.add_tag(person, "Speaker")
    db.session.commit()
    text = read(client.get(PEOPLE)).text
    assert all(word in text for word in ("Zora Neale", "Partner Union", "Speaker", "60637"))
    assert "Foreign" not in text


def test_pages_follow_each_other_without_gap_or_repeat(client: Client, here: Organization) -> None:
    rows = [services.PersonDetails(email=f"p{n}@mail.example") for n in range(120)]
    services.merge_people(here.id, rows)
    db.session.commit()
    seen: list[str] = []
    url: str | None = PEOPLE
    while url:
        page = read(client.get(url))
        seen += [href.rsplit("/", 1)[1] for href, _given in page.links if _is_person(href)]
        url = next((href for href, given in page.links if given.get("rel") == "next"), None)
    assert len(seen) == len(set(seen)) == 120


def test_search_filters_combine(client: Client, here: Organization) -> None:
    zora = make_person(here, first_name="Zora", source="petition")
    other = make_person(here, first_name="Zora", source="import")
    make_consent(zora, here)
    assert set(listed(client, "q=zora")) == {str(zora.id), str(other.id)}
    assert listed(client, "q=zora&consent=yes") == [str(zora.id)]
    assert listed(client, "q=zora&source=import") == [str(other.id)]
    assert listed(client, "q=nobody") == []
    assert "Nobody fits" in client.get(f"{PEOPLE}?q=nobody").text


def test_looking_at_the_list_is_audited_once_an_hour(client: Client, here: Organization) -> None:
    for _again in range(3):
        client.get(PEOPLE)
    entries = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == queries.LISTED)
    ).all()
    assert len(entries) == 1
    assert entries[0].organization_id == here.id


def test_adding_by_hand_with_its_basis(client: Client, here: Organization) -> None:
    response = client.submit(
        f"{PEOPLE}new",
        {
            "first_name": "Zora",
            "email": "zora@mail.example",
            "has_agreed": "y",
            "basis": "signed up at the vigil",
        },
        form="/new",
    )
    assert response.status_code == 303
    line = db.session.scalars(select(Consent)).one()
    assert (line.source, line.source_detail, line.is_granted) == (
        "by hand",
        "signed up at the vigil",
        True,
    )
    assert line.user_id is not None
    assert "signed up at the vigil" in client.get(response.location).text


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"first_name": "Zora", "email": "z@mail.example", "has_agreed": "y"}, "basis"),
        ({"first_name": "Zora", "has_agreed": "y", "basis": "told me"}, "email"),
        ({}, "first_name"),
        ({"first_name": "Zora", "email": "not an address"}, "email"),
        ({"first_name": "Zora", "phone": "12"}, "phone"),
        ({"first_name": "Zora", "postal_code": "none"}, "postal_code"),
        ({"first_name": "Zo\x00ra"}, "first_name"),
        ({"last_name": "x" * 9000}, "last_name"),
        ({"first_name": "Zora", "language": "xx"}, "language"),
    ],
)
def test_what_cannot_be_taken_is_said_at_its_field(
    client: Client, here: Organization, given: dict[str, str], field: str
) -> None:
    response = client.submit(f"{PEOPLE}new", given, form="/new")
    assert response.status_code == 200
    assert f'id="{field}-error"' in response.text
    if given.get("first_name") == "Zora":
        assert 'value="Zora"' in response.text
    assert db.session.scalar(select(func.count()).select_from(Person)) == 0


def test_adding_somebody_known_says_so(client: Client, here: Organization) -> None:
    make_person(here, email="zora@mail.example", first_name="Zora", last_name="")
    response = client.submit(
        f"{PEOPLE}new",
        {"first_name": "Zora", "email": "ZORA@mail.example", "phone": "312 555 0100"},
        form="/new",
        follow_redirects=True,
    )
    assert "This person was here already" in response.text
    assert db.session.scalars(select(Person.phone)).all() == ["312 555 0100"]


def test_editing_is_history(client: Client, here: Organization) -> None:
    person = make_person(here, first_name="Zora")
    response = client.submit(
        f"{PEOPLE}{person.id}/edit",
        {"first_name": "Nora <b>", "postal_code": ""},
        form="/edit",
        follow_redirects=True,
    )
    assert "Saved." in response.text
    assert "Nora &lt;b&gt;" in response.text
    text = read(response).text
    assert "First name: Zora → Nora <b>" in text
    assert "ZIP code: 60637 → nothing" in text
    assert "by Olga" in text


def test_an_address_two_others_have_is_refused_at_the_field(
    client: Client, here: Organization
) -> None:
    for name in ("Ana", "Beto"):
        make_person(here, email="home@mail.example", first_name=name, last_name="")
    person = make_person(here)
    response = client.submit(
        f"{PEOPLE}{person.id}/edit", {"email": "home@mail.example"}, form="/edit"
    )
    assert response.status_code == 200
    assert "Two other people have this email address already." in response.text


def test_tagging_many_and_undoing(client: Client, here: Organization) -> None:
    first, second = make_person(here), make_person(here)
    services.add_tag(first, "Speaker")
    db.session.commit()
    ids = [str(first.id), str(second.id), "no-id", str(uuid.uuid4())]
    response = client.submit(
        PEOPLE, {"ids": ids, "tag": "speaker", "action": "add"}, form="/tags", follow_redirects=True
    )
    assert "1 person tagged." in response.text
    assert len(db.session.scalars(select(PersonTag)).all()) == 2
    undo = next(form for form in read(response).forms if "/undo" in form["action"])
    client.post(undo["action"], data=dict(undo["fields"]))
    assert db.session.scalars(select(PersonTag.person_id)).all() == [first.id]


def test_untagging_many_and_undoing(client: Client, here: Organization) -> None:
    person = make_person(here)
    services.add_tag(person, "Speaker")
    db.session.commit()
    response = client.submit(
        PEOPLE,
        {"ids": [str(person.id)], "tag": "Speaker", "action": "remove"},
        form="/tags",
        follow_redirects=True,
    )
    assert db.session.scalars(select(PersonTag)).all() == []
    undo = next(form for form in read(response).forms if "/undo" in form["action"])
    client.post(undo["action"], data=dict(undo["fields"]))
    assert db.session.scalars(select(PersonTag.person_id)).all() == [person.id]


def test_a_whole_page_can_be_tagged_and_undone(client: Client, here: Organization) -> None:
    """Fifty ids in the form and in the address of the undo: within every limit."""
    rows = [services.PersonDetails(email=f"p{n}@mail.example") for n in range(50)]
    ids = [str(row.person_id) for row in services.merge_people(here.id, rows)]
    db.session.commit()
    response = client.submit(
        PEOPLE, {"ids": ids, "tag": "All", "action": "add"}, form="/tags", follow_redirects=True
    )
    assert "50 people tagged." in response.text
    undo = next(form for form in read(response).forms if "/undo" in form["action"])
    client.post(undo["action"], data=dict(undo["fields"]))
    assert db.session.scalars(select(PersonTag)).all() == []


def test_the_filter_is_kept_after_tagging(client: Client, here: Organization) -> None:
    person = make_person(here, first_name="Zora")
    response = client.submit(
        f"{PEOPLE}?q=zora", {"ids": [str(person.id)], "tag": "A", "action": "add"}, form="/tags"
    )
    assert response.location.endswith("?q=zora")


def test_tags_on_one_person(client: Client, here: Organization) -> None:
    person = make_person(here)
    path = f"{PEOPLE}{person.id}"
    client.submit(path, {"tag": "Speaker"}, form=f"{person.id}/tags")
    assert [tag.name for tag in queries.tags_of(person.id)] == ["Speaker"]
    client.submit(path, form="/remove")
    assert queries.tags_of(person.id) == []
    response = client.submit(
        path, {"tag": "x\u202ey"}, form=f"{person.id}/tags", follow_redirects=True
    )
    assert "hidden characters" in response.text


def test_a_note_is_shown_as_written(client: Client, here: Organization) -> None:
    person = make_person(here)
    response = client.submit(
        f"{PEOPLE}{person.id}",
        {"text": "Needs a ride.\n<script>x</script>"},
        form="/notes",
        follow_redirects=True,
    )
    assert "Needs a ride." in response.text
    assert "<script>x" not in response.text
    note = db.session.scalars(select(Note)).one()
    assert note.author_id is not None
    response = client.submit(
        f"{PEOPLE}{person.id}", {"text": "  "}, form="/notes", follow_redirects=True
    )
    assert "Please fill this in." in response.text


def test_withdrawing_at_request_says_who_entered_it(client: Client, here: Organization) -> None:
    person = make_person(here)
    make_consent(person, here)
    response = client.submit(f"{PEOPLE}{person.id}", form="/withdraw", follow_redirects=True)
    assert not queries.has_consent(person.id, here.id)
    assert "entered by Olga" in read(response).text
    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "consent.withdrawn")
    ).one()
    assert entry.subject_id == person.id


def test_a_consent_of_somebody_else_is_not_withdrawn(client: Client, here: Organization) -> None:
    person, other = make_person(here), make_person(here)
    make_consent(person, here)
    line = make_consent(other, here)
    response = client.submit(f"{PEOPLE}{person.id}", {"consent": str(line.id)}, form="/withdraw")
    assert response.status_code == 404
    assert queries.has_consent(other.id, here.id)


def test_another_organizations_ids_are_unknown_and_unchanged(
    client: Client, here: Organization
) -> None:
    foreign = make_person(make_organization(), first_name="Foreign")
    tag = services.add_tag(foreign, "Theirs")
    line = make_consent(foreign, here)
    own = make_person(here)
    services.add_tag(own, "Mine")
    db.session.commit()
    path = f"{PEOPLE}{foreign.id}"
    token = read(client.get(f"{PEOPLE}{own.id}")).forms[0]["fields"][0][1]
    for url in (path, f"{path}/edit", f"{path}/erase"):
        assert client.get(url).status_code == 404
    for url in (
        f"{path}/edit",
        f"{path}/tags",
        f"{path}/tags/{tag.id}/remove",
        f"{PEOPLE}{own.id}/tags/{tag.id}/remove",
        f"{path}/notes",
        f"{path}/link",
        f"{path}/withdraw",
        f"{path}/erase",
    ):
        data = {"csrf_token": token, "tag": "A", "text": "t", "first_name": "X", "word": "erase"}
        assert client.post(url, data=data | {"consent": str(line.id)}).status_code == 404, url
    client.post(
        f"{PEOPLE}tags",
        data={"csrf_token": token, "ids": [str(foreign.id)], "tag": "Mine", "action": "add"},
    )
    assert [one.name for one in queries.tags_of(foreign.id)] == ["Theirs"]
    assert queries.has_consent(foreign.id, here.id)
    assert db.session.get_one(Person, foreign.id).first_name == "Foreign"


def test_an_undo_of_another_organization_is_unknown(client: Client, here: Organization) -> None:
    person = make_person(here)
    response = client.submit(
        PEOPLE,
        {"ids": [str(person.id)], "tag": "A", "action": "add"},
        form="/tags",
        follow_redirects=True,
    )
    undo = next(form for form in read(response).forms if "/undo" in form["action"])
    elsewhere = make_organization()
    log_in(client, make_member(elsewhere), elsewhere)
    token = read(client.get(f"{PEOPLE}new")).forms[0]["fields"][0][1]
    assert client.post(undo["action"], data={"csrf_token": token}).status_code == 404
    assert client.post(f"{PEOPLE}tags/undo/x", data={"csrf_token": token}).status_code == 404
    assert len(db.session.scalars(select(PersonTag)).all()) == 1
