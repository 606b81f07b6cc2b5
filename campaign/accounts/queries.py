"""Reading users, sessions and one-time links."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from campaign import clock
from campaign.accounts.models import ABSOLUTE, IDLE, AccountToken, Session, User, email_key
from campaign.db import db
from campaign.tokens import fingerprint

KNOWN_DEVICE = timedelta(days=30)


def user_by_email(address: str) -> User | None:
    """The user who logs in with this address, in any spelling of case and width."""
    return db.session.scalar(select(User).where(User.email_key == email_key(address)))


def session_by_token(token: str, now: datetime) -> Session | None:
    """The live session of a token from a cookie, with its user; None when it is over."""
    row = db.session.scalar(select(Session).where(Session.token_hash == fingerprint(token)))
    if row is None or not row.is_alive(now):
        return None
    row.token = token
    return row


def live_sessions(user_id: uuid.UUID) -> Sequence[Session]:
    """The log-ins of a user that are not over, the one used last first."""
    now = clock.now()
    return db.session.scalars(
        select(Session)
        .where(
            Session.user_id == user_id,
            Session.ended_at.is_(None),
            Session.seen_at >= now - IDLE,
            Session.created_at >= now - ABSOLUTE,
        )
        .order_by(Session.seen_at.desc())
    ).all()


def session_of(user_id: uuid.UUID, session_id: uuid.UUID) -> Session | None:
    """One session, if it is this user's."""
    return db.session.scalar(
        select(Session).where(Session.id == session_id, Session.user_id == user_id)
    )


def has_logged_in_from(user_id: uuid.UUID, ip: str) -> bool:
    """Whether this user logged in from this source lately: a stranger's tries do not bar it."""
    return bool(
        db.session.scalar(
            select(Session.id)
            .where(
                Session.user_id == user_id,
                Session.ip == ip,
                Session.created_at >= clock.now() - KNOWN_DEVICE,
            )
            .limit(1)
        )
    )


def open_token(token: str, now: datetime) -> AccountToken | None:
    """The one-time link of a token if it is still good."""
    return db.session.scalar(
        select(AccountToken).where(
            AccountToken.token_hash == fingerprint(token),
            AccountToken.used_at.is_(None),
            AccountToken.expires_at > now,
        )
    )
