from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from campaign.campaigns.models import Campaign
from campaign.db import Words, db, insert, uuid7
from campaign.mail.models import JobRun


@pytest.mark.parametrize(
    ("words", "language", "wanted"),
    [
        (Words(en="clinic", es="clínica"), "es", "clínica"),
        (Words(en="clinic"), "es", "clinic"),
        (Words(en="clinic", es=""), "es", "clinic"),
        (Words(es="clínica"), "en", "clínica"),
        (Words(), "en", ""),
    ],
)
def test_words_fall_back_to_a_language_that_has_them(
    words: Words, language: str, wanted: str
) -> None:
    assert words.get_for(language) == wanted


def test_words_come_back_from_the_database_as_words(app: Flask) -> None:
    table = Campaign.__table__
    row_id = uuid7()
    filled = {
        column.name: Words(en="a", es="ñ")
        for column in table.columns
        if type(column.type).__name__ == "WordsType"
    }
    campaign = Campaign(id=row_id, slug="words", organization_id=uuid7(), **filled)
    db.session.add(campaign)
    db.session.commit()
    db.session.expunge_all()
    found = db.session.scalar(select(Campaign).where(Campaign.id == row_id))
    assert found is not None
    assert isinstance(found.title, Words)
    assert found.title.get_for("es") == "ñ"


def test_keys_sort_by_time() -> None:
    keys = [uuid7() for _ in range(500)]
    assert keys == sorted(keys)
    assert all(key.version == 7 for key in keys)
    assert isinstance(keys[0], uuid.UUID)


def test_times_come_back_aware_and_in_utc(app: Flask) -> None:
    noon = datetime(2026, 6, 16, 12, 0, tzinfo=timezone(timedelta(hours=-5)))
    db.session.add(JobRun(job="test", period_start=noon, claimed_at=noon))
    db.session.commit()
    db.session.expunge_all()
    found = db.session.scalar(select(JobRun.claimed_at).where(JobRun.job == "test"))
    assert found == noon
    assert found is not None
    assert found.tzinfo == UTC


def test_a_naive_time_is_refused(app: Flask) -> None:
    naive = datetime(2026, 6, 16, 12, 0)  # noqa: DTZ001 - that is the point
    db.session.add(JobRun(job="naive", period_start=naive, claimed_at=naive))
    with pytest.raises(StatementError, match="naive"):
        db.session.flush()
    db.session.rollback()


def test_insert_speaks_the_dialect(app: Flask) -> None:
    at = datetime(2026, 6, 16, 12, 0, tzinfo=UTC)
    row = {"job": "twice", "period_start": at, "claimed_at": at}
    statement = insert(JobRun.__table__).on_conflict_do_nothing()
    db.session.execute(statement, row)
    db.session.execute(statement, row)
    count = text("SELECT count(*) FROM job_runs WHERE job = 'twice'")
    assert db.session.execute(count).scalar() == 1
