"""How the variants of a message stand: what each came to so far.

`figures(message)` is the one question: for each variant, in the order of the letters, how many
got it and what they did. What the rest did is the message's own: links without a variant and
`Message.source`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import func, select

from campaign.db import db
from campaign.events.models import TOLD, Rsvp
from campaign.mail import queries as mail
from campaign.mail.models import WAITING, Attempt, Batch, BatchState, Chunk, DeliveryState
from campaign.mail.outbox import now
from campaign.mailings import contests, queries
from campaign.mailings.contests import Judgement, Score
from campaign.mailings.models import Contest, Measure, Message, MessageLink, Variant
from campaign.petitions.models import Petition, Signature, SignatureState


@dataclass(frozen=True, slots=True)
class Figures:
    """What one variant came to. `people` were drawn for it, `reached` got it."""

    letter: str
    people: int = 0
    reached: int = 0
    open: int = 0
    bounced: int = 0
    failed: int = 0
    complained: int = 0
    unsubscribed: int = 0
    clicks: int = 0
    signatures: int = 0
    rsvps: int = 0

    @property
    def actions(self) -> int:
        return self.signatures + self.rsvps

    def count(self, measure: str) -> int:
        """What is measured; whoever called it spam has unsubscribed the hard way."""
        if measure == Measure.CLICKS:
            return self.clicks
        if measure == Measure.UNSUBSCRIBES:
            return self.unsubscribed
        return self.actions

    def rate(self, measure: str) -> float:
        return self.count(measure) / self.reached if self.reached else 0.0

    def dump(self) -> dict[str, int]:
        """As `Contest.numbers` keeps it under the letter."""
        return {name: value for name, value in asdict(self).items() if name != "letter"}


def figures(message: Message) -> list[Figures]:
    """Each variant as it stands now, in the order of the letters; none without variants."""
    contest = message.contest
    if contest is None:
        return []
    clicks, signed, coming = clicks_by_variant(message), _signed(message), _coming(message)
    return [
        _figures(
            message,
            variant,
            clicks=clicks.get(variant.id, 0),
            signatures=signed[variant.source],
            rsvps=coming[variant.source],
        )
        for variant in contest.variants
    ]


def _figures(message: Message, variant: Variant, **done: int) -> Figures:
    if variant.batch_id is None:
        return Figures(variant.letter)
    counts = mail.batch_counts(variant.batch_id)
    return Figures(
        variant.letter,
        people=sum(counts.values()),
        reached=sum(counts.get(state, 0) for state in queries.REACHED),
        open=sum(counts.get(state, 0) for state in queries.OPEN),
        bounced=counts.get(DeliveryState.BOUNCED, 0),
        failed=counts.get(DeliveryState.FAILED, 0),
        complained=counts.get(DeliveryState.COMPLAINED, 0),
        unsubscribed=queries.unsubscribed(message, variant.batch_id),
        **done,
    )


def as_decided(contest: Contest) -> list[Figures]:
    """The figures by which it was decided; none before."""
    return [Figures(letter, **numbers) for letter, numbers in sorted(contest.numbers.items())]


def clicks_by_variant(message: Message) -> dict[uuid.UUID | None, int]:
    """How often links were followed, by variant; None is the letter of the rest."""
    rows = db.session.execute(
        select(MessageLink.variant_id, func.sum(MessageLink.click_count))
        .where(MessageLink.message_id == message.id)
        .group_by(MessageLink.variant_id)
    )
    return {variant_id: int(count) for variant_id, count in rows}


def _signed(message: Message) -> Counter[str]:
    """Confirmed signatures under own petitions, by source."""
    rows = db.session.execute(
        select(Signature.source, func.count())
        .join(Petition, Petition.id == Signature.petition_id)
        .where(
            Petition.organization_id == message.organization_id,
            Signature.confirmed_at >= message.started_at,
            Signature.state == SignatureState.CONFIRMED,
            Signature.source.in_(message.sources),
        )
        .group_by(Signature.source)
    )
    return Counter({source: int(count) for source, count in rows})


def _coming(message: Message) -> Counter[str]:
    """Answers to own events of those who come, may come or wait, by source."""
    rows = db.session.execute(
        select(Rsvp.source, func.count())
        .where(
            Rsvp.organization_id == message.organization_id,
            Rsvp.created_at >= message.started_at,
            Rsvp.state.in_(TOLD),
            Rsvp.source.in_(message.sources),
        )
        .group_by(Rsvp.source)
    )
    return Counter({source: int(count) for source, count in rows})


def judgement(contest: Contest, found: list[Figures]) -> Judgement | None:
    """Who would win by these figures; None where every variant was stopped."""
    running = {variant.letter for variant in contest.running}
    scores = [
        Score(one.letter, one.reached, one.count(contest.measure))
        for one in found
        if one.letter in running
    ]
    return contests.judge(scores, contest.measure)


def is_all_tried(contest: Contest) -> bool:
    """Whether each letter of the test that may go has been tried at least once."""
    ids = [variant.batch_id for variant in contest.running]
    waiting = select(Chunk.id).where(
        Chunk.batch_id.in_(ids),
        Chunk.state.in_((DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.ATTEMPTING)),
        Chunk.failures == 0,
    )
    return db.session.scalar(waiting.limit(1)) is None


# --- how long it takes ---------------------------------------------------------------------------

LOOK_BACK = timedelta(minutes=2)
LEAST_SEEN = timedelta(seconds=5)
"""What went out in so short a time says nothing about the pace."""


def seconds_left(message: Message) -> float | None:
    """How long those who wait will take: by the pace of the last two minutes, and not before the
    last turn. None while nothing tells."""
    ids = queries.batch_ids(message)
    waiting, last_turn = db.session.execute(
        select(func.coalesce(func.sum(Chunk.size), 0), func.max(Chunk.next_attempt_at)).where(
            Chunk.batch_id.in_(ids), Chunk.state.in_(WAITING)
        )
    ).one()
    if not waiting:
        return None
    at = now()
    begun = db.session.scalar(
        select(func.max(Batch.released_at)).where(
            Batch.id.in_(ids), Batch.state == BatchState.RELEASED
        )
    )
    until_turn = (last_turn - at).total_seconds()
    since = max(at - LOOK_BACK, begun or at)
    if at - since < LEAST_SEEN:
        return until_turn if until_turn > 0 else None
    gone = db.session.scalar(
        select(func.coalesce(func.sum(Chunk.size), 0))
        .join(Attempt, Attempt.chunk_id == Chunk.id)
        .where(Chunk.batch_id.in_(ids), Attempt.ended_at >= since, Attempt.outcome == "accepted")
    )
    if not gone:
        return until_turn if until_turn > 0 else None
    pace = gone / (at - since).total_seconds()
    return float(max(waiting / pace, until_turn))
