"""Imports in the background: exactly once each row, whoever dies on the way."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db
from campaign.imports import delivery, services, tasks
from campaign.imports.models import Import, ImportState
from campaign.imports.services import FileDetails
from campaign.organizations.models import Organization
from campaign.people.models import Person
from tests.factories.organizations import make_organization
from tests.test_workbooks import book

DETAILS = FileDetails(filename="people.csv", basis="They signed on paper")


@pytest.fixture
def organization(app: Flask) -> Organization:
    made = make_organization()
    db.session.commit()
    return made


def drafted(organization: Organization, tmp_path: Path, rows: int) -> Import:
    file = tmp_path / "people.csv"
    file.write_text("mail\n" + "".join(f"p{n}@example.org\n" for n in range(rows)))
    found = services.draft_import(
        organization.id,
        FileDetails(filename="people.csv", basis="They signed on paper"),
        path=str(file),
        report_path=str(tmp_path / "report.csv"),
    )
    db.session.commit()
    tasks.read_file(str(found.id))
    db.session.expire_all()
    services.start_import(found, ["mail"], {"mail": "email"})
    db.session.commit()
    return found


def people_count() -> int:
    return int(db.session.scalar(select(func.count()).select_from(Person)) or 0)


def report_rows(tmp_path: Path) -> list[list[str]]:
    return list(csv.reader((tmp_path / "report.csv").open(newline="")))[1:]


def test_a_started_import_runs_and_deletes_its_file(
    organization: Organization, tmp_path: Path, run_tasks: Callable[[], int]
) -> None:
    found = drafted(organization, tmp_path, 3)
    run_tasks()
    assert (found.state, found.added_count, found.row_count) == (ImportState.DONE, 3, 3)
    assert not Path(found.path).exists()
    assert [row[1] for row in report_rows(tmp_path)] == ["added"] * 3
    tasks.run_import(str(found.id))  # a second call finds nothing to do
    assert people_count() == 3


def test_a_run_that_was_cut_off_goes_on_where_it_stood(
    organization: Organization, tmp_path: Path, rung: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BATCH_ROWS", "LARGE_BATCH_ROWS"):
        monkeypatch.setattr(delivery, name, 10)
    found = drafted(organization, tmp_path, 35)
    rung.clear()
    delivery.claim(found.id)
    steps = delivery.work_in(found.id)
    for _step in range(2):
        next(steps)
        db.session.commit()
    next(steps)  # a third batch is worked in and written to the report, but never committed
    steps.close()
    db.session.rollback()
    assert people_count() == 20
    assert found.done_count == 20

    tasks.resume_imports()
    assert rung == []  # the lease of the dead run is not over yet
    found.lease_until = clock.now() - timedelta(seconds=1)
    db.session.commit()
    tasks.resume_imports()
    ((task, arguments),) = rung
    assert (task, arguments) == (tasks.run_import, (str(found.id),))
    task(*arguments)
    db.session.expire_all()
    assert (found.state, found.added_count, found.unchanged_count) == (ImportState.DONE, 35, 0)
    assert people_count() == 35
    assert [int(row[0]) for row in report_rows(tmp_path)] == list(range(2, 37))


def test_a_lost_call_is_found_by_the_beat(
    organization: Organization, tmp_path: Path, rung: list[Any], run_tasks: Callable[[], int]
) -> None:
    found = drafted(organization, tmp_path, 2)
    rung.clear()
    tasks.resume_imports()
    run_tasks()
    assert found.state == ImportState.DONE


def test_a_missing_file_fails_with_words(
    organization: Organization, tmp_path: Path, run_tasks: Callable[[], int]
) -> None:
    found = drafted(organization, tmp_path, 2)
    Path(found.path).unlink()
    run_tasks()
    assert found.state == ImportState.FAILED
    assert "upload it once more" in found.failure
    assert str(tmp_path) not in found.failure


def test_old_drafts_and_reports_are_forgotten(organization: Organization, tmp_path: Path) -> None:
    file, report = tmp_path / "draft.csv", tmp_path / "old.report.csv"
    for path in (file, report):
        path.write_text("x")
    paper = FileDetails(filename="", basis="They signed on paper")
    draft = services.draft_import(organization.id, paper, path=str(file))
    draft.state = ImportState.DRAFT
    draft.created_at = clock.now() - timedelta(hours=25)
    old = services.draft_import(organization.id, paper, report_path=str(report))
    old.state, old.finished_at = ImportState.DONE, clock.now() - timedelta(days=31)
    db.session.commit()
    tasks.resume_imports()
    assert not file.exists()
    assert not report.exists()
    assert [row.id for row in db.session.scalars(select(Import))] == [old.id]


def test_a_reading_that_was_cut_off_begins_anew(
    organization: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uploaded file is there as it was, however far the first reading came."""
    monkeypatch.setattr(delivery, "ROWS_A_LOOK", 10)
    for content in (csv_of(35), book(["email"], *([f"p{n}@example.org"] for n in range(35)))):
        file = tmp_path / "people.upload"
        file.write_bytes(content.getvalue())
        found = services.draft_import(organization.id, DETAILS, path=str(file))
        db.session.commit()
        assert delivery.claim_to_read(found.id)
        db.session.commit()
        steps = delivery.read_through(found.id)
        for _step in range(3):
            next(steps, None)
            db.session.commit()
        steps.close()
        if found.state == ImportState.READING:
            found.lease_until = clock.now() - timedelta(seconds=1)
            db.session.commit()
            tasks.read_file(str(found.id))
        db.session.expire_all()
        assert (found.state, found.row_count) == (ImportState.DRAFT, 35)
        assert Path(found.path).exists()


def csv_of(count: int) -> io.BytesIO:
    return io.BytesIO(b"email\n" + b"".join(b"p%d@example.org\n" % n for n in range(count)))


def test_of_a_file_that_cannot_be_read_nothing_is_kept(
    organization: Organization, tmp_path: Path, run_tasks: Callable[[], int]
) -> None:
    file = tmp_path / "people.upload"
    content = book(["email"], ["a@example.org"]).getvalue()
    file.write_bytes(content[:500] + bytes(200) + content[700:])
    found = services.draft_import(organization.id, DETAILS, path=str(file))
    db.session.commit()
    run_tasks()
    assert found.state == ImportState.FAILED
    assert "damaged" in found.failure
    assert list(tmp_path.iterdir()) == []
