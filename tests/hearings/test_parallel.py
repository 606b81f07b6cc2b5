"""Everybody asks for the last slot of a hearing at once: one has it, the others wait in order."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.app import create_app
from campaign.db import Model, db
from campaign.events.models import Rsvp
from campaign.hearings import models, queries, services
from campaign.hearings.models import SpeakerState
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.events import make_rsvp
from tests.factories.hearings import make_hearing, make_testimony

pytestmark = pytest.mark.xdist_group("crowd")


@pytest.fixture
def crowded(tmp_path: Path, worker_id: str) -> Iterator[Flask]:
    """An application with a database of its own: what is written here is committed."""
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_speakers_{worker_id}"),
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
        yield app
        db.session.remove()
        db.engine.dispose()


def ask_at_once(app: Flask, rsvp_ids: list[uuid.UUID]) -> None:
    """Each asks to speak in a session of its own, all at the same moment."""
    start = Barrier(len(rsvp_ids))

    def ask(rsvp_id: uuid.UUID) -> None:
        with app.app_context():
            try:
                start.wait(20)
                services.ask_to_speak(
                    db.session.get_one(Rsvp, rsvp_id), services.TestimonyDetails()
                )
                db.session.commit()
            finally:
                db.session.remove()

    with ThreadPoolExecutor(len(rsvp_ids)) as pool:
        list(pool.map(ask, rsvp_ids))


@pytest.mark.parametrize("people", [2, 8])
def test_the_last_slot_goes_to_exactly_one(crowded: Flask, people: int) -> None:
    hearing = make_hearing(slot_count=3)
    for _ in range(2):
        make_testimony(hearing)
    rsvps = [make_rsvp(hearing.event) for _ in range(people)]
    date_id, ids = rsvps[0].occurrence_id, [rsvp.id for rsvp in rsvps]
    db.session.commit()
    ask_at_once(crowded, ids)
    rows = db.session.scalars(
        select(models.Testimony).where(models.Testimony.rsvp_id.in_(ids))
    ).all()
    speaking = [row for row in rows if row.state == SpeakerState.SPEAKING]
    waiting = [row for row in rows if row.state == SpeakerState.WAITING]
    assert (len(speaking), len(waiting)) == (1, people - 1)
    assert queries.slots_taken(date_id) == 3
    assert all(row.position is None for row in waiting)
    services.withdraw_testimony(speaking[0])
    db.session.commit()
    assert queries.slots_taken(date_id) == 3, "a freed slot has gone to one of them"
    first = min(waiting, key=lambda row: (row.waiting_since or row.created_at, row.id))
    assert first.state == SpeakerState.SPEAKING, "none of the slots was lost, the line moved"


def test_asking_twice_at_once_is_one_place(crowded: Flask) -> None:
    rsvp = make_rsvp(make_hearing(slot_count=1).event)
    rsvp_id = rsvp.id
    db.session.commit()
    ask_at_once(crowded, [rsvp_id] * 4)
    assert len(db.session.scalars(select(models.Testimony)).all()) == 1
