"""Who is one person, and what the ledger says after any history."""

from __future__ import annotations

import threading
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from campaign.app import create_app
from campaign.db import Model, db
from campaign.errors import Conflict, Invalid
from campaign.mail.freezing import add_recipients
from campaign.mail.letters import Letter
from campaign.mail.models import Delivery
from campaign.mail.services import create_batch
from campaign.organizations.services import sender_of
from campaign.people import queries, services
from campaign.people.models import Consent, Person, PersonChange, PersonTag, PersonWord
from campaign.people.services import PersonDetails, Verdict
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person

ANY_FIXTURE = [HealthCheck.function_scoped_fixture]


def details(email: str = "home@mail.example", first: str = "Ana", last: str = "Ruiz", **more: str):
    given = {"postal_code": "60637"} | more
    return PersonDetails(email=email, first_name=first, last_name=last, **given)


# --- who is who --------------------------------------------------------------------------------


def test_the_same_address_in_any_spelling_is_one_person(app: Flask) -> None:
    here = make_organization().id
    one = services.get_or_add_person(here, details("Ana.Ruiz+stop@GMAIL.com"))
    same = services.get_or_add_person(here, details("anaruiz@googlemail.com"))
    assert one.id == same.id
    assert one.email == "Ana.Ruiz+stop@GMAIL.com"


def test_organizations_know_each_their_own(app: Flask) -> None:
    one = services.get_or_add_person(make_organization().id, details())
    other = services.get_or_add_person(make_organization().id, details())
    assert one.id != other.id


def test_a_household_shares_an_address(app: Flask) -> None:
    here = make_organization().id
    ana = services.get_or_add_person(here, details(first="Ana"))
    beto = services.get_or_add_person(here, details(first="Beto"))
    carla = services.get_or_add_person(here, details(first="Carla"))
    assert (ana.slot, beto.slot) == (1, 2)
    assert carla.id in {ana.id, beto.id}
    assert services.get_or_add_person(here, details(first="beto")).id == beto.id


def test_a_third_goes_to_whoever_fits_best(app: Flask) -> None:
    here = make_organization().id
    services.get_or_add_person(here, details(first="Ana", last="Ruiz"))
    beto = services.get_or_add_person(here, details(first="Beto", last="Soto"))
    assert services.get_or_add_person(here, details(first="Carla", last="Soto")).id == beto.id


def test_another_name_from_elsewhere_is_the_same_person(app: Flask) -> None:
    here = make_organization().id
    ana = services.get_or_add_person(here, details(first="Ana"))
    moved = services.get_or_add_person(here, details(first="Anita", postal_code="60608"))
    assert moved.id == ana.id
    assert moved.first_name == "Ana"


def test_what_another_name_wrote_is_not_mixed_in(app: Flask) -> None:
    here = make_organization().id
    ana = services.get_or_add_person(here, details(first="Ana", postal_code=""))
    carla = details(first="Carla", phone="312 555 0100")
    assert services.get_or_add_person(here, carla).id == ana.id
    assert (ana.postal_code, ana.phone) == ("", "")


def test_blanks_are_filled_and_nothing_else(app: Flask) -> None:
    here = make_organization().id
    person = services.get_or_add_person(here, PersonDetails(email="home@mail.example"))
    services.get_or_add_person(here, details(phone="312 555 0100"))
    services.get_or_add_person(here, details(phone="312 555 0199"))
    assert (person.first_name, person.postal_code, person.phone) == ("Ana", "60637", "312 555 0100")
    assert db.session.scalars(queries.search_people(here, "ruiz")).all() == [person]


def test_without_an_address_everybody_is_new(app: Flask) -> None:
    here = make_organization().id
    one = services.get_or_add_person(here, details(email=""))
    other = services.get_or_add_person(here, details(email=""))
    assert one.id != other.id


def test_twenty_at_once_add_one_person(tmp_path: Path, worker_id: str) -> None:
    """The race itself, with a database and connections of its own."""
    url = database_url(f"campaign_race_{worker_id}") or f"sqlite:///{tmp_path}/race.db"
    app = create_app(Settings(secret_key=TEST_KEY, data_dir=tmp_path, database_url=url))
    with app.app_context():
        Model.metadata.create_all(db.engine)
        here = make_organization().id
        db.session.commit()
    found: list[uuid.UUID] = []
    failures: list[Exception] = []
    gate = threading.Barrier(20)

    def add(n: int) -> None:
        with app.app_context():
            try:
                gate.wait(10)
                spelling = ["Home@mail.example", "home+a@MAIL.example", "HOME@mail.example"][n % 3]
                person = services.get_or_add_person(here, details(spelling))
                found.append(person.id)
                db.session.commit()
            except Exception as error:  # noqa: BLE001 - the main thread looks at it
                failures.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=add, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with app.app_context():
        assert failures == []
        assert len(found) == 20
        assert len(set(found)) == 1
        assert db.session.scalar(select(func.count()).select_from(Person)) == 1
        assert db.session.scalar(select(func.count()).select_from(PersonWord)) == 2
        db.session.remove()
        db.engine.dispose()


NAMES = st.sampled_from(["Ana", "ana", "Beto", "Carla", ""])
CODES = st.sampled_from(["60637", "60637-1234", "60608", ""])


@settings(max_examples=60, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(rows=st.lists(st.tuples(NAMES, CODES), min_size=1, max_size=8))
def test_an_address_never_holds_more_than_two(app: Flask, rows: list[tuple[str, str]]) -> None:
    here = make_organization().id
    ids = {
        services.get_or_add_person(here, details(first=first, last="", postal_code=code)).id
        for first, code in rows
    }
    people = db.session.scalars(select(Person).where(Person.organization_id == here)).all()
    assert {person.id for person in people} == ids
    assert len(people) <= 2
    assert len({person.slot for person in people}) == len(people)


@settings(max_examples=60, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(rows=st.lists(st.tuples(NAMES, CODES), min_size=1, max_size=8))
def test_many_at_once_is_one_after_the_other(app: Flask, rows: list[tuple[str, str]]) -> None:
    one, many = make_organization().id, make_organization().id
    given = [details(first=first, last="", postal_code=code) for first, code in rows]
    single = [services.get_or_add_person(one, row).slot for row in given]
    merged = services.merge_people(many, given)
    slots = {person.id: person.slot for person in db.session.scalars(queries.people_of(many))}
    assert [slots[row.person_id] for row in merged] == single
    assert sum(row.verdict == Verdict.ADDED for row in merged) == len(slots)
    for _again in range(4):  # a row may tell more about the ones before it: then it settles
        before = services.merge_people(many, given)
    after = services.merge_people(many, given)
    assert {row.verdict for row in after} == {Verdict.UNCHANGED}
    assert [row.person_id for row in after] == [row.person_id for row in before]


def test_merging_over_replaces_what_a_row_says_and_respells_names_only(app: Flask) -> None:
    here = make_organization().id
    person = make_person(
        here, email="home@mail.example", first_name="jose", last_name="Ruiz", postal_code="60637"
    )
    row = details(first="José", last="Ruiz", postal_code="60608", phone="312 555 0100")
    merged = services.merge_people(here, [row], is_overwriting=True)
    assert [one.verdict for one in merged] == [Verdict.UPDATED]
    assert (person.first_name, person.postal_code) == ("José", "60608")
    assert db.session.scalars(select(PersonChange.fields)).one() == {
        "first_name": ["jose", "José"],
        "postal_code": ["60637", "60608"],
        "phone": ["", "312 555 0100"],
    }


# --- the ledger --------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=10)


@settings(max_examples=80, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(steps=STEPS)
def test_a_consent_is_live_if_and_only_if_the_last_step_granted(
    app: Flask, steps: list[tuple[bool, int]]
) -> None:
    grantee = make_organization()
    person = make_person(grantee)
    wordings = [
        services.wording_for(grantee.id, language="en", text=f"Words {n}").id for n in range(3)
    ]
    for grants, n in steps:
        if grants:
            services.grant_consent(
                person, grantee_id=grantee.id, wording_id=wordings[n], source="page"
            )
        else:
            services.withdraw_consent(person, grantee_id=grantee.id, source="page")
    expected = bool(steps) and steps[-1][0]
    live = select(Person.id).where(queries.live_consent(grantee.id), Person.id == person.id)
    assert (db.session.scalar(live) is not None) is expected
    assert queries.has_consent(person.id, grantee.id) is expected
    lines = queries.consents_of(person.id)
    assert all(
        not (one.is_granted == other.is_granted and one.wording_id == other.wording_id)
        for one, other in pairwise(lines)
    )


def test_grants_to_one_are_not_grants_to_another(app: Flask) -> None:
    one, other = make_organization(), make_organization()
    person = make_person(one)
    make_consent(person, other)
    make_consent(person, one, purpose="text")
    assert queries.has_consent(person.id, other.id)
    assert not queries.has_consent(person.id, one.id)
    assert queries.has_consent(person.id, one.id, "text")


def test_a_line_is_last_even_if_another_clock_was_ahead(app: Flask) -> None:
    grantee = make_organization()
    person = make_person(grantee)
    line = make_consent(person, grantee)
    ahead = uuid.UUID(int=line.id.int + (10**9 << 80))
    db.session.add(
        Consent(
            id=ahead,
            organization_id=grantee.id,
            person_id=person.id,
            grantee_id=grantee.id,
            purpose="email",
            is_granted=True,
            source="page",
            at=line.at,
        )
    )
    db.session.flush()
    withdrawal = services.withdraw_consent(person, grantee_id=grantee.id, source="page")
    assert withdrawal is not None
    assert withdrawal.id > ahead
    assert not queries.has_consent(person.id, grantee.id)


def test_mail_that_waits_goes_with_the_consent(app: Flask) -> None:
    grantee = make_organization()
    gone, stays = make_person(grantee), make_person(grantee)
    for person in (gone, stays):
        make_consent(person, grantee)
    batch = create_batch(
        organization_id=grantee.id,
        kind="message",
        key="one",
        letter=Letter("News", "News", "<p>News</p>"),
        sender=sender_of(grantee),
    )
    add_recipients(
        batch,
        select(
            Person.id.label("person_id"),
            Person.email.label("address"),
            Person.address_hash,
        ).where(Person.organization_id == grantee.id),
    )
    services.withdraw_consent(gone, grantee_id=grantee.id, source="preferences")
    states = {row.person_id: row.state for row in db.session.scalars(select(Delivery))}
    assert states == {gone.id: "cancelled", stays.id: None}


def test_new_words_are_a_new_version(app: Flask) -> None:
    grantee = make_organization().id
    first = services.wording_for(grantee, language="en", text="You may email me.")
    assert services.wording_for(grantee, language="en", text=" You may  email me. ").id == first.id
    second = services.wording_for(grantee, language="en", text="You may email me!")
    spanish = services.wording_for(grantee, language="es", text="You may email me.")
    assert (first.version, second.version, spanish.version) == (1, 2, 1)


def test_by_hand_with_a_basis_is_a_line_and_without_none(app: Flask) -> None:
    here = make_organization().id
    user = uuid.uuid4()
    person, is_new = services.add_by_hand(
        here, details(), basis="told me at the vigil", user_id=user
    )
    assert is_new
    line = queries.consents_of(person.id)[0]
    assert (line.source_detail, line.user_id, line.grantee_id) == (
        "told me at the vigil",
        user,
        here,
    )
    again, is_new = services.add_by_hand(here, details(), basis="", user_id=user)
    assert (again.id, is_new) == (person.id, False)
    assert len(queries.consents_of(person.id)) == 1


# --- change, tag, note -------------------------------------------------------------------------


def test_a_change_keeps_what_was(app: Flask) -> None:
    person = make_person(make_organization(), first_name="Ana", phone="312 555 0100")
    changed = PersonDetails(
        email=person.email or "",
        first_name="Anita",
        last_name=person.last_name,
        postal_code="60637",
    )
    assert services.change_person(person, changed, user_id=None)
    assert not services.change_person(person, changed, user_id=None)
    assert db.session.scalars(select(PersonChange.fields)).one() == {
        "first_name": ["Ana", "Anita"],
        "phone": ["312 555 0100", ""],
    }
    found = db.session.scalars(queries.search_people(person.organization_id, "anita")).all()
    assert found == [person]
    assert db.session.scalars(queries.search_people(person.organization_id, "ana")).all() == []


def test_a_change_of_address_takes_a_free_place_or_none(app: Flask) -> None:
    here = make_organization().id
    services.get_or_add_person(here, details(first="Ana"))
    services.get_or_add_person(here, details(first="Beto"))
    third = make_person(here)
    with pytest.raises(Conflict):
        services.change_person(third, details(first="Carla"), user_id=None)
    assert services.change_person(third, details("free@mail.example"), user_id=None)
    assert third.email_key == "free@mail.example"
    assert services.get_or_add_person(here, details("free@mail.example")).id == third.id


def test_tags_are_one_whatever_the_spelling(app: Flask) -> None:
    person = make_person(make_organization())
    tag = services.add_tag(person, "Canvasser")
    assert services.add_tag(person, " canvassér ").id == tag.id
    assert db.session.scalar(select(func.count()).select_from(PersonTag)) == 1
    services.remove_tag(person, "CANVASSER")
    assert queries.tags_of(person.id) == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_tag_needs_a_name_that_fits(app: Flask, name: str) -> None:
    with pytest.raises(Invalid):
        services.add_tag(make_person(make_organization()), name)


def test_a_tag_reaches_people_of_its_own_organization_alone(app: Flask) -> None:
    mine, theirs = make_person(make_organization()), make_person(make_organization())
    tag = services.tag_named(mine.organization_id, "VIP")
    assert services.add_tag_to(tag, [mine.id, theirs.id]) == [mine.id]
    assert services.add_tag_to(tag, [mine.id]) == []
    assert queries.tags_of(theirs.id) == []


def test_an_empty_note_is_none(app: Flask) -> None:
    with pytest.raises(Invalid):
        services.add_note(make_person(make_organization()), " \n", author_id=None)


def test_an_erased_person_is_nobody(app: Flask) -> None:
    organization = make_organization()
    person = make_person(organization, email="home@mail.example")
    make_consent(person, organization)
    services.erase(person)
    assert queries.is_erased(person.id)
    assert db.session.scalars(queries.search_people(organization.id)).all() == []
    assert not queries.has_consent(person.id, organization.id)
    again = services.get_or_add_person(organization.id, details())
    assert again.id != person.id
