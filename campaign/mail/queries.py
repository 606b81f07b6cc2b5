"""What is known about mail: counts, reasons, suppressions, history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, or_, select

from campaign.db import db
from campaign.mail.models import Scope, Suppression


def suppressions_of(hashed: str) -> Sequence[Suppression]:
    """All suppressions of an address, oldest first."""
    mine = select(Suppression).where(Suppression.address_hash == hashed)
    return db.session.scalars(mine.order_by(Suppression.since, Suppression.id)).all()


def suppressed_for_bulk(
    organization_id: uuid.UUID, list_id: uuid.UUID | None = None
) -> Select[str]:
    """The hashes of all addresses that take no bulk mail of this organization (and list).

    Use it as `Person.address_hash.not_in(suppressed_for_bulk(…))`.
    """
    return select(Suppression.address_hash).where(stops_bulk(organization_id, list_id))


def stops_bulk(
    organization_id: uuid.UUID | None, list_id: uuid.UUID | None = None
) -> ColumnElement[bool]:
    """Whether a suppression holds against bulk mail of this organization and list."""
    scopes: list[ColumnElement[bool]] = [Suppression.scope.in_((Scope.ADDRESS, Scope.EVERYTHING))]
    if organization_id is not None:
        scopes.append(
            and_(
                Suppression.scope == Scope.ORGANIZATION,
                Suppression.scope_id == organization_id.hex,
            )
        )
    if list_id is not None:
        scopes.append(and_(Suppression.scope == Scope.LIST, Suppression.scope_id == list_id.hex))
    return or_(*scopes)
