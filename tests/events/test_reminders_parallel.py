"""Reminders with several workers at once, on a database of their own."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from campaign import clock
from campaign.app import create_app
from campaign.db import Model, db
from campaign.events import delivery, notices, rounds, tasks
from campaign.events.models import Notice, Occurrence, Reminder, ReminderState, Rsvp, RsvpState
from campaign.mail import delivery as mail_delivery
from campaign.mail import queries as mail_queries
from campaign.mail import sweeping
from campaign.mail.models import Batch, Chunk, Content, Delivery, MailboxMessage
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.mail.test_parallel import together

WORKERS = 3
PEOPLE = 60


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Flask]:
    """An application with a database that other connections see, too."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_remind_{worker}"),
            mail_batch_size=5,
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


def begin(app: Flask, *, minutes_ahead: int, offset: str, people: int = PEOPLE) -> datetime:
    """An event of some minutes from now with one reminder; returns its start."""
    with app.app_context():
        soon = clock.now() + timedelta(minutes=minutes_ahead)
        wall = soon.astimezone(clock.zone("America/Chicago")).replace(tzinfo=None)
        event = make_event(
            starts_wall=wall.isoformat(timespec="minutes"), reminders=[offset], asks_after=False
        )
        for number in range(people):
            make_rsvp(event, first_name=f"N{number}", language="es" if number % 3 else "en")
        occurrence = occurrence_of(event)
        delivery.plan_reminders(occurrence)
        db.session.commit()
        return occurrence.starts_at


def sent(kind: str) -> list[tuple[str, str]]:
    """(batch key, address) of each e-mail that left."""
    rows = (
        select(Batch.key, MailboxMessage.address)
        .join(Delivery, Delivery.id == MailboxMessage.delivery_id)
        .join(Batch, Batch.id == Delivery.batch_id)
        .where(Batch.kind == kind)
    )
    return [(key, address) for key, address in db.session.execute(rows)]


def versions_sent() -> set[int]:
    """The versions of which some reminder has left."""
    keys = {key for key, _ in sent(notices.REMINDER)}
    return {row.time_version for row in db.session.scalars(select(Reminder)) if str(row.id) in keys}


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, 10 seconds at most."""
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        db.session.commit()
        time.sleep(0.02)
    db.session.commit()


def test_three_beats_do_no_more_than_one(own: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PEOPLE_AT_ONCE", 7)
    begin(own, minutes_ahead=60, offset="90m")
    with own.app_context():
        reminder = db.session.scalars(select(Reminder)).one()
        reminder.state, reminder.reason = ReminderState.PLANNED, ""
        db.session.commit()

    def beat() -> None:
        while rounds.queue_due(clock.now(), limit=7):
            db.session.commit()
        db.session.commit()

    together(own, *[beat] * WORKERS, *[tasks.queue_due] * WORKERS)
    with own.app_context():
        tasks.queue_due()
        reminder = db.session.scalars(select(Reminder)).one()
        assert (reminder.state, reminder.recipient_count) == ("queued", PEOPLE)
    together(own, *[lambda: mail_delivery.work(bulk=True, seconds=20)] * WORKERS)
    with own.app_context():
        counts = Counter(address for _, address in sent(notices.REMINDER))
        assert len(counts) == PEOPLE
        assert set(counts.values()) == {1}
        assert mail_queries.invariants()["ok"]


def test_taken_back_while_it_is_queued_and_sent_nobody_is_reminded_after_that(own: Flask) -> None:
    begin(own, minutes_ahead=60, offset="61m")
    with own.app_context():
        reminder = db.session.scalars(select(Reminder)).one()
        reminder.state, reminder.reason = ReminderState.PLANNED, ""
        ids = list(db.session.scalars(select(Rsvp.id).order_by(Rsvp.id)))
        db.session.commit()
    stopped_before: dict[str, int] = {}

    def beat() -> None:
        while rounds.queue_due(clock.now(), limit=7):
            db.session.commit()
        db.session.commit()

    def take_back() -> None:
        for rsvp_id in ids[::2]:
            rsvp = db.session.get_one(Rsvp, rsvp_id)
            rsvp.state = RsvpState.CANCELLED
            delivery.stop_for(rsvp)
            db.session.commit()
            already = select(MailboxMessage.id).where(MailboxMessage.address == rsvp.email)
            stopped_before[str(rsvp.email)] = len(db.session.scalars(already).all())
            db.session.commit()

    together(own, beat, take_back, lambda: mail_delivery.work(bulk=True, seconds=5))
    with own.app_context():
        beat()
        attempting = select(Chunk.id).where(Chunk.state == "attempting")
        assert db.session.scalars(attempting).all() == []
        before = {address for _, address in sent(notices.REMINDER)}
        mail_delivery.work(bulk=True, seconds=20)
        after = {address for _, address in sent(notices.REMINDER)} - before
        gone = set(stopped_before)
        assert not after & gone, "what was cancelled in time did not leave later"
        stays = {rsvp.email for rsvp in db.session.scalars(select(Rsvp)) if rsvp.email not in gone}
        assert stays <= before | after
        assert mail_queries.invariants()["ok"]


def test_moved_thirty_times_while_reminders_go_out(own: Flask) -> None:
    """At most one reminder for each person and version; the last word of all is the last time."""
    start = begin(own, minutes_ahead=24 * 60, offset="180m", people=12)
    begun = time.time()
    travel = start - timedelta(hours=3)
    is_over = threading.Event()
    sequences: list[int] = []

    def mover() -> None:
        for number in range(30):
            occurrence = db.session.scalars(
                select(Occurrence)
                .with_for_update(of=Occurrence)
                .execution_options(populate_existing=True)
            ).one()
            before = occurrence.starts_wall
            wall = datetime.fromisoformat(before) + timedelta(minutes=16)
            occurrence.starts_wall = wall.isoformat(timespec="minutes")
            occurrence.starts_at = clock.to_utc(wall, occurrence.event.zone)
            occurrence.ends_at = occurrence.starts_at + timedelta(minutes=90)
            occurrence.sequence += 1
            occurrence.time_version += 1
            delivery.plan_reminders(occurrence)
            delivery.tell_change(occurrence, what=["time"], before=before)
            db.session.execute(  # its hour has come already
                update(Reminder)
                .where(Reminder.state == ReminderState.PLANNED)
                .values(due_at=clock.now())
            )
            sequences.append(occurrence.sequence)
            db.session.commit()
            if number % 3 == 0:
                until(lambda version=occurrence.time_version: version in versions_sent())
            else:
                time.sleep(0.05)
        is_over.set()

    def until_over(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            while not is_over.is_set() and time.time() < begun + 90:
                work()
                db.session.commit()
                db.session.remove()
                time.sleep(0.005)

        return run

    real = time.time()
    with time_machine.travel(travel + timedelta(seconds=1), tick=True):
        begun = time.time()
        together(
            own,
            mover,
            until_over(tasks.queue_due),
            until_over(tasks.queue_due),
            until_over(lambda: mail_delivery.work(bulk=True, seconds=1)),
            until_over(lambda: mail_delivery.work(bulk=True, seconds=1)),
            until_over(sweeping.sweep),
        )
        with own.app_context():
            for _ in range(3):
                tasks.queue_due()
                mail_delivery.work(bulk=True, seconds=20)
                sweeping.sweep()
    assert time.time() - real < 120
    with own.app_context():
        occurrence = db.session.scalars(select(Occurrence)).one()
        reminders = {str(row.id): row for row in db.session.scalars(select(Reminder))}
        counts = Counter(
            (reminders[key].time_version, address) for key, address in sent(notices.REMINDER)
        )
        assert set(counts.values()) == {1}
        assert len({version for version, _ in counts}) > 3, "they went out while it moved"
        assert {row.time_version for row in reminders.values()} == set(range(1, 32))
        told = {str(row.id): row for row in db.session.scalars(select(Notice))}
        assert [row.sequence for row in sorted(told.values(), key=lambda row: row.sequence)] == (
            sequences
        )
        last: dict[str, tuple[object, int]] = {}
        once = Counter[tuple[str, str]]()
        rows = db.session.execute(
            select(MailboxMessage.address, MailboxMessage.sent_at, Batch.key, Content.calendar)
            .join(Delivery, Delivery.id == MailboxMessage.delivery_id)
            .join(Batch, Batch.id == Delivery.batch_id)
            .join(Content, Content.id == MailboxMessage.content_id)
            .where(Batch.kind == notices.NOTICE)
            .order_by(MailboxMessage.id)
        )
        uids = set()
        for address, at, key, calendar in rows:
            once[key, address] += 1
            last[address] = (at, told[key].sequence)
            uids |= set(re.findall(r"(?m)^UID:.*$", calendar))
            assert f"\nSEQUENCE:{told[key].sequence}\r" in calendar
        assert len(uids) == 1
        assert set(once.values()) == {1}
        assert len(last) == 12
        assert {sequence for _, sequence in last.values()} == {occurrence.sequence}
        waiting = [row for row in reminders.values() if row.state == ReminderState.PLANNED]
        assert all(row.time_version == occurrence.time_version for row in waiting)
        assert mail_queries.invariants()["ok"], mail_queries.invariants()["checks"]
