"""Changing many people at once: everybody meant and nobody else, in pieces, and back again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db
from campaign.errors import Gone
from campaign.lists.models import ListMember
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import services as people
from campaign.people.models import Person, PersonTag, Tag
from campaign.people.services import PersonDetails
from campaign.table import delivery, queries, services, tasks
from campaign.table.models import Act, ChangePiece, ChangeState, ManyChange
from campaign.table.rules import Asked
from tests.factories.lists import make_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.people import make_person

CROWD = 23


@pytest.fixture
def here(app: Flask) -> Organization:
    organization = make_organization()
    rows = [PersonDetails(email=f"p{n}@mail.example", source="flyer") for n in range(CROWD)]
    people.merge_people(organization.id, rows)
    make_person(make_organization(), source="flyer")
    db.session.commit()
    return organization


@pytest.fixture
def by_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is one for a worker, five people at a time."""
    monkeypatch.setattr(services, "AT_ONCE", 0)
    monkeypatch.setattr(delivery, "PIECE", 5)


def change(here: Organization, act: Act = Act.TAG, target: Any = None, **asked: Any) -> ManyChange:
    question = Asked(**({"source": "flyer"} | asked))
    found = queries.found(here.id, queries.meaning(here.id, question, with_sensitive=True))
    made = services.change_many(
        act,
        target or people.tag_named(here.id, "Walked"),
        (question, found),
        user_id=make_member(here, Role.OWNER).id,
    )
    db.session.commit()
    return made


def tagged() -> int:
    return int(db.session.scalar(select(func.count()).select_from(PersonTag)) or 0)


def test_few_are_changed_at_once_and_back(here: Organization, rung: list[Any]) -> None:
    first = db.session.scalars(select(Person).where(Person.organization_id == here.id)).first()
    assert first is not None
    people.add_tag(first, "Walked")
    made = change(here)
    assert (made.state, made.people_count, made.changed_count) == ("done", CROWD, CROWD - 1)
    assert tagged() == CROWD
    assert not rung
    assert made.asked == {}
    services.undo_change(made, user_id=make_member(here).id)
    db.session.commit()
    assert made.state == ChangeState.UNDONE
    assert db.session.scalars(select(PersonTag.person_id)).all() == [first.id]
    with pytest.raises(Gone):
        services.undo_change(made, user_id=make_member(here).id)
    actions = set(db.session.scalars(select(AuditEntry.action)))
    assert {"people.changed", "people.changed.undone"} <= actions


def test_many_are_changed_by_a_worker_and_back(
    here: Organization, by_worker: None, run_tasks: Any
) -> None:
    list_ = make_list(here)
    made = change(here, Act.ENLIST, list_)
    assert (made.state, made.is_working, made.people_count) == ("queued", True, 0)
    run_tasks()
    assert (made.state, made.done_count, made.changed_count) == ("done", CROWD, CROWD)
    assert db.session.scalar(select(func.count()).select_from(ChangePiece)) == 5
    off = change(here, Act.UNLIST, list_, list_id=list_.id)
    run_tasks()
    assert (off.state, off.changed_count) == ("done", CROWD)
    assert db.session.scalar(select(func.count()).select_from(ListMember)) == 0
    services.undo_change(off, user_id=make_member(here).id)
    db.session.commit()
    assert off.state == ChangeState.UNDOING
    run_tasks()
    assert off.state == ChangeState.UNDONE
    assert db.session.scalar(select(func.count()).select_from(ListMember)) == CROWD


def test_a_filter_that_the_change_moves_misses_nobody(
    here: Organization, by_worker: None, run_tasks: Any
) -> None:
    change(here)
    run_tasks()
    tag = db.session.scalars(select(Tag)).one()
    off = change(here, Act.UNTAG, tag, tags=("walked",))
    run_tasks()
    assert off.changed_count == CROWD
    assert tagged() == 0


def test_who_comes_in_meanwhile_is_not_meant(
    here: Organization, by_worker: None, run_tasks: Any
) -> None:
    made = change(here)
    late = make_person(here, source="flyer")
    late.created_at = clock.now() + timedelta(seconds=1)
    db.session.commit()
    run_tasks()
    assert made.people_count == CROWD
    assert late.id not in set(db.session.scalars(select(PersonTag.person_id)))


def test_a_run_that_was_killed_goes_on_where_it_was(
    here: Organization, by_worker: None, rung: list[Any]
) -> None:
    made = change(here)
    rung.clear()
    assert delivery.claim(made.id)
    steps = delivery.work(made.id)
    for _step in range(3):
        next(steps)
        db.session.commit()
    next(steps)
    steps.close()
    db.session.rollback()  # the third piece was not committed
    assert tagged() == 10
    assert not delivery.claim(made.id)  # it is alive for all we know
    db.session.commit()
    made.lease_until = clock.now() - timedelta(seconds=1)
    db.session.commit()
    tasks.tend_changes()
    ((task, arguments),) = rung
    task(*arguments)
    db.session.expire_all()
    assert (made.state, made.done_count, made.changed_count) == ("done", CROWD, CROWD)
    assert tagged() == CROWD


def test_two_at_once_do_it_once(here: Organization, by_worker: None, rung: list[Any]) -> None:
    made, other = change(here), change(here)
    rung.clear()
    first, second = delivery.work(made.id), delivery.work(made.id)
    for run in (first, second, first, second):  # two runs that both think they have it
        next(run)
        db.session.commit()
    for run in (first, second):
        for _step in run:
            db.session.commit()
    tasks.work_change(str(other.id))
    db.session.expire_all()
    assert (made.state, made.changed_count, made.done_count) == ("done", CROWD, CROWD)
    assert other.changed_count == 0
    assert tagged() == CROWD


def test_what_cannot_be_asked_any_more_changes_nobody(
    here: Organization, by_worker: None, run_tasks: Any
) -> None:
    list_ = make_list(here)
    made = change(here, list_id=list_.id)
    list_.deleted_at = clock.now()
    db.session.commit()
    run_tasks()
    assert (made.state, made.changed_count, tagged()) == ("done", 0, 0)


def test_an_erased_person_gets_no_tag_back(here: Organization) -> None:
    change(here)
    tag = db.session.scalars(select(Tag)).one()
    off = change(here, Act.UNTAG, tag)
    gone = db.session.scalars(select(Person).where(Person.organization_id == here.id)).first()
    assert gone is not None
    people.erase(gone)
    db.session.commit()
    services.undo_change(off, user_id=make_member(here).id)
    db.session.commit()
    assert tagged() == CROWD - 1


def test_the_way_back_ends_after_a_day_and_the_row_after_a_month(here: Organization) -> None:
    made = change(here)
    made.finished_at = clock.now() - timedelta(hours=24, seconds=1)
    db.session.commit()
    with pytest.raises(Gone):
        services.undo_change(made, user_id=make_member(here).id)
    made.finished_at = clock.now() - delivery.KEPT - timedelta(seconds=1)
    db.session.commit()
    tasks.tend_changes()
    assert db.session.scalar(select(func.count()).select_from(ChangePiece)) == 0
    made.finished_at = clock.now() - delivery.FORGOTTEN - timedelta(seconds=1)
    db.session.commit()
    tasks.tend_changes()
    assert db.session.scalar(select(func.count()).select_from(ManyChange)) == 0
    assert tagged() == CROWD
