"""The calendar with 5,000 dates to come: pages within 100 ms, the feed of all within a second.

    .venv/bin/python -m benchmarks.calendars [--dates 5000] [--connections 1]

The product is served as in production, on a PostgreSQL (DATABASE_URL's, or a private one for the
time of the run) and on SQLite. Every page asks something else, so that no rendering is kept: the
list, narrowed by kind, place, distance and needs, its later pages, and the months. The feed is
read to its end and its entries are counted: as events of their own, and as series of 100 dates.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator

from benchmarks import load, web

PAGE_MS, FEED_SECONDS = 100.0, 1.0
SERIES_DATES = 100

FILL = """
import random
from datetime import timedelta
from campaign import clock
from campaign.app import create_app
from campaign.campaigns.models import Campaign
from campaign.db import Model, Words, db, insert, uuid7
from campaign.events import recurrence
from campaign.events.models import Access, Event, EventKind, Occurrence
from campaign.organizations.models import Organization
from campaign.places.models import PostalCodeShare
from campaign.places.services import load_chicago
DATES, SERIES = %d, %d
app = create_app()
chance = random.Random(7)
with app.app_context():
    Model.metadata.create_all(db.engine)
    load_chicago()
    codes = sorted(set(db.session.scalars(db.select(PostalCodeShare.postal_code))))
    campaigns = []
    for number in range(10):
        lead = Organization(slug=f"lead-{number}", name=f"Neighbors {number}")
        db.session.add(lead); db.session.flush()
        campaign = Campaign(organization_id=lead.id, slug=f"c-{number}",
            title=Words(en=f"Keep clinic {number}", es=f"La clinica {number}"), state="active",
            published_at=clock.now())
        db.session.add(campaign); db.session.flush()
        campaigns.append(campaign)
    first = (clock.now() + timedelta(days=1)).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    events, dates = [], []
    for number in range(DATES // SERIES):
        campaign = chance.choice(campaigns)
        starts = first + timedelta(hours=chance.randrange(24 * 365))
        rule = None if SERIES == 1 else {"frequency": "weekly", "interval": 1, "weekdays": [],
            "count": SERIES}
        event = {"id": uuid7(), "organization_id": campaign.organization_id,
            "campaign_id": campaign.id, "slug": f"event-{number}",
            "kind": chance.choice(list(EventKind)).value, "state": "published",
            "title": Words(en=f"Vigil number {number}, come along", es=f"Vigilia {number}"),
            "summary": Words(en="We stand for the clinic. Bring a candle and a neighbor."),
            "zone": "America/Chicago", "starts_wall": recurrence.write_wall(starts),
            "duration_minutes": 90, "venue": "Woodlawn Clinic", "address": "6337 S Woodlawn Ave",
            "city": "Chicago", "postal_code": chance.choice(codes), "recurrence": rule,
            "languages": chance.sample(["en", "es"], chance.randint(1, 2)),
            "access": chance.sample([one.value for one in Access], 3),
            "is_online": chance.random() < 0.2, "published_at": clock.now()}
        events.append(event)
        walls = [starts] if rule is None else recurrence.walls(recurrence.parse(rule), starts)
        for wall in walls:
            found = recurrence.resolve(wall, "America/Chicago")
            dates.append({"id": uuid7(), "organization_id": campaign.organization_id,
                "event_id": event["id"], "original_wall": recurrence.write_wall(wall),
                "starts_wall": recurrence.write_wall(found.shown), "duration_minutes": 90,
                "starts_at": found.at, "ends_at": found.at + timedelta(minutes=90)})
    db.session.execute(insert(Event), events)
    db.session.execute(insert(Occurrence), dates)
    db.session.commit()
    if db.engine.dialect.name == "postgresql":
        db.session.execute(db.text("ANALYZE"))
        db.session.commit()
"""


def questions() -> Callable[[], bytes]:
    """A different question each time, as people ask them."""
    kinds = ("", "vigil", "hearing", "meeting", "town-hall", "training")
    ways = ("", "online", "place")
    needs = ("", "step-free", "captions", "child-care", "transit")
    near = ("", "60637", "60615", "60647", "60601")
    months = ("", "2027-01", "2027-02", "2027-03", "2027-04", "2027-05")
    every = itertools.cycle(itertools.product(near, needs, kinds, months, ways))

    def make() -> bytes:
        code, need, kind, month, way = next(every)
        asked = {"near": code, "access": need, "kind": kind, "month": month, "way": way}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value)
        return (
            f"GET /e/?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n\r\n"
        ).encode()

    return make


def feed(port: int) -> tuple[float, float, int, int]:
    """Seconds to the first and the last byte of the feed of all; its bytes and its entries."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/e/calendar.ics") as answer:
        body = answer.read(1)
        first = time.perf_counter() - began
        body += answer.read()
    return first, time.perf_counter() - began, len(body), body.count(b"BEGIN:VEVENT")


@contextlib.contextmanager
def databases(name: str) -> Iterator[dict[str, str]]:
    """The environment of an empty installation on PostgreSQL or on SQLite."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-"))
        environ = {"DATA_DIR": folder, "SECRET_KEY": web.KEY, "DATABASE_URL": ""}
        if name == "PostgreSQL":
            server = stack.enter_context(web.postgres())
            environ["DATABASE_URL"] = stack.enter_context(web.database(server, "bench_calendar"))
        yield environ


def measure(
    name: str, dates: int, seconds: float, rounds: int, connections: int
) -> list[tuple[str, float, str]]:
    """The lines of the table for one database: what, the figure, and more about it."""
    lines = []
    for per_event in (1, SERIES_DATES):
        with databases(name) as environ:
            subprocess.run(
                [sys.executable, "-c", FILL % (dates, per_event)],
                cwd=web.ROOT,
                env=os.environ | environ | {"BASE_URL": "http://127.0.0.1:8000"},
                check=True,
            )
            shape = "events of one date" if per_event == 1 else f"series of {per_event}"
            with web.serve("wsgi:app", environ, "/e/") as server:
                load.run(server.port, questions(), seconds=1, connections=connections)
                pages = load.run(server.port, questions(), seconds=seconds, connections=connections)
                assert set(pages.statuses) == {200}, pages.statuses
                p95 = pages.percentile(0.95) * 1000
                more = f"median {pages.percentile(0.5) * 1000:.0f} ms, {pages.count:,} pages"
                lines.append((f"page, {shape}, p95 in ms", p95, more))
                feed(server.port)
                found = [feed(server.port) for _ in range(rounds)]
                entries = {one[3] for one in found}
                assert entries == {dates // per_event} or per_event > 1, entries
                took = statistics.median(one[1] for one in found)
                first = statistics.median(one[0] for one in found)
                more = f"first byte {first * 1000:.0f} ms, {found[0][2] / 1e6:.1f} MB"
                lines.append((f"feed, {shape}, seconds", took, more))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=1)
    given = parser.parse_args()
    print(f"| {given.dates:,} dates | database | figure | must | |\n|---|---|---|---|---|")
    is_slow = False
    for name in ("PostgreSQL", "SQLite"):
        wanted = (given.dates, given.seconds, given.rounds, given.connections)
        for what, figure, more in measure(name, *wanted):
            most = PAGE_MS if "page" in what else FEED_SECONDS
            is_slow |= figure > most
            said = f"{figure:.0f}" if "page" in what else f"{figure:.2f}"
            verdict = "reached" if figure <= most else "**not reached**"
            print(f"| {what} | {name} | {said} | under {most:g}, {verdict} | {more} |", flush=True)
    sys.exit(1 if is_slow else 0)


if __name__ == "__main__":
    main()
