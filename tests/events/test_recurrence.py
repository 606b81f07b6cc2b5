"""Series are counted on the wall's clock, instants are computed from it, and both have limits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from flask import Flask
from flask_babel import force_locale
from hypothesis import assume, given
from hypothesis import strategies as some

from campaign.errors import Invalid
from campaign.events import recurrence
from campaign.events.recurrence import (
    Frequency,
    Rule,
    checked_zone,
    dump,
    offset_at,
    parse,
    parse_offset,
    read_wall,
    resolve,
    rrule_text,
    walls,
    write_wall,
)

CHICAGO, SYDNEY = "America/Chicago", "Australia/Sydney"
LORD_HOWE, APIA = "Australia/Lord_Howe", "Pacific/Apia"
ZONES = (CHICAGO, SYDNEY, LORD_HOWE, APIA, "Asia/Kathmandu", "UTC")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def at(*parts: int) -> datetime:
    """A wall: naive on purpose."""
    return utc(*parts).replace(tzinfo=None)


starts = some.datetimes(min_value=at(2011, 1, 1), max_value=at(2040, 1, 1)).map(
    lambda wall: wall.replace(second=0, microsecond=0)
)
weekly = some.builds(
    Rule,
    frequency=some.just(Frequency.WEEKLY),
    interval=some.integers(1, 4),
    weekdays=some.sets(some.integers(0, 6), max_size=7).map(lambda days: tuple(sorted(days))),
    count=some.integers(1, 60),
)
monthly = some.builds(
    Rule,
    frequency=some.just(Frequency.MONTHLY),
    weekdays=some.integers(0, 6).map(lambda day: (day,)),
    ordinal=some.sampled_from(recurrence.ORDINALS),
    count=some.integers(1, 59),
)
written = some.builds(
    Rule,
    frequency=some.just(Frequency.DATES),
    dates=some.sets(
        some.dates(min_value=date(2020, 1, 1), max_value=date(2024, 6, 1)), min_size=1, max_size=30
    ).map(lambda days: tuple(sorted(day.isoformat() for day in days))),
)


# Walls and instants


@given(starts, some.sampled_from(ZONES))
def test_a_wall_is_the_wall_again_unless_it_never_happens(wall: datetime, zone: str) -> None:
    found = resolve(wall, zone)
    assert found.at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == found.shown
    assert (found.shown != wall) == (found.oddity == "gap")
    assert found.shown >= wall
    again = resolve(found.shown, zone)
    assert again.at == found.at
    assert again.oddity != "gap"


@pytest.mark.parametrize(
    ("zone", "wall", "instant", "shown", "oddity"),
    [
        # Chicago: 02:30 does not happen in March and 01:30 happens twice in November.
        (CHICAGO, "2026-03-08T02:30", utc(2026, 3, 8, 8, 30), "2026-03-08T03:30", "gap"),
        (CHICAGO, "2026-11-01T01:30", utc(2026, 11, 1, 6, 30), "2026-11-01T01:30", "fold"),
        (CHICAGO, "2026-11-01T02:00", utc(2026, 11, 1, 8, 0), "2026-11-01T02:00", ""),
        (SYDNEY, "2026-10-04T02:15", utc(2026, 10, 3, 16, 15), "2026-10-04T03:15", "gap"),
        (SYDNEY, "2026-04-05T02:59", utc(2026, 4, 4, 15, 59), "2026-04-05T02:59", "fold"),
        # Lord Howe moves by half an hour.
        (LORD_HOWE, "2026-10-04T02:10", utc(2026, 10, 3, 15, 40), "2026-10-04T02:40", "gap"),
        (LORD_HOWE, "2026-04-05T01:45", utc(2026, 4, 4, 14, 45), "2026-04-05T01:45", "fold"),
        (LORD_HOWE, "2026-04-05T02:00", utc(2026, 4, 4, 15, 30), "2026-04-05T02:00", ""),
        # Apia crossed the date line: the 30th of December 2011 never was.
        (APIA, "2011-12-30T18:00", utc(2011, 12, 31, 4, 0), "2011-12-31T18:00", "gap"),
        (APIA, "2011-12-29T18:00", utc(2011, 12, 30, 4, 0), "2011-12-29T18:00", ""),
        (APIA, "2011-12-31T18:00", utc(2011, 12, 31, 4, 0), "2011-12-31T18:00", ""),
    ],
)
def test_a_gap_moves_on_and_a_fold_means_the_first(
    zone: str, wall: str, instant: datetime, shown: str, oddity: str
) -> None:
    found = resolve(read_wall(wall), zone)
    assert (found.at, write_wall(found.shown), found.oddity) == (instant, shown, oddity)


@pytest.mark.parametrize(
    "zone",
    ["", "Chicago", "America/Chigaco", "UTC+6", "../../etc/passwd", "America", "A\x00", "é/é"],
)
def test_an_unknown_zone_is_refused(zone: str) -> None:
    for door in (lambda: resolve(at(2026, 6, 1, 18), zone), lambda: checked_zone(zone)):
        with pytest.raises(Invalid) as refused:
            door()
        assert refused.value.field == "zone"


def test_an_instant_is_no_wall() -> None:
    aware = utc(2026, 6, 1, 18)
    for door in (
        lambda: resolve(aware, CHICAGO),
        lambda: walls(None, aware),
        lambda: write_wall(aware),
        lambda: offset_at("60m", aware, CHICAGO),
    ):
        with pytest.raises(ValueError, match="no zone of its own"):
            door()
    for text in (
        *("2026-06-01T18:00Z", "2026-06-01T18:00+02:00", "2026-06-01", "18:00", ""),
        *("2026-06-31T18:00", "2026-06-01T25:00", "٢٠٢٦-06-01T18:00", "2026-06-01 18:00"),
    ):
        with pytest.raises(Invalid):
            read_wall(text)


# Series


@given(some.one_of(weekly, monthly), starts)
def test_a_series_goes_up_and_keeps_its_time(rule: Rule, first: datetime) -> None:
    found = walls(rule, first)
    assert all(earlier < later for earlier, later in pairwise(found))
    assert {wall.time() for wall in found} == {first.time()}
    assert len(found) == rule.count
    assert found[0] >= first
    days = set(rule.weekdays) or {first.weekday()}
    assert {wall.weekday() for wall in found} <= days


@given(weekly, starts, some.sampled_from(ZONES))
def test_the_clock_on_the_wall_stays_when_the_clocks_change(
    rule: Rule, first: datetime, zone: str
) -> None:
    for wall in walls(rule, first):
        found = resolve(wall, zone)
        shown = found.at.astimezone(ZoneInfo(zone))
        assert found.oddity == "gap" or (shown.hour, shown.minute) == (first.hour, first.minute)


@given(written, some.datetimes(min_value=at(2020, 1, 1), max_value=at(2024, 6, 1)))
def test_written_dates_are_in_order_and_once(rule: Rule, first: datetime) -> None:
    first = first.replace(second=0, microsecond=0)
    found = walls(rule, first)
    assert found == sorted(set(found))
    assert first in found
    assert len(found) in {len(rule.dates), len(rule.dates) + 1}


@given(some.one_of(weekly, monthly, written))
def test_a_rule_is_read_as_it_was_written(rule: Rule) -> None:
    assert parse(dump(rule)) == rule


@given(some.one_of(weekly, monthly), starts, some.sampled_from([CHICAGO, SYDNEY, LORD_HOWE]))
def test_a_calendar_reads_the_same_series(rule: Rule, first: datetime, zone: str) -> None:
    found = walls(rule, first)
    assume(resolve(found[-1], zone).oddity != "gap")
    until = rrule_text(rule, first, zone)
    begins = found[0].replace(tzinfo=ZoneInfo(zone))
    read = rrulestr(until, dtstart=begins)
    assert [wall.replace(tzinfo=None) for wall in read] == found
    days = rrule_text(rule, first, zone, all_day=True)
    assert days.endswith(f"UNTIL={found[-1]:%Y%m%d}")


def test_every_tuesday_over_both_changes_of_the_clocks() -> None:
    rule = parse({"frequency": "weekly", "weekdays": ["TU"], "until": "2026-11-10"})
    found = walls(rule, at(2026, 3, 2, 18, 0))  # a Monday: it begins the day after
    assert found[0] == at(2026, 3, 3, 18)
    instants = [resolve(wall, CHICAGO).at for wall in found]
    assert instants[0] == utc(2026, 3, 4, 0)  # winter
    assert instants[1] == utc(2026, 3, 10, 23)  # summer
    assert instants[-1] == utc(2026, 11, 11, 0)  # winter again


def test_the_second_tuesday_and_the_last_friday() -> None:
    second = parse({"frequency": "monthly", "weekdays": ["TU"], "ordinal": 2, "count": 3})
    assert [wall.day for wall in walls(second, at(2026, 6, 1, 18))] == [9, 14, 11]
    last = parse({"frequency": "monthly", "weekdays": ["FR"], "ordinal": -1, "count": 3})
    assert [wall.day for wall in walls(last, at(2026, 6, 1, 18))] == [26, 31, 28]


def test_a_written_date_may_have_its_own_time() -> None:
    rule = parse({"frequency": "dates", "dates": ["2026-12-15 19:30", "2026-12-08"]})
    assert walls(rule, at(2026, 12, 1, 18)) == [
        at(2026, 12, 1, 18),
        at(2026, 12, 8, 18),
        at(2026, 12, 15, 19, 30),
    ]
    assert rrule_text(rule, at(2026, 12, 1, 18), CHICAGO) == ""


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"frequency": "weekly"}, "until", "needs an end"),
        ({"frequency": "weekly", "until": "2031-06-03"}, "until", "five years"),
        ({"frequency": "weekly", "until": "9999-12-31"}, "until", "five years"),
        ({"frequency": "weekly", "count": 400}, "count", "five years"),
        ({"frequency": "weekly", "count": 501}, "count", "500"),
        ({"frequency": "weekly", "weekdays": ["MO", "TU", "WE"], "until": "2030-06-01"}, "", "500"),
        ({"frequency": "weekly", "until": "2026-05-01"}, "until", "before its first"),
        ({"frequency": "weekly", "until": "2026-05-01", "count": 3}, "until", "not both"),
        ({"frequency": "weekly", "until": "tomorrow"}, "until", "year-month-day"),
        ({"frequency": "weekly", "until": 20260601}, "until", "year-month-day"),
        ({"frequency": "weekly", "count": 0}, "count", "whole number"),
        ({"frequency": "weekly", "count": True}, "count", "whole number"),
        ({"frequency": "weekly", "count": "many"}, "count", "whole number"),
        ({"frequency": "weekly", "interval": 0, "count": 3}, "interval", "whole number"),
        ({"frequency": "weekly", "interval": 10**9, "count": 3}, "interval", "whole number"),
        ({"frequency": "weekly", "weekdays": "TU", "count": 3}, "weekdays", "weekdays"),
        ({"frequency": "weekly", "weekdays": ["XX"], "count": 3}, "weekdays", "weekdays"),
        ({"frequency": "weekly", "weekdays": [["TU"]], "count": 3}, "weekdays", "weekdays"),
        ({"frequency": "monthly", "count": 3}, "nth", "one weekday"),
        ({"frequency": "monthly", "weekdays": ["TU"], "ordinal": 5, "count": 3}, "nth", "weekday"),
        ({"frequency": "monthly", "weekdays": ["TU"], "ordinal": "2", "count": 3}, "nth", ""),
        ({"frequency": "monthly", "weekdays": ["TU"], "ordinal": True, "count": 3}, "nth", ""),
        ({"frequency": "dates"}, "dates", "one date in each line"),
        ({"frequency": "dates", "dates": ["01/12/2026"]}, "dates", "one date in each line"),
        ({"frequency": "dates", "dates": ["2026-02-30"]}, "dates", "one date in each line"),
        ({"frequency": "dates", "dates": ["2026-12-01T18:00Z"]}, "dates", "one date in each line"),
        ({"frequency": "dates", "dates": ["2035-01-01"]}, "dates", "five years"),
        ({"frequency": "dates", "dates": ["2026-07-01"] * 501}, "dates", "500"),
        ({"frequency": "daily", "count": 3}, "repeats", "repeats"),
        ({}, "repeats", "repeats"),
    ],
)
def test_what_is_no_series_is_refused_at_its_field(
    app: Flask, data: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(Invalid) as refused:
        walls(parse(data), at(2026, 6, 1, 18))
    assert words in str(refused.value.message)
    assert refused.value.field == (field or "until")


def test_five_years_to_the_day_are_not_too_long() -> None:
    rule = parse({"frequency": "weekly", "interval": 2, "until": "2031-06-01"})
    assert walls(rule, at(2026, 6, 1, 18))[-1] == at(2031, 5, 26, 18)
    leap = parse({"frequency": "weekly", "interval": 4, "until": "2033-02-28"})
    assert walls(leap, at(2028, 2, 29, 18))
    with pytest.raises(Invalid, match="year"):
        walls(None, at(9999, 12, 31))


def test_a_series_in_words(app: Flask) -> None:
    tuesdays = parse({"frequency": "weekly", "weekdays": ["TU"], "until": "2026-12-29"})
    second = parse({"frequency": "monthly", "weekdays": ["TU"], "ordinal": 2, "count": 6})
    first = at(2026, 12, 1, 18)
    with app.test_request_context(), force_locale("en"):
        words = recurrence.in_words(tuesdays, first)
        assert words == "Every week on Tuesday, until December 29, 2026"
        words = recurrence.in_words(second, first)
        assert words == "Every month on the second Tuesday, 6 times"
    with app.test_request_context(), force_locale("es"):
        words = recurrence.in_words(tuesdays, first)
        assert words == "Cada semana: martes, hasta el 29 de diciembre de 2026"


# Offsets


@pytest.mark.parametrize(
    ("offset", "wall", "zone", "due"),
    [
        ("1d@11:00", "2026-06-17T18:00", CHICAGO, utc(2026, 6, 16, 16)),
        ("0d@10:00", "2026-06-17T18:00", CHICAGO, utc(2026, 6, 17, 15)),
        ("180m", "2026-06-17T18:00", CHICAGO, utc(2026, 6, 17, 20)),
        ("mon@00:01", "2026-06-17T10:00", CHICAGO, utc(2026, 6, 15, 5, 1)),
        ("mon@00:01", "2026-06-21T10:00", CHICAGO, utc(2026, 6, 15, 5, 1)),  # a Sunday
        ("mon@00:01", "2026-06-15T10:00", CHICAGO, utc(2026, 6, 15, 5, 1)),  # itself a Monday
        # The clocks change in the night between: 11:00 stays 11:00, three hours stay three.
        ("1d@11:00", "2026-03-08T18:00", CHICAGO, utc(2026, 3, 7, 17)),
        ("180m", "2026-03-08T04:00", CHICAGO, utc(2026, 3, 8, 6)),
        ("1d@11:00", "2026-11-01T18:00", CHICAGO, utc(2026, 10, 31, 16)),
        ("1d@11:00", "2026-10-04T18:00", SYDNEY, utc(2026, 10, 3, 1)),
        ("180m", "2026-10-04T18:00", LORD_HOWE, utc(2026, 10, 4, 4)),
        ("1d@11:00", "2026-10-04T18:00", LORD_HOWE, utc(2026, 10, 3, 0, 30)),
        # A reminder in the gap moves on with the clocks.
        ("0d@02:30", "2026-03-08T18:00", CHICAGO, utc(2026, 3, 8, 8, 30)),
        # The day before the 31st was the 29th there: what never was moves on by a day.
        ("1d@11:00", "2011-12-31T18:00", APIA, utc(2011, 12, 30, 21)),
        ("2d@11:00", "2011-12-31T18:00", APIA, utc(2011, 12, 29, 21)),
    ],
)
def test_a_reminder_is_due_by_the_clock_on_the_wall(
    offset: str, wall: str, zone: str, due: datetime
) -> None:
    assert offset_at(offset, read_wall(wall), zone) == due


@given(starts, some.integers(0, recurrence.MOST_MINUTES_BEFORE), some.sampled_from(ZONES))
def test_minutes_are_minutes_of_waiting(wall: datetime, minutes: int, zone: str) -> None:
    due = offset_at(f"{minutes}m", wall, zone)
    assert resolve(wall, zone).at - due == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "offset",
    [
        *("", "1d", "1d@24:00", "1d@11:60", "61d@11:00", "-1d@11:00", "foo@11:00", "MON@00:01"),
        *("86401m", "999999m", "180", "3h", "1d@1:00", "1d@11:00\n", "١d@11:00", "\x00"),
    ],
)
def test_what_is_no_offset_is_refused(offset: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_offset(offset)
    assert refused.value.field == "reminders"


def test_an_offset_in_words(app: Flask) -> None:
    with app.test_request_context(), force_locale("en"):
        said = [recurrence.offset_words(text) for text in ("180m", "90m", "0d@10:00", "2d@08:00")]
        assert said == [
            "3 hours before",
            "90 minutes before",
            "on the day at 10:00\u202fAM",
            "2 days before at 8:00\u202fAM",
        ]
        assert recurrence.offset_words("mon@00:01") == ("on Monday of that week at 12:01\u202fAM")
