"""What at the door needs no database: which of two messages counts, and how many will come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from campaign.checkin.models import SignIn

KEY = re.compile(r"[A-Za-z0-9_-]{8,40}")
MOST_SKEW = timedelta(minutes=2)
UNDO_MINUTES = 10
GUESS = 0.6
GUESS_WEIGHT = 20
DOOR_OPENS = timedelta(hours=12)


def is_key(text: str) -> bool:
    """Whether this can be the key of a device's sign-in."""
    return KEY.fullmatch(text) is not None


def moment_of(at_ms: float, sent_ms: float, now: datetime) -> datetime:
    """When something happened, by the clock of a device that may be wrong.

    A clock that is right within two minutes is believed, so that what one device says stays in
    order. Another is corrected by how far it is off. Nothing happens in the future.
    """
    at = _instant(at_ms, now)
    off = now - _instant(sent_ms, now)
    if abs(off) > MOST_SKEW:
        at += off
    return min(at, now)


def _instant(milliseconds: float, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, now.tzinfo)
    except (OverflowError, OSError, ValueError):
        return now


def is_newer(row: SignIn, key: str, at: datetime) -> bool:
    """Whether signing in by `key` at `at` comes after all that is known of this sign-in.

    The same key is the same pressing of the button: undone once, it stays undone however often
    it is sent. The last of several pressings counts, in whatever order they come.
    """
    return row.client_key != key and at > (row.undone_at or row.at)


def is_undone_by(row: SignIn, key: str, at: datetime) -> bool:
    """Whether an undoing of `key` at `at` takes this sign-in back: its own, or a later one."""
    return row.undone_at is None and (row.client_key == key or at > row.at)


@dataclass(frozen=True, slots=True)
class Past:
    """What past dates say: how many dates, who had said yes there, who signed in."""

    dates: int = 0
    said: int = 0
    came: int = 0

    def __add__(self, other: Past) -> Past:
        return Past(self.dates + other.dates, self.said + other.said, self.came + other.came)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many will come, and what that rests on."""

    people: int
    share: float
    basis: Past
    is_of_kind: bool

    @property
    def is_guess(self) -> bool:
        return self.basis.dates == 0


def share_coming(of_kind: Past, of_all: Past) -> float:
    """The share of those who say yes that comes.

    Few past dates say little: the kind's own share is drawn to the organization's, and that to a
    plain guess, each as strongly as if twenty people had shown it.
    """
    everywhere = (of_all.came + GUESS_WEIGHT * GUESS) / (of_all.said + GUESS_WEIGHT)
    return (of_kind.came + GUESS_WEIGHT * everywhere) / (of_kind.said + GUESS_WEIGHT)


def forecast(said_yes: int, of_kind: Past, of_all: Past) -> Forecast:
    """How many of `said_yes` people will come, walk-ins included."""
    share = share_coming(of_kind, of_all)
    basis = of_kind if of_kind.dates else of_all
    return Forecast(round(said_yes * share), share, basis, bool(of_kind.dates))
