"""Hours and days across clock changes, domains that point at nobody, small numbers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.clock import zone
from campaign.results import rules
from campaign.web import few
from campaign.web.few import Veiled

ZONES = (
    "America/Chicago",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Madrid",
    "UTC",
)
instants = st.integers(1_735_689_600, 1_830_297_599).map(  # 2025 to 2027
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@given(instants, st.integers(0, 60 * 24 * 12), st.sampled_from(ZONES))
def test_spans_follow_each_other_without_a_gap(start: datetime, minutes: int, name: str) -> None:
    until = start + timedelta(minutes=minutes)
    found = rules.spans(start, until, name)
    assert found[0].start <= start < found[0].end
    assert found[-1].end > until
    assert all(one.end == two.start for one, two in pairwise(found))
    hours = [span for span in found if span.is_hour]
    assert len(hours) <= rules.HOURS
    assert found[: len(hours)] == hours
    for day in found[len(hours) + 1 :]:
        assert day.start.astimezone(zone(name)).strftime("%H:%M") == "00:00"
        assert timedelta(hours=22) < day.end - day.start < timedelta(hours=26)


@given(
    instants,
    st.lists(st.tuples(st.integers(-100, 40_000), st.integers(1, 9)), max_size=30),
    st.sampled_from(ZONES),
)
def test_nothing_is_lost_between_spans(
    start: datetime, told: list[tuple[int, int]], name: str
) -> None:
    points = rules.summed((start + timedelta(minutes=after), count) for after, count in told)
    last = max(points, default=start)
    found = rules.spans(start, max(start, last), name)
    assert sum(rules.spread(points, found)) == sum(count for _after, count in told)


def test_the_hour_that_comes_twice_is_two_and_its_day_has_25() -> None:
    start = datetime(2026, 11, 1, 5, 0, tzinfo=UTC)  # midnight in Chicago
    found = rules.spans(start, start + timedelta(days=4), "America/Chicago")
    walls = [span.start.astimezone(zone("America/Chicago")) for span in found]
    assert [f"{wall:%H:%M %Z}" for wall in walls[:4]] == [
        "00:00 CDT",
        "01:00 CDT",
        "01:00 CST",
        "02:00 CST",
    ]
    # 48 hours from midnight end at 23:00 of the second day; then the days.
    assert (found[48].end - found[48].start) == timedelta(hours=1)
    assert all(wall.hour == 0 for wall in walls[49:])


def test_the_hour_that_is_skipped_is_none() -> None:
    start = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)  # half past midnight in Chicago
    found = rules.spans(start, start + timedelta(hours=3), "America/Chicago")
    walls = [span.start.astimezone(zone("America/Chicago")) for span in found]
    assert [f"{wall:%H:%M %Z}" for wall in walls] == [
        "00:00 CST",
        "01:00 CST",
        "03:00 CDT",
        "04:00 CDT",
    ]


def test_hours_begin_where_the_wall_says_so() -> None:
    start = datetime(2026, 6, 1, 10, 20, tzinfo=UTC)  # 16:05 in Kathmandu
    first = rules.spans(start, start, "Asia/Kathmandu")[0]
    assert first.start == datetime(2026, 6, 1, 10, 15, tzinfo=UTC)


domains = st.dictionaries(
    st.sampled_from(
        ["gmail.com", "googlemail.com", "aol.com", "a.example", "b.example", "c.org", ""]
    ),
    st.integers(1, 40),
)


@given(domains, st.data())
def test_no_mail_service_under_ten_is_ever_named(
    people: dict[str, int], data: st.DataObject
) -> None:
    hard, soft = (
        {name: data.draw(st.integers(0, count)) for name, count in people.items()} for _ in range(2)
    )
    found = rules.gather(people, hard, soft)
    assert sum(row.people for row in found) == sum(people.values())
    assert all(row.people >= few.SMALL for row in found if row.name)
    others = [row for row in found if not row.name]
    assert len(others) <= 1
    if any(row.name for row in found):
        assert all(row.people >= few.SMALL for row in others)
    for column in ([row.hard for row in found], [row.soft for row in found]):
        assert all(count not in range(1, few.FEWEST) for count in column)
        shown = [count for count in column if isinstance(count, int) and count]
        assert column.count(Veiled.FEW) != 1 or Veiled.HIDDEN in column or not shown


def test_names_of_one_service_are_one() -> None:
    found = rules.gather({"gmail.com": 8, "googlemail.com": 8, "x.example": 3, "y.org": 9}, {}, {})
    assert [(row.name, row.people) for row in found] == [("Gmail", 16), ("", 12)]


def test_a_lone_small_one_takes_the_smallest_with_it() -> None:
    found = rules.gather({"a.org": 50, "b.org": 20, "c.org": 2}, {"a.org": 6, "c.org": 1}, {})
    assert [(row.name, row.people) for row in found] == [("a.org", 50), ("", 22)]
    assert [row.hard for row in found] == [Veiled.HIDDEN, Veiled.FEW]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("5.1.1", rules.NO_MAILBOX),
        ("5.2.2", rules.OVER_QUOTA),
        ("4.2.1", rules.MAILBOX_OFF),
        ("5.7.1", rules.POLICY),
        ("4.4.7", rules.UNREACHABLE),
        ("5.5.0", rules.OTHER),
        ("", rules.OTHER),
        ("550", rules.OTHER),
        ("5.x.1", rules.OTHER),
    ],
)
def test_status_codes_in_words(status: str, reason: str) -> None:
    assert rules.return_reason(status) == reason


@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=4))
def test_any_reason_is_some_reason(status: str, reasons: list[str]) -> None:
    assert rules.return_reason(status)
    assert rules.return_reason(rules.last_status(reasons))


def test_the_last_status_that_was_told_counts() -> None:
    assert rules.last_status(["hard bounce", "bounce 4.2.2", "bounce 5.1.1", "bounce"]) == "5.1.1"


@given(st.integers(0, 30), st.integers(0, 30))
def test_small_numbers_of_few_people_are_not_written(count: int, people: int) -> None:
    shown = few.veil_in(count, people)
    is_veiled = people < few.SMALL and 0 < count < few.FEWEST
    assert shown == (Veiled.FEW if is_veiled else count)


def test_times_of_the_same_quarter_add_up() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert rules.summed([(at, 1), (at, 2)]) == Counter({at: 3})
