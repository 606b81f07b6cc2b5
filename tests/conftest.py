"""What every test stands on.

One application and one database for each test process; each test runs inside a transaction that
is rolled back. A request of the test client gets a context and a session of its own, so that a
view that forgets to commit fails its test. `TEST_DATABASE_URL` runs the same suite on
PostgreSQL, `TEST_REDIS_URL` gives tests of processes a Redis.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from werkzeug.test import TestResponse

from campaign import worker
from campaign.app import create_app
from campaign.db import Model, db
from campaign.exports import gathering
from campaign.settings import Settings
from tests.factories import pages

TEST_KEY = "test-key-0123456789-abcdefghijklmnopqrstuvwxyz"


CHECKOUT = f"{crc32(str(Path(__file__).resolve()).encode()):08x}"
"""Two checkouts may be tested on one server at once."""


def database_url(name: str) -> str:
    """A new empty database on the server named in TEST_DATABASE_URL, or "". `name` tells it from
    the others of this checkout."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    if not server:
        return ""
    name = f"{name}_{CHECKOUT}"
    admin = make_url(server.replace("postgresql://", "postgresql+psycopg://"))
    engine = create_engine(admin, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return admin.set(database=name, drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Settings:
    data = tmp_path_factory.mktemp("data")
    return Settings(
        secret_key=TEST_KEY, data_dir=data, database_url=database_url(f"campaign_{worker_id}")
    )


class Client(FlaskClient):
    """A visitor. Every request runs in a context of its own; the test then sees fresh rows."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        with self.application.app_context():
            response = super().open(*args, **kwargs)
            db.session.rollback()
        db.session.expire_all()
        return response

    def submit(self, path: str, data: dict[str, Any] | None = None, **kwargs: Any) -> TestResponse:
        """GET the page at `path`, fill its form in, POST it, as a browser would.

        Keywords: `form` (the form's position on the page or its action), `follow_redirects`.
        """
        return pages.submit(self, path, data or {}, **kwargs)


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.test_client_class = Client
    with app.app_context():
        if db.engine.dialect.name == "sqlite":

            @event.listens_for(db.engine, "connect")
            def careless(connection: Any, _record: Any) -> None:
                connection.execute("PRAGMA synchronous=OFF")

        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tuple[Any, ...]]]:
    """The calls that would have gone to the broker: (task, arguments), after each commit."""
    calls: list[tuple[Any, tuple[Any, ...]]] = []
    monkeypatch.setattr(
        worker.doorbell,
        "ring",
        lambda function, arguments, _countdown: calls.append((function, arguments)),
    )
    return calls


@pytest.fixture
def run_tasks(rung: list[tuple[Any, tuple[Any, ...]]]) -> Callable[[], int]:
    """Run what was rung, and what that rings, as a worker would; returns how many."""

    def run() -> int:
        count = 0
        while rung and count < 1000:
            function, arguments = rung.pop(0)
            db.session.commit()
            function(*arguments)
            db.session.expire_all()
            count += 1
        return count

    return run


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    """A transaction around the test, for tests that use the application."""
    if "app" not in request.fixturenames:
        yield
        return
    app: Flask = request.getfixturevalue("app")
    app.extensions["limiter"].reset()
    queue = app.extensions["celery"]  # tasks belong to the application that was made last:
    queue.set_current()  # another test may have made one of its own
    queue.set_default()
    with app.app_context():
        engine = db.engine
        connection = engine.connect()
        transaction = connection.begin()
        engines = db._app_engines[app]
        engines[None] = connection  # type: ignore[assignment]
        request.getfixturevalue("monkeypatch").setattr(
            gathering, "BESIDE", 0
        )  # nobody else sees it
        options = db.session.session_factory.kw
        options["join_transaction_mode"] = "create_savepoint"
        try:
            yield
        finally:
            db.session.remove()
            engines[None] = engine
            options.pop("join_transaction_mode", None)
            transaction.rollback()
            connection.close()


@pytest.fixture
def client(app: Flask) -> Client:
    """A visitor without a log-in."""
    client = app.test_client()
    assert isinstance(client, Client)
    return client


@pytest.fixture
def with_settings(app: Flask) -> Iterator[Callable[..., Settings]]:
    """Change settings for one test: `with_settings(mail_batch_size=2)`."""
    before = app.extensions["settings"]

    def change(**values: Any) -> Settings:
        app.extensions["settings"] = replace(app.extensions["settings"], **values)
        return app.extensions["settings"]

    yield change
    app.extensions["settings"] = before


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """ "gw0" under xdist, "main" without."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture
def project() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]
