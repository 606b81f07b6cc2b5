"""What a message, or a part of it, came to: where its recipients stand and what they did."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, func, select

from campaign.db import db
from campaign.events.models import TOLD, Event, Rsvp
from campaign.lists import queries as lists
from campaign.lists.models import AskKind
from campaign.mail import queries as mail
from campaign.mail.models import Delivery, DeliveryState
from campaign.mailings import queries as mailings
from campaign.mailings.models import ContestState, Message
from campaign.petitions.models import Petition, Signature, SignatureState
from campaign.web.few import SMALL, Shown, veil_in

TAKEN = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.BOUNCED,
    DeliveryState.COMPLAINED,
)
"""States of an e-mail that the mail service took, whatever became of it then."""
SOFT = "soft bounce"
"""Why an e-mail came back that may get there another time; all other reasons are for good."""
CONFIRMED_SHARE = 0.9
"""From this share of confirmations on, "delivered" is what rates are taken of."""

# --- a message and its parts ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What went out as one: a message, or one of its variants. `source` is what signatures and
    answers say that came through it."""

    letter: str
    batch_id: uuid.UUID
    source: str
    variant_id: uuid.UUID | None = None


def parts_of(message: Message) -> list[Part]:
    """The parts of a message that is out: its variants in the order of their letters, then the rest;
    of one without variants the whole."""
    found = [
        Part(variant.letter, variant.batch_id, variant.source, variant.id)
        for variant in (message.contest.variants if message.contest is not None else ())
        if variant.batch_id is not None
    ]
    if message.batch_id is not None:
        found.append(Part("", message.batch_id, message.source))
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """What a message, or a part of it, came to. The states add up to `people`."""

    people: int = 0
    waiting: int = 0  # to go out
    unanswered: int = 0  # the mail service has not said yet
    accepted: int = 0  # taken, and not confirmed
    delivered: int = 0
    complained: int = 0
    hard: int = 0
    soft: int = 0
    unknown: int = 0  # nobody will ever say
    failed: int = 0
    suppressed: int = 0
    cancelled: int = 0
    clicks: int = 0
    signatures: int = 0
    answers: int = 0
    unsubscribed: int = 0

    def __add__(self, other: Figures) -> Figures:
        names = self.__slots__
        return Figures(*(getattr(self, name) + getattr(other, name) for name in names))

    @property
    def states(self) -> dict[str, int]:
        """Where each of the people is counted once."""
        complained = {} if self.is_small else {"complained": self.complained}
        return {
            "waiting": self.waiting,
            "unanswered": self.unanswered,
            "accepted": self.accepted,
            "delivered": self.delivered + (self.complained if self.is_small else 0),
            **complained,
            "hard": self.hard,
            "soft": self.soft,
            "unknown": self.unknown,
            "failed": self.failed,
            "suppressed": self.suppressed,
            "cancelled": self.cancelled,
        }

    @property
    def is_small(self) -> bool:
        """Whether so few got it that what they did could point at one of them."""
        return self.people < SMALL

    @property
    def came_back(self) -> int:
        return self.hard + self.soft

    @property
    def confirmed(self) -> int:
        """Delivered, as the mail service confirms; who calls it spam has got it."""
        return self.delivered + self.complained

    @property
    def reached(self) -> int:
        return self.accepted + self.confirmed

    @property
    def taken(self) -> int:
        return self.reached + self.came_back

    @property
    def actions(self) -> int:
        return self.signatures + self.answers

    @property
    def base(self) -> int:
        """What rates are taken of: the delivered, where most are confirmed; else the taken that did
        not come back."""
        return self.confirmed if self.is_confirmed else self.reached

    @property
    def is_confirmed(self) -> bool:
        return bool(self.confirmed) and self.confirmed >= CONFIRMED_SHARE * self.reached

    def shown(self, name: str) -> Shown:
        """What people did, as it may be written."""
        return veil_in(getattr(self, name), self.people)

    def rate(self, name: str) -> float | None:
        """What share did it: of the base, of returns of all that was taken. None where the number
        itself is not written, or there is nobody to take it of."""
        of = self.taken if name == "came_back" else self.base
        count = getattr(self, name)
        return count / of if of and not isinstance(self.shown(name), str) else None


def _without_moved(message: Message, part: Part, found: Figures) -> Figures:
    """Without those of a stopped variant who were given to the rest: they count there."""
    contest = message.contest
    if contest is None or contest.state != ContestState.OVER or part.variant_id is None:
        return found
    variant = contest.variant(part.letter)
    moved = mailings.moved_from(part.batch_id) if variant and variant.is_stopped else 0
    return replace(found, people=found.people - moved, cancelled=found.cancelled - moved)


def states_of(batch_id: uuid.UUID) -> Figures:
    """Where the recipients of a batch stand."""
    counts = mail.batch_counts(batch_id)
    soft = 0
    if counts.get(DeliveryState.BOUNCED):
        soft = int(
            db.session.scalar(
                select(func.count()).where(
                    Delivery.batch_id == batch_id,
                    Delivery.state == DeliveryState.BOUNCED,
                    Delivery.reason == SOFT,
                )
            )
            or 0
        )

    def of(*states: DeliveryState) -> int:
        return sum(counts.get(state, 0) for state in states)

    return Figures(
        people=sum(counts.values()),
        waiting=of(
            DeliveryState.QUEUED,
            DeliveryState.LEASED,
            DeliveryState.ATTEMPTING,
            DeliveryState.RETRY,
        ),
        unanswered=of(DeliveryState.UNKNOWN),
        accepted=of(DeliveryState.ACCEPTED),
        delivered=of(DeliveryState.DELIVERED),
        complained=of(DeliveryState.COMPLAINED),
        hard=of(DeliveryState.BOUNCED) - soft,
        soft=soft,
        unknown=of(DeliveryState.UNKNOWN_FINAL),
        failed=of(DeliveryState.FAILED),
        suppressed=of(DeliveryState.SUPPRESSED),
        cancelled=of(DeliveryState.CANCELLED),
    )


# --- what people did -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """Signatures under a petition, or answers to an event, that came through a message; `by_part`
    by the letter of its part."""

    kind: AskKind
    thing_id: uuid.UUID
    title: str
    by_part: dict[str, int]

    @property
    def count(self) -> int:
        return sum(self.by_part.values())


def signed(message: Message, sources: Sequence[str]) -> list[ColumnElement[bool]]:
    """Confirmed signatures under own petitions that came through these sources."""
    return [
        Petition.id == Signature.petition_id,
        Petition.organization_id == message.organization_id,
        Signature.confirmed_at >= message.started_at,
        Signature.state == SignatureState.CONFIRMED,
        Signature.source.in_(sources),
    ]


def answered(message: Message, sources: Sequence[str]) -> list[ColumnElement[bool]]:
    """Answers to own events of those who come, may come or wait in line."""
    return [
        Event.id == Rsvp.event_id,
        Event.organization_id == message.organization_id,
        Rsvp.created_at >= message.started_at,
        Rsvp.state.in_(TOLD),
        Rsvp.source.in_(sources),
    ]


def actions_of(message: Message, parts: Sequence[Part], language: str) -> list[Action]:
    """What was done through the links of a message, the most first."""
    letters = {part.source: part.letter for part in parts}
    if message.started_at is None or not letters:
        return []
    by_signing, by_answering = (way(message, list(letters)) for way in (signed, answered))
    asked: tuple[tuple[AskKind, Any, Any, list[ColumnElement[bool]]], ...] = (
        (AskKind.PETITION, Petition, Signature, by_signing),
        (AskKind.EVENT, Event, Rsvp, by_answering),
    )
    found = []
    for kind, model, done, conditions in asked:
        thing_id = done.petition_id if kind is AskKind.PETITION else done.event_id
        rows = db.session.execute(
            select(thing_id, done.source, func.count())
            .where(*conditions)
            .group_by(thing_id, done.source)
        ).all()
        by_thing: dict[uuid.UUID, Counter[str]] = {}
        for one_id, source, count in rows:
            by_thing.setdefault(one_id, Counter())[letters[source]] += count
        titles = select(model.id, model.title).where(model.id.in_(by_thing))
        for one_id, title in db.session.execute(titles):
            by_part = dict(by_thing[one_id])
            found.append(Action(kind, one_id, title.get_for(language), by_part))
    return sorted(found, key=lambda action: (-action.count, action.title))


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a message, or the same one in several of its parts. `leads_to` is the title of what
    of ours it leads to."""

    words: str
    by_part: dict[str, int]
    leads_to: str = ""

    @property
    def clicks(self) -> int:
        return sum(self.by_part.values())


def links_of(message: Message, parts: Sequence[Part], language: str) -> list[Link]:
    """The counted links in reading order, each address once."""
    letters = {part.variant_id: part.letter for part in parts}
    found: dict[str, Counter[str]] = {}
    for row in mailings.links_of(message.id):
        by_part = found.setdefault(row.words, Counter())
        by_part[letters.get(row.variant_id, "")] += row.click_count
    return [
        Link(words, dict(by_part), _title_behind(message.organization_id, words, language))
        for words, by_part in found.items()
    ]


def _title_behind(organization_id: uuid.UUID, url: str, language: str) -> str:
    ask = lists.ask_behind(organization_id, url)
    return lists.ask_title(ask, language) if ask is not None else ""


def figures_of(message: Message, parts: Sequence[Part]) -> list[tuple[Part, Figures]]:
    """Each part with what it came to."""
    if not parts or message.started_at is None:
        return []
    clicks: Counter[uuid.UUID | None] = Counter()
    for link in mailings.links_of(message.id):
        clicks[link.variant_id] += link.click_count
    done = {}
    for name, column, conditions in (
        ("signatures", Signature.source, signed),
        ("answers", Rsvp.source, answered),
    ):
        sources = [part.source for part in parts]
        rows = select(column, func.count()).where(*conditions(message, sources)).group_by(column)
        done[name] = {source: int(count) for source, count in db.session.execute(rows)}
    return [
        (
            part,
            replace(
                _without_moved(message, part, states_of(part.batch_id)),
                clicks=clicks[part.variant_id],
                unsubscribed=mailings.unsubscribed(message, part.batch_id),
                **{name: counts.get(part.source, 0) for name, counts in done.items()},
            ),
        )
        for part in parts
    ]
