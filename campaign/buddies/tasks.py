"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign import clock
from campaign.buddies import delivery, queries
from campaign.db import db
from campaign.worker import Queue, task

PIECES = 100


@task(queue=Queue.MAINTENANCE, time_limit=120)
def find_company() -> None:
    """Take new wishes, end those of no use, and introduce who fits."""
    for work in (delivery.take_wishes, delivery.end_useless):
        for _piece in range(PIECES):
            count = work()
            db.session.commit()
            if count < delivery.ROWS_AT_ONCE:
                break
    for occurrence_id in queries.dates_to_match(clock.now()):
        delivery.match(occurrence_id)
        db.session.commit()


@task(queue=Queue.MAINTENANCE, time_limit=120)
def forget_company() -> None:
    """Forget who went with whom, a month after."""
    for _piece in range(PIECES):
        count = delivery.forget_past()
        db.session.commit()
        if count < delivery.ROWS_AT_ONCE:
            break
