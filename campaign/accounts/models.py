"""Users and their sessions."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import datetime, timedelta

import idna
from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.db import Key, Model, Short, Timestamped

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
FRESH = timedelta(minutes=15)
SEEN_EVERY = timedelta(minutes=1)
RESET_LIFETIME = timedelta(hours=1)


def email_key(address: str) -> str:
    """The form in which a log-in address is compared: NFKC, lower case, IDN as A-label.

    Milder than `mail.addresses.canonical`: two log-ins may be two +tags of one mailbox.
    """
    folded = unicodedata.normalize("NFKC", address).strip().lower()
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    try:
        domain = idna.encode(domain.rstrip("."), uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return folded
    return f"{local}@{domain}"


class User(Timestamped, Model):
    """Somebody with a log-in. The address is canonical for log-in, as written for mail."""

    __tablename__ = "users"

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[Short]
    password_hash: Mapped[str | None] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(8), default="en")
    time_zone: Mapped[str] = mapped_column(String(64), default="America/Chicago")
    is_active: Mapped[bool] = mapped_column(default=True)
    is_demo: Mapped[bool] = mapped_column(default=False)
    last_login_at: Mapped[datetime | None]
    failed_login_count: Mapped[int] = mapped_column(default=0)  # since the last log-in


class Session(Model):
    """One log-in on one device. Ending the row logs the device out at its next request.

    Flask-Login's user object: it is what a request is authenticated as. `token` is known only
    where it was made or sent along in the cookie; the row holds its SHA-256.
    """

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user", "user_id", "ended_at"),)

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    organization_id: Mapped[uuid.UUID | None]  # the organization one works for in this session
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    authenticated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")

    user: Mapped[User] = relationship(lazy="joined")

    is_authenticated = True
    is_anonymous = False
    token = ""

    @property
    def is_active(self) -> bool:
        return self.ended_at is None and self.user.is_active

    def is_alive(self, now: datetime) -> bool:
        """Not ended, seen within IDLE, begun within ABSOLUTE."""
        return self.is_active and now - self.seen_at <= IDLE and now - self.created_at <= ABSOLUTE

    def is_fresh(self, now: datetime) -> bool:
        """Whether the password was given within FRESH: asked before sending and exporting."""
        return now - self.authenticated_at <= FRESH

    def get_id(self) -> str:
        """What the signed cookie carries: the token, not the row's id."""
        return self.token


class AccountToken(Model):
    """A one-time link by e-mail to set a password. Stored as SHA-256; 1 hour unless said."""

    __tablename__ = "account_tokens"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
