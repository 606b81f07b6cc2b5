"""Asking addresses of the web that somebody wrote, and nothing behind our own door.

Whoever writes a link must not be able to make this server speak with its database, its neighbours
or the service that hands out a cloud's keys. So an address is taken apart and refused unless it is
http or https on the usual ports without a password; its name is looked up once, every answer has
to be an address of the public internet, and the connection goes to exactly that address, so that
a name which means something else a moment later changes nothing. A redirect is a new address and
goes through all of it again. No body is read, and time, hops and bytes have ends.

The few lines of HTTP are our own because of that: the libraries look names up themselves when they
connect again, and count time for each piece that comes and not for the whole.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

import dns.exception
import dns.resolver
import idna

AGENT = "CampaignLinkCheck/1.0"
PORTS = {"http": 80, "https": 443}
LINK_SECONDS = 8.0
ALL_SECONDS = 30.0
NAME_SECONDS = 4.0
AT_ONCE = 8
MOST_LINKS = 40
MOST_HOPS = 5
MOST_BYTES = 16_384
LONGEST_URL = 2000
LEADS_ON = frozenset({301, 302, 303, 307, 308})

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class State(StrEnum):
    """What became of asking for an address."""

    OK = "ok"
    MOVED = "moved"  # it led on, and there it is
    GONE = "gone"  # 404 or 410
    SHY = "shy"  # 401, 403, 429: there, and not for programs
    BROKEN = "broken"  # any other answer that is none
    CERTIFICATE = "certificate"  # browsers warn of it
    UNREACHABLE = "unreachable"  # no such name, nobody listens, no answer in time
    CIRCLE = "circle"  # it leads on without an end
    REFUSED = "refused"  # we do not ask there
    LATE = "late"  # there were too many before it


@dataclass(frozen=True, slots=True)
class Found:
    """What an address answered. `status` is the last answer's, 0 without one; `to` is where it
    leads in the end, in ASCII, "" where it does not lead on."""

    state: State
    status: int = 0
    to: str = ""


class _Refuse(Exception):
    """It is not to be asked."""


class _Silent(Exception):
    """It did not answer."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an address leads: the name, the port, what is asked for there."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def door(self) -> str:
        """Host and port as they stand in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.door}{self.target}"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str = ""


def look_at_all(urls: Iterable[str]) -> dict[str, Found]:
    """What each of these addresses answers, AT_ONCE of them side by side, within ALL_SECONDS;
    those behind the first MOST_LINKS, and those for whom no time was left, are late."""
    ends_at = time.monotonic() + ALL_SECONDS
    each = list(dict.fromkeys(urls))

    def in_time(url: str) -> Found:
        seconds = min(LINK_SECONDS, ends_at - time.monotonic())
        return look_at(url, seconds) if seconds > 0 else Found(State.LATE)

    found = dict.fromkeys(each, Found(State.LATE))
    with ThreadPoolExecutor(AT_ONCE) as asking:
        found.update(zip(each, asking.map(in_time, each[:MOST_LINKS]), strict=False))
    return found


def look_at(url: str, seconds: float = LINK_SECONDS) -> Found:
    """What an address answers. Never raises."""
    ends_at = time.monotonic() + seconds
    status = 0
    try:
        first = place = _place(url)
        for _ in range(MOST_HOPS + 1):
            answer = _ask(place, ends_at)
            status = answer.status
            if status not in LEADS_ON or not answer.location:
                is_moved = place != first
                return Found(
                    _state(status, is_moved=is_moved), status, place.url if is_moved else ""
                )
            place = _led_to(place, answer.location)
    except _Refuse:
        return Found(State.REFUSED, status)
    except ssl.SSLCertVerificationError:
        return Found(State.CERTIFICATE, status)
    except (_Silent, OSError, ValueError):
        return Found(State.UNREACHABLE, status)
    return Found(State.CIRCLE, status)


def _state(status: int, *, is_moved: bool) -> State:
    if 200 <= status < 300:
        return State.MOVED if is_moved else State.OK
    if status in {404, 410}:
        return State.GONE
    return State.SHY if status in {401, 403, 405, 429} else State.BROKEN


# --- where it leads ------------------------------------------------------------------------------

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9])?\.?|[0-9a-f:.]+", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")


def _led_to(place: _Place, location: str) -> _Place:
    try:
        url = urljoin(place.url, location.partition("#")[0])
    except ValueError:
        raise _Refuse from None
    return _place(url)


def _place(url: str) -> _Place:
    """An address taken apart. Raises _Refuse for what we do not ask."""
    if len(url) > LONGEST_URL or _FORBIDDEN.search(url.strip()):
        raise _Refuse
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _Refuse from None
    if parts.scheme not in PORTS or parts.username is not None or parts.password is not None:
        raise _Refuse
    if port not in {None, *PORTS.values()}:
        raise _Refuse
    if not host.isascii():
        with contextlib.suppress(idna.IDNAError, UnicodeError):
            host = idna.encode(host, uts46=True).decode("ascii")
    if not _HOST.fullmatch(host):
        raise _Refuse
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._", errors="replace")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]", errors="replace")
    if len(target) > LONGEST_URL:
        raise _Refuse
    return _Place(parts.scheme, host, port or PORTS[parts.scheme], target)


def addresses_of(host: str, seconds: float) -> list[IPAddress]:
    """What a name means now: every answer of DNS. A numeral means itself.

    By DNS alone and not by the machine's own table of names, which knows names like "redis"; the
    odd ways of writing numbers (0x7f.1, 2130706433) are names here, and nobody has those.
    """
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    if "." not in host.strip("."):
        raise _Refuse
    resolver = _resolver()
    found: list[IPAddress] = []
    ends_at = time.monotonic() + seconds
    for kind in ("A", "AAAA"):
        left = ends_at - time.monotonic()
        if left <= 0:
            break
        try:
            answer = resolver.resolve(f"{host.strip('.')}.", kind, lifetime=left)
        except dns.resolver.NXDOMAIN:
            break
        except (dns.exception.DNSException, ValueError):
            continue
        found += [ipaddress.ip_address(record.address) for record in answer]
    return found


def _resolver() -> dns.resolver.Resolver:
    try:
        return dns.resolver.Resolver()
    except dns.exception.DNSException:
        raise _Silent from None


_WRAPPED = (
    ipaddress.ip_network("64:ff9b::/96"),  # NAT64: an address of IPv4 in its end
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2002::/16"),  # 6to4
    ipaddress.ip_network("2001::/32"),  # Teredo
    ipaddress.ip_network("fec0::/10"),
)


def is_public(address: IPAddress) -> bool:
    """Whether an address is of the public internet and of nothing near us."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or address.scope_id:
            return False
        if any(address in network for network in _WRAPPED):
            return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_private
    )


# --- asking --------------------------------------------------------------------------------------


def _ask(place: _Place, ends_at: float) -> _Answer:
    """HEAD, and where that is not liked GET, as some know only that."""
    addresses = addresses_of(place.host, min(NAME_SECONDS, ends_at - time.monotonic()))
    if not addresses:
        raise _Silent
    if not all(is_public(address) for address in addresses):
        raise _Refuse
    answer = _exchange(place, addresses, "HEAD", ends_at)
    if answer is None or answer.status >= 400:
        answer = _exchange(place, addresses, "GET", ends_at) or answer
    if answer is None:
        raise _Silent
    return answer


def _exchange(
    place: _Place, addresses: list[IPAddress], method: str, ends_at: float
) -> _Answer | None:
    """One request and the head of its answer; None where that was no HTTP."""
    with contextlib.closing(_connected(place, addresses, ends_at)) as connection:
        connection.sendall(_request(place, method))
        for head in _heads(connection, ends_at):
            answer = _read(head)
            if answer is None or answer.status >= 200:
                return answer
    return None


def _connected(place: _Place, addresses: list[IPAddress], ends_at: float) -> socket.socket:
    """A connection to one of exactly these addresses. Raises OSError."""
    error: OSError = TimeoutError()
    for address in addresses[:2]:
        try:
            plain = connect(str(address), place.port, _left(ends_at))
        except OSError as failed:
            error = failed
            continue
        if place.scheme == "http":
            return plain
        try:
            plain.settimeout(_left(ends_at))
            return _trust().wrap_socket(plain, server_hostname=place.host.strip("."))
        except BaseException:
            plain.close()
            raise
    raise error


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """Open a connection to an address that was looked at."""
    return socket.create_connection((address, port), timeout=seconds)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Made once: it reads all certificates of the machine."""
    return ssl.create_default_context()


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _request(place: _Place, method: str) -> bytes:
    lines = (
        f"{method} {place.target} HTTP/1.1",
        f"Host: {place.door}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _heads(connection: socket.socket, ends_at: float) -> Iterator[bytes]:
    """The heads of the answers that come, up to MOST_BYTES together."""
    data, total = b"", 0
    while total < MOST_BYTES:
        connection.settimeout(_left(ends_at))
        piece = connection.recv(4096)
        if not piece:
            return
        data, total = data + piece, total + len(piece)
        while b"\r\n\r\n" in data:
            head, _, data = data.partition(b"\r\n\r\n")
            yield head


def _read(head: bytes) -> _Answer | None:
    """The status and where it leads; None where this is no HTTP."""
    first, _, rest = head.decode("utf-8", "replace").partition("\r\n")
    status = re.match(r"HTTP/1\.[01] ([1-5]\d\d)(?: |$)", first)
    if status is None:
        return None
    location = re.search(r"(?im)^location:[ \t]*(\S+)[ \t]*\r?$", rest)
    return _Answer(int(status[1]), location[1] if location else "")
