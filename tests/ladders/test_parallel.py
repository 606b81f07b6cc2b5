"""Three beats at once, on a database of their own: one way in, one e-mail, for everybody."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from campaign import clock
from campaign.app import create_app
from campaign.db import Model, db
from campaign.ladders import delivery, queries, services, tasks
from campaign.ladders.models import Ladder, LadderRun, RunState
from campaign.mail import queries as mail
from campaign.mail.models import Delivery
from campaign.privacy import services as privacy
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.campaigns import make_campaign
from tests.factories.ladders import follow_up, make_ladder, send
from tests.factories.mailings import make_reader
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition, make_signature
from tests.mail.test_parallel import together

PEOPLE = 45
BEATS = 3


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application with a database that other connections see, too, and small pieces."""
    monkeypatch.setattr(delivery.let_in, "__kwdefaults__", {"limit": 7})
    monkeypatch.setattr(delivery.move_on, "__kwdefaults__", {"limit": 7})
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_ladders_{worker}"),
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


def begin(app: Flask) -> uuid.UUID:
    """A ladder that is on since an hour, and people who signed since."""
    with app.app_context():
        organization = make_organization()
        petition = make_petition(make_campaign(organization))
        ladder = make_ladder(organization, send(), follow_up(), send("And again"))
        ladder.on_at = ladder.looked_until = clock.now() - timedelta(hours=1)
        for _ in range(PEOPLE):
            make_signature(petition, person=make_reader(organization))
        db.session.commit()
        return ladder.id


def count(column: object, *where: object) -> int:
    return int(db.session.scalar(select(func.count(column)).where(*where)) or 0)  # type: ignore[arg-type]


def test_three_beats_at_once(own: Flask) -> None:
    ladder_id = begin(own)
    together(own, *[tasks.climb.run] * BEATS)
    with own.app_context():
        tasks.climb.run()
        assert count(LadderRun.id) == PEOPLE
        assert count(LadderRun.id, LadderRun.state == RunState.DONE) == PEOPLE
        assert count(Delivery.id) == 2 * PEOPLE
        ladder = db.session.get_one(Ladder, ladder_id)
        assert (ladder.entered_count, ladder.done_count) == (PEOPLE, PEOPLE)
        assert [step.done_count for step in queries.steps_of(ladder_id)] == [PEOPLE] * 3
        assert mail.invariants()["ok"]


def test_editing_and_erasing_while_rounds_run(own: Flask) -> None:
    ladder_id = begin(own)

    def edit() -> None:
        for _ in range(5):
            organization_id = db.session.get_one(Ladder, ladder_id).organization_id
            db.session.commit()
            ladder = queries.find_ladder(organization_id, ladder_id, lock=True)
            step = queries.steps_of(ladder.id)[1]
            services.delete_step(ladder, step)
            services.restore_step(ladder, step)
            db.session.commit()

    def erase() -> None:
        for run in db.session.scalars(select(LadderRun).limit(3)).all():
            person = privacy.people_queries.person_by_id(run.person_id)
            if person is not None:
                privacy.erase_person(person)
            db.session.commit()

    together(own, tasks.climb.run, edit, erase)
    with own.app_context():
        db.session.execute(update(LadderRun).values(wakes_at=clock.now()))
        db.session.commit()
        tasks.climb.run()
        assert count(LadderRun.id, LadderRun.state == RunState.RUNNING) == 0
        ids = select(LadderRun.id)
        keys = list(db.session.scalars(ids))
        for key in keys:
            assert count(Delivery.id, Delivery.unique_key == key) <= 2
