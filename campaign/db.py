"""The database: one typed base, one naming convention, the column types all models share.

SQL stays portable between SQLite and PostgreSQL. SQLite's two traps are met here and nowhere
else: a transaction that may write begins IMMEDIATE (otherwise concurrent read-then-write loses
updates), and writers queue at a fair lock of our own (SQLite's busy handler starves some).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from hashlib import md5
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, cast

import orjson
import uuid_utils.compat
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    event,
    func,
    select,
    text,
)
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, registry
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import JSON, TypeDecorator

if TYPE_CHECKING:
    import psycopg

WRITER_TIMEOUT_SECONDS = 15.0
PING_AFTER_SECONDS = 2.0


class Instant(TypeDecorator[datetime]):
    """An aware instant, stored and read as UTC on every database; refuses naive datetimes."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is no instant: give it a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Words(dict[str, str]):
    """One text in several languages: language code → text."""

    def get_for(self, language: str, fallback: str = "en") -> str:
        """The text in `language`, else in `fallback`, else in any language, else ""."""
        return (
            self.get(language)
            or self.get(fallback)
            or next((text for text in self.values() if text), "")
        )

    def has(self, language: str) -> bool:
        return bool(self.get(language))


class WordsType(TypeDecorator[Words]):
    """Words as a JSON object. Assign a new Words to change it: mutation is not tracked."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> dict[str, str] | None:
        return None if value is None else dict(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Words | None:
        return None if value is None else Words(value)


class Ids:
    """Many ids in one value of 16 bytes each, in their order: a million take no rows of their own."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @classmethod
    def of(cls, ids: Iterable[uuid.UUID]) -> Ids:
        return cls(b"".join(key.bytes for key in ids))

    def __len__(self) -> int:
        return len(self.raw) // 16

    def __getitem__(self, place: int) -> uuid.UUID:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return uuid.UUID(bytes=self.raw[place * 16 : place * 16 + 16])

    def __iter__(self) -> Iterator[uuid.UUID]:
        return (self[place] for place in range(len(self)))

    def __contains__(self, key: uuid.UUID) -> bool:
        """Whether `key` is one of them; they must be sorted, as a select in their order is."""
        place = bisect_left(self, key)
        return place < len(self) and self[place] == key


class IdsType(TypeDecorator[Ids]):
    """Ids as bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Ids | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.raw

    def process_result_value(self, value: Any, dialect: Dialect) -> Ids | None:
        return None if value is None else Ids(bytes(value))


def uuid7() -> uuid.UUID:
    """A random key that sorts by time (RFC 9562, version 7), known before the flush."""
    return uuid_utils.compat.uuid7()


Key = Annotated[uuid.UUID, mapped_column(primary_key=True, default=uuid7)]
Slug = Annotated[str, mapped_column(String(80))]
Short = Annotated[str, mapped_column(String(200), default="")]
Long = Annotated[str, mapped_column(Text, default="")]
Json = Annotated[dict[str, Any], mapped_column(JSON, default=dict)]


class Model(DeclarativeBase):
    """Base of every table. Keys are UUIDs made in Python; times are aware and UTC."""

    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: Instant(),
            uuid.UUID: Uuid(),
            Words: WordsType(),
            Ids: IdsType(),
        },
    )


class Owned:
    """A row that belongs to one organization; every query about it names that organization."""

    organization_id: Mapped[uuid.UUID] = mapped_column(index=True)


class Timestamped:
    """When the row was made and last changed (UTC). `created_at == updated_at` means new."""

    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    updated_at: Mapped[datetime] = mapped_column(
        default=lambda context: context.get_current_parameters()["created_at"],
        onupdate=lambda: datetime.now(UTC),
    )


db = SQLAlchemy(model_class=Model, disable_autonaming=True)


def when_committed(action: Callable[[], object]) -> None:
    """Do it once the session's transaction has committed; forget it on rollback.

    For what a process remembers of rows: what is not committed yet may never be there.
    """
    db.session().info.setdefault("when_committed", []).append(action)


@event.listens_for(Session, "after_commit")
def _do_what_waited(session: Session) -> None:
    if not session.in_nested_transaction():
        for action in session.info.pop("when_committed", ()):
            action()


@event.listens_for(Session, "after_soft_rollback")
def _forget_what_waited(session: Session, _previous: object) -> None:
    session.info.pop("when_committed", None)


_may_write: ContextVar[bool] = ContextVar("may_write", default=True)


@contextmanager
def reading() -> Iterator[None]:
    """Transactions begun inside only read (a GET): on SQLite they take no writer lock."""
    token = _may_write.set(False)
    try:
        yield
    finally:
        _may_write.reset(token)


@contextmanager
def writing() -> Iterator[None]:
    """The opposite of `reading`, for the few pages whose GET must leave a trace (an audit row).

    Ends the read transaction first, so that the next one begins as a writer.
    """
    if not _may_write.get():
        db.session.commit()
    token = _may_write.set(True)
    try:
        yield
    finally:
        _may_write.reset(token)


@contextmanager
def joining_sets() -> Iterator[None]:
    """Queries inside join whole sets: an audience, a segment, a ledger.

    PostgreSQL without statistics of rows that were written a moment ago takes each set for a
    single row and loops through them within each other: minutes for a few thousand people. So it
    may not loop here, and sets of a million may stay in memory. SQLite has no such choice.
    """
    if not is_postgres():
        yield
        return
    before = db.session.scalar(text("SELECT current_setting('work_mem')"))
    _set_local(enable_nestloop="off", work_mem="64MB")
    yield
    _set_local(enable_nestloop="on", work_mem=before)  # an error has ended both already


@contextmanager
def counting_sets() -> Iterator[None]:
    """Queries inside count who is in some sets and not in others.

    As `joining_sets`; and as each set has an index in the order of people's ids, PostgreSQL merges
    them like lists. It would rather hash, which for a million takes it three times as long.
    """
    with joining_sets():
        if is_postgres():
            _set_local(enable_hashjoin="off")
        yield
        if is_postgres():
            _set_local(enable_hashjoin="on")


def _set_local(**values: str) -> None:
    parts = ", ".join(f"set_config('{name}', :{name}, true)" for name in values)
    db.session.execute(text(f"SELECT {parts}"), values)


_WAYS = ("seqscan", "bitmapscan", "hashjoin", "mergejoin")


@contextmanager
def looking_up() -> Iterator[None]:
    """Queries inside find thousands of rows, each by its key (`among`).

    PostgreSQL reckons that every key costs a turn of a disk, and reads the whole table for five
    thousand of them: of a million people, for each batch of a file. SQLite has no such choice.
    """
    if not is_postgres():
        yield
        return
    parallel = "max_parallel_workers_per_gather"
    db.session.execute(text(f"SET LOCAL {parallel} = 0"))
    for way in _WAYS:
        db.session.execute(text(f"SET LOCAL enable_{way} = off"))
    yield
    for way in _WAYS:  # an error has ended it already
        db.session.execute(text(f"SET LOCAL enable_{way} = on"))
    db.session.execute(text(f"SET LOCAL {parallel} = DEFAULT"))


class _FairLock:
    """First come, first served among threads; a lock file between processes."""

    def __init__(self, path: str) -> None:
        self._turn = Lock()
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def acquire(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        if not self._turn.acquire(timeout=timeout):
            return False
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._turn.release()
                    return False
                time.sleep(0.0005)

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._turn.release()


_locks: dict[tuple[int, str], _FairLock] = {}
_locks_guard = Lock()


def _lock_for(path: str) -> _FairLock:
    key = (os.getpid(), path)  # a forked child must not share its parent's open file
    with _locks_guard:
        if key not in _locks:
            _locks[key] = _FairLock(path + ".writer")
        return _locks[key]


class SQLiteConnection(sqlite3.Connection):
    """A connection that holds the writer lock from BEGIN IMMEDIATE to COMMIT or ROLLBACK."""

    fair_lock: _FairLock | None = None
    lock_path: str = ""

    def begin(self, immediate: bool) -> None:
        if immediate and self.lock_path and self.fair_lock is None:
            lock = _lock_for(self.lock_path)
            if not lock.acquire(WRITER_TIMEOUT_SECONDS):
                raise sqlite3.OperationalError("database is locked")
            self.fair_lock = lock
        try:
            self.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
        except BaseException:
            self._release()
            raise

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if not self.in_transaction:
                self._release()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._release()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._release()

    def _release(self) -> None:
        if self.fair_lock is not None:
            lock, self.fair_lock = self.fair_lock, None
            lock.release()


def engine_options(url: str) -> dict[str, Any]:
    """Engine options for `url`: pool sizes, JSON, and SQLite's own connection class."""
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    if url.startswith("sqlite"):
        options["connect_args"] = {
            "factory": SQLiteConnection,
            "timeout": WRITER_TIMEOUT_SECONDS,
            "check_same_thread": False,
            "isolation_level": None,
            "cached_statements": 256,
        }
        options["pool_size"] = 16  # a thread of the web process each: none opens its own anew
    else:
        options |= {
            "pool_size": 8,
            "max_overflow": 8,
            "pool_timeout": 10,
            "connect_args": {"connect_timeout": 5, "options": "-c timezone=utc -c jit=off"},
        }
    return options


def prepare_engine(engine: Engine) -> None:
    """Teach a SQLite engine to begin by intent and to be durable (WAL, synchronous=FULL), and
    another to ask whether a connection still lives, once it has lain idle for two seconds."""
    if engine.dialect.name != "sqlite":
        _ping_the_idle(engine)
        return
    path = _file_of(engine.url)

    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        raw = cast(SQLiteConnection, connection)
        raw.lock_path = path
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute(f"PRAGMA busy_timeout={int(WRITER_TIMEOUT_SECONDS * 1000)}")
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute("PRAGMA cache_size=-16000")
        raw.create_function("md5", 1, _md5, deterministic=True)  # PostgreSQL brings one

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        raw = cast(SQLiteConnection, connection.connection.dbapi_connection)
        if not raw.in_transaction:
            raw.begin(immediate=_may_write.get())


def _md5(given: str) -> str:
    return md5(given.encode(), usedforsecurity=False).hexdigest()


def _ping_the_idle(engine: Engine) -> None:
    """A busy server asks nothing; after a pause, a dead connection is replaced unseen."""

    @event.listens_for(engine, "checkin")
    def on_checkin(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(
        connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object
    ) -> None:
        used_at = entry.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            raise DisconnectionError from error


def _file_of(url: URL) -> str:
    database = url.database or ""
    return "" if database in {"", ":memory:"} or "mode=memory" in database else database


def insert(table: Any) -> Any:
    """INSERT of the bound dialect, which knows `on_conflict_do_nothing` and `…_do_update`."""
    if db.engine.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def is_postgres() -> bool:
    return db.engine.dialect.name == "postgresql"


# Thousands of values at a time


def among(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """`column IN values`, for thousands of texts or ids: all of them are one parameter.

    An IN list has a parameter for each value, and writing those out costs more than the answer.
    """
    if is_postgres():
        whole = bindparam(None, list(values), type_=ARRAY(column.type))
        return cast("ColumnElement[bool]", column.in_(select(func.unnest(whole))))
    plain = [value.hex if isinstance(value, uuid.UUID) else value for value in values]
    each = func.json_each(orjson.dumps(plain).decode()).table_valued("value")
    return cast("ColumnElement[bool]", column.in_(select(each.c.value)))


def weighed(column: Any) -> Any:
    """A column that only filters what another condition has found, and never finds.

    For `among` beside a condition that holds for many: a database that has not counted yet (an
    organization whose first people came in a minute ago) takes that one for the rarer.
    """
    return func.coalesce(column, column)


def put_many(table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
    """Add rows to a table, passing over those whose key is there; returns how many were new.

    `rows` are plain values (texts, numbers, instants, ids, None) in the order of `columns`; those
    left out take the database's own default. PostgreSQL takes them by COPY into a table of the
    connection's own, and one statement puts them in place: a third of what values in an INSERT
    cost. SQLite reads them one after the other, which it does best.
    """
    if not rows:
        return 0
    names = [table.c[name] for name in columns]
    if not is_postgres():
        statement = insert(table).values({c.name: bindparam(f"v_{c.name}") for c in names})
        done = db.session.execute(
            statement.on_conflict_do_nothing(),
            [dict(zip([f"v_{name}" for name in columns], row, strict=True)) for row in rows],
            execution_options={"preserve_rowcount": True},
        )
        return int(getattr(done, "rowcount", 0))
    own, listed = f"put_{table.name}", ", ".join(columns)
    pooled = db.session.connection().connection.dbapi_connection
    with cast("psycopg.Connection[Any]", pooled).cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {own} ON COMMIT DELETE ROWS"  # noqa: S608
            f" AS SELECT * FROM {table.name} WITH NO DATA"
        )
        with cursor.copy(f"COPY {own} ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"INSERT INTO {table.name} ({listed}) SELECT {listed} FROM {own}"  # noqa: S608
            " ON CONFLICT DO NOTHING"
        )
        count = cursor.rowcount
        cursor.execute(f"TRUNCATE {own}")
    return count
