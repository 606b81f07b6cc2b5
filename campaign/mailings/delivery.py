"""From a due message to a released batch, step by step.

A step takes the message's row, does one slice of people and leaves the place it came to in the
same row, all in one transaction that the task commits. So two workers take turns, a worker that
is killed leaves nothing half done, and whoever goes on makes the same set: content is frozen
with the first step, people by the constraints of the outbox, the release with the last.
"""

from __future__ import annotations

import uuid

from sqlalchemy import select

from campaign import clock
from campaign.db import db, insert, is_postgres, joining_sets
from campaign.designs import services as designs
from campaign.lists import services as lists
from campaign.mail import merge
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch
from campaign.mailings import emails, queries, rules
from campaign.mailings.models import Message, MessageLink, MessageState
from campaign.organizations import queries as organization_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization

SLICE = 250_000
SQLITE_SLICE = 5_000
"""People in one step. PostgreSQL asks the audience anew for each step, so few are better; on
SQLite nobody else can write while a step lasts, so they are short."""
KIND = "mailing"
SLOTS = (1, 2)


def _take(message_id: uuid.UUID) -> Message | None:
    """The message's row, locked; None where another worker has it."""
    return db.session.scalar(
        select(Message)
        .where(Message.id == message_id, Message.deleted_at.is_(None))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def build_outbox(message_id: uuid.UUID, *, limit: int = 0) -> bool:
    """Do one step for a due message, of `limit` people at most; True while there is more to do.

    Does nothing for a message that is not due, is sent or is in another worker's hands. The
    caller commits after each step.
    """
    message = _take(message_id)
    if message is None:
        return False
    if message.is_due(clock.now()):
        return _begin(message)
    if message.state != MessageState.CALCULATING:
        return False
    batch = db.session.get(Batch, message.batch_id, with_for_update=True)
    if batch is None:
        raise LookupError("a message that is being built has lost its batch")
    organization_id, audience = message.organization_id, message.chosen
    fields = merge.names_in(message.subject, message.preheader, message.body)
    people = queries.recipients(organization_id, audience, fields, slot=message.frozen_slot)
    limit = limit or (SLICE if is_postgres() else SQLITE_SLICE)
    with joining_sets():
        after = mail.add_some_recipients(
            batch, people, after=message.frozen_after, limit=limit, turns=_turns(message)
        )
    message.frozen_after = after
    if after is None:
        message.frozen_slot += 1
    if message.frozen_slot in SLOTS:
        return True
    _release(message, batch)
    return False


def _turns(message: Message) -> mail.Turns | None:
    """When its readers' turns are, where it is spread over hours: a group for each minute."""
    if message.per_hour is None or message.started_at is None:
        return None
    organization = db.session.get_one(Organization, message.organization_id)
    table = rules.timetable(message, organization, message.started_at)
    return mail.Turns(table.due, max(1, message.per_hour // 60))


def _begin(message: Message) -> bool:
    """scheduled → calculating: content, links and the empty batch. False where it must wait."""
    organization = db.session.get_one(Organization, message.organization_id)
    if queries.needs_second_look(message, organization):
        _hold(message, organization)
        return False
    if not organization.postal_address.strip():
        _return(message)
        return False
    message.move(MessageState.CALCULATING)
    sender = organizations.sender_of(organization)
    letter = letter_of(message, organization)
    designs.keep_pictures(letter.html)
    batch = mail.create_batch(
        organization_id=message.organization_id,
        kind=KIND,
        key=str(message.id),
        letter=letter,
        sender=mail.Sender(
            name=message.from_name or sender.name,
            email=sender.email,
            reply_to=message.reply_to or sender.reply_to,
        ),
        list_id=message.chosen.only_list,
    )
    message.batch_id = batch.id
    message.frozen_slot, message.frozen_after = SLOTS[0], None
    message.started_at = clock.now()
    return True


def _return(message: Message) -> None:
    """scheduled → draft: the postal address was there when it was scheduled and is gone; its check
    says so. The law asks for one in every mass e-mail."""
    message.move(MessageState.DRAFT)
    message.scheduled_at = None
    organizations.record(
        "mailing.returned",
        organization_id=message.organization_id,
        subject_kind="message",
        subject_id=message.id,
        details={"reason": "no postal address"},
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


def letter_of(message: Message, organization: Organization) -> Letter:
    """The letter with its counted links; their rows are made here, once for each address."""
    links: dict[str, uuid.UUID] = {}

    def count(url: str) -> str:
        if not emails.is_openable(url):
            return url
        if url not in links:
            links[url] = uuid.uuid5(message.id, url)
        return emails.counted_url(links[url])

    letter = emails.render_message(
        emails.Draft.of(message),
        organization,
        link=count,
        bare_link=lambda url: emails.with_source(url, message.source),
    )
    for position, (url, link_id) in enumerate(links.items()):
        db.session.execute(
            insert(MessageLink.__table__).on_conflict_do_nothing(),
            {
                "id": link_id,
                "message_id": message.id,
                "position": position,
                "words": url,
                "url": emails.with_source(url, message.source),
                "click_count": 0,
            },
        )
    return letter


def _release(message: Message, batch: Batch) -> None:
    """calculating → sending: the set is whole. Who was left out is counted and kept."""
    message.recipient_count = batch.total_count
    message.excluded = queries.left_out(message)
    message.move(MessageState.SENDING)
    lists.note_mailed(
        message.organization_id,
        message.id,
        message.title,
        sent_at=message.started_at or clock.now(),
        urls=[link.words for link in queries.links_of(message.id)],
    )
    mail.release(batch)
    if not batch.total_count:
        finish(message)


def finish(message: Message) -> None:
    """sending → sent."""
    message.move(MessageState.SENT)
    message.finished_at = clock.now()


def follow(message_id: uuid.UUID) -> None:
    """Let the message's state say what its batch has come to: sent, paused by mail, resumed."""
    message = _take(message_id)
    if message is None or message.state not in {MessageState.SENDING, MessageState.PAUSED}:
        return
    state = queries.progress(message).state
    if state == MessageState.SENT:
        if message.state == MessageState.PAUSED:
            message.move(MessageState.SENDING)
        finish(message)
    elif state != message.state:
        message.move(MessageState(state))
