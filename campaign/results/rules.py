"""Hours and days of a report, and mail domains gathered so that none points at a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from campaign import clock
from campaign.web.few import SMALL, Shown, veil_column

# --- over time -----------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
HOURS = 48
MOST_DAYS = 60
QUARTER_SECONDS = 900
"""In these times are counted: quarters add up to hours in every zone of the world."""


@dataclass(frozen=True, slots=True)
class Span:
    """An hour or a day, or what is left of one, from `start` until before `end` (UTC)."""

    start: datetime
    end: datetime
    is_hour: bool


def spans(start: datetime, until: datetime, zone_name: str) -> list[Span]:
    """The hours of the first two days after `start` and the days after them, up to `until`.

    An hour begins when the clock on the wall of the zone says so. A day is from midnight to
    midnight there: the one on which clocks change has 23 or 25 hours. The first begins where the
    hours end.
    """
    zone = clock.zone(zone_name)
    local = start.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    at = start - past
    found: list[Span] = []
    while at <= until and len(found) < HOURS:
        found.append(Span(at, at + HOUR, is_hour=True))
        at += HOUR
    day = at.astimezone(zone).date()
    while at <= until and len(found) < HOURS + MOST_DAYS:
        day += timedelta(days=1)
        midnight = clock.to_utc(datetime.combine(day, datetime.min.time()), zone_name)
        if midnight > at:
            found.append(Span(at, midnight, is_hour=False))
            at = midnight
    return found


def spread(points: Mapping[datetime, int], found: Sequence[Span]) -> list[int]:
    """How much falls into each span. What was before the first is in it, what is after the last in
    that: nothing is lost."""
    counts = [0] * len(found)
    if not found:
        return counts
    place = 0
    for at, count in sorted(points.items()):
        while place < len(found) - 1 and at >= found[place].end:
            place += 1
        counts[place] += count
    return counts


# --- mail domains --------------------------------------------------------------------------------

PROVIDERS: dict[str, tuple[str, ...]] = {
    "Gmail": ("gmail.com", "googlemail.com"),
    "Yahoo, AOL": (
        "yahoo.com",
        "ymail.com",
        "rocketmail.com",
        "aol.com",
        "yahoo.es",
        "yahoo.com.mx",
        "yahoo.ca",
        "yahoo.co.uk",
    ),
    "Outlook, Hotmail": (
        "outlook.com",
        "hotmail.com",
        "live.com",
        "msn.com",
        "outlook.es",
        "hotmail.es",
        "live.com.mx",
        "hotmail.co.uk",
    ),
    "iCloud": ("icloud.com", "me.com", "mac.com"),
    "Comcast": ("comcast.net", "xfinity.com"),
    "AT&T": ("att.net", "sbcglobal.net", "bellsouth.net", "ameritech.net"),
    "Proton": ("proton.me", "protonmail.com", "pm.me"),
}
"""Mail services with many names."""
_NAMES = {domain: name for name, domains in PROVIDERS.items() for domain in domains}


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """A mail service, or all the small ones together (then `name` is empty)."""

    name: str
    people: int
    hard: Shown
    soft: Shown


@dataclass(slots=True)
class _Sum:
    people: int = 0
    hard: int = 0
    soft: int = 0

    def add(self, other: _Sum) -> None:
        self.people += other.people
        self.hard += other.hard
        self.soft += other.soft


def gather(
    people: Mapping[str, int], hard: Mapping[str, int], soft: Mapping[str, int]
) -> list[Mailboxes]:
    """Domains with their recipients and returns, as mail services, the largest first.

    Whoever has fewer than ten recipients is among the small ones, and so are the smallest of the
    others while those together have fewer than ten.
    """
    sums: dict[str, _Sum] = {}
    for domain in {*people, *hard, *soft}:
        name = _NAMES.get(domain, domain)
        sums.setdefault(name, _Sum()).add(
            _Sum(people.get(domain, 0), hard.get(domain, 0), soft.get(domain, 0))
        )
    rest = sums.pop("", _Sum())  # of whom the domain is not known any more
    named = sorted(sums.items(), key=lambda pair: (-pair[1].people, pair[0]))
    while named and (named[-1][1].people < SMALL or 0 < rest.people < SMALL):
        rest.add(named.pop()[1])
    rows = [*named, *([("", rest)] if rest.people else [])]
    columns = zip(
        veil_column([row.hard for _name, row in rows]),
        veil_column([row.soft for _name, row in rows]),
        strict=True,
    )
    return [
        Mailboxes(name, row.people, hard_shown, soft_shown)
        for (name, row), (hard_shown, soft_shown) in zip(rows, columns, strict=True)
    ]


# --- why e-mails came back -----------------------------------------------------------------------

NO_MAILBOX = "no mailbox"
OVER_QUOTA = "mailbox full"
MAILBOX_OFF = "mailbox off"
THEIR_SYSTEM = "their system"
UNREACHABLE = "unreachable"
CONTENT = "content"
POLICY = "policy"
OTHER = "other"


def return_reason(status: str) -> str:
    """What an enhanced status code (RFC 3463, "5.1.1") says, in a word for machines."""
    parts = status.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return OTHER
    subject, detail = parts[1], parts[2]
    if subject == "2":
        return {"1": MAILBOX_OFF, "2": OVER_QUOTA}.get(detail, MAILBOX_OFF)
    return {
        "1": NO_MAILBOX,
        "3": THEIR_SYSTEM,
        "4": UNREACHABLE,
        "6": CONTENT,
        "7": POLICY,
    }.get(subject, OTHER)


def last_status(reasons: Iterable[str]) -> str:
    """The status code in the last of a provider's reasons that has one: "bounce 5.1.1"."""
    found = ""
    for reason in reasons:
        word = reason.rpartition(" ")[2]
        found = word if word.replace(".", "").isdigit() else found
    return found


def summed(counts: Iterable[tuple[datetime, int]]) -> Counter[datetime]:
    """Counts by their time, those of the same added up."""
    found: Counter[datetime] = Counter()
    for at, count in counts:
        found[at] += count
    return found
