"""What is asked about imports."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import or_, select

from campaign import clock
from campaign.db import db
from campaign.errors import NotFound
from campaign.imports import rules
from campaign.imports.models import Import, ImportMapping, ImportState


def find_import(organization_id: uuid.UUID, import_id: uuid.UUID) -> Import:
    """An import of this organization. Raises NotFound."""
    found = db.session.scalar(
        select(Import).where(Import.organization_id == organization_id, Import.id == import_id)
    )
    if found is None:
        raise NotFound
    return found


def imports_of(organization_id: uuid.UUID, limit: int = 20) -> list[Import]:
    """The latest imports that were started."""
    return list(
        db.session.scalars(
            select(Import)
            .where(
                Import.organization_id == organization_id,
                Import.state.not_in((ImportState.DRAFT, ImportState.READING)),
            )
            .order_by(Import.id.desc())
            .limit(limit)
        )
    )


def remembered(organization_id: uuid.UUID, header: Sequence[str]) -> dict[str, str]:
    """What the organization said of such columns the last time, or nothing."""
    found = db.session.get(ImportMapping, (organization_id, rules.header_key(header)))
    return dict(found.mapping) if found is not None else {}


def stopped(organization_id: uuid.UUID, filename: str) -> Import | None:
    """The latest import of a file that a command read and that was stopped, or whose command
    died: a run that has said nothing for as long as its lease."""
    return db.session.scalar(
        select(Import)
        .where(
            Import.organization_id == organization_id,
            Import.filename == filename,
            Import.path == "",
            or_(
                Import.state == ImportState.STOPPED,
                (Import.state == ImportState.RUNNING) & (Import.lease_until < clock.now()),
            ),
        )
        .order_by(Import.id.desc())
        .limit(1)
    )
