"""A mailing in variants: who gets which, frozen once whoever does it and however often."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sqlalchemy import select

from campaign import clock
from campaign.app import create_app
from campaign.db import Model, db
from campaign.mail import services as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Content, Delivery, Scope
from campaign.mailings import contests, deciding, delivery, queries, services
from campaign.mailings.models import (
    ContestState,
    Message,
    MessageState,
    Unit,
    Verdict,
)
from campaign.people.models import Person
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.contests import click, groups, make_contest, people_in, variant
from tests.factories.mailings import (
    beat,
    deliver,
    freeze,
    make_reader,
    make_readers,
    send_out,
    to_list,
)
from tests.factories.organizations import make_organization
from tests.factories.outbox import outbox


def send(message: Message) -> None:
    services.send_message(message)
    db.session.commit()


def after_the_test(message: Message) -> None:
    """Four hours later everything that is due happens."""
    with time_machine.travel(clock.now() + timedelta(hours=4, minutes=1), tick=False):
        beat()
        freeze(message)
        deliver()
        beat()


def letters(message: Message, subject: str) -> list[str]:
    return sorted(mail.to for mail in outbox(kind="mailing") if mail.subject == subject)


# --- who gets which ------------------------------------------------------------------------------


@pytest.mark.usefixtures("app")
@hypothesis(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    readers=st.integers(2, 40),
    variants=st.integers(2, 6),
    size=st.integers(1, 100),
    unit=st.sampled_from(list(Unit)),
    limit=st.integers(1, 9),
)
def test_groups_are_disjoint_complete_and_in_proportion(
    readers: int, variants: int, size: int, unit: Unit, limit: int
) -> None:
    organization = make_organization()
    list_ = make_readers(organization, readers)
    subjects = tuple(f"Subject {number}" for number in range(variants))
    message = make_contest(organization, to_list(list_), subjects=subjects, size=size, unit=unit)
    send(message)
    freeze(message, limit=limit)
    assert message.contest is not None
    found = groups(message)
    testers = contests.testers(size, unit, readers)
    sizes = [len(found[letter]) for letter in "abcdef"[:variants]]
    if testers:
        assert sizes == contests.group_sizes(testers, variants)
        deciding.decide(message, message.contest, variant(message, "a"), Verdict.CHOSEN, [])
        db.session.commit()
        freeze(message, limit=limit)
        found = groups(message)
        everybody = [person for group in found.values() for person in group]
        assert len(everybody) == len(set(everybody)) == readers
        assert message.recipient_count == readers
        assert message.contest.state == ContestState.OVER


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("done", range(1, 12))
def test_killed_after_any_step_and_begun_again_they_are_the_same_groups(done: int) -> None:
    organization = make_organization()
    list_ = make_readers(organization, 12)
    message = make_contest(organization, to_list(list_), subjects=("", "B", "C"), size=75)
    send(message)
    assert message.contest is not None
    message_id = message.id
    for _ in range(done):
        delivery.build_outbox(message_id, limit=2)
        db.session.commit()
    if delivery.build_outbox(message_id, limit=2):
        db.session.rollback()  # this worker is killed in the middle of a step
    db.session.expire_all()
    freeze(message, limit=2)
    found = groups(message)
    assert [len(found[letter]) for letter in "abc"] == [3, 3, 3]
    drawn = sorted(
        (contests.draw_of(message, person.address_hash or ""), person.id)
        for person in db.session.scalars(
            select(Person).where(Person.organization_id == organization.id)
        )
    )
    for place, letter in enumerate("abc"):
        assert found[letter] == {row for _draw, row in drawn[place * 3 : place * 3 + 3]}
    assert message.state == MessageState.SENDING
    assert message.contest.state == ContestState.TESTING
    freeze(message)
    beat()
    assert groups(message) == found


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("done", range(7))
def test_killed_while_the_rest_is_frozen_it_is_the_same_rest(done: int) -> None:
    organization = make_organization()
    message = make_contest(organization, to_list(make_readers(organization, 14)))
    send(message)
    freeze(message)
    assert message.contest is not None
    tested = set().union(*groups(message).values())
    deciding.decide(message, message.contest, variant(message, "b"), Verdict.CHOSEN, [])
    db.session.commit()
    for _ in range(done):
        delivery.build_outbox(message.id, limit=2)
        db.session.commit()
    if delivery.build_outbox(message.id, limit=2):
        db.session.rollback()
    db.session.expire_all()
    freeze(message, limit=2)
    rest = people_in(message.batch_id)
    assert len(rest) == 7
    assert not rest & tested
    assert message.recipient_count == 14
    assert message.excluded == {}
    freeze(message)
    beat()
    assert people_in(message.batch_id) == rest


@pytest.mark.usefixtures("app")
def test_people_of_one_household_get_one_letter() -> None:
    organization = make_organization()
    for number in range(10):
        home = f"home{number}@people.example"
        make_reader(organization, email=home, first_name=f"Ana{number}")
        make_reader(organization, email=home, first_name=f"Ben{number}")
    message = make_contest(organization)
    send_out(message)
    click(message, "b", 60)
    after_the_test(message)
    sent = [one.to for one in outbox(kind="mailing")]
    assert len(sent) == len(set(sent)) == 10
    assert message.recipient_count == 10
    assert message.excluded == {"same_address": 10}


@pytest.mark.usefixtures("app")
def test_who_joins_or_changes_meanwhile_gets_one_letter() -> None:
    organization = make_organization()
    people = [make_reader(organization) for _ in range(8)]
    message = make_contest(organization)
    send_out(message)
    tested = set().union(*groups(message).values())
    waiting = [person for person in people if person.id not in tested]
    written_to = [person for person in people if person.id in tested]
    new = make_reader(organization)
    partner = make_reader(organization, email=written_to[0].email or "", first_name="Ben")
    moved = written_to[1]
    moved.email = "elsewhere@people.example"
    moved.address_hash = address_hash("elsewhere@people.example")
    db.session.commit()
    after_the_test(message)
    rest = people_in(message.batch_id)
    assert rest == {person.id for person in waiting} | {new.id}
    assert partner.id not in rest
    assert moved.id not in rest


@pytest.mark.usefixtures("app")
def test_each_variant_has_its_own_words_sender_links_and_source() -> None:
    organization = make_organization()
    body = "[Sign](http://127.0.0.1:8000/p/keep) or [come](http://127.0.0.1:8000/e/vigil)"
    message = make_contest(
        organization,
        to_list(make_readers(organization, 4)),
        size=100,
        details={"body": body, "preheader": "One minute"},
    )
    b = variant(message, "b")
    b.own_from_name, b.own_body = "Ana of the clinic", f"Two minutes. {body}"
    db.session.commit()
    send_out(message)
    links = {link.url: link.variant_id for link in queries.links_of(message.id)}
    source = f"m-{message.id.hex[-12:]}"
    assert links == {
        f"http://127.0.0.1:8000/{page}?source={source}-{letter}": variant(message, letter).id
        for page in ("p/keep", "e/vigil")
        for letter in "ab"
    }
    assert {one.subject for one in outbox(kind="mailing")} == {
        "Come on Monday",
        "Doors open on Monday",
    }
    senders = {batch.id: batch.from_name for batch in queries.batches_of(message)}
    assert senders[b.batch_id] == "Ana of the clinic"  # type: ignore[index]
    assert senders[variant(message, "a").batch_id] != "Ana of the clinic"  # type: ignore[index]
    frozen = queries.frozen_content(message, b)
    assert frozen is not None
    assert "Two minutes" in frozen.text
    assert "One minute" in frozen.html


@pytest.mark.usefixtures("app")
def test_the_rest_reads_what_was_frozen_and_counts_for_the_message() -> None:
    organization = make_organization()
    message = make_contest(organization, to_list(make_readers(organization, 8)))
    send_out(message)
    click(message, "b", 60)
    variant(message, "b").own_subject = "Changed behind its back"
    db.session.commit()
    after_the_test(message)
    content = queries.frozen_content(message)
    assert content is not None
    assert content.subject == "Doors open on Monday"
    own = [link for link in queries.links_of(message.id) if link.variant_id is None]
    assert [link.words for link in own] == ["https://example.org/look"]
    assert own[0].id.hex not in content.text
    batch = queries.batch_of(message)
    assert batch is not None
    assert db.session.get_one(Content, batch.content_id).id == content.id


@pytest.mark.usefixtures("app")
def test_an_audience_that_is_gone_is_sent_at_once() -> None:
    organization = make_organization()
    person = make_reader(organization)
    message = make_contest(organization)
    send(message)
    mail.suppress(
        person.address_hash or "",
        scope=Scope.ORGANIZATION,
        scope_id=organization.id,
        reason="unsubscribed",
    )
    db.session.commit()
    freeze(message)
    assert message.state == MessageState.SENT
    assert message.excluded == {"unsubscribed": 1}


def test_two_workers_that_freeze_at_once_make_the_same_groups(
    tmp_path: Path, worker_id: str
) -> None:
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_variants_{worker_id}"),
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
        organization = make_organization()
        message = make_contest(
            organization, to_list(make_readers(organization, 60)), subjects=("", "B", "C")
        )
        send(message)
        message_id = message.id
        db.session.remove()

    def work() -> None:
        with app.app_context():
            for _ in range(200):
                delivery.build_outbox(message_id, limit=5)
                db.session.commit()

    def race() -> None:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    race()
    with app.app_context():
        message = db.session.get_one(Message, message_id)
        assert message.contest is not None
        assert [len(groups(message)[letter]) for letter in "abc"] == [10, 10, 10]
        deciding.decide(message, message.contest, variant(message, "c"), Verdict.CHOSEN, [])
        db.session.commit()
        db.session.remove()
    race()
    with app.app_context():
        message = db.session.get_one(Message, message_id)
        everybody = list(db.session.scalars(select(Delivery.person_id)))
        assert len(everybody) == len(set(everybody)) == 60
        assert message.recipient_count == 60
        db.session.remove()
        db.engine.dispose()
