"""What tasks of this slice do."""

from __future__ import annotations

from sqlalchemy import delete

from campaign import clock
from campaign.accounts.models import ABSOLUTE, AccountToken, Session
from campaign.accounts.queries import KNOWN_DEVICE
from campaign.db import db


def drop_old_sessions() -> int:
    """Delete log-ins of more than thirty days ago, with their sources, and links that are over."""
    now = clock.now()
    db.session.execute(delete(AccountToken).where(AccountToken.expires_at < now - ABSOLUTE))
    gone = db.session.execute(delete(Session).where(Session.created_at < now - KNOWN_DEVICE))
    return int(gone.rowcount)  # type: ignore[attr-defined]
