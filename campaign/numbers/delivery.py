"""Saving the numbers of a day, once for each organization."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select

from campaign.db import db, insert
from campaign.numbers import queries
from campaign.numbers.models import SavedNumber
from campaign.organizations.models import Organization


def organizations() -> list[uuid.UUID]:
    """All there are."""
    return list(db.session.scalars(select(Organization.id).order_by(Organization.id)))


def save_day(organization_id: uuid.UUID, now: datetime) -> bool:
    """Save the day that was over last where the organization is; False: it has been.

    It is counted when somebody gets to it, at most an hour after midnight while the beat runs. Two
    that count at once save the same day once, each number from whoever was first.
    """
    organization = db.session.get_one(Organization, organization_id)
    day = queries.day_to_save(organization, now)
    if queries.is_saved(organization_id, day):
        return False
    rows = [
        {
            "organization_id": organization_id,
            "topic": topic,
            "day": day,
            "key": key[:80],
            "count": count,
        }
        for topic, counts in queries.count_now(organization_id).items()
        for key, count in counts.items()
    ]
    db.session.execute(insert(SavedNumber).on_conflict_do_nothing(), rows)
    return True
