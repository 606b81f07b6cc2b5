"""Reading who has read the briefing, and, for the legal role alone, who risks arrest."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from campaign.db import db
from campaign.errors import Gone, NotFound
from campaign.events.models import COMING, Event, Occurrence, Rsvp, RsvpState
from campaign.sit_ins.models import Acknowledgement, ArrestRisk
from campaign.web.csrf import signer

KEPT = timedelta(days=7)
"""How long after the end the list of those who risk arrest is kept."""
SEAL = "arrest risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confided:
    """What somebody who risks arrest writes down for the legal team; `note` is the team's own."""

    legal_name: str
    born_on: str = ""
    emergency_contact: str = ""
    medical: str = ""
    note: str = ""


def open_seal(risk: ArrestRisk) -> Confided | None:
    """What is in an entry; None when no key opens it any more. Raises nothing: the rest of the
    list must stay readable on the night of the arrests."""
    try:
        value = signer().unseal(SEAL, risk.sealed)
    except Gone:
        return None
    return Confided(**{name: str(value.get(name, "")) for name in Confided.__slots__})


# --- the briefing ------------------------------------------------------------------------------


def has_briefing(event: Event) -> bool:
    """Whether there is something to read first."""
    return any(event.briefing.values())


def acknowledgement(rsvp: Rsvp, version: int) -> Acknowledgement | None:
    """When somebody read this version, or None."""
    return db.session.scalar(
        select(Acknowledgement).where(
            Acknowledgement.rsvp_id == rsvp.id, Acknowledgement.version == version
        )
    )


@dataclass(frozen=True, slots=True)
class Readers:
    """Who of those who come has read the present version, and who has not."""

    has_read: int
    has_read_older: int
    not_yet: Sequence[tuple[Rsvp, bool]]  # with whether they had read an older version


def readers(occurrence: Occurrence) -> Readers:
    """The briefing of a date as work: the list is of those who still have to read it."""
    version = occurrence.event.briefing_version
    newest = (
        select(Acknowledgement.rsvp_id, func.max(Acknowledgement.version).label("version"))
        .where(Acknowledgement.occurrence_id == occurrence.id)
        .group_by(Acknowledgement.rsvp_id)
        .subquery()
    )
    rows = db.session.execute(
        select(Rsvp, newest.c.version)
        .outerjoin(newest, newest.c.rsvp_id == Rsvp.id)
        .where(
            Rsvp.occurrence_id == occurrence.id,
            Rsvp.state.in_((*COMING, RsvpState.WAITING)),
            Rsvp.first_name != "",
        )
        .order_by(func.lower(Rsvp.last_name), func.lower(Rsvp.first_name), Rsvp.id)
    ).all()
    waiting = [(rsvp, read is not None) for rsvp, read in rows if (read or 0) < version]
    older = sum(had_read for _rsvp, had_read in waiting)
    return Readers(len(rows) - len(waiting), older, waiting)


# --- those who risk arrest ---------------------------------------------------------------------


def risk_by_rsvp(rsvp_id: uuid.UUID) -> ArrestRisk | None:
    """Somebody's own entry."""
    return db.session.scalar(select(ArrestRisk).where(ArrestRisk.rsvp_id == rsvp_id))


def risk_of(organization_id: uuid.UUID, risk_id: uuid.UUID) -> ArrestRisk:
    """An entry of this organization. Raises NotFound for another's and unknown ones."""
    found = db.session.scalar(
        select(ArrestRisk).where(
            ArrestRisk.id == risk_id, ArrestRisk.organization_id == organization_id
        )
    )
    if found is None:
        raise NotFound
    return found


def risks_at(occurrence_id: uuid.UUID) -> list[ArrestRisk]:
    """The list of a date, as it was joined."""
    return list(
        db.session.scalars(
            select(ArrestRisk)
            .where(ArrestRisk.occurrence_id == occurrence_id)
            .options(joinedload(ArrestRisk.rsvp))
            .order_by(ArrestRisk.id)
        )
    )


def dates_with_risks(organization_id: uuid.UUID) -> list[tuple[Occurrence, int]]:
    """Dates that have such a list, with how many are on it, the next first."""
    counts = (
        select(ArrestRisk.occurrence_id, func.count().label("count"))
        .where(ArrestRisk.organization_id == organization_id)
        .group_by(ArrestRisk.occurrence_id)
        .subquery()
    )
    rows = db.session.execute(
        select(Occurrence, counts.c.count)
        .join(counts, counts.c.occurrence_id == Occurrence.id)
        .where(Occurrence.organization_id == organization_id)
        .order_by(Occurrence.starts_at)
    )
    return [(occurrence, count) for occurrence, count in rows]


def due_for_purge(now: datetime) -> list[ArrestRisk]:
    """Entries whose time has come, or whose date was moved to an earlier day."""
    return list(
        db.session.scalars(
            select(ArrestRisk)
            .join(Occurrence, Occurrence.id == ArrestRisk.occurrence_id)
            .where(or_(ArrestRisk.purge_at <= now, Occurrence.ends_at <= now - KEPT))
            .options(joinedload(ArrestRisk.occurrence))
            .limit(500)
        )
    )


def acknowledgements_of(rsvp_ids: Sequence[uuid.UUID]) -> list[Acknowledgement]:
    """All acknowledgements of these answers."""
    return list(
        db.session.scalars(select(Acknowledgement).where(Acknowledgement.rsvp_id.in_(rsvp_ids)))
    )


def risks_of(rsvp_ids: Sequence[uuid.UUID]) -> list[ArrestRisk]:
    """All entries of these answers."""
    return list(db.session.scalars(select(ArrestRisk).where(ArrestRisk.rsvp_id.in_(rsvp_ids))))
