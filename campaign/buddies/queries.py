"""What is asked about wishes and introductions."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select

from campaign.buddies.models import (
    Block,
    Introduction,
    IntroductionState,
    Wish,
    WishState,
)
from campaign.db import db
from campaign.errors import NotFound
from campaign.events.models import COMING, Company, Event, Occurrence, OccurrenceState, Rsvp

LIVE = (IntroductionState.PROPOSED, IntroductionState.AGREED)


def wish_of(rsvp_id: uuid.UUID, *, lock: bool = False) -> Wish | None:
    """The wish that hangs on an answer."""
    statement = select(Wish).where(Wish.rsvp_id == rsvp_id)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return db.session.scalar(statement)


def introduction_of(wish: Wish) -> Introduction | None:
    """The introduction that waits or is agreed; there is at most one."""
    return db.session.scalar(
        select(Introduction).where(
            or_(Introduction.asker_id == wish.id, Introduction.offerer_id == wish.id),
            Introduction.state.in_(LIVE),
        )
    )


def introduction_in(organization_id: uuid.UUID, introduction_id: uuid.UUID) -> Introduction:
    """An introduction at an event of this organization. Raises NotFound."""
    found = db.session.scalar(
        select(Introduction).where(
            Introduction.id == introduction_id, Introduction.organization_id == organization_id
        )
    )
    if found is None:
        raise NotFound
    return found


def answers_without_a_wish(now: datetime, limit: int) -> list[Rsvp]:
    """Answers that ask for company or offer it, to a date that is still ahead."""
    return list(
        db.session.scalars(
            select(Rsvp)
            .join(Occurrence, Occurrence.id == Rsvp.occurrence_id)
            .outerjoin(Wish, Wish.rsvp_id == Rsvp.id)
            .where(
                Rsvp.company != Company.NONE,
                Rsvp.state.in_(COMING),
                Rsvp.email.is_not(None),
                Rsvp.review_reason == "",
                Occurrence.state == OccurrenceState.SCHEDULED,
                Occurrence.starts_at > now,
                Wish.id.is_(None),
            )
            .order_by(Rsvp.id)
            .limit(limit)
        )
    )


def wishes_of_no_use(now: datetime, limit: int) -> list[Wish]:
    """Wishes whose owner does not come (any more), or whose date is over or cancelled."""
    return list(
        db.session.scalars(
            select(Wish)
            .join(Rsvp, Rsvp.id == Wish.rsvp_id)
            .join(Occurrence, Occurrence.id == Wish.occurrence_id)
            .where(
                Wish.state != WishState.ENDED,
                or_(
                    Rsvp.state.not_in(COMING),
                    Rsvp.email.is_(None),
                    Occurrence.state != OccurrenceState.SCHEDULED,
                    Occurrence.ends_at <= now,
                ),
            )
            .order_by(Wish.id)
            .limit(limit)
        )
    )


def dates_to_match(now: datetime) -> list[uuid.UUID]:
    """Dates ahead at which somebody asks and somebody offers."""
    kinds = func.count(func.distinct(Wish.kind))
    return list(
        db.session.scalars(
            select(Wish.occurrence_id)
            .join(Occurrence, Occurrence.id == Wish.occurrence_id)
            .where(Wish.state == WishState.OPEN, Occurrence.starts_at > now)
            .group_by(Wish.occurrence_id)
            .having(kinds > 1)
        )
    )


def open_wishes(occurrence_id: uuid.UUID) -> list[Wish]:
    """Those who look for somebody at a date, the longest first."""
    return list(
        db.session.scalars(
            select(Wish)
            .where(Wish.occurrence_id == occurrence_id, Wish.state == WishState.OPEN)
            .order_by(Wish.created_at, Wish.id)
        )
    )


def introduced_before(occurrence_id: uuid.UUID) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """The pairs (asker, offerer) of a date that were introduced once: never twice."""
    rows = db.session.execute(
        select(Introduction.asker_id, Introduction.offerer_id).where(
            Introduction.occurrence_id == occurrence_id
        )
    )
    return {(row.asker_id, row.offerer_id) for row in rows}


def blocked_among(hashes: Sequence[str]) -> set[frozenset[str]]:
    """The pairs of addresses of which one has blocked the other, at whatever event."""
    rows = db.session.execute(
        select(Block.by_hash, Block.blocked_hash).where(
            Block.by_hash.in_(hashes), Block.blocked_hash.in_(hashes)
        )
    )
    return {frozenset((row.by_hash, row.blocked_hash)) for row in rows}


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an organizer sees of the buddies of a date."""

    occurrence: Occurrence
    asked: int
    offered: int
    proposed: int
    agreed: int
    alone: int  # who asked and is not introduced to anybody


def numbers_of(event: Event) -> list[Numbers]:
    """The numbers of each date of an event at which anybody asked or offered, in order."""
    counted = db.session.execute(
        select(Wish.occurrence_id, Wish.kind, Wish.state, func.count())
        .join(Occurrence, Occurrence.id == Wish.occurrence_id)
        .where(Occurrence.event_id == event.id, Wish.state != WishState.ENDED)
        .group_by(Wish.occurrence_id, Wish.kind, Wish.state)
    ).all()
    introduced = db.session.execute(
        select(Introduction.occurrence_id, Introduction.state, func.count())
        .join(Occurrence, Occurrence.id == Introduction.occurrence_id)
        .where(Occurrence.event_id == event.id, Introduction.state.in_(LIVE))
        .group_by(Introduction.occurrence_id, Introduction.state)
    ).all()
    ids = {row[0] for row in counted}
    dates = db.session.scalars(
        select(Occurrence).where(Occurrence.id.in_(ids)).order_by(Occurrence.starts_at)
    )

    def wishes(date_id: uuid.UUID, kind: str, *states: str) -> int:
        return sum(
            count
            for occurrence_id, its_kind, state, count in counted
            if occurrence_id == date_id and its_kind == kind and (not states or state in states)
        )

    def pairs(date_id: uuid.UUID, state: str) -> int:
        return sum(count for found, its, count in introduced if found == date_id and its == state)

    return [
        Numbers(
            occurrence=date,
            asked=wishes(date.id, Company.ASK),
            offered=wishes(date.id, Company.OFFER),
            proposed=pairs(date.id, IntroductionState.PROPOSED),
            agreed=pairs(date.id, IntroductionState.AGREED),
            alone=wishes(date.id, Company.ASK, WishState.OPEN),
        )
        for date in dates
    ]


def introductions_of(event: Event) -> list[Introduction]:
    """The live introductions at an event: that they are, never what was wished."""
    return list(
        db.session.scalars(
            select(Introduction)
            .join(Occurrence, Occurrence.id == Introduction.occurrence_id)
            .where(Occurrence.event_id == event.id, Introduction.state.in_(LIVE))
            .order_by(Occurrence.starts_at, Introduction.id)
        )
    )


def wishes_of_person(person_id: uuid.UUID) -> list[Wish]:
    """All wishes of a person, for what we hold about them."""
    return list(
        db.session.scalars(
            select(Wish)
            .join(Rsvp, Rsvp.id == Wish.rsvp_id)
            .where(Rsvp.person_id == person_id)
            .order_by(Wish.id)
        )
    )
