"""What a message came to: counted from the rows of mail, links, petitions and events, anew each
time, so that every page and every file says what the rows say."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from campaign import clock
from campaign.db import db, is_postgres, joining_sets
from campaign.lists import queries as lists
from campaign.mail.models import Delivery, DeliveryState, ProviderEvent
from campaign.mailings import queries as mailings
from campaign.mailings.models import OUT, Message
from campaign.organizations.models import Organization
from campaign.people.models import Person
from campaign.results.figures import (
    SOFT,
    Action,
    Figures,
    Link,
    Part,
    actions_of,
    figures_of,
    links_of,
    parts_of,
)
from campaign.results.rules import Mailboxes, gather, last_status, return_reason
from campaign.results.times import OverTime, over_time

MOST_COMPARED = 25

# --- by mail service and by reason ---------------------------------------------------------------


def mailboxes_of(batch_ids: Sequence[uuid.UUID]) -> list[Mailboxes]:
    """Recipients and returns by mail service. The address of a delivery is emptied when it has
    served, so the domain is that of the person, as far as they are known still."""
    at = func.strpos(Person.email_key, "@") if is_postgres() else func.instr(Person.email_key, "@")
    domain = func.coalesce(func.substr(Person.email_key, at + 1), "").label("domain")
    mine = (
        select(domain, func.count())
        .select_from(Delivery)
        .outerjoin(Person, Person.id == Delivery.person_id)
        .where(Delivery.batch_id.in_(batch_ids))
        .group_by("domain")
    )
    came_back = mine.where(Delivery.state == DeliveryState.BOUNCED)
    is_soft = Delivery.reason == SOFT
    with joining_sets():
        people, hard, soft = (
            {str(name): int(count) for name, count in db.session.execute(rows)}
            for rows in (
                mine,
                came_back.where(or_(~is_soft, Delivery.reason.is_(None))),
                came_back.where(is_soft),
            )
        )
    return gather(people, hard, soft)


def returns_of(batch_ids: Sequence[uuid.UUID]) -> dict[str, int]:
    """Why e-mails came back, in words for machines, the most first: by the status code that the
    provider last told, else by the reason of the delivery."""
    rows = db.session.execute(
        select(Delivery.id, Delivery.reason, ProviderEvent.reason)
        .outerjoin(ProviderEvent, ProviderEvent.delivery_id == Delivery.id)
        .where(Delivery.batch_id.in_(batch_ids), Delivery.state == DeliveryState.BOUNCED)
        .order_by(ProviderEvent.happened_at)
    )
    told: dict[uuid.UUID, list[str]] = {}
    for delivery_id, reason, event_reason in rows:
        told.setdefault(delivery_id, [reason or ""]).append(event_reason or "")
    reasons = Counter(return_reason(last_status(one)) for one in told.values())
    return dict(reasons.most_common())


# --- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of a message. `total` is all parts together."""

    message: Message
    zone_name: str
    parts: list[tuple[Part, Figures]]
    total: Figures
    left_out: dict[str, int]
    not_sent: dict[str, int]
    returns: dict[str, int]
    mailboxes: list[Mailboxes]
    links: list[Link]
    actions: list[Action]
    times: OverTime

    @property
    def is_whole(self) -> bool:
        """Whether each recipient is counted once."""
        contest = self.message.contest
        is_growing = contest is not None and contest.is_open  # the rest is being put together
        counted = sum(self.total.states.values())
        return counted == (self.total.people if is_growing else self.message.recipient_count)

    @property
    def letters(self) -> list[str]:
        """Of its variants; none where it has none."""
        return [part.letter for part, _figures in self.parts] if len(self.parts) > 1 else []


def report_of(message: Message, language: str) -> Report:
    """What a message that is out came to until now."""
    parts = parts_of(message)
    ids = [part.batch_id for part in parts]
    figures = figures_of(message, parts)
    zone_name = zone_of(message.organization_id)
    not_sent = mailings.not_sent_reasons(message)
    for reason, count in message.excluded.items():
        not_sent[reason] -= count
    return Report(
        message=message,
        zone_name=zone_name,
        parts=figures,
        total=sum((one for _part, one in figures), Figures()),
        left_out={str(reason): int(count) for reason, count in message.excluded.items()},
        not_sent={reason: count for reason, count in not_sent.items() if count > 0},
        returns=returns_of(ids),
        mailboxes=mailboxes_of(ids),
        links=links_of(message, parts, language),
        actions=actions_of(message, parts, language),
        times=over_time(message, parts, zone_name),
    )


def total_of(message: Message) -> Figures:
    """All parts of a message together."""
    figures = figures_of(message, parts_of(message))
    return sum((one for _part, one in figures), Figures())


def asked_by(message: Message, language: str) -> list[str]:
    """The titles of what its links lead to."""
    return sorted(lists.ask_title(ask, language) for ask in lists.asks_of(message.id))


def zone_of(organization_id: uuid.UUID) -> str:
    """The zone in whose hours an organization reads."""
    return db.session.get_one(Organization, organization_id).time_zone


# --- mailings side by side -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """A message and what it came to."""

    message: Message
    figures: Figures

    def value(self, key: str) -> Any:
        """By what it is sorted."""
        if key == "subject":
            return self.message.subject.casefold()
        if key == "sent":
            return self.message.started_at or clock.now()
        if key == "people":
            return self.figures.people
        rate = self.figures.rate(key)
        return -1.0 if rate is None else rate


RATES = ("came_back", "clicks", "actions", "unsubscribed", "complained")
SORTS = ("subject", "sent", "people", *RATES)


def latest_sent(organization_id: uuid.UUID, limit: int, words: str = "") -> list[Message]:
    """The latest messages that went out, those with `words` in name or subject."""
    found = mailings.messages_in(organization_id, OUT).where(Message.started_at.is_not(None))
    if words:
        found = found.where(
            or_(
                Message.subject.icontains(words, autoescape=True),
                Message.name.icontains(words, autoescape=True),
            )
        )
    ordered = found.order_by(Message.started_at.desc(), Message.id.desc())
    return list(db.session.scalars(ordered.limit(limit)))


def sent_among(organization_id: uuid.UUID, message_ids: Sequence[uuid.UUID]) -> list[Message]:
    """Those of the messages named that are the organization's and went out, the latest first."""
    found = mailings.messages_in(organization_id, OUT).where(
        Message.id.in_(message_ids), Message.started_at.is_not(None)
    )
    return list(db.session.scalars(found.order_by(Message.started_at.desc(), Message.id.desc())))


def compared(messages: Sequence[Message], sort: str) -> list[Compared]:
    """The messages with their figures, by `sort` ("-clicks": the most first)."""
    rows = [Compared(message, total_of(message)) for message in messages[:MOST_COMPARED]]
    key = sort.removeprefix("-")
    return sorted(rows, key=lambda row: row.value(key), reverse=sort.startswith("-"))
