"""Tasks of accounts."""

from __future__ import annotations

from campaign.accounts import delivery
from campaign.db import db
from campaign.worker import Queue, task


@task(queue=Queue.MAINTENANCE)
def drop_old_sessions() -> None:
    """Once a day."""
    delivery.drop_old_sessions()
    db.session.commit()
