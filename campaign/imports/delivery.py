"""Bringing in a file of people, batch after batch: what the command and the task share.

Nothing here commits: `Importer.batches` yields after every thousand rows and whoever runs it
commits, so that a file of any size holds no long transaction and a run that is cut off goes on
where it stood. Each row gets a verdict; a row that cannot be taken costs nobody else theirs.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from flask_babel import gettext
from sqlalchemy import Table, or_, select, update

from campaign import clock
from campaign.accounts.models import User
from campaign.db import among, db, is_postgres, looking_up, put_many, uuid7, weighed
from campaign.fields import services as fields
from campaign.fields.models import Question
from campaign.fields.queries import fields_of
from campaign.imports import rules
from campaign.imports.models import WAITING, Import, ImportState
from campaign.lists.models import ListMember
from campaign.mail.models import Suppression
from campaign.mail.queries import stops_bulk
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Consent, Erasure, Person, PersonTag, Purpose
from campaign.people.queries import tag_by_name
from campaign.people.services import Merged, PersonDetails, Verdict
from campaign.places.queries import district_for, districts
from campaign.tabular import CsvReader, CsvWriter, read_ahead
from campaign.workbooks import is_workbook, workbook_to_csv
from campaign.worker import same_app

BATCH_ROWS = 1000
LARGE_BATCH_ROWS = 5000
"""Where nobody waits for the database's one writer, the fixed cost of a batch is shared by more."""
MAX_TAGS_IN_FILE = 200
LEASE = timedelta(minutes=5)
ROWS_A_LOOK = 50_000
DRAFT_KEPT = timedelta(hours=24)
STOPPED_KEPT = timedelta(days=7)
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
    _tried: set[int] = field(default_factory=set)

    def batches(self) -> Iterator[Tally]:
        """Work in the rows, some thousands at a time; the caller commits whenever this yields.

        Ends before the file does when somebody stops the import meanwhile.
        """
        current = db.session.get_one(Import, self.import_id)
        plan = plan_of(current, self.reader.header)
        self._resume(current)
        rows = islice(self.reader, current.done_count, None)
        most = LARGE_BATCH_ROWS if is_postgres() else BATCH_ROWS
        gc.freeze()  # what is there stays: looking through it again and again took a tenth
        try:
            for piece in read_ahead(rules.read_rows(rows, plan, most), within=same_app()):
                if not self._is_running():
                    return
                yield self._work_in(piece)
        finally:
            gc.unfreeze()

    def _is_running(self) -> bool:
        """Whether nobody has stopped it; keeps who stops it waiting until this batch is in."""
        state = db.session.scalar(
            select(Import.state).where(Import.id == self.import_id).with_for_update()
        )
        return state == ImportState.RUNNING

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
        is_trial = current.is_trial
        erased = _erased(organization_id, entries)
        lines = [
            Line(entry.number, "refused", _("This person asked to be erased and stays so."))
            for entry in entries
            if entry.hashed in erased
        ]
        entries = [entry for entry in entries if entry.hashed not in erased]
        silent = _silent(organization_id, entries)
        left = {entry.hashed for entry in entries if entry.has_left}
        organization = db.session.get_one(Organization, organization_id)
        language = organization.language
        merged = people.merge_people(
            organization_id,
            _placed(entries),
            is_overwriting=True,
            language=language,
            user_id=user_id,
            is_trial=is_trial,
        )
        added = {into.person_id for into in merged if into.verdict == Verdict.ADDED}
        touched = _tag(organization_id, entries, merged, added, is_trial=is_trial)
        touched |= fields.put_values(
            organization_id,
            [
                (into.person_id, question, value)
                for entry, into in zip(entries, merged, strict=True)
                for question, value in entry.values
            ],
            user_id=user_id,
            is_trial=is_trial,
        )
        if is_trial:
            return lines + self._try(entries, merged, touched - added, silent, left)
        if list_id is not None:
            _enlist(list_id, merged, added)
        _grant(
            organization_id,
            people.wording_for(organization_id, language=language, text=basis).id,
            [
                (entry, into)
                for entry, into in zip(entries, merged, strict=True)
                if into.verdict == Verdict.ADDED
                and entry.hashed not in silent
                and entry.hashed not in left
            ],
            detail=filename,
        )
        return lines + self._tell(entries, merged, touched - added, silent, left)

    def _try(
        self,
        entries: Sequence[rules.Entry],
        merged: Sequence[Merged],
        touched: set[uuid.UUID],
        silent: set[str | None],
        left: set[str],
    ) -> list[Line]:
        """Of a trial nothing is saved: who came in an earlier batch is remembered here."""
        seen = []
        for entry, into in zip(entries, merged, strict=True):
            key = hash((entry.hashed, entry.details.first_name, entry.details.last_name))
            is_again = into.verdict == Verdict.ADDED and key in self._tried
            self._tried.add(key)
            seen.append(replace(into, verdict=Verdict.UNCHANGED) if is_again else into)
        return self._tell(entries, seen, touched, silent, left)

    def _tell(
        self,
        entries: Sequence[rules.Entry],
        merged: Sequence[Merged],
        touched: set[uuid.UUID],
        silent: set[str | None],
        left: set[str],
    ) -> list[Line]:
        lines: list[Line] = []
        for entry, into in zip(entries, merged, strict=True):
            verdict: str = into.verdict.value
            if into.person_id in touched and verdict == Verdict.UNCHANGED:
                verdict = Verdict.UPDATED.value
                touched.discard(into.person_id)
            reason = str(entry.note)
            if entry.hashed in silent:
                self.tally.suppressed += 1
                reason = _("On the do-not-mail list, and stays on it.")
            elif entry.hashed in left and into.verdict == Verdict.ADDED:
                self.tally.suppressed += 1
                reason = _("Left the mailings of whoever sent them: brought in without consent.")
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
        if current.begun_at is None:
            current.begun_at = clock.now()
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
    people_there = select(Person.id, Person.address_hash).where(
        among(Person.address_hash, hashes),
        weighed(Person.organization_id) == organization_id,
    )
    known = {row[0]: row[1] for row in db.session.execute(people_there)}
    return {*suppressed, *(known[person_id] for person_id in _withdrawn(organization_id, known))}


def _withdrawn(organization_id: uuid.UUID, known: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Who of these people said no to its mailings, and has not said yes since."""
    mine = (
        weighed(Consent.grantee_id) == organization_id,
        weighed(Consent.purpose) == Purpose.EMAIL.value,
    )
    once = set(
        db.session.scalars(
            select(Consent.person_id).where(
                among(Consent.person_id, known), *mine, ~Consent.is_granted
            )
        )
    )
    lines = select(Consent.person_id, Consent.is_granted).where(
        among(Consent.person_id, once), *mine
    )
    last = {row[0]: row[1] for row in db.session.execute(lines.order_by(Consent.id))}
    return {person_id for person_id, is_granted in last.items() if not is_granted}


def questions_of(organization_id: uuid.UUID, *, with_sensitive: bool = True) -> list[Question]:
    """The organization's own fields, as a file may fill them."""
    own = fields_of(organization_id, with_sensitive=with_sensitive)
    return [one.question for one in own]


def wards() -> dict[str, uuid.UUID]:
    """How a cell may name a ward → its id: by its number, and by its name in any language."""
    found: dict[str, uuid.UUID] = {}
    for district in districts():
        found.setdefault(district.code.lstrip("0") or district.code, district.id)
        found.setdefault(rules.heading(district.name), district.id)
    return found


def plan_of(current: Import, header: Sequence[str]) -> rules.Plan:
    """How this import reads its rows. Raises Invalid when its columns cannot be used."""
    own = questions_of(current.organization_id)
    mapping = rules.map_columns(header, current.mapping, own)
    has_wards = rules.Field.DISTRICT in mapping.values()
    return rules.Plan.of(
        header,
        mapping,
        own,
        wards=wards() if has_wards else {},
        source=current.source or "import",
        tags=tuple(current.tags),
        language=language_of(current.user_id),
    )


def language_of(user_id: uuid.UUID | None) -> str:
    """The language in which whoever brought the file reads its report."""
    found = db.session.get(User, user_id) if user_id is not None else None
    return found.language if found is not None else "en"


def _placed(entries: Sequence[rules.Entry]) -> list[PersonDetails]:
    """What the rows say, with the districts of their postal codes."""
    codes = {
        entry.details.postal_code for entry in entries if entry.details.district_id is None
    } - {""}
    places = {code: district_for(code) for code in codes}
    return [
        replace(entry.details, district_id=found[0], district_share=found[1])
        if entry.details.district_id is None
        and (found := places.get(entry.details.postal_code))
        and found[0]
        else entry.details
        for entry in entries
    ]


def _tag(
    organization_id: uuid.UUID,
    entries: Sequence[rules.Entry],
    merged: Sequence[Merged],
    added: set[uuid.UUID],
    *,
    is_trial: bool,
) -> set[uuid.UUID]:
    """Put the rows' tags on their people; returns who carries one more than before."""
    names = {name for entry in entries for name in entry.tags}
    if not names:
        return set()
    tags = {name: _tag_id(organization_id, name, is_trial=is_trial) for name in sorted(names)}
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
    if is_trial:
        return {person_id for person_id, _tag in new}
    now = clock.now()
    put_many(
        cast("Table", PersonTag.__table__),
        ("person_id", "tag_id", "created_at"),
        [(person_id, tag_id, now) for person_id, tag_id in sorted(new)],
    )
    return {person_id for person_id, _tag in new}


def _tag_id(organization_id: uuid.UUID, name: str, *, is_trial: bool) -> uuid.UUID:
    """The tag of that name, made when it is new; a trial takes an id that nobody has."""
    if not is_trial:
        return people.tag_named(organization_id, name).id
    found = tag_by_name(organization_id, name)
    return found.id if found is not None else uuid7()


def _enlist(list_id: uuid.UUID, merged: Sequence[Merged], added: set[uuid.UUID]) -> None:
    """Put everybody on the list who is not on it yet."""
    wanted = {into.person_id for into in merged}
    known = select(ListMember.person_id).where(
        ListMember.list_id == list_id, among(ListMember.person_id, wanted - added)
    )
    new = sorted(wanted - set(db.session.scalars(known)))  # no two wait for each other
    now = clock.now()
    put_many(
        cast("Table", ListMember.__table__),
        ("list_id", "person_id", "created_at"),
        [(list_id, person_id, now) for person_id in new],
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
    return _claim(import_id, ImportState.QUEUED, ImportState.RUNNING)


def claim_to_read(import_id: uuid.UUID) -> bool:
    """Take an uploaded file to read through; False when it is read, or another run has it."""
    return _claim(import_id, ImportState.READING, ImportState.READING)


def _claim(import_id: uuid.UUID, waiting: ImportState, working: ImportState) -> bool:
    now = clock.now()
    is_free = or_(Import.lease_until.is_(None), Import.lease_until < now)
    taken = db.session.execute(
        update(Import)
        .where(
            Import.id == import_id,
            Import.state.in_((waiting, working)),
            or_(Import.state != working, is_free),
        )
        .values(
            state=working,
            lease_until=now + LEASE,
            begun_at=now,
            begun_count=Import.done_count,
        )
        .returning(Import.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    db.session.expire_all()
    return taken is not None


def read_through(import_id: uuid.UUID) -> Iterator[None]:
    """Look at an uploaded file once: make a workbook a CSV file, and count its rows.

    The caller commits whenever this yields. Raises Unreadable when there is no table in it.
    """
    current = db.session.get_one(Import, import_id)
    path = Path(current.path)
    table = path
    if is_workbook(path):
        table = path.with_suffix(".csv")
        part = path.with_suffix(".part")
        with path.open("rb") as file, part.open("w+b") as out:
            for _rows in workbook_to_csv(file, out):
                _keep_lease(import_id)
                yield
        os.replace(part, table)
    count = 0
    with table.open("rb") as file:
        reader = CsvReader(file)
        for count, _row in enumerate(reader, 1):
            if count % ROWS_A_LOOK == 0:
                _keep_lease(import_id)
                yield
        reader.close()
    db.session.get_one(Import, import_id).take_as_read(str(table), count)
    db.session.flush()
    yield
    if path != table:
        path.unlink(missing_ok=True)


def _keep_lease(import_id: uuid.UUID) -> None:
    db.session.get_one(Import, import_id).lease_until = clock.now() + LEASE
    db.session.flush()


def work_in(import_id: uuid.UUID) -> Iterator[Tally]:
    """Work in the uploaded file of an import; the caller commits whenever this yields."""
    current = db.session.get_one(Import, import_id)
    path, report_path = Path(current.path), Path(current.report_path)
    with path.open("rb") as file, report_path.open("r+b" if report_path.exists() else "w+b") as out:
        reader = CsvReader(file)
        importer = Importer(import_id, reader, out)
        yield from importer.batches()
        reader.close()
    finish(import_id)
    yield importer.tally
    if db.session.get_one(Import, import_id).state == ImportState.DONE:
        path.unlink(missing_ok=True)


def finish(import_id: uuid.UUID) -> None:
    """Every row is worked in; a trial is a draft again. A stopped one stays as it is."""
    current = db.session.get_one(Import, import_id, with_for_update=True)
    if current.state != ImportState.RUNNING:
        return
    if current.is_trial:
        current.end_trial()
    else:
        current.state = ImportState.DONE
        current.finished_at = clock.now()
        current.lease_until = None
    db.session.flush()


def fail(import_id: uuid.UUID, reason: str) -> list[Path]:
    """It cannot go on; what was worked in stays, and the file may be brought in again. Returns the
    files to delete after the commit: nobody needs what nobody can read."""
    current = db.session.get_one(Import, import_id)
    files = [Path(current.path).with_suffix(end) for end in _KEPT_AS] if current.path else []
    current.path = ""
    current.state = ImportState.FAILED
    current.failure = reason[:200]
    current.finished_at = clock.now()
    current.lease_until = None
    db.session.flush()
    return files


_KEPT_AS = (".upload", ".csv", ".part")
"""What an uploaded file is called below DATA_DIR, a workbook's table, and half of one."""


def stalled() -> list[Import]:
    """Imports that nobody works on though they should: a lost call, a worker that died."""
    is_free = or_(Import.lease_until.is_(None), Import.lease_until < clock.now())
    return list(
        db.session.scalars(
            select(Import).where(
                Import.state.in_(WAITING),
                or_(Import.state == ImportState.QUEUED, is_free),
                Import.path != "",
            )
        )
    )


def sweep() -> list[Path]:
    """Forget drafts and stopped files a day old, and reports a month old; commands that died are
    stopped. Returns the files to delete after that."""
    now = clock.now()
    files: list[Path] = []
    for old in db.session.scalars(
        select(Import).where(
            Import.state == ImportState.DRAFT, Import.created_at < now - DRAFT_KEPT
        )
    ):
        files += [Path(part) for part in (old.path, old.report_path) if part]
        db.session.delete(old)
    for old in db.session.scalars(
        select(Import).where(
            Import.state == ImportState.STOPPED,
            Import.path != "",
            Import.begun_at < now - STOPPED_KEPT,
        )
    ):
        files.append(Path(old.path))
        old.path, old.finished_at = "", now
    for dead in db.session.scalars(
        select(Import).where(
            Import.state == ImportState.RUNNING, Import.path == "", Import.lease_until < now
        )
    ):
        dead.stop()
        dead.finished_at = now
    for old in db.session.scalars(
        select(Import).where(Import.report_path != "", Import.finished_at < now - REPORT_KEPT)
    ):
        files += [Path(part) for part in (old.path, old.report_path) if part]
        old.path = old.report_path = ""
    db.session.flush()
    return files
