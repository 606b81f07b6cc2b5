"""Reminders: 20,000 due in one minute are rows of the outbox within 5 seconds.

    python -m benchmarks.reminders --people 20000 --rounds 3

With DATABASE_URL it runs on that PostgreSQL (an empty database: tables are made and thrown away),
without on a SQLite file of its own, durable as in production. Three shapes: one date of 20,000
people, 200 dates of 100, and 2,000 dates of 10, each an event with a title of its own, and so
a letter of its own in each of two languages. Before a figure counts, every person who comes
has exactly one row, every reminder is queued and the outbox's own proof holds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

KEY = "benchmark-key-0123456789-abcdefghijklmnop"
SHAPES = (1, 200, 2000)
LIMIT_SECONDS = 5.0


def make_app(url: str, folder: Path) -> Any:
    from campaign.app import create_app
    from campaign.settings import Settings

    return create_app(Settings(secret_key=KEY, data_dir=folder, database_url=url))


def fill(people: int, dates: int) -> None:
    """Events whose reminder is due within this minute, with people who come in two languages."""
    from campaign import clock
    from campaign.db import Words, db, insert, uuid7
    from campaign.events import delivery
    from campaign.events.models import Reminder, Rsvp
    from campaign.mail.addresses import address_hash
    from tests.factories.campaigns import make_campaign
    from tests.factories.events import make_event, occurrence_of

    campaign = make_campaign()
    number = 0
    for date in range(dates):
        soon = (clock.now() + timedelta(hours=4)).astimezone(clock.zone("America/Chicago"))
        event = make_event(
            campaign,
            title=Words(en=f"Vigil {date} for the clinic", es=f"Vigilia {date} por la clínica"),
            starts_wall=soon.replace(tzinfo=None).isoformat(timespec="minutes"),
            reminders=["180m"],
            asks_after=False,
        )
        occurrence = occurrence_of(event)
        delivery.plan_reminders(occurrence)
        rows = []
        for _ in range(people // dates):
            number += 1
            email = f"coming-{number}@people.example"
            rows.append(
                {
                    "id": uuid7(),
                    "organization_id": event.organization_id,
                    "event_id": event.id,
                    "occurrence_id": occurrence.id,
                    "state": "accepted",
                    "address_hash": address_hash(email),
                    "email": email,
                    "first_name": "Maria",
                    "last_name": "Reyes",
                    "language": "es" if number % 3 == 0 else "en",
                }
            )
        db.session.execute(insert(Rsvp), rows)
    db.session.query(Reminder).update({"due_at": clock.now() - timedelta(seconds=1)})
    db.session.commit()


def prove(people: int, dates: int) -> None:
    """Everybody once, and the books balance."""
    from sqlalchemy import func, select

    from campaign.db import db
    from campaign.events.models import Reminder
    from campaign.mail import queries
    from campaign.mail.models import Batch, Delivery

    rows, keys = db.session.execute(
        select(func.count(), func.count(Delivery.unique_key.distinct()))
    ).one()
    assert (rows, keys) == (people, people), (rows, keys)
    states = db.session.execute(select(Reminder.state, func.count()).group_by(Reminder.state)).all()
    assert [tuple(row) for row in states] == [("queued", dates)], states
    assert db.session.scalar(select(func.count()).where(Batch.state == "released")) == dates
    assert queries.invariants()["ok"]


def run(url: str, people: int, dates: int) -> tuple[float, float]:
    """Seconds until all are queued by one worker, a piece after the other, and its CPU seconds:
    on a machine with other work the second says more."""
    from campaign import clock
    from campaign.db import Model, db
    from campaign.events import rounds
    from campaign.mail import services

    with tempfile.TemporaryDirectory() as folder:
        app = make_app(url, Path(folder))
        with app.app_context():
            Model.metadata.drop_all(db.engine)
            Model.metadata.create_all(db.engine)
            services._known.clear()
            fill(people, dates)
            began, cpu = time.perf_counter(), time.process_time()
            while rounds.queue_due(clock.now()):
                db.session.commit()
            db.session.commit()
            took = time.perf_counter() - began, time.process_time() - cpu
            prove(people, dates)
            db.session.remove()
            Model.metadata.drop_all(db.engine)
            db.engine.dispose()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    url = os.environ.get("DATABASE_URL", "")
    print(f"| dates × people ({'PostgreSQL' if url else 'SQLite'}) | seconds | CPU | must |")
    print("|---|---|---|---|")
    is_slow = False
    for dates in SHAPES:
        rounds = [run(url, given.people, dates) for _ in range(given.rounds)]
        took, cpu = (statistics.median(part) for part in zip(*rounds, strict=True))
        is_slow |= took > LIMIT_SECONDS
        verdict = "reached" if took <= LIMIT_SECONDS else "**not reached**"
        what = f"{dates:,} × {given.people // dates:,}"
        print(f"| {what} | {took:.2f} | {cpu:.2f} | 5, {verdict} |", flush=True)
    sys.exit(1 if is_slow else 0)


if __name__ == "__main__":
    main()
