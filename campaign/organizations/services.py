"""Changing organizations, memberships and invitations; writing the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import select

from campaign import clock
from campaign.db import db, insert
from campaign.mail.services import Sender
from campaign.organizations import queries
from campaign.organizations.models import AuditEntry, AuditHead, Organization


def record(
    action: str,
    *,
    organization_id: uuid.UUID,
    user_id: uuid.UUID | None = None,
    subject_kind: str = "",
    subject_id: uuid.UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add a line to the organization's audit log, in the transaction of what it tells.

    Lines are chained: each holds the hash of the one before, and the head of the chain is locked
    until the commit, so that no line is lost, moved or added in between unnoticed. `details` are
    ids, counts and words of ours, never a name or an address: raises ValueError on an "@".
    """
    plain = _plain(details or {})
    db.session.execute(
        insert(AuditHead).values(organization_id=organization_id).on_conflict_do_nothing()
    )
    head = db.session.scalars(
        select(AuditHead)
        .where(AuditHead.organization_id == organization_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    entry = AuditEntry(
        organization_id=organization_id,
        n=head.n + 1,
        at=clock.now(),
        user_id=user_id,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        details=plain,
        previous_hash=head.hash,
    )
    entry.hash = entry.computed_hash()
    head.n, head.hash = entry.n, entry.hash
    db.session.add(entry)
    db.session.flush()
    return entry


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    """`details` as they will be read back from JSON."""
    encoded = orjson.dumps(dict(details), default=str)
    if b"@" in encoded:
        raise ValueError("an audit line holds ids and counts, never an address")
    plain: dict[str, Any] = orjson.loads(encoded)
    return plain


def sender_of(organization: Organization) -> Sender:
    """From whom the organization's e-mail comes."""
    return Sender(
        name=organization.sender_name or organization.name,
        email=organization.sender_email,
        reply_to=organization.reply_to,
    )


def organization_to_begin_with(user_id: uuid.UUID) -> uuid.UUID | None:
    """For which organization a new session works: as the last one did, else the first by name."""
    last = queries.last_organization(user_id)
    found = queries.working_membership(user_id, last)
    return found.organization_id if found is not None else None
