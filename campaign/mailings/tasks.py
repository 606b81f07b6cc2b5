"""What wakes a message: each task takes its rows first, so any number may run at once."""

from __future__ import annotations

import uuid

from campaign import clock, outward
from campaign.db import db, is_postgres, reading
from campaign.mailings import deciding, delivery, queries
from campaign.worker import Queue, enqueue, task


@task(queue=Queue.MAINTENANCE, time_limit=60)
def start_due() -> None:
    """Ring for each message whose time has come, and for each that was left half frozen."""
    for message_id in queries.due_messages(clock.now()):
        enqueue(start_message, message_id)
    db.session.commit()


HELPERS = 3
"""Workers who are asked to help with one message's slices."""


@task(queue=Queue.MAINTENANCE, time_limit=900)
def start_message(message_id: str) -> None:
    """Freeze the audience and let the message go."""
    while hands := delivery.build_outbox(uuid.UUID(message_id)):
        if is_postgres():  # SQLite has one writer at a time
            for _ in range(min(hands - 1, HELPERS)):
                enqueue(help_start, message_id)
        db.session.commit()
    db.session.commit()


@task(queue=Queue.BULK, time_limit=900)
def help_start(message_id: str) -> None:
    """Do the same on a sender's time: it has nothing to send before the message is let go."""
    while delivery.build_outbox(uuid.UUID(message_id)):
        db.session.commit()
    db.session.commit()


@task(queue=Queue.MAINTENANCE, time_limit=60)
def follow_messages() -> None:
    """Note which messages are through, which mail has paused, which variants must stop, and who
    has won."""
    for message_id in queries.messages_under_way():
        delivery.follow(message_id)
        if deciding.tend(message_id):
            enqueue(start_message, message_id)
        db.session.commit()


@task(queue=Queue.MAINTENANCE, time_limit=60)
def watch_complaints() -> None:
    """Tell of complaints about mailings of the last days."""
    for message_id in queries.messages_complained_of(clock.now()):
        deciding.watch_complaints(message_id)
        db.session.commit()


@task(queue=Queue.MAINTENANCE, time_limit=120)
def try_links(message_id: str) -> None:
    """Ask where the links of a message lead, with no transaction open meanwhile."""
    with reading():
        urls = delivery.links_to_try(uuid.UUID(message_id))
        db.session.commit()
    if urls is None:
        return
    delivery.note_links(uuid.UUID(message_id), outward.look_at_all(urls))
    db.session.commit()


@task(queue=Queue.MAINTENANCE, time_limit=60)
def try_waiting_links() -> None:
    """Ring again for links whose call was lost."""
    with reading():
        for message_id in queries.links_waiting(clock.now()):
            enqueue(try_links, message_id)
        db.session.commit()
