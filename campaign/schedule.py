"""All that runs by the clock, on one screen.

Each entry is a registered task; each task claims its period or its rows first, so that two beats
do no more than one. Times are in seconds.
"""

from __future__ import annotations

from celery import Celery

import campaign.accounts.tasks
import campaign.buddies.tasks
import campaign.checkin.tasks
import campaign.designs.tasks
import campaign.events.tasks
import campaign.exports.tasks
import campaign.hearings.tasks
import campaign.imports.tasks
import campaign.ladders.tasks
import campaign.mail.tasks
import campaign.mailings.tasks
import campaign.numbers.tasks
import campaign.petitions.tasks
import campaign.sit_ins.tasks
import campaign.table.tasks

ENTRIES: dict[str, tuple[object, float]] = {
    "wake the senders": (campaign.mail.tasks.wake, 2.0),
    "sweep the outbox": (campaign.mail.tasks.sweep, 30.0),
    "look at senders' domains": (campaign.mail.tasks.look_at_waiting_domains, 60.0),
    "start due messages": (campaign.mailings.tasks.start_due, 10.0),
    "follow messages": (campaign.mailings.tasks.follow_messages, 5.0),
    "try links": (campaign.mailings.tasks.try_waiting_links, 60.0),
    "watch complaints": (campaign.mailings.tasks.watch_complaints, 60.0),
    "queue reminders": (campaign.events.tasks.queue_due, 10.0),
    "forget unconfirmed proposals": (campaign.events.tasks.clean_up_proposals, 3600.0),
    "work off repeated signatures": (campaign.petitions.tasks.work_repeats, 10.0),
    "roll up signatures": (campaign.petitions.tasks.roll_up, 5.0),
    "clean up signatures": (campaign.petitions.tasks.clean_up, 3600.0),
    "settle answers": (campaign.events.tasks.settle_rsvps, 10.0),
    "work off repeated answers": (campaign.events.tasks.work_repeats, 10.0),
    "tend answers": (campaign.events.tasks.tend_answers, 60.0),
    "settle sign-ins": (campaign.checkin.tasks.settle_sign_ins, 60.0),
    "resume imports": (campaign.imports.tasks.resume_imports, 60.0),
    "tend hearings": (campaign.hearings.tasks.tend_hearings, 20.0),
    "climb ladders": (campaign.ladders.tasks.climb, 30.0),
    "tend changes": (campaign.table.tasks.tend_changes, 60.0),
    "tend exports": (campaign.exports.tasks.tend_exports, 60.0),
    "find company": (campaign.buddies.tasks.find_company, 30.0),
    "forget company": (campaign.buddies.tasks.forget_company, 24 * 3600.0),
    "let go of lists of arrest": (campaign.sit_ins.tasks.purge_risks, 3600.0),
    "save numbers": (campaign.numbers.tasks.save_numbers, 3600.0),
    "forget deleted pictures": (campaign.designs.tasks.forget_pictures, 24 * 3600.0),
    "drop old sessions": (campaign.accounts.tasks.drop_old_sessions, 24 * 3600.0),
}


def set_up(queue: Celery) -> None:
    """Put the table into the beat."""
    queue.conf.beat_schedule = {
        name: {
            "task": getattr(task, "name"),  # noqa: B009
            "schedule": every,
            "options": {"expires": max(every, 30.0)},
        }
        for name, (task, every) in ENTRIES.items()
    }
