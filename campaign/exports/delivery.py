"""Building the file of an export: what the task and the command share.

A file is written beside its final name, synced and renamed: half a file is never served. Consents
are read while building, and once more at the end: whoever withdrew meanwhile is not in it.
Of one's own people, whom a filter finds is written down first, all at one moment; then piece after
piece. Whether who asked may still do so is looked up when the building starts.
Nothing here commits; `build` yields after each piece and whoever runs it commits.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from sqlalchemy import Select, delete, or_, select, update

from campaign import clock
from campaign.db import Ids, db, insert, is_postgres, joining_sets
from campaign.errors import Invalid
from campaign.exports import gathering, queries
from campaign.exports.columns import (
    FIELD,
    OWN_COLUMNS,
    PARTNER_COLUMNS,
    UNIT,
    USUAL,
    Known,
    cells,
    header,
    osdi,
    osdi_person,
)
from campaign.exports.gathering import Lines, Piece, Plan
from campaign.exports.models import (
    Export,
    ExportedPerson,
    ExportedPiece,
    ExportKind,
    ExportState,
)
from campaign.fields.queries import fields_of
from campaign.lists.queries import audience, in_pieces, people_in_list
from campaign.organizations.models import MATRIX, Permission, Role
from campaign.organizations.queries import membership
from campaign.people.models import Person
from campaign.places.queries import district_names
from campaign.table import queries as table
from campaign.table import rules as table_rules
from campaign.tabular import CsvWriter, JsonLinesWriter, XlsxWriter

LEASE = timedelta(minutes=5)
LIFETIME = timedelta(hours=24)
MOST_TRIES = 3
PIECE = 1000
OWN_PIECE = 20_000
FORMATS = ("csv", "xlsx", "jsonl")
NO_LONGER = "no longer allowed"


class Sealed(io.BufferedIOBase):
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._hash.update(data)
        return self._file.write(data)

    @property
    def checksum(self) -> str:
        """SHA-256 of all that was written, hexadecimal."""
        return self._hash.hexdigest()


def whom(export: Export, *, with_sensitive: bool = True) -> Select[uuid.UUID]:
    """A select of the ids of those an export is to hold, as things stand now."""
    if export.kind == ExportKind.PARTNER:
        return queries.shared_people(export.organization_id, export.lead_id, export.campaign_id)
    filters = export.filters
    if filters.get("list_id"):
        return queries.own_people(export.lead_id).where(
            Person.id.in_(people_in_list(uuid.UUID(filters["list_id"])))
        )
    if filters.get("rules"):
        return audience(export.lead_id, filters["rules"])
    if filters.get("asked"):
        asked = table_rules.read(table_rules.Stored(filters["asked"]))
        meant = table.meaning(export.lead_id, asked, with_sensitive=with_sensitive)
        if meant.problems:
            raise Invalid("the filter cannot be asked any more")
        return table.found(export.lead_id, meant).with_only_columns(Person.id)
    if "ids" in filters:
        return queries.own_people(export.lead_id).where(
            Person.id.in_([uuid.UUID(key) for key in filters["ids"]])
        )
    return queries.own_people(export.lead_id)


def is_everybody(export: Export) -> bool:
    """Whether nothing narrows it: then there is nothing to write down first."""
    return not export.filters.keys() & {"list_id", "rules", "asked", "ids"}


# Writing


class Rows(Protocol):
    """A writer of tables."""

    def write(self, cells: Iterable[object]) -> None: ...

    def close(self) -> None: ...


File = BinaryIO | io.BufferedIOBase


def _rows_into(file: File, format_: str, header: Sequence[str], folder: Path | None) -> Rows:
    if format_ == "xlsx":
        return XlsxWriter(file, header, title="People", folder=folder)
    return CsvWriter(file, header)


def write_shared(export: Export, file: File, folder: Path | None = None) -> Iterator[list[Known]]:
    """Write the people a partner may have, a piece at a time; yields whom each piece held.

    The last piece is empty: then everything has been passed on to the file.
    """
    reader_id, wards = export.organization_id, district_names()
    is_lines = export.format == "jsonl"
    writer = None if is_lines else _rows_into(file, export.format, header(PARTNER_COLUMNS), folder)
    lines = JsonLinesWriter(file)
    for people in in_pieces(whom(export), PIECE):
        known = _know(people, reader_id, wards)
        for one in known:
            if writer is None:
                lines.write(osdi_person(one))
            else:
                writer.write(cells(PARTNER_COLUMNS, one))
        yield known
    if writer is not None:
        writer.close()
    yield []


def _know(people: list[Person], reader_id: uuid.UUID, wards: dict[uuid.UUID, str]) -> list[Known]:
    consents = queries.consents_to(reader_id, [person.id for person in people])
    stops = queries.mail_stops(reader_id, (person.address_hash for person in people))
    return [
        Known(
            person=person,
            consent=consents[person.id],
            ward=wards.get(person.district_id, "") if person.district_id else "",
            mail_status=stops.get(person.address_hash or "", "subscribed"),
        )
        for person in people
        if person.id in consents  # not withdrawn between the two queries
    ]


def plan_of(export: Export) -> Plan:
    """The columns of a file of one's own people, with the fields they name. A field that is gone
    since it was asked for has no column."""
    fields = {
        f"{FIELD}{field.key}": field
        for field in fields_of(export.lead_id, with_sensitive=export.is_sensitive)
    }
    asked = export.columns or list(USUAL)
    columns = [name for name in asked if name in OWN_COLUMNS or name in fields]
    return Plan(columns, fields, district_names())


def write_own(
    export: Export, pieces: Iterable[Piece], file: File, folder: Path | None = None
) -> Iterator[Ids]:
    """Write one's own people, a piece at a time; yields whom each piece held, at last nobody."""
    plan = plan_of(export)
    if export.format == "jsonl":
        yield from _write_osdi(plan, pieces, file)
        return
    writer = _rows_into(file, export.format, plan.columns, folder)
    if isinstance(writer, CsvWriter) and is_postgres():
        yield from _pass_on(writer, gathering.lines(pieces, plan))
    else:
        for piece in pieces:
            held, rows = gathering.rows(piece, plan)
            for row in rows:
                writer.write(row)
            yield held
    writer.close()
    yield Ids(b"")


def _pass_on(writer: CsvWriter, found: Iterable[Lines]) -> Iterator[Ids]:
    for lines in found:
        for part in lines.parts:
            if isinstance(part, str):
                writer.write_lines(part)
            else:
                writer.write(part)
        yield lines.people


def _write_osdi(plan: Plan, pieces: Iterable[Piece], file: File) -> Iterator[Ids]:
    beside = tuple(
        name for name in ("person_id", "added_at", "modified_at") if name not in plan.columns
    )
    columns = (*plan.columns, *beside)
    lines = JsonLinesWriter(file)
    for piece in pieces:
        held, rows = gathering.rows(piece, replace(plan, columns=columns, between_tags=UNIT))
        for row in rows:
            lines.write(osdi(dict(zip(columns, row, strict=True))))
        yield held
    yield Ids(b"")


def pieces_of_all(organization_id: uuid.UUID) -> Iterator[Piece]:
    """Everybody of an organization, some thousands at a time, each looked for when it is its turn."""
    everybody = queries.own_people(organization_id).order_by(Person.id)
    rest = everybody
    while True:
        first = db.session.scalar(rest.limit(1))
        if first is None:
            return
        last = db.session.scalar(rest.offset(OWN_PIECE - 1).limit(1))
        if last is None:
            backwards = rest.order_by(None).order_by(Person.id.desc())
            last = db.session.scalars(backwards.limit(1)).one()
        yield Piece(organization_id, first, last)
        rest = everybody.where(Person.id > last)


def pieces_written_down(export_id: uuid.UUID, organization_id: uuid.UUID) -> Iterator[Piece]:
    """The pieces that `freeze` wrote down."""
    number = 0
    while True:
        row = db.session.execute(
            select(ExportedPiece.first_id, ExportedPiece.last_id, ExportedPiece.people).where(
                ExportedPiece.export_id == export_id, ExportedPiece.number == number
            )
        ).first()
        if row is None:
            return
        yield Piece(organization_id, row.first_id, row.last_id, row.people)
        number += 1


def pieces_of(found: Select[uuid.UUID]) -> Iterator[Ids]:
    """Whom a select of ids finds at one moment, in their order, in pieces."""
    with joining_sets():
        ids = db.session.scalars(found.order_by(Person.id).execution_options(yield_per=OWN_PIECE))
        for some in ids.partitions():
            yield Ids.of(some)


def freeze(export: Export) -> int:
    """Write down whom a filter finds now; returns how many they are."""
    pieces = list(pieces_of(whom(export, with_sensitive=may_see_sensitive(export))))
    for number, people in enumerate(pieces):
        note_piece(export.id, number, people)
    return sum(map(len, pieces))


def note_piece(export_id: uuid.UUID, number: int, people: Ids) -> None:
    """Note whom a piece of a file of one's own people holds."""
    if people:
        db.session.execute(
            insert(ExportedPiece).values(
                export_id=export_id,
                number=number,
                first_id=people[0],
                last_id=people[len(people) - 1],
                people=people,
            )
        )


# Who may


def permissions(export: Export, user_id: uuid.UUID | None) -> frozenset[str]:
    """What somebody may do now for the organization an export is for: roles change while it waits.
    Nobody: a command, whose user has the database anyway."""
    if user_id is None:
        return frozenset(Permission)
    found = membership(user_id, export.organization_id)
    return MATRIX[Role(found.role)] if found is not None else frozenset()


def may_be_built(export: Export) -> bool:
    """Whether who asked may still have it, with the sensitive columns it asks for."""
    may = permissions(export, export.user_id)
    if export.kind == ExportKind.PARTNER:
        return Permission.PARTNER_EXPORT in may
    return Permission.PEOPLE_EXPORT in may and (
        Permission.SENSITIVE_VIEW in may or not asks_sensitive(export)
    )


def may_see_sensitive(export: Export) -> bool:
    """Whether who asked may see sensitive fields now."""
    return Permission.SENSITIVE_VIEW in permissions(export, export.user_id)


def asks_sensitive(export: Export) -> bool:
    """Whether a column of it is sensitive now: a field may have become so since it was asked for."""
    return any(
        field.is_sensitive and f"{FIELD}{field.key}" in export.columns
        for field in fields_of(export.lead_id, with_sensitive=True)
    )


# Building


def remember(export_id: uuid.UUID, known: list[Known]) -> None:
    """Note whom an export holds, and the consent each of them gave."""
    if known:
        db.session.execute(
            insert(ExportedPerson).on_conflict_do_nothing(),
            [
                {
                    "export_id": export_id,
                    "person_id": one.person.id,
                    "consent_id": one.consent.id if one.consent is not None else None,
                }
                for one in known
            ],
        )


def claim(export_id: uuid.UUID) -> bool:
    """Take an export to build; False when it is over or another run has it."""
    now = clock.now()
    taken = db.session.execute(
        update(Export)
        .where(
            Export.id == export_id,
            or_(
                Export.state == ExportState.QUEUED,
                (Export.state == ExportState.RUNNING) & (Export.lease_until < now),
            ),
        )
        .values(state=ExportState.RUNNING, lease_until=now + LEASE)
        .returning(Export.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    db.session.expire_all()
    return taken is not None


def build(export_id: uuid.UUID, folder: Path) -> Iterator[int]:
    """Write the file and make it ready; yields the number of people so far, for committing."""
    export = db.session.get_one(Export, export_id)
    if not may_be_built(export):
        fail(export_id, NO_LONGER)
        yield 0
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _try in range(MOST_TRIES):
        yield from _write_file(export_id, folder)
        export = db.session.get_one(Export, export_id)
        if export.kind != ExportKind.PARTNER or not queries.withdrawn_since(export):
            break
    else:  # somebody withdrew in every one of the tries: hand out nothing rather than too much
        fail(export_id)
        _part(folder, export_id).unlink(missing_ok=True)
        yield 0
        return
    final = folder / f"{export_id.hex}.{export.format}"
    os.replace(_part(folder, export_id), final)
    _sync_folder(folder)
    now = clock.now()
    export.state, export.path = ExportState.READY, str(final)
    export.ready_at, export.expires_at = now, now + LIFETIME
    export.lease_until = None
    if export.filters.keys() & {"asked", "ids"}:  # a filter may hold a name or an address
        export.filters = {"is_chosen": True}
    db.session.flush()
    yield export.row_count


def _write_file(export_id: uuid.UUID, folder: Path) -> Iterator[int]:
    for held in (ExportedPerson, ExportedPiece):
        db.session.execute(delete(held).where(held.export_id == export_id))
    export = db.session.get_one(Export, export_id)
    is_own, is_all = export.kind == ExportKind.PEOPLE, is_everybody(export)
    export.row_count = 0
    export.is_sensitive = is_own and asks_sensitive(export)
    if is_own and not is_all:
        export.expected_count = freeze(export)
    else:
        export.expected_count = queries.count(whom(export))
    yield 0
    descriptor = os.open(_part(folder, export_id), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    done = 0
    with os.fdopen(descriptor, "wb") as file:
        sealed = Sealed(file)
        export = db.session.get_one(Export, export_id)
        if is_own:
            pieces = (
                pieces_of_all(export.lead_id)
                if is_all
                else pieces_written_down(export_id, export.lead_id)
            )
            for number, people in enumerate(write_own(export, pieces, sealed, folder)):
                if is_all:
                    note_piece(export_id, number, people)
                done += len(people)
                note(export_id, done)
                yield done
        else:
            for known in write_shared(export, sealed, folder):
                remember(export_id, known)
                done += len(known)
                note(export_id, done)
                yield done
        file.flush()
        os.fsync(file.fileno())
    db.session.get_one(Export, export_id).checksum = sealed.checksum


def note(export_id: uuid.UUID, done: int) -> None:
    """How far it has come, and that it still goes on."""
    db.session.execute(
        update(Export)
        .where(Export.id == export_id)
        .values(row_count=done, lease_until=clock.now() + LEASE)
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()


def fail(export_id: uuid.UUID, reason: str = "could not be built") -> None:
    """It could not be built; nothing is handed out."""
    export = db.session.get_one(Export, export_id)
    export.state, export.lease_until = ExportState.FAILED, None
    export.failure = reason
    db.session.flush()


def expire(export: Export) -> Path | None:
    """The file's day is over; returns it, to delete after the commit."""
    path = Path(export.path) if export.path else None
    export.state, export.path = ExportState.EXPIRED, ""
    db.session.flush()
    return path


def strays(folder: Path) -> list[Path]:
    """Files in the folder that belong to no export: of a run that died before its commit."""
    if not folder.is_dir():
        return []
    known = {Path(path).name for path in db.session.scalars(select(Export.path)) if path}
    building = {
        key.hex
        for key in db.session.scalars(
            select(Export.id).where(Export.state.in_((ExportState.QUEUED, ExportState.RUNNING)))
        )
    }
    return [
        path
        for path in folder.iterdir()
        if path.name not in known and path.name.split(".")[0] not in building
    ]


def _part(folder: Path, export_id: uuid.UUID) -> Path:
    return folder / f"{export_id.hex}.part"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shown(export: Export) -> dict[str, Any]:
    """What the audit log keeps of an export: counts and the checksum."""
    return {
        "kind": export.kind,
        "campaign": export.campaign_id,
        "format": export.format,
        "columns": list(export.columns),
        "sensitive": export.is_sensitive,
        "rows": export.row_count,
        "sha256": export.checksum,
    }
