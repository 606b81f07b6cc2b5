"""The table of people, segments and files at a million: P13, P16 and P19.

    DATABASE_URL=postgresql://… REDIS_URL=redis://… \\
        python -m benchmarks.tables [--only P13] [--people 1000000] [--rounds 5]

wants a database of its own: what is missing of the synthetic people is made first, and stays for
the next run. Without DATABASE_URL it is an embedded one in --folder. Everything is asked over HTTP
of a web process as in production, by somebody who has logged in.

P13: from asking for a CSV of everybody to having the whole file, beside COPY of one SELECT of the
same columns into a file: there nothing is guarded, nobody is asked who may, and nothing is logged.
P16: the first page of people with filter and tag. P19: the live count of segments of three clauses.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from benchmarks.web import KEY, ROOT, Server, serve

SLUG, EMAIL, PASSWORD = "seed", "owner@seed.example", "twenty-tabs-are-open"
SHARES = {"Half": 0.5, "Tenth": 0.1, "Hundredth": 0.01, "Thousandth": 0.001}
MUST, TARGET = {"P13": 0.60, "P16": 50.0, "P19": 300.0}, {"P13": 0.80, "P16": 20.0, "P19": 100.0}

COPY = """COPY (
 WITH tagged AS (SELECT t.person_id, string_agg(tags.name, '; ' ORDER BY tags.name_key) AS names
        FROM person_tags t JOIN tags ON tags.id = t.tag_id GROUP BY t.person_id),
      agreed AS (SELECT DISTINCT ON (c.person_id) c.person_id, c.is_granted, c.at FROM consents c
        WHERE c.grantee_id = '{organization}' AND c.purpose = 'email'
        ORDER BY c.person_id, c.id DESC)
 SELECT p.email, p.first_name, p.last_name, p.postal_code, p.phone, tagged.names, p.language,
        p.source, districts.name,
        CASE WHEN s.address_hash IS NULL AND agreed.at IS NOT NULL THEN 'subscribed'
             ELSE 'unsubscribed' END, agreed.at, p.created_at, p.id
 FROM people p LEFT JOIN tagged ON tagged.person_id = p.id
 LEFT JOIN agreed ON agreed.person_id = p.id AND agreed.is_granted
 LEFT JOIN districts ON districts.id = p.district_id
 LEFT JOIN (SELECT DISTINCT address_hash FROM mail_suppressions) s
        ON s.address_hash = p.address_hash
 WHERE p.organization_id = '{organization}' AND p.erased_at IS NULL ORDER BY p.id
) TO STDOUT WITH (FORMAT csv, HEADER)"""


# What is asked


def prepare(app: Any, count: int) -> dict[str, Any]:
    """The synthetic people with tags, a list and segments; returns what to ask for."""
    from sqlalchemy import func, select, text

    from campaign.accounts.models import User
    from campaign.accounts.services import create_user
    from campaign.db import db, is_postgres
    from campaign.operations.migrations import upgrade
    from campaign.operations.seed import seed
    from campaign.organizations.models import Role
    from campaign.organizations.queries import organization_by_slug
    from campaign.organizations.services import add_member
    from campaign.people.models import Person

    with app.app_context():
        upgrade(Path(app.extensions["settings"].data_dir))
        there = organization_by_slug(SLUG)
        known = (
            db.session.scalar(
                select(func.count()).select_from(Person).where(Person.organization_id == there.id)
            )
            if there
            else 0
        )
        if (known or 0) < count:
            made = 0
            for made_now in seed(count, count * 6 // 10, 200, seed_number=1):
                db.session.commit()
                made += made_now
                print(f"\r  made {made:,} rows", end="", flush=True)
            print()
        organization = organization_by_slug(SLUG)
        assert organization is not None
        user = db.session.scalar(select(User).where(User.email == EMAIL))
        if user is None:
            user = create_user(EMAIL, name="Owner", password=PASSWORD)
            add_member(organization.id, user, Role.OWNER, by=None)
        db.session.commit()
        found = _things(organization.id)
        db.session.commit()
        if is_postgres():
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as raw:
                raw.execute(text("VACUUM ANALYZE"))
        else:
            db.session.execute(text("ANALYZE"))
            db.session.commit()
    return found


def _things(organization_id: Any) -> dict[str, Any]:
    from sqlalchemy import func, literal, select

    from campaign import clock
    from campaign.db import Instant, db, insert
    from campaign.lists import queries as lists
    from campaign.lists import rules
    from campaign.lists import services as list_services
    from campaign.lists.models import ListMember
    from campaign.people import services as people
    from campaign.people.models import Person, PersonTag
    from campaign.petitions.models import Petition
    from campaign.places.queries import districts

    now = literal(clock.now(), Instant())

    def some(share: float, salt: str) -> Any:
        hashed = func.substr(func.md5(func.replace(_text(Person.id), "-", "").concat(salt)), 1, 8)
        return hashed < f"{int(share * 2**32):08x}"

    mine = Person.organization_id == organization_id
    for name, share in SHARES.items():
        tag = people.tag_named(organization_id, name)
        if db.session.scalar(select(PersonTag).where(PersonTag.tag_id == tag.id).limit(1)) is None:
            rows = select(Person.id, literal(tag.id), now).where(mine, some(share, name))
            db.session.execute(
                insert(PersonTag)
                .from_select(["person_id", "tag_id", "created_at"], rows)
                .on_conflict_do_nothing()
            )
    list_ = list_services.get_or_create_list(organization_id, "Walkers")
    if not lists.list_sizes([list_.id]):
        rows = select(literal(list_.id), Person.id, now).where(mine, some(0.2, "list"))
        db.session.execute(
            insert(ListMember)
            .from_select(["list_id", "person_id", "created_at"], rows)
            .on_conflict_do_nothing()
        )
    petition = db.session.scalars(
        select(Petition.id).where(Petition.organization_id == organization_id)
    ).first()
    event = lists.events_to_ask_about(organization_id, 1)[0]
    wards = [district.id for district in districts()]
    tags = {name: people.tag_named(organization_id, name).id for name in SHARES}
    clauses = {
        "signed X, lives in ward 20, has not said they come": (
            rules.Signed(petition_id=petition),
            rules.InDistrict(district_ids=(wards[19],)),
            rules.AtEvent(event_id=event.id, is_not=True),
        ),
        "tag, not on a list, two postal codes": (
            rules.Tagged(tag_id=tags["Tenth"]),
            rules.OnList(list_id=list_.id, is_not=True),
            rules.PostalCode(codes=("60615", "60637")),
        ),
        "tag, agreed to email, reads Spanish": (
            rules.Tagged(tag_id=tags["Tenth"]),
            rules.Consented(grantee_id=organization_id),
            rules.Speaks(language="es"),
        ),
        "half of all by a tag, not on a list, agreed to email": (
            rules.Tagged(tag_id=tags["Half"]),
            rules.OnList(list_id=list_.id, is_not=True),
            rules.Consented(grantee_id=organization_id),
        ),
    }
    segments = {}
    for name, some_rules in clauses.items():
        segment = lists.segment_by_name(organization_id, name)
        segment = list_services.save_segment(
            organization_id, name, rules.Group(rules=some_rules), segment=segment
        )
        segments[name] = segment.id
    return {
        "organization": organization_id,
        "segments": segments,
        "list": list_.id,
        "ward": wards[19],
    }


def _text(key: Any) -> Any:
    from sqlalchemy import Text, cast

    return cast(key, Text())


# Asking


class Browser:
    """Somebody at work: one kept connection, their cookies, the token of their forms."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.port, self.cookies, self.token = port, dict[str, str](), ""

    def ask(self, method: str, path: str, data: Any = None, **headers: str) -> tuple[Any, bytes]:
        answer = self.open(method, path, data, **headers)
        return answer, answer.read()

    def open(
        self, method: str, path: str, data: Any = None, **headers: str
    ) -> http.client.HTTPResponse:
        sent = {"Host": f"127.0.0.1:{self.port}", "Accept-Language": "en"} | headers
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = None
        if data is not None:
            body = urlencode(data, doseq=True).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _sign, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def form(self, path: str) -> str:
        _answer, page = self.ask("GET", path)
        found = re.search(rb'name="csrf_token" value="([^"]+)"', page)
        if found is None:
            raise SystemExit(f"no form at {path}: {page[:300]!r}")
        return found[1].decode()

    def log_in(self) -> None:
        token = self.form("/login")
        data = {"csrf_token": token, "email": EMAIL, "password": PASSWORD}
        answer, _page = self.ask("POST", "/login", data)
        if answer.status != 303:
            raise SystemExit(f"no log-in: {answer.status}")


def timed(browser: Browser, path: str, count: int, **headers: str) -> tuple[float, float]:
    """(median, p95) of asking so many times, in milliseconds."""
    times = []
    for turn in range(count + 3):
        began = time.perf_counter()
        answer, page = browser.ask("GET", path, **headers)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {page[:200]!r}")
        if turn >= 3:  # plans and caches are warm
            times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return statistics.median(times), times[min(int(len(times) * 0.95), len(times) - 1)]


def peak(pid: int) -> float:
    """The most memory that a process and its children held, in MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return max([int(own[1]) / 1024 if own else 0.0, *(peak(int(child)) for child in children)])


# The figures


@contextlib.contextmanager
def bulk_worker(environ: dict[str, str]) -> Iterator[int]:
    """One process that works off exports, as in production."""
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "wsgi:celery", "worker"]
    command += ["--loglevel", "error", "--pool", "prefork", "--concurrency", "1"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += ["--queues", "bulk", "--hostname", f"bench{os.getpid()}@%h"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, start_new_session=True)
    try:
        time.sleep(6)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


def export(browser: Browser, target: Path) -> float:
    """From asking for everybody to having the whole file, in seconds."""
    token = browser.form("/organize/exports/new")
    columns = "email first_name last_name postal_code phone tags language source ward"
    columns += " email_status consent_at added_at person_id"
    data = {
        "csrf_token": token, "whom": "", "format": "csv", "reason": "To measure",
        "columns": columns.split(), "order": columns.replace(" ", ","),
    }  # fmt: skip
    began = time.perf_counter()
    answer, page = browser.ask("POST", "/organize/exports/new", data)
    if answer.status != 303:
        raise SystemExit(f"no export: {answer.status} {page[:500]!r}")
    place = answer.headers["Location"]
    while b"download" not in browser.ask("GET", place, **{"HX-Request": "true"})[1]:
        time.sleep(0.1)
        if time.perf_counter() - began > 900:
            raise SystemExit("the export does not come")
    answer = browser.open("GET", f"{place}/file")
    with target.open("wb") as file:
        while chunk := answer.read(1 << 20):
            file.write(chunk)
    return time.perf_counter() - began


def copy(url: str, organization: Any, target: Path) -> float:
    with psycopg.connect(url) as connection, target.open("wb") as file:
        began = time.perf_counter()
        with connection.cursor().copy(COPY.format(organization=organization)) as rows:
            for row in rows:
                file.write(row)
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - began


def check(target: Path, count: int) -> None:
    """As many rows as people, each once, and no cell that a spreadsheet runs."""
    from campaign.tabular import guard, unguard

    seen = set()
    with target.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seen.add(row["person_id"])
            if any(guard(unguard(cell)) != cell for cell in row.values()):
                raise SystemExit(f"not guarded: {row}")
    if len(seen) != count:
        raise SystemExit(f"{len(seen)} people in the file, not {count}")


def measure_export(
    server: Server, environ: dict[str, str], found: dict[str, Any], args: Any
) -> None:
    folder = Path(args.folder)
    browser = Browser(server.port)
    browser.log_in()
    products, floors = [], []
    with bulk_worker(environ) as worker:
        for turn in range(args.rounds + 1):
            took = export(browser, folder / "product.csv")
            if turn == 0:  # the first finds a worker that has just been born
                check(folder / "product.csv", args.people)
                continue
            products.append(took)
            if environ["DATABASE_URL"].startswith("postgresql"):
                floors.append(
                    copy(environ["DATABASE_URL"], found["organization"], folder / "floor.csv")
                )
            print(f"  product {took:.2f} s, COPY {floors[-1] if floors else 0:.2f} s", flush=True)
        memory = f"worker {peak(worker):.0f} MB, web {peak(server.process.pid):.0f} MB"
    if floors:
        ratio = statistics.median(floors) / statistics.median(products)
        say("P13", f"CSV of {args.people:,} over HTTP ÷ COPY", ratio, ratio >= MUST["P13"], memory)
    else:
        took = statistics.median(products)
        print(f"| P13 | CSV of {args.people:,} over HTTP | {took:.2f} s | {memory} |")


def measure_pages(server: Server, found: dict[str, Any], args: Any) -> None:
    browser = Browser(server.port)
    browser.log_in()
    ward, list_ = found["ward"], found["list"]
    queries = {
        "everybody": "",
        "tag of a tenth": "tag=tenth",
        "tag of a thousandth": "tag=thousandth",
        "tag, agreed": "tag=tenth&consent=yes",
        "tag, source": "tag=tenth&source=flyer",
        "tag, ward": f"tag=tenth&ward={ward}",
        "rare tag, ward": f"tag=hundredth&ward={ward}",
        "tag, list": f"tag=half&list={list_}",
        "name, tag": "q=maria&tag=tenth",
        "tag, by name": "tag=tenth&sort=name",
    }
    worst = 0.0
    for name, query in queries.items():
        median, p95 = timed(browser, f"/organize/people/?{query}", args.pages)
        worst = max(worst, p95)
        print(f"  {name:<24} median {median:6.1f} ms, p95 {p95:6.1f} ms", flush=True)
    memory = f"web {peak(server.process.pid):.0f} MB"
    say("P16", f"first page of {args.people:,}, worst p95, ms", worst, worst <= MUST["P16"], memory)


def measure_counts(server: Server, found: dict[str, Any], args: Any) -> None:
    browser = Browser(server.port)
    browser.log_in()
    worst = 0.0
    for name, key in found["segments"].items():
        path = f"/organize/segments/{key}/count"
        median, p95 = timed(browser, path, max(args.pages // 5, 10), **{"HX-Request": "true"})
        worst = max(worst, p95)
        print(f"  {name:<54} median {median:6.1f} ms, p95 {p95:6.1f} ms", flush=True)
    say("P19", f"count of {args.people:,}, worst p95, ms", worst, worst <= MUST["P19"], "")


def say(name: str, what: str, figure: float, is_met: bool, more: str) -> None:
    verdict = "met" if is_met else "NOT MET"
    limits = f"must {MUST[name]:g}, target {TARGET[name]:g}"
    print(f"| {name} | {what} | {figure:.2f} | {limits} | {verdict} | {more} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="P13,P16,P19")
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument(
        "--folder", default=str(Path(tempfile.gettempdir()) / "campaign-benchmark-tables")
    )
    args = parser.parse_args()
    Path(args.folder).mkdir(parents=True, exist_ok=True)
    data_dir = Path(args.folder).resolve() / "data"
    environ = {
        "SECRET_KEY": KEY,
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": os.environ.get("DATABASE_URL", ""),
        "REDIS_URL": os.environ.get("REDIS_URL", ""),
        "BASE_URL": "http://127.0.0.1:8000",
    }
    os.environ.update(environ)
    from campaign.app import create_app

    found = prepare(create_app(), args.people)
    only = args.only.split(",")
    with serve("wsgi:app", environ, "/healthz") as server:
        if "P13" in only:
            measure_export(server, environ, found, args)
        if "P16" in only:
            measure_pages(server, found, args)
        if "P19" in only:
            measure_counts(server, found, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
