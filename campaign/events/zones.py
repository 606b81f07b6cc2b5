"""A time zone as iCalendar writes it: when its clocks change, by rule where there is one.

A calendar program may know an IANA zone by its name or not, and may hold an old table of it; so a
file brings the zone along (VTIMEZONE). The rules are read off the zone itself, year by year: "the
second Sunday of March at 2:00" is what all years have in common. A zone whose changes follow no
yearly rule (Ramadan, an end of summer time) lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from campaign import clock

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)
YEARS_AHEAD = 12
"""How many years a rule is read off: in fewer, the last Sunday might always be the fourth."""


@dataclass(frozen=True, slots=True)
class Change:
    """The clocks change: `wall` is what they show just before, in the old offset."""

    wall: datetime
    before: timedelta
    after: timedelta
    name: str


@lru_cache(maxsize=256)
def zone_lines(zone: str, first_year: int, last_year: int) -> tuple[str, ...]:
    """The lines of the VTIMEZONE of an IANA zone, right from `first_year` through `last_year`."""
    place = clock.zone(zone)
    start = first_year - 1
    changes = _changes(place, start, max(last_year + 1, first_year + YEARS_AHEAD))
    rules = _rules(changes, start, max(last_year + 1, first_year + YEARS_AHEAD))
    if rules is None:
        end = last_year + 1
        changes = [change for change in changes if change.wall.year <= end]
        rules = _rules(changes, start, end)
    if rules is None:
        rules = _listed(place, start, changes)
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone}"]
    for change, when in rules:
        kind = "DAYLIGHT" if change.after > change.before else "STANDARD"
        lines += [f"BEGIN:{kind}", f"DTSTART:{change.wall:%Y%m%dT%H%M%S}"]
        lines += [when] if when else []
        lines += [
            f"TZOFFSETFROM:{_offset(change.before)}",
            f"TZOFFSETTO:{_offset(change.after)}",
            f"TZNAME:{change.name}",
            f"END:{kind}",
        ]
    return (*lines, "END:VTIMEZONE")


def _changes(place: tzinfo, first_year: int, last_year: int) -> list[Change]:
    """All changes of the offset from one year through another, found day by day."""
    found = []
    at = datetime(first_year, 1, 1, tzinfo=UTC) - DAY
    end = datetime(last_year + 1, 1, 1, tzinfo=UTC) + DAY
    before = _offset_at(place, at)
    while at < end:
        after = _offset_at(place, at + DAY)
        if after != before:
            moment = _moment(place, at, before)
            wall = (moment + before).replace(tzinfo=None)
            name = moment.astimezone(place).tzname() or ""
            if first_year <= wall.year <= last_year:
                found.append(Change(wall, before, after, name))
            before = after
        at += DAY
    return found


def _moment(place: tzinfo, at: datetime, before: timedelta) -> datetime:
    """The second at which the offset is another than `before`, within a day from `at`."""
    low, high = 0, 24 * 3600
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(place, at + timedelta(seconds=middle)) == before:
            low = middle
        else:
            high = middle
    return at + timedelta(seconds=high)


def _offset_at(place: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(place).utcoffset() or timedelta()


Observances = list[tuple[Change, str]]
"""Each with its rule or its further dates; "" where its own DTSTART is all."""


def _rules(changes: Sequence[Change], first_year: int, last_year: int) -> Observances | None:
    """One yearly rule for each way the clocks change; None where the years differ.

    A zone whose clocks never change has one observance, which began long ago.
    """
    groups: dict[tuple[timedelta, timedelta], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.before, change.after), []).append(change)
    years = list(range(first_year, last_year + 1))
    found = []
    for group in groups.values():
        if [change.wall.year for change in group] != years:
            return None
        rule = _rule([change.wall for change in group])
        if rule is None:
            return None
        found.append((group[0], f"RRULE:{rule}"))
    return found or None


def _rule(walls: Sequence[datetime]) -> str | None:
    """What walls of consecutive years have in common as an RRULE, or None."""
    if len({(wall.month, wall.weekday(), wall.time()) for wall in walls}) != 1:
        return None
    month, day = walls[0].month, WEEKDAYS[walls[0].weekday()]
    begin = f"FREQ=YEARLY;BYMONTH={month}"
    if all((wall + 7 * DAY).month != month for wall in walls):
        return f"{begin};BYDAY=-1{day}"
    weeks = {(wall.day - 1) // 7 + 1 for wall in walls}
    if len(weeks) == 1:
        return f"{begin};BYDAY={weeks.pop()}{day}"
    days = [wall.day for wall in walls]
    first = min(days)
    if max(days) - first > 6:
        return None
    # "The Friday before the last Sunday": seven days of the month hold one of each weekday.
    return f"{begin};BYMONTHDAY={','.join(str(first + n) for n in range(7))};BYDAY={day}"


def _listed(place: tzinfo, first_year: int, changes: Sequence[Change]) -> Observances:
    """Each change by itself, behind the offset with which the first year begins."""
    begin = datetime(first_year, 1, 1, tzinfo=UTC)
    local = begin.astimezone(place)
    offset = local.utcoffset() or timedelta()
    if not changes:
        begin = datetime(1970, 1, 1, tzinfo=UTC)
    start = Change(begin.replace(tzinfo=None), offset, offset, local.tzname() or "")
    return [(start, ""), *((change, "") for change in changes)]


def _offset(offset: timedelta) -> str:
    """An offset from UTC as iCalendar writes it: +0530, -0600."""
    seconds = int(offset.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{sign}{hours:02}{minutes:02}{f'{rest:02}' if rest else ''}"
