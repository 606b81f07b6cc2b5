"""The demo's A/B test: a mailing whose two subjects were tried first, and what came of it.

Frozen and decided by the code that does it for every mailing; its e-mails are recorded as handed
over. None of them was ever sent.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from campaign.db import db, insert
from campaign.lists.models import MailedMessage
from campaign.mail.models import Attempt, Batch, Chunk, Delivery, DeliveryState
from campaign.mailings import deciding, standing, variants
from campaign.mailings import delivery as outbox
from campaign.mailings import services as mailings
from campaign.mailings.models import (
    Audience,
    Choice,
    ChoiceKind,
    LinkClicks,
    Measure,
    Message,
    MessageLink,
    Unit,
)
from campaign.mailings.services import MessageDetails
from campaign.mailings.variants import Plan
from campaign.organizations.models import Organization
from campaign.petitions.models import Petition

HOURS = 4
PLAN = Plan(size=50, unit=Unit.PERCENT, measure=Measure.CLICKS, hours=HOURS, is_automatic=True)
FIRST, SECOND = "An update on the clinics", "Ten minutes on Thursday, {{ first_name|neighbor }}?"
CLICKS = {"a": 7, "b": 26}
CLICKS_OF_THE_REST = 38
BODY = """Dear {{ first_name|neighbor }},

your council member counts phone calls. Ten minutes on Thursday, between nine and five, are enough: say your name, your street, and that your clinic stays open.

[What to say, and the number](%s)

Thank you for everything you do.
"""


@dataclass(frozen=True, slots=True)
class DemoContest:
    """One loading of the mailing that was tried in two versions."""

    organization: Organization
    petition: Petition
    organizer_id: uuid.UUID | None

    def send(self, at: datetime, url: str) -> Message:
        """Freeze it, record what its groups did, decide, and do the same for the rest."""
        message = mailings.create_message(
            self.organization.id,
            MessageDetails(
                name="Ten minutes on the phone",
                subject=FIRST,
                preheader="Council members count calls.",
                body=BODY % url,
            ),
            author_id=self.organizer_id,
            audience=Audience(include=(Choice(ChoiceKind.PETITION, self.petition.id),)),
        )
        contest = variants.begin_contest(message)
        variants.edit_contest(message, PLAN, {"b": MessageDetails(subject=SECOND)})
        mailings.send_message(message, user_id=self.organizer_id)
        message.scheduled_at = at
        self._freeze(message)
        message.started_at = at
        for variant in contest.variants:
            self._hand_over(variant.batch_id, at)
            self._follow(message, variant.id, CLICKS[variant.letter], at)
        decided = contest.decide_at = at + timedelta(hours=HOURS)
        found = standing.figures(message)
        judged = standing.judgement(contest, found)
        winner = contest.variant(judged.letter) if judged is not None else None
        if judged is None or winner is None:
            raise LookupError("the demo's test has no winner")
        deciding.decide(message, contest, winner, judged.verdict, found)
        contest.decided_at = contest.rest_at = decided
        self._freeze(message)
        self._hand_over(message.batch_id, decided)
        self._follow(message, None, CLICKS_OF_THE_REST, decided)
        outbox.finish(message)
        message.created_at = at - timedelta(hours=30)
        message.started_at, message.finished_at = at, decided + timedelta(minutes=1)
        db.session.get_one(MailedMessage, message.id).sent_at = at
        return message

    @staticmethod
    def _freeze(message: Message) -> None:
        db.session.flush()
        while outbox.build_outbox(message.id):
            db.session.flush()

    @staticmethod
    def _hand_over(batch_id: uuid.UUID | None, at: datetime) -> None:
        batch = db.session.get_one(Batch, batch_id)
        for chunk in db.session.scalars(select(Chunk).where(Chunk.batch_id == batch.id)):
            chunk.state, chunk.attempts = DeliveryState.ACCEPTED, 1
            chunk.created_at = chunk.next_attempt_at = at
            db.session.add(
                Attempt(
                    chunk_id=chunk.id,
                    n=1,
                    owner="demo",
                    started_at=at + timedelta(seconds=2),
                    ended_at=at + timedelta(seconds=3),
                    outcome="accepted",
                )
            )
        batch.created_at = batch.released_at = at
        batch.finished_at = at + timedelta(minutes=1)
        db.session.execute(
            update(Delivery)
            .where(Delivery.batch_id == batch.id)
            .values(
                state=DeliveryState.DELIVERED,
                address=None,
                values=None,
                created_at=at,
                settled_at=at + timedelta(minutes=1),
            )
        )

    @staticmethod
    def _follow(message: Message, variant_id: uuid.UUID | None, count: int, at: datetime) -> None:
        """Its link is followed less with every quarter of an hour."""
        link = db.session.scalars(
            select(MessageLink).where(
                MessageLink.message_id == message.id,
                MessageLink.variant_id.is_(variant_id)
                if variant_id is None
                else MessageLink.variant_id == variant_id,
            )
        ).one()
        link.click_count = count
        since = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
        left = count
        for quarter in range(HOURS * 4):
            some = left if quarter == HOURS * 4 - 1 else -(-left // 5)
            if some:
                row = {
                    "link_id": link.id,
                    "since": since + timedelta(minutes=15 * quarter),
                    "count": some,
                }
                db.session.execute(insert(LinkClicks.__table__).values(row))
            left -= some
