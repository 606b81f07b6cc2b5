"""What wakes the senders: rung after commit, heard by the beat if it was not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from campaign.db import db
from campaign.mail import delivery, services, tasks
from campaign.mail.models import Chunk, DeliveryState, MailboxMessage
from campaign.settings import Settings
from tests.factories.mail import LETTER, make_batch, queue, states_of

pytestmark = pytest.mark.usefixtures("app")

Rung = list[tuple[Any, tuple[Any, ...]]]


def names(rung: Rung) -> list[tuple[str, tuple[Any, ...]]]:
    return [(function.name.rsplit(".", 1)[-1], arguments) for function, arguments in rung]


def test_a_single_email_rings_once_and_only_after_the_commit(rung: Rung) -> None:
    for n in range(3):
        services.queue_email(f"a{n}@b.example", LETTER, organization_id=None, kind="test")
    assert rung == []
    db.session.commit()
    assert names(rung) == [("deliver_transactional", ())]


def test_a_rollback_rings_nothing_and_queues_nothing(rung: Rung) -> None:
    services.queue_email("a@b.example", LETTER, organization_id=None, kind="test")
    db.session.rollback()
    assert rung == []
    assert db.session.scalars(select(Chunk)).all() == []
    services.queue_email("a@b.example", LETTER, organization_id=None, kind="test")
    db.session.commit()
    delivery.work(bulk=False, seconds=2)
    assert len(db.session.scalars(select(MailboxMessage)).all()) == 1


def test_a_mailing_rings_one_task_for_each_lane_whatever_its_size(
    rung: Rung, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_connections=3, mail_batch_size=2)
    make_batch(40)
    assert names(rung) == [("deliver_bulk", (lane,)) for lane in range(3)]


def test_rung_tasks_send(run_tasks: Callable[[], int]) -> None:
    batch = make_batch(3)
    queue("ada@people.example")
    assert run_tasks() > 0
    assert states_of(batch) == ["accepted"] * 3
    assert len(db.session.scalars(select(MailboxMessage)).all()) == 4


def test_the_beat_hears_what_the_doorbell_lost(rung: Rung, run_tasks: Callable[[], int]) -> None:
    make_batch(2)
    queue("ada@people.example")
    rung.clear()
    tasks.wake()
    assert {name for name, _ in names(rung)} == {"deliver_transactional", "deliver_bulk"}
    run_tasks()
    tasks.wake()
    assert rung == [], "nothing due rings nothing"


def test_the_beat_wakes_only_the_lanes_that_sleep(
    rung: Rung, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_connections=3, mail_batch_size=1)
    make_batch(9)
    delivery.claim("one", 2, bulk=True)
    delivery.claim("two", 2, bulk=True)
    rung.clear()
    tasks.wake()
    assert names(rung) == [("deliver_bulk", (2,))]


def test_a_task_that_ran_out_of_time_rings_for_the_rest(
    rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RUN_SECONDS", 0.0)
    make_batch(2)
    rung.clear()
    tasks.deliver_bulk(1)
    assert names(rung) == [("deliver_bulk", (1,))]


def test_the_sweep_gives_back_and_works_in(run_tasks: Callable[[], int]) -> None:
    batch = make_batch(2)
    delivery.claim("dead", 1, bulk=True)
    past = __import__("datetime").timedelta(minutes=5)
    from campaign import clock

    db.session.execute(update(Chunk).values(lease_until=clock.now() - past))
    db.session.commit()
    tasks.sweep()
    assert states_of(batch) == [DeliveryState.QUEUED] * 2
