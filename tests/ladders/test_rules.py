"""Waits are read from a clock on the wall, also when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign import clock
from campaign.db import Words, uuid7
from campaign.ladders import rules
from campaign.ladders.models import StepKind
from campaign.ladders.rules import Details, Otherwise, Side, Unit

ZONES = ("America/Chicago", "America/Phoenix", "Europe/Madrid", "Australia/Lord_Howe", "UTC")
moments = st.datetimes(
    min_value=datetime.fromisoformat("2024-01-01"),
    max_value=datetime.fromisoformat("2030-12-31"),
    timezones=st.just(UTC),
)
zones = st.sampled_from(ZONES)


def wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(clock.zone(zone)).replace(tzinfo=None)


def exists(when: datetime, zone: str) -> bool:
    """Whether a clock on the wall there ever shows this."""
    return wall(clock.to_utc(when, zone), zone) == when


@given(moments, st.integers(1, 365), zones)
def test_days_later_is_the_same_time_of_day(at: datetime, days: int, zone: str) -> None:
    until = rules.after_while(at, days, Unit.DAYS, zone)
    meant = wall(at, zone) + timedelta(days=days)
    assert until > at
    if exists(meant, zone):
        assert wall(until, zone) == meant
    else:  # the clocks jump over it: the same minutes after the jump
        assert timedelta(0) < wall(until, zone) - meant <= timedelta(hours=1)


@given(moments, st.integers(1, 720), zones)
def test_hours_are_hours(at: datetime, hours: int, zone: str) -> None:
    assert rules.after_while(at, hours, Unit.HOURS, zone) - at == timedelta(hours=hours)


@given(moments, st.integers(0, 6), st.integers(0, 23), zones)
def test_a_weekday_is_the_next_one_at_that_hour(
    at: datetime, weekday: int, hour: int, zone: str
) -> None:
    until = rules.next_weekday(at, weekday, hour, zone)
    assert at <= until <= at + timedelta(days=7, hours=2)
    local = wall(until, zone)
    meant = datetime.combine(local.date(), time(hour))
    if exists(meant, zone):
        assert (local.weekday(), local.time()) == (weekday, time(hour))
    # Nothing earlier would have been right.
    earlier = datetime.combine(local.date() - timedelta(days=7), time(hour))
    assert clock.to_utc(earlier, zone) < at


@given(moments, st.integers(0, 60), st.sampled_from(Side), zones)
def test_days_around_an_event_keep_its_time_of_day(
    at: datetime, days: int, side: Side, zone: str
) -> None:
    until = rules.around(at, days, Unit.DAYS, side, zone)
    meant = wall(at, zone) + timedelta(days=-days if side == Side.BEFORE else days)
    if not days:
        assert until == at
    elif exists(meant, zone):
        assert wall(until, zone) == meant


def test_the_day_the_clocks_go_forward_in_chicago() -> None:
    at = clock.to_utc(datetime.fromisoformat("2026-03-07T10:00"), "America/Chicago")
    until = rules.after_while(at, 1, Unit.DAYS, "America/Chicago")
    assert until - at == timedelta(hours=23)
    assert rules.after_while(at, 24, Unit.HOURS, "America/Chicago") - at == timedelta(hours=24)


FULL: dict[StepKind, Details] = {
    StepKind.WAIT: Details(amount=3, unit=Unit.HOURS),
    StepKind.WAIT_DAY: Details(weekday=1, hour=9),
    StepKind.WAIT_EVENT: Details(amount=1, side=Side.AFTER, event_id=uuid7()),
    StepKind.IF: Details(otherwise=Otherwise.SKIP),
    StepKind.SEND: Details(subject=Words(en="Hi"), body=Words(en="Hello", es="Hola")),
    StepKind.FOLLOW_UP: Details(text="Call.", amount=2),
    StepKind.STOP: Details(),
}


@pytest.mark.parametrize("kind", list(FULL))
def test_what_a_step_says_is_read_as_it_was_written(kind: StepKind) -> None:
    assert rules.read(kind, rules.dump(kind, FULL[kind])) == FULL[kind]


def test_a_language_that_is_not_whole_is_not_sent() -> None:
    half = Details(subject=Words(en="Hi", es="Hola"), body=Words(en="Hello"))
    assert rules.language_for(half, "es") == "en"
    only = Details(subject=Words(es="Hola"), body=Words(es="Qué tal"))
    assert rules.language_for(only, "en") == "es"
