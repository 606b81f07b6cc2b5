"""Reading organizations, their members, invitations and the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select

from campaign.accounts.models import Session
from campaign.db import db
from campaign.organizations.models import Membership, Organization, Role


def organization_by_slug(slug: str) -> Organization | None:
    """The organization of a slug."""
    return db.session.scalar(select(Organization).where(Organization.slug == slug))


def members(organization_id: uuid.UUID) -> Sequence[Membership]:
    """Who works for an organization, by role and then by name."""
    rows = db.session.scalars(
        select(Membership).where(Membership.organization_id == organization_id)
    ).all()
    order = {role.value: place for place, role in enumerate(Role)}
    return sorted(rows, key=lambda row: (order[row.role], row.user.name.lower(), row.user.email))


def member(organization_id: uuid.UUID, membership_id: uuid.UUID) -> Membership | None:
    """One membership, if it is in this organization."""
    return db.session.scalar(
        select(Membership).where(
            Membership.id == membership_id, Membership.organization_id == organization_id
        )
    )


def memberships_of(user_id: uuid.UUID) -> Sequence[Membership]:
    """For which organizations a user works, by name."""
    return db.session.scalars(
        select(Membership)
        .join(Membership.organization)
        .where(Membership.user_id == user_id)
        .order_by(func.lower(Organization.name), Organization.id)
    ).all()


def membership(user_id: uuid.UUID, organization_id: uuid.UUID | None) -> Membership | None:
    """A user's membership in an organization."""
    return db.session.scalar(
        select(Membership).where(
            Membership.user_id == user_id, Membership.organization_id == organization_id
        )
    )


def owner_count(organization_id: uuid.UUID) -> int:
    """How many owners an organization has; it never falls to none."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Membership)
            .where(Membership.organization_id == organization_id, Membership.role == Role.OWNER)
        )
        or 0
    )


def working_membership(user_id: uuid.UUID, organization_id: uuid.UUID | None) -> Membership | None:
    """The membership a session works under: in its organization, else the first one left."""
    found = membership(user_id, organization_id) if organization_id is not None else None
    return found or next(iter(memberships_of(user_id)), None)


def last_organization(user_id: uuid.UUID) -> uuid.UUID | None:
    """For which organization the user's latest session worked."""
    return db.session.scalar(
        select(Session.organization_id)
        .where(Session.user_id == user_id, Session.organization_id.is_not(None))
        .order_by(Session.id.desc())
        .limit(1)
    )
