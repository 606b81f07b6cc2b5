"""Imports in the background. A lost call is found by the beat; a dead run is taken over."""

from __future__ import annotations

import logging
import uuid

from campaign.db import db
from campaign.errors import Invalid
from campaign.imports import delivery, rules
from campaign.worker import Queue, enqueue, task

log = logging.getLogger(__name__)


@task(queue=Queue.BULK, time_limit=1500)
def run_import(import_id: str) -> None:
    """Work in an uploaded file; goes on where an earlier run was cut off."""
    key = uuid.UUID(import_id)
    claimed = delivery.claim(key)
    db.session.commit()
    if not claimed:
        return
    try:
        for _tally in delivery.work_in(key):
            db.session.commit()
    except (Invalid, OSError) as error:
        db.session.rollback()
        delivery.fail(key, rules.reason_failed(error))
        db.session.commit()
        log.warning("import %s failed: %s", key, type(error).__name__)


@task(queue=Queue.MAINTENANCE)
def resume_imports() -> None:
    """Ring again for imports that nobody works on, and forget old files."""
    for import_id in delivery.stalled():
        enqueue(run_import, import_id)
    files = delivery.sweep()
    db.session.commit()
    for path in files:
        path.unlink(missing_ok=True)
