"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign.db import db
from campaign.petitions import delivery
from campaign.worker import Queue, task

PIECES = 200


@task(queue=Queue.TRANSACTIONAL, time_limit=60)
def work_repeats() -> None:
    """Work off the posts of those who had signed before: now they get their e-mail."""
    for _piece in range(PIECES):
        count = delivery.work_repeats()
        db.session.commit()
        if count < delivery.REPEATS_AT_ONCE:
            break


@task(queue=Queue.MAINTENANCE, time_limit=60)
def roll_up() -> None:
    """Fold the counts' deltas into the totals."""
    for _piece in range(PIECES):
        count = delivery.roll_up()
        db.session.commit()
        if count < delivery.DELTAS_AT_ONCE:
            break


@task(queue=Queue.MAINTENANCE, time_limit=300)
def clean_up() -> None:
    """Let go of what was never confirmed, and of addresses that have served."""
    for work in (delivery.drop_unconfirmed, delivery.cut_ips):
        for _piece in range(PIECES):
            count = work()
            db.session.commit()
            if count < delivery.ROWS_AT_ONCE:
                break
