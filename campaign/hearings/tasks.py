"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign.db import db
from campaign.hearings import delivery
from campaign.worker import Queue, task


@task(queue=Queue.TRANSACTIONAL, time_limit=60)
def tend_hearings() -> None:
    """Free the slots of those who left, plan dates that moved, queue the reminders due."""
    for work in (delivery.settle_leavers, delivery.plan_moved, delivery.queue_due):
        for _piece in range(delivery.MOST_ROUNDS):
            count = work()
            db.session.commit()
            if count < delivery.AT_ONCE:
                break
