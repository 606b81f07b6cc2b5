"""Hearings, their tasks and speakers, as rows."""

from __future__ import annotations

from typing import Any

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import Words, db
from campaign.events.models import Event, Rsvp
from campaign.hearings.models import Hearing, HearingTask, SpeakerState, Testimony, Way
from tests.factories.events import make_event, make_rsvp


def make_hearing(
    campaign: Campaign | None = None, *, event: Event | None = None, **values: Any
) -> Hearing:
    """A hearing before the council a week from now at 18:00 in Chicago, taking speakers."""
    event = event or make_event(
        campaign,
        kind="hearing",
        title=Words(en="Council hearing", es="Audiencia del concejo"),
        venue="City Hall",
        address="121 N LaSalle St",
        languages=["en"],
    )
    hearing = Hearing(
        event_id=event.id,
        organization_id=event.organization_id,
        event=event,
        **{
            "body": Words(en="Chicago City Council", es="Concejo de Chicago"),
            "slot_count": 10,
            "minutes_each": 3,
            **values,
        },
    )
    db.session.add(hearing)
    db.session.flush()
    return hearing


def make_task(hearing: Hearing, **values: Any) -> HearingTask:
    task = HearingTask(
        organization_id=hearing.organization_id,
        event_id=hearing.event_id,
        **{
            "title": Words(en="Ask to speak by phone", es="Pida la palabra por teléfono"),
            "opens": "mon@00:01",
            "closes": "1d@08:00",
            "reminders": ["2d@18:00"],
            "ways": list(Way),
            **values,
        },
    )
    db.session.add(task)
    db.session.flush()
    return task


def make_testimony(hearing: Hearing, rsvp: Rsvp | None = None, **values: Any) -> Testimony:
    """A speaker with a slot, behind those who are there, unless told."""
    rsvp = rsvp or make_rsvp(hearing.event, **values.pop("person", {}))
    count = db.session.query(Testimony).filter_by(occurrence_id=rsvp.occurrence_id).count()
    testimony = Testimony(
        organization_id=hearing.organization_id,
        event_id=hearing.event_id,
        occurrence_id=rsvp.occurrence_id,
        rsvp_id=rsvp.id,
        **{
            "state": SpeakerState.SPEAKING,
            "position": count + 1,
            "minutes": hearing.minutes_each,
            "topic": "My clinic",
            **values,
        },
    )
    if testimony.state == SpeakerState.WAITING:
        testimony.position = None
        testimony.waiting_since = testimony.waiting_since or clock.now()
    db.session.add(testimony)
    db.session.flush()
    return testimony
