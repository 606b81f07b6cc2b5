"""Who a message reaches, and why the others do not."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from campaign.db import db, uuid7
from campaign.errors import NotFound
from campaign.lists import services as lists
from campaign.lists.rules import OnList, PostalCode
from campaign.mail import delivery as mail_delivery
from campaign.mail import services as mail
from campaign.mail.models import Delivery, Scope
from campaign.mailings import queries, services
from campaign.mailings.models import Audience, Choice, ChoiceKind
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Person
from campaign.settings import Settings
from tests.factories.lists import make_list, make_segment
from tests.factories.mailings import (
    freeze,
    make_message,
    make_reader,
    make_readers,
    send_out,
    to_list,
)
from tests.factories.organizations import make_member, make_organization
from tests.factories.petitions import make_petition, make_signature

pytestmark = pytest.mark.usefixtures("app")
Spoil = Callable[[Organization, Person], None]


def withdraw(organization: Organization, person: Person) -> None:
    people.withdraw_consent(person, grantee_id=organization.id, purpose="email", source="page")


def stop(scope: str, reason: str = "unsubscribed") -> Spoil:
    def spoil(organization: Organization, person: Person) -> None:
        scope_id = organization.id if scope == Scope.ORGANIZATION else ""
        if person.address_hash:
            mail.suppress(person.address_hash, scope=scope, scope_id=scope_id, reason=reason)

    return spoil


def lose_address(_organization: Organization, person: Person) -> None:
    person.email = person.email_key = person.address_hash = None


SPOILS: dict[str, Spoil] = {
    "no_address": lose_address,
    "no_consent": withdraw,
    "bounced": stop(Scope.ADDRESS, "hard bounce"),
    "complained": stop(Scope.ORGANIZATION, "complained"),
    "unsubscribed_everything": stop(Scope.EVERYTHING),
    "unsubscribed": stop(Scope.ORGANIZATION),
}


def everybody(organization: Organization) -> tuple[uuid.UUID, Audience]:
    return organization.id, Audience((Choice(ChoiceKind.EVERYBODY),))


@pytest.mark.parametrize("reason", SPOILS)
def test_each_reason_leaves_one_out(reason: str) -> None:
    organization = make_organization()
    make_reader(organization)
    SPOILS[reason](organization, make_reader(organization))
    reach = queries.reach(*everybody(organization))
    assert (reach.total, reach.included, reach.reasons) == (2, 1, {reason: 1})


def test_who_never_agreed_is_left_out() -> None:
    organization, other = make_organization(), make_organization()
    person = make_reader(organization, consents=False)
    people.grant_consent(person, grantee_id=other.id, source="page")  # to somebody else
    people.grant_consent(person, grantee_id=organization.id, purpose="phone", source="page")
    db.session.flush()
    assert queries.reach(*everybody(organization)).reasons == {"no_consent": 1}


def test_agreeing_again_counts_again() -> None:
    organization = make_organization()
    person = make_reader(organization)
    withdraw(organization, person)
    people.grant_consent(person, grantee_id=organization.id, source="page")
    db.session.flush()
    assert queries.reach(*everybody(organization)).included == 1


def test_another_organizations_suppression_does_not_reach_here() -> None:
    organization, other = make_organization(), make_organization()
    stop(Scope.ORGANIZATION)(other, make_reader(organization))
    assert queries.reach(*everybody(organization)).included == 1


def test_leaving_a_list_counts_for_that_list_alone() -> None:
    organization = make_organization()
    person = make_reader(organization)
    first, second = (make_list(organization, [person]) for _ in range(2))
    assert person.address_hash
    mail.suppress(person.address_hash, scope=Scope.LIST, scope_id=first.id, reason="unsubscribed")
    left = queries.reach(organization.id, Audience((to_list(first),)))
    assert left.reasons == {"unsubscribed_list": 1}
    assert queries.reach(organization.id, Audience((to_list(second),))).included == 1
    both = Audience((to_list(first), to_list(second)))
    assert queries.reach(organization.id, both).included == 1


def test_a_household_gets_one_email() -> None:
    organization = make_organization()
    first = make_reader(organization, email="home@people.example", first_name="Ana")
    second = make_reader(organization, email="home@people.example", first_name="Ben")
    assert {first.slot, second.slot} == {1, 2}
    reach = queries.reach(*everybody(organization))
    assert (reach.included, reach.reasons) == (1, {"same_address": 1})
    message = make_message(organization)
    send_out(message)
    rows = list(db.session.scalars(select(Delivery).where(Delivery.batch_id == message.batch_id)))
    assert [row.person_id for row in rows] == [first.id]
    assert message.excluded == {"same_address": 1}


def test_the_second_of_a_household_gets_it_where_the_first_does_not_want_it() -> None:
    organization = make_organization()
    first = make_reader(organization, email="home@people.example", first_name="Ana")
    second = make_reader(organization, email="home@people.example", first_name="Ben")
    withdraw(organization, first)
    db.session.commit()
    message = make_message(organization)
    send_out(message)
    rows = db.session.scalars(select(Delivery).where(Delivery.batch_id == message.batch_id))
    assert [row.person_id for row in rows] == [second.id]


def test_all_kinds_of_choices_find_their_people() -> None:
    organization = make_organization()
    petition = make_petition(organization_id=organization.id)
    listed, tagged, signer, at_60615, nobody = (
        make_reader(organization, postal_code=code)
        for code in ("60637", "60637", "60637", "60615", "60637")
    )
    list_ = make_list(organization, [listed])
    tag = people.add_tag(tagged, "Marshal")
    make_signature(petition, person=signer)
    make_signature(petition, "withdrawn", person=nobody)
    segment = make_segment(organization, PostalCode(codes=("60615",)))
    db.session.commit()
    cases = {
        to_list(list_): listed,
        Choice(ChoiceKind.TAG, tag.id): tagged,
        Choice(ChoiceKind.PETITION, petition.id): signer,
        Choice(ChoiceKind.SEGMENT, segment.id): at_60615,
    }

    def found(*include: Choice, exclude: tuple[Choice, ...] = ()) -> set[object]:
        audience = Audience(include, exclude)
        rows = queries.recipients(organization.id, audience, (), slot=1)
        return {row.person_id for row in db.session.execute(rows)}

    for choice, person in cases.items():
        assert found(choice) == {person.id}
    assert found(*cases) == {person.id for person in cases.values()}
    every = Choice(ChoiceKind.EVERYBODY)
    assert found(every, exclude=tuple(cases)) == {nobody.id}
    assert found() == set()


def test_a_segment_of_a_segment_and_one_that_is_gone() -> None:
    organization = make_organization()
    list_ = make_readers(organization, 2)
    inner = make_segment(organization, OnList(list_id=list_.id))
    audience = Audience((Choice(ChoiceKind.SEGMENT, inner.id),))
    assert queries.reach(organization.id, audience).included == 2
    gone = Audience((Choice(ChoiceKind.SEGMENT, uuid7()),))
    assert queries.reach(organization.id, gone).total == 0


def test_ids_of_another_organization_find_nobody() -> None:
    organization, other = make_organization(), make_organization()
    make_readers(organization, 2)
    theirs = make_readers(other, 3)
    petition = make_petition(organization_id=other.id)
    make_signature(petition)
    tag = people.add_tag(make_reader(other), "Theirs")
    segment = make_segment(other, OnList(list_id=theirs.id))
    for choice in (
        to_list(theirs),
        Choice(ChoiceKind.PETITION, petition.id),
        Choice(ChoiceKind.TAG, tag.id),
        Choice(ChoiceKind.SEGMENT, segment.id),
    ):
        assert queries.reach(organization.id, Audience((choice,))).total == 0
        assert queries.names_of(organization.id, [choice], "en") == {}


def test_a_message_of_another_organization_is_not_found() -> None:
    message = make_message(make_organization())
    with pytest.raises(NotFound):
        queries.message_of(make_organization().id, message.id)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.sets(st.sampled_from([*SPOILS, "listed", "excluded", "household"]), max_size=4),
        max_size=7,
    )
)
def test_included_and_left_out_are_everybody_and_what_is_frozen(
    app: Flask, kinds: list[set[str]]
) -> None:
    organization = make_organization()
    chosen, out = make_list(organization), make_list(organization)
    lists_of_people: tuple[list[Person], list[Person]] = ([], [])
    for number, kind in enumerate(kinds):
        home = f"home{organization.id.hex}@people.example"
        given_email = {"email": home} if "household" in kind else {}
        first = ("Ana", "Ben")[number % 2] if "household" in kind else f"P{number}"
        person = make_reader(organization, first_name=first, **given_email)
        for spoil in sorted(kind & set(SPOILS)):
            SPOILS[spoil](organization, person)
        if "listed" in kind:
            lists_of_people[0].append(person)
        if "excluded" in kind:
            lists_of_people[1].append(person)
    for list_, members in zip((chosen, out), lists_of_people, strict=True):
        lists.add_to_list(
            list_, [person.id for person in {one.id: one for one in members}.values()]
        )
    db.session.commit()
    audience = Audience((to_list(chosen),), (to_list(out),))
    reach = queries.reach(organization.id, audience)
    total = len({person.id for person in lists_of_people[0]})
    assert reach.total == total
    assert reach.included + sum(reach.reasons.values()) == total
    message = make_message(organization, to_list(chosen), exclude=(to_list(out),))
    services.send_message(message)
    db.session.commit()
    freeze(message)
    assert message.recipient_count == reach.included
    assert message.excluded == reach.reasons


def test_difference_from_the_last_message() -> None:
    organization = make_organization()
    old, stays, new = (make_reader(organization) for _ in range(3))
    send_out(make_message(organization, to_list(make_list(organization, [old, stays]))))
    following = make_message(organization, to_list(make_list(organization, [stays, new])))
    difference = queries.difference(following, following.chosen, 2)
    assert difference is not None
    assert (difference.both, difference.new, difference.gone) == (1, 1, 1)


def test_whom_a_stopped_message_did_not_reach_it_did_not_go_to(
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_batch_size=1)
    organization = make_organization()
    list_ = make_readers(organization, 3)
    stopped = make_message(organization, to_list(list_))
    services.send_message(stopped)
    db.session.commit()
    freeze(stopped)
    (claimed,) = mail_delivery.claim(mail_delivery.new_owner(), 1, bulk=True)
    assert mail_delivery.deliver(claimed)
    services.stop_message(stopped, user_id=make_member(organization).id)
    db.session.commit()
    following = make_message(organization, to_list(list_))
    difference = queries.difference(following, following.chosen, 3)
    assert difference is not None
    assert (difference.both, difference.new, difference.gone) == (1, 2, 0)


def test_unsubscribes_belong_to_the_message_that_was_read_last() -> None:
    organization = make_organization()
    person = make_reader(organization)
    first, second = (make_message(organization) for _ in range(2))
    send_out(first)
    send_out(second)
    assert first.started_at
    first.started_at -= timedelta(days=1)
    assert person.address_hash
    mail.suppress(
        person.address_hash,
        scope=Scope.ORGANIZATION,
        scope_id=organization.id,
        reason="unsubscribed",
    )
    db.session.commit()
    assert (queries.unsubscribed(first), queries.unsubscribed(second)) == (0, 1)


@pytest.mark.parametrize(
    ("complained", "delivered", "warns"),
    [(0, 10, False), (1, 10, False), (2, 10, True), (2, 1998, False), (3, 1998, True)],
)
def test_more_than_one_complaint_in_a_thousand_warns(
    complained: int, delivered: int, warns: bool
) -> None:
    counts = {"complained": complained, "delivered": delivered}
    state = queries.Progress("sent", complained + delivered, counts)
    assert state.has_complaints is warns
