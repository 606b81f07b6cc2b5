"""What wakes the senders. Each task claims rows first, so any number may run at once."""

from __future__ import annotations

from campaign.worker import Queue, task


@task(queue=Queue.TRANSACTIONAL, time_limit=120)
def deliver_transactional() -> None:
    """Send what is due among the single e-mails."""


@task(queue=Queue.BULK, time_limit=120)
def deliver_bulk() -> None:
    """Send what is due among the bulk e-mails."""
