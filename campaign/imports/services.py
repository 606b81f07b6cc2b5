"""Starting and dropping imports. Nothing here commits."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.errors import Conflict, Invalid
from campaign.imports import rules, tasks
from campaign.imports.models import Import, ImportMapping, ImportState
from campaign.organizations.services import record
from campaign.web.fields import hostile
from campaign.worker import enqueue

SOURCE_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDetails:
    """What is said of a whole file: why its people may be written to, and what holds for all."""

    filename: str
    basis: str
    list_id: uuid.UUID | None = None
    source: str = ""
    tags: Sequence[str] = ()


def draft_import(
    organization_id: uuid.UUID,
    details: FileDetails,
    *,
    path: str = "",
    report_path: str = "",
    user_id: uuid.UUID | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Import:
    """An import that is not started. Raises Invalid at `basis`, `source` or `tags`.

    A file at `path` is read through first, by a worker.
    """
    found = Import(
        id=uuid7(),
        organization_id=organization_id,
        user_id=user_id,
        filename=said_name(details.filename),
        path=path,
        report_path=report_path,
        basis=_checked_basis(details.basis),
        list_id=details.list_id,
        source=_checked_source(details.source),
        tags=_checked_tags(details.tags),
        mapping=dict(mapping or {}),
        state=ImportState.READING if path else ImportState.DRAFT,
        created_at=clock.now(),
    )
    db.session.add(found)
    db.session.flush()
    if path:
        enqueue(tasks.read_file, found.id)
    return found


def said_name(filename: str) -> str:
    """The name of a file, for people to read: no folders, and no letters that nobody sees."""
    bare = re.split(r"[/\\]", filename)[-1]
    return "".join(letter for letter in bare if letter.isprintable()).strip()[:200]


def _checked_basis(basis: str) -> str:
    basis = " ".join(basis.split())
    if len(basis) < 3 or hostile(basis):
        raise Invalid(
            _l("Say why you may write to these people, like: signed our paper sheets in June."),
            field="basis",
        )
    return basis


def _checked_source(source: str) -> str:
    source = " ".join(source.split())
    if problem := hostile(source):
        raise Invalid(problem, field="source")
    if len(source) > SOURCE_CHARS:
        raise Invalid(
            _l("Please keep this under %(max)d characters.", max=SOURCE_CHARS), field="source"
        )
    return source


def _checked_tags(tags: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(" ".join(tag.split()) for tag in tags if tag.strip()))
    if len(names) > rules.MAX_TAGS_IN_ROW or any(len(name) > 80 for name in names):
        raise Invalid(
            _l("These are too many tags (%(most)s at most), or one is too long.", most=20),
            field="tags",
        )
    for name in names:
        if problem := hostile(name):
            raise Invalid(problem, field="tags")
    return names


def start_import(
    found: Import, header: Sequence[str], mapping: Mapping[str, str], *, is_trial: bool = False
) -> None:
    """Name the columns and let the rows be worked in, or be tried. Raises Conflict when it was
    started. What the columns hold is remembered for the next file with this header."""
    found.mapping = dict(mapping)
    found.start(is_trial=is_trial)
    remember(found.organization_id, header, mapping)
    if not is_trial:
        note_import(found)
    db.session.flush()
    enqueue(tasks.run_import, found.id)


def remember(organization_id: uuid.UUID, header: Sequence[str], mapping: Mapping[str, str]) -> None:
    """Keep what an organization said of such columns."""
    row = {"mapping": dict(mapping), "used_at": clock.now()}
    db.session.execute(
        insert(ImportMapping)
        .values(organization_id=organization_id, header_key=rules.header_key(header), **row)
        .on_conflict_do_update(index_elements=["organization_id", "header_key"], set_=row)
    )


def stop_import(found: Import) -> None:
    """Work in no more rows; those that are in stay. Raises Conflict when nobody works on it."""
    db.session.refresh(found, with_for_update=True)
    found.stop()
    db.session.flush()


def go_on(found: Import) -> None:
    """Take a stopped import up where it stood. Raises Conflict when its file is gone."""
    found.go_on()
    db.session.flush()
    enqueue(tasks.run_import, found.id)


def note_import(found: Import) -> None:
    """Say in the audit log that people are brought in."""
    record(
        "people.import",
        organization_id=found.organization_id,
        user_id=found.user_id,
        subject_kind="import",
        subject_id=found.id,
        details={"list": found.list_id, "columns": len(found.mapping)},
    )


def drop_import(found: Import) -> list[str]:
    """Forget a draft; returns the paths of its files, to delete after the commit."""
    if found.state not in {ImportState.DRAFT, ImportState.READING}:
        raise Conflict
    paths = [path for path in (found.path, found.report_path) if path]
    db.session.delete(found)
    return paths
