"""What every way out of the door promises: one parcel in, one report out.

A transport is called with no transaction open. It either reports what became of each recipient,
or raises for the whole parcel: Refused (a definite no, for good), Throttled or Busy (a definite
no, later), Unknown (a byte of the body may have arrived). It keeps no rows and knows no people.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

from campaign.errors import Busy
from campaign.mail import merge
from campaign.mail.letters import calendar_type

ONE_CLICK = "List-Unsubscribe=One-Click"
"""The whole body of RFC 8058's POST, and the value of its header."""


class Throttled(Busy):
    """The provider asks everybody to wait (429): no mark against the message."""


class Invalid(Exception):
    """The provider finds the parcel itself wrong (400): some recipient in it may be at fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Recipient(NamedTuple):
    """One e-mail of a parcel. `values` fill the letter's fields, links included.

    `key` is the delivery's id as it travels, hexadecimal: as an object it is seldom wanted.
    """

    key: str
    address: str
    values: dict[str, str]
    unsubscribe_url: str = ""

    @property
    def delivery_id(self) -> uuid.UUID:
        return uuid.UUID(hex=self.key)


@dataclass(frozen=True)
class Parcel:
    """One request to the provider: a letter, its sender, its recipients."""

    content_id: uuid.UUID
    subject: str
    text: str
    html: str
    calendar: str
    from_name: str
    from_email: str
    reply_to: str
    host: str
    is_bulk: bool
    is_automated: bool
    list_id: str
    list_name: str
    recipients: tuple[Recipient, ...]

    @cached_property
    def sender(self) -> str:
        """The From header, encoded (RFC 2047) and quoted as its name needs it."""
        return formataddr((one_line(self.from_name), self.from_email), "utf-8")

    @cached_property
    def list_header(self) -> str:
        """The List-Id header (RFC 2919); its phrase is encoded as a name of a sender is."""
        return formataddr((one_line(self.list_name), self.list_id), "utf-8")

    @cached_property
    def calendar_type(self) -> str:
        """The attachment's content type. Its method is the one its text says (RFC 6047, 2.4)."""
        return calendar_type(self.calendar)

    def message_id(self, recipient: Recipient) -> str:
        """The same for every attempt, so that even a repeated e-mail is one to a mail reader."""
        return f"<{recipient.key}@{self.host}>"

    def headers_for(self, recipient: Recipient) -> dict[str, str]:
        """What mail adds by itself, so that no author can forget it."""
        headers = {"Message-ID": self.message_id(recipient)}
        if self.is_bulk:
            headers["List-Unsubscribe"] = f"<{recipient.unsubscribe_url}>"
            headers["List-Unsubscribe-Post"] = ONE_CLICK
            headers["List-Id"] = self.list_header
        elif self.is_automated:
            headers["Auto-Submitted"] = "auto-generated"
        return headers


MARK = secrets.token_hex(12)
"""No text of anybody contains it: it marks the places of values in what is built once."""
A_RECIPIENT = Recipient(secrets.token_hex(16), f"{MARK}.address", {}, f"{MARK}.link")


class Stencil:
    """Text built once for `A_RECIPIENT`, cut where a recipient's own values go."""

    def __init__(self, text: bytes, names: Sequence[str] = ()) -> None:
        marks = {A_RECIPIENT.key: "id", A_RECIPIENT.address: "address"}
        marks |= {A_RECIPIENT.unsubscribe_url: "link"} | {f"{MARK}:{name}:": name for name in names}
        cut = re.compile(b"|".join(re.escape(mark.encode()) for mark in marks))
        self._names = [marks[match[0].decode()] for match in cut.finditer(text)]
        self._form = b"%b".join(piece.replace(b"%", b"%%") for piece in cut.split(text))

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The text with a recipient's values (by name, each in the encoding of the text)."""
        return self._form % tuple([values[name] for name in self._names])

    def fill_each(self, columns: Mapping[str, Sequence[bytes]]) -> list[bytes]:
        """The text for many recipients: of each name the values of all of them, in one order."""
        form = self._form
        return [form % row for row in zip(*[columns[name] for name in self._names], strict=True)]


@dataclass(slots=True)
class Report:
    """What became of each recipient of a parcel; nobody is in two of these.

    `untried` went nowhere because sending was told to stop: no byte of theirs left.
    `wait_seconds` is what the provider asks everybody to wait before the next request.
    """

    accepted: int = 0
    refused: dict[uuid.UUID, str] = field(default_factory=dict)
    busy: dict[uuid.UUID, str] = field(default_factory=dict)
    unknown: dict[uuid.UUID, str] = field(default_factory=dict)
    untried: set[uuid.UUID] = field(default_factory=set)
    wait_seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.refused or self.busy or self.unknown or self.untried)


class Pace(Protocol):
    """How fast, and whether to go on. A transport asks before each `step` recipients."""

    @property
    def step(self) -> int:
        """How many recipients may go between two questions."""

    def __call__(self, count: int) -> bool:
        """Wait until `count` more may go; False when sending must stop."""


class Transport(Protocol):
    """A way out of the door. `is_stepwise`: it sends recipients one by one."""

    name: str
    is_stepwise: bool

    def send(self, parcel: Parcel, pace: Pace) -> Report:
        """Hand the parcel over."""

    def reconcile(self, delivery_ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        """Which of these it certainly has; None when it cannot tell."""


@lru_cache(maxsize=8192)
def one_line(text: str) -> str:
    """A header value: no line breaks, no controls."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


def subject_for(parcel: Parcel, recipient: Recipient) -> str:
    """The subject for one recipient."""
    return one_line(merge.merge_text(parcel.subject, recipient.values))
