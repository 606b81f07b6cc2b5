"""What is asked about imports."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from campaign.db import db
from campaign.errors import NotFound
from campaign.imports.models import Import, ImportState


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
            .where(Import.organization_id == organization_id, Import.state != ImportState.DRAFT)
            .order_by(Import.id.desc())
            .limit(limit)
        )
    )
