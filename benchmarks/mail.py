"""P7 and P9: a mailing through SendGrid's shape and through SMTP, beside the least code that
puts the same bytes on the same wire.

    python benchmarks/mail.py --people 200000 --rounds 3

wants PostgreSQL in DATABASE_URL (an empty database: tables are made and thrown away). Product and
floor run alternately against sinks of their own process; the table has the medians and their
ratio. Before a figure counts, the sink's recipients must be as many as there are people, each
once, and the database's rows must say the same.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import re
import secrets
import socket
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

KEY = "benchmark-key-0123456789-abcdefghijklmnop"
SENDERS = 2
BATCH = 1000
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


# Sinks: one process each, counting every recipient it took


def http_sink(port: int) -> None:
    """Take SendGrid requests; GET /counts says how many recipients, and how many different."""
    seen: set[str] = set()
    total = 0

    class Sink(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.buffer = bytearray()
            self.need = -1

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while True:
                if self.need < 0:
                    end = self.buffer.find(b"\r\n\r\n")
                    if end < 0:
                        return
                    head = bytes(self.buffer[:end])
                    del self.buffer[: end + 4]
                    if head.startswith(b"GET"):
                        self.answer(200, orjson.dumps([total, len(seen)]))
                        continue
                    if head.startswith(b"DELETE"):
                        self.reset()
                        self.answer(200, b"")
                        continue
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    self.need = int(length[1]) if length else 0
                if len(self.buffer) < self.need:
                    return
                body = bytes(self.buffer[: self.need])
                del self.buffer[: self.need]
                self.need = -1
                self.take(orjson.loads(body))
                self.answer(202, b"")

        def take(self, body: Any) -> None:
            nonlocal total
            people = body["personalizations"]
            total += len(people)
            seen.update(person["custom_args"]["delivery"] for person in people)

        def reset(self) -> None:
            nonlocal total
            total = 0
            seen.clear()

        def answer(self, status: int, body: bytes) -> None:
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)

    _serve(Sink, port)


def smtp_sink(port: int) -> None:
    """Take SMTP, pipelined or not; VRFY counts says how many messages, and how many different."""
    seen: set[bytes] = set()
    total = 0

    class Sink(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.buffer = b""
            self.in_body = False
            transport.write(b"220 sink\r\n")

        def data_received(self, data: bytes) -> None:
            nonlocal total
            self.buffer += data
            out = []
            while True:
                if self.in_body:
                    end = self.buffer.find(b"\r\n.\r\n")
                    if end < 0:
                        break
                    start = self.buffer.find(b"Message-ID: ")
                    seen.add(self.buffer[start : self.buffer.find(b"\r\n", start)])
                    total += 1
                    self.buffer = self.buffer[end + 5 :]
                    self.in_body = False
                    out.append(b"250 OK\r\n")
                    continue
                line, found, rest = self.buffer.partition(b"\r\n")
                if not found:
                    break
                self.buffer = rest
                out.append(self.command(line))
            if out:
                self.transport.write(b"".join(out))

        def command(self, line: bytes) -> bytes:
            nonlocal total
            verb = line[:4].upper()
            if verb == b"DATA":
                self.in_body = True
                return b"354 go\r\n"
            if verb == b"EHLO":
                return b"250-sink\r\n250 PIPELINING\r\n"
            if verb == b"VRFY":
                return f"250 {total} {len(seen)}\r\n".encode()
            if verb == b"EXPN":
                total = 0
                seen.clear()
            return b"250 OK\r\n"

    _serve(Sink, port)


def _serve(protocol: Callable[[], asyncio.Protocol], port: int) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())


def http_counts(port: int, method: str = "GET") -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, "/counts")
    raw = connection.getresponse().read()
    connection.close()
    return [int(n) for n in orjson.loads(raw)] if raw else []


def smtp_counts(port: int, verb: str = "VRFY counts") -> list[int]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        reader = link.makefile("rb")
        reader.readline()
        link.sendall(verb.encode() + b"\r\n")
        answer = reader.readline().split()
        return [int(n) for n in answer[1:]] if len(answer) == 3 else []


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


def make_app(transport: str, port: int) -> Any:
    from campaign.app import create_app
    from campaign.settings import Settings

    return create_app(
        Settings(
            secret_key=KEY,
            data_dir=Path("/tmp/campaign-benchmark-mail"),
            database_url=os.environ["DATABASE_URL"],
            mail_transport=transport,
            mail_batch_size=BATCH,
            mail_connections=SENDERS,
            sendgrid_api_key="SG.benchmark",
            sendgrid_base_url=f"http://127.0.0.1:{port}",
            smtp_url=f"smtp://127.0.0.1:{port}",
        )
    )


def sender(transport: str, port: int, begin: Any, ready: Any, done: Any) -> None:
    """What a worker process does when the doorbell rings."""
    from campaign.mail import delivery

    app = make_app(transport, port)
    with app.app_context():
        delivery.is_due(bulk=True)
        ready.release()
        begin.wait()
        delivery.work(bulk=True, seconds=600)
        done.release()


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


def product(app: Any, transport: str, port: int, organization_id: uuid.UUID, count: int) -> float:
    """From "send" to every outcome recorded."""
    from sqlalchemy import String, Uuid, column, select, table

    from campaign.db import db
    from campaign.mail import queries, services
    from campaign.mail.letters import Letter

    audience = table(
        "benchmark_audience",
        column("person_id", Uuid()),
        column("address", String()),
        column("address_hash", String()),
        column("first_name", String()),
    )
    begin, ready, done = context.Event(), context.Semaphore(0), context.Semaphore(0)
    workers = [
        context.Process(target=sender, args=(transport, port, begin, ready, done))
        for _ in range(SENDERS)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    with app.app_context():
        began = time.perf_counter()
        batch = services.create_batch(
            organization_id=organization_id,
            kind="mailing",
            key=secrets.token_hex(8),
            letter=Letter(SUBJECT, TEXT, HTML),
            sender=services.Sender("Keep Our Clinics", "hello@clinics.example"),
        )
        services.add_recipients(
            batch,
            select(audience),
        )
        services.release(batch)
        db.session.commit()
        frozen = time.perf_counter() - began
        begin.set()
        for _ in workers:
            done.acquire()
        took = time.perf_counter() - began
        for worker in workers:
            worker.join()
        db.session.expire_all()
        counts = queries.batch_counts(batch.id)
        report = queries.invariants()
        if counts != {"accepted": count} or not report["ok"]:
            raise SystemExit(f"wrong: {counts} {json.dumps(report['checks'])}")
        db.session.commit()
    print(f"  product froze in {frozen:.2f} s, done in {took:.2f} s", flush=True)
    return took


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
    share = -(-count // SENDERS)
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
        for n in range(SENDERS)
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


def run(name: str, count: int, rounds: int) -> tuple[str, float, float]:
    is_http = name == "P7"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sink = context.Process(target=http_sink if is_http else smtp_sink, args=(port,), daemon=True)
    sink.start()
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    counts: Callable[..., list[int]] = http_counts if is_http else smtp_counts
    transport = "sendgrid" if is_http else "smtp"
    app = make_app(transport, port)
    organization_id = seed(app, count)
    floors, products = [], []
    for _ in range(rounds):
        for measure, times in (
            (lambda: floor(http_floor if is_http else smtp_floor, port, count), floors),
            (lambda: product(app, transport, port, organization_id, count), products),
        ):
            counts(port, "DELETE" if is_http else "EXPN reset")
            times.append(measure())
            total, unique = counts(port)
            if (total, unique) != (count, count):
                raise SystemExit(f"wrong: the sink took {total}, {unique} different, of {count}")
    sink.terminate()
    return name, statistics.median(floors), statistics.median(products)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["P7", "P9"])
    options = parser.parse_args()
    if not urlsplit(os.environ.get("DATABASE_URL", "")).scheme.startswith("postgres"):
        raise SystemExit("DATABASE_URL must name an empty PostgreSQL database")
    table = [
        run(name, options.people, options.rounds)
        for name in ("P7", "P9")
        if options.only in (None, name)
    ]
    print(f"\n{options.people:,} recipients, median of {options.rounds}, alternately")
    print("| goal | floor /s | product /s | ratio |")
    print("|---|---|---|---|")
    for name, slow, fast in table:
        print(
            f"| {name} | {options.people / slow:,.0f} | {options.people / fast:,.0f} "
            f"| {slow / fast:.2f} |"
        )


if __name__ == "__main__":
    main()
