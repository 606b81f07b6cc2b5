"""What runs by the clock. Each piece commits for itself, so that nobody waits long."""

from __future__ import annotations

from campaign import clock
from campaign.db import db, reading
from campaign.events import delivery, rounds, settling
from campaign.worker import Queue, enqueue, task

PIECES = 50


@task(queue=Queue.TRANSACTIONAL, time_limit=240)
def queue_due() -> None:
    """Queue the reminders whose hour has come and the notices that nobody has sent yet."""
    with reading():
        is_due = rounds.is_due(clock.now())
        db.session.commit()
    if not is_due:
        return
    for _piece in range(PIECES):
        is_more = rounds.queue_due(clock.now())
        db.session.commit()
        if not is_more:
            return
    enqueue(queue_due)
    db.session.commit()


# --- after an answer ---------------------------------------------------------------------------


@task(queue=Queue.TRANSACTIONAL, time_limit=60)
def settle_rsvps() -> None:
    """Find or make the people of new answers."""
    for _piece in range(PIECES):
        count = settling.settle_rsvps()
        db.session.commit()
        if count < settling.ROWS_AT_ONCE:
            break


@task(queue=Queue.TRANSACTIONAL, time_limit=60)
def work_repeats() -> None:
    """Work off the posts of those who had answered before: now they get their e-mail."""
    for _piece in range(PIECES):
        count = settling.work_repeats()
        db.session.commit()
        if count < settling.ROWS_AT_ONCE:
            break


@task(queue=Queue.MAINTENANCE, time_limit=120)
def tend_answers() -> None:
    """Give away places that lie free, and let go of what has served."""
    settling.fill_lines()
    db.session.commit()
    for _piece in range(PIECES):
        count = settling.let_go()
        db.session.commit()
        if count < settling.ROWS_AT_ONCE:
            break


@task(queue=Queue.MAINTENANCE)
def clean_up_proposals() -> None:
    """Forget proposals that nobody has confirmed within a week."""
    delivery.forget_unconfirmed(clock.now())
    db.session.commit()
