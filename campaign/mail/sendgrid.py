"""SendGrid's v3 API through its own SDK: the only file that knows it.

One request carries up to MAIL_BATCH_SIZE recipients. Per-recipient values travel as
`substitutions` under keys that nobody can type, each recipient carries its opaque delivery id in
`custom_args`, and SendGrid's own tracking and unsubscribe footers are off in every message.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from html import unescape
from typing import Any, NamedTuple, NoReturn

import orjson
import python_http_client
import sendgrid
from markupsafe import escape
from python_http_client.exceptions import HTTPError

from campaign import clock
from campaign.errors import Busy, Unknown
from campaign.mail import merge
from campaign.mail.letters import CALENDAR_NAME
from campaign.mail.transports import (
    A_RECIPIENT,
    MARK,
    Invalid,
    Pace,
    Parcel,
    Recipient,
    Report,
    Stencil,
    Throttled,
    one_line,
)
from campaign.settings import Settings

CONNECT_SECONDS = 5.0
DEFAULT_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 3600.0
EPOCH_FLOOR = 1_000_000_000
WRONG_INSTALLATION = frozenset({401, 403, 404, 405, 407, 408})

# At DEBUG the SDK writes the Authorization header and the payload into the log.
logging.getLogger("python_http_client.client").setLevel(logging.WARNING)
logging.getLogger("python_http_client").setLevel(logging.WARNING)

TRACKING_OFF = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}


class _Body(bytes):
    """A serialized body as the SDK handles one: it "encodes" it, and formats it for its log even
    where nothing is logged. Both would copy it, and the second would show addresses."""

    def encode(self, _encoding: str) -> bytes:
        return self

    def __format__(self, _spec: str) -> str:
        return f"{len(self)} bytes"


class NotConnected(Exception):
    """No connection came about (DNS, refused, TLS, timeout): no byte of a body left."""


class SendGrid:
    """Hands whole parcels to SendGrid."""

    name = "sendgrid"
    is_stepwise = False

    def __init__(self, settings: Settings) -> None:
        self._key = settings.sendgrid_api_key
        self._host = settings.sendgrid_base_url
        self._read_seconds = settings.mail_read_seconds
        self._own = threading.local()

    def send(self, parcel: Parcel, pace: Pace) -> Report:
        body = _Body(payload(parcel))
        if not pace(len(parcel.recipients)):  # asked last: a worker may have been frozen until now
            return Report(untried={recipient.delivery_id for recipient in parcel.recipients})
        try:
            response = self._client().mail.send.post(request_body=body)
        except HTTPError as error:
            _translate(error)
        except NotConnected as error:
            raise Busy("not connected") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unknown(f"connection lost: {type(error).__name__}") from error
        if response.status_code not in {200, 202}:
            raise Unknown(f"status {response.status_code}")
        report = Report(accepted=len(parcel.recipients))
        if str(response.headers.get("X-RateLimit-Remaining", "")).strip() == "0":
            report.wait_seconds = wait_of(response.headers)
        return report

    def reconcile(self, delivery_ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        return None

    def _client(self) -> Any:
        """A client for this thread: the SDK's keeps its headers in one shared dictionary."""
        if not hasattr(self._own, "client"):
            api = sendgrid.SendGridAPIClient(self._key, host=self._host)
            headers = {
                **api.client.request_headers,
                "Content-Type": "application/json; charset=utf-8",
            }
            self._own.client = _Client(
                host=self._host, request_headers=headers, version=3, timeout=self._read_seconds
            )
        return self._own.client


class Slot(NamedTuple):
    """A merge field of a letter as SendGrid fills it: a key in the letter, a value for each."""

    key: str
    name: str
    fallback: str
    is_html: bool
    is_link: bool


@dataclass(frozen=True, slots=True)
class Form:
    """A letter with its merge fields replaced by keys."""

    subject: str
    text: str
    html: str
    slots: tuple[Slot, ...]


@lru_cache(maxsize=64)
def form_of(content_id: uuid.UUID, subject: str, text: str, html: str) -> Form:
    """The letter for SendGrid. Keys hold part of the content's own hash, so no text contains one."""
    tag = content_id.hex[:10]
    slots: dict[tuple[merge.Field, bool], Slot] = {}

    def replaced(source: str, is_html: bool) -> str:
        out = []
        for part in merge.parse(source):
            if isinstance(part, str):
                out.append(part)
                continue
            # Our own links need no escaping: one key serves both bodies.
            is_link = part.name in merge.LINK_FIELDS
            key = (part, is_html and not is_link)
            if key not in slots:
                fallback = unescape(part.fallback) if key[1] else part.fallback
                slots[key] = Slot(
                    f"-{tag}.{len(slots)}-", part.name, fallback, is_html=key[1], is_link=is_link
                )
            out.append(slots[key].key)
        return "".join(out)

    filled = replaced(one_line(subject), False), replaced(text, False), replaced(html, True)
    return Form(*filled, tuple(slots.values()))


def payload(parcel: Parcel) -> bytes:
    """The JSON body of `POST /v3/mail/send` for a parcel.

    The constant part and the shape of a recipient's part are serialized once; for each recipient
    only the values are.
    """
    form = form_of(parcel.content_id, parcel.subject, parcel.text, parcel.html)
    body: dict[str, Any] = {
        "from": _named(parcel.from_email, parcel.from_name),
        "subject": form.subject or "-",
        "content": [
            {"type": "text/plain", "value": form.text},
            {"type": "text/html", "value": form.html},
        ],
        "tracking_settings": TRACKING_OFF,
    }
    if parcel.calendar:
        body["attachments"] = [
            {
                "content": b64encode(parcel.calendar.encode()).decode(),
                "type": parcel.calendar_type,
                "filename": CALENDAR_NAME,
                "disposition": "attachment",
            }
        ]
    if parcel.reply_to:
        body["reply_to"] = {"email": parcel.reply_to}
    shape: dict[str, Any] = {
        "to": [{"email": A_RECIPIENT.address}],
        "custom_args": {"delivery": A_RECIPIENT.delivery_id.hex},
        "headers": parcel.headers_for(A_RECIPIENT),
    }
    if form.slots:
        shape["substitutions"] = {slot.key: f"{MARK}:{slot.key}:" for slot in form.slots}
    stencil = Stencil(orjson.dumps(shape), [slot.key for slot in form.slots])
    people = stencil.fill_each(_columns(parcel.recipients, form.slots))
    return b"".join((orjson.dumps(body)[:-1], b',"personalizations":[', b",".join(people), b"]}"))


def _named(email: str, name: str) -> dict[str, str]:
    return {"email": email, "name": name} if name else {"email": email}


def _columns(
    recipients: Sequence[Recipient], slots: tuple[Slot, ...]
) -> dict[str, Sequence[bytes]]:
    """All recipients' values under each name, each as the inside of a JSON string."""
    given = [recipient.values for recipient in recipients]
    columns: dict[str, Sequence[bytes]] = {
        "id": [recipient.key.encode() for recipient in recipients],
        "address": _insides([recipient.address for recipient in recipients]),
        "link": [recipient.unsubscribe_url.encode() for recipient in recipients],
    }
    for key, name, fallback, is_html, is_link in slots:
        column = [values.get(name) or "" for values in given]
        if is_link:
            columns[key] = _insides(column)
        else:
            columns[key] = [_shaped(value, fallback, is_html) for value in column]
    return columns


def _insides(texts: list[str]) -> list[bytes]:
    """Each text as the inside of a JSON string, for the price of one of them: indented, they stand
    on lines of their own, and a line break within a text is escaped."""
    return orjson.dumps(texts, option=orjson.OPT_INDENT_2)[5:-3].split(b'",\n  "')


@lru_cache(maxsize=16384)
def _shaped(value: str, fallback: str, is_html: bool) -> bytes:
    """A value as it is put in; remembered, for first names are few and recipients many."""
    line = " ".join(value.split()) or fallback
    return orjson.dumps(str(escape(line)) if is_html else line)[1:-1]


def wait_of(headers: Any) -> float:
    """How many seconds the provider asks us to wait (Retry-After, else X-RateLimit-Reset)."""
    wait: float | None = None
    after = str(headers.get("Retry-After") or "").strip()
    if after:
        try:
            wait = float(after)
        except ValueError:
            try:
                at = parsedate_to_datetime(after)
                at = at if at.tzinfo else at.replace(tzinfo=UTC)
                wait = (at - clock.now()).total_seconds()
            except ValueError:
                wait = None
    if wait is None:
        try:
            reset = float(str(headers.get("X-RateLimit-Reset") or "").strip())
            wait = reset - time.time() if reset > EPOCH_FLOOR else reset
        except ValueError:
            wait = DEFAULT_WAIT_SECONDS
    return min(max(wait, 0.1), LONGEST_WAIT_SECONDS)


def _translate(error: Any) -> NoReturn:
    status = int(error.status_code)
    if status == 429:
        raise Throttled("status 429", retry_after=wait_of(error.headers)) from error
    if status in WRONG_INSTALLATION:
        raise Busy(f"status {status}") from error
    if 400 <= status < 500:
        raise Invalid(f"status {status}") from error
    raise Unknown(f"status {status}") from error


class _Client(python_http_client.Client):  # type: ignore[misc]  # the SDK carries no types
    """The SDK's client with timeouts of ours, no redirects, and a clear word on not connecting."""

    def _build_client(self, name: str | None = None) -> Any:
        return _Client(
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
            timeout=self.timeout,
        )

    def _make_request(self, opener: Any, request: Any, timeout: float | None = None) -> Any:
        return super()._make_request(_opener(self.timeout), request, timeout=CONNECT_SECONDS)


class _Connecting:
    """Mixed into a connection: short patience while connecting, longer for the answer."""

    sock: Any

    def __init__(self, *arguments: Any, read_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._read_seconds = read_seconds

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]  # the connection class comes second
        except OSError as error:
            raise NotConnected from error
        self.sock.settimeout(self._read_seconds)


class _Plain(_Connecting, http.client.HTTPConnection):
    pass


class _TLS(_Connecting, http.client.HTTPSConnection):
    pass


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, read_seconds: float) -> None:
        super().__init__()
        self._read_seconds = read_seconds

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Plain, read_seconds=self._read_seconds), request)


class _TLSHandler(urllib.request.HTTPSHandler):
    def __init__(self, read_seconds: float) -> None:
        super().__init__()
        self._read_seconds = read_seconds

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TLS, read_seconds=self._read_seconds), request)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would take the key elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


@lru_cache(maxsize=4)
def _opener(read_seconds: float) -> urllib.request.OpenerDirector:
    """Made once: a new TLS context reads all certificates of the machine."""
    return urllib.request.build_opener(
        _PlainHandler(read_seconds), _TLSHandler(read_seconds), _NoRedirect
    )
