"""Writers take turns: no lost update, no "database is locked", nobody starves."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from campaign import db as database
from campaign.db import engine_options, prepare_engine

WRITERS = 8
ROUNDS = 50


def open_engine(path: Path) -> Engine:
    url = f"sqlite:///{path}"
    engine = create_engine(url, **engine_options(url))
    prepare_engine(engine)
    return engine


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "shared.sqlite3"
    engine = open_engine(file)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    engine.dispose()
    yield file
    database._locks.clear()


def count(path: Path) -> int:
    engine = open_engine(path)
    with engine.connect() as connection:
        found = int(connection.execute(text("SELECT n FROM counter")).scalar_one())
    engine.dispose()
    return found


def add(path: Path, rounds: int, waits: list[float] | None = None) -> None:
    """Read, think, write: what loses updates unless the reading already holds the lock."""
    engine = open_engine(path)
    for _ in range(rounds):
        started = time.perf_counter()
        with engine.begin() as connection:
            n = connection.execute(text("SELECT n FROM counter")).scalar_one()
            connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})
        if waits is not None:
            waits.append(time.perf_counter() - started)
    engine.dispose()


def test_threads_lose_no_update(path: Path) -> None:
    threads = [threading.Thread(target=add, args=(path, ROUNDS)) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(path) == WRITERS * ROUNDS


def test_processes_and_their_threads_lose_none_of_1600_updates(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=add, args=(path, 400)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert count(path) == 1600


def test_nobody_starves(path: Path) -> None:
    waits: list[list[float]] = [[] for _ in range(WRITERS)]
    threads = [threading.Thread(target=add, args=(path, 20, waits[n])) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(max(mine) for mine in waits) < 3.0


def test_readers_go_on_while_somebody_writes(path: Path) -> None:
    engine = open_engine(path)
    with engine.begin() as writer:
        writer.execute(text("UPDATE counter SET n = 99"))
        with database.reading():
            started = time.perf_counter()
            with engine.connect() as reader:
                assert reader.execute(text("SELECT n FROM counter")).scalar_one() == 0
            assert time.perf_counter() - started < 1.0
    assert count(path) == 99
    engine.dispose()


def test_a_rollback_lets_the_next_one_write(path: Path) -> None:
    engine = open_engine(path)
    with engine.connect() as connection:
        connection.execute(text("UPDATE counter SET n = 5"))
        connection.rollback()
    add(path, 1)
    assert count(path) == 1
    engine.dispose()


def test_a_commit_is_on_the_disk(path: Path) -> None:
    engine = open_engine(path)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    engine.dispose()
