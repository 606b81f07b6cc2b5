"""Two people who are introduced to each other."""

from __future__ import annotations

from campaign.buddies import delivery
from campaign.buddies.models import Introduction
from campaign.db import db
from campaign.events.models import Company, Event
from tests.factories.events import make_rsvp


def make_introduction(event: Event) -> Introduction:
    """One who asks and one who offers at an event, with nobody's yes so far."""
    asker, offerer = (
        delivery.wish_from(make_rsvp(event, company=kind)) for kind in (Company.ASK, Company.OFFER)
    )
    db.session.add_all([asker, offerer])
    db.session.flush()
    introduction = Introduction(
        organization_id=event.organization_id,
        occurrence_id=asker.occurrence_id,
        asker_id=asker.id,
        offerer_id=offerer.id,
    )
    asker.state = offerer.state = "matched"
    db.session.add(introduction)
    db.session.flush()
    return introduction
