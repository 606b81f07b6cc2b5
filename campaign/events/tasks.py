"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign import clock
from campaign.db import db, reading
from campaign.events import delivery
from campaign.worker import Queue, enqueue, task

PIECES = 50


@task(queue=Queue.TRANSACTIONAL, time_limit=240)
def queue_due() -> None:
    """Queue the reminders whose hour has come and the notices that nobody has sent yet."""
    with reading():
        is_due = delivery.is_due(clock.now())
        db.session.commit()
    if not is_due:
        return
    for _piece in range(PIECES):
        is_more = delivery.queue_due(clock.now())
        db.session.commit()
        if not is_more:
            return
    enqueue(queue_due)
    db.session.commit()
