"""How a message went over time: hours of the first two days, then days, by the clock on the wall
of the organization."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    cast,
    extract,
    func,
    literal_column,
    select,
)

from campaign.db import db, is_postgres
from campaign.events.models import Rsvp
from campaign.mail.models import Attempt, Chunk, Delivery, DeliveryState, ProviderEvent
from campaign.mailings import queries as mailings
from campaign.mailings.models import LinkClicks, Message, MessageLink
from campaign.petitions.models import Signature
from campaign.results.figures import TAKEN, Part, answered, signed
from campaign.results.rules import QUARTER_SECONDS, Span, spans, spread, summed


def _quarter(column: Any) -> ColumnElement[int]:
    """In which quarter of an hour since 1970 an instant lies."""
    seconds = (
        cast(func.floor(extract("epoch", column)), BigInteger)
        if is_postgres()
        else cast(func.strftime("%s", column), Integer)
    )
    return seconds // literal_column(str(QUARTER_SECONDS), Integer)


def _by_quarter(column: Any, *conditions: ColumnElement[bool]) -> Counter[datetime]:
    quarter = _quarter(column).label("quarter")
    rows = db.session.execute(
        select(quarter, func.count()).where(column.is_not(None), *conditions).group_by("quarter")
    )
    return summed((_instant(number), int(count)) for number, count in rows)


def _instant(quarter: int) -> datetime:
    return datetime.fromtimestamp(int(quarter) * QUARTER_SECONDS, UTC)


def sent_at(batch_ids: Sequence[uuid.UUID], default: datetime) -> Counter[datetime]:
    """When the mail service took e-mails: with their chunk. One of which only its recipients'
    events prove that it went counts at its last attempt."""
    chunks = db.session.execute(
        select(
            Chunk.id,
            Chunk.state,
            Chunk.size,
            func.max(Attempt.ended_at).filter(Attempt.outcome == "accepted"),
            func.max(Attempt.started_at),
        )
        .outerjoin(Attempt, Attempt.chunk_id == Chunk.id)
        .where(Chunk.batch_id.in_(batch_ids))
        .group_by(Chunk.id, Chunk.state, Chunk.size)
    ).all()
    whole = [row.id for row in chunks if row.state == DeliveryState.ACCEPTED]
    apart = select(Delivery.chunk_id, func.count()).where(Delivery.batch_id.in_(batch_ids))
    others = [state for state in DeliveryState if state not in TAKEN]
    not_taken = _counts(apart.where(Delivery.state.in_(others)))
    taken: dict[uuid.UUID, int] = {}
    if len(whole) < len(chunks):
        rest = [row.id for row in chunks if row.state != DeliveryState.ACCEPTED]
        for start in range(0, len(rest), 500):
            some = Delivery.chunk_id.in_(rest[start : start + 500])
            taken |= _counts(apart.where(some, Delivery.state.in_(TAKEN)))
    points = []
    for chunk_id, state, size, accepted_at, tried_at in chunks:
        is_whole = state == DeliveryState.ACCEPTED
        count = size - not_taken.get(chunk_id, 0) if is_whole else taken.get(chunk_id, 0)
        if count:
            at: datetime | None = accepted_at or tried_at
            points.append((at or default, count))
    return summed(points)


def _counts(rows: Any) -> dict[uuid.UUID, int]:
    grouped = rows.group_by(Delivery.chunk_id)
    return {chunk_id: int(count) for chunk_id, count in db.session.execute(grouped)}


def delivered_at(batch_ids: Sequence[uuid.UUID]) -> Counter[datetime]:
    """When it became known that e-mails were delivered. Of those called spam later, the event of
    before is asked."""
    mine = Delivery.batch_id.in_(batch_ids)
    points = _by_quarter(Delivery.settled_at, mine, Delivery.state == DeliveryState.DELIVERED)
    arrived = (
        select(func.min(ProviderEvent.happened_at))
        .where(ProviderEvent.delivery_id == Delivery.id, ProviderEvent.kind == "delivered")
        .scalar_subquery()
    )
    complained = db.session.execute(
        select(func.coalesce(arrived, Delivery.settled_at)).where(
            mine, Delivery.state == DeliveryState.COMPLAINED
        )
    )
    return points + summed((at, 1) for (at,) in complained)


@dataclass(frozen=True, slots=True)
class OverTime:
    """Hours and days, and for each measure its number in each of them."""

    spans: list[Span] = field(default_factory=list)
    series: dict[str, list[int]] = field(default_factory=dict)

    def part(self, *, is_hour: bool) -> OverTime:
        """The hours alone, or the days alone."""
        places = [n for n, span in enumerate(self.spans) if span.is_hour is is_hour]
        return OverTime(
            [self.spans[n] for n in places],
            {name: [counts[n] for n in places] for name, counts in self.series.items()},
        )


def over_time(message: Message, parts: Sequence[Part], zone_name: str) -> OverTime:
    """How it went, from the hour it started until the last in which anything happened."""
    if message.started_at is None or not parts:
        return OverTime()
    ids, sources = [part.batch_id for part in parts], [part.source for part in parts]
    stopped = db.session.scalars(mailings.stops_of(message, ids))
    clicks = db.session.execute(
        select(LinkClicks.since, func.sum(LinkClicks.count))
        .join(MessageLink, MessageLink.id == LinkClicks.link_id)
        .where(MessageLink.message_id == message.id)
        .group_by(LinkClicks.since)
    )
    points = {
        "sent": sent_at(ids, message.started_at),
        "delivered": delivered_at(ids),
        "clicks": summed((since, int(count)) for since, count in clicks),
        "actions": _by_quarter(Signature.confirmed_at, *signed(message, sources))
        + _by_quarter(Rsvp.created_at, *answered(message, sources)),
        "unsubscribed": summed((since, 1) for since in stopped),
    }
    last = max((at for times in points.values() for at in times), default=message.started_at)
    found = spans(message.started_at, max(last, message.started_at), zone_name)
    return OverTime(found, {name: spread(times, found) for name, times in points.items()})
