"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign.checkin import delivery
from campaign.db import db
from campaign.worker import Queue, task

PIECES = 200


@task(queue=Queue.MAINTENANCE, time_limit=120)
def settle_sign_ins() -> None:
    """Find the people of those who signed in some minutes ago, and write their consents."""
    for _piece in range(PIECES):
        count = delivery.settle_sign_ins()
        db.session.commit()
        if count < delivery.ROWS_AT_ONCE:
            break
