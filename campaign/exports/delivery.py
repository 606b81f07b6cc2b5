"""Building the file of an export: what the task and the command share.

A file is written beside its final name, synced and renamed: half a file is never served. Consents
are read while building, and once more at the end: whoever withdrew meanwhile is not in it.
Nothing here commits; `build` yields after every thousand people and whoever runs it commits.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Select, delete, or_, select, update

from campaign import clock
from campaign.db import db, insert
from campaign.exports import queries
from campaign.exports.columns import (
    OWN_COLUMNS,
    PARTNER_COLUMNS,
    Known,
    cells,
    header,
    osdi_person,
)
from campaign.exports.models import Export, ExportedPerson, ExportKind, ExportState
from campaign.lists.queries import audience, in_pieces, people_in_list
from campaign.people.models import Person
from campaign.people.queries import tags_of_many
from campaign.places.queries import district_names
from campaign.tabular import CsvWriter, JsonLinesWriter

LEASE = timedelta(minutes=5)
LIFETIME = timedelta(hours=24)
MOST_TRIES = 3
PIECE = 1000
FORMATS = ("csv", "jsonl")


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


def whom(export: Export) -> Select[uuid.UUID]:
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
    return queries.own_people(export.lead_id)


def write_people(export: Export, file: BinaryIO | io.BufferedIOBase) -> Iterator[list[Known]]:
    """Write all people of an export, a piece at a time; yields whom each piece held.

    The last piece is empty: then everything has been passed on to the file.
    """
    is_own = export.kind == ExportKind.PEOPLE
    reader_id, wards = export.organization_id, district_names()
    columns = OWN_COLUMNS if is_own else PARTNER_COLUMNS
    found = whom(export)
    csv_writer = CsvWriter(file, header(columns)) if export.format == "csv" else None
    lines = JsonLinesWriter(file)
    for people in in_pieces(found, PIECE):
        known = _know(people, reader_id, wards, is_own=is_own)
        for one in known:
            if csv_writer is not None:
                csv_writer.write(cells(columns, one))
            else:
                lines.write(osdi_person(one, is_own=is_own))
        yield known
    if csv_writer is not None:
        csv_writer.close()
    yield []


def _know(
    people: list[Person], reader_id: uuid.UUID, wards: dict[uuid.UUID, str], *, is_own: bool
) -> list[Known]:
    ids = [person.id for person in people]
    consents = queries.consents_to(reader_id, ids)
    stops = queries.mail_stops(reader_id, (person.address_hash for person in people))
    tags = tags_of_many(ids) if is_own else {}
    return [
        Known(
            person=person,
            consent=consents.get(person.id),
            ward=wards.get(person.district_id, "") if person.district_id else "",
            tags=[tag.name for tag in tags.get(person.id, [])],
            mail_status=stops.get(
                person.address_hash or "",
                "subscribed" if person.id in consents else "unsubscribed",
            ),
        )
        for person in people
        if is_own or person.id in consents  # withdrawn between the two queries
    ]


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
    db.session.flush()
    yield export.row_count


def _write_file(export_id: uuid.UUID, folder: Path) -> Iterator[int]:
    db.session.execute(delete(ExportedPerson).where(ExportedPerson.export_id == export_id))
    export = db.session.get_one(Export, export_id)
    export.expected_count, export.row_count = queries.count(whom(export)), 0
    yield 0
    descriptor = os.open(_part(folder, export_id), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    done = 0
    with os.fdopen(descriptor, "wb") as file:
        sealed = Sealed(file)
        export = db.session.get_one(Export, export_id)
        for known in write_people(export, sealed):
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


def fail(export_id: uuid.UUID) -> None:
    """It could not be built; nothing is handed out."""
    export = db.session.get_one(Export, export_id)
    export.state, export.lease_until = ExportState.FAILED, None
    export.failure = "could not be built"
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
        "rows": export.row_count,
        "sha256": export.checksum,
    }
