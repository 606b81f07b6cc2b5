"""The doorbell rule: a task leaves after the commit, once, and no request waits for the broker."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from kombu.exceptions import OperationalError
from kombu.transport import virtual
from redis.exceptions import RedisError
from sqlalchemy import text

from campaign.db import db
from campaign.worker import Doorbell, Queue, Task, _QoS, enqueue

Rung = list[tuple[Any, tuple[Any, ...]]]


class Bell:
    """A stand-in for a task: has a name and remembers how it was published."""

    def __init__(self, name: str = "tests.bell", error: Exception | None = None) -> None:
        self.name = name
        self.error = error
        self.published: list[tuple[Any, ...]] = []
        self.is_published = threading.Event()

    def apply_async(self, args: tuple[Any, ...], countdown: float | None, retry: bool) -> None:
        assert retry is False, "a broker that is down must not be waited for"
        self.published.append((args, countdown))
        self.is_published.set()
        if self.error is not None:
            raise self.error


bell = Bell()


def arguments(rung: Rung) -> list[tuple[Any, ...]]:
    return [given for _function, given in rung]


def write() -> None:
    db.session.execute(text("SELECT 1"))


def test_nothing_leaves_before_the_commit(app: Flask, rung: Rung) -> None:
    write()
    enqueue(bell, "a")
    assert rung == []
    db.session.commit()
    assert arguments(rung) == [("a",)]


def test_ids_travel_as_strings(app: Flask, rung: Rung) -> None:
    key = uuid.uuid4()
    write()
    enqueue(bell, key, 3)
    db.session.commit()
    assert arguments(rung) == [(str(key), 3)]


def test_a_rollback_forgets(app: Flask, rung: Rung) -> None:
    write()
    enqueue(bell, "a")
    db.session.rollback()
    write()
    db.session.commit()
    assert rung == []


def test_an_inner_transaction_waits_for_the_outer(app: Flask, rung: Rung) -> None:
    write()
    with db.session.begin_nested():
        enqueue(bell, "inner")
    assert rung == []
    db.session.commit()
    assert arguments(rung) == [("inner",)]


def test_an_inner_rollback_keeps_what_the_outer_asked(app: Flask, rung: Rung) -> None:
    write()
    enqueue(bell, "outer")
    nested = db.session.begin_nested()
    nested.rollback()
    db.session.commit()
    assert arguments(rung) == [("outer",)]


def test_the_same_call_leaves_once(app: Flask, rung: Rung) -> None:
    write()
    for _ in range(5):
        enqueue(bell, "a")
    enqueue(bell, "b")
    db.session.commit()
    assert arguments(rung) == [("a",), ("b",)]


def test_a_second_commit_rings_nothing_again(app: Flask, rung: Rung) -> None:
    write()
    enqueue(bell, "a")
    db.session.commit()
    write()
    db.session.commit()
    assert arguments(rung) == [("a",)]


@pytest.fixture
def doorbell() -> Doorbell:
    return Doorbell(interval=0.05)


def test_many_rings_in_a_moment_are_published_once(doorbell: Doorbell) -> None:
    quiet = Bell()
    for _ in range(1000):
        doorbell.ring(quiet, ("a",), None)
    assert doorbell.flush(5)
    assert 1 <= len(quiet.published) <= 3


def test_a_broker_that_is_down_costs_the_caller_nothing(doorbell: Doorbell) -> None:
    broken = Bell(error=OperationalError("no broker"))
    started = time.perf_counter()
    doorbell.ring(broken, ("a",), None)
    assert time.perf_counter() - started < 0.05
    assert broken.is_published.wait(5)
    assert doorbell.flush(5)
    whole = Bell("tests.other")
    doorbell.ring(whole, ("b",), None)
    assert whole.is_published.wait(5), "one failure must not silence the bell"


def test_a_slow_broker_holds_up_nobody(doorbell: Doorbell) -> None:
    gate = threading.Event()

    class Slow(Bell):
        def apply_async(self, args: Any, countdown: Any, retry: bool) -> None:
            gate.wait(5)
            super().apply_async(args, countdown, retry)

    slow = Slow()
    started = time.perf_counter()
    for n in range(100):
        doorbell.ring(slow, (n,), None)
    assert time.perf_counter() - started < 0.5
    gate.set()
    assert doorbell.flush(10)
    assert {args[0] for args, _countdown in slow.published} == set(range(100))


def test_settings_that_keep_mail_from_being_sent_twice(app: Flask) -> None:
    conf = app.extensions["celery"].conf
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result is True
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_publish_retry is False
    assert {queue.name for queue in conf.task_queues} == {queue.value for queue in Queue}


def test_a_task_runs_in_a_context_of_its_own_and_keeps_what_it_commits(app: Flask) -> None:
    celery = app.extensions["celery"]
    seen: list[Flask] = []

    @celery.task(base=Task, name="tests.context")
    def look() -> None:
        from flask import current_app

        seen.append(current_app._get_current_object())

    look()
    assert seen == [app]
    del celery.tasks["tests.context"]


def test_a_call_that_redis_could_not_be_told_about_is_not_counted_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker whose every process was busy while Redis was away takes work again."""
    monkeypatch.setattr(_QoS, "_remove_from_indices", Mock(side_effect=RedisError("gone")))
    qos = _QoS(Mock(), prefetch_count=1)
    virtual.QoS.append(qos, Mock(), "tag")
    assert not qos.can_consume()
    with pytest.raises(RedisError):
        qos.ack("tag")
    assert qos.can_consume()
