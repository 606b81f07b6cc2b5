"""Imports in the background. A lost call is found by the beat; a dead run is taken over."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator

from campaign.db import db
from campaign.errors import Invalid
from campaign.imports import delivery, rules
from campaign.imports.models import Import, ImportState
from campaign.web.languages import speaking
from campaign.worker import Queue, enqueue, task

log = logging.getLogger(__name__)


@task(queue=Queue.BULK, time_limit=1500)
def read_file(import_id: str) -> None:
    """Read an uploaded file through once, so that its columns can be named."""
    key = uuid.UUID(import_id)
    claimed = delivery.claim_to_read(key)
    db.session.commit()
    if claimed:
        _work(key, lambda: delivery.read_through(key))


@task(queue=Queue.BULK, time_limit=1500)
def run_import(import_id: str) -> None:
    """Work in an uploaded file; goes on where an earlier run was cut off."""
    key = uuid.UUID(import_id)
    claimed = delivery.claim(key)
    db.session.commit()
    if claimed:
        _work(key, lambda: delivery.work_in(key))


def _work(key: uuid.UUID, run: Callable[[], Iterator[object]]) -> None:
    current = db.session.get_one(Import, key)
    try:
        with speaking(delivery.language_of(current.user_id)):
            for _step in run():
                db.session.commit()
    except (Invalid, OSError) as error:
        db.session.rollback()
        with speaking(delivery.language_of(db.session.get_one(Import, key).user_id)):
            files = delivery.fail(key, rules.reason_failed(error))
        db.session.commit()
        for path in files:
            path.unlink(missing_ok=True)
        log.warning("import %s failed: %s", key, type(error).__name__)


@task(queue=Queue.MAINTENANCE)
def resume_imports() -> None:
    """Ring again for imports that nobody works on, and forget old files."""
    for found in delivery.stalled():
        call = read_file if found.state == ImportState.READING else run_import
        enqueue(call, found.id)
    files = delivery.sweep()
    db.session.commit()
    for path in files:
        path.unlink(missing_ok=True)
