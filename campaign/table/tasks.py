"""Changes of many people in the background. A lost call is found by the beat."""

from __future__ import annotations

import logging
import uuid

from campaign.db import db
from campaign.errors import Invalid, NotFound
from campaign.table import delivery, queries
from campaign.worker import Queue, enqueue, task

log = logging.getLogger(__name__)


@task(queue=Queue.BULK, time_limit=1500)
def work_change(change_id: str) -> None:
    """Change people piece by piece, or take it back; goes on where an earlier run was cut off."""
    key = uuid.UUID(change_id)
    claimed = delivery.claim(key)
    db.session.commit()
    if not claimed:
        return
    try:
        for _done in delivery.work(key):
            db.session.commit()
    except (Invalid, NotFound) as error:
        db.session.rollback()
        delivery.give_up(key)
        db.session.commit()
        log.warning("change %s given up: %s", key, type(error).__name__)


@task(queue=Queue.MAINTENANCE)
def tend_changes() -> None:
    """Ring again for changes that nobody works at; forget the way back after a day."""
    for change_id in queries.stalled_changes():
        enqueue(work_change, change_id)
    delivery.sweep()
    db.session.commit()
