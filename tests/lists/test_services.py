"""Lists and segments: made, filled, deleted and brought back."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db
from campaign.errors import Conflict, Invalid, NotFound
from campaign.lists import queries, services
from campaign.lists.models import ListMember
from campaign.lists.rules import EVERYBODY, Group, InSegment, OnList, Tagged
from campaign.organizations.models import AuditEntry
from campaign.people import services as people
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import make_organization
from tests.factories.people import make_person


def members(list_id: uuid.UUID) -> set[uuid.UUID]:
    return set(db.session.scalars(queries.people_in_list(list_id)))


def test_names_are_one_whatever_their_case_in_one_organization(app: Flask) -> None:
    mine, other = make_organization(), make_organization()
    list_ = services.create_list(mine.id, "  Phone   tree ")
    assert list_.name == "Phone tree"
    services.create_list(other.id, "Phone tree")
    for name in ("PHONE TREE", "", "x" * 121, "a\nb", "\u202eabc", "a\x00b"):
        with pytest.raises(Invalid) as caught:
            services.create_list(mine.id, name)
        assert caught.value.field == "name"
    services.change_list(list_, "phone tree", "for emergencies")
    assert services.get_or_create_list(mine.id, "Phone Tree").id == list_.id


def test_adding_passes_over_strangers_and_twice_is_once(app: Flask) -> None:
    mine, other = make_organization(), make_organization()
    person, erased, theirs = make_person(mine), make_person(mine), make_person(other)
    people.erase(erased)
    list_ = services.create_list(mine.id, "One")
    ids = [person.id, erased.id, theirs.id, uuid.uuid4()]
    assert services.add_to_list(list_, ids) == [person.id]
    assert services.add_to_list(list_, ids) == []
    assert members(list_.id) == {person.id}
    assert services.remove_from_list(list_, ids) == [person.id]
    assert members(list_.id) == set()


def test_a_segment_fills_a_list_in_one_statement(app: Flask) -> None:
    mine, other = make_organization(), make_organization()
    ann, bo, theirs = make_person(mine), make_person(mine), make_person(other)
    tag = people.add_tag(ann, "press")
    people.add_tag(theirs, "press")
    segment = make_segment(mine, Tagged(tag_id=tag.id))
    list_ = make_list(mine)
    assert services.add_found_to_list(list_, queries.people_in_segment(segment)) == 1
    assert services.add_found_to_list(list_, queries.people_in_segment(segment)) == 0
    assert services.add_found_to_list(list_, queries.audience(mine.id, EVERYBODY)) == 1
    assert members(list_.id) == {ann.id, bo.id}
    assert services.add_found_to_list(list_, queries.audience(other.id, EVERYBODY)) == 0


def test_pasted_addresses_find_the_people_we_know(app: Flask) -> None:
    mine, other = make_organization(), make_organization()
    ann = make_person(mine, email="ann.lee@gmail.com")
    bo = make_person(mine, email="bo@example.org", first_name="Bo", last_name="May")
    cy = make_person(mine, email="bo@example.org", first_name="Cy", last_name="May")
    make_person(other, email="theirs@example.org")
    list_ = make_list(mine, [bo])
    pasted = services.add_addresses(
        list_,
        'Ann <AnnLee+x@googlemail.com>; "Bo" <BO@example.org>,\ntheirs@example.org who@x.example',
    )
    assert set(pasted.added) == {ann.id, cy.id}
    assert pasted.already_count == 1
    assert pasted.unknown == ["theirs@example.org", "who@x.example"]
    for text in ("", "nobody here", " ".join(f"p{n}@example.org" for n in range(5001))):
        with pytest.raises(Invalid):
            services.add_addresses(list_, text)


def test_a_deleted_list_finds_nobody_and_comes_back_with_its_people(app: Flask) -> None:
    organization = make_organization()
    person = make_person(organization)
    list_ = make_list(organization, [person], name="Paper")
    services.delete_list(list_)
    assert members(list_.id) == set()
    rule = Group(rules=(OnList(list_id=list_.id),))
    assert queries.count_audience(organization.id, rule) == 0
    with pytest.raises(NotFound):
        queries.find_list(organization.id, list_.id)
    again = services.create_list(organization.id, "Paper")
    services.restore(queries.find_list(organization.id, list_.id, is_deleted=True))
    assert members(list_.id) == {person.id}
    assert list_.name != again.name
    actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.n)))
    assert actions == ["list.deleted", "list.restored"]


def test_what_a_segment_asks_for_cannot_be_deleted(app: Flask) -> None:
    organization = make_organization()
    list_ = make_list(organization)
    inner = make_segment(organization, OnList(list_id=list_.id))
    outer = make_segment(organization, InSegment(segment_id=inner.id, is_not=True), name="Outer")
    for thing, remove in ((list_, services.delete_list), (inner, services.delete_segment)):
        with pytest.raises(Conflict):
            remove(thing)  # type: ignore[operator]
    services.delete_segment(outer)
    services.delete_segment(inner)
    services.delete_list(list_)


def test_erasure_takes_a_person_off_every_list(app: Flask) -> None:
    organization = make_organization()
    person = make_person(organization)
    make_list(organization, [person])
    services.forget_person(person.id)
    assert db.session.scalar(select(func.count()).select_from(ListMember)) == 0
