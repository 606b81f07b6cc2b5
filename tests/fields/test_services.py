"""Fields and values: what is kept, what changes, what is forgotten, what is asked."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.db import Words, db
from campaign.errors import Conflict, Invalid, NotFound
from campaign.fields import queries, services
from campaign.fields.models import CustomField, FieldValue
from campaign.lists import queries as lists
from campaign.lists import services as list_services
from campaign.lists.rules import Group, HasField, How, Match
from campaign.people.models import PersonChange
from campaign.privacy import queries as privacy_queries
from campaign.privacy import services as privacy
from tests.factories.fields import fill, make_field
from tests.factories.organizations import make_organization
from tests.factories.people import make_person

pytestmark = pytest.mark.usefixtures("app")


def details(
    name: str, kind: str = "choice", choices: list[dict[str, str]] | None = None
) -> services.FieldDetails:
    return services.FieldDetails(
        name=Words(en=name), hint=Words(), kind=kind, choices=choices or []
    )


def test_a_key_is_made_of_the_name_and_is_never_used_again() -> None:
    organization = make_organization()
    first = make_field(organization, "Local de la unión")
    services.delete_field(first, user_id=None)
    second = make_field(organization, "Local de la Union")
    third = make_field(organization, "✊")
    assert [first.key, second.key, third.key] == [
        "local_de_la_union",
        "local_de_la_union_2",
        "field",
    ]


def test_renamed_choices_keep_their_values_and_removed_ones_stay_with_people() -> None:
    organization = make_organization()
    field = make_field(organization, "Comes", "choice")
    ana, bo = make_person(organization), make_person(organization)
    fill(ana, field, "By bus")
    fill(bo, field, "by car")
    renamed = [{"en": "On the bus"}, {"en": "By car"}]
    services.change_field(field, details("Comes", choices=renamed), user_id=None)
    assert [option.value for option in field.options] == ["by_bus", "by_car"]
    more = [{"en": "On foot"}, {"en": "On the bus"}, {"en": "By bike"}]
    services.change_field(field, details("Comes", choices=more), user_id=None)
    assert [option.value for option in field.options] == ["on_foot", "by_bus", "by_bike"]
    known = {person: privacy_queries.holding_of(person).fields for person in (ana, bo)}
    assert known == {ana: [("Comes", "On the bus")], bo: [("Comes", "by_car")]}


@pytest.mark.parametrize(
    "choices",
    [[], [{"en": "one"}], [{"en": "Same"}, {"en": "sáme"}], [{"en": f"c{n}"} for n in range(101)]],
)
def test_choices_that_are_none_are_refused(choices: list[dict[str, str]]) -> None:
    with pytest.raises(Invalid) as refused:
        services.make_field(make_organization().id, details("Comes", choices=choices), user_id=None)
    assert refused.value.field == "choices_en"


def test_there_is_an_end_to_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_FIELDS", 1)
    organization = make_organization()
    make_field(organization)
    with pytest.raises(Conflict):
        make_field(organization, "Another")


def test_a_value_is_kept_changed_and_taken_away_with_its_history() -> None:
    organization = make_organization()
    field = make_field(organization, "Years", "number")
    person = make_person(organization)
    for typed in ("3", "3.0", "4", ""):
        fill(person, field, typed)
    changes = db.session.scalars(select(PersonChange.fields).order_by(PersonChange.id)).all()
    assert changes == [{"Years": ["", "3"]}, {"Years": ["3", "4"]}, {"Years": ["4", ""]}]
    assert db.session.scalar(select(func.count()).select_from(FieldValue)) == 0


def test_a_wrong_value_is_refused_by_its_key() -> None:
    organization = make_organization()
    field = make_field(organization, "Years", "number")
    with pytest.raises(Invalid) as refused:
        fill(make_person(organization), field, "many")
    assert refused.value.field == "years"


def test_history_says_of_sensitive_values_only_that_they_changed() -> None:
    organization = make_organization()
    field = make_field(organization, "Clinic", is_sensitive=True)
    person = make_person(organization)
    fill(person, field, "Woodlawn")
    assert db.session.scalars(select(PersonChange.fields)).one() == {
        "Clinic": ["", services.HIDDEN]
    }
    plain = json.dumps(privacy_queries.as_plain(privacy_queries.holding_of(person)))
    assert "Woodlawn" in plain  # to the person all is told


def test_a_deleted_field_is_told_to_the_person_and_erased_with_them() -> None:
    organization = make_organization()
    field = make_field(organization)
    person = make_person(organization)
    fill(person, field, "Local 73")
    services.delete_field(field, user_id=None)
    db.session.commit()
    assert privacy_queries.holding_of(person).fields == [("Union local", "Local 73")]
    privacy.erase_person(person)
    db.session.commit()
    assert db.session.scalar(select(func.count()).select_from(FieldValue)) == 0
    assert "Local 73" not in str(db.session.scalars(select(PersonChange.fields)).all())


def test_another_organizations_field_is_not_found() -> None:
    field = make_field(make_organization())
    with pytest.raises(NotFound):
        queries.find_field(make_organization().id, field.id)


def test_fields_change_places() -> None:
    organization = make_organization()
    fields = [make_field(organization, name) for name in ("A", "B", "C")]
    services.move_up(fields[2])
    services.move_up(fields[2])
    services.move_up(fields[2])
    db.session.commit()
    found = queries.fields_of(organization.id, with_sensitive=True)
    assert [one.key for one in found] == ["c", "a", "b"]


# --- segments --------------------------------------------------------------------------------------


def found_by(field: CustomField, how: How, value: str = "", *, is_not: bool = False) -> set[str]:
    clause = HasField(field_id=field.id, how=how, value=value, is_not=is_not)
    organization_id = field.organization_id
    people = lists.first_people(organization_id, Group(Match.ALL, (clause,)), 50)
    either = Group(Match.ANY, (clause, clause))
    assert lists.count_audience(organization_id, either) == len(people)
    return {person.first_name for person in people}


def test_a_segment_asks_for_numbers_days_texts_and_choices() -> None:
    organization = make_organization()
    kinds = {"number": "Years", "date": "Joined", "text": "Local", "choice": "Comes"}
    fields = {kind: make_field(organization, name, kind) for kind, name in kinds.items()}
    values = {
        "Ana": {"number": "9", "date": "2009-04-01", "text": "Unión 7", "choice": "bus"},
        "Bo": {"number": "10.5", "date": "2010-01-01", "text": "Union 73", "choice": "By car"},
        "Cy": {},
    }
    fields["choice"].choices = [
        {"value": "bus", "words": {"en": "By bus"}},
        {"value": "car", "words": {"en": "By car"}},
    ]
    for name, typed in values.items():
        person = make_person(organization, first_name=name)
        for kind, text in typed.items():
            fill(person, fields[kind], text)
    number, date, text, choice = fields.values()
    assert found_by(number, How.LEAST, "9.5") == {"Bo"}
    assert found_by(number, How.MOST, "10.5") == {"Ana", "Bo"}
    assert found_by(number, How.IS, "9.0") == {"Ana"}
    assert found_by(date, How.LEAST, "2009-12-31") == {"Bo"}
    assert found_by(date, How.MOST, "2009-04-01") == {"Ana"}
    assert found_by(text, How.IS, "UNION 7") == {"Ana"}
    assert found_by(text, How.BEGINS, "unión 7") == {"Ana", "Bo"}
    assert found_by(choice, How.IS, "by bus") == {"Ana"}
    assert found_by(choice, How.KNOWN) == {"Ana", "Bo"}
    assert found_by(choice, How.KNOWN, is_not=True) == {"Cy"}
    assert found_by(number, How.LEAST, "9.5", is_not=True) == {"Ana", "Cy"}


@pytest.mark.parametrize(
    ("kind", "how", "value"),
    [
        ("number", How.IS, "nine"),
        ("number", How.BEGINS, "1"),
        ("text", How.LEAST, "a"),
        ("choice", How.IS, "by train"),
        ("date", How.MOST, "31/02"),
    ],
)
def test_a_segment_that_makes_no_sense_is_refused(kind: str, how: How, value: str) -> None:
    organization = make_organization()
    clause = HasField(field_id=make_field(organization, kind=kind).id, how=how, value=value)
    with pytest.raises(Invalid):
        list_services.save_segment(organization.id, "One", Group(Match.ALL, (clause,)))


def test_a_segment_asks_for_nobody_elses_field(app: Flask) -> None:
    theirs = make_field(make_organization())
    organization = make_organization()
    make_person(organization)
    clause = HasField(field_id=theirs.id, how=How.KNOWN)
    assert lists.count_audience(organization.id, Group(Match.ALL, (clause,))) == 0
    with pytest.raises(Invalid):
        list_services.save_segment(organization.id, "One", Group(Match.ALL, (clause,)))
