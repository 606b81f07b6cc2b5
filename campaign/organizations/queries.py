"""Reading organizations, their members, invitations and the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select

from campaign import clock
from campaign.accounts.models import Session, User, email_key
from campaign.db import db
from campaign.organizations.models import (
    MATRIX,
    AuditEntry,
    AuditHead,
    Invitation,
    Membership,
    Organization,
    Permission,
    Role,
)
from campaign.tokens import fingerprint

CHAIN_STEP = 1000


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


def senders(organization_id: uuid.UUID) -> list[User]:
    """Who of the team may send mailings."""
    return [
        membership.user
        for membership in members(organization_id)
        if Permission.MAILINGS_SEND in MATRIX[Role(membership.role)]
    ]


def member(organization_id: uuid.UUID, membership_id: uuid.UUID) -> Membership | None:
    """One membership, if it is in this organization."""
    return db.session.scalar(
        select(Membership).where(
            Membership.id == membership_id, Membership.organization_id == organization_id
        )
    )


def member_by_email(organization_id: uuid.UUID, email: str) -> Membership | None:
    """The member who logs in with this address."""
    return db.session.scalar(
        select(Membership)
        .join(Membership.user)
        .where(Membership.organization_id == organization_id, User.email_key == email_key(email))
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


def lock_owners(organization_id: uuid.UUID) -> None:
    """Wait for everybody else who is changing this organization's owners."""
    db.session.execute(
        select(Organization.id).where(Organization.id == organization_id).with_for_update()
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


def open_invitations(organization_id: uuid.UUID) -> Sequence[Invitation]:
    """Invitations that wait for an answer, those that expired among them, the newest first."""
    return db.session.scalars(
        select(Invitation)
        .where(
            Invitation.organization_id == organization_id,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        .order_by(Invitation.id.desc())
    ).all()


def invitation(organization_id: uuid.UUID, invitation_id: uuid.UUID) -> Invitation | None:
    """One invitation, if it is of this organization."""
    return db.session.scalar(
        select(Invitation).where(
            Invitation.id == invitation_id, Invitation.organization_id == organization_id
        )
    )


def invitation_by_token(token: str) -> Invitation | None:
    """The invitation of a link, open or over."""
    return db.session.scalar(select(Invitation).where(Invitation.token_hash == fingerprint(token)))


def audit_entries(
    organization_id: uuid.UUID,
    *,
    action: str = "",
    user_id: uuid.UUID | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> Select[AuditEntry]:
    """Lines of the log: of one action, of one person, from `begin` until before `end` (UTC)."""
    statement = select(AuditEntry).where(AuditEntry.organization_id == organization_id)
    if action:
        statement = statement.where(AuditEntry.action == action)
    if user_id is not None:
        statement = statement.where(AuditEntry.user_id == user_id)
    if begin is not None:
        statement = statement.where(AuditEntry.at >= begin)
    if end is not None:
        statement = statement.where(AuditEntry.at < end)
    return statement


def last_time(
    organization_id: uuid.UUID, action: str, subject_id: uuid.UUID, **details: str
) -> tuple[datetime, uuid.UUID, str] | None:
    """When somebody last did this to that, their id and name; None where nobody is named."""
    found = db.session.execute(
        select(AuditEntry.at, User.id, User.name)
        .join(User, User.id == AuditEntry.user_id)
        .where(
            AuditEntry.organization_id == organization_id,
            AuditEntry.action == action,
            AuditEntry.subject_id == subject_id,
            *(AuditEntry.details[key].as_string() == value for key, value in details.items()),
        )
        .order_by(AuditEntry.n.desc())
        .limit(1)
    ).first()
    return (found[0], found[1], found[2]) if found else None


def audit_actions(organization_id: uuid.UUID) -> Sequence[str]:
    """Which actions the log holds."""
    return db.session.scalars(
        select(AuditEntry.action)
        .where(AuditEntry.organization_id == organization_id)
        .distinct()
        .order_by(AuditEntry.action)
    ).all()


def audit_users(organization_id: uuid.UUID) -> Sequence[User]:
    """Who did something that the log holds, former members included."""
    return db.session.scalars(
        select(User)
        .where(
            User.id.in_(
                select(AuditEntry.user_id).where(AuditEntry.organization_id == organization_id)
            )
        )
        .order_by(func.lower(User.name), User.email)
    ).all()


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """Whether the log is whole: `broken_at` is the first line that does not fit, 0 for none."""

    count: int
    broken_at: int
    checked_at: datetime

    @property
    def is_whole(self) -> bool:
        return self.broken_at == 0


def check_chain(organization_id: uuid.UUID) -> ChainCheck:
    """Recompute every hash of an organization's log, and compare its end with the stored head.

    Finds a line that was changed, taken out, moved or put in, and a cut-off end.
    """
    count, before = 0, ""
    while True:
        entries = db.session.scalars(
            select(AuditEntry)
            .where(AuditEntry.organization_id == organization_id, AuditEntry.n > count)
            .order_by(AuditEntry.n)
            .limit(CHAIN_STEP)
        ).all()
        for entry in entries:
            fits = entry.n == count + 1 and entry.previous_hash == before
            if not fits or entry.hash != entry.computed_hash():
                return ChainCheck(count, count + 1, clock.now())
            count, before = entry.n, entry.hash
        if len(entries) < CHAIN_STEP:
            break
        for entry in entries:
            db.session.expunge(entry)
    head = db.session.get(AuditHead, organization_id)
    is_end = (head.n, head.hash) == (count, before) if head is not None else count == 0
    return ChainCheck(count, 0 if is_end else count + 1, clock.now())
