from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign import clock

CHICAGO = "America/Chicago"


def test_now_is_aware_and_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", ["America/Gotham", "", "../etc/passwd", "\0", "CST6CDT/x"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        clock.zone(name)


def test_wall_time_becomes_the_instant() -> None:
    summer = clock.to_utc(datetime(2026, 6, 16, 18, 0), CHICAGO)  # noqa: DTZ001 - a wall time
    winter = clock.to_utc(datetime(2026, 12, 16, 18, 0), CHICAGO)  # noqa: DTZ001
    assert summer == datetime(2026, 6, 16, 23, 0, tzinfo=UTC)
    assert winter == datetime(2026, 12, 17, 0, 0, tzinfo=UTC)


def test_a_time_that_happens_twice_means_the_first() -> None:
    fold = clock.to_utc(datetime(2026, 11, 1, 1, 30), CHICAGO)  # noqa: DTZ001
    assert fold == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_a_time_that_never_happens_moves_on_by_the_gap() -> None:
    gap = clock.to_utc(datetime(2026, 3, 8, 2, 30), CHICAGO)  # noqa: DTZ001
    assert gap == datetime(2026, 3, 8, 8, 30, tzinfo=UTC)
    assert gap.astimezone(clock.zone(CHICAGO)).hour == 3


def test_an_instant_is_no_wall_time() -> None:
    with pytest.raises(ValueError, match="zone of its own"):
        clock.to_utc(datetime.now(UTC), CHICAGO)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
    st.sampled_from([CHICAGO, "Europe/Berlin", "Asia/Kathmandu", "UTC", "Australia/Lord_Howe"]),
)
def test_there_and_back_is_the_same_wall_time_outside_gaps(wall: datetime, name: str) -> None:
    back = clock.to_utc(wall, name).astimezone(clock.zone(name)).replace(tzinfo=None)
    assert back == wall or timedelta(0) < back - wall <= timedelta(hours=1)
