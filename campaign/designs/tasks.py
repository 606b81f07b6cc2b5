"""By the clock: pictures that were put away long ago."""

from __future__ import annotations

from campaign.db import db
from campaign.designs import delivery
from campaign.worker import Queue, task


@task(queue=Queue.MAINTENANCE, time_limit=300)
def forget_pictures() -> None:
    """Drop the bytes of pictures that nobody can bring back any more."""
    delivery.forget_pictures()
    db.session.commit()
