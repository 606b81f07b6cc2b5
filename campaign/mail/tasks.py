"""What wakes the senders. Each task claims rows first, so any number may run at once, and a call
that is lost, late or repeated costs nothing: the beat rings again and the rows are the truth."""

from __future__ import annotations

from campaign.db import db, reading
from campaign.mail import delivery, looking, sweeping, webhook
from campaign.web.requests import settings
from campaign.worker import Queue, enqueue, task

RUN_SECONDS = 50.0


@task(queue=Queue.TRANSACTIONAL, time_limit=240, acks_late=True)
def deliver_transactional() -> None:
    """Send what is due among the single e-mails."""
    if delivery.work(bulk=False, seconds=RUN_SECONDS):
        enqueue(deliver_transactional)
        db.session.commit()


@task(queue=Queue.BULK, time_limit=240, acks_late=True)
def deliver_bulk(lane: int = 0) -> None:
    """Send what is due among the bulk e-mails, single ones first; one of several lanes."""
    if delivery.work(bulk=True, seconds=RUN_SECONDS):
        enqueue(deliver_bulk, lane)
        db.session.commit()


@task(queue=Queue.TRANSACTIONAL)
def wake() -> None:
    """The fallback for a doorbell that was not heard: look for due rows every few seconds."""
    with reading():
        if delivery.is_due(bulk=False):
            enqueue(deliver_transactional)
        if delivery.is_due(bulk=True):
            for lane in range(delivery.busy_lanes(), delivery.lanes()):
                enqueue(deliver_bulk, lane)
        db.session.commit()


@task(queue=Queue.MAINTENANCE)
def sweep() -> None:
    """Give back what lost workers held, settle unknowns, work in late webhook calls."""
    webhook.process_waiting()
    sweeping.sweep()


@task(queue=Queue.MAINTENANCE)
def process_call(call_id: str) -> None:
    """Work in one stored webhook call."""
    webhook.process(call_id)


@task(queue=Queue.MAINTENANCE, time_limit=120)
def look_at_domain(domain: str) -> None:
    """Ask DNS about the domain of a sender and write down what it says."""
    looking.look(domain, settings())
    db.session.commit()


@task(queue=Queue.MAINTENANCE)
def look_at_waiting_domains() -> None:
    """Ask again for looks whose call was lost."""
    with reading():
        for domain in looking.waiting():
            enqueue(look_at_domain, domain)
        db.session.commit()
