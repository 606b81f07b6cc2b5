"""Finding people the way somebody types."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from campaign.db import db
from campaign.errors import NotFound
from campaign.people import queries, services
from campaign.people.models import Person
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person


@pytest.fixture
def person(app: Flask) -> Person:
    here = make_organization()
    make_person(here, first_name="Someone", last_name="Else", postal_code="60608")
    return make_person(
        here,
        email="Maria.J+list@gmail.com",
        first_name="María José",
        last_name="García-López",
        postal_code="60637",
        phone="+1 (312) 555-0142",
    )


def found(person: Person, text: str) -> list[Person]:
    return list(db.session.scalars(queries.search_people(person.organization_id, text)))


@pytest.mark.parametrize(
    "text",
    [
        "maria",
        "MARÍA",
        "jose",
        "lopez maria",
        "garcia lopez",
        "García-López, María",
        "mar gar",
        "maria.j@gmail.com",
        "MARIAJ@googlemail.com",
        "mariaj@",
        "mariaj@gm",
        "60637",
        "6063",
        "maria 60637",
        "555-0142",
        "5550142",
        "(312) 555 0142",
        "+1 312 555 0142",
        "312.555.0142",
        " maria ",
        "ｍａｒｉａ",
    ],
)
def test_found(person: Person, text: str) -> None:
    assert found(person, text) == [person]


@pytest.mark.parametrize(
    "text",
    ["marian", "aria", "maria 60608", "garcia smith", "555-0143", "60638", "%", "_", "' or 1=1 --"],
)
def test_not_found(person: Person, text: str) -> None:
    assert found(person, text) == []


def test_nothing_typed_finds_everybody(person: Person) -> None:
    assert len(found(person, "  ")) == 2


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_whatever_is_typed_it_answers(person: Person, text: str) -> None:
    assert set(found(person, text)) <= set(found(person, ""))


def test_another_organization_finds_nobody(person: Person) -> None:
    other = make_organization()
    for text in ("", "maria", "mariaj@gmail.com", "60637", "555-0142"):
        assert db.session.scalars(queries.search_people(other.id, text)).all() == []
    with pytest.raises(NotFound):
        queries.find_person(other.id, person.id)
    with pytest.raises(NotFound):
        queries.find_person(person.organization_id, uuid.uuid4())


def test_filters(person: Person) -> None:
    here = person.organization_id
    tag = services.add_tag(person, "VIP")
    assert db.session.scalars(queries.search_people(here, tag_id=tag.id)).all() == [person]
    assert len(db.session.scalars(queries.search_people(here, source="test")).all()) == 2
    assert db.session.scalars(queries.search_people(here, source="other")).all() == []


def test_filter_by_consent(app: Flask) -> None:
    here = make_organization()
    never, agreed, withdrawn = (make_person(here) for _n in range(3))
    for person in (agreed, withdrawn):
        make_consent(person, here)
    services.withdraw_consent(withdrawn, grantee_id=here.id, source="page")

    def ids(consent: str) -> set[uuid.UUID]:
        return {p.id for p in db.session.scalars(queries.search_people(here.id, consent=consent))}

    assert ids("yes") == {agreed.id}
    assert ids("withdrawn") == {withdrawn.id}
    assert ids("no") == {never.id, withdrawn.id}
    assert queries.count_people(here.id) == (3, 1)


def test_sources_are_each_named_once(app: Flask) -> None:
    here = make_organization()
    for source in ("petition", "import", "petition", "by hand"):
        make_person(here, source=source)
    make_person(make_organization(), source="elsewhere")
    assert queries.sources_of(here.id) == ["by hand", "import", "petition"]


def test_marks_of_many_are_those_in_force(app: Flask) -> None:
    here, partner = make_organization(), make_organization(name="Partner")
    person = make_person(here)
    make_consent(person, here)
    make_consent(person, partner)
    services.withdraw_consent(person, grantee_id=here.id, source="page")
    marks = queries.consents_of_many([person.id, uuid.uuid4()])
    assert [mark.grantee for mark in marks[person.id]] == ["Partner"]


def test_live_consent_stands_in_any_select(app: Flask) -> None:
    here = make_organization()
    person = make_person(here)
    make_person(here)
    make_consent(person, here)
    wanted = select(Person.id).where(queries.live_consent(here.id))
    assert db.session.scalars(wanted).all() == [person.id]
