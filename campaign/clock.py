"""The one clock.

Everything that asks for the time asks here, so that a test can replace it and so that no naive
datetime ever enters the system: all instants are aware and in UTC; wall time is made from them
with an IANA zone only where a person reads it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.now(UTC)


def zone(name: str) -> ZoneInfo:
    """The IANA zone called `name`; raises ValueError when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {name!r}") from error


def to_utc(wall: datetime, zone_name: str) -> datetime:
    """The instant of a wall time in a zone.

    A time that happens twice (the clocks go back) means the first; one that never happens (they
    go forward) moves on by the length of the gap, as RFC 5545 section 3.3.5 reads it.
    """
    if wall.tzinfo is not None:
        raise ValueError("a wall time carries no zone of its own")
    return wall.replace(tzinfo=zone(zone_name), fold=0).astimezone(UTC)
