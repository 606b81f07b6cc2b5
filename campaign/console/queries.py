"""What the organizer's first page says, read from the slices below. Nothing here names a person."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import String, Text, and_, cast, func, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import Campaign, CampaignState, Milestone
from campaign.db import db
from campaign.events import desk as events
from campaign.events.models import (
    COMING,
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
    Rsvp,
)
from campaign.mail.models import Batch, Chunk, Delivery, DeliveryState
from campaign.mailings import queries as mailings
from campaign.mailings.models import Message, MessageState
from campaign.people import queries as people
from campaign.petitions import queries as petitions
from campaign.petitions.models import (
    CommentState,
    Petition,
    PetitionState,
    Signature,
    SignatureState,
)

CHART_DAYS = 28
DUE_LATE = timedelta(minutes=2)
SOON = timedelta(days=2)
PEOPLE_COUNT_SECONDS = 60.0


def campaign_in_front(organization_id: uuid.UUID, today: date) -> Campaign | None:
    """The running campaign whose decision is nearest; else the newest one that runs."""
    running = [
        row for row in campaigns.campaigns_of(organization_id) if row.state == CampaignState.ACTIVE
    ]
    ahead = [row for row in running if row.decision_on is not None and row.decision_on >= today]
    return min(ahead, key=lambda row: row.decision_on or today, default=next(iter(running), None))


@dataclass(frozen=True, slots=True)
class PetitionLine:
    """A petition with its numbers. `week` counts the last seven days."""

    petition: Petition
    count: int
    unverified: int
    week: int
    pending: int
    review: int
    comments: int


def petition_lines(organization_id: uuid.UUID, now: datetime) -> list[PetitionLine]:
    """The organization's petitions that are not closed, the newest first, with what waits."""
    rows = [
        row for row in petitions.petitions_of(organization_id) if row.state != PetitionState.CLOSED
    ]
    ids = [row.id for row in rows]
    counts = petitions.counts(ids)
    week = _count_by_petition(
        ids,
        Signature.state == SignatureState.CONFIRMED,
        Signature.confirmed_at >= now - timedelta(days=7),
    )
    pending = _count_by_petition(ids, Signature.state == SignatureState.PENDING)
    review = _count_by_petition(ids, Signature.state == SignatureState.REVIEW)
    comments = _count_by_petition(
        ids,
        Signature.state == SignatureState.CONFIRMED,
        Signature.comment_state == CommentState.WAITING,
        text("comment_state <> 'none'"),  # the words of the partial index
    )
    lines = []
    for row in rows:
        counted = counts.get(row.id, petitions.Counts())
        lines.append(
            PetitionLine(
                petition=row,
                count=counted.confirmed,
                unverified=counted.unverified,
                week=week[row.id],
                pending=pending[row.id],
                review=review[row.id],
                comments=comments[row.id],
            )
        )
    return lines


def _count_by_petition(ids: Sequence[uuid.UUID], *where: Any) -> Counter[uuid.UUID]:
    rows = db.session.execute(
        select(Signature.petition_id, func.count())
        .where(Signature.petition_id.in_(ids), *where)
        .group_by(Signature.petition_id)
    )
    return Counter({row[0]: row[1] for row in rows})


def signatures_a_day(
    petition_ids: Sequence[uuid.UUID], now: datetime, zone: ZoneInfo, days: int = CHART_DAYS
) -> list[tuple[date, int]]:
    """Confirmed signatures of each of the last `days` days, in the reader's zone."""
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    hour = _hour(Signature.confirmed_at)
    rows = db.session.execute(
        select(hour, func.count())
        .where(
            Signature.petition_id.in_(petition_ids),
            Signature.state == SignatureState.CONFIRMED,
            Signature.confirmed_at >= begin,
        )
        .group_by(hour)
    )
    found: Counter[date] = Counter()
    for hour_text, count in rows:
        moment = datetime.fromisoformat(f"{hour_text}:00:00+00:00")
        found[moment.astimezone(zone).date()] += count
    return [(day, found[day]) for day in (first + timedelta(days=n) for n in range(days))]


def _hour(column: InstrumentedAttribute[datetime | None]) -> Any:
    """ "2026-06-16 18", the hour of an instant in UTC: both databases write a time like this."""
    return func.substr(cast(column, String), 1, 13)


def counts_by_district(petition_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Confirmed signatures of several petitions by district."""
    found: Counter[uuid.UUID] = Counter()
    for petition_id in petition_ids:
        for district_id, count in petitions.counts_by_district(petition_id).items():
            if district_id is not None:
                found[district_id] += count
    return dict(found)


def milestones_since(campaign_id: uuid.UUID, first: date) -> Sequence[Milestone]:
    """What was done from `first` on, the latest first."""
    return [row for row in campaigns.milestones_of(campaign_id) if row.on >= first]


def messages_that_wait(organization_id: uuid.UUID, now: datetime) -> Sequence[Message]:
    """Mailings that somebody has to decide about or know of: paused, due soon, drafts."""
    states = (MessageState.PAUSED, MessageState.SCHEDULED, MessageState.DRAFT)
    rows = db.session.scalars(
        select(Message)
        .where(
            Message.organization_id == organization_id,
            Message.deleted_at.is_(None),
            Message.state.in_(states),
        )
        .order_by(Message.id.desc())
        .limit(20)
    ).all()
    shown = [
        row
        for row in rows
        if row.state != MessageState.SCHEDULED
        or (row.scheduled_at is not None and row.scheduled_at <= now + SOON)
    ]
    return sorted(shown, key=lambda row: states.index(MessageState(row.state)))


COMPLAINTS_MATTER = timedelta(days=7)


def messages_in_trouble(organization_id: uuid.UUID, now: datetime) -> list[tuple[Message, str]]:
    """Mailings that are out and want somebody, and why: "choose" a version for the rest, a version
    was "stopped", or many called it spam ("complaints")."""
    rows = db.session.scalars(
        select(Message)
        .where(
            Message.organization_id == organization_id,
            Message.deleted_at.is_(None),
            or_(
                Message.state == MessageState.SENDING,
                and_(
                    Message.state.in_((MessageState.SENT, MessageState.STOPPED)),
                    Message.finished_at > now - COMPLAINTS_MATTER,
                ),
            ),
        )
        .order_by(Message.id.desc())
        .limit(20)
    )
    found = ((row, _trouble_of(row, now)) for row in rows)
    return [(row, trouble) for row, trouble in found if trouble]


def _trouble_of(message: Message, now: datetime) -> str:
    contest = message.contest
    if contest is not None and contest.is_testing:
        if not contest.is_automatic and contest.decide_at is not None and contest.decide_at <= now:
            return "choose"
        if any(variant.is_stopped for variant in contest.variants):
            return "stopped"
    return "complaints" if "complaints" in message.told else ""


def messages_moving(organization_id: uuid.UUID) -> Sequence[Message]:
    """Mailings that go out now."""
    return db.session.scalars(
        select(Message).where(
            Message.organization_id == organization_id,
            Message.deleted_at.is_(None),
            Message.state == MessageState.SENDING,
        )
    ).all()


def last_message(organization_id: uuid.UUID) -> Message | None:
    """The last mailing that went out or is going out."""
    return db.session.scalar(
        select(Message)
        .where(
            Message.organization_id == organization_id,
            Message.deleted_at.is_(None),
            Message.started_at.is_not(None),
        )
        .order_by(Message.started_at.desc())
        .limit(1)
    )


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A mailing that is or was on its way, with its numbers."""

    message: Message
    progress: mailings.Progress
    clicks: int
    unsubscribed: int


def message_line(message: Message) -> MessageLine:
    """What became of a mailing so far."""
    return MessageLine(
        message=message,
        progress=mailings.progress(message),
        clicks=mailings.clicks_of([message.id]).get(message.id, 0),
        unsubscribed=mailings.unsubscribed(message),
    )


@dataclass(frozen=True, slots=True)
class MailHealth:
    """Whether e-mail flows: the oldest that should have gone, and what nobody knows about."""

    late_count: int
    oldest_due_at: datetime | None
    unknown_count: int


def mail_health(organization_id: uuid.UUID, now: datetime) -> MailHealth:
    """The organization's e-mails that are due and not gone for two minutes, and unknown ones."""
    mine = select(Batch.id).where(Batch.organization_id == organization_id)
    late = db.session.execute(
        select(func.coalesce(func.sum(Chunk.size), 0), func.min(Chunk.next_attempt_at))
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(
            Batch.organization_id == organization_id,
            Batch.state == "released",
            Chunk.state.in_((DeliveryState.QUEUED, DeliveryState.RETRY)),
            Chunk.next_attempt_at < now - DUE_LATE,
        )
    ).one()
    unknown_chunks = db.session.scalar(
        select(func.coalesce(func.sum(Chunk.size), 0)).where(
            Chunk.batch_id.in_(mine), Chunk.state == DeliveryState.UNKNOWN_FINAL
        )
    )
    unknown_apart = db.session.scalar(
        select(func.count()).where(
            Delivery.batch_id.in_(mine), Delivery.state == DeliveryState.UNKNOWN_FINAL
        )
    )
    return MailHealth(int(late[0]), late[1], int(unknown_chunks or 0) + int(unknown_apart or 0))


_people: WeakKeyDictionary[Any, dict[uuid.UUID, tuple[float, int]]] = WeakKeyDictionary()


def people_count(organization_id: uuid.UUID) -> int:
    """How many people an organization knows, at most a minute old: a million take a while."""
    kept = _people.setdefault(db.engine, {})
    found = kept.get(organization_id)
    if found is not None and found[0] > monotonic():
        return found[1]
    rows = people.people_of(organization_id).subquery()
    count = db.session.scalar(select(func.count()).select_from(rows)) or 0
    kept[organization_id] = (monotonic() + PEOPLE_COUNT_SECONDS, count)
    return count


def open_petition_count(organization_id: uuid.UUID) -> int:
    """How many petitions can be signed now."""
    now = clock.now()
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Petition)
            .where(
                Petition.organization_id == organization_id,
                Petition.state == PetitionState.PUBLISHED,
                (Petition.closes_at.is_(None)) | (Petition.closes_at > now),
            )
        )
        or 0
    )


@dataclass(frozen=True, slots=True)
class DateLine:
    """A date that comes up: how many come, and what they need that nobody has met yet."""

    occurrence: Occurrence
    coming: int
    needs: int


DAYS_AHEAD = timedelta(days=60)


def dates_ahead(organization_id: uuid.UUID, now: datetime, limit: int = 5) -> list[DateLine]:
    """The next dates of published events, the nearest first."""
    dates = db.session.scalars(
        select(Occurrence)
        .join(Event, Event.id == Occurrence.event_id)
        .where(
            Occurrence.organization_id == organization_id,
            Occurrence.state == OccurrenceState.SCHEDULED,
            Occurrence.ends_at > now,
            Occurrence.starts_at < now + DAYS_AHEAD,
            Event.state == EventState.PUBLISHED,
        )
        .order_by(Occurrence.starts_at)
        .limit(limit)
    ).all()
    needs = Counter(
        db.session.scalars(
            select(Rsvp.occurrence_id).where(
                Rsvp.occurrence_id.in_([date.id for date in dates]),
                Rsvp.state.in_(COMING),
                Rsvp.needs_met_at.is_(None),
                cast(Rsvp.needs, Text) != "[]",
            )
        )
    )
    return [DateLine(date, date.taken_count, needs[date.id]) for date in dates]


def proposed_events(organization_id: uuid.UUID) -> Sequence[Event]:
    """What volunteers proposed and nobody has looked at yet, the oldest first."""
    return events.proposals_of(organization_id)
