"""Synthetic data: the same numbers make the same people; running again adds nobody."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db
from campaign.events.models import Occurrence, Rsvp
from campaign.operations import seed, seed_events
from campaign.people.models import Consent, Person
from campaign.petitions import queries as petitions
from campaign.petitions.models import Petition, Signature

Row = tuple[str | None, str, str, str, str]


def run(people: int, signatures: int = 0, *, number: int = 1, slug: str = "seed") -> list[int]:
    done = []
    for rows in seed.seed(people, signatures, seed_number=number, slug=slug):
        db.session.commit()
        done.append(rows)
    return done


def people() -> list[Row]:
    return [
        tuple(row)
        for row in db.session.execute(
            select(
                Person.email, Person.first_name, Person.last_name, Person.postal_code, Person.source
            ).order_by(Person.email)
        )
    ]


def test_the_same_seed_makes_the_same_people(app: Flask) -> None:
    run(40)
    first = people()
    assert len(first) == 40
    run(40)
    assert people() == first
    run(40, slug="again")
    assert sorted(people()) == sorted(first + first)


def test_another_seed_makes_another_crowd(app: Flask) -> None:
    run(40)
    first = {row[0] for row in people()}
    run(40, number=2, slug="other")
    assert len({row[0] for row in people()} - first) > 30


def test_a_larger_crowd_begins_with_the_smaller(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "BATCH", 10)
    run(20)
    first = people()
    assert run(35) == [0, 10, 10, 10, 5]
    assert set(first) <= set(people())
    assert len(people()) == 35


def test_a_run_that_was_stopped_goes_on(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "BATCH", 10)
    work = seed.seed(30, 0, seed_number=1)
    next(work)
    next(work)
    db.session.commit()
    next(work)
    work.close()
    db.session.rollback()
    assert len(people()) == 10
    run(30)
    assert len(people()) == 30


def test_signatures_are_counted_once(app: Flask) -> None:
    for _ in range(2):
        run(20, 50)
    found = db.session.scalars(select(Petition).order_by(Petition.slug)).all()
    counts = [petitions.count(petition.id) for petition in found]
    assert [count.confirmed for count in counts] == [20, 20, 10]
    assert counts == [petitions.recount(petition.id) for petition in found]
    assert db.session.query(Signature).filter(Signature.person_id.is_(None)).count() == 0


def test_most_of_them_consent_and_all_are_invented(app: Flask) -> None:
    run(200)
    share = db.session.query(Consent).count() / 200
    assert 0.7 < share < 0.9
    domains = {str(row[0]).rpartition("@")[2] for row in people()}
    assert domains <= {"example.org", "example.net", "example.com"}
    located = db.session.scalar(
        select(func.count()).select_from(Person).where(Person.district_id.is_not(None))
    )
    assert located
    assert located > 150


def test_the_command_prints_what_it_made(app: Flask) -> None:
    runner = app.test_cli_runner()
    done = runner.invoke(args=["seed", "--people", "12", "--signatures", "5"])
    assert (done.exit_code, done.output) == (
        0,
        "12 people, 5 signatures and 0 events are in seed.\n",
    )
    more = runner.invoke(args=["seed", "--people", "12", "--events", "2"])
    assert more.output == "12 people, 0 signatures and 2 events are in seed.\n"
    assert runner.invoke(args=["seed", "--people", "0"]).exit_code == 2


def test_events_have_dates_and_answers_and_come_once(app: Flask) -> None:
    for _time in range(2):
        for _rows in seed.seed(30, 0, 7, seed_number=1):
            db.session.commit()
    dates = db.session.scalars(select(Occurrence)).all()
    assert len(dates) == 7
    for date in dates:
        answers = db.session.scalars(select(Rsvp).where(Rsvp.occurrence_id == date.id)).all()
        assert len(answers) == seed_events.ANSWERS
        assert date.taken_count == sum(rsvp.seats for rsvp in answers)
        assert date.event.is_public
