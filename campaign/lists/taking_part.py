"""What people did about events, as conditions for a segment.

Said they come, signed in, missed, hosted, spoke: each is asked of the slice that holds it. "At"
an event, a kind, a campaign, in the days given; all that is not given is any.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, exists, not_
from sqlalchemy.orm import InstrumentedAttribute, aliased

from campaign.checkin.models import SignIn
from campaign.events.models import (
    Event,
    EventState,
    Host,
    HostState,
    Occurrence,
    OccurrenceState,
    Rsvp,
    RsvpState,
)
from campaign.hearings.models import Outcome, Testimony


class Did(StrEnum):
    """What somebody did. Said, signed in and missed are told apart by different rows."""

    COMING = "coming"  # said they come, whatever became of it
    MAYBE = "maybe"
    WAITING = "waiting"
    CANNOT = "cannot"
    ATTENDED = "attended"  # signed in
    MISSED = "missed"  # said they come, and did not sign in where others did
    HOSTED = "hosted"
    SPOKE = "spoke"


_ANSWERS = {
    Did.COMING: RsvpState.ACCEPTED,
    Did.MAYBE: RsvpState.TENTATIVE,
    Did.WAITING: RsvpState.WAITING,
    Did.CANNOT: RsvpState.DECLINED,
    Did.MISSED: RsvpState.ACCEPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Which events: all that is None or "" is any. Instants are those of the date's start."""

    event_id: uuid.UUID | None = None
    event_kind: str = ""
    campaign_id: uuid.UUID | None = None
    dates: Sequence[ColumnElement[bool]] = ()


def took_part(
    did: Did, at: At, organization_id: uuid.UUID, now: datetime
) -> tuple[InstrumentedAttribute[Any], list[ColumnElement[bool]]]:
    """The column of people and the conditions that hold for those who did it."""
    places: list[ColumnElement[bool]] = [Event.organization_id == organization_id, *at.dates]
    if at.event_id is not None:
        places.append(Event.id == at.event_id)
    if at.event_kind:
        places.append(Event.kind == at.event_kind)
    if at.campaign_id is not None:
        places.append(Event.campaign_id == at.campaign_id)
    if did is Did.HOSTED:
        return Host.person_id, [
            Host.person_id.is_not(None),
            Host.state == HostState.ACTIVE,
            Host.event_id == Event.id,
            Event.state == EventState.PUBLISHED,
            Occurrence.event_id == Event.id,
            Occurrence.state == OccurrenceState.SCHEDULED,
            *places,
        ]
    if did is Did.ATTENDED:
        return SignIn.person_id, [
            SignIn.person_id.is_not(None),
            SignIn.undone_at.is_(None),
            SignIn.occurrence_id == Occurrence.id,
            Occurrence.event_id == Event.id,
            *places,
        ]
    answered = [
        Rsvp.person_id.is_not(None),
        Rsvp.occurrence_id == Occurrence.id,
        Occurrence.event_id == Event.id,
        *places,
    ]
    if did is Did.SPOKE:
        spoke = [Testimony.rsvp_id == Rsvp.id, Testimony.outcome == Outcome.SPOKE]
        return Rsvp.person_id, [*spoke, *answered]
    answered.append(Rsvp.state == _ANSWERS[did])
    if did is Did.MISSED:
        answered += _missed(now)
    return Rsvp.person_id, answered


def _missed(now: datetime) -> list[ColumnElement[bool]]:
    """A date that is over and had a list at the door, on which neither this answer is nor the
    person: whoever was written down at the door by name has not missed it."""
    anybody, themself = aliased(SignIn), aliased(SignIn)
    return [
        Occurrence.ends_at <= now,
        Occurrence.state == OccurrenceState.SCHEDULED,
        exists().where(anybody.occurrence_id == Occurrence.id, anybody.undone_at.is_(None)),
        not_(exists().where(SignIn.rsvp_id == Rsvp.id, SignIn.undone_at.is_(None))),
        not_(
            exists().where(
                themself.person_id == Rsvp.person_id,
                themself.occurrence_id == Rsvp.occurrence_id,
                themself.undone_at.is_(None),
            )
        ),
    ]
