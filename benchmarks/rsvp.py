"""Answering an invitation against the floor of signing: P4.

    .venv/bin/python -m benchmarks.rsvp [--seconds 8] [--rounds 3] [--capacity 1000000]

All answers go to one event with a capacity, everything on: the form's token, limits, the seat
under the date's lock, two consent boxes, the confirmation queued. Afterwards the rows are counted
anew: a fast answer that is over the capacity, or counted wrong, fails. With a small `--capacity`
nearly everybody gets in line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable

import psycopg

from benchmarks.web import (
    ROOT,
    Bench,
    Server,
    database,
    fill,
    per_second,
    postgres,
    product_environment,
    serve,
    signing,
)

EVENT = """
from datetime import timedelta
from sqlalchemy import select
from campaign import clock
from campaign.app import create_app
from campaign.campaigns.models import Campaign
from campaign.db import Words, db
from campaign.events.models import Event, Occurrence
app = create_app()
with app.app_context():
    campaign = db.session.scalars(select(Campaign)).one()
    starts = clock.now() + timedelta(days=7)
    wall = starts.isoformat()[:16]
    event = Event(organization_id=campaign.organization_id, campaign_id=campaign.id, slug="vigil",
        kind="vigil", state="published", title=Words(en="Vigil"), zone="America/Chicago",
        starts_wall=wall, duration_minutes=90, capacity=%(capacity)d, needs_asked=["ride"],
        venue="Woodlawn", published_at=clock.now())
    db.session.add(event)
    db.session.flush()
    db.session.add(Occurrence(organization_id=event.organization_id, event_id=event.id,
        original_wall=wall, starts_wall=wall, duration_minutes=90, starts_at=starts,
        ends_at=starts + timedelta(minutes=90), capacity=event.capacity))
    db.session.commit()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, alternately")
    parser.add_argument("--capacity", type=int, default=1_000_000)
    given = parser.parse_args()
    bench = Bench(given.seconds, given.rounds)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres())
        url = stack.enter_context(database(server, "campaign_bench"))
        floor_url = stack.enter_context(database(server, "campaign_bench_floor"))
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-"))
        environ = product_environment(data) | {"DATABASE_URL": url}
        fill(environ)
        _run(["-c", EVENT % {"capacity": given.capacity}], environ)
        floor_environ = {"FLOOR_DATABASE_URL": floor_url}
        _run(["-m", "benchmarks.floors"], floor_environ)
        product = stack.enter_context(serve("wsgi:app", environ, "/e/vigil"))
        floor = stack.enter_context(serve("benchmarks.floors:app", floor_environ, "/hello"))
        mine, theirs = bench.alternate(
            (product, answering(product), 303), (floor, signing(["/postgres/vigil"], {}), 303)
        )
        recount(url, given.capacity)
        note = per_second(mine, theirs)
        bench.add("P4", "an answer on one event", mine.rate / theirs.rate, least=0.25, note=note)
    print(bench.table())
    sys.exit(0 if all(line.ok for line in bench.lines) else 1)


def _run(arguments: list[str], environ: dict[str, str]) -> None:
    settings = os.environ | {"BASE_URL": "http://127.0.0.1:8000"} | environ
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=settings, check=True)


def answering(server: Server) -> Callable[[], bytes]:
    """Answers with a new address and source each, the form as the page has it."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/e/vigil").read().decode()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    date = re.search(r'name="occurrence" value="([^"]+)"', page)
    assert token is not None
    assert date is not None
    boxes = re.findall(r'name="(consent-[^"]+)" id="[^"]+" value="([^"]+)"', page)
    fields = {
        "csrf_token": token[1],
        "occurrence": date[1],
        "status": "accepted",
        "guests": "0",
        "needs_note": "",
        **dict(boxes[:2]),
    }
    return signing(["/e/vigil"], fields)


def recount(url: str, capacity: int) -> None:
    """The date's counters agree with its answers, nobody is over, each got one e-mail."""
    with psycopg.connect(url) as connection:

        def one(query: str) -> tuple[int, ...]:
            row = connection.execute(query).fetchone()
            assert row is not None
            return row

        kept = one("SELECT taken_count, waiting_count FROM event_occurrences")
        taken = one("SELECT coalesce(sum(1 + guests), 0) FROM rsvps WHERE state = 'accepted'")
        waiting = one("SELECT count(*) FROM rsvps WHERE state = 'waiting'")
        numbers = one("SELECT count(DISTINCT line_number) FROM rsvps WHERE state = 'waiting'")
        letters = one("SELECT count(*) FROM mail_deliveries")
    if kept != (*taken, *waiting) or taken[0] > capacity or numbers != waiting:
        raise SystemExit(f"the date says {kept}, its answers {taken}, {waiting}, {numbers}")
    if letters[0] != taken[0] + waiting[0] or not letters[0]:
        raise SystemExit(f"{letters[0]} e-mails for {taken[0] + waiting[0]} answers")


if __name__ == "__main__":
    main()
