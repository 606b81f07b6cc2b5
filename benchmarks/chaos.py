"""Mass e-mail under fire: every way in which a provider, a worker, Redis or PostgreSQL can fail
while a mailing goes out, and what became of each recipient.

    .venv/bin/python -m benchmarks.chaos [--people 5000] [--blast 100000] [--only 500] [--list]

About ten minutes in all. The installation is that of production: PostgreSQL (synchronous_commit
on), Redis, web, beat, two worker processes for bulk and two for the rest, all started here on free
ports and ended by process id. The provider is a process of its own in SendGrid's shape that
counts each recipient. After each fault its count is compared with the rows, and `campaign mail
verify` must exit with 0. A breach of what docs/operations.md promises ends the run with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import Alone, Books, Field, on_the_field
from tests.factories.sink import Sink
from tests.servers import RedisServer

BATCH = 50
LEASE_SECONDS = 10
READ_SECONDS = 3
LONGEST_SECONDS = 600.0  # to a finished state
CONFIRMATION_SECONDS = 30.0  # p95, while another organization's mailing goes out


@dataclass(slots=True)
class Row:
    """A line of the table."""

    fault: str
    people: int = 0
    accepted: int = 0
    twice: int = 0
    lost: int = 0
    unknown: int = 0
    seconds: float = 0.0
    verify: bool = False
    breaches: list[str] = field(default_factory=list)
    note: str = ""

    def line(self) -> str:
        cells = [
            self.fault + (f" ({self.note})" if self.note else ""),
            *(f"{n:,}" for n in (self.people, self.accepted, self.twice, self.lost, self.unknown)),
            f"{self.seconds:.0f} s",
            "clean" if self.verify else "**breach**",
        ]
        return f"| {' | '.join(cells)} |"


def row_of(fault: str, books: Books, *, most_twice: int = 0) -> Row:
    return Row(
        fault=fault,
        people=len(books.states),
        accepted=len(books.accepted),
        twice=books.twice,
        lost=len(books.lost),
        unknown=len(books.unknown),
        seconds=books.seconds,
        verify=bool(books.verify["ok"]),
        breaches=books.breaches(most_twice=most_twice),
    )


def over(place: Field, batch_id: uuid.UUID) -> Books:
    return place.finish(batch_id, seconds=LONGEST_SECONDS, by_command=True)


# Faults: each sends a mailing to `people` and says what became of it


def provider(name: str, **fault: Any) -> Callable[[Field, int], Row]:
    """The provider fails now and then; its webhook works."""

    def run(place: Field, people: int) -> Row:
        place.sink.set(faults=[fault] if fault else [])
        row = row_of(name, over(place, place.send(people)))
        if row.accepted != people:
            row.breaches.append("with a webhook that works everybody should have it")
        return row

    return run


def silent(place: Field, people: int) -> Row:
    """No webhook at all: whoever was in a request without an answer is listed, nobody else."""
    failing = {"kind": "500", "every": 20, "after": True}
    place.sink.set(webhook="", faults=[failing, {"kind": "drop", "every": 17, "after": True}])
    books = over(place, place.send(people))
    row = row_of("no webhook; 500 and drops after accepting", books)
    if books.unknown != books.unanswered:
        row.breaches.append("the unknown are not exactly those without an answer")
    return row


def policy(name: str) -> Callable[[Field, int], Row]:
    def run(place: Field, people: int) -> Row:
        place.settle(policy=name)
        faults = [{"kind": "500", "every": 10, "times": 3, "after": True}]
        place.sink.set(webhook="", faults=faults)
        most = 3 * BATCH if name == "retry" else 0
        books = over(place, place.send(people))
        row = row_of(f"no webhook, policy `{name}`, 3 requests in doubt", books, most_twice=most)
        if len(books.unknown) != (0 if name == "retry" else 3 * BATCH):
            row.breaches.append("not as many unknown as the policy says")
        return row

    return run


def killed(place: Field, people: int) -> Row:
    place.sink.set(slow=0.3)
    batch_id = place.send(people)
    for share in (0.15, 0.4, 0.65):
        place.wait_until_taken(int(people * share), seconds=LONGEST_SECONDS)
        place.kill_sender()
    return row_of("workers killed three times (-9)", over(place, batch_id))


def frozen(place: Field, people: int) -> Row:
    place.settle(window=LEASE_SECONDS + 10)  # as it is: far longer than a lease
    place.sink.set(slow=0.3)
    batch_id = place.send(people)
    place.wait_until_taken(BATCH, seconds=LONGEST_SECONDS)
    with place.hurrying(), place.frozen(place.senders()[-1]):
        time.sleep(LEASE_SECONDS + 5)
    return row_of("a worker frozen beyond its lease, then woken", over(place, batch_id))


def forgetful_redis(place: Field, people: int) -> Row:
    if place.redis is None:
        raise AssertionError("there is no Redis")
    place.sink.set(slow=0.3)
    batch_id = place.send(people)
    place.wait_until_taken(people // 5, seconds=LONGEST_SECONDS)
    place.redis.flush()
    place.wait_until_taken(people // 2, seconds=LONGEST_SECONDS)
    place.redis.stop()
    time.sleep(3)
    place.redis.start()
    row = row_of("Redis flushed, then killed for 3 s", over(place, batch_id))
    place.sink.set(slow=0.0)
    if len(over(place, place.send(BATCH)).accepted) != BATCH:
        row.breaches.append("afterwards the workers listen no more")
    return row


def fallen_postgres(place: Field, people: int) -> Row:
    if place.postgres is None:
        raise AssertionError("there is no PostgreSQL")
    place.sink.set(slow=0.3)
    batch_id = place.send(people)
    place.wait_until_taken(people // 3, seconds=LONGEST_SECONDS)
    place.postgres.stop()
    time.sleep(10)
    place.postgres.start()
    return row_of("PostgreSQL stopped at once, back after 10 s", over(place, batch_id))


def three_beats(place: Field, people: int) -> Row:
    place.beat_once_more()
    place.beat_once_more()
    return row_of("three beats", over(place, place.send(people)))


def early_events(place: Field, people: int) -> Row:
    place.sink.set(is_early=True, faults=[{"kind": "drop", "every": 10, "after": True}])
    return row_of("events before the answer, drops", over(place, place.send(people)))


def late_events(place: Field, people: int) -> Row:
    faults = [{"kind": "500", "every": 10, "after": True}]
    place.sink.set(delay=8.0, repeat=3, is_shuffled=True, faults=faults)
    row = row_of("events late, shuffled, three times each", over(place, place.send(people)))
    place.wait_for_events(seconds=LONGEST_SECONDS)
    return row


def pressed(place: Field, people: int) -> Row:
    batch_id, statuses = place.press_send(min(people, 500), times=50)
    row = row_of("Send pressed 50 times at once", over(place, batch_id))
    if not statuses <= {200, 409}:
        row.breaches.append(f"answers {statuses}")
    return row


def blast(place: Field, people: int) -> Row:
    """A large mailing, and another organization's confirmations meanwhile."""
    signing = place.signing()
    place.sink.set(slow=0.4)
    batch_id = place.send(people)
    waits = signing(100, every=0.25, seconds=LONGEST_SECONDS)
    was_busy = place.sink.progress()["taken"] < people
    place.sink.set(slow=0.0)
    row = row_of("another organization's confirmations meanwhile", over(place, batch_id))
    p95 = waits[int(len(waits) * 0.95) - 1]
    row.note = f"p50 {statistics.median(waits):.1f} s, p95 {p95:.1f} s, slowest {waits[-1]:.1f} s"
    if p95 > CONFIRMATION_SECONDS:
        row.breaches.append(f"confirmations took {p95:.0f} s (p95)")
    if not was_busy:
        row.breaches.append("the mailing was over before the confirmations")
    return row


def killed_on_smtp(folder: Path, people: int) -> Row:
    """Two senders by SMTP, one killed: SMTP tells nothing afterwards."""
    with ExitStack() as ends:
        sink = ends.enter_context(Sink())
        environ = {"MAIL_BATCH_SIZE": str(BATCH), "MAIL_LEASE_SECONDS": str(LEASE_SECONDS)}
        place = Alone(folder, sink, environ)
        ends.callback(place.stop)
        sink.set(slow=0.002)
        batch_id = place.send(people)
        first, _second = place.sender(), place.sender()
        place.wait_until_taken(people // 4, seconds=LONGEST_SECONDS)
        first.kill()
        first.wait(10)
        place.sender()
        books = place.finish(batch_id, seconds=LONGEST_SECONDS)
        books.verify.update(place.verify())
        row = row_of("SMTP, SQLite: a worker killed (-9)", books)
        if len(books.unknown) > BATCH or books.unknown != books.doubtful:
            row.breaches.append("more unknown than were in the killed worker's request")
        return row


def killed_embedded(folder: Path, people: int) -> Row:
    """The embedded default: SQLite and one worker with threads."""
    with on_the_field(folder, ENVIRON, has_postgres=False, has_redis=False) as place:
        row = killed(place, people)
        row.fault = "SQLite, the one worker killed three times (-9)"
        return row


ENVIRON = {
    "MAIL_BATCH_SIZE": str(BATCH),
    "MAIL_LEASE_SECONDS": str(LEASE_SECONDS),
    "MAIL_READ_SECONDS": str(READ_SECONDS),
    "SIGN_LIMIT_PER_ADDRESS": "100000",
    "WORKER_PROCESSES": "2",
}
FAULTS: dict[str, Callable[[Field, int], Row]] = {
    "nothing": provider("nothing breaks"),
    "429": provider("every 20th request 429 with a reset time", kind="429", every=20, reset_in=2),
    "500": provider("500 before accepting, every 10th", kind="500", every=10),
    "500-after": provider("500 after accepting, every 10th", kind="500", every=10, after=True),
    "dropped": provider("dropped after accepting, every 10th", kind="drop", every=10, after=True),
    "hung": provider("no answer, every 15th", kind="hang", every=15, seconds=8, after=True),
    "killed": killed,
    "frozen": frozen,
    "redis": forgetful_redis,
    "postgres": fallen_postgres,
    "early": early_events,
    "late": late_events,
    "silent": silent,
    "park": policy("park"),
    "retry": policy("retry"),
    "pressed": pressed,
    "beats": three_beats,
}
APART: dict[str, Callable[[Path, int], Row]] = {
    "smtp": killed_on_smtp,
    "sqlite": killed_embedded,
}


def attempt(name: str, run: Callable[[], Row]) -> Row:
    """A row whatever happens: what went wrong in the harness is a breach, too."""
    print(f"{time.strftime('%H:%M:%S')} {name} …", flush=True)
    try:
        row = run()
    except Exception as error:  # noqa: BLE001 - reported, and the other faults are tried
        traceback.print_exc()
        row = Row(name, breaches=[f"{type(error).__name__}: {error}"])
    print(row.line(), flush=True)
    for breach in row.breaches:
        print(f"  BREACH {breach}", flush=True)
    return row


def prepared(place: Field, run: Callable[[Field, int], Row], people: int) -> Row:
    place.calm()
    place.settle()
    return run(place, people)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    names = [*FAULTS, "blast", *APART]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--people", type=int, default=5000, help="in each mailing")
    parser.add_argument("--blast", type=int, default=100_000, help="in the one with confirmations")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return 0
    chosen = options.only or names
    if not RedisServer.is_there():
        raise SystemExit("redis-server is not installed")
    rows: list[Row] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-chaos-") as name:
        folder = Path(name)
        shared = [one for one in FAULTS if one in chosen]
        if shared:
            with on_the_field(
                folder / "faults", ENVIRON, has_postgres=True, has_redis=True
            ) as place:
                for one in shared:
                    run = FAULTS[one]
                    rows.append(attempt(one, lambda run=run: prepared(place, run, options.people)))
        if "blast" in chosen:
            whole = ENVIRON | {"MAIL_BATCH_SIZE": "500", "MAIL_LEASE_SECONDS": "120"}
            with on_the_field(folder / "blast", whole, has_postgres=True, has_redis=True) as place:
                rows.append(attempt("blast", lambda: prepared(place, blast, options.blast)))
        for one, apart in APART.items():
            if one in chosen:
                there = folder / one
                there.mkdir()
                rows.append(
                    attempt(one, lambda apart=apart, there=there: apart(there, options.people))
                )
    print(
        "\n| what breaks | recipients | accepted | twice | lost | unknown | over after | verify |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(row.line())
    breaches = [f"{row.fault}: {breach}" for row in rows for breach in row.breaches]
    print(f"\n{time.monotonic() - began:.0f} s in all; breaches: {len(breaches)}")
    for breach in breaches:
        print(f"  {breach}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
