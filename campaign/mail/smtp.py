"""SMTP over a connection kept by each thread, one message a transaction.

A letter is encoded once; for each recipient only the values are encoded and spliced in. Where
the server offers PIPELINING (RFC 2920) a message's envelope travels with the body before it, so
that a message costs one round trip; elsewhere the standard library's own calls do the work.
A DKIM signature covers the finished bytes, so it is made anew for each message.
"""

from __future__ import annotations

import quopri
import re
import smtplib
import socket
import ssl
import threading
import time
import uuid
from base64 import encodebytes
from dataclasses import dataclass
from email.header import Header
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from io import BufferedReader
from urllib.parse import unquote, urlsplit

import idna

from campaign import clock
from campaign.errors import Busy
from campaign.mail import merge
from campaign.mail.letters import CALENDAR_NAME
from campaign.mail.signing import Signer
from campaign.mail.transports import (
    A_RECIPIENT,
    MARK,
    Pace,
    Parcel,
    Recipient,
    Report,
    Stencil,
    one_line,
)
from campaign.settings import Settings

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 20.0
CRLF = "\r\n"
LONGEST_LINE = 8192


class SMTP:
    """Sends each recipient's message by itself; each gets an answer of its own."""

    name = "smtp"
    is_stepwise = True

    def __init__(self, settings: Settings) -> None:
        self._url = settings.smtp_url
        self._read_seconds = settings.mail_read_seconds
        self._signer = Signer.of(settings)
        self._own = threading.local()

    def send(self, parcel: Parcel, pace: Pace) -> Report:
        report = Report()
        mime = Mime(parcel, self._signer)
        todo = list(parcel.recipients)
        while todo:
            some, todo = todo[: pace.step], todo[pace.step :]
            if not pace(len(some)):
                report.untried.update(recipient.delivery_id for recipient in (*some, *todo))
                break
            try:
                link = self._link(parcel.host)
            except Busy:
                if not (report.accepted or report.unknown or report.refused or report.busy):
                    raise
                report.untried.update(recipient.delivery_id for recipient in (*some, *todo))
                break
            link.send(mime, some, report)
            if link.is_broken:
                self._own.link = None
        return report

    def reconcile(self, delivery_ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        return None

    def _link(self, host: str) -> Link:
        link: Link | None = getattr(self._own, "link", None)
        if link is not None and time.monotonic() - link.used_at > IDLE_SECONDS and not link.alive():
            link = None
        if link is None:
            link = self._own.link = Link(connect(self._url, host, self._read_seconds))
        return link


def connect(url: str, host: str, read_seconds: float) -> smtplib.SMTP:
    """A logged-in connection. smtps:// is TLS from the start; STARTTLS is used where offered,
    and demanded by smtp+starttls:// and wherever there is a password. Raises Busy."""
    parts = urlsplit(url)
    server = parts.hostname or "localhost"
    try:
        if parts.scheme == "smtps":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server, parts.port or 465, host, timeout=CONNECT_SECONDS, context=_tls()
            )
        else:
            smtp = smtplib.SMTP(server, parts.port or 25, host, timeout=CONNECT_SECONDS)
        smtp.ehlo_or_helo_if_needed()
        is_local = server in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme != "smtps" and smtp.has_extn("starttls"):
            smtp.starttls(context=_tls())
            smtp.ehlo()
        elif parts.scheme == "smtp+starttls" or (
            parts.username and parts.scheme != "smtps" and not is_local
        ):
            smtp.close()
            raise Busy("no STARTTLS offered")
        if parts.username:
            smtp.login(unquote(parts.username), unquote(parts.password or ""))
        if smtp.sock is not None:
            smtp.sock.settimeout(read_seconds)
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except smtplib.SMTPAuthenticationError as error:
        raise Busy("log-in refused") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Busy(f"not connected: {type(error).__name__}") from error
    return smtp


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once, and only where there is TLS: it reads all certificates of the machine."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Letter:
    """One recipient's message on its way."""

    recipient: Recipient
    envelope: bytes
    body: bytes


class Link:
    """A kept connection and how one speaks on it."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self.smtp = smtp
        self.is_broken = False
        self.used_at = time.monotonic()
        self.is_fast = smtp.has_extn("pipelining")
        self.takes_utf8 = smtp.has_extn("smtputf8")
        self._answered: set[str] = set()
        self._answers: BufferedReader | None = None

    def alive(self) -> bool:
        """Whether the server still answers after a pause."""
        try:
            if not self.is_fast:
                return self.smtp.noop()[0] == 250
            self.smtp.sock.sendall(b"NOOP\r\n")  # type: ignore[union-attr]
            return self._reply()[0] == 250
        except (OSError, smtplib.SMTPException):
            self.smtp.close()
            return False

    def send(self, mime: Mime, recipients: list[Recipient], report: Report) -> None:
        """Send to each; write into `report` what became of it."""
        letters = []
        sender = envelope_address(mime.parcel.from_email)[0] or mime.parcel.from_email
        for recipient in recipients:
            letter = self._letter(mime, sender, recipient)
            if letter is None:
                report.refused[recipient.delivery_id] = "address not possible"
            else:
                letters.append(letter)
        if not letters:
            return
        self._answered.clear()
        self.used_at = time.monotonic()
        if self.is_fast:
            self._send_pipelined(letters, report)
        else:
            self._send_plainly(letters, report)
        self.used_at = time.monotonic()

    def _letter(self, mime: Mime, sender: str, recipient: Recipient) -> Letter | None:
        address, utf8 = envelope_address(recipient.address)
        if address is None or (utf8 and not self.takes_utf8):
            return None
        option = " SMTPUTF8" if utf8 else ""
        envelope = f"MAIL FROM:<{sender}>{option}\r\nRCPT TO:<{address}>\r\nDATA\r\n"
        return Letter(recipient, envelope.encode(), mime.message(recipient))

    def _send_pipelined(self, letters: list[Letter], report: Report) -> None:
        """The next envelope goes out with each body; answers come back in order."""
        sock = self.smtp.sock
        assert sock is not None  # noqa: S101 - a link is made connected
        body_of: Letter | None = None
        try:
            sock.sendall(letters[0].envelope)
            for place, letter in enumerate(letters):
                body_of = None
                following = letters[place + 1].envelope if place + 1 < len(letters) else b""
                codes = [self._reply() for _ in range(3)]
                if codes[2][0] == 354:
                    if codes[1][0] in {250, 251}:
                        body_of = letter
                        sock.sendall(letter.body + following)
                        code, said = self._reply()
                        body_of = None
                        self._note(letter, code, said, report)
                        if code == 421:
                            raise smtplib.SMTPServerDisconnected
                        continue
                    # No recipient was taken, yet the server waits for a body: give it an empty one.
                    sock.sendall(b".\r\n")
                    self._reply()
                code, said = next((c for c in codes if c[0] >= 400 or c[0] < 0), codes[2])
                self._note(letter, code, said, report)
                if any(c[0] in {421, -1} for c in codes):
                    raise smtplib.SMTPServerDisconnected
                sock.sendall(b"RSET\r\n" + following)
                self._reply()
        except (OSError, smtplib.SMTPException):
            self._broke(letters, body_of, report)

    def _reply(self) -> tuple[int, bytes]:
        """The next answer of the server, of one line or several."""
        if self._answers is None:
            self._answers = self.smtp.sock.makefile("rb")  # type: ignore[union-attr]
        line = self._answers.readline(LONGEST_LINE)
        said = [line[4:].strip()]
        while line[3:4] == b"-":
            line = self._answers.readline(LONGEST_LINE)
            said.append(line[4:].strip())
        if len(line) < 4 or not line[:3].isdigit():
            raise smtplib.SMTPServerDisconnected
        return int(line[:3]), said[0] if len(said) == 1 else b" ".join(said)

    def _send_plainly(self, letters: list[Letter], report: Report) -> None:
        body_of: Letter | None = None
        try:
            for letter in letters:
                body_of = None
                mail, rcpt, _data = letter.envelope.decode().split(CRLF)[:3]
                code, said = self.smtp.docmd(mail)
                if code == 250:
                    code, said = self.smtp.docmd(rcpt)
                if code in {250, 251}:
                    code, said = self.smtp.docmd("DATA")
                if code == 354:
                    body_of = letter
                    self.smtp.send(letter.body)
                    code, said = self.smtp.getreply()
                    body_of = None
                    self._note(letter, code, said, report)
                else:
                    self._note(letter, code, said, report)
                    self.smtp.docmd("RSET")
        except (OSError, smtplib.SMTPException):
            self._broke(letters, body_of, report)

    def _note(self, letter: Letter, code: int, said: bytes, report: Report) -> None:
        self._answered.add(letter.recipient.key)
        if 200 <= code < 300:
            report.accepted += 1
        elif 400 <= code < 500 or code < 0:
            report.busy[letter.recipient.delivery_id] = reason_of(code, said)
        else:
            report.refused[letter.recipient.delivery_id] = reason_of(code, said)

    def _broke(self, letters: list[Letter], body_of: Letter | None, report: Report) -> None:
        """The connection is gone: only the message whose body had begun is in doubt."""
        self.is_broken = True
        self.smtp.close()
        settled = {*report.refused, *report.busy, *report.unknown}
        for letter in letters:
            delivery_id = letter.recipient.delivery_id
            if letter is body_of:
                report.unknown[delivery_id] = "connection lost"
            elif delivery_id not in settled and letter.recipient.key not in self._answered:
                report.untried.add(delivery_id)


def reason_of(code: int, said: bytes) -> str:
    """A machine reason: the codes alone, for the words may repeat the address."""
    if code < 0:
        return "smtp connection lost"
    enhanced = re.match(rb"([245]\.\d{1,3}\.\d{1,3})\b", said)
    return f"smtp {code} {enhanced[1].decode()}" if enhanced else f"smtp {code}"


@lru_cache(maxsize=4096)
def _a_label(domain: str) -> str | None:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain if domain.isascii() and domain else None


_UNFIT = re.compile(r"[\s<>\x00-\x1f\x7f]")


def envelope_address(address: str) -> tuple[str | None, bool]:
    """The address for an envelope and whether it needs SMTPUTF8; None where it can be none."""
    local, at, domain = address.rpartition("@")
    if not at or not local or _UNFIT.search(address):
        return None, False
    if address.isascii():
        return address, False
    label = _a_label(domain)
    return (None if label is None else f"{local}@{label}"), not local.isascii()


class Mime:
    """A letter encoded once, ready to take a recipient's values; signed when it has them."""

    def __init__(self, parcel: Parcel, signer: Signer | None = None) -> None:
        self.parcel = parcel
        self._signer = signer
        boundary = f"=_{parcel.content_id.hex}"
        head = [f"From: {parcel.sender}", f"Date: {format_datetime(clock.now())}"]
        if parcel.reply_to:
            head.append(f"Reply-To: {parseaddr(parcel.reply_to)[1] or parcel.reply_to}")
        alternative = f'Content-Type: multipart/alternative; boundary="{boundary}"'
        before, after = _around(parcel, alternative)
        head += ["MIME-Version: 1.0", *before[:1]]
        head += [f"To: <{A_RECIPIENT.address}>", f"Subject: {MARK}:subject:"]
        head += [f"{name}: {value}" for name, value in parcel.headers_for(A_RECIPIENT).items()]
        self._head = Stencil((CRLF.join(head) + CRLF).encode(), ["subject"])
        part = (
            f"--{boundary}\r\nContent-Type: text/{{}}; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
        pieces: list[Piece] = [(CRLF + "".join(before[1:]) + part.format("plain")).encode()]
        pieces += _encoded(parcel.text, is_html=False)
        pieces.append((CRLF + part.format("html")).encode())
        pieces += _encoded(parcel.html, is_html=True)
        pieces.append(f"\r\n--{boundary}--\r\n{after}".encode())
        self._pieces = _joined(pieces)
        self._subject_fields = sorted(merge.names_in(parcel.subject))

    def message(self, recipient: Recipient) -> bytes:
        """Headers and body for one recipient, ended by its dot.

        No line begins with a dot, so what is signed is what travels.
        """
        values = recipient.values
        about = tuple([(name, values.get(name) or "") for name in self._subject_fields])
        out = [
            self._head.fill(
                {
                    "id": recipient.key.encode(),
                    "address": recipient.address.encode(),
                    "link": recipient.unsubscribe_url.encode(),
                    "subject": subject_header(self.parcel.subject, about),
                }
            )
        ]
        links: dict[str, bytes] = {}
        for piece in self._pieces:
            if isinstance(piece, bytes):
                out.append(piece)
                continue
            (name, fallback), is_html = piece
            value = values.get(name) or ""
            if name not in merge.LINK_FIELDS:
                out.append(spliced(value, fallback, is_html))
                continue
            link = links.get(name)  # both bodies have it
            if link is None:
                link = links[name] = quoted(value)
            out.append(link)
        if self._signer is not None:
            out.insert(0, self._signer.sign(b"".join(out)))
        out.append(b".\r\n")
        return b"".join(out)


def _around(parcel: Parcel, alternative: str) -> tuple[list[str], str]:
    """The content type of the whole message and what opens its body; and what follows the texts.

    With a calendar file the two texts become the first part of multipart/mixed, the file the
    second. No line of base64 begins with a dot, so nothing needs stuffing.
    """
    if not parcel.calendar:
        return [alternative], ""
    boundary = f"=m_{parcel.content_id.hex}"
    file = encodebytes(parcel.calendar.encode()).decode().replace("\n", CRLF)
    return (
        [
            f'Content-Type: multipart/mixed; boundary="{boundary}"',
            f"--{boundary}{CRLF}{alternative}{CRLF}{CRLF}",
        ],
        (
            f"--{boundary}\r\nContent-Type: {parcel.calendar_type}; name={CALENDAR_NAME}\r\n"
            f"Content-Disposition: attachment; filename={CALENDAR_NAME}\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{file}--{boundary}--\r\n"
        ),
    )


Piece = bytes | tuple[tuple[str, str], bool]


def _encoded(source: str, *, is_html: bool) -> list[Piece]:
    """Literal parts as quoted-printable; fields on lines of their own between soft breaks."""
    pieces: list[Piece] = []
    for part in merge.parse(source.replace("\r\n", "\n").replace("\r", "\n")):
        if isinstance(part, str):
            pieces.append(quoted(part))
        else:
            pieces += [b"=\r\n", ((part.name, part.fallback), is_html), b"=\r\n"]
    return pieces


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring literals as one."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] = joined[-1] + piece
        else:
            joined.append(piece)
    return joined


@lru_cache(maxsize=16384)
def spliced(value: str, fallback: str, is_html: bool) -> bytes:
    """A value as it is put into a body; remembered, for names are few and recipients many."""
    line = " ".join(value.split())
    if is_html:
        return quoted(merge.in_html(merge.Field("", fallback), line))
    return quoted(line or fallback)


_SIMPLE = re.compile(r"[!-<>-~][ -<>-~]*[!-<>-~]|[!-<>-~]")
_LINE = 72


_LEADING_DOT = re.compile(rb"(?m)^\.([^\r\n]*)")
_LONGEST_REST = 73  # of a line of 76 (RFC 2045, 6.7) behind "=2E"


def quoted(text: str) -> bytes:
    """Quoted-printable with CRLF; no line begins with a dot, so nothing needs stuffing."""
    if _SIMPLE.fullmatch(text):  # a link, most names: nothing to encode, only lines to break
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        raw = "=\r\n".join(lines).encode()
    else:
        raw = quopri.encodestring(text.encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return _LEADING_DOT.sub(_hide_dot, raw) if raw[:1] == b"." or b"\n." in raw else raw


def _hide_dot(line: re.Match[bytes]) -> bytes:
    """A leading dot as =2E; a line without room for it is broken behind it."""
    rest: bytes = line[1]
    if len(rest) <= _LONGEST_REST:
        return b"=2E" + rest
    return b"=2E=\r\n" + _LEADING_DOT.sub(_hide_dot, rest)


@lru_cache(maxsize=4096)
def subject_header(subject: str, values: tuple[tuple[str, str], ...]) -> bytes:
    """A subject with its fields filled in, as a header's value; remembered, as `spliced`."""
    return header_text(one_line(merge.merge_text(subject, dict(values)))).encode()


@lru_cache(maxsize=4096)
def header_text(text: str) -> str:
    """A header value as RFC 2047 wants it, folded."""
    if text.isascii() and len(text) < 66:
        return text
    return Header(text, "ascii" if text.isascii() else "utf-8", maxlinelen=70).encode(linesep=CRLF)
