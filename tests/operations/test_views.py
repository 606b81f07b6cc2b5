"""/healthz, /readyz, /metrics: what they say when something is wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from campaign import clock
from campaign.db import db
from campaign.mail.models import Attempt, Batch, BatchState, Chunk, Content, DeliveryState
from campaign.operations import migrations, views
from campaign.settings import Settings
from tests.conftest import Client


@pytest.fixture(autouse=True)
def migrated(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's tables come from the models; say that they are at the newest revision."""
    monkeypatch.setattr(migrations, "current", lambda _connection: migrations.head())
    app.extensions.pop("row_metrics", None)


def add_chunk(
    *,
    due_ago: timedelta,
    state: str = DeliveryState.QUEUED,
    priority: int = 0,
    batch_state: str = BatchState.RELEASED,
) -> Chunk:
    now = clock.now()
    content = Content(id=uuid.uuid4(), subject="s", text="t", html="h", created_at=now)
    batch = Batch(
        kind="test",
        key=str(uuid.uuid4()),
        state=batch_state,
        is_bulk=bool(priority),
        created_at=now,
        organization_id=uuid.uuid4(),
    )
    db.session.add_all([content, batch])
    db.session.flush()
    chunk = Chunk(
        batch_id=batch.id,
        content_id=content.id,
        priority=priority,
        state=state,
        next_attempt_at=now - due_ago,
        created_at=now - due_ago,
    )
    db.session.add(chunk)
    db.session.commit()
    return chunk


def test_healthz_answers_without_a_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_args: Any, **_keywords: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("down"))

    monkeypatch.setattr(db.session, "execute", down)
    monkeypatch.setattr(db.session, "connection", down)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_readyz_is_fine_when_nothing_waits(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {
        "ready": True,
        "reasons": [],
        "mail": {"oldest_due_seconds": 0.0, "due": {"single": 0, "bulk": 0}},
    }


def test_readyz_says_how_long_an_email_has_been_due(client: Client) -> None:
    add_chunk(due_ago=timedelta(seconds=30))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["mail"]["oldest_due_seconds"] == pytest.approx(30, abs=3)
    assert answer.json["mail"]["due"]["single"] == 1


def test_readyz_is_not_green_when_no_worker_sends(client: Client) -> None:
    add_chunk(due_ago=timedelta(seconds=120))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["ready"] is False
    assert "workers" in answer.json["reasons"][0]


@pytest.mark.parametrize(
    ("state", "batch_state"),
    [
        (DeliveryState.ACCEPTED, BatchState.RELEASED),
        (DeliveryState.QUEUED, BatchState.PAUSED),
        (DeliveryState.QUEUED, BatchState.STOPPED),
        (DeliveryState.QUEUED, BatchState.BUILDING),
    ],
)
def test_what_is_not_due_makes_no_alarm(client: Client, state: str, batch_state: str) -> None:
    add_chunk(due_ago=timedelta(days=2), state=state, batch_state=batch_state)
    assert client.get("/readyz").status_code == 200


def test_a_long_mailing_is_no_alarm_while_it_goes_on(client: Client) -> None:
    chunk = add_chunk(due_ago=timedelta(hours=2), priority=1)
    assert client.get("/readyz").status_code == 503
    db.session.add(Attempt(chunk_id=chunk.id, n=1, owner="w", started_at=clock.now()))
    db.session.commit()
    assert client.get("/readyz").status_code == 200


def test_readyz_names_a_missing_migration(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "current", lambda _connection: "0000_before")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert "campaign migrate" in answer.json["reasons"][0]


def test_readyz_says_when_the_database_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_connection: object) -> str:
        raise OperationalError("SELECT 1", {}, Exception("connection refused by 10.1.2.3"))

    monkeypatch.setattr(migrations, "current", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["reasons"] == ["the database cannot be reached"]
    assert "10.1.2.3" not in answer.text


def test_metrics_count_requests_by_endpoint_and_name_nobody(client: Client) -> None:
    client.get("/p/no-such-petition?email=alba@example.org")
    client.get("/unsubscribe/secret-token-of-alba")
    body = client.get("/metrics").text
    assert 'campaign_requests_total{endpoint="operations.metrics"' in client.get("/metrics").text
    assert 'status="404"' in body
    assert "campaign_request_seconds_bucket" in body
    for private in ("alba", "secret-token", "no-such-petition", "127.0.0.1"):
        assert private not in body


def test_metrics_count_rows(app: Flask, client: Client) -> None:
    add_chunk(due_ago=timedelta(seconds=50))
    add_chunk(due_ago=timedelta(seconds=10), priority=1)
    body = client.get("/metrics").text
    assert 'campaign_mail_due{kind="single"} 1.0' in body
    assert 'campaign_mail_due{kind="bulk"} 1.0' in body
    age = next(line for line in body.splitlines() if 'oldest_due_seconds{kind="single"}' in line)
    assert float(age.split()[-1]) == pytest.approx(50, abs=3)


def test_an_invented_method_makes_no_new_label(client: Client) -> None:
    client.open("/healthz", method="BREW")
    body = client.get("/metrics").text
    assert "BREW" not in body
    assert 'method="other"' in body


@pytest.mark.parametrize(
    ("header", "status"),
    [("Bearer right-token", 200), ("Bearer wrong", 403), ("", 403), ("right-token", 403)],
)
def test_with_a_token_metrics_ask_for_it(
    client: Client, with_settings: Callable[..., Settings], header: str, status: int
) -> None:
    with_settings(metrics_token="right-token")
    answer = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code == status


def test_without_a_token_metrics_are_closed_but_for_this_machine(
    client: Client, with_settings: Callable[..., Settings]
) -> None:
    assert client.get("/metrics").status_code == 200
    far = client.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert far.status_code == 403
    with_settings(base_url="http://127.0.0.1.example.org")
    assert client.get("/metrics", headers={"Host": "127.0.0.1"}).status_code == 403


def test_counts_are_kept_for_some_seconds(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    real = views._count
    monkeypatch.setattr(views, "_count", lambda: (counted.append(1), *real())[1:])
    for _ in range(5):
        assert client.get("/metrics").status_code == 200
    assert len(counted) == 1


def test_current_reads_the_table_that_migrations_write(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    connection = db.session.connection()
    assert migrations.current(connection) is None
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
    connection.execute(text("INSERT INTO alembic_version VALUES ('0042_test')"))
    assert migrations.current(connection) == "0042_test"
    connection.execute(text("DROP TABLE alembic_version"))
    db.session.rollback()
