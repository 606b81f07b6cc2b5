"""What runs by the clock."""

from __future__ import annotations

from campaign.db import db
from campaign.sit_ins import delivery
from campaign.worker import Queue, task


@task(queue=Queue.MAINTENANCE, time_limit=120)
def purge_risks() -> None:
    """Delete the lists of those who risk arrest, days after their event."""
    while delivery.purge_risks():
        db.session.commit()
    db.session.commit()
