"""Bringing in a file of people, batch after batch: what the command and the task share.

Nothing here commits: `Importer.batches` yields after every thousand rows and whoever runs it
commits, so that a file of any size holds no long transaction and a run that is cut off goes on
where it stood. Each row gets a verdict; a row that cannot be taken costs nobody else theirs.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from flask_babel import gettext
from sqlalchemy import Table, exists, or_, select, update

from campaign import clock
from campaign.db import among, db, is_postgres, looking_up, put_many, uuid7, weighed
from campaign.imports import rules
from campaign.imports.models import Import, ImportState
from campaign.lists.models import ListMember
from campaign.mail.models import Suppression
from campaign.mail.queries import stops_bulk
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Consent, Erasure, Person, PersonTag, Purpose
from campaign.people.queries import live_consent
from campaign.people.services import Merged, PersonDetails, Verdict
from campaign.places.queries import district_for
from campaign.tabular import CsvReader, CsvWriter, read_ahead

BATCH_ROWS = 1000
LARGE_BATCH_ROWS = 5000
"""Where nobody waits for the database's one writer, the fixed cost of a batch is shared by more."""
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
        rows = islice(self.reader, current.done_count, None)
        most = LARGE_BATCH_ROWS if is_postgres() else BATCH_ROWS
        gc.freeze()  # what is there stays: looking through it again and again took a tenth
        for piece in read_ahead(rules.read_rows(rows, places, most)):
            yield self._work_in(piece)

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

    def _work_in(self, piece: Sequence[rules.Entry | rules.Refusal]) -> Tally:
        current = db.session.get_one(Import, self.import_id)
        lines: list[Line] = []
        entries: list[rules.Entry] = []
        for found in piece:
            if isinstance(found, rules.Refusal):
                lines.append(Line(found.number, "refused", str(found.reason)))
            elif found.tags and not self._may_tag(found):
                reason = _(
                    "This file has more than %(most)s different tags.", most=MAX_TAGS_IN_FILE
                )
                lines.append(Line(found.number, "refused", reason))
            else:
                entries.append(found)
        with looking_up():
            lines += self._take(current, entries)
        lines.sort(key=lambda line: line.number)
        for line in lines:
            self.tally.count(line.verdict)
        self._write(lines)
        self._note(db.session.get_one(Import, self.import_id))
        return self.tally

    def _may_tag(self, entry: rules.Entry) -> bool:
        """A column of free text must not become ten thousand tags."""
        names = self._tag_names | {name.casefold() for name in entry.tags}
        if len(names) > MAX_TAGS_IN_FILE:
            return False
        self._tag_names = names
        return True

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
        organization = db.session.get_one(Organization, organization_id)
        language = organization.language
        merged = people.merge_people(
            organization_id,
            _placed(entries),
            is_overwriting=True,
            language=language,
            user_id=user_id,
        )
        added = {into.person_id for into in merged if into.verdict == Verdict.ADDED}
        tagged = _tag(organization_id, entries, merged, added) - added
        if list_id is not None:
            _enlist(list_id, merged, added)
        _grant(
            organization_id,
            people.wording_for(organization_id, language=language, text=basis).id,
            [
                (entry, into)
                for entry, into in zip(entries, merged, strict=True)
                if into.verdict == Verdict.ADDED and entry.hashed not in silent
            ],
            detail=filename,
        )
        for entry, into in zip(entries, merged, strict=True):
            verdict = into.verdict.value
            if into.person_id in tagged and verdict == Verdict.UNCHANGED:
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


def _erased(organization_id: uuid.UUID, entries: Sequence[rules.Entry]) -> set[str | None]:
    """Addresses whose owner asked to be erased: an import must not bring them back."""
    return set(
        db.session.scalars(
            select(Erasure.address_hash).where(
                among(Erasure.address_hash, {entry.hashed for entry in entries}),
                Erasure.organization_id == organization_id,
                Erasure.person_id.is_not(None),
            )
        )
    )


def _silent(organization_id: uuid.UUID, entries: Sequence[rules.Entry]) -> set[str | None]:
    """Addresses that take no bulk mail of this organization, or once said no to it."""
    hashes = {entry.hashed for entry in entries}
    suppressed = db.session.scalars(
        select(Suppression.address_hash).where(
            among(Suppression.address_hash, hashes), stops_bulk(organization_id)
        )
    )
    withdrawn = db.session.scalars(
        select(Person.address_hash).where(
            among(Person.address_hash, hashes),
            weighed(Person.organization_id) == organization_id,
            exists().where(
                Consent.person_id == Person.id,
                Consent.grantee_id == organization_id,
                Consent.purpose == Purpose.EMAIL,
                ~Consent.is_granted,
            ),
            ~live_consent(organization_id),
        )
    )
    return {*suppressed, *withdrawn}


def _placed(entries: Sequence[rules.Entry]) -> list[PersonDetails]:
    """What the rows say, with the districts of their postal codes."""
    codes = {entry.details.postal_code for entry in entries} - {""}
    districts = {code: district_for(code) for code in codes}
    return [
        replace(entry.details, district_id=found[0], district_share=found[1])
        if (found := districts.get(entry.details.postal_code)) and found[0]
        else entry.details
        for entry in entries
    ]


def _tag(
    organization_id: uuid.UUID,
    entries: Sequence[rules.Entry],
    merged: Sequence[Merged],
    added: set[uuid.UUID],
) -> set[uuid.UUID]:
    """Put the rows' tags on their people; returns who carries one more than before."""
    names = {name for entry in entries for name in entry.tags}
    if not names:
        return set()
    tags = {name: people.tag_named(organization_id, name).id for name in sorted(names)}
    wanted = {
        (into.person_id, tags[name])
        for entry, into in zip(entries, merged, strict=True)
        for name in entry.tags
    }
    carried = db.session.execute(
        select(PersonTag.person_id, PersonTag.tag_id).where(
            among(PersonTag.person_id, {person_id for person_id, _tag in wanted} - added),
            weighed(PersonTag.tag_id).in_(set(tags.values())),
        )
    )
    new = wanted - {(row[0], row[1]) for row in carried}
    now = clock.now()
    put_many(
        cast("Table", PersonTag.__table__),
        ("person_id", "tag_id", "created_at"),
        [(person_id, tag_id, now) for person_id, tag_id in new],
    )
    return {person_id for person_id, _tag in new}


def _enlist(list_id: uuid.UUID, merged: Sequence[Merged], added: set[uuid.UUID]) -> None:
    """Put everybody on the list who is not on it yet."""
    wanted = {into.person_id for into in merged}
    known = select(ListMember.person_id).where(
        ListMember.list_id == list_id, among(ListMember.person_id, wanted - added)
    )
    now = clock.now()
    put_many(
        cast("Table", ListMember.__table__),
        ("list_id", "person_id", "created_at"),
        [(list_id, person_id, now) for person_id in wanted - set(db.session.scalars(known))],
    )


_GRANT_COLUMNS = (
    *("id", "organization_id", "person_id", "grantee_id", "purpose", "is_granted"),
    *("wording_id", "source", "source_detail", "at"),
)


def _grant(
    organization_id: uuid.UUID,
    wording_id: uuid.UUID,
    new: Sequence[tuple[rules.Entry, Merged]],
    detail: str,
) -> None:
    """The stated basis, as a first line of each new person's ledger."""
    now, purpose = clock.now(), Purpose.EMAIL.value
    put_many(
        cast("Table", Consent.__table__),
        _GRANT_COLUMNS,
        [
            (
                *(uuid7(), organization_id, into.person_id, organization_id, purpose, True),
                *(wording_id, "import", f"{detail[:280]} #{entry.number}", now),
            )
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
