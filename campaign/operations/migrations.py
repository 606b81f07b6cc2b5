"""Bringing the database to the form that the code expects, one at a time.

Alembic is imported inside the functions: a web process needs it at most once, for /readyz.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from campaign.db import db, is_postgres

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
LOCK_NUMBER = 7_262_271  # any fixed number: PostgreSQL's advisory locks are named by numbers


def config() -> Config:
    """Alembic's configuration for our folder."""
    from alembic.config import Config

    found = Config(str(FOLDER / "alembic.ini"))
    found.set_main_option("script_location", str(FOLDER))
    return found


@cache
def head() -> str:
    """The newest revision in the code."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(config()).get_current_head())


def current(connection: Connection) -> str | None:
    """The revision of the database; None when it has never been migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def is_at_head() -> bool:
    """Whether the database has the form that the code expects."""
    return current(db.session.connection()) == head()


def upgrade(data_dir: Path, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate to `revision`; returns the revisions before and after.

    Starts on several machines or in several terminals wait for one another: the first migrates,
    the others find nothing to do.
    """
    from alembic import command

    with _one_at_a_time(data_dir), db.engine.connect() as connection:
        before = current(connection)
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
        connection.commit()
        return before, current(connection)


@contextmanager
def _one_at_a_time(data_dir: Path) -> Iterator[None]:
    if is_postgres():
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": LOCK_NUMBER})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": LOCK_NUMBER})
    else:
        data_dir.mkdir(parents=True, exist_ok=True)
        with (data_dir / "migrate.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
