"""What needs no database: days and hours in words, and what is odd about an answer."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from babel.dates import format_date, format_time

from campaign import clock
from campaign.people import strangers

_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)


DAY = {"en": "EEEE, MMMM d", "es": "EEEE d 'de' MMMM"}
"""A day without its year, as CLDR has no name for it: its skeleton would shorten the weekday."""


@lru_cache(maxsize=4096)
def day_of(at: datetime, zone: str, language: str) -> str:
    """The local day in words, as a person says it: "Tuesday, December 1"."""
    return day_in_words(at.astimezone(clock.zone(zone)).date(), language)


def day_in_words(day: date, language: str, *, with_year: bool = False) -> str:
    """A day as a person says it."""
    form = "full" if with_year else DAY.get(language, "full")
    return str(format_date(day, form, locale=language))


@lru_cache(maxsize=4096)
def hours_of(
    starts_at: datetime, ends_at: datetime, zone: str, language: str, *, is_all_day: bool = False
) -> str:
    """From when to when by the clock there: "6:00 PM to 7:30 PM CST"; "" for whole days."""
    place = clock.zone(zone)
    starts, ends = starts_at.astimezone(place), ends_at.astimezone(place)
    if is_all_day:
        return ""
    words = [format_time(one, "short", locale=language) for one in (starts, ends)]
    if ends.date() != starts.date() and ends_at - starts_at >= timedelta(hours=12):
        words[1] = f"{day_of(ends_at, zone, language)}, {words[1]}"
    return f"{' – '.join(words)} {starts.tzname()}"


def signals_in(email: str, *texts: str) -> list[str]:
    """What is odd about the words themselves."""
    found = []
    if email and strangers.is_disposable(email):
        found.append(strangers.DISPOSABLE)
    if any(_LINK.search(text) for text in texts):
        found.append(strangers.LINKS)
    return found
