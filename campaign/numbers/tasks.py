"""What saves the numbers, each hour, for midnight is at another hour elsewhere."""

from __future__ import annotations

from campaign import clock
from campaign.db import db
from campaign.numbers import delivery
from campaign.worker import Queue, task


@task(queue=Queue.MAINTENANCE, time_limit=900)
def save_numbers() -> None:
    """Save the day of every organization where it is over."""
    for organization_id in delivery.organizations():
        delivery.save_day(organization_id, clock.now())
        db.session.commit()
