"""Letting go of the list of those who risk arrest when it has served."""

from __future__ import annotations

import uuid

from campaign import clock
from campaign.db import db
from campaign.organizations.services import record
from campaign.sit_ins import queries


def purge_risks() -> int:
    """Delete what is over; an entry whose date was moved on waits for it. Returns how many."""
    now = clock.now()
    gone: dict[tuple[uuid.UUID, uuid.UUID], int] = {}
    for risk in queries.due_for_purge(now):
        ends = risk.occurrence.ends_at + queries.KEPT
        if ends > now:
            risk.purge_at = ends
            continue
        key = (risk.organization_id, risk.occurrence_id)
        gone[key] = gone.get(key, 0) + 1
        db.session.delete(risk)
    for (organization_id, occurrence_id), count in gone.items():
        record(
            "arrests.purged",
            organization_id=organization_id,
            subject_kind="date",
            subject_id=occurrence_id,
            details={"rows": count},
        )
    db.session.flush()
    return sum(gone.values())
