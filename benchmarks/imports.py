"""Bringing in people from a file, beside the least code that writes the same rows.

    python -m benchmarks.imports [--people 1000000] [--rounds 1]

With DATABASE_URL it runs on that PostgreSQL (an empty database: tables are made and thrown away),
without on a SQLite file of its own. The file has a name, an address, a postal code, a phone number
and tags, and each person in it comes to a row of `people`, the words of their name, a line of the
ledger, a place on a list and their tags.

P14: all of them are new. P15: the same file again. The floor reads the file with `csv`, cleans
each cell, writes it with `write_row` into an unlogged table and merges that with one statement for
each table. It validates nothing, knows no households, no suppressions and nobody erased, writes no
report and cannot go on where it was cut off. On SQLite it writes with `executemany`. Product and
floor write into tables of the same name and indexes. Before a figure counts, both have as many
rows as there are people, and the second time not one more.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import statistics
import tempfile
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEY = "benchmark-key-0123456789-abcdefghijklmnop"
FIRST = ("Maria", "José", "Ana", "John", "Wei", "Fatima", "Olu", "Guadalupe", "Priya", "Kofi")
LAST = ("Moore", "Hernández", "Nguyen", "Smith", "Okafor", "Kowalski", "García", "Lee")
CODES = ("60637", "60615", "60608", "60622", "60649", "60620")
TAGS = ("", "", "member", "member; driver")
HEADER = ("first_name", "last_name", "email", "postal_code", "phone", "tags")
MUST = 0.50


def write_file(path: Path, people: int) -> None:
    """The same people for the same number, in no order."""
    rng = random.Random(14)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for n in rng.sample(range(people), people):
            writer.writerow(
                (
                    rng.choice(FIRST),
                    f"{rng.choice(LAST)}{n % 97}",
                    f"person{n}.{n * 7919 % 1000003}@mail{n % 50}.example.org",
                    rng.choice(CODES),
                    f"(312) 555-{n % 10000:04d}",
                    rng.choice(TAGS),
                )
            )


def make_app(url: str, folder: Path) -> Any:
    from campaign.app import create_app
    from campaign.settings import Settings

    return create_app(Settings(secret_key=KEY, data_dir=folder, database_url=url))


# The product


def product(app: Any, organization_id: uuid.UUID, path: Path, report: Path) -> tuple[int, int]:
    """One import as the worker runs it; returns how many were added, and how many unchanged."""
    from campaign.db import db
    from campaign.imports import delivery, services
    from campaign.lists.services import get_or_create_list
    from campaign.tabular import CsvReader

    with app.app_context():
        found = services.draft_import(
            organization_id,
            services.FileDetails(
                filename=path.name,
                basis="They signed our sheets",
                list_id=get_or_create_list(organization_id, "Sheets").id,
            ),
        )
        found.start()
        delivery.claim(found.id)
        import_id = found.id
        db.session.commit()
        with path.open("rb") as file, report.open("w+b") as out:
            reader = CsvReader(file)
            importer = delivery.Importer(import_id, reader, out)
            for _tally in importer.batches():
                db.session.commit()
            reader.close()
        delivery.finish(import_id)
        db.session.commit()
        return importer.tally.added, importer.tally.unchanged


# The floor

PEOPLE = (
    "id, organization_id, email, email_key, address_hash, slot, first_name, last_name,"
    " search_key, phone, phone_key, postal_code, language, source, created_at, updated_at"
)


def clean(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip()


class PostgresFloor:
    """csv, clean, write_row, merge."""

    def __init__(self, app: Any, organization_id: uuid.UUID) -> None:
        from campaign.db import db
        from campaign.lists.services import get_or_create_list
        from campaign.people import services as people

        with app.app_context():
            self.list_id = get_or_create_list(organization_id, "Sheets").id
            for name in ("member", "driver"):
                people.tag_named(organization_id, name)
            self.wording_id = people.wording_for(
                organization_id, language="en", text="They signed"
            ).id
            db.session.commit()
        self.organization_id = organization_id

    def __call__(self, url: str, path: Path) -> None:
        import psycopg

        ours: dict[str, Any] = {
            "o": self.organization_id,
            "l": self.list_id,
            "w": self.wording_id,
            "at": datetime.now(UTC),
        }
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE UNLOGGED TABLE staging (id uuid, first_name text, last_name text,"
                " email text, postal_code text, phone text, tags text)"
            )
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.reader(file)
                next(rows)
                with cursor.copy("COPY staging FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row((uuid.uuid4(), *map(clean, row)))
            cursor.execute("ANALYZE staging")
            cursor.execute(
                f"INSERT INTO people ({PEOPLE}) SELECT id, %(o)s, email, lower(email),"
                " encode(sha256(lower(email)::bytea), 'hex'), 1, first_name, last_name,"
                " lower(last_name || ' ' || first_name), phone,"
                " reverse(regexp_replace(phone, '[^0-9]', '', 'g')), postal_code, 'en', 'import',"
                " %(at)s, %(at)s FROM staging ON CONFLICT DO NOTHING",
                ours,
            )
            whom = (
                "FROM staging JOIN people ON people.organization_id = %(o)s"
                " AND people.email_key = lower(staging.email)"
            )
            cursor.execute(
                "INSERT INTO person_words (organization_id, word, person_id)"
                f" SELECT %(o)s, word, people.id {whom}, unnest(ARRAY[lower(staging.first_name),"
                " lower(staging.last_name)]) AS word ON CONFLICT DO NOTHING",
                ours,
            )
            cursor.execute(
                "INSERT INTO consents (id, organization_id, person_id, grantee_id, purpose,"
                " is_granted, wording_id, source, source_detail, at) SELECT gen_random_uuid(),"
                f" %(o)s, people.id, %(o)s, 'email', true, %(w)s, 'import', '', %(at)s {whom}"
                " WHERE NOT EXISTS (SELECT FROM consents c WHERE c.person_id = people.id)",
                ours,
            )
            cursor.execute(
                "INSERT INTO list_members (list_id, person_id, created_at)"
                f" SELECT %(l)s, people.id, %(at)s {whom} ON CONFLICT DO NOTHING",
                ours,
            )
            cursor.execute(
                "INSERT INTO person_tags (person_id, tag_id, created_at)"
                f" SELECT people.id, tags.id, %(at)s {whom}"
                " JOIN tags ON tags.organization_id = %(o)s"
                " AND tags.name_key = ANY (string_to_array(staging.tags, '; '))"
                " ON CONFLICT DO NOTHING",
                ours,
            )
            cursor.execute("DROP TABLE staging")


class SqliteFloor(PostgresFloor):
    """csv, clean, executemany."""

    def __call__(self, url: str, path: Path) -> None:
        import sqlite3

        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        ours = self.organization_id.hex
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            tags = dict(
                connection.execute(
                    "SELECT name_key, id FROM tags WHERE organization_id = ?", (ours,)
                )
            )
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.reader(file)
                next(rows)
                piece: list[list[str]] = []
                for row in rows:
                    piece.append([clean(cell) for cell in row])
                    if len(piece) == 5000:
                        self._merge(connection, piece, tags, at)
                        piece.clear()
                self._merge(connection, piece, tags, at)
            connection.commit()

    def _merge(
        self, connection: Any, piece: list[list[str]], tags: dict[str, str], at: str
    ) -> None:
        from hashlib import sha256

        ours = self.organization_id.hex
        people, words, consents, members, tagged = [], [], [], [], []
        known = dict(
            connection.execute(
                "SELECT email_key, id FROM people WHERE organization_id = ? AND email_key IN"
                f" ({','.join('?' * len(piece))})",
                (ours, *(row[2].lower() for row in piece)),
            )
        )
        for first, last, email, code, phone, labels in piece:
            key = email.lower()
            if key in known:
                continue
            own = uuid.uuid4().hex
            hashed = sha256(key.encode()).hexdigest()
            sought = f"{last} {first}".lower()
            digits = "".join(filter(str.isdigit, phone))[::-1]
            people.append(
                (
                    own,
                    ours,
                    email,
                    key,
                    hashed,
                    1,
                    first,
                    last,
                    sought,
                    phone,
                    digits,
                    code,
                    "en",
                    "import",
                    at,
                    at,
                )
            )
            words += [(ours, word, own) for word in {first.lower(), last.lower()}]
            consents.append(
                (
                    uuid.uuid4().hex,
                    ours,
                    own,
                    ours,
                    "email",
                    1,
                    self.wording_id.hex,
                    "import",
                    "",
                    at,
                )
            )
            members.append((self.list_id.hex, own, at))
            tagged += [(own, tags[one], at) for one in labels.split("; ") if one]
        for table, columns, rows in (
            ("people", PEOPLE, people),
            ("person_words", "organization_id, word, person_id", words),
            (
                "consents",
                (
                    "id, organization_id, person_id, grantee_id, purpose, is_granted, wording_id,"
                    " source, source_detail, at"
                ),
                consents,
            ),
            ("list_members", "list_id, person_id, created_at", members),
            ("person_tags", "person_id, tag_id, created_at", tagged),
        ):
            if rows:
                marks = ",".join("?" * len(rows[0]))
                connection.executemany(
                    f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})",
                    rows,
                )


# Both


class Memory:
    """The most that this process held while it ran, in megabytes above what it began with."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self.before = self.most = self._now()

    def _now(self) -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._is_over.wait(0.1):
            self.most = max(self.most, self._now())

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def check(app: Any, organization_id: uuid.UUID, people: int) -> None:
    """Everybody once, each on the list and in the ledger."""
    from sqlalchemy import func, select

    from campaign.db import db
    from campaign.lists.models import List, ListMember
    from campaign.people.models import Consent, Person

    with app.app_context():
        found = [
            db.session.scalar(select(func.count()).select_from(table).where(clause))
            for table, clause in (
                (Person, Person.organization_id == organization_id),
                (Consent, Consent.organization_id == organization_id),
                (
                    ListMember,
                    ListMember.list_id.in_(
                        select(List.id).where(List.organization_id == organization_id)
                    ),
                ),
            )
        ]
    if found != [people] * 3:
        raise SystemExit(f"rows are {found}, people {people}: no figure")


def measure(url: str, folder: Path, people: int, rounds: int) -> list[list[str]]:
    from campaign.db import Model, db
    from tests.factories.organizations import make_organization

    app = make_app(url, folder)
    path, report = folder / "people.csv", folder / "report.csv"
    write_file(path, people)
    plain = url or f"sqlite:///{folder / 'campaign.db'}"
    took: dict[str, list[float]] = {"new": [], "again": [], "floor new": [], "floor again": []}
    most = 0.0
    for _round in range(rounds):
        for name in ("floor ", ""):
            with app.app_context():
                Model.metadata.drop_all(db.engine)
                Model.metadata.create_all(db.engine)
                organization_id = make_organization().id
                db.session.commit()
                db.session.remove()
                if not url:
                    plain = str(db.engine.url.render_as_string(hide_password=False))
            run: Callable[[], object]
            if name:
                floor = (PostgresFloor if url else SqliteFloor)(app, organization_id)

                def run(floor: PostgresFloor = floor, at: str = plain) -> None:
                    floor(at, path)
            else:

                def run(organization_id: uuid.UUID = organization_id) -> object:
                    return product(app, organization_id, path, report)

            for which in ("new", "again"):
                with Memory() as memory:
                    took[name + which].append(timed(run))
                check(app, organization_id, people)
                if not name:
                    most = max(most, memory.most)
                print(f"  {name or 'product '}{which}: {took[name + which][-1]:.1f} s", flush=True)
                settle(app, url)
    with app.app_context():
        Model.metadata.drop_all(db.engine)
    rows = []
    for goal, which, what in (("P14", "new", "all new"), ("P15", "again", "the same again")):
        mine, least = statistics.median(took[which]), statistics.median(took[f"floor {which}"])
        rows.append(
            [
                goal,
                f"{people:,} rows, {what}",
                f"{people / mine:,.0f} of {people / least:,.0f} a second",
                f"{least / mine:.2f}",
                f"{MUST:.2f}",
                f"{most:.0f} MB",
            ]
        )
    return rows


def settle(app: Any, url: str) -> None:
    """Statistics and visibility as they are in a database that has run for a while."""
    if not url:
        return
    from sqlalchemy import text

    from campaign.db import db

    with app.app_context(), db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    url = os.environ.get("DATABASE_URL", "")
    with tempfile.TemporaryDirectory(prefix="campaign-imports-") as folder:
        table = measure(url, Path(folder), options.people, options.rounds)
    print("\n| | what | product, floor | ratio | must | memory |\n|---|---|---|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
