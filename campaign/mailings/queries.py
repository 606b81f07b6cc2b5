"""Who a message reaches and who is left out and why; what became of it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from campaign import clock, outward
from campaign.accounts.models import User
from campaign.db import db, joining_sets
from campaign.designs import leads
from campaign.errors import Invalid, NotFound
from campaign.events.models import COMING, Event, Occurrence, Rsvp
from campaign.lists import queries as lists
from campaign.lists import rules
from campaign.lists.models import List, MailedMessage, Segment
from campaign.lists.taking_part import Did
from campaign.mail import domains
from campaign.mail import queries as mail
from campaign.mail.models import (
    Batch,
    BatchState,
    Content,
    Delivery,
    DeliveryState,
    Scope,
    Suppression,
)
from campaign.mailings import contests, shown, writing
from campaign.mailings.models import (
    OUT,
    Audience,
    Choice,
    ChoiceKind,
    Contest,
    ContestState,
    Message,
    MessageLink,
    MessageState,
    Variant,
    Wording,
)
from campaign.mailings.rules import is_agreed, wants_second_look, words_mark
from campaign.mailings.writing import Finding, Level
from campaign.organizations.models import Organization
from campaign.outward import Found
from campaign.people import queries as people
from campaign.people.models import Person, Tag
from campaign.petitions.models import Petition, PetitionState, Signature, SignatureState
from campaign.places.models import District
from campaign.web.requests import settings

INCLUDED = "included"
COMPLAINT_REASONS = ("complained", "complained before")
UNSUBSCRIBE_REASONS = ("unsubscribed", "unsubscribed at provider")
REASONS = (
    "no_address",
    "excluded",
    "no_consent",
    "bounced",
    "complained",
    "unsubscribed_everything",
    "unsubscribed",
    "unsubscribed_list",
    "enough",
    "same_address",
)
"""Why somebody whom the audience names gets no e-mail; of several, the first here is told."""
ABOUT_AN_EVENT = timedelta(days=30)
"""So long after a date its guests may be written to about it without another consent."""
WEEK = timedelta(days=7)
MOST_MESSAGES = 12
"""How many of the latest messages an audience can be chosen by."""
LINKS_TAKE = timedelta(minutes=15)
"""How long somebody may still hope for the answer about links."""
LINKS_AGAIN = timedelta(minutes=3)
DEAD = frozenset({outward.State.GONE, outward.State.UNREACHABLE, outward.State.CERTIFICATE})
COMPLAINT_WARNING = 0.001
FEWEST_COMPLAINTS = 2
OPEN = (
    DeliveryState.QUEUED,
    DeliveryState.LEASED,
    DeliveryState.ATTEMPTING,
    DeliveryState.RETRY,
)
"""States in which somebody still works on a delivery."""
REACHED = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.COMPLAINED)


# --- messages ------------------------------------------------------------------------------------


def message_of(organization_id: uuid.UUID, message_id: uuid.UUID, *, lock: bool = False) -> Message:
    """A message of this organization. Raises NotFound for another's, unknown and deleted ones."""
    statement = select(Message).where(
        Message.id == message_id,
        Message.organization_id == organization_id,
        Message.deleted_at.is_(None),
    )
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    message = db.session.scalar(statement)
    if message is None:
        raise NotFound
    return message


def deleted_message(organization_id: uuid.UUID, message_id: uuid.UUID) -> Message:
    """A deleted draft of this organization. Raises NotFound for anything else."""
    message = db.session.scalar(
        select(Message).where(
            Message.id == message_id,
            Message.organization_id == organization_id,
            Message.deleted_at.is_not(None),
        )
    )
    if message is None:
        raise NotFound
    return message


def message_by_id(message_id: uuid.UUID) -> Message | None:
    """A message whoever asks: for operators at a command line."""
    message = db.session.get(Message, message_id)
    return message if message is not None and message.deleted_at is None else None


def messages_in(organization_id: uuid.UUID, states: Iterable[str]) -> Select[Message]:
    """The messages of an organization in some states, for a page by `Message.id`."""
    return select(Message).where(
        Message.organization_id == organization_id,
        Message.deleted_at.is_(None),
        Message.state.in_(list(states)),
    )


def due_messages(now: datetime) -> list[uuid.UUID]:
    """Messages whose time has come (or their rest's), and those whose freezing was begun and not
    finished."""
    return list(
        db.session.scalars(
            select(Message.id)
            .outerjoin(Contest, Contest.message_id == Message.id)
            .where(
                Message.deleted_at.is_(None),
                or_(
                    and_(Message.state == MessageState.SCHEDULED, Message.scheduled_at <= now),
                    Message.state == MessageState.CALCULATING,
                    and_(
                        Message.state == MessageState.SENDING,
                        Contest.state == ContestState.DECIDED,
                        Contest.rest_at <= now,
                    ),
                ),
            )
            .order_by(Message.scheduled_at)
        )
    )


def messages_under_way() -> list[uuid.UUID]:
    """Messages that go out now, as far as the rows say."""
    return list(
        db.session.scalars(
            select(Message.id).where(
                Message.state.in_((MessageState.SENDING, MessageState.PAUSED)),
                Message.deleted_at.is_(None),
            )
        )
    )


COMPLAINTS_COME = timedelta(days=7)


def messages_complained_of(now: datetime) -> list[uuid.UUID]:
    """Messages of the last days that somebody called spam after they had gone out."""
    variants = select(Variant.batch_id).where(Variant.message_id == Message.id)
    complained = exists().where(
        or_(Delivery.batch_id == Message.batch_id, Delivery.batch_id.in_(variants)),
        Delivery.state == DeliveryState.COMPLAINED,
    )
    return list(
        db.session.scalars(
            select(Message.id).where(
                Message.state.in_((MessageState.SENT, MessageState.STOPPED)),
                Message.finished_at > now - COMPLAINTS_COME,
                Message.deleted_at.is_(None),
                complained,
            )
        )
    )


def last_sent(organization_id: uuid.UUID, *, before: uuid.UUID) -> Message | None:
    """The organization's last message that went out, other than `before`."""
    return db.session.scalar(
        messages_in(organization_id, OUT)
        .where(Message.id != before, Message.started_at.is_not(None))
        .order_by(Message.started_at.desc(), Message.id.desc())
        .limit(1)
    )


# --- audience ------------------------------------------------------------------------------------


def _clause(choice: Choice) -> rules.Clause | rules.Group:
    if choice.id is None:
        return rules.EVERYBODY
    if choice.kind is ChoiceKind.LIST:
        return rules.OnList(list_id=choice.id)
    if choice.kind is ChoiceKind.SEGMENT:
        return rules.InSegment(segment_id=choice.id)
    if choice.kind is ChoiceKind.TAG:
        return rules.Tagged(tag_id=choice.id)
    if choice.kind is ChoiceKind.GOT:
        return rules.GotMessage(message_id=choice.id)
    if choice.kind is ChoiceKind.ACTED:
        return rules.DidAsked(message_id=choice.id)
    if choice.kind is ChoiceKind.EVENT:
        answers = (rules.AtEvent(did=did, event_id=choice.id) for did in (Did.COMING, Did.MAYBE))
        return rules.Group(match=rules.Match.ANY, rules=tuple(answers))
    return rules.Signed(petition_id=choice.id)


def _found_by(organization_id: uuid.UUID, choices: Sequence[Choice]) -> Select[uuid.UUID]:
    """The people whom any of `choices` finds; nobody where there is none."""
    clauses = tuple(_clause(choice) for choice in choices)
    if not clauses:
        return lists.nobody()
    if len(clauses) == 1 and isinstance(clauses[0], rules.Group):
        return lists.audience(organization_id, clauses[0])
    match = rules.Match.ALL if len(clauses) == 1 else rules.Match.ANY
    try:
        return lists.audience(organization_id, rules.Group(match=match, rules=clauses))
    except Invalid:  # a segment that was broken since: it finds nobody
        return lists.nobody()


def people_in(organization_id: uuid.UUID, audience: Audience) -> Select[uuid.UUID]:
    """The ids of all whom the audience names, before anybody is left out."""
    return _found_by(organization_id, audience.include)


def may_be_written_to(organization_id: uuid.UUID, audience: Audience) -> ColumnElement[bool]:
    """Whether a person agreed to this message: a live consent to e-mail from the organization.

    Or, where it goes to those who come to an event and to nobody else: their answer to it. They
    asked to be told about this event, until a month after its last date they come to; that is no
    consent to anything else, so one other choice in the audience and the consent is asked for.
    """
    agreed = people.live_consent(organization_id)
    events = audience.only_events
    if not events:
        return agreed
    answered = select(Rsvp.person_id).where(
        Rsvp.organization_id == organization_id,
        Rsvp.event_id.in_(events),
        Rsvp.person_id.is_not(None),
        Rsvp.state.in_(COMING),
        Rsvp.occurrence_id == Occurrence.id,
        Occurrence.ends_at > clock.now() - ABOUT_AN_EVENT,
    )
    return or_(agreed, Person.id.in_(answered))


def _strongest_suppressions(organization_id: uuid.UUID, audience: Audience) -> Subquery:
    """For each address that takes no bulk mail from here, the reason that is told first."""
    complained = Suppression.reason.in_(COMPLAINT_REASONS)
    place = case(
        (Suppression.scope == Scope.ADDRESS, REASONS.index("bounced")),
        (complained, REASONS.index("complained")),
        (Suppression.scope == Scope.EVERYTHING, REASONS.index("unsubscribed_everything")),
        (Suppression.scope == Scope.ORGANIZATION, REASONS.index("unsubscribed")),
        else_=REASONS.index("unsubscribed_list"),
    )
    return (
        select(Suppression.address_hash, func.min(place).label("place"))
        .where(mail.stops_bulk(organization_id, audience.only_list))
        .group_by(Suppression.address_hash)
        .subquery("stopped")
    )


def _judged(organization_id: uuid.UUID, audience: Audience) -> Subquery:
    """All whom the audience names, each with why they get no e-mail, or INCLUDED.

    A household is not seen here. Everything is joined once as a set: asked for each person
    apart, a million people take minutes.
    """
    agreed = (
        select(Person.id)
        .where(
            Person.organization_id == organization_id,
            may_be_written_to(organization_id, audience),
        )
        .subquery("agreed")
    )
    stopped = _strongest_suppressions(organization_id, audience)
    enough = had_enough(audience)
    excluded = _found_by(organization_id, audience.exclude).subquery("excluded")
    reason = case(
        (or_(Person.email.is_(None), Person.address_hash.is_(None)), literal("no_address")),
        (excluded.c.id.is_not(None), literal("excluded")),
        (agreed.c.id.is_(None), literal("no_consent")),
        *((stopped.c.place == place, literal(reason)) for place, reason in enumerate(REASONS)),
        *([] if enough is None else [(Person.address_hash.in_(enough), literal("enough"))]),
        else_=literal(INCLUDED),
    )
    return (
        people_in(organization_id, audience)
        .outerjoin(agreed, agreed.c.id == Person.id)
        .outerjoin(excluded, excluded.c.id == Person.id)
        .outerjoin(stopped, stopped.c.address_hash == Person.address_hash)
        .with_only_columns(
            Person.id.label("person_id"),
            Person.slot.label("slot"),
            Person.address_hash.label("address_hash"),
            reason.label("reason"),
        )
        .subquery("judged")
    )


def had_enough(audience: Audience) -> Select[str] | None:
    """Who got as many mailings in seven days as anybody should, over all organizations here.

    What is written to the guests of an event about it is not held back, nor counted against it.
    """
    cap = settings().mail_weekly_cap
    if not cap or audience.only_events:
        return None
    return mail.had_enough(clock.now() - WEEK, cap)


@dataclass(frozen=True, slots=True)
class Reach:
    """How many an audience names, how many of them get the e-mail, and why the others do not."""

    total: int = 0
    included: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        return self.total - self.included


def reach(organization_id: uuid.UUID, audience: Audience) -> Reach:
    """Count the audience as it is now."""
    judged = _judged(organization_id, audience)
    counted = select(judged.c.reason, judged.c.slot, func.count()).group_by(
        judged.c.reason, judged.c.slot
    )
    with joining_sets():
        rows = db.session.execute(counted).all()
    reasons: dict[str, int] = {}
    for reason, _slot, count in rows:
        reasons[reason] = reasons.get(reason, 0) + count
    included = reasons.pop(INCLUDED, 0)
    total = included + sum(reasons.values())
    if any(reason == INCLUDED and slot != 1 for reason, slot, _count in rows):
        shared = _second_at_one_address(organization_id, audience)
        if shared:
            reasons["same_address"] = shared
            included -= shared
    ordered = {reason: reasons[reason] for reason in REASONS if reason in reasons}
    return Reach(total, included, ordered)


def left_out(message: Message, *, untold: str = "same_address") -> dict[str, int]:
    """Why those of the audience who are not in the outbox are not: for the moment of freezing.

    Where nothing speaks against somebody and yet they are not in it, their household is, by
    another; `untold` says otherwise, where their turn had not come.
    """
    organization_id, audience = message.organization_id, message.chosen
    judged = _judged(organization_id, audience)
    in_outbox = exists().where(
        *_written_to(batch_ids(message)), Delivery.person_id == judged.c.person_id
    )
    absent = select(judged.c.reason, func.count()).where(~in_outbox).group_by(judged.c.reason)
    with joining_sets():
        rows = db.session.execute(absent).all()
    counts = {str(reason): int(count) for reason, count in rows}
    others = counts.pop(INCLUDED, 0)
    if others:
        counts[untold] = others
    return {reason: counts[reason] for reason in (*REASONS, "stopped") if reason in counts}


def _written_to(ids: Sequence[uuid.UUID]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Deliveries in these batches that somebody gets or got: all save those that were taken from
    a stopped variant, whose people get the winner."""
    return (
        Delivery.batch_id.in_(ids),
        or_(
            Delivery.state.is_(None),
            Delivery.state != DeliveryState.CANCELLED,
            Delivery.reason != MOVED,
        ),
    )


def not_written_to(
    message: Message, but: Variant | None = None
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Neither they nor their address are in a batch of this message (other than that of `but`):
    for `recipients`, while the batch of `but`, or of the rest, is being filled.

    Both are asked: somebody may have another address since, or share one with somebody new.
    """
    ids = [one for one in batch_ids(message) if one != (but.batch_id if but else message.batch_id)]
    mine = _written_to(ids)
    return (
        ~exists().where(*mine, Delivery.person_id == Person.id),
        ~exists().where(*mine, Delivery.unique_key == mail.key_of(Person.address_hash)),
    )


@dataclass(frozen=True, slots=True)
class Draw:
    """How a message's readers are drawn: how many there are, and where each group ends."""

    readers: int
    bounds: list[str]


def draw_groups(message: Message, contest: Contest) -> Draw:
    """Where the groups of the variants end among the draws of all who would get it now."""
    judged = _judged(message.organization_id, message.chosen)
    addresses = select(judged.c.address_hash).where(judged.c.reason == INCLUDED).distinct()
    address = addresses.subquery("addresses").c.address_hash
    drawn = select(contests.draw(message, address).label("draw")).subquery("drawn")
    with joining_sets():
        readers = int(db.session.scalar(select(func.count()).select_from(drawn)) or 0)
        people = contests.testers(contest.size, contest.unit, readers)
        ends = list(accumulate(contests.group_sizes(people, len(contest.variants))))
        placed = select(drawn.c.draw, func.row_number().over(order_by=drawn.c.draw).label("place"))
        placed_ = placed.subquery("placed")
        found = dict(
            db.session.execute(
                select(placed_.c.place, placed_.c.draw).where(placed_.c.place.in_(ends))
            ).all()
        )
    return Draw(readers, [found.get(end, "") for end in ends])


def _second_at_one_address(organization_id: uuid.UUID, audience: Audience) -> int:
    """How many share their address with somebody of the same household who gets the e-mail."""
    first, second = (_judged(organization_id, audience).alias(name) for name in ("one", "two"))
    home = select(first.c.address_hash).where(first.c.reason == INCLUDED, first.c.slot == 1)
    shared = select(func.count()).where(
        second.c.reason == INCLUDED, second.c.slot != 1, second.c.address_hash.in_(home)
    )
    with joining_sets():
        return int(db.session.scalar(shared) or 0)


def recipients(
    organization_id: uuid.UUID, audience: Audience, fields: Iterable[str], *, slot: int
) -> Select[Any]:
    """Those who get the e-mail, as `mail.services.add_some_recipients` wants them.

    `fields` are the merge fields that the text uses: no more of a person is copied into the
    outbox. The constraint on the address sees to it that a household gets one e-mail; so the
    first of it (`slot` 1) comes before the second.
    """
    wanted = set(fields)
    values: dict[str, Any] = {
        "first_name": Person.first_name,
        "last_name": Person.last_name,
        "postal_code": Person.postal_code,
        "ward": func.coalesce(District.name, ""),
    }
    statement = people_in(organization_id, audience).with_only_columns(
        Person.id.label("person_id"),
        Person.email.label("address"),
        Person.address_hash.label("address_hash"),
        *(column.label(name) for name, column in values.items() if name in wanted),
    )
    if "ward" in wanted:
        statement = statement.outerjoin(District, District.id == Person.district_id)
    excluded: list[ColumnElement[bool]] = []
    if audience.exclude:
        excluded.append(Person.id.not_in(_found_by(organization_id, audience.exclude)))
    enough = had_enough(audience)
    if enough is not None:
        excluded.append(Person.address_hash.not_in(enough))
    return statement.where(
        Person.slot == slot,
        Person.email.is_not(None),
        Person.address_hash.is_not(None),
        may_be_written_to(organization_id, audience),
        Person.address_hash.not_in(mail.suppressed_for_bulk(organization_id, audience.only_list)),
        *excluded,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """An audience compared with whom the last message went to."""

    message: Message
    both: int
    new: int
    gone: int


def difference(message: Message, audience: Audience, now_included: int) -> Difference | None:
    """How an audience for `message` differs from whom the last one went to; None without one.

    Who was cut off when it was stopped did not get it.
    """
    last = last_sent(message.organization_id, before=message.id)
    if last is None or not batch_ids(last):
        return None
    is_its = Delivery.batch_id.in_(batch_ids(last))
    is_cut_off = Delivery.state == DeliveryState.CANCELLED
    got_it = select(Delivery.person_id).where(
        is_its, Delivery.person_id.is_not(None), or_(Delivery.state.is_(None), ~is_cut_off)
    )
    judged = _judged(message.organization_id, audience)
    in_both = select(func.count()).where(
        judged.c.reason == INCLUDED, judged.c.person_id.in_(got_it)
    )
    with joining_sets():
        both = int(db.session.scalar(in_both) or 0)
    cut_off = 0
    if last.state == MessageState.STOPPED:
        lost = select(func.count()).where(is_its, is_cut_off, Delivery.reason != MOVED)
        cut_off = db.session.scalar(lost) or 0
    return Difference(
        message=last,
        both=both,
        new=max(0, now_included - both),
        gone=max(0, last.recipient_count - cut_off - both),
    )


@dataclass(frozen=True, slots=True)
class Option:
    """Something an audience can be chosen by, with its name and size."""

    choice: Choice
    name: str
    size: int | None = None


def options(
    organization_id: uuid.UUID, language: str, chosen: Audience | None = None
) -> dict[ChoiceKind, list[Option]]:
    """All that people of this organization can be chosen by: of messages that went out the latest,
    and those that are `chosen` already."""
    own_lists = lists.lists_of(organization_id)
    sizes = lists.list_sizes([row.id for row in own_lists])
    petitions = db.session.scalars(
        select(Petition)
        .where(Petition.organization_id == organization_id, Petition.state != PetitionState.DRAFT)
        .order_by(Petition.id.desc())
    )
    mailed = lists.mailed_messages(organization_id, limit=MOST_MESSAGES)
    asked_for = chosen.messages if chosen is not None else set()
    mailed += lists.mailed_among(organization_id, asked_for - {row.id for row in mailed})
    return {
        ChoiceKind.PETITION: [
            Option(Choice(ChoiceKind.PETITION, row.id), row.title.get_for(language))
            for row in petitions
        ],
        ChoiceKind.EVENT: [
            Option(Choice(ChoiceKind.EVENT, row.id), row.title.get_for(language))
            for row in lists.events_to_ask_about(organization_id, limit=50)
        ],
        ChoiceKind.LIST: [
            Option(Choice(ChoiceKind.LIST, row.id), row.name, sizes.get(row.id, 0))
            for row in own_lists
        ],
        ChoiceKind.SEGMENT: [
            Option(Choice(ChoiceKind.SEGMENT, row.id), row.name)
            for row in lists.segments_of(organization_id)
        ],
        ChoiceKind.TAG: [
            Option(Choice(ChoiceKind.TAG, row.id), row.name)
            for row in people.tags_in(organization_id)
        ],
        **{
            kind: [Option(Choice(kind, row.id), row.name) for row in mailed]
            for kind in (ChoiceKind.GOT, ChoiceKind.ACTED)
        },
    }


def names_of(
    organization_id: uuid.UUID, choices: Iterable[Choice], language: str
) -> dict[str, str]:
    """The names behind choices, by their key; what is gone or somebody else's is missing."""
    ids = [choice.id for choice in choices if choice.id is not None]
    if not ids:
        return {}
    found: dict[str, str] = {}
    for kind, model in (
        (ChoiceKind.LIST, List),
        (ChoiceKind.SEGMENT, Segment),
        (ChoiceKind.TAG, Tag),
        (ChoiceKind.GOT, MailedMessage),
        (ChoiceKind.ACTED, MailedMessage),
    ):
        rows = db.session.execute(
            select(model.id, model.name).where(
                model.organization_id == organization_id, model.id.in_(ids)
            )
        )
        found |= {Choice(kind, row_id).key: name for row_id, name in rows}
    for kind, titled in ((ChoiceKind.PETITION, Petition), (ChoiceKind.EVENT, Event)):
        titles = db.session.execute(
            select(titled.id, titled.title).where(
                titled.organization_id == organization_id, titled.id.in_(ids)
            )
        )
        found |= {Choice(kind, row_id).key: title.get_for(language) for row_id, title in titles}
    return found


def open_petitions(organization_id: uuid.UUID) -> list[Petition]:
    """The organization's petitions that can be signed now, the newest first."""
    return list(
        db.session.scalars(
            select(Petition)
            .where(
                Petition.organization_id == organization_id,
                Petition.state == PetitionState.PUBLISHED,
                or_(Petition.closes_at.is_(None), Petition.closes_at > clock.now()),
            )
            .order_by(Petition.id.desc())
            .limit(50)
        )
    )


def sample_people(message: Message, limit: int = 5) -> list[Person]:
    """A few people who would get the message, to read it with their eyes."""
    statement = (
        people_in(message.organization_id, message.chosen)
        .where(
            Person.email.is_not(None),
            may_be_written_to(message.organization_id, message.chosen),
        )
        .with_only_columns(Person)
        .order_by(Person.id)
        .limit(limit)
    )
    return list(db.session.scalars(statement))


NOT_CHOSEN = "not_chosen"


def reasons_for(message: Message, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Why each of these people would not get a message as its audience is now: a word of
    REASONS, NOT_CHOSEN where the audience does not name them, "" for those who get it."""
    organization_id, audience = message.organization_id, message.chosen
    judged = _judged(organization_id, audience)
    asked = select(judged.c.person_id, judged.c.reason, judged.c.slot, judged.c.address_hash).where(
        judged.c.person_id.in_(ids)
    )
    rows = db.session.execute(asked).all()
    found = dict.fromkeys(ids, NOT_CHOSEN)
    found |= {row.person_id: "" if row.reason == INCLUDED else str(row.reason) for row in rows}
    seconds = {
        row.person_id: row.address_hash for row in rows if row.reason == INCLUDED and row.slot != 1
    }
    if seconds:
        other = _judged(organization_id, audience).alias("other")
        homes = set(
            db.session.scalars(
                select(other.c.address_hash).where(
                    other.c.reason == INCLUDED,
                    other.c.slot == 1,
                    other.c.address_hash.in_(seconds.values()),
                )
            )
        )
        found |= {one: "same_address" for one, home in seconds.items() if home in homes}
    return found


def user_name(user_id: uuid.UUID | None) -> str:
    """The name of somebody of the team; "" for nobody."""
    user = db.session.get(User, user_id) if user_id else None
    return user.name if user else ""


def needs_second_look(message: Message, organization: Organization) -> bool:
    """Whether a second person must agree before it goes out; counts only where that matters."""
    if organization.second_look_above is None or is_agreed(message):
        return False
    included = reach(message.organization_id, message.chosen).included
    return wants_second_look(message, organization, included)


def findings(message: Message, organization: Organization, counted: Reach) -> list[Finding]:
    """All that somebody should know before this message goes out, the worst first."""
    found = [*_findings_in_text(message), *_dead_links(message)]
    if message.contest is not None:
        found += _findings_in_contest(message.contest, counted.included)
    if not message.chosen.include:
        found.append(Finding("no_audience", Level.STOP))
    elif not counted.included:
        found.append(Finding("nobody_left", Level.STOP))
    if not organization.postal_address.strip():
        found.append(Finding("no_postal_address", Level.STOP))
    if not organization.sender_email.strip():
        found.append(Finding("no_sender"))
    elif domains.is_free_mailer(domain := domains.domain_of(organization.sender_email)):
        found.append(Finding("free_mailer", detail=domain))
    if message.tested_at is None or message.tested_mark != words_mark(message):
        found.append(Finding("not_tested"))
    return writing.worst_first(found)


def what_is_gone(message: Message) -> Finding | None:
    """A block that shows nothing any more: its event is over, its picture was deleted."""
    blocks = (finding for finding in _findings_in_text(message) if finding.code == "block")
    return next(blocks, None)


def _findings_in_text(message: Message) -> list[Finding]:
    """What is wrong with the text; with variants: with each, said once where all have it."""
    contest = message.contest
    known, pages = shown.known_for(message), shown.pages_for(message)
    language = db.session.get_one(Organization, message.organization_id).language

    def found_in(said: Wording) -> list[Finding]:
        return writing.findings(
            said.subject,
            said.preheader,
            said.body,
            form=message.format,
            known=known,
            pages=pages,
            language=language,
        )

    if contest is None:
        return found_in(message.wording)
    by_variant: dict[Finding, list[str]] = {}
    for variant in contest.variants:
        for finding in found_in(variant.wording):
            by_variant.setdefault(finding, []).append(variant.name)
    everywhere = len(contest.variants)
    return [
        finding
        if len(names) == everywhere
        else VariantFinding(
            finding.code, finding.level, finding.detail, finding.line, ", ".join(names)
        )
        for finding, names in by_variant.items()
    ]


def outward_links(message: Message) -> list[str]:
    """The addresses of the web elsewhere that its links lead to, in all its variants, each once:
    in the order of the text, and what cannot be read left out."""
    known = shown.known_for(message)
    urls = (
        url
        for wording in message.wordings
        for url in writing.links_in(wording.body, message.format, known)
    )
    return [url for url in dict.fromkeys(urls) if leads.is_readable(url) and not leads.is_own(url)]


def waits_for_links(message: Message) -> bool:
    """Whether somebody asked to try its links and the answer is still to come."""
    asked, looked = message.links_asked_at, message.links_looked_at
    if asked is None or asked < clock.now() - LINKS_TAKE:
        return False
    return looked is None or looked < asked


def links_waiting(now: datetime) -> list[uuid.UUID]:
    """Messages whose links somebody wants tried, and nobody has for a while: the call was lost."""
    return list(
        db.session.scalars(
            select(Message.id).where(
                Message.links_asked_at > now - LINKS_TAKE,
                Message.links_asked_at < now - LINKS_AGAIN,
                or_(
                    Message.links_looked_at.is_(None),
                    Message.links_looked_at < Message.links_asked_at,
                ),
                Message.deleted_at.is_(None),
            )
        )
    )


def tried_links(message: Message) -> list[tuple[str, Found | None]]:
    """Its links to elsewhere with what they answered; None where they were not tried since."""
    return [(url, read_found(message.links_found.get(url))) for url in outward_links(message)]


def read_found(stored: str | None) -> Found | None:
    """What was written down of a link: "state status address"."""
    state, _, rest = (stored or "").partition(" ")
    status, _, to = rest.partition(" ")
    if state not in set(outward.State):
        return None
    return Found(outward.State(state), int(status) if status.isdigit() else 0, to)


def _dead_links(message: Message) -> list[Finding]:
    """Links that did not work when they were tried, if they are still in the text."""
    if not message.links_found:
        return []
    return [
        Finding("dead_link", detail=url[:120])
        for url, found in tried_links(message)
        if found is not None and found.state in DEAD
    ]


def _findings_in_contest(contest: Contest, included: int) -> list[Finding]:
    """What is wrong with the test: variants that say the same, groups too small to tell."""
    found = []
    alike: dict[Wording, list[str]] = {}
    for variant in contest.variants:
        alike.setdefault(variant.wording, []).append(variant.name)
    found += [
        Finding("same_variants", Level.STOP, ", ".join(names))
        for names in alike.values()
        if len(names) > 1
    ]
    sizes = contests.group_sizes(
        contests.testers(contest.size, contest.unit, included), len(contest.variants)
    )
    needed = contests.fewest_needed(contest.measure)
    if included and not sizes[-1]:
        found.append(Finding("too_few_to_test", Level.STOP, str(len(contest.variants))))
    elif included and sizes[-1] < needed:
        found.append(Finding("small_groups", Level.LOOK, str(needed), sizes[-1]))
    return found


@dataclass(frozen=True, slots=True)
class VariantFinding(Finding):
    """A finding in some variants alone: `variants` names them."""

    variants: str = ""


# --- what became of it ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a message is. `state` is the message's, corrected by what mail says."""

    state: str
    total: int
    counts: dict[str, int]
    pause_reason: str = ""

    def of(self, *states: str) -> int:
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def open(self) -> int:
        """Recipients that somebody still works on."""
        return self.of(*OPEN)

    @property
    def done(self) -> int:
        return self.total - self.open

    @property
    def reached(self) -> int:
        """E-mails that a provider took and did not give back."""
        return self.of(*REACHED)

    @property
    def percent(self) -> int:
        return 100 if not self.total else self.done * 100 // self.total

    @property
    def has_complaints(self) -> bool:
        """Whether more than one in a thousand called it spam: mail services begin to mind."""
        count = self.of(DeliveryState.COMPLAINED)
        return count >= FEWEST_COMPLAINTS and count > COMPLAINT_WARNING * self.total

    @property
    def is_moving(self) -> bool:
        return self.state in {MessageState.SENDING, MessageState.CALCULATING}


def batch_of(message: Message) -> Batch | None:
    """The outbox of a message; of one with variants the rest's."""
    return db.session.get(Batch, message.batch_id) if message.batch_id else None


def batch_ids(message: Message) -> list[uuid.UUID]:
    """All batches of a message: its variants' in the order of their letters, then its own."""
    variants = message.contest.variants if message.contest is not None else []
    ids = (*(variant.batch_id for variant in variants), message.batch_id)
    return [batch_id for batch_id in ids if batch_id is not None]


def batches_of(message: Message) -> list[Batch]:
    """The rows of `batch_ids`, in that order, as they are now."""
    ids = batch_ids(message)
    if not ids:
        return []
    rows = db.session.scalars(
        select(Batch).where(Batch.id.in_(ids)).execution_options(populate_existing=True)
    )
    return sorted(rows, key=lambda row: ids.index(row.id))


def live_batches(message: Message) -> list[Batch]:
    """The batches that go out or may go on: all but those of variants that were stopped, and one
    that is still being frozen."""
    variants = message.contest.variants if message.contest is not None else []
    stopped = {variant.batch_id for variant in variants if variant.is_stopped}
    return [
        batch
        for batch in batches_of(message)
        if batch.id not in stopped and batch.state != BatchState.BUILDING
    ]


MOVED = "its variant was stopped"
"""Why a delivery of a stopped variant was cancelled: this person gets the winner with the rest."""


def moved_count(message: Message) -> int:
    """How many have a second row in the outbox, because the first was taken from them."""
    contest = message.contest
    if contest is None or contest.state != ContestState.OVER:
        return 0
    return sum(moved_from(row.batch_id) for row in contest.variants if row.is_stopped)


def moved_from(batch_id: uuid.UUID | None) -> int:
    """How many were taken from the batch of a stopped variant."""
    moved = select(func.count()).where(
        Delivery.batch_id == batch_id,
        Delivery.state == DeliveryState.CANCELLED,
        Delivery.reason == MOVED,
    )
    return int(db.session.scalar(moved) or 0)


def harm_of(variant: Variant) -> int:
    """How many e-mails of a variant were called spam, came back or were refused."""
    return contests.harm(mail.batch_counts(variant.batch_id)) if variant.batch_id else 0


def progress(message: Message) -> Progress:
    """How far a message is at this moment."""
    if not message.is_out or not batch_ids(message):
        state = MessageState.CALCULATING if message.is_due(clock.now()) else message.state
        return Progress(str(state), message.recipient_count, {})
    counts: Counter[str] = Counter()
    is_open: dict[uuid.UUID, bool] = {}
    for batch_id in batch_ids(message):
        own = mail.batch_counts(batch_id)
        counts.update(own)
        is_open[batch_id] = any(own.get(name) for name in OPEN)
    counts[DeliveryState.CANCELLED] -= moved_count(message)
    found = {name: count for name, count in sorted(counts.items()) if count > 0}
    state, reason = str(message.state), ""
    if state in {MessageState.SENDING, MessageState.PAUSED}:
        state, reason = _state_of(message, is_open)
    return Progress(state, sum(found.values()), found, reason)


def _state_of(message: Message, is_open: Mapping[uuid.UUID, bool]) -> tuple[str, str]:
    """What its batches say of a message on its way, and why it is paused."""
    contest, live = message.contest, live_batches(message)
    waits = contest is not None and contest.is_open
    moving = [batch for batch in live if is_open[batch.id]]
    if not moving and not waits:
        return MessageState.SENT, ""
    if contest is not None and contest.is_testing and not contest.running:
        return MessageState.PAUSED, ALL_STOPPED
    paused = [batch for batch in moving or live if batch.state == BatchState.PAUSED]
    if paused and len(paused) == len(moving or live):
        return MessageState.PAUSED, paused[0].pause_reason
    return MessageState.SENDING, ""


ALL_STOPPED = "variants"
"""Why a message is paused when each of its variants was stopped."""


def links_of(message_id: uuid.UUID, *, variant_id: uuid.UUID | None = None) -> list[MessageLink]:
    """The counted links of a message in reading order, with those of all its variants; with
    `variant_id` those of one variant's letter."""
    mine = select(MessageLink).where(MessageLink.message_id == message_id)
    if variant_id is not None:
        mine = mine.where(MessageLink.variant_id == variant_id)
    return list(db.session.scalars(mine.order_by(MessageLink.position, MessageLink.id)))


def clicks_of(message_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How often the links of each message were followed."""
    rows = db.session.execute(
        select(MessageLink.message_id, func.sum(MessageLink.click_count))
        .where(MessageLink.message_id.in_(message_ids))
        .group_by(MessageLink.message_id)
    )
    return {message_id: int(count) for message_id, count in rows}


def link_by_id(link_id: uuid.UUID) -> MessageLink | None:
    return db.session.get(MessageLink, link_id)


def stops_of(message: Message, batches: Sequence[uuid.UUID]) -> Select[Any]:
    """When those who got one of these batches said stop, since the message went out and before
    the next one did: one row for each address."""
    other = aliased(Message)
    following = (
        select(func.min(other.started_at))
        .where(
            other.organization_id == message.organization_id,
            other.started_at > message.started_at,
        )
        .scalar_subquery()
    )
    mine = exists().where(
        Delivery.batch_id.in_(batches), Delivery.unique_key == mail.key_of(Suppression.address_hash)
    )
    return (
        select(func.min(Suppression.since).label("since"))
        .where(
            Suppression.scope.in_((Scope.LIST, Scope.ORGANIZATION, Scope.EVERYTHING)),
            Suppression.reason.in_(UNSUBSCRIBE_REASONS),
            Suppression.since >= message.started_at,
            or_(following.is_(None), Suppression.since < following),
            mine,
        )
        .group_by(Suppression.address_hash)
    )


def unsubscribed(message: Message, batch_id: uuid.UUID | None = None) -> int:
    """How many who got this message have said stop since it went out, before the next one did;
    with `batch_id` those of one of its batches."""
    batches = [batch_id] if batch_id else batch_ids(message)
    if not batches or message.started_at is None:
        return 0
    stops = stops_of(message, batches).subquery()
    return int(db.session.scalar(select(func.count()).select_from(stops)) or 0)


def signed_of(messages: Sequence[Message]) -> dict[uuid.UUID, int]:
    """How many signed through each message, in one query."""
    started = [message.started_at for message in messages if message.started_at is not None]
    if not started:
        return {}
    sources = {source: message.id for message in messages for source in message.sources}
    rows = db.session.execute(
        select(Signature.source, func.count())
        .join(Petition, Petition.id == Signature.petition_id)
        .where(
            Petition.organization_id == messages[0].organization_id,
            Signature.confirmed_at >= min(started),
            Signature.state == SignatureState.CONFIRMED,
            Signature.source.in_(sources),
        )
        .group_by(Signature.source)
    )
    found: Counter[uuid.UUID] = Counter()
    for source, count in rows:
        found[sources[source]] += count
    return dict(found)


def frozen_content(message: Message, variant: Variant | None = None) -> Content | None:
    """What went out, word for word; None for a draft. With variants it is that of `variant`, else
    the rest's, else the first one's."""
    ids = [variant.batch_id] if variant is not None else [message.batch_id, *batch_ids(message)]
    batch_id = next((one for one in ids if one is not None), None)
    batch = db.session.get(Batch, batch_id) if batch_id else None
    if batch is None or batch.content_id is None:
        return None
    return db.session.get(Content, batch.content_id)


def not_sent_reasons(message: Message) -> dict[str, int]:
    """Why those of the audience who got no e-mail got none: left out when the audience was
    frozen, or held back afterwards. Adds up to all of them."""
    reasons = Counter({str(reason): int(count) for reason, count in message.excluded.items()})
    for batch_id in batch_ids(message):
        reasons.update(mail.batch_reasons(batch_id))
    reasons[MOVED] -= moved_count(message)
    left = [(reason, count) for reason, count in reasons.items() if count > 0]
    return dict(sorted(left, key=lambda pair: (-pair[1], pair[0])))
