"""Bringing in a file of people, batch after batch: what the command and the task share.

Nothing here commits: `Importer.batches` yields after every thousand rows and whoever runs it
commits, so that a file of any size holds no long transaction and a run that is cut off goes on
where it stood. Each row gets a verdict; a row that cannot be taken costs nobody else theirs.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from flask_babel import gettext
from sqlalchemy import exists, or_, select, update

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.imports import rules
from campaign.imports.models import Import, ImportState
from campaign.lists.models import ListMember
from campaign.mail.models import Suppression
from campaign.mail.queries import stops_bulk
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Consent, Erasure, Person, Purpose
from campaign.people.queries import live_consent
from campaign.people.services import Merged, Verdict
from campaign.tabular import CsvReader, CsvWriter, Row

BATCH_ROWS = 1000
MAX_TAGS_IN_ROW = 20
MAX_TAGS_IN_FILE = 200
LEASE = timedelta(minutes=5)
DRAFT_KEPT = timedelta(hours=24)
REPORT_KEPT = timedelta(days=30)
REPORT_HEADER = ("row", "verdict", "reason")


def _(message: str, **values: object) -> str:
    return str(gettext(message, **values))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the report: a row of the file and what became of it."""

    number: int
    verdict: str
    reason: str = ""


@dataclass(slots=True)
class Tally:
    """How many rows came to what; `suppressed` are among the others."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    suppressed: int = 0

    def count(self, verdict: str) -> None:
        setattr(self, verdict, getattr(self, verdict) + 1)

    @property
    def done(self) -> int:
        return self.added + self.updated + self.unchanged + self.refused

    def __str__(self) -> str:
        return (
            f"added {self.added}, updated {self.updated}, "
            f"unchanged {self.unchanged}, refused {self.refused}"
        )


# Batches


@dataclass(slots=True)
class Importer:
    """One run over a file. Raises Invalid when the file's columns cannot be used."""

    import_id: uuid.UUID
    reader: CsvReader
    report: BinaryIO | None = None
    tally: Tally = field(default_factory=Tally)
    _tag_names: set[str] = field(default_factory=set)

    def batches(self) -> Iterator[Tally]:
        """Work in the rows, a thousand at a time; the caller commits whenever this yields."""
        current = db.session.get_one(Import, self.import_id)
        mapping = rules.map_columns(self.reader.header, current.mapping)
        places = {rules.Field(name): self.reader.header.index(at) for at, name in mapping.items()}
        self._resume(current)
        skipped = current.done_count
        batch: list[Row] = []
        for row in self.reader:
            if skipped:
                skipped -= 1
                continue
            batch.append(row)
            if len(batch) == BATCH_ROWS:
                yield self._work_in(batch, places)
                batch.clear()
        yield self._work_in(batch, places)

    def _resume(self, current: Import) -> None:
        """Stand where the last committed batch ended: counts and report alike."""
        self.tally = Tally(
            added=current.added_count,
            updated=current.updated_count,
            unchanged=current.unchanged_count,
            refused=current.refused_count,
            suppressed=current.suppressed_count,
        )
        if self.report is None:
            return
        self.report.seek(current.report_size)
        self.report.truncate()
        if not current.report_size:
            CsvWriter(self.report, REPORT_HEADER).close()

    def _work_in(self, rows: Sequence[Row], places: Mapping[rules.Field, int]) -> Tally:
        current = db.session.get_one(Import, self.import_id)
        lines: list[Line] = []
        entries: list[rules.Entry] = []
        for row in rows:
            try:
                entry = rules.read_row(row, places)
                self._admit_tags(entry)
            except rules.RefusedError as refusal:
                lines.append(Line(row.number, "refused", refusal.reason))
            else:
                entries.append(entry)
        lines += self._take(current, entries)
        lines.sort(key=lambda line: line.number)
        for line in lines:
            self.tally.count(line.verdict)
        self._write(lines)
        self._note(db.session.get_one(Import, self.import_id))
        return self.tally

    def _admit_tags(self, entry: rules.Entry) -> None:
        """A column of free text must not become ten thousand tags."""
        names = {name.casefold() for name in entry.tags}
        if len(self._tag_names | names) > MAX_TAGS_IN_FILE:
            raise rules.RefusedError(
                _("This file has more than %(most)s different tags.", most=MAX_TAGS_IN_FILE)
            )
        self._tag_names |= names

    def _take(self, current: Import, entries: Sequence[rules.Entry]) -> list[Line]:
        if not entries:
            return []
        organization_id, list_id = current.organization_id, current.list_id
        basis, user_id, filename = current.basis, current.user_id, current.filename
        erased = _erased(organization_id, entries)
        lines = [
            Line(entry.number, "refused", _("This person asked to be erased and stays so."))
            for entry in entries
            if entry.hashed in erased
        ]
        entries = [entry for entry in entries if entry.hashed not in erased]
        silent = _silent(organization_id, entries)
        merged = people.merge_people(
            organization_id,
            [entry.details for entry in entries],
            is_overwriting=True,
            user_id=user_id,
        )
        new = [
            (entry, into)
            for entry, into in zip(entries, merged, strict=True)
            if into.verdict == Verdict.ADDED
        ]
        _speak_own_language(organization_id, [into.person_id for _entry, into in new])
        tagged = _tag(organization_id, entries, merged) - {into.person_id for _entry, into in new}
        if list_id is not None:
            _enlist(list_id, merged)
        _grant(
            organization_id,
            basis,
            [(entry, into) for entry, into in new if entry.hashed not in silent],
            detail=filename,
        )
        for entry, into in zip(entries, merged, strict=True):
            verdict = into.verdict.value
            if verdict == Verdict.UNCHANGED and into.person_id in tagged:
                verdict = Verdict.UPDATED.value
                tagged.discard(into.person_id)
            reason = ""
            if entry.hashed in silent:
                self.tally.suppressed += 1
                reason = _("On the do-not-mail list, and stays on it.")
            lines.append(Line(entry.number, verdict, reason))
        return lines

    def _write(self, lines: Sequence[Line]) -> None:
        if self.report is None:
            return
        writer = CsvWriter(self.report)
        for line in lines:
            writer.write((line.number, line.verdict, line.reason))
        writer.close()
        self.report.flush()
        os.fsync(self.report.fileno())

    def _note(self, current: Import) -> None:
        current.added_count = self.tally.added
        current.updated_count = self.tally.updated
        current.unchanged_count = self.tally.unchanged
        current.refused_count = self.tally.refused
        current.suppressed_count = self.tally.suppressed
        current.done_count = self.tally.done
        current.row_count = max(current.row_count, self.tally.done)
        current.report_size = self.report.tell() if self.report is not None else 0
        current.lease_until = clock.now() + LEASE
        db.session.flush()


def _erased(organization_id: uuid.UUID, entries: Sequence[rules.Entry]) -> set[str]:
    """Addresses whose owner asked to be erased: an import must not bring them back."""
    return {
        hashed
        for hashed in db.session.scalars(
            select(Erasure.address_hash).where(
                Erasure.address_hash.in_({entry.hashed for entry in entries}),
                Erasure.organization_id == organization_id,
                Erasure.person_id.is_not(None),
            )
        )
        if hashed is not None
    }


def _silent(organization_id: uuid.UUID, entries: Sequence[rules.Entry]) -> set[str]:
    """Addresses that take no bulk mail of this organization, or once said no to it."""
    hashes = {entry.hashed for entry in entries}
    found = set(
        db.session.scalars(
            select(Suppression.address_hash).where(
                Suppression.address_hash.in_(hashes), stops_bulk(organization_id)
            )
        )
    )
    withdrawn = db.session.scalars(
        select(Person.address_hash).where(
            Person.organization_id == organization_id,
            Person.address_hash.in_(hashes),
            exists().where(
                Consent.person_id == Person.id,
                Consent.grantee_id == organization_id,
                Consent.purpose == Purpose.EMAIL,
                ~Consent.is_granted,
            ),
            ~live_consent(organization_id),
        )
    )
    return found | {hashed for hashed in withdrawn if hashed is not None}


def _speak_own_language(organization_id: uuid.UUID, person_ids: Sequence[uuid.UUID]) -> None:
    """New people without a language are written to in the organization's."""
    if not person_ids:
        return
    own = select(Organization.language).where(Organization.id == organization_id)
    db.session.execute(
        update(Person)
        .where(Person.id.in_(person_ids), Person.language == "")
        .values(language=own.scalar_subquery())
        .execution_options(synchronize_session=False)
    )


def _tag(
    organization_id: uuid.UUID, entries: Sequence[rules.Entry], merged: Sequence[Merged]
) -> set[uuid.UUID]:
    """Put the rows' tags on their people; returns who carries one more than before."""
    wanted: dict[str, list[uuid.UUID]] = {}
    for entry, into in zip(entries, merged, strict=True):
        for name in entry.tags:
            wanted.setdefault(name, []).append(into.person_id)
    tagged: set[uuid.UUID] = set()
    for name, person_ids in wanted.items():
        tag = people.tag_named(organization_id, name)
        tagged |= set(people.add_tag_to(tag, person_ids))
    return tagged


def _enlist(list_id: uuid.UUID, merged: Sequence[Merged]) -> None:
    if not merged:
        return
    now = clock.now()
    db.session.execute(
        insert(ListMember.__table__).on_conflict_do_nothing(),
        [
            {"list_id": list_id, "person_id": person_id, "created_at": now}
            for person_id in {into.person_id for into in merged}
        ],
    )


def _grant(
    organization_id: uuid.UUID, basis: str, new: Sequence[tuple[rules.Entry, Merged]], detail: str
) -> None:
    """The stated basis, as a first line of each new person's ledger."""
    if not new:
        return
    language = db.session.scalar(
        select(Organization.language).where(Organization.id == organization_id)
    )
    wording = people.wording_for(organization_id, language=language or "en", text=basis)
    now = clock.now()
    db.session.execute(
        insert(Consent.__table__),
        [
            {
                "id": uuid7(),
                "organization_id": organization_id,
                "person_id": into.person_id,
                "grantee_id": organization_id,
                "purpose": Purpose.EMAIL,
                "is_granted": True,
                "wording_id": wording.id,
                "source": "import",
                "source_detail": f"{detail[:280]} #{entry.number}",
                "at": now,
            }
            for entry, into in new
        ],
    )


# One run after the other


def claim(import_id: uuid.UUID) -> bool:
    """Take an import to work on; False when it is over, not started, or another run has it."""
    now = clock.now()
    taken = db.session.execute(
        update(Import)
        .where(
            Import.id == import_id,
            or_(
                Import.state == ImportState.QUEUED,
                (Import.state == ImportState.RUNNING) & (Import.lease_until < now),
            ),
        )
        .values(state=ImportState.RUNNING, lease_until=now + LEASE)
        .returning(Import.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    db.session.expire_all()
    return taken is not None


def count_rows(path: Path) -> int:
    """How many rows a file has below its header."""
    with path.open("rb") as file:
        reader = CsvReader(file)
        found = sum(1 for _row in reader)
        reader.close()
    return found


def work_in(import_id: uuid.UUID) -> Iterator[Tally]:
    """Work in the uploaded file of an import; the caller commits whenever this yields."""
    current = db.session.get_one(Import, import_id)
    path, report_path = Path(current.path), Path(current.report_path)
    current.row_count = count_rows(path)
    yield Tally()
    with path.open("rb") as file, report_path.open("r+b" if report_path.exists() else "w+b") as out:
        reader = CsvReader(file)
        importer = Importer(import_id, reader, out)
        yield from importer.batches()
        reader.close()
    finish(import_id)
    yield importer.tally
    path.unlink(missing_ok=True)


def finish(import_id: uuid.UUID) -> None:
    """Every row is worked in."""
    current = db.session.get_one(Import, import_id)
    current.state = ImportState.DONE
    current.finished_at = clock.now()
    current.lease_until = None
    db.session.flush()


def fail(import_id: uuid.UUID, reason: str) -> None:
    """It cannot go on; what was worked in stays, and the file may be brought in again."""
    current = db.session.get_one(Import, import_id)
    current.state = ImportState.FAILED
    current.failure = reason[:200]
    current.finished_at = clock.now()
    current.lease_until = None
    db.session.flush()


def stalled() -> list[uuid.UUID]:
    """Imports that nobody works on though they should: a lost call, a worker that died."""
    now = clock.now()
    return list(
        db.session.scalars(
            select(Import.id).where(
                or_(
                    Import.state == ImportState.QUEUED,
                    (Import.state == ImportState.RUNNING) & (Import.lease_until < now),
                )
            )
        )
    )


def sweep() -> list[Path]:
    """Forget drafts a day old and reports a month old; returns the files to delete after that."""
    now = clock.now()
    files: list[Path] = []
    for old in db.session.scalars(
        select(Import).where(
            Import.state == ImportState.DRAFT, Import.created_at < now - DRAFT_KEPT
        )
    ):
        files.append(Path(old.path))
        db.session.delete(old)
    for old in db.session.scalars(
        select(Import).where(Import.report_path != "", Import.finished_at < now - REPORT_KEPT)
    ):
        files += [Path(part) for part in (old.path, old.report_path) if part]
        old.path = old.report_path = ""
    db.session.flush()
    return files
