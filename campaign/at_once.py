"""One piece of writing as a transaction of its own, for the paths that a crowd takes at once.

PostgreSQL gets one prepared statement on a connection without transactions: no BEGIN, no COMMIT,
no session. On SQLite, where each commit waits for the disk, writers who meet share one: the first
to get the turn does the work of all who wait, and commits once for them. Whoever returns is
committed; whoever fails has failed alone.
"""

from __future__ import annotations

import sqlite3
import time
from _thread import LockType
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, cast
from weakref import WeakKeyDictionary

import orjson
import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Engine, event, func, true
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.types import JSON

from campaign.db import (
    PING_AFTER_SECONDS,
    WRITER_TIMEOUT_SECONDS,
    SQLiteConnection,
    db,
    is_postgres,
)

LANES = 16
LANE_TIMEOUT_SECONDS = 10.0
TOGETHER = 64
WITHOUT_WAITING = func.set_config("synchronous_commit", "off", true()).label("waits")
ON_THE_DISK = b"SELECT pg_logical_emit_message(true, 'campaign', '')"


class AtOnce:
    """A piece of writing in both dialects' words. Parameters keep their names.

    `whole` makes PostgreSQL's one statement; it returns one row. `steps` makes SQLite's, in their
    order: a step with a name tells those after it, by a parameter of this name, whether it
    returned a row. What the row and the steps tell is found in `values` afterwards.

    `is_brief`: a crowd wants the lock that the statement takes. If each kept it until the disk
    has the commit, the disk would be the queue. So PostgreSQL commits it without waiting
    (`synchronous_commit` is off for this one transaction) and lets the next one in; then a second,
    empty commit waits for the disk, together with those of all others. The log is written in
    order: when that one is there, so is the first, and only then does `execute` return.
    """

    def __init__(
        self,
        whole: Callable[[], Any],
        steps: Callable[[], Sequence[tuple[Any, str]]],
        *,
        is_brief: bool = False,
    ) -> None:
        self._whole, self._make_steps, self._is_brief = whole, steps, is_brief
        self._steps: Sequence[tuple[Any, str]] = ()
        self._ready: list[_Ready] = []

    def execute(self, values: dict[str, Any]) -> bool:
        """Do it, and say whether it is committed now.

        Inside a transaction that has begun (somebody else's work, a test) it is a part of that,
        and False says that its commit is still to come. Raises SQLAlchemy's errors.
        """
        engine = db.engine
        has_begun = db.session.registry.has() and db.session().in_transaction()
        if has_begun or not isinstance(engine, Engine):
            self._do_in_session(values)
            return False
        if not self._ready:
            self._ready = [_Ready.of(*step, self._is_brief) for step in self._all_steps()]
        try:
            _doer(engine).do(self._ready, values)
        except (psycopg.Error, sqlite3.Error) as error:
            base = psycopg.Error if isinstance(error, psycopg.Error) else sqlite3.Error
            raise DBAPIError.instance(
                "at once", None, error, base, dialect=engine.dialect
            ) from error
        return True

    def _all_steps(self) -> Sequence[tuple[Any, str]]:
        if not self._steps:
            self._steps = [(self._whole(), "")] if is_postgres() else self._make_steps()
        return self._steps

    def _do_in_session(self, values: dict[str, Any]) -> None:
        for statement, name in self._all_steps():
            result = db.session.execute(statement, values)
            if name:
                values[name] = result.first() is not None
            elif is_postgres():
                values |= result.mappings().one()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A statement as the driver takes it: compiled, and how its parameters are converted."""

    text: Any  # bytes for PostgreSQL
    names: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: dict[str, Any]
    convert: tuple[tuple[str, Callable[[Any], Any]], ...]
    tells: str
    is_brief: bool = False

    @classmethod
    def of(cls, statement: Any, tells: str, is_brief: bool = False) -> _Ready:
        is_sqlite = not is_postgres()
        if is_brief and not is_sqlite:
            statement = statement.add_columns(WITHOUT_WAITING)
        kind: Any = SQLiteDialect_pysqlite if is_sqlite else PGDialect_psycopg
        dialect = kind(paramstyle="named" if is_sqlite else "numeric_dollar")
        compiled = statement.compile(dialect=dialect)
        convert: list[tuple[str, Any]] = []
        for name, bind in compiled.binds.items():
            if isinstance(bind.type, JSON):
                convert.append((name, _as_json))
            elif is_sqlite:
                convert.append((name, bind.type.dialect_impl(dialect).bind_processor(dialect)))
        return cls(
            text=str(compiled) if is_sqlite else str(compiled).encode(),
            columns=() if is_sqlite else tuple(statement.selected_columns.keys()),
            names=tuple(compiled.positiontup or compiled.binds),
            fixed={name: value for name, value in compiled.params.items() if value is not None},
            convert=tuple((name, how) for name, how in convert if how is not None),
            tells=tells,
            is_brief=is_brief and not is_sqlite,
        )

    def given(self, values: dict[str, Any]) -> dict[str, Any]:
        """`values` as the driver takes them, with the statement's own."""
        given = self.fixed | values
        for name, how in self.convert:
            given[name] = how(given[name])
        return given


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()


class _Lanes:
    """PostgreSQL: a few connections without transactions, each for one at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places: SimpleQueue[_Lane | None] = SimpleQueue()
        for _ in range(LANES):
            self._places.put(None)

    def do(self, ready: Sequence[_Ready], values: dict[str, Any]) -> None:
        (statement,) = ready
        given = statement.given(values)
        parameters = [given[name] for name in statement.names]
        try:
            lane = self._places.get(timeout=LANE_TIMEOUT_SECONDS)
        except Empty:
            raise PoolTimeout("no free connection") from None
        is_fine = False
        try:
            lane = self._living(lane)
            row = lane.run(statement.text, parameters)
            if statement.is_brief:
                lane.run(ON_THE_DISK, ())
            values |= zip(statement.columns, row, strict=False)
            lane.used_at = time.monotonic()
            is_fine = True
        finally:
            self._places.put(lane if is_fine else None)
            if not is_fine and lane is not None:
                lane.connection.close()

    def _living(self, lane: _Lane | None) -> _Lane:
        """`lane` if it lives, else a new one."""
        if lane is not None:
            if time.monotonic() - lane.used_at < PING_AFTER_SECONDS:
                return lane
            try:
                lane.connection.execute(b"SELECT 1")
                return lane
            except psycopg.Error:
                lane.connection.close()
        _arguments, options = self._engine.dialect.create_connect_args(self._engine.url)
        more = {"autocommit": True, "connect_timeout": 5, "options": "-c timezone=utc -c jit=off"}
        return _Lane(psycopg.connect(**{**options, **more}))

    def close(self) -> None:
        for _ in range(LANES):
            with suppress(Empty):
                lane = self._places.get_nowait()
                if lane is not None:
                    lane.connection.close()
                self._places.put(None)


class _Lane:
    """A connection, the statements prepared on it, and how their parameters are written.

    It speaks to libpq itself: a cursor's own work is half of what the web process does for a
    statement, and while libpq waits, other threads run all the same.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.used_at = 0.0
        self._transformer = Transformer(connection)
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}

    def run(self, text: bytes, parameters: Sequence[Any]) -> tuple[Any, ...]:
        """The first row of the statement's answer. Raises psycopg's errors."""
        libpq, transformer = self.connection.pgconn, self._transformer
        given: Any = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        kinds = tuple(transformer.types or ())
        name = self._prepared.get((text, kinds))
        if name is None:
            name = b"at_once_%d" % len(self._prepared)
            self._answered(libpq.prepare(name, text, kinds))
            self._prepared[text, kinds] = name
        result = self._answered(libpq.exec_prepared(name, given, transformer.formats))
        transformer.set_pgresult(result)
        return transformer.load_row(0, tuple) or ()

    def _answered(self, result: PGresult) -> PGresult:
        if result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
            return result
        if self.connection.pgconn.status != ConnStatus.OK:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


def _held() -> LockType:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Work:
    """What one writer wants done, and what came of it. `woken` opens when it is done, or when its
    writer is the next to lead."""

    ready: Sequence[_Ready]
    values: dict[str, Any]
    leads: bool = False
    is_done: bool = False
    error: Exception | None = None
    woken: LockType = field(default_factory=_held)

    def do(self, raw: SQLiteConnection) -> None:
        for statement in self.ready:
            row = raw.execute(statement.text, statement.given(self.values)).fetchone()
            if statement.tells:
                self.values[statement.tells] = row is not None


class _Together:
    """SQLite: those who wait are done by whoever leads, in one commit, and leave at once.

    One leads at a time. After its commit it wakes those whose work is done, and the first who has
    come meanwhile leads next: nobody waits for a second commit once their own is through.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Work] = deque()
        self._has_leader = False
        self._guard = Lock()

    def do(self, ready: Sequence[_Ready], values: dict[str, Any]) -> None:
        work = _Work(ready, values)
        with self._guard:
            self._waiting.append(work)
            work.leads, self._has_leader = not self._has_leader, True
        if not work.leads and not work.woken.acquire(timeout=WRITER_TIMEOUT_SECONDS):
            self._give_up(work)
        if work.leads:
            self._lead()
        if work.error is not None:
            raise work.error
        if not work.is_done:
            raise sqlite3.OperationalError("its leader was stopped")

    def _give_up(self, work: _Work) -> None:
        """Too late for `work`, unless it is being done right now or its writer leads by now."""
        with self._guard:
            if work in self._waiting and not work.leads:
                self._waiting.remove(work)
                raise sqlite3.OperationalError("database is locked")
        if not work.leads:
            work.woken.acquire()

    def _lead(self) -> None:
        """Do what waits, the leader's own first; then wake the next leader and those who may go."""
        with self._guard:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        try:
            self._write(batch)
        finally:
            with self._guard:
                following = [self._waiting[0]] if self._waiting else []
                for work in following:
                    work.leads = True
                self._has_leader = bool(following)
            for work in (*following, *batch[1:]):
                work.woken.release()

    def _write(self, batch: Sequence[_Work]) -> None:
        """All in one transaction; if that fails, each in its own."""
        try:
            lent = self._engine.raw_connection()
        except Exception as error:  # noqa: BLE001 - each of them raises it
            for work in batch:
                work.error = error
            return
        raw = cast(SQLiteConnection, lent.driver_connection)
        try:
            try:
                _commit(raw, batch)
            except Exception:  # noqa: BLE001 - whose fault it was comes out one by one
                for work in batch:
                    try:
                        _commit(raw, [work])
                    except Exception as error:  # noqa: BLE001 - its writer raises it
                        work.error = error
        finally:
            lent.close()

    def close(self) -> None:
        """Nothing is kept."""


def _commit(raw: SQLiteConnection, batch: Sequence[_Work]) -> None:
    raw.begin(immediate=True)
    try:
        for work in batch:
            work.do(raw)
        raw.commit()
        for work in batch:
            work.is_done = True
    except BaseException:
        raw.rollback()
        raise


_doers: WeakKeyDictionary[Engine, _Lanes | _Together] = WeakKeyDictionary()
_guard = Lock()


def _doer(engine: Engine) -> _Lanes | _Together:
    found = _doers.get(engine)
    if found is None:
        with _guard:
            found = _doers.get(engine)
            if found is None:
                found = (_Together if engine.dialect.name == "sqlite" else _Lanes)(engine)
                _doers[engine] = found
                event.listen(engine, "engine_disposed", _close)
    return found


def _close(engine: Engine) -> None:
    found = _doers.pop(engine, None)
    if found is not None:
        found.close()
