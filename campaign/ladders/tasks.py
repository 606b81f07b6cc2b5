"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign import clock
from campaign.db import db
from campaign.ladders import delivery, queries
from campaign.worker import Queue, task

MOST_PIECES = 100
"""Pieces of one ladder in one round: a flood at one leaves time for the others."""


@task(queue=Queue.MAINTENANCE, time_limit=300)
def climb() -> None:
    """Let people enter, and move those whose wait is over."""
    now = clock.now()
    for ladder_id in queries.ladders_at_work(now):
        for work in (delivery.let_in, delivery.move_on):
            for _piece in range(MOST_PIECES):
                goes_on = work(ladder_id)
                db.session.commit()
                if not goes_on:
                    break
    db.session.commit()
