"""Several workers at once, on a database of their own, each with its own connection."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.app import create_app
from campaign.db import Model, db
from campaign.mail import delivery, queries, services, sweeping
from campaign.mail.addresses import address_hash
from campaign.mail.models import Attempt, Batch, MailboxMessage, Scope
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.mail import crowd, make_batch, states_of

WORKERS = 4


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Flask]:
    """An application with a database that other connections see, too."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_mail_{worker}"),
            mail_batch_size=5,
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


def together(app: Flask, *jobs: object) -> None:
    """Run jobs at the same time, each in a context of its own; raises what any of them raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: object) -> None:
        try:
            with app.app_context():
                start.wait(10)
                job()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def test_many_workers_send_each_email_once(own: Flask) -> None:
    with own.app_context():
        batch_id = make_batch(100).id
    together(own, *[lambda: delivery.work(bulk=True, seconds=20)] * WORKERS)
    with own.app_context():
        batch = db.session.get_one(Batch, batch_id)
        assert states_of(batch) == ["accepted"] * 100
        assert db.session.scalar(select(func.count()).select_from(MailboxMessage)) == 100
        assert db.session.scalar(select(func.count()).select_from(Attempt)) == 20
        assert queries.invariants()["ok"]


def test_two_claims_never_share_a_chunk(own: Flask) -> None:
    with own.app_context():
        make_batch(60)
    claimed: list[delivery.Claim] = []
    together(
        own,
        *[lambda: claimed.extend(delivery.claim(delivery.new_owner(), 3, bulk=True))] * WORKERS,
    )
    ids = [one.chunk_id for one in claimed]
    assert len(ids) == len(set(ids)) == 12


def test_sweeping_while_others_send_changes_nothing_of_theirs(own: Flask) -> None:
    with own.app_context():
        batch_id = make_batch(60).id
    together(
        own,
        lambda: delivery.work(bulk=True, seconds=20),
        lambda: delivery.work(bulk=True, seconds=20),
        lambda: [sweeping.sweep() for _ in range(10)],
        lambda: [sweeping.sweep() for _ in range(10)],
    )
    with own.app_context():
        assert states_of(db.session.get_one(Batch, batch_id)) == ["accepted"] * 60
        assert queries.invariants()["ok"]


def test_unsubscribing_while_it_is_sent_is_either_sent_or_suppressed_never_both(own: Flask) -> None:
    people = crowd(60)
    with own.app_context():
        batch = make_batch(people)
        batch_id, organization_id = batch.id, batch.organization_id

    def unsubscribe() -> None:
        for _, address, _ in people[::3]:
            services.suppress(
                address_hash(address),
                scope=Scope.ORGANIZATION,
                scope_id=organization_id,
                reason="unsubscribed",
            )
            db.session.commit()

    together(
        own,
        lambda: delivery.work(bulk=True, seconds=20),
        lambda: delivery.work(bulk=True, seconds=20),
        unsubscribe,
    )
    with own.app_context():
        delivery.work(bulk=True, seconds=5)
        states = states_of(db.session.get_one(Batch, batch_id))
        sent = db.session.scalar(select(func.count()).select_from(MailboxMessage))
        assert set(states) <= {"accepted", "suppressed"}
        assert states.count("accepted") == sent
        assert queries.invariants()["ok"]


def test_one_key_asked_for_at_once_is_one_email(own: Flask) -> None:
    found: list[object] = []

    def ask() -> None:
        from tests.factories.mail import queue

        found.append(queue("ada@people.example", key="once"))

    together(own, *[ask] * WORKERS)
    with own.app_context():
        delivery.work(bulk=False, seconds=5)
        assert db.session.scalar(select(func.count()).select_from(MailboxMessage)) == 1


def test_the_rate_holds_for_all_workers_together(own: Flask) -> None:
    import time
    from dataclasses import replace

    own.extensions["settings"] = replace(own.extensions["settings"], mail_rate_per_second=40.0)
    with own.app_context():
        make_batch(60)
    began = time.monotonic()
    together(own, *[lambda: delivery.work(bulk=True, seconds=20)] * WORKERS)
    took = time.monotonic() - began
    with own.app_context():
        assert db.session.scalar(select(func.count()).select_from(MailboxMessage)) == 60
    assert 60 / took <= 41
    assert took < 6
