"""Reading the briefing, joining and leaving the list of those who risk arrest, keeping track.

Nobody but the person and the legal role sees who is on the list: not the organizers, not the
owner, in no export, no search and no page of a person.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.errors import Conflict, Invalid
from campaign.events.models import COMING, EventKind, Occurrence, Rsvp
from campaign.organizations.services import record
from campaign.sit_ins import queries
from campaign.sit_ins.models import Acknowledgement, ArrestRisk
from campaign.sit_ins.queries import KEPT, SEAL, Confided
from campaign.web.csrf import signer

RISKY = frozenset({EventKind.SIT_IN, EventKind.PROTEST})
"""Kinds of events at which somebody may be arrested."""
NOTE_LIMIT = 200


class Status(StrEnum):
    """What became of somebody, as the legal team hears of it."""

    NONE = ""
    ARRESTED = "arrested"
    RELEASED = "released"


def asks_risk(rsvp: Rsvp) -> bool:
    """Whether this answer may say that its owner risks arrest: they come, and it is that kind."""
    event = rsvp.occurrence.event
    return event.kind in RISKY and rsvp.state in COMING and not rsvp.occurrence.is_cancelled


def acknowledge(rsvp: Rsvp, version: int) -> None:
    """Somebody has read the briefing; twice is once.

    Raises Conflict when there is a newer version than the one they read.
    """
    event = rsvp.occurrence.event
    if version != event.briefing_version:
        raise Conflict(_l("The briefing has changed. Please read it again."))
    db.session.execute(
        insert(Acknowledgement)
        .values(
            id=uuid7(),
            organization_id=rsvp.organization_id,
            occurrence_id=rsvp.occurrence_id,
            rsvp_id=rsvp.id,
            version=version,
            at=clock.now(),
        )
        .on_conflict_do_nothing()
    )


def join_list(rsvp: Rsvp, confided: Confided) -> ArrestRisk:
    """Put somebody on the list of those who risk arrest, or change what they wrote.

    Raises Conflict where there is no such list, or before they have read the briefing.
    """
    event = rsvp.occurrence.event
    if not asks_risk(rsvp):
        raise Conflict(_l("This event has no list of people who risk arrest."))
    if queries.has_briefing(event) and not queries.acknowledgement(rsvp, event.briefing_version):
        raise Conflict(_l("Please read the briefing first."))
    if rsvp.occurrence.ends_at + KEPT <= clock.now():
        raise Conflict(_l("This event is over."))
    risk = queries.risk_by_rsvp(rsvp.id)
    before = queries.open_seal(risk) if risk is not None else None
    sealed = _seal(replace(confided, note=before.note if before else ""))
    if risk is None:
        db.session.execute(
            insert(ArrestRisk)
            .values(
                id=uuid7(),
                organization_id=rsvp.organization_id,
                occurrence_id=rsvp.occurrence_id,
                rsvp_id=rsvp.id,
                sealed=sealed,
                created_at=clock.now(),
                purge_at=rsvp.occurrence.ends_at + KEPT,
            )
            .on_conflict_do_nothing()
        )
        risk = queries.risk_by_rsvp(rsvp.id)
    if risk is None:
        raise Conflict
    risk.sealed = sealed
    db.session.flush()
    return risk


def _seal(confided: Confided) -> str:
    return signer().seal(SEAL, asdict(confided))


def leave_list(rsvp: Rsvp) -> None:
    """Take somebody off the list at once: the row is deleted, nothing of it stays."""
    db.session.execute(delete(ArrestRisk).where(ArrestRisk.rsvp_id == rsvp.id))
    db.session.flush()


# --- the legal role ----------------------------------------------------------------------------


def note_look(occurrence: Occurrence, rows: int, *, user_id: uuid.UUID) -> None:
    """Audit a look at the list: each one, by whom, how many rows; never whose."""
    record(
        "arrests.listed",
        organization_id=occurrence.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=occurrence.id,
        details={"rows": rows},
    )


def set_status(risk: ArrestRisk, status: str, note: str, *, user_id: uuid.UUID) -> None:
    """Note that somebody was arrested or released. Raises Invalid for anything else.

    The note is sealed with the rest; where no key opens that any more it is not kept.
    """
    if status not in set(Status):
        raise Invalid(_l("Please choose one of these."), field="status")
    risk.status = status
    confided = queries.open_seal(risk)
    if confided is not None:
        risk.sealed = _seal(replace(confided, note=note.strip()[:NOTE_LIMIT]))
    record(
        "arrests.noted",
        organization_id=risk.organization_id,
        user_id=user_id,
        subject_kind="date",
        subject_id=risk.occurrence_id,
        details={"status": status},
    )
    db.session.flush()


# --- erasing -----------------------------------------------------------------------------------


def forget_answers(rsvp_ids: Sequence[uuid.UUID]) -> None:
    """Delete what hangs on answers whose owner is erased."""
    for table in (ArrestRisk, Acknowledgement):
        db.session.execute(delete(table).where(table.rsvp_id.in_(rsvp_ids)))
    db.session.flush()
