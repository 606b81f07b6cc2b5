"""The grammar of dates: which walls a series has, what instant a wall is, when a reminder is due.

A *wall* is a naive local time, what the clock on the wall shows. Series are counted in walls, so
"every Tuesday at 18:00" stays 18:00 when the clocks change; only `resolve` makes an instant of
one. A wall that never happens (the clocks go forward) moves on by the length of the gap; one that
happens twice (they go back) means the first (RFC 5545, section 3.3.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any
from zoneinfo import available_timezones

from babel.dates import format_date, format_time, get_day_names
from dateutil.rrule import MONTHLY, WEEKLY, rrule, weekday
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.errors import Invalid

MOST_YEARS = 5
MOST_DATES = 500
MOST_INTERVAL = 12
EARLIEST_YEAR, LATEST_YEAR = 1970, 2200
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""iCalendar's names, Monday first, as `datetime.weekday` counts."""
ORDINALS = (1, 2, 3, 4, -1)
"""Which weekday of a month; -1 is the last. A fifth one is not in every month."""


# --- walls and instants ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    """The instant of a wall, and what the wall shows then.

    `oddity` is "gap" for a time that never happens (`shown` is the later one that is meant),
    "fold" for one that happens twice (the first is meant), else "".
    """

    at: datetime
    shown: datetime
    oddity: str = ""


def resolve(wall: datetime, zone: str) -> Resolved:
    """The instant (UTC) of a wall in an IANA zone.

    Raises Invalid at `zone` for an unknown one, ValueError for a time that carries a zone of its
    own: it is an instant already.
    """
    if wall.tzinfo is not None:
        raise ValueError("a wall time carries no zone of its own")
    try:
        place = clock.zone(zone)
    except ValueError:
        raise _no_zone() from None
    first, second = (wall.replace(tzinfo=place, fold=fold) for fold in (0, 1))
    at = first.astimezone(UTC)
    shown = at.astimezone(place).replace(tzinfo=None, fold=0)
    if shown != wall:
        return Resolved(at, shown, "gap")
    return Resolved(at, shown, "fold" if first.utcoffset() != second.utcoffset() else "")


def checked_zone(name: str) -> str:
    """`name` if it is an IANA zone. Raises Invalid at `zone`."""
    if name not in all_zones():
        raise _no_zone()
    return name


@lru_cache(maxsize=1)
def all_zones() -> frozenset[str]:
    """Every IANA zone this machine knows."""
    return frozenset(available_timezones())


def _no_zone() -> Invalid:
    return Invalid(_l("We know no such time zone. Choose one like America/Chicago."), field="zone")


def read_wall(text: str) -> datetime:
    """The wall of "2026-12-01T18:00". Raises Invalid for anything else, an offset included."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text, re.ASCII):
        raise _no_wall()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _no_wall() from None


def _no_wall() -> Invalid:
    return Invalid(_l("Write the day and the time like 2026-12-01 18:00."), field="starts")


def write_wall(wall: datetime) -> str:
    """A wall as it is kept: to the minute, without a zone."""
    if wall.tzinfo is not None:
        raise ValueError("a wall time carries no zone of its own")
    return wall.isoformat(timespec="minutes")


# --- series ------------------------------------------------------------------------------------


class Frequency(StrEnum):
    WEEKLY = "weekly"
    MONTHLY = "monthly"  # by weekday: the second Tuesday, the last Friday
    DATES = "dates"  # as somebody wrote them down


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a series goes on from its first date. It ends: with `until` (inclusive) or `count`.

    `weekdays` are numbers, Monday is 0; none for a weekly rule means that of the first date. A
    monthly one takes one weekday and its `ordinal`. `dates` are further days, each at the time of
    the first date or, as "2026-12-15T19:00", at its own.
    """

    frequency: Frequency
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    ordinal: int = 1
    dates: tuple[str, ...] = ()
    until: date | None = None
    count: int | None = None


def parse(data: Mapping[str, Any]) -> Rule:
    """The rule of its JSON. Raises Invalid, at the field of the editor that it concerns."""
    try:
        frequency = Frequency(str(data.get("frequency", "")))
    except ValueError:
        raise Invalid(_l("Choose how the event repeats."), field="repeats") from None
    if frequency is Frequency.DATES:
        return Rule(frequency=frequency, dates=_dates(data.get("dates")))
    interval = _whole(data.get("interval", 1), 1, MOST_INTERVAL, "interval")
    days = _weekdays(data.get("weekdays", ()))
    until, count = _end(data)
    if frequency is Frequency.WEEKLY:
        return Rule(frequency=frequency, interval=interval, weekdays=days, until=until, count=count)
    ordinal = data.get("ordinal", 1)
    if isinstance(ordinal, bool) or ordinal not in ORDINALS or len(days) != 1:
        raise Invalid(_l("Choose one weekday of the month, like the second Tuesday."), field="nth")
    return Rule(
        frequency=frequency,
        interval=interval,
        weekdays=days,
        ordinal=int(ordinal),
        until=until,
        count=count,
    )


def dump(rule: Rule) -> dict[str, Any]:
    """A rule as JSON; `parse` reads it."""
    if rule.frequency is Frequency.DATES:
        return {"frequency": rule.frequency.value, "dates": list(rule.dates)}
    data: dict[str, Any] = {
        "frequency": rule.frequency.value,
        "interval": rule.interval,
        "weekdays": [WEEKDAYS[day] for day in rule.weekdays],
    }
    if rule.frequency is Frequency.MONTHLY:
        data["ordinal"] = rule.ordinal
    if rule.until is not None:
        data["until"] = rule.until.isoformat()
    if rule.count is not None:
        data["count"] = rule.count
    return data


def walls(rule: Rule | None, first: datetime) -> list[datetime]:
    """The local starts of a series, strictly increasing; of no rule, `first` alone.

    `first` is the day from which the rule is looked for: where it does not fit itself (a Monday
    for "every Tuesday"), the series begins with the first day that does. Raises Invalid for a
    series without an end, over five years, of more than 500 dates, or of none.
    """
    if first.tzinfo is not None:
        raise ValueError("a wall time carries no zone of its own")
    first = first.replace(second=0, microsecond=0)
    if not EARLIEST_YEAR <= first.year <= LATEST_YEAR:
        raise Invalid(_l("This day is too far away. Please check the year."), field="starts")
    if rule is None:
        return [first]
    if rule.frequency is Frequency.DATES:
        found = sorted({first, *(_at_time_of(text, first) for text in rule.dates)})
    else:
        found = _by_rule(rule, first)
    if not found:
        raise Invalid(_l("The series ends before its first date."), field=_end_field(rule))
    if len(found) > MOST_DATES:
        raise Invalid(
            _l("A series can have at most %(most)s dates.", most=MOST_DATES),
            field=_end_field(rule),
        )
    if found[-1] > _years_on(first if rule.frequency is not Frequency.DATES else found[0]):
        raise _too_long(_end_field(rule))
    return found


def _by_rule(rule: Rule, first: datetime) -> list[datetime]:
    if rule.until is None and rule.count is None:
        raise Invalid(
            _l(
                "A series needs an end: a last day, or how many dates. "
                "It can be at most five years long."
            ),
            field="until",
        )
    if rule.until is not None and rule.until > _years_on(first).date():
        raise _too_long("until")
    days = rule.weekdays or (first.weekday(),)
    monthly = rule.frequency is Frequency.MONTHLY
    dates = rrule(
        MONTHLY if monthly else WEEKLY,
        dtstart=first,
        interval=rule.interval,
        byweekday=[weekday(day, rule.ordinal) if monthly else weekday(day) for day in days],
        until=datetime.combine(rule.until, time.max) if rule.until is not None else None,
    )
    most = MOST_DATES + 1 if rule.count is None else min(rule.count, MOST_DATES + 1)
    return list(islice(dates, most))


def _years_on(first: datetime) -> datetime:
    """The last moment of a series that begins with `first`."""
    year = first.year + MOST_YEARS
    try:
        return first.replace(year=year)
    except ValueError:  # the 29th of February
        return first.replace(year=year, day=28)


def _too_long(field: str) -> Invalid:
    return Invalid(_l("A series can be at most five years long."), field=field)


def _end_field(rule: Rule) -> str:
    if rule.frequency is Frequency.DATES:
        return "dates"
    return "count" if rule.until is None else "until"


def _at_time_of(text: str, first: datetime) -> datetime:
    if "T" in text:
        return read_wall(text)
    return datetime.combine(date.fromisoformat(text), first.time())


def _dates(given: Any) -> tuple[str, ...]:
    wrong = Invalid(_l("Write one date in each line, like 2026-12-15."), field="dates")
    if not isinstance(given, list | tuple) or not given:
        raise wrong
    if len(given) > MOST_DATES:
        raise Invalid(
            _l("A series can have at most %(most)s dates.", most=MOST_DATES), field="dates"
        )
    found = set()
    for line in given:
        text = str(line).strip().replace(" ", "T")
        try:
            found.add(write_wall(read_wall(text)) if "T" in text else _day(text).isoformat())
        except (ValueError, Invalid):
            raise wrong from None
    return tuple(sorted(found))


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError("no day")
    return date.fromisoformat(text)


def _whole(value: Any, least: int, most: int, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(
            _l("Write a whole number from %(least)s to %(most)s.", least=least, most=most),
            field=field,
        )
    return value


def _weekdays(given: Any) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or any(day not in WEEKDAYS for day in given):
        raise Invalid(_l("Choose weekdays from the list."), field="weekdays")
    return tuple(sorted({WEEKDAYS.index(day) for day in given}))


def _end(data: Mapping[str, Any]) -> tuple[date | None, int | None]:
    until, count = data.get("until"), data.get("count")
    if until is not None and count is not None:
        raise Invalid(
            _l("Give a last day or how many dates, not both: we would not know which holds."),
            field="until",
        )
    if count is not None:
        return None, _whole(count, 1, MOST_DATES, "count")
    if until is None:
        return None, None
    try:
        return _day(str(until)), None
    except ValueError:
        raise Invalid(
            _l("Write the day as year-month-day, like 2026-06-30."), field="until"
        ) from None


def rrule_text(rule: Rule, first: datetime, zone: str, *, all_day: bool = False) -> str:
    """The value of an iCalendar RRULE, whose DTSTART is `walls(rule, first)[0]`; "" for dates
    written down, which are RDATEs.

    UNTIL is the last start itself: in UTC, or a day where the event is all day (RFC 5545,
    section 3.3.10).
    """
    if rule.frequency is Frequency.DATES:
        return ""
    monthly = rule.frequency is Frequency.MONTHLY
    found = walls(rule, first)
    days = rule.weekdays or (found[0].weekday(),)
    last = found[-1]
    until = last.strftime("%Y%m%d")
    if not all_day:
        until = resolve(last, zone).at.strftime("%Y%m%dT%H%M%SZ")
    parts = {
        "FREQ": "MONTHLY" if monthly else "WEEKLY",
        "INTERVAL": str(rule.interval) if rule.interval != 1 else "",
        "BYDAY": ",".join(f"{rule.ordinal if monthly else ''}{WEEKDAYS[day]}" for day in days),
        "UNTIL": until,
    }
    return ";".join(f"{name}={value}" for name, value in parts.items() if value)


def in_words(rule: Rule, first: datetime) -> str:
    """How a series repeats, as one says it: "Every week on Tuesday, until December 29, 2026"."""
    locale = get_locale() or "en"
    names = get_day_names("wide", locale=locale)
    if rule.frequency is Frequency.DATES:
        number = len(walls(rule, first))
        return str(ngettext("%(num)d date", "%(num)d dates", number))
    days = rule.weekdays or (first.weekday(),)
    listed = ", ".join(names[day] for day in days)
    if rule.frequency is Frequency.WEEKLY:
        text = ngettext(
            "Every week on %(days)s", "Every %(num)d weeks on %(days)s", rule.interval, days=listed
        )
    else:
        text = ngettext(
            "Every month on the %(which)s %(days)s",
            "Every %(num)d months on the %(which)s %(days)s",
            rule.interval,
            which=ordinal_word(rule.ordinal),
            days=listed,
        )
    if rule.until is not None:
        last = format_date(rule.until, "long", locale=locale)
        return str(_("%(series)s, until %(day)s", series=text, day=last))
    return str(
        ngettext(
            "%(series)s, %(num)d time", "%(series)s, %(num)d times", rule.count or 0, series=text
        )
    )


def ordinal_word(ordinal: int) -> str:
    """Which of a month's Tuesdays."""
    words = {1: _("first"), 2: _("second"), 3: _("third"), 4: _("fourth"), -1: _("last")}
    return str(words[ordinal])


# --- offsets: when a reminder is due -----------------------------------------------------------

MOST_DAYS_BEFORE = 60
MOST_MINUTES_BEFORE = MOST_DAYS_BEFORE * 24 * 60
_OFFSET = re.compile(
    r"(?:(?P<days>\d{1,2})d|(?P<weekday>mon|tue|wed|thu|fri|sat|sun))@(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)"
    r"|(?P<minutes>\d{1,5})m",
    re.ASCII,
)
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Offset:
    """A moment told from a start: `minutes` before it, or a time of the wall on a day: `days`
    before, or a `weekday` of the start's week (Monday is 0, weeks begin Monday)."""

    minutes: int | None = None
    days: int | None = None
    weekday: int | None = None
    at: time = time()


def parse_offset(text: str) -> Offset:
    """Read "1d@11:00", "0d@10:00", "mon@00:01" or "180m". Raises Invalid at `reminders`."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise Invalid(
            _l("Write 1d@11:00 for the day before at 11:00, or 180m for three hours before."),
            field="reminders",
        )
    if found["minutes"] is not None:
        minutes = int(found["minutes"])
        if minutes > MOST_MINUTES_BEFORE:
            raise _too_early()
        return Offset(minutes=minutes)
    at = time(int(found["hour"]), int(found["minute"]))
    if found["weekday"] is not None:
        return Offset(weekday=_NAMES.index(found["weekday"]), at=at)
    days = int(found["days"])
    if days > MOST_DAYS_BEFORE:
        raise _too_early()
    return Offset(days=days, at=at)


def _too_early() -> Invalid:
    return Invalid(
        _l("A reminder can be at most %(days)s days before.", days=MOST_DAYS_BEFORE),
        field="reminders",
    )


def offset_at(offset: str, starts_wall: datetime, zone: str) -> datetime:
    """The instant (UTC) of an offset before a start, by the clock on the wall of its zone.

    "1d@11:00" is 11:00 there also when the clocks change in between; "180m" is three hours of
    waiting. Raises Invalid for what is no offset.
    """
    told = parse_offset(offset)
    if told.minutes is not None:
        return resolve(starts_wall, zone).at - timedelta(minutes=told.minutes)
    shown = resolve(starts_wall, zone).shown
    if told.weekday is not None:
        day = shown.date() - timedelta(days=shown.weekday() - told.weekday)
    else:
        day = shown.date() - timedelta(days=told.days or 0)
    return resolve(datetime.combine(day, told.at), zone).at


def offset_words(offset: str) -> str:
    """An offset as one says it: "the day before at 11:00 AM", "3 hours before"."""
    told = parse_offset(offset)
    locale = get_locale() or "en"
    if told.minutes is not None:
        hours, rest = divmod(told.minutes, 60)
        if rest or not hours:
            return str(ngettext("%(num)d minute before", "%(num)d minutes before", told.minutes))
        return str(ngettext("%(num)d hour before", "%(num)d hours before", hours))
    at = format_time(told.at, "short", locale=locale)
    if told.weekday is not None:
        name = get_day_names("wide", locale=locale)[told.weekday]
        return str(_("on %(day)s of that week at %(time)s", day=name, time=at))
    if not told.days:
        return str(_("on the day at %(time)s", time=at))
    if told.days == 1:
        return str(_("the day before at %(time)s", time=at))
    return str(_("%(days)s days before at %(time)s", days=told.days, time=at))
