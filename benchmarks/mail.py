"""Mass e-mail beside the least code that puts the same bytes on the same wire.

    DATABASE_URL=postgresql://… python -m benchmarks.mail [--only P7] [--people 200000] [--rounds 3]

wants an empty PostgreSQL database: tables are made and thrown away. Product and floor run
alternately against sinks of their own processes, all warm before the clock runs; it stops when
the last outcome is recorded. Before a figure counts, the sink's recipients must be as many as
there are people, each once, and the database's rows must say the same.

P7: SendGrid's shape. P9: SMTP. P11: calls to the broker, and how long a million takes to be
queued. P12: what a worker's memory grows by from 10,000 to a million recipients. P18: what of a
rate is used against a provider that answers 429.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import logging
import multiprocessing
import os
import resource
import secrets
import socket
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from benchmarks.sinks import http_counts, http_sink, smtp_counts, smtp_sink

KEY = "benchmark-key-0123456789-abcdefghijklmnop"
WORKERS = 2
BATCH = 1000
MILLION = 1_000_000
FEW = 10_000
RATE = 500.0
RATE_SECONDS = 40
SUBJECT = "The hearing on the clinics, {{ first_name|friend }}"
PARAGRAPH = (
    "On Monday the City Council hears what it means to close half of the mental health clinics. "
    "We will be there, and we would like you to be there with us. "
)
TEXT = (
    "Dear {{ first_name|friend }},\n\n" + f"{PARAGRAPH}\n\n" * 6 + "Stop: {{ unsubscribe_url }}\n"
)
HTML = (
    "<html><body><p>Dear {{ first_name|friend }},</p>"
    + f"<p>{PARAGRAPH}</p>" * 6
    + '<p><a href="{{ unsubscribe_url }}">Stop</a></p></body></html>'
)
context = multiprocessing.get_context("spawn")


# Floors


def rows_of(count: int) -> list[tuple[str, str, str]]:
    """(delivery id, address, first name) in memory: the floor reads no database."""
    return [(uuid.UUID(int=n).hex, f"p{n}@people.example", f"Name{n % 997}") for n in range(count)]


def http_floor(port: int, rows: list[tuple[str, str, str]], url: str) -> None:
    """dict + orjson, posted on one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    constant = {
        "from": {"email": "hello@clinics.example", "name": "Keep Our Clinics"},
        "subject": SUBJECT.replace("{{ first_name|friend }}", "-name-"),
        "content": [
            {"type": "text/plain", "value": TEXT},
            {"type": "text/html", "value": HTML},
        ],
        "tracking_settings": {"click_tracking": {"enable": False}},
    }
    for first in range(0, len(rows), BATCH):
        people = []
        for delivery, address, name in rows[first : first + BATCH]:
            link = f"{url}/unsubscribe/{delivery}{delivery[:11]}"
            people.append(
                {
                    "to": [{"email": address}],
                    "custom_args": {"delivery": delivery},
                    "headers": {
                        "Message-ID": f"<{delivery}@127.0.0.1>",
                        "List-Unsubscribe": f"<{link}>",
                        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                        "List-Id": "Keep Our Clinics <0123456789abcdef0123456789abcdef.127.0.0.1>",
                    },
                    "substitutions": {
                        "-0123456789.0-": name,
                        "-0123456789.1-": link,
                        "-0123456789.2-": name,
                    },
                }
            )
        connection.request(
            "POST", "/v3/mail/send", orjson.dumps({**constant, "personalizations": people})
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise RuntimeError(f"sink answered {answer.status}")
    connection.close()


def smtp_floor(port: int, rows: list[tuple[str, str, str]], url: str) -> None:
    """Once encoded, values spliced in, the next envelope with this body."""
    import quopri

    def quoted(text: str) -> bytes:
        return quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")

    text, html = (part.split("{{ first_name|friend }}") for part in (TEXT, HTML))
    text_end, html_end = (part[1].split("{{ unsubscribe_url }}") for part in (text, html))
    pieces = [
        quoted(text[0]) + b"=\r\n",
        b"=\r\n" + quoted(text_end[0]) + b"=\r\n",
        b"=\r\n"
        + quoted(text_end[1])
        + b"\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n"
        + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        + quoted(html[0])
        + b"=\r\n",
        b"=\r\n" + quoted(html_end[0]) + b"=\r\n",
        b"=\r\n" + quoted(html_end[1]) + b"\r\n--b--\r\n.\r\n",
    ]
    head = (
        b"From: Keep Our Clinics <hello@clinics.example>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n'
    )
    part = b"\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    link = socket.create_connection(("127.0.0.1", port), timeout=60)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = link.makefile("rb")
    reader.readline()
    link.sendall(b"EHLO floor\r\n")
    while reader.readline()[3:4] == b"-":
        pass

    def envelope(address: str) -> bytes:
        return f"MAIL FROM:<hello@clinics.example>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode()

    link.sendall(envelope(rows[0][1]))
    for place, (delivery, address, name) in enumerate(rows):
        value = quopri.encodestring(name.encode())
        stop_url = f"{url}/unsubscribe/{delivery}{delivery[:11]}"
        stop_value = quoted(stop_url)
        own = (
            f"To: <{address}>\r\nSubject: The hearing on the clinics, {name}\r\n"
            f"Message-ID: <{delivery}@127.0.0.1>\r\nList-Unsubscribe: <{stop_url}>\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            "List-Id: Keep Our Clinics <0123456789abcdef0123456789abcdef.127.0.0.1>\r\n"
        ).encode()
        body = b"".join(
            (
                head,
                own,
                part,
                pieces[0],
                value,
                pieces[1],
                stop_value,
                pieces[2],
                value,
                pieces[3],
                stop_value,
                pieces[4],
            )
        )
        for _ in range(3):
            reader.readline()
        following = envelope(rows[place + 1][1]) if place + 1 < len(rows) else b""
        link.sendall(body + following)
        if not reader.readline().startswith(b"250"):
            raise RuntimeError("sink refused")
    link.close()


# Product


def make_app(transport: str, port: int, rate: float = 0.0) -> Any:
    from campaign.app import create_app
    from campaign.settings import Settings

    logging.disable(logging.CRITICAL)  # no broker is there, and the doorbell says so
    return create_app(
        Settings(
            secret_key=KEY,
            data_dir=Path(tempfile.gettempdir()) / "campaign-benchmark-mail",
            database_url=os.environ["DATABASE_URL"],
            mail_transport=transport,
            mail_batch_size=BATCH,
            mail_connections=WORKERS,
            mail_rate_per_second=rate,
            sendgrid_api_key="SG.benchmark",
            sendgrid_base_url=f"http://127.0.0.1:{port}",
            smtp_url=f"smtp://127.0.0.1:{port}",
        )
    )


@dataclass(frozen=True)
class Signals:
    """What a parent and its workers tell each other; `batch` and `last` are ids, as text."""

    given: Any
    ready: Any
    frozen: Any
    go: Any
    done: Any
    peak: Any

    @classmethod
    def make(cls) -> Signals:
        return cls(
            context.Queue(),
            context.Semaphore(0),
            context.Semaphore(0),
            context.Event(),
            context.Semaphore(0),
            context.Value("q", 0),
        )


def people_up_to(last: Any) -> Any:
    from sqlalchemy import String, Uuid, column, select, table

    audience = table(
        "benchmark_audience",
        column("person_id", Uuid()),
        column("address", String()),
        column("address_hash", String()),
        column("first_name", String()),
    )
    return select(audience).where(audience.c.person_id <= last)


def worker(transport: str, port: int, rate: float, is_sender: bool, signals: Signals) -> None:
    """What a worker process does when the doorbell rings: it writes slices of the audience, and
    when all are written it sends, and again while it waits for the rate."""
    from campaign.db import db
    from campaign.mail import delivery, freezing
    from campaign.mail.models import Batch

    app = make_app(transport, port, rate)
    gc.freeze()  # as wsgi.py does
    with app.app_context():
        delivery.is_due(bulk=True)
        signals.ready.release()
        batch_id, last = signals.given.get()
        people = people_up_to(last)
        while (slice_ := freezing.take_slice([batch_id])) is not None:
            freezing.add_slice(slice_, db.session.get_one(Batch, batch_id), people)
            db.session.commit()
        db.session.commit()
        signals.frozen.release()
        signals.go.wait()
        if is_sender:
            delivery.work(bulk=True, seconds=600)
        while rate and delivery.is_due(bulk=True):  # asked to wait longer than it is patient
            time.sleep(0.2)
            delivery.work(bulk=True, seconds=600)
        signals.done.release()
        with signals.peak.get_lock():
            largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            signals.peak.value = max(signals.peak.value, largest)


def seed(app: Any, count: int) -> uuid.UUID:
    """An audience, hashed as the product hashes."""
    from sqlalchemy import text

    from campaign.db import Model, db, uuid7

    organization_id = uuid7()
    with app.app_context():
        Model.metadata.drop_all(db.engine)
        Model.metadata.create_all(db.engine)
        db.session.execute(text("DROP TABLE IF EXISTS benchmark_audience"))
        db.session.execute(
            text(
                "CREATE TABLE benchmark_audience AS SELECT gen_random_uuid() AS person_id,"
                " 'p' || n || '@people.example' AS address, encode(sha256(convert_to("
                "'campaign.address.1:p' || n || '@people.example', 'UTF8')), 'hex') AS address_hash,"
                " 'Name' || n % 997 AS first_name FROM generate_series(0, :n - 1) n"
            ),
            {"n": count},
        )
        db.session.execute(text("ALTER TABLE benchmark_audience ADD PRIMARY KEY (person_id)"))
        db.session.commit()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE benchmark_audience"))
    return organization_id


@dataclass(frozen=True)
class Run:
    """One mailing, from "send" to every outcome recorded: seconds, calls to the broker, and the
    largest a worker was (bytes)."""

    frozen: float
    took: float
    rings: int
    peak: int


def product(
    app: Any,
    transport: str,
    port: int,
    organization_id: uuid.UUID,
    count: int,
    *,
    rate: float = 0.0,
    workers: int = WORKERS,
    is_sent: bool = True,
) -> Run:
    """Send to the first `count` people of the audience."""
    from sqlalchemy import Uuid, column, select, table

    from campaign import worker as broker
    from campaign.db import db
    from campaign.mail import freezing, queries, services
    from campaign.mail.letters import Letter

    ids = table("benchmark_audience", column("person_id", Uuid())).c.person_id
    rings = 0

    def ring(*_: Any) -> None:
        nonlocal rings
        rings += 1

    broker.doorbell.ring = ring  # type: ignore[method-assign]
    signals = Signals.make()
    processes = [
        context.Process(target=worker, args=(transport, port, rate, is_sent, signals))
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        signals.ready.acquire()
    with app.app_context():
        last = db.session.scalar(select(ids).order_by(ids).offset(count - 1).limit(1))
        db.session.commit()
        began = time.perf_counter()
        batch = services.create_batch(
            organization_id=organization_id,
            kind="mailing",
            key=secrets.token_hex(8),
            letter=Letter(SUBJECT, TEXT, HTML),
            sender=services.Sender("Keep Our Clinics", "hello@clinics.example"),
        )
        freezing.plan_recipients(batch, people_up_to(last))
        db.session.commit()
        for _ in processes:
            signals.given.put((batch.id, last))
        for _ in processes:
            signals.frozen.acquire()
        db.session.refresh(batch)
        services.release(batch)
        db.session.commit()
        frozen = time.perf_counter() - began
        signals.go.set()
        for _ in processes:
            signals.done.acquire()
        took = time.perf_counter() - began
        for process in processes:
            process.join()
        db.session.expire_all()
        counts = queries.batch_counts(batch.id)
        report = queries.invariants()
        state = "accepted" if is_sent else "queued"
        if counts != {state: count} or not report["ok"]:
            raise SystemExit(f"wrong: {counts} {json.dumps(report['checks'])}")
        db.session.commit()
    print(f"  product froze in {frozen:.2f} s, done in {took:.2f} s", flush=True)
    return Run(frozen, took, rings, signals.peak.value * 1024)


def floor_sender(
    target: Callable[..., None], given: tuple[Any, ...], begin: Any, ready: Any, done: Any
) -> None:
    """One of the floor's processes: started and its rows made before the clock runs."""
    rows = rows_of(given[2])[given[1] :]
    ready.release()
    begin.wait()
    target(given[0], rows, given[3])
    done.release()


def floor(target: Callable[..., None], port: int, count: int) -> float:
    share = -(-count // WORKERS)
    begin, ready, done = context.Event(), context.Semaphore(0), context.Semaphore(0)
    workers = [
        context.Process(
            target=floor_sender,
            args=(
                target,
                (port, n * share, min(count, (n + 1) * share), "http://127.0.0.1:8000"),
                begin,
                ready,
                done,
            ),
        )
        for n in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    began = time.perf_counter()
    begin.set()
    for _ in workers:
        done.acquire()
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    print(f"  floor done in {took:.2f} s", flush=True)
    return took


# The goals


@contextmanager
def sink(*, is_http: bool, rate: float = 0.0) -> Iterator[int]:
    """A sink in a process of its own until the end of the block; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = (port, rate) if is_http else (port,)
    process = context.Process(target=http_sink if is_http else smtp_sink, args=given, daemon=True)
    process.start()
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    try:
        yield port
    finally:
        process.terminate()
        process.join()


def throughput(name: str, people: int, rounds: int) -> list[str]:
    """P7 and P9: a line of the table."""
    is_http = name == "P7"
    counts: Callable[..., list[int]] = http_counts if is_http else smtp_counts
    transport = "sendgrid" if is_http else "smtp"
    floors, products = [], []
    with sink(is_http=is_http) as port:
        app = make_app(transport, port)
        organization_id = seed(app, people)
        for _ in range(rounds):
            for measure, times in (
                (lambda: floor(http_floor if is_http else smtp_floor, port, people), floors),
                (lambda: product(app, transport, port, organization_id, people).took, products),
            ):
                counts(port, "DELETE" if is_http else "EXPN reset")
                times.append(measure())
                total, unique, *refused = counts(port)
                if (total, unique) != (people, people) or any(refused):
                    raise SystemExit(f"wrong: {people} people, the sink took {counts(port)}")
    least, most = statistics.median(floors), statistics.median(products)
    how = "SendGrid's shape" if is_http else "SMTP, pipelined"
    return [
        name,
        f"{how}, {people:,} people",
        f"{people / most:,.0f} of {people / least:,.0f} a second",
        f"{least / most:.2f}",
        "0.35" if is_http else "0.50",
    ]


def queueing() -> list[str]:
    """P11: a million people into the outbox, and how often the broker is called for them."""
    app = make_app("sendgrid", 1)
    found = product(app, "sendgrid", 1, seed(app, MILLION), MILLION, is_sent=False)
    return [
        "P11",
        "a million queued; calls to the broker",
        f"{found.frozen:.1f} s; {found.rings}",
        "",
        f"5 s; {MILLION // 500 + 10:,}",
    ]


def memory() -> list[str]:
    """P12: the largest that one worker gets, with few and with a million."""
    with sink(is_http=True) as port:
        app = make_app("sendgrid", port)
        organization_id = seed(app, MILLION)
        few = product(app, "sendgrid", port, organization_id, FEW, workers=1).peak
        many = product(app, "sendgrid", port, organization_id, MILLION, workers=1).peak
    return [
        "P12",
        f"a worker's largest, {FEW:,} and a million people",
        f"{few / 2**20:.0f} and {many / 2**20:.0f} MB",
        f"{(many - few) / 2**20:+.0f} MB",
        "64 MB",
    ]


def rated() -> list[str]:
    """P18: how much of a rate is used while the provider throttles."""
    people = int(RATE * RATE_SECONDS)
    with sink(is_http=True, rate=RATE) as port:
        app = make_app("sendgrid", port, RATE)
        found = product(app, "sendgrid", port, seed(app, people), people, rate=RATE)
        total, unique, refused, throttled = http_counts(port)
    if (total, unique, refused) != (people, people, 0) or not throttled:
        raise SystemExit(f"wrong: {people} people, the sink took {total}, {unique} different")
    used = people / (found.took - found.frozen) / RATE
    return [
        "P18",
        f"{RATE:.0f} a second allowed, {throttled} times 429",
        f"{used * RATE:.0f} a second",
        f"{used:.2f}",
        "0.90 to 1.00",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["P7", "P9", "P11", "P12", "P18"])
    options = parser.parse_args()
    if not urlsplit(os.environ.get("DATABASE_URL", "")).scheme.startswith("postgres"):
        raise SystemExit("DATABASE_URL must name an empty PostgreSQL database")
    goals: dict[str, Callable[[], list[str]]] = {
        "P7": lambda: throughput("P7", options.people, options.rounds),
        "P9": lambda: throughput("P9", options.people, options.rounds),
        "P11": queueing,
        "P12": memory,
        "P18": rated,
    }
    table = [measure() for name, measure in goals.items() if options.only in (None, name)]
    print("\n| | what | product, floor | ratio | must |\n|---|---|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
