"""Four hundred answers and cancellations at once on twenty places, from several processes."""

from __future__ import annotations

import multiprocessing
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from campaign.app import create_app
from campaign.db import Model, db
from campaign.events import queries, services, settling
from campaign.events.models import Occurrence, Rsvp, RsvpState
from campaign.events.services import RsvpDetails
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.events import make_event, occurrence_of

PLACES = 20
CROWD = 400
PROCESSES, THREADS = 2, 8

pytestmark = pytest.mark.xdist_group("crowd")


@pytest.fixture
def crowded(tmp_path: Path, worker_id: str) -> Iterator[tuple[Settings, Flask]]:
    """An application with a database of its own: what is written here is committed."""
    settings = Settings(
        secret_key=TEST_KEY,
        data_dir=tmp_path,
        database_url=database_url(f"campaign_crowd_{worker_id}"),
    )
    app = create_app(settings)
    with app.app_context():
        Model.metadata.create_all(db.engine)
        yield settings, app
        db.session.remove()
        db.engine.dispose()


def crowd(settings: Settings, slug: str, occurrence_id: uuid.UUID, numbers: range) -> list[str]:
    """Some of the crowd, in a process of its own; returns what went wrong."""
    app = create_app(settings)
    chance = random.Random(numbers.start)

    def one(job: tuple[int, float]) -> str:
        number, luck = job
        with app.app_context():
            try:
                sheet = queries.sheet(slug, occurrence_id)
                db.session.rollback()
                details = RsvpDetails(
                    first_name=f"N{number}",
                    last_name="Crowd",
                    email=f"crowd-{number // 2 * 2 if luck < 0.1 else number}@example.org",
                    postal_code="60637",
                    guests=number % 3,
                )
                services.answer(sheet, details)
                db.session.commit()
                if luck > 0.6:
                    _cancel_somebody(occurrence_id, luck)
                return ""
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                db.session.rollback()
                return f"{type(error).__name__}: {error}"
            finally:
                db.session.remove()

    jobs = [(number, chance.random()) for number in numbers]
    with ThreadPoolExecutor(THREADS) as pool:
        wrong = [answer for answer in pool.map(one, jobs) if answer]
    with app.app_context():
        db.engine.dispose()
    return wrong


def _cancel_somebody(occurrence_id: uuid.UUID, luck: float) -> None:
    """Somebody who comes or waits takes their answer back, or brings fewer guests."""
    coming = select(Rsvp).where(
        Rsvp.occurrence_id == occurrence_id,
        Rsvp.state.in_([RsvpState.ACCEPTED, RsvpState.WAITING]),
    )
    rows = db.session.scalars(coming.limit(40)).all()
    db.session.rollback()
    if rows:
        mine = db.session.get_one(Rsvp, random.Random(luck).choice(rows).id)
        if luck > 0.9:
            services.change_rsvp(mine, services.Change(status="accepted", guests=0))
        else:
            services.cancel_rsvp(mine)
        db.session.commit()


def test_never_over_the_places_and_the_line_in_order(crowded: tuple[Settings, Flask]) -> None:
    settings, _app = crowded
    event = make_event(capacity=PLACES)
    date_id = occurrence_of(event).id
    db.session.commit()
    part = CROWD // PROCESSES
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        runs = [
            pool.submit(crowd, settings, event.slug, date_id, range(start, start + part))
            for start in range(0, CROWD, part)
        ]
        seen = []
        while not all(run.done() for run in runs):
            seen.append(_taken(date_id))
        wrong = [line for run in runs for line in run.result()]
    assert wrong == []
    assert max(seen) <= PLACES, "at no moment were there more than twenty"
    settling.work_repeats()
    settling.settle_rsvps()
    db.session.commit()
    date = db.session.get_one(Occurrence, date_id, populate_existing=True)
    counted = queries.recount(date_id)
    assert (date.taken_count, date.waiting_count) == (counted.taken, counted.waiting)
    assert counted.taken <= PLACES
    line = queries.line_of(date_id)
    assert line, "with so many answers somebody waits"
    assert counted.taken + line[0].party > PLACES, "no place lies free that the first would fit"
    assert [one.line_number for one in line] == sorted({one.line_number for one in line})
    rows = db.session.scalars(select(Rsvp).where(Rsvp.occurrence_id == date_id)).all()
    passed = [one.line_number for one in rows if one.offered_at and one.line_number]
    assert passed, "places came free"
    assert max(passed) < line[0].line_number, "nobody overtook the head of the line"
    assert len({(one.address_hash, one.slot) for one in rows}) == len(rows)


def _taken(date_id: uuid.UUID) -> int:
    """Seats taken at this moment, by the answers themselves."""
    taken = db.session.execute(
        text("SELECT coalesce(sum(1 + guests), 0) FROM rsvps WHERE state = 'accepted'")
    ).scalar_one()
    db.session.rollback()
    return int(taken)
