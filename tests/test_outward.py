"""Asking strange addresses: what they answer, and what is never asked. Nothing leaves the machine:
names are answered from a table, and a connection is one end of a pair whose other end is written
to by the test."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dns.resolver
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from campaign import outward
from campaign.outward import Found, State

PUBLIC = "93.184.215.14"
Answer = bytes | Callable[[str], bytes]


def said(status: int, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} X", *lines, "", "")).encode("latin-1")


@dataclass
class Web:
    """A small internet: what names mean, and what is said at an address of it."""

    names: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)  # "host/path" → what is sent back
    connected: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    threads: list[threading.Thread] = field(default_factory=list)

    def site(self, url: str, answer: Answer, *addresses: str) -> None:
        host = url.partition("/")[0]
        self.names.setdefault(host, list(addresses) or [PUBLIC])
        self.answers[url] = answer

    def resolve(self, _resolver: Any, name: str, kind: str, **_more: Any) -> list[Any]:
        found = self.names.get(name.rstrip("."))
        if found is None:
            raise dns.resolver.NXDOMAIN
        version = 4 if kind == "A" else 6
        fitting = [one for one in found if ipaddress.ip_address(one).version == version]
        if not fitting:
            raise dns.resolver.NoAnswer
        return [SimpleNamespace(address=one) for one in fitting]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append((address, port))
        ours, theirs = socket.socketpair()
        ours.settimeout(seconds)
        thread = threading.Thread(target=self._serve, args=(theirs,), daemon=True)
        self.threads.append(thread)
        thread.start()
        return ours

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(5)
        try:
            end = self.context.wrap_socket(plain, server_side=True) if self.context else plain
            request = b""
            while b"\r\n\r\n" not in request:
                piece = end.recv(4096)
                if not piece:
                    return
                request += piece
            lines = request.decode("ascii").split("\r\n")
            method, target, _version = lines[0].split(" ")
            host = next(line[6:] for line in lines if line.startswith("Host: "))
            self.asked.append(f"{method} {host}{target}")
            answer = self.answers.get(f"{host}{target}", said(404))
            end.sendall(answer(method) if callable(answer) else answer)
            end.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            plain.close()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    found = Web()
    monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda _self: None)

    def resolve(resolver: Any, name: str, kind: str, **more: Any) -> list[Any]:
        return found.resolve(resolver, name, kind, **more)

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    monkeypatch.setattr(outward, "connect", found.connect)
    yield found
    for thread in found.threads:
        thread.join(5)


# --- what answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, State.OK),
        (204, State.OK),
        (404, State.GONE),
        (410, State.GONE),
        (401, State.SHY),
        (403, State.SHY),
        (429, State.SHY),
        (400, State.BROKEN),
        (500, State.BROKEN),
        (304, State.BROKEN),
    ],
)
def test_what_an_answer_means(web: Web, status: int, state: State) -> None:
    web.site("clinics.org/now", said(status))
    assert outward.look_at("http://clinics.org/now") == Found(state, status)
    assert web.connected[0] == (PUBLIC, 80)


def test_who_does_not_know_head_is_asked_with_get(web: Web) -> None:
    web.site("clinics.org/", lambda method: said(405 if method == "HEAD" else 200))
    assert outward.look_at("http://clinics.org") == Found(State.OK, 200)
    assert web.asked == ["HEAD clinics.org/", "GET clinics.org/"]


def test_no_more_is_asked_than_needed(web: Web) -> None:
    web.site("clinics.org/a%20b?c=d%C3%A9", said(200))
    assert outward.look_at("http://clinics.org/a%20b?c=dé#part").state is State.OK
    assert web.asked == ["HEAD clinics.org/a%20b?c=d%C3%A9"]


def test_an_early_hint_is_no_answer_yet(web: Web) -> None:
    web.site("clinics.org/", said(103, "Link: </x>") + said(200))
    assert outward.look_at("http://clinics.org/") == Found(State.OK, 200)


def test_it_follows_to_the_end_and_says_where_that_is(web: Web) -> None:
    web.site("clinics.org/old", said(301, "Location: /new"))
    web.site("clinics.org/new", said(302, "location: http://city.gov/x#top"))
    web.site("city.gov/x", said(200))
    assert outward.look_at("http://clinics.org/old") == Found(State.MOVED, 200, "http://city.gov/x")
    web.site("city.gov/x", said(404))
    assert outward.look_at("http://clinics.org/old") == Found(State.GONE, 404, "http://city.gov/x")


def test_where_it_leads_is_said_in_ascii(web: Web) -> None:
    web.site("clinics.org/", "HTTP/1.1 302 X\r\nLocation: /aqu\u00ed\u202e\r\n\r\n".encode())
    web.site("clinics.org/aqu%C3%AD%E2%80%AE", said(200))
    found = outward.look_at("http://clinics.org/")
    assert found == Found(State.MOVED, 200, "http://clinics.org/aqu%C3%AD%E2%80%AE")


def test_a_circle_ends(web: Web) -> None:
    web.site("clinics.org/", said(302, "Location: /"))
    assert outward.look_at("http://clinics.org/") == Found(State.CIRCLE, 302)
    assert len(web.asked) == outward.MOST_HOPS + 1


@pytest.mark.parametrize(
    "answer", [b"", b"hello", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 banana\r\n\r\n"]
)
def test_what_is_no_web_cannot_be_reached(web: Web, answer: bytes) -> None:
    web.site("clinics.org/", answer)
    assert outward.look_at("http://clinics.org/") == Found(State.UNREACHABLE)


def test_nobody_by_that_name_and_nobody_who_listens(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outward.look_at("http://nobody.org/") == Found(State.UNREACHABLE)
    web.site("clinics.org/", said(200))

    def refuse(*_arguments: Any) -> socket.socket:
        raise ConnectionRefusedError

    monkeypatch.setattr(outward, "connect", refuse)
    assert outward.look_at("http://clinics.org/") == Found(State.UNREACHABLE)


def test_an_endless_head_is_not_read_to_its_end(web: Web) -> None:
    web.site("clinics.org/", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n")
    assert outward.look_at("http://clinics.org/").state is State.UNREACHABLE


def test_who_drips_is_left(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def drip(address: str, port: int, seconds: float) -> socket.socket:
        ours, theirs = socket.socketpair()

        def run() -> None:
            with theirs:
                while not stop.wait(0.02):
                    try:
                        theirs.sendall(b"x")
                    except OSError:
                        return

        threading.Thread(target=run, daemon=True).start()
        return ours

    web.site("clinics.org/", b"")
    monkeypatch.setattr(outward, "connect", drip)
    begun = dt.datetime.now(dt.UTC)
    assert outward.look_at("http://clinics.org/", 0.3).state is State.UNREACHABLE
    stop.set()
    assert (dt.datetime.now(dt.UTC) - begun).total_seconds() < 3


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """What a server needs that signed for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_is_looked_at_and_is_for_the_name(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.context = certificate(tmp_path, "clinics.org")
    web.site("clinics.org/", said(200))
    web.site("other.org/", said(200))
    assert outward.look_at("https://clinics.org/") == Found(State.CERTIFICATE)
    trust = ssl.create_default_context(cafile=tmp_path / "both.pem")
    monkeypatch.setattr(outward, "_trust", lambda: trust)
    assert outward.look_at("https://clinics.org/") == Found(State.OK, 200)
    assert web.connected[-1] == (PUBLIC, 443)
    assert outward.look_at("https://other.org/") == Found(State.CERTIFICATE)


# --- what is never asked -------------------------------------------------------------------------

NEAR = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.7", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.9"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2001:0:7f00:1::", "fec0::1", "2001:db8::1"),
]


@pytest.mark.parametrize("address", NEAR)
def test_nothing_near_is_asked_by_number_or_by_name(web: Web, address: str) -> None:
    web.site("inside.org/", said(200), address)
    web.site("both.org/", said(200), PUBLIC, address)
    number = f"[{address}]" if ":" in address else address
    for host in (number, "inside.org", "both.org"):
        assert outward.look_at(f"http://{host}/") == Found(State.REFUSED), host
    assert web.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://redis:80/",
        "http://metadata/",
        "ftp://clinics.org/",
        "file:///etc/passwd",
        "gopher://clinics.org/",
        "javascript:alert(1)",
        "//clinics.org/",
        "clinics.org",
        "",
        "http://",
        "http://[",
        "http://[::1%25eth0]/",
        "http://me:secret@clinics.org/",
        "http://clinics.org@127.0.0.1/",
        "http://clinics.org:22/",
        "http://clinics.org:6379/",
        "http://clinics.org:99999/",
        "http://clinics.org/a b",
        "http://clinics.org/\r\nX: y",
        "http://clinics.org\\@127.0.0.1/",
        "http://clinics.org\t/",
        "http://" + "a" * 3000 + ".org/",
    ],
)
def test_what_is_no_plain_address_is_not_asked(web: Web, url: str) -> None:
    web.site("clinics.org/", said(200))
    assert outward.look_at(url) == Found(State.REFUSED)
    assert web.connected == []


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1", "0x7f.1"])
def test_odd_numbers_are_names_that_nobody_has(web: Web, host: str) -> None:
    assert outward.look_at(f"http://{host}/").state in {State.REFUSED, State.UNREACHABLE}
    assert web.connected == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:80/",
        "http://[::1]/",
        "http://inside.org/",
        "http://localhost/",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "//inside.org/x",
        "http://clinics.org:6379/",
        "http://[",
    ],
)
def test_nobody_leads_us_inside(web: Web, location: str) -> None:
    web.site("clinics.org/", said(302, f"Location: {location}"))
    web.site("inside.org/", said(200), "10.0.0.7")
    assert outward.look_at("http://clinics.org/") == Found(State.REFUSED, 302)
    assert web.connected == [(PUBLIC, 80)]


def test_a_name_that_changes_its_meaning_gets_us_nowhere(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was looked at is the one that is connected to."""
    web.site("rebind.org/", said(200))
    resolve = web.resolve

    def once(*arguments: Any, **more: Any) -> list[Any]:
        found = resolve(*arguments, **more)
        web.names["rebind.org"] = ["127.0.0.1"]
        return found

    monkeypatch.setattr(web, "resolve", once)
    assert outward.look_at("http://rebind.org/") == Found(State.OK, 200)
    assert web.connected == [(PUBLIC, 80)]
    assert outward.look_at("http://rebind.org/") == Found(State.REFUSED)


def test_there_are_only_so_many_and_only_so_long(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.site("clinics.org/", said(200))
    urls = [f"http://clinics.org/?{number}" for number in range(outward.MOST_LINKS + 3)]
    for url in urls:
        web.answers[url.removeprefix("http://")] = said(200)
    found = outward.look_at_all([*urls, urls[0]])
    assert list(found) == urls
    assert [one.state for one in found.values()].count(State.LATE) == 3
    monkeypatch.setattr(outward, "ALL_SECONDS", 0.0)
    assert outward.look_at_all(urls[:2]) == dict.fromkeys(urls[:2], Found(State.LATE))


@given(st.text(max_size=200), st.sampled_from(["", "http://", "https://", "http://[", "http://a."]))
def test_no_address_breaks_it(text: str, beginning: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outward, "addresses_of", lambda *_: [ipaddress.ip_address("127.0.0.1")])
        assert outward.look_at(beginning + text).state is State.REFUSED


@given(st.binary(max_size=600))
def test_no_answer_breaks_it(data: bytes) -> None:
    answer = outward._read(data)
    assert answer is None or 100 <= answer.status < 600
