"""What is known about mail: counts, reasons, suppressions, history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from campaign.db import db
from campaign.mail.merge import merge_text
from campaign.mail.models import (
    Batch,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    Scope,
    Suppression,
)


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


@dataclass(frozen=True, slots=True)
class SentLetter:
    """One e-mail to one person, for their history. `settled_at` is None while nothing is known."""

    id: uuid.UUID
    kind: str
    is_bulk: bool
    subject: str
    state: str
    reason: str
    created_at: datetime
    settled_at: datetime | None


def letters_to(
    organization_id: uuid.UUID, person_id: uuid.UUID | None, hashed: str | None, limit: int = 500
) -> list[SentLetter]:
    """What an organization wrote to a person, newest first.

    With what went to their address before they were anybody here (confirmations); never what
    went to another person who shares it.
    """
    mine = [Delivery.person_id == person_id] if person_id is not None else []
    if hashed:
        mine.append(and_(Delivery.person_id.is_(None), Delivery.address_hash == hashed))
    rows = db.session.execute(
        select(Delivery, Batch.kind, Batch.is_bulk, Chunk.state, Content.subject)
        .join(Batch, Delivery.batch_id == Batch.id)
        .outerjoin(Chunk, Delivery.chunk_id == Chunk.id)
        .outerjoin(Content, Content.id == func.coalesce(Chunk.content_id, Batch.content_id))
        .where(or_(*mine), Batch.organization_id == organization_id)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    return [
        SentLetter(
            id=delivery.id,
            kind=kind,
            is_bulk=is_bulk,
            subject=merge_text(subject or "", delivery.values or {}),
            state=delivery.state or chunk_state or DeliveryState.QUEUED,
            reason=delivery.reason or "",
            created_at=delivery.created_at,
            settled_at=delivery.settled_at,
        )
        for delivery, kind, is_bulk, chunk_state, subject in rows
    ]
