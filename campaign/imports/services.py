"""Starting and dropping imports. Nothing here commits."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.db import db, uuid7
from campaign.errors import Conflict, Invalid
from campaign.imports import tasks
from campaign.imports.models import Import, ImportState
from campaign.organizations.services import record
from campaign.web.fields import hostile
from campaign.worker import enqueue


def draft_import(
    organization_id: uuid.UUID,
    *,
    filename: str,
    path: str,
    report_path: str = "",
    basis: str,
    list_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Import:
    """An import that is not started. Raises Invalid at `basis` when none is stated."""
    basis = " ".join(basis.split())
    if len(basis) < 3 or hostile(basis):
        raise Invalid(
            _l("Say why you may write to these people, like: signed our paper sheets in June."),
            field="basis",
        )
    found = Import(
        id=uuid7(),
        organization_id=organization_id,
        user_id=user_id,
        filename=filename[:200],
        path=path,
        report_path=report_path,
        basis=basis,
        list_id=list_id,
        mapping=dict(mapping or {}),
        created_at=clock.now(),
    )
    db.session.add(found)
    db.session.flush()
    return found


def start_import(found: Import, mapping: Mapping[str, str]) -> None:
    """Name the columns and let the rows be worked in. Raises Conflict when it was started."""
    found.mapping = dict(mapping)
    found.start()
    note_import(found)
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


def drop_import(found: Import) -> str:
    """Forget a draft; returns the path of its file, to delete after the commit."""
    if found.state != ImportState.DRAFT:
        raise Conflict
    path = found.path
    db.session.delete(found)
    return path
