"""The migrations make exactly the tables of the models, one revision after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, create_engine, inspect

from campaign.operations import migrations
from tests.conftest import database_url


@pytest.fixture
def empty(app: Flask, tmp_path: Path, worker_id: str) -> Iterator[Connection]:
    """A connection to a new, empty database of the kind under test."""
    url = database_url(f"campaign_migrations_{worker_id}").replace(
        "postgresql://", "postgresql+psycopg://"
    )
    engine = create_engine(url or f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    with app.app_context(), engine.connect() as connection:
        yield connection
    engine.dispose()


def revisions() -> list[str]:
    """All revisions, oldest first."""
    script = ScriptDirectory.from_config(migrations.config())
    return [one.revision for one in script.walk_revisions()][::-1]


def test_there_is_one_head() -> None:
    script = ScriptDirectory.from_config(migrations.config())
    assert script.get_heads() == [revisions()[-1]]
    assert migrations.head() == revisions()[-1]


def test_migrated_tables_are_those_of_the_models(empty: Connection) -> None:
    config = migrations.config()
    config.attributes["connection"] = empty
    command.upgrade(config, "head")
    assert migrations.current(empty) == migrations.head()
    command.check(config)


def test_every_revision_goes_up_and_down_and_up(empty: Connection) -> None:
    config = migrations.config()
    config.attributes["connection"] = empty
    for revision in revisions():
        command.upgrade(config, revision)
        command.downgrade(config, "-1")
        command.upgrade(config, revision)
    command.downgrade(config, "base")
    assert set(inspect(empty).get_table_names()) <= {"alembic_version"}


def test_revisions_are_numbered_in_order() -> None:
    numbers = [int(revision.split("_")[0]) for revision in revisions()]
    assert numbers == list(range(1, len(numbers) + 1))
