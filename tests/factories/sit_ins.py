"""Entries on the list of those who risk arrest, as rows."""

from __future__ import annotations

from typing import Any

from campaign import clock
from campaign.db import db
from campaign.events.models import Rsvp
from campaign.sit_ins.models import ArrestRisk
from campaign.sit_ins.queries import KEPT


def make_risk(rsvp: Rsvp, **values: Any) -> ArrestRisk:
    """An entry whose seal no key opens, unless `sealed` is given."""
    row = ArrestRisk(
        organization_id=rsvp.organization_id,
        occurrence_id=rsvp.occurrence_id,
        rsvp_id=rsvp.id,
        **{
            "sealed": "",
            "created_at": clock.now(),
            "purge_at": rsvp.occurrence.ends_at + KEPT,
            **values,
        },
    )
    db.session.add(row)
    db.session.flush()
    return row
