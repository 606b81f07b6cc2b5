"""Several phones at the door press the same person's button at once: they came once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.app import create_app
from campaign.checkin import queries, services
from campaign.checkin.models import SignIn, SignInWay
from campaign.db import Model, db
from campaign.events.models import Rsvp
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.events import make_event, make_rsvp

PHONES = 8

pytestmark = pytest.mark.xdist_group("crowd")


@pytest.fixture
def crowded(tmp_path: Path, worker_id: str) -> Iterator[Flask]:
    """An application with a database of its own: what is written here is committed."""
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_door_{worker_id}"),
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
        yield app
        db.session.remove()
        db.engine.dispose()


def test_checked_in_on_several_phones_at_once_counts_once(crowded: Flask) -> None:
    rsvp = make_rsvp(make_event(starts_in_days=0), guests=2)
    rsvp_id, date_id = rsvp.id, rsvp.occurrence_id
    db.session.commit()
    start = Barrier(PHONES)

    def press(number: int) -> None:
        with crowded.app_context():
            try:
                start.wait(20)
                mine = db.session.get_one(Rsvp, rsvp_id)
                way = SignInWay.QR if number % 2 else SignInWay.LIST
                services.sign_in(mine, way=way, key=f"key-of-phone-{number:04}")
                db.session.commit()
            finally:
                db.session.remove()

    with ThreadPoolExecutor(PHONES) as pool:
        list(pool.map(press, range(PHONES)))
    rows = db.session.scalars(select(SignIn)).all()
    assert [(row.rsvp_id, row.guests, row.is_undone) for row in rows] == [(rsvp_id, 2, False)]
    assert queries.numbers_of(date_id).here.people == 3
