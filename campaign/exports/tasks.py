"""Exports in the background: built once, deleted after a day."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from sqlalchemy.exc import OperationalError

from campaign.db import db
from campaign.errors import Invalid, NotFound
from campaign.exports import delivery, queries
from campaign.web.requests import settings
from campaign.worker import Queue, enqueue, task

log = logging.getLogger(__name__)


def folder() -> Path:
    """Where the files are: below DATA_DIR, never below anything that is served."""
    return settings().data_dir.resolve() / "exports"


@task(queue=Queue.BULK, time_limit=1500)
def build_export(export_id: str) -> None:
    """Write the file of an export; a run that died is begun anew by the beat."""
    key = uuid.UUID(export_id)
    claimed = delivery.claim(key)
    db.session.commit()
    if not claimed:
        return
    try:
        for _done in delivery.build(key, folder()):
            db.session.commit()
    except (OSError, Invalid, NotFound) as error:
        db.session.rollback()
        delivery.fail(key)
        db.session.commit()
        log.warning("export %s failed: %s", key, type(error).__name__)
    except OperationalError:
        db.session.rollback()
        raise


@task(queue=Queue.MAINTENANCE)
def tend_exports() -> None:
    """Ring again for exports that nobody builds; delete the files whose day is over."""
    for export_id in queries.stalled_exports():
        enqueue(build_export, export_id)
    files = [delivery.expire(export) for export in queries.overdue_exports()]
    stray = delivery.strays(folder())
    db.session.commit()
    for path in (*files, *stray):
        if path is not None:
            path.unlink(missing_ok=True)
