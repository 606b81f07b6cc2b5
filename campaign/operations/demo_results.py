"""The demo's mailings of the last weeks, and what became of them: as a report is worth a look.

Each is frozen by the code that freezes every mailing; its e-mails are recorded as handed over and
answered by the provider. None of them was ever sent.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select, update

from campaign.db import db, insert
from campaign.events.models import TOLD, Event, Rsvp
from campaign.lists.models import MailedMessage
from campaign.mail import services as mail
from campaign.mail.models import (
    Attempt,
    Batch,
    Chunk,
    Delivery,
    DeliveryState,
    ProviderEvent,
    Scope,
    Suppression,
)
from campaign.mailings import delivery as outbox
from campaign.mailings import services as mailings
from campaign.mailings.models import (
    Audience,
    Choice,
    ChoiceKind,
    LinkClicks,
    Message,
    MessageLink,
)
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import Organization
from campaign.petitions.models import Petition, Signature, SignatureState

HARD, SOFT = ("hard bounce", "bounce 5.1.1"), ("soft bounce", "bounce 4.2.2")
WITHIN = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Sent:
    """A mailing: how many days ago, at what hour, what it says and how it was taken up."""

    days_ago: int
    hour: int
    details: MessageDetails
    returns: tuple[tuple[str, str], ...] = ()
    complaints: int = 0
    stops: int = 0
    clicks: float = 0.2  # for each of its readers
    signed: float = 0.1  # signatures and answers that came through it, for each of its readers


@dataclass(frozen=True, slots=True)
class DemoResults:
    """One loading of the mailings that are out."""

    organization: Organization
    petition: Petition
    organizer_id: uuid.UUID | None
    random: Random

    def send(self, sent: Sent, at: datetime) -> Message:
        """Freeze a mailing and record it as sent at that time."""
        message = mailings.create_message(
            self.organization.id,
            sent.details,
            author_id=self.organizer_id,
            audience=Audience(include=(Choice(ChoiceKind.PETITION, self.petition.id),)),
        )
        mailings.send_message(message)
        message.scheduled_at = at
        db.session.flush()
        while outbox.build_outbox(message.id):
            db.session.flush()
        self._hand_over(message, at)
        self._answer(message, sent, at)
        self._follow(message, sent, at)
        return message

    def _hand_over(self, message: Message, at: datetime) -> None:
        batch = db.session.get_one(Batch, message.batch_id)
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
        outbox.finish(message)
        message.created_at = at - timedelta(hours=20)
        message.started_at, message.finished_at = at, batch.finished_at
        db.session.get_one(MailedMessage, message.id).sent_at = at

    def _answer(self, message: Message, sent: Sent, at: datetime) -> None:
        """What the provider said of each e-mail."""
        rows = db.session.execute(
            select(Delivery.id, Delivery.address_hash)
            .where(Delivery.batch_id == message.batch_id)
            .order_by(Delivery.address_hash)
        ).all()
        changes, events = [], []
        for number, row in enumerate(rows):
            came_back = sent.returns[number] if number < len(sent.returns) else None
            settled_at = at + timedelta(seconds=self.random.lognormvariate(4.6, 1.5))
            complained = 0 <= number - len(sent.returns) < sent.complaints
            state = DeliveryState.BOUNCED if came_back else DeliveryState.DELIVERED
            changes.append(
                {
                    "id": row.id,
                    "state": DeliveryState.COMPLAINED if complained else state,
                    "reason": came_back[0] if came_back else "complained" if complained else None,
                    "address": None,
                    "values": None,
                    "created_at": at,
                    "settled_at": settled_at + timedelta(hours=4 if complained else 0),
                }
            )
            if came_back is not None or complained:
                events.append(
                    {
                        "event_id": f"demo-{row.id.hex}",
                        "delivery_id": row.id,
                        "address_hash": row.address_hash,
                        "kind": "delivered" if came_back is None else "bounce",
                        "reason": "delivered" if came_back is None else came_back[1],
                        "happened_at": settled_at,
                        "received_at": settled_at,
                    }
                )
            if came_back == HARD:
                self._suppress(row.address_hash, Scope.ADDRESS, "hard bounce", settled_at)
            elif complained:
                self._suppress(row.address_hash, Scope.ORGANIZATION, "complained", settled_at)
            elif 0 <= number - len(sent.returns) - sent.complaints < sent.stops:
                later = settled_at + timedelta(hours=self.random.uniform(0.2, 20))
                self._suppress(row.address_hash, Scope.ORGANIZATION, "unsubscribed", later)
        if changes:
            db.session.execute(update(Delivery), changes)
        if events:
            db.session.execute(insert(ProviderEvent.__table__), events)

    def _suppress(self, hashed: str, scope: Scope, reason: str, at: datetime) -> None:
        scope_id = self.organization.id if scope == Scope.ORGANIZATION else ""
        mail.suppress(hashed, scope=scope, scope_id=scope_id, reason=reason)
        db.session.execute(
            update(Suppression).where(Suppression.address_hash == hashed).values(since=at)
        )

    def _follow(self, message: Message, sent: Sent, at: datetime) -> None:
        """Links are followed most in the first hours, and by day more than at night."""
        links = list(
            db.session.scalars(
                select(MessageLink)
                .where(MessageLink.message_id == message.id)
                .order_by(MessageLink.position)
            )
        )
        for place, link in enumerate(links):
            count = round(message.recipient_count * sent.clicks / (place + 1))
            quarters: Counter[datetime] = Counter()
            for _click in range(count):
                then = at + timedelta(hours=min(self.random.expovariate(1 / 9), 110))
                if then.hour in range(5, 11) and self.random.random() < 0.8:
                    then += timedelta(hours=8)  # asleep in Chicago
                quarters[then.replace(minute=then.minute // 15 * 15, second=0, microsecond=0)] += 1
            link.click_count = count
            if quarters:
                db.session.execute(
                    insert(LinkClicks.__table__),
                    [
                        {"link_id": link.id, "since": since, "count": clicked}
                        for since, clicked in quarters.items()
                    ],
                )

    def act(self, out: list[tuple[Sent, Message]]) -> None:
        """Some of those who signed or answered in the days after came through the mailing."""
        for sent, message in out:
            if message.started_at is None:
                continue
            until = message.started_at + WITHIN
            signatures = db.session.scalars(
                select(Signature).where(
                    Signature.petition_id == self.petition.id,
                    Signature.state == SignatureState.CONFIRMED,
                    Signature.confirmed_at > message.started_at,
                    Signature.confirmed_at < until,
                )
            )
            answers = db.session.scalars(
                select(Rsvp)
                .join(Event, Event.id == Rsvp.event_id)
                .where(
                    Event.organization_id == self.organization.id,
                    Rsvp.state.in_(TOLD),
                    Rsvp.created_at > message.started_at,
                    Rsvp.created_at < until,
                )
            )
            done: list[Signature | Rsvp] = [*signatures, *answers]
            most = round(message.recipient_count * sent.signed)
            for one in self.random.sample(done, min(most, len(done))):
                one.source = message.source
