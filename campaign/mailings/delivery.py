"""From a due message to a released batch, step by step.

A step is one transaction that the task commits: content is frozen with the first, the audience is
parted into slices with the next, then each slice is a step of its own that any worker may do beside
others, and the last step lets all go. A slice is gone with the commit that writes its people, and
what is not a slice is done with the message's row locked and only when no slice is left. So a
worker that is killed leaves nothing half done, and whoever goes on makes the same set.

A message with variants is frozen twice: first the groups that test, one batch for each variant,
all released together; and when it is decided who won, the rest, as a batch of the message.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm.attributes import flag_modified

from campaign import clock
from campaign.db import db, insert, joining_sets
from campaign.designs import services as designs
from campaign.lists import services as lists
from campaign.mail import freezing, merge
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch, Content
from campaign.mailings import contests, emails, queries, rules
from campaign.mailings.models import (
    Contest,
    ContestState,
    Message,
    MessageLink,
    MessageState,
    Variant,
    VariantState,
    Wording,
)
from campaign.organizations import queries as organization_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.outward import Found
from campaign.people.models import Person

KIND = "mailing"
SLOTS = 2
"""The first of a household, then the second, whom the constraint on the address keeps out."""


def take(message_id: uuid.UUID) -> Message | None:
    """The message's row, locked; None where another worker has it."""
    return db.session.scalar(
        select(Message)
        .where(Message.id == message_id, Message.deleted_at.is_(None))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def build_outbox(message_id: uuid.UUID, *, limit: int = 0) -> int:
    """Do one step for a due message; returns how many workers have something to do next, 0 when
    this one has not.

    Slices have `limit` people at most. Does nothing for a message that is not due or is sent. The
    caller commits after each step.
    """
    message = db.session.scalar(_found(message_id))
    if message is None:
        return 0
    slice_ = freezing.take_slice(queries.batch_ids(message))
    if slice_ is None:
        return _go_on(message_id, limit)
    db.session.expire_all()  # what was read before is old; with the slice held it stays as it is
    if not _is_being_built(message):
        return 0
    part = _part(message)
    with joining_sets():
        freezing.add_slice(slice_, part.batch, _people(message, part), turns=part.turns)
    return 1


def _found(message_id: uuid.UUID) -> Select[Any]:
    mine = select(Message).where(Message.id == message_id, Message.deleted_at.is_(None))
    return mine.execution_options(populate_existing=True)


def _is_being_built(message: Message) -> bool:
    return message.state == MessageState.CALCULATING or _rest_is_due(message)


def _people(message: Message, part: Part) -> Select[Any]:
    people = queries.recipients(
        message.organization_id, message.chosen, part.fields, slot=message.frozen_slot
    )
    return people.where(*part.where)


def _go_on(message_id: uuid.UUID, limit: int) -> int:
    """The step after the last slice that is to be had; 0 where others are still at one.

    Whoever is at the same point is waited for: if both went home, nobody would go on.
    """
    db.session.expire_all()
    message = db.session.scalar(_found(message_id).with_for_update())
    if message is None:
        return 0
    if message.is_due(clock.now()):
        return _begin(message)
    if _rest_is_due(message) and message.batch_id is None:
        return _begin_rest(message)
    if not _is_being_built(message) or freezing.has_slices(queries.batch_ids(message)):
        return 0
    part = _part(message)
    if message.frozen_slot < SLOTS:
        message.frozen_slot += 1
        with joining_sets():
            people = _people(message, part)
            count = freezing.plan_recipients(part.batch, people, limit=limit, turns=part.turns)
        return max(1, count)
    if part.variant is not None and _next_group(message):
        return 1
    _release(message, part)
    return 0


def _rest_is_due(message: Message) -> bool:
    """Whether it is decided who won, and the turn of the rest has come."""
    contest = message.contest
    return (
        message.state == MessageState.SENDING
        and contest is not None
        and contest.state == ContestState.DECIDED
        and contest.rest_at is not None
        and contest.rest_at <= clock.now()
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What is being frozen: the whole audience, the group of one variant, or the rest."""

    batch: Batch
    fields: set[str]
    where: tuple[ColumnElement[bool], ...] = ()
    turns: freezing.Turns | None = None
    variant: Variant | None = None


def _part(message: Message) -> Part:
    """The part whose turn it is."""
    contest = message.contest
    if contest is None:
        batch = _batch(message.batch_id)
        turns = _turns(message, message.started_at)
        return Part(batch, _fields(message.wording), turns=turns)
    if contest.state == ContestState.DECIDED:
        batch = _batch(message.batch_id)
        winner = contest.winner
        if winner is None:
            raise LookupError("a contest that is decided has lost its winner")
        return Part(
            batch,
            _fields(winner.wording),
            queries.not_written_to(message),
            _turns(message, contest.rest_at),
        )
    variant = contest.variants[contest.frozen_part]
    drawn = contests.draw(message, Person.address_hash.expression)
    upper = contest.bounds[contest.frozen_part]
    lower = contest.bounds[contest.frozen_part - 1] if contest.frozen_part else ""
    return Part(
        _batch(variant.batch_id),
        _fields(variant.wording),
        (drawn > lower, drawn <= upper, *queries.not_written_to(message, but=variant)),
        _turns(message, message.started_at, of=len(contest.variants)),
        variant,
    )


def _batch(batch_id: uuid.UUID | None) -> Batch:
    """Not locked: those who write slices side by side change its count by turns, each at its end."""
    batch = db.session.get(Batch, batch_id, populate_existing=True)
    if batch is None:
        raise LookupError("a message that is being built has lost its batch")
    return batch


def _fields(wording: Wording) -> set[str]:
    return merge.names_in(wording.subject, wording.preheader, wording.body)


def _turns(message: Message, start: datetime | None, *, of: int = 1) -> freezing.Turns | None:
    """When its readers' turns are, where it is spread over hours: a group for each minute. Of
    several batches that go out side by side each has its share of the pace."""
    if message.per_hour is None or start is None:
        return None
    return freezing.Turns(turn_of(message, start, of=of), max(1, message.per_hour // 60 // of))


def turn_of(message: Message, start: datetime, *, of: int = 1) -> Callable[[int], datetime]:
    """When the n-th reader's turn is in one of several batches that go out side by side."""
    organization = db.session.get_one(Organization, message.organization_id)
    table = rules.timetable(message, organization, start)
    return lambda position: table.due(position * of)


def _next_group(message: Message) -> bool:
    """Go on to the next variant's group; False after the last."""
    contest = message.contest
    if contest is None or contest.frozen_part + 1 >= len(contest.variants):
        return False
    contest.frozen_part += 1
    message.frozen_slot = 0
    return True


def _begin(message: Message) -> int:
    """scheduled → calculating: content, links and the empty batch (of each variant, whose groups
    are drawn here). 0 where it must wait."""
    organization = db.session.get_one(Organization, message.organization_id)
    if queries.needs_second_look(message, organization):
        _hold(message, organization)
        return 0
    if not organization.postal_address.strip():
        _return(message, "no postal address")
        return 0
    if queries.what_is_gone(message) is not None:
        _return(message, "a block shows what is gone")
        return 0
    message.move(MessageState.CALCULATING)
    message.frozen_slot = 0
    message.started_at = clock.now()
    if message.contest is None:
        letter = letter_of(message, organization)
        message.batch_id = _make_batch(message, letter, str(message.id)).id
    else:
        _begin_contest(message, message.contest, organization)
    return 1


def _make_batch(message: Message, letter: Letter, key: str, from_name: str = "") -> Batch:
    profile = organizations.sender_of(db.session.get_one(Organization, message.organization_id))
    designs.keep_pictures(letter.html)
    return mail.create_batch(
        organization_id=message.organization_id,
        kind=KIND,
        key=key,
        letter=letter,
        sender=mail.Sender(
            name=from_name or message.from_name or profile.name,
            email=profile.email,
            reply_to=message.reply_to or profile.reply_to,
        ),
        list_id=message.chosen.only_list,
    )


def _begin_contest(message: Message, contest: Contest, organization: Organization) -> None:
    """Draw the groups, and freeze each variant's letters: for its group, and for the rest."""
    drawn = queries.draw_groups(message, contest)
    contest.audience_count, contest.bounds, contest.frozen_part = drawn.readers, drawn.bounds, 0
    for variant in contest.variants:
        letter = letter_of(message, organization, variant)
        key = f"{message.id}:{variant.letter}"
        variant.batch_id = _make_batch(message, letter, key, variant.own_from_name).id
        variant.rest_content_id = mail.freeze_letter(
            letter_of(message, organization, variant, is_for_rest=True)
        )


def _begin_rest(message: Message) -> int:
    """The rest's empty batch, with the winner's letter as it was frozen and links of its own."""
    winner = message.contest.winner if message.contest is not None else None
    content = db.session.get(Content, winner.rest_content_id) if winner is not None else None
    if winner is None or content is None:
        raise LookupError("a contest that is decided has lost its winner's letter")
    letter = Letter(content.subject, content.text, content.html)
    message.batch_id = _make_batch(message, letter, str(message.id), winner.own_from_name).id
    message.frozen_slot = 0
    urls = [link.words for link in queries.links_of(message.id, variant_id=winner.id)]
    _write_links(message, urls)
    return 1


def _return(message: Message, reason: str) -> None:
    """scheduled → draft: what was there when it was scheduled is gone, and its check says so: the
    postal address, which the law asks for in every mass e-mail, or what a block shows."""
    message.move(MessageState.DRAFT)
    message.scheduled_at = None
    organizations.record(
        "mailing.returned",
        organization_id=message.organization_id,
        subject_kind="message",
        subject_id=message.id,
        details={"reason": reason},
    )


def _hold(message: Message, organization: Organization) -> None:
    """scheduled → draft: its readers have become so many that a second person must agree."""
    message.move(MessageState.DRAFT)
    message.scheduled_at = None
    organizations.record(
        "mailing.held",
        organization_id=organization.id,
        subject_kind="message",
        subject_id=message.id,
    )
    emails.tell_of_look(
        "held", message, organization, organization_queries.senders(organization.id)
    )


def letter_of(
    message: Message,
    organization: Organization,
    variant: Variant | None = None,
    *,
    is_for_rest: bool = False,
) -> Letter:
    """The letter with its counted links; their rows are made here, once for each address.

    `is_for_rest` is a variant's letter as the rest would get it: with the message's own links,
    whose rows are made when it has won.
    """
    tried = None if is_for_rest else variant
    source = message.source if tried is None else tried.source
    urls: list[str] = []

    def count(url: str) -> str:
        if not emails.is_openable(url):
            return url
        if url not in urls:
            urls.append(url)
        return emails.counted_url(_link_id(message, tried, url))

    said = message.wording if variant is None else variant.wording
    letter = emails.render_message(
        emails.Draft.of(message).worded(said),
        organization,
        link=count,
        bare_link=lambda url: emails.with_source(url, source),
    )
    if not is_for_rest:
        _write_links(message, urls, tried)
    return letter


def _link_id(message: Message, variant: Variant | None, url: str) -> uuid.UUID:
    return uuid.uuid5(message.id if variant is None else variant.id, url)


def _write_links(message: Message, urls: Iterable[str], variant: Variant | None = None) -> None:
    """The rows of counted links; run again, they are there."""
    source = message.source if variant is None else variant.source
    for position, url in enumerate(urls):
        db.session.execute(
            insert(MessageLink.__table__).on_conflict_do_nothing(),
            {
                "id": _link_id(message, variant, url),
                "message_id": message.id,
                "variant_id": None if variant is None else variant.id,
                "position": position,
                "words": url,
                "url": emails.with_source(url, source),
                "click_count": 0,
            },
        )


def _release(message: Message, part: Part) -> None:
    """The set is whole: let it go. Who was left out is counted and kept."""
    contest = message.contest
    if part.variant is not None and contest is not None:
        _release_groups(message, contest)
        return
    message.recipient_count += part.batch.total_count
    message.excluded = queries.left_out(message)
    if contest is None:
        message.move(MessageState.SENDING)
    else:
        message.recipient_count -= _taken_back(contest)
        contest.move(ContestState.OVER)
    _note_mailed(message)
    mail.release(part.batch)
    if not queries.progress(message).total:
        finish(message)


def _note_mailed(message: Message) -> None:
    """Let segments ask who got it, and who did what it asked."""
    lists.note_mailed(
        message.organization_id,
        message.id,
        message.title,
        sent_at=message.started_at or clock.now(),
        urls=[link.words for link in queries.links_of(message.id)],
    )


def _taken_back(contest: Contest) -> int:
    """How many were taken from variants that were stopped: they are counted with the rest."""
    return sum(
        queries.moved_from(variant.batch_id) for variant in contest.variants if variant.is_stopped
    )


def _release_groups(message: Message, contest: Contest) -> None:
    """calculating → sending: all variants begin together, and the clock of the test with them."""
    for variant in contest.variants:
        batch = _batch(variant.batch_id)
        variant.recipient_count = batch.total_count
        variant.move(VariantState.RUNNING)
        mail.release(batch)
    message.recipient_count = sum(variant.recipient_count for variant in contest.variants)
    message.move(MessageState.SENDING)
    if not message.recipient_count:  # nobody is left to write to: there is nothing to try
        message.excluded = queries.left_out(message)
        contest.move(ContestState.STOPPED)
        finish(message)
        return
    contest.move(ContestState.TESTING)
    _note_mailed(message)
    last = turn_of(message, clock.now())(max(0, message.recipient_count - 1))
    contest.decide_at = last + timedelta(hours=contest.hours)


def finish(message: Message) -> None:
    """sending → sent."""
    message.move(MessageState.SENT)
    message.finished_at = clock.now()


def follow(message_id: uuid.UUID) -> None:
    """Let the message's state say what its batches have come to: sent, paused by mail, resumed."""
    message = take(message_id)
    if message is None or message.state not in {MessageState.SENDING, MessageState.PAUSED}:
        return
    state = queries.progress(message).state
    if state == MessageState.SENT:
        if message.state == MessageState.PAUSED:
            message.move(MessageState.SENDING)
        finish(message)
    elif state != message.state:
        message.move(MessageState(state))
        if message.contest is not None:
            (message.contest.hold if message.is_paused else message.contest.go_on)(clock.now())


# --- links ---------------------------------------------------------------------------------------


def links_to_try(message_id: uuid.UUID) -> list[str] | None:
    """The links of a message that somebody wants tried; None where nobody waits for it."""
    message = db.session.get(Message, message_id)
    if message is None or message.deleted_at is not None or not queries.waits_for_links(message):
        return None
    return queries.outward_links(message)


def note_links(message_id: uuid.UUID, found: Mapping[str, Found]) -> None:
    """Write down what the links of a message answered, and when. The message itself was not
    written anew: whoever read a test of it has read this version."""
    message = db.session.get(Message, message_id, with_for_update=True, populate_existing=True)
    if message is None:
        return
    message.links_found = {
        url: f"{one.state} {one.status} {one.to}".rstrip() for url, one in found.items()
    }
    message.links_looked_at = clock.now()
    flag_modified(message, "updated_at")
