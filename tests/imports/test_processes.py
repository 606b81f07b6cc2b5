"""Imports by processes of their own: killed in the middle, and two at once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from campaign import clock
from campaign.app import create_app
from campaign.db import Model, db
from campaign.imports.models import Import, ImportState
from campaign.lists.models import ListMember
from campaign.people.models import Consent, Person, PersonTag
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.organizations import make_organization
from tests.live import Live

pytestmark = pytest.mark.xdist_group("processes")

ROWS = 12_000


@dataclass(frozen=True)
class Office:
    """An installation with an organization called stop."""

    live: Live
    folder: Path
    environment: dict[str, str]

    def start(self, file: Path, *more: str) -> subprocess.Popen[str]:
        """`campaign people import`, going on by itself."""
        return subprocess.Popen(
            [
                *(sys.executable, "-c", "from campaign.app import main; main()"),
                *("people", "import", str(file), "--organization", "stop"),
                *("--basis", "Signed our sheets", "--list", "Sheets", *more),
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def counts(self) -> list[int]:
        """People, consents, places on the list, tags put on people."""
        tables = (Person, Consent, ListMember, PersonTag)
        with self.live.rows():
            return [
                db.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables
            ]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    data = tmp_path / "data"
    url = database_url(f"imports_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}")
    app = create_app(Settings(secret_key=TEST_KEY, data_dir=data, database_url=url))
    with app.app_context():
        Model.metadata.create_all(db.engine)
        make_organization(slug="stop")
        db.session.commit()
        db.session.remove()
    environment = {
        **os.environ,
        "SECRET_KEY": TEST_KEY,
        "DATA_DIR": str(data),
        "DATABASE_URL": url.replace("+psycopg", ""),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    yield Office(Live("", app), tmp_path, environment)
    with app.app_context():
        db.engine.dispose()


def people(path: Path, *, is_backwards: bool = False) -> Path:
    """A file of invented people, in order or from its end."""
    rows = [(f"p{n}@example.org", f"Ana{n}", "sheets; june") for n in range(ROWS)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "first_name", "tags"))
        writer.writerows(reversed(rows) if is_backwards else rows)
    return path


def test_a_command_that_was_killed_is_taken_up_where_it_stood(office: Office) -> None:
    file, report = people(office.folder / "people.csv"), office.folder / "report.csv"
    process = office.start(file, "--report", str(report))
    deadline = time.monotonic() + 120
    done = 0
    while not done and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
        with office.live.rows():
            done = db.session.scalar(select(Import.done_count)) or 0
    process.kill()
    process.communicate()
    with office.live.rows():
        found = db.session.scalars(select(Import)).one()
        assert found.state == ImportState.RUNNING
        done = found.done_count
        found.lease_until = clock.now() - timedelta(seconds=1)
    assert 0 < done < ROWS
    assert office.counts() == [done, done, done, 2 * done], "what is counted is in, and no more"

    out, errors = office.start(file, "--report", str(report), "--resume").communicate(timeout=300)
    assert out.strip() == f"added {ROWS}, updated 0, unchanged 0, refused 0", errors
    assert office.counts() == [ROWS, ROWS, ROWS, 2 * ROWS]
    lines = list(csv.reader(report.open(newline="")))
    assert [line[0] for line in lines] == ["row", *map(str, range(2, ROWS + 2))]


def test_two_at_once_bring_everybody_in_once(office: Office) -> None:
    """One of them reads the same people from the end: neither waits for the other for ever."""
    both = [
        office.start(people(office.folder / "a.csv")),
        office.start(people(office.folder / "b.csv", is_backwards=True)),
    ]
    told = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert office.counts() == [ROWS, ROWS, ROWS, 2 * ROWS]
    added = [int(out.split(",")[0].removeprefix("added ")) for out, _errors in told]
    assert sum(added) == ROWS
