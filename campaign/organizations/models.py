"""Organizations, roles and the audit log."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.accounts.models import User
from campaign.db import Key, Long, Model, Short, Timestamped


class Role(StrEnum):
    """What somebody is in one organization."""

    OWNER = "owner"
    ORGANIZER = "organizer"
    DATA_ENTRY = "data-entry"
    VIEWER = "viewer"
    LEGAL = "legal"
    PARTNER = "partner"


INVITATION_LIFETIME = timedelta(days=7)


class Permission(StrEnum):
    """What an endpoint may ask for."""

    DASHBOARD = "dashboard"
    CAMPAIGNS_EDIT = "campaigns.edit"
    PETITIONS_VIEW = "petitions.view"
    PETITIONS_EDIT = "petitions.edit"
    SIGNATURES_VIEW = "signatures.view"
    SIGNATURES_MODERATE = "signatures.moderate"
    EVENTS_VIEW = "events.view"
    EVENTS_EDIT = "events.edit"
    ANSWERS_VIEW = "answers.view"
    ANSWERS_EDIT = "answers.edit"
    ARRESTS_VIEW = "arrests.view"
    PEOPLE_VIEW = "people.view"
    PEOPLE_EDIT = "people.edit"
    PEOPLE_IMPORT = "people.import"
    PEOPLE_EXPORT = "people.export"
    PEOPLE_ERASE = "people.erase"
    SENSITIVE_VIEW = "sensitive.view"
    FIELDS_EDIT = "fields.edit"
    LISTS_EDIT = "lists.edit"
    MAILINGS_VIEW = "mailings.view"
    MAILINGS_EDIT = "mailings.edit"
    MAILINGS_SEND = "mailings.send"
    PARTNERS_MANAGE = "partners.manage"
    PARTNER_VIEW = "partner.view"
    PARTNER_EXPORT = "partner.export"
    TEAM_MANAGE = "team.manage"
    ORGANIZATION_EDIT = "organization.edit"
    AUDIT_VIEW = "audit.view"


_VIEWER = {
    Permission.DASHBOARD,
    Permission.PETITIONS_VIEW,
    Permission.EVENTS_VIEW,
    Permission.MAILINGS_VIEW,
}
_DATA_ENTRY = _VIEWER | {
    Permission.SIGNATURES_VIEW,
    Permission.ANSWERS_VIEW,
    Permission.ANSWERS_EDIT,
    Permission.PEOPLE_VIEW,
    Permission.PEOPLE_EDIT,
    Permission.PEOPLE_IMPORT,
}
_ORGANIZER = _DATA_ENTRY | {
    Permission.CAMPAIGNS_EDIT,
    Permission.PETITIONS_EDIT,
    Permission.EVENTS_EDIT,
    Permission.SIGNATURES_MODERATE,
    Permission.SENSITIVE_VIEW,
    Permission.FIELDS_EDIT,
    Permission.LISTS_EDIT,
    Permission.MAILINGS_EDIT,
    Permission.MAILINGS_SEND,
    Permission.PEOPLE_EXPORT,
    Permission.PEOPLE_ERASE,
    Permission.PARTNER_VIEW,
    Permission.PARTNER_EXPORT,
}
MATRIX: dict[Role, frozenset[str]] = {
    Role.OWNER: frozenset(Permission) - {Permission.ARRESTS_VIEW},
    Role.ORGANIZER: frozenset(_ORGANIZER),
    Role.DATA_ENTRY: frozenset(_DATA_ENTRY),
    Role.VIEWER: frozenset(_VIEWER),
    Role.LEGAL: frozenset({Permission.DASHBOARD, Permission.EVENTS_VIEW, Permission.ARRESTS_VIEW}),
    Role.PARTNER: frozenset({Permission.PARTNER_VIEW, Permission.PARTNER_EXPORT}),
}
"""Who may do what: the one table, printed in docs/roles.md by `campaign accounts roles`."""

MEANING: dict[Permission, str] = {
    Permission.DASHBOARD: "See the first page and the campaigns",
    Permission.CAMPAIGNS_EDIT: "Write and publish campaigns, clinics and the timeline",
    Permission.PETITIONS_VIEW: "See petitions and their numbers",
    Permission.PETITIONS_EDIT: "Write, publish and close petitions",
    Permission.SIGNATURES_VIEW: "See who signed",
    Permission.SIGNATURES_MODERATE: "Approve comments; invalidate signatures",
    Permission.EVENTS_VIEW: "See events and their numbers",
    Permission.EVENTS_EDIT: "Write, publish and cancel events; hearings and hosts",
    Permission.ANSWERS_VIEW: "See who comes to events and what they need",
    Permission.ANSWERS_EDIT: "Enter answers, sign people in at the door, count heads",
    Permission.ARRESTS_VIEW: "See who risks arrest at a sit-in (the legal role alone)",
    Permission.PEOPLE_VIEW: "See and search people",
    Permission.PEOPLE_EDIT: "Add and correct people, tags and notes",
    Permission.PEOPLE_IMPORT: "Bring in people from a file",
    Permission.PEOPLE_EXPORT: "Take people out in a file",
    Permission.PEOPLE_ERASE: "Erase a person",
    Permission.SENSITIVE_VIEW: "See and change sensitive fields of people",
    Permission.FIELDS_EDIT: "Make fields of one's own for people",
    Permission.LISTS_EDIT: "Make lists and segments",
    Permission.MAILINGS_VIEW: "See mailings, ladders and their numbers",
    Permission.MAILINGS_EDIT: "Write mailings and ladders; send a test",
    Permission.MAILINGS_SEND: "Send, pause and stop mailings; switch ladders on and off",
    Permission.PARTNERS_MANAGE: "Invite partner organizations to a campaign",
    Permission.PARTNER_VIEW: "See what a campaign shares with this organization",
    Permission.PARTNER_EXPORT: "Export the supporters who said yes to this organization",
    Permission.TEAM_MANAGE: "Invite people, change roles",
    Permission.ORGANIZATION_EDIT: "Change the organization's settings",
    Permission.AUDIT_VIEW: "Read the audit log",
}
"""What each permission is for, in the words of the table."""


class Organization(Timestamped, Model):
    """A tenant. Its rows are seen by its members alone."""

    __tablename__ = "organizations"

    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[Short]
    postal_address: Mapped[Long]
    sender_name: Mapped[Short]
    sender_email: Mapped[str] = mapped_column(String(254), default="")
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    accent: Mapped[str] = mapped_column(String(7), default="")
    accent_dark: Mapped[str] = mapped_column(String(7), default="")  # "": a lighter `accent`
    accent_css: Mapped[str] = mapped_column(String(300), default="")  # made by the service
    crisis_line: Mapped[Short]
    website: Mapped[str] = mapped_column(String(300), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    time_zone: Mapped[str] = mapped_column(String(64), default="America/Chicago")
    second_look_above: Mapped[int | None]
    """How many readers of a mailing one person may decide about alone; None: any number."""
    quiet_from: Mapped[str] = mapped_column(String(5), default="", server_default="")  # "21:00"
    quiet_until: Mapped[str] = mapped_column(String(5), default="", server_default="")


class Membership(Model):
    """A user's role in an organization."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("organization_id", "user_id"),)

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]

    organization: Mapped[Organization] = relationship(lazy="joined")
    user: Mapped[User] = relationship(lazy="joined")

    @property
    def permissions(self) -> frozenset[str]:
        return MATRIX[Role(self.role)]

    def can(self, permission: str) -> bool:
        return permission in self.permissions


class Invitation(Model):
    """An open invitation by e-mail: 7 days, once, revocable."""

    __tablename__ = "invitations"

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    organization: Mapped[Organization] = relationship(lazy="joined")

    def is_open(self, now: datetime) -> bool:
        """Neither accepted, nor revoked, nor expired."""
        return self.accepted_at is None and self.revoked_at is None and now < self.expires_at


class AuditEntry(Model):
    """One thing that was done, chained by hash to the one before it in its organization."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        UniqueConstraint("organization_id", "n"),
        Index("ix_audit_entries_subject", "subject_id"),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID]
    n: Mapped[int]
    at: Mapped[datetime]
    user_id: Mapped[uuid.UUID | None]
    action: Mapped[str] = mapped_column(String(60))
    subject_kind: Mapped[str] = mapped_column(String(40), default="")
    subject_id: Mapped[uuid.UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    def computed_hash(self) -> str:
        """SHA-256 of all that the line says and of the hash before it."""
        parts = [
            str(self.organization_id),
            self.n,
            self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            str(self.user_id or ""),
            self.action,
            self.subject_kind,
            str(self.subject_id or ""),
            self.details,
            self.previous_hash,
        ]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


class AuditHead(Model):
    """The end of an organization's chain; locked while an entry is added."""

    __tablename__ = "audit_heads"

    organization_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="")
