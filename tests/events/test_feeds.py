"""Calendar files, read by two independent parsers that must see the same."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import vobject
from dateutil.rrule import rruleset, rrulestr
from dateutil.tz import tzical
from flask import Flask
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as trying
from hypothesis import strategies as some

from campaign.db import Words, db, uuid7
from campaign.errors import Invalid
from campaign.events import feeds, recurrence
from campaign.events.feeds import DateFacts, EventFacts
from campaign.events.models import EventState, OccurrenceState
from campaign.events.recurrence import read_wall
from campaign.events.zones import zone_lines
from tests.factories.events import (
    make_event,
    make_host,
    make_occurrence,
    make_rsvp,
    occurrence_of,
)

pytestmark = pytest.mark.usefixtures("app")
UPDATED = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def facts(**values: Any) -> EventFacts:
    """An event as a file sees it: a vigil in Chicago."""
    return EventFacts(
        **{
            "id": uuid7(),
            "slug": "vigil",
            "kind": "vigil",
            "state": EventState.PUBLISHED,
            "title": Words(en="Vigil at Woodlawn"),
            "summary": Words(),
            "zone": "America/Chicago",
            "starts_wall": "2026-12-01T18:00",
            "duration_minutes": 90,
            "is_all_day": False,
            "recurrence": None,
            "sequence": 0,
            "is_online": False,
            "online_url": "",
            "venue": "Woodlawn Clinic",
            "address": "6337 S Woodlawn Ave",
            "city": "Chicago",
            "postal_code": "60637",
            "address_visibility": "all",
            "directions": Words(),
            "cancel_note": Words(),
            "updated_at": UPDATED,
            **values,
        }
    )


def a_date(event: EventFacts, wall: datetime, **values: Any) -> DateFacts:
    """A date of it, as scheduling makes them."""
    found = recurrence.resolve(values.pop("at", wall), event.zone)
    minutes = values.pop("duration_minutes", event.duration_minutes)
    ends_at = found.at + timedelta(minutes=minutes)
    if event.is_all_day:
        ends_at = recurrence.resolve(found.shown + timedelta(minutes=minutes), event.zone).at
    return DateFacts(
        **{
            "event_id": event.id,
            "id": uuid7(),
            "original_wall": recurrence.write_wall(wall),
            "starts_at": found.at,
            "ends_at": ends_at,
            "duration_minutes": minutes,
            "state": OccurrenceState.SCHEDULED,
            "sequence": 0,
            "venue": None,
            "address": None,
            "online_url": None,
            "note": Words(),
            "cancel_note": Words(),
            **values,
        }
    )


def file_of(event: EventFacts, dates: list[DateFacts], language: str = "en") -> bytes:
    entry = event, dates
    return b"".join(feeds.feed("All events", [entry], feeds.spans([entry]), language))


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Seen:
    """One date as somebody's calendar shows it."""

    start: datetime | date
    end: datetime | date
    uid: str
    summary: str
    description: str
    location: str
    status: str
    sequence: int


def _instant(value: datetime | date) -> datetime | date:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _naive(value: datetime | date) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime.combine(value, time.min)


def _expand(
    entries: list[dict[str, Any]],
) -> list[Seen]:
    """What a calendar program makes of the entries of a file: rules, exceptions, changes."""
    seen = []
    changed = {(one["uid"], _naive(one["instead"])) for one in entries if one["instead"]}
    for one in entries:
        start, end = one["start"], one["end"]
        starts = [start]
        if one["rrule"]:
            rules = rruleset()
            rule = one["rrule"]
            zone = start.tzinfo if isinstance(start, datetime) else None
            # UNTIL is an instant; the rule is counted on the wall.
            until = re.search(r"UNTIL=(\d{8}T\d{6})Z", rule)
            if until:
                last = datetime.strptime(until[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                wall = last.astimezone(zone).replace(tzinfo=None)
                rule = rule.replace(until[0], f"UNTIL={wall + timedelta(hours=3):%Y%m%dT%H%M%S}")
            rules.rrule(rrulestr(rule, dtstart=_naive(start)))
            for out in one["exdates"]:
                rules.exdate(_naive(out))
            starts = []
            for wall in rules:
                if (one["uid"], wall) in changed:
                    continue
                starts.append(
                    wall.replace(tzinfo=zone) if isinstance(start, datetime) else wall.date()
                )
        for at in starts:
            until_at = (
                _instant(end)
                if len(starts) == 1 and at == start
                else (
                    _instant(
                        (_naive(at) + (_naive(end) - _naive(start))).replace(tzinfo=end.tzinfo)
                    )
                    if isinstance(end, datetime)
                    else at + (end - start)
                )
            )
            seen.append(
                Seen(
                    _instant(at),
                    until_at,
                    one["uid"],
                    one["summary"],
                    one["description"],
                    one["location"],
                    one["status"],
                    one["sequence"],
                )
            )
    return sorted(seen, key=lambda one: (str(one.start), one.uid))


def with_icalendar(raw: bytes) -> list[Seen]:
    calendar = icalendar.Calendar.from_ical(raw)
    assert not calendar.errors
    entries = []
    for event in calendar.walk("VEVENT"):
        assert not event.errors
        exdates = event.get("EXDATE", [])
        entries.append(
            {
                "uid": str(event["UID"]),
                "start": event["DTSTART"].dt,
                "end": event["DTEND"].dt,
                "instead": event["RECURRENCE-ID"].dt if "RECURRENCE-ID" in event else None,
                "rrule": event["RRULE"].to_ical().decode() if "RRULE" in event else "",
                "exdates": [
                    out.dt
                    for group in (exdates if isinstance(exdates, list) else [exdates])
                    for out in group.dts
                ],
                "summary": str(event["SUMMARY"]),
                "description": str(event["DESCRIPTION"]),
                "location": str(event.get("LOCATION", "")),
                "status": str(event["STATUS"]),
                "sequence": int(event["SEQUENCE"]),
            }
        )
    return _expand(entries)


def with_vobject(raw: bytes) -> list[Seen]:
    # By itself it takes zones from a table of its own; here it reads those of the file.
    vobject.icalendar.__dict__["__tzidMap"].clear()
    for zone in vobject.readOne(raw.decode()).contents.get("vtimezone", []):
        vobject.icalendar.registerTzid(zone.tzid.value, zone.tzinfo)
    calendar = vobject.readOne(raw.decode())
    calendar.validate(raiseException=True)
    entries = []
    for event in calendar.contents.get("vevent", []):
        one = event.contents
        entries.append(
            {
                "uid": one["uid"][0].value,
                "start": one["dtstart"][0].value,
                "end": one["dtend"][0].value,
                "instead": one["recurrence-id"][0].value if "recurrence-id" in one else None,
                "rrule": one["rrule"][0].value if "rrule" in one else "",
                "exdates": [out for line in one.get("exdate", []) for out in line.value],
                "summary": one["summary"][0].value,
                "description": one["description"][0].value,
                "location": one["location"][0].value if "location" in one else "",
                "status": one["status"][0].value,
                "sequence": int(one["sequence"][0].value),
            }
        )
    return _expand(entries)


def read(raw: bytes) -> list[Seen]:
    """What both parsers see; the file itself is well-formed."""
    lines = raw.split(b"\r\n")
    assert lines[-1] == b""
    assert all(len(line) <= 75 and b"\n" not in line and b"\r" not in line for line in lines)
    for line in lines:
        line.decode()  # no character is cut by a fold
    first, second = with_icalendar(raw), with_vobject(raw)
    assert first == second
    return first


# --- one date ----------------------------------------------------------------------------------


def test_a_single_date() -> None:
    event = facts(summary=Words(en="Bring a candle."))
    raw = file_of(event, [a_date(event, read_wall("2026-12-01T18:00"))])
    (seen,) = read(raw)
    assert seen == Seen(
        start=datetime(2026, 12, 2, 0, 0, tzinfo=UTC),
        end=datetime(2026, 12, 2, 1, 30, tzinfo=UTC),
        uid=f"{event.id}@127.0.0.1",
        summary="Vigil at Woodlawn",
        description="Bring a candle.\n\nhttp://127.0.0.1:8000/e/vigil",
        location="Woodlawn Clinic, 6337 S Woodlawn Ave, Chicago 60637",
        status="CONFIRMED",
        sequence=0,
    )
    assert b"DTSTART;TZID=America/Chicago:20261201T180000\r\n" in raw
    assert b"RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n" in raw
    assert b"DTSTAMP:20261125T120000Z\r\nLAST-MODIFIED:20261125T120000Z\r\n" in raw
    assert b"CATEGORIES:Vigil\r\n" in raw
    assert b"URL:http://127.0.0.1:8000/e/vigil\r\n" in raw
    assert b"METHOD:PUBLISH\r\n" in raw
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in raw
    assert raw == file_of(event, [a_date(event, read_wall("2026-12-01T18:00"))])


def test_a_feed_in_spanish() -> None:
    event = facts(title=Words(en="Vigil", es="Vigilia, en la clínica"))
    raw = file_of(event, [a_date(event, read_wall("2026-12-01T18:00"))], "es")
    (seen,) = read(raw)
    assert seen.summary == "Vigilia, en la clínica"
    assert b"CATEGORIES:Vigilia\r\n" in raw
    assert b"/e/vigil?lang=es" in raw


@pytest.mark.parametrize(
    ("minutes", "last"),
    [(60, date(2026, 12, 2)), (1440, date(2026, 12, 2)), (4320, date(2026, 12, 4))],
)
def test_all_day_is_days(minutes: int, last: date) -> None:
    event = facts(is_all_day=True, starts_wall="2026-12-01T00:00", duration_minutes=minutes)
    raw = file_of(event, [a_date(event, read_wall("2026-12-01T00:00"))])
    (seen,) = read(raw)
    assert (seen.start, seen.end) == (date(2026, 12, 1), last)
    assert b"DTSTART;VALUE=DATE:20261201\r\n" in raw


def test_a_night_on_which_the_clocks_go_back_ends_when_it_ends() -> None:
    event = facts(starts_wall="2026-11-01T01:15", duration_minutes=60)
    (seen,) = read(file_of(event, [a_date(event, read_wall("2026-11-01T01:15"))]))
    assert seen.end - seen.start == timedelta(hours=1)  # type: ignore[operator]


def test_a_time_that_never_happens_is_the_one_shown() -> None:
    event = facts(starts_wall="2026-03-08T02:30")
    (seen,) = read(file_of(event, [a_date(event, read_wall("2026-03-08T02:30"))]))
    assert seen.start == datetime(2026, 3, 8, 8, 30, tzinfo=UTC)


def test_utc_needs_no_zone() -> None:
    event = facts(zone="UTC")
    raw = file_of(event, [a_date(event, read_wall("2026-12-01T18:00"))])
    assert read(raw)[0].start == datetime(2026, 12, 1, 18, tzinfo=UTC)
    assert b"VTIMEZONE" not in raw


# --- series ------------------------------------------------------------------------------------


WEEKLY = {"frequency": "weekly", "interval": 1, "weekdays": ["TU"], "count": 6}


def series(**values: Any) -> tuple[EventFacts, list[DateFacts]]:
    """Six Tuesdays at 18:00 across the night when Chicago's clocks go forward."""
    event = facts(**{"recurrence": WEEKLY, "starts_wall": "2027-02-23T18:00", **values})
    rule = recurrence.parse(event.recurrence or {})
    first = read_wall(event.starts_wall)
    return event, [a_date(event, wall) for wall in recurrence.walls(rule, first)]


def test_a_series_is_one_entry_and_keeps_its_hour() -> None:
    event, dates = series()
    raw = file_of(event, dates)
    assert raw.count(b"BEGIN:VEVENT") == 1
    seen = read(raw)
    assert [one.start for one in seen] == [one.starts_at for one in dates]
    chicago = ZoneInfo("America/Chicago")
    assert {one.start.astimezone(chicago).hour for one in seen} == {18}  # type: ignore[union-attr]
    assert len({one.start.hour for one in seen}) == 2  # type: ignore[union-attr]


def test_exceptions_changes_and_cancelled_dates_of_a_series() -> None:
    event, dates = series(sequence=3)
    dates[1] = dates[1]._replace(state=OccurrenceState.REMOVED)
    dates[2] = a_date(
        event, read_wall("2027-03-09T18:00"), at=read_wall("2027-03-10T19:00"), sequence=5
    )
    dates[3] = dates[3]._replace(state=OccurrenceState.CANCELLED, cancel_note=Words(en="Snow."))
    dates[4] = dates[4]._replace(venue="Library", address="1 State St", note=Words(en="Upstairs."))
    raw = file_of(event, dates)
    seen = read(raw)
    assert len(seen) == 5
    assert {one.uid for one in seen} == {f"{event.id}@127.0.0.1"}
    by_start = {one.start: one for one in seen}
    assert dates[1].starts_at not in by_start
    moved = by_start[datetime(2027, 3, 11, 1, tzinfo=UTC)]
    assert moved.sequence == 5
    assert moved.description.endswith("/e/vigil?on=2027-03-10T19:00")
    off = by_start[dates[3].starts_at]
    assert (off.status, off.summary) == ("CANCELLED", "Cancelled: Vigil at Woodlawn")
    assert off.description.startswith("Snow.")
    elsewhere = by_start[dates[4].starts_at]
    assert elsewhere.location == "Library, 1 State St, Chicago 60637"
    assert elsewhere.description.startswith("Upstairs.")
    assert b"EXDATE;TZID=America/Chicago:20270302T180000\r\n" in raw
    assert b"RECURRENCE-ID;TZID=America/Chicago:20270309T180000\r\n" in raw


def test_dates_written_down_are_entries_of_their_own() -> None:
    event, dates = series(
        recurrence={"frequency": "dates", "dates": ["2027-03-01", "2027-03-15T20:00"]}
    )
    seen = read(file_of(event, dates))
    assert [one.start for one in seen] == [one.starts_at for one in dates]
    assert {one.uid for one in seen} == {f"{one.id}@127.0.0.1" for one in dates}


def test_a_date_outside_the_rule_is_not_lost() -> None:
    event, dates = series()
    dates.append(a_date(event, read_wall("2027-06-04T12:00")))
    seen = read(file_of(event, dates))
    assert [one.start for one in seen] == [one.starts_at for one in dates]
    assert len({one.uid for one in seen}) == 2


def test_a_series_without_a_date_left_is_empty() -> None:
    event, dates = series()
    gone = [one._replace(state=OccurrenceState.REMOVED) for one in dates]
    assert read(file_of(event, gone)) == []


def test_a_cancelled_series_is_cancelled_as_a_whole() -> None:
    event, dates = series(state=EventState.CANCELLED, cancel_note=Words(en="It stays open!"))
    seen = read(file_of(event, dates))
    assert {one.status for one in seen} == {"CANCELLED"}
    assert all(one.description.startswith("It stays open!") for one in seen)


# --- everything --------------------------------------------------------------------------------

ZONES = [
    "America/Chicago", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Apia",
    "Africa/Casablanca", "Asia/Jerusalem", "America/Nuuk", "Asia/Kathmandu", "UTC",
    "America/Santiago", "Africa/Cairo", "Europe/Dublin", "America/Phoenix", "Pacific/Chatham",
]  # fmt: skip
TEXTS = some.one_of(
    some.text(max_size=60),
    some.text(alphabet=",;:\\\n\r\"'NntT \U0001f56f️\u202eאعéñ", max_size=60),
    some.sampled_from(
        [
            "x" * 1000,
            "🕯️" * 500,
            "שלום, עולם; مرحبا" * 40,
            "a,b;c\\nd\\Ne\nf",
            " begins and ends with a blank ",
            "BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT",
            "\x00\x07\x1b\x85\u2028\ufeff",
            "trailing backslash\\",
        ]
    ),
)
RULES = some.one_of(
    some.builds(
        lambda interval, days, count: {
            "frequency": "weekly",
            "interval": interval,
            "weekdays": days,
            "count": count,
        },
        some.integers(1, 4),
        some.lists(some.sampled_from(recurrence.WEEKDAYS), unique=True, max_size=4),
        some.integers(1, 40),
    ),
    some.builds(
        lambda interval, day, ordinal, count: {
            "frequency": "monthly",
            "interval": interval,
            "weekdays": [day],
            "ordinal": ordinal,
            "count": count,
        },
        some.integers(1, 3),
        some.sampled_from(recurrence.WEEKDAYS),
        some.sampled_from(recurrence.ORDINALS),
        some.integers(1, 20),
    ),
    some.builds(
        lambda days: {"frequency": "dates", "dates": [day.isoformat() for day in days]},
        some.lists(
            some.dates(date(2026, 1, 1), date(2029, 1, 1)), unique=True, min_size=1, max_size=8
        ),
    ),
)
WALLS = some.datetimes(read_wall("2026-01-01T00:00"), read_wall("2028-12-31T00:00")).map(
    lambda at: at.replace(second=0, microsecond=0)
)


def shown(text: str) -> str:
    """A text as a calendar shows it: breaks are breaks, controls are gone."""
    text = re.sub("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", "\n", text)
    return re.sub("[\x00-\x08\x0e-\x1f\x7f-\x9f]", "", text)


@trying(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=TEXTS, venue=TEXTS, summary=TEXTS)
def test_any_text_comes_back_as_it_was(app: Flask, title: str, venue: str, summary: str) -> None:
    event = facts(title=Words(en=title), summary=Words(en=summary), venue=venue, address="", city="",
                  postal_code="")  # fmt: skip
    (seen,) = read(file_of(event, [a_date(event, read_wall("2026-12-01T18:00"))]))
    assert seen.summary == " ".join(shown(title).split())
    assert seen.location == " ".join(shown(venue).split())
    expected = shown(summary.strip())
    assert seen.description == (f"{expected}\n\n" if summary.strip() else "") + (
        "http://127.0.0.1:8000/e/vigil"
    )


@trying(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    zone=some.sampled_from(ZONES), first=WALLS, rule=some.none() | RULES,
    minutes=some.sampled_from([30, 60, 90, 600, 1440]), all_day=some.booleans(), data=some.data(),
)  # fmt: skip
def test_any_series_in_any_zone_shows_exactly_its_dates(
    app: Flask,
    zone: str,
    first: datetime,
    rule: dict[str, Any] | None,
    minutes: int,
    all_day: bool,
    data: some.DataObject,
) -> None:
    if all_day:
        first, minutes = first.replace(hour=0, minute=0), 1440
    event = facts(
        zone=zone, starts_wall=recurrence.write_wall(first), recurrence=rule,
        duration_minutes=minutes, is_all_day=all_day,
    )  # fmt: skip
    try:
        walls = recurrence.walls(recurrence.parse(rule) if rule else None, first)
    except Invalid:
        assume(False)
    dates = []
    for wall in walls:
        what = data.draw(some.sampled_from(["", "", "", "", "moved", "removed", "cancelled"]))
        at = wall + timedelta(days=1 if all_day else 0, minutes=0 if all_day else 75)
        dates.append(
            a_date(
                event,
                wall,
                at=at if what == "moved" else wall,
                state=what if what in {"removed", "cancelled"} else OccurrenceState.SCHEDULED,
            )
        )
    seen = read(file_of(event, dates))
    there = [one for one in dates if one.state != OccurrenceState.REMOVED]
    place = ZoneInfo(zone)
    if all_day:
        expected = {
            (one.starts_at.astimezone(place).date(), one.state == "cancelled") for one in there
        }
        assert {(one.start, one.status == "CANCELLED") for one in seen} == expected
    else:
        key = [(one.starts_at, one.ends_at, one.state == "cancelled") for one in there]
        assert sorted((one.start, one.end, one.status == "CANCELLED") for one in seen) == sorted(
            key
        )
    assert len(seen) == len(there)


@pytest.mark.parametrize("zone", [*ZONES, "Asia/Gaza", "Africa/El_Aaiun", "America/Havana"])
def test_a_zone_written_down_is_the_zone(zone: str) -> None:
    """Every hour of two years has the same offset by the file and by the IANA table."""
    text = "\r\n".join(zone_lines(zone, 2026, 2027))
    written = tzical(io.StringIO(text)).get(zone)
    place = ZoneInfo(zone)
    at = read_wall("2026-01-01T00:00")
    while at < read_wall("2028-01-01T00:00"):
        wall = at.replace(tzinfo=place)
        there_and_back = wall.astimezone(UTC).astimezone(place)
        if (
            there_and_back.replace(tzinfo=None) == at
            and wall.utcoffset() == wall.replace(fold=1).utcoffset()
        ):
            assert at.replace(tzinfo=written).utcoffset() == wall.utcoffset(), at
        at += timedelta(hours=1)


# --- the file in an e-mail, and what nobody else may know --------------------------------------


def test_the_file_for_whoever_comes_has_street_and_link() -> None:
    event = make_event(
        address_visibility="coming",
        is_online=True,
        online_url="https://meet.example/secret",
        directions=Words(en="Ring twice."),
        contact_name="Ana Contact",
        contact_email="ana@example.org",
        contact_phone="+1 312 555 0100",
    )
    make_host(event, name="Hugo Host", email="hugo@example.org", is_public=True)
    make_rsvp(event, first_name="Maria", last_name="Reyes")
    db.session.commit()
    private = feeds.attachment_for(occurrence_of(event), "en")
    (seen,) = read(private.encode())
    assert seen.location == "Woodlawn Clinic, 6337 S Woodlawn Ave, Chicago 60637, Online"
    assert "Ring twice." in seen.description
    assert "https://meet.example/secret" in seen.description
    assert "METHOD:PUBLISH\r\n" in private
    public = feeds.calendar_of(event, [occurrence_of(event)], "en")
    (seen,) = read(public)
    assert seen.location == "Chicago, Online"
    for secret in ("6337", "secret", "60637", "Ring twice"):
        assert secret not in public.decode()
    for text in (private, public.decode()):
        assert not re.search(r"ORGANIZER|ATTENDEE|CONTACT|@example|mailto", text)
        assert not re.search(r"Ana|Hugo|Maria|Reyes|555", text)


def test_the_same_date_is_the_same_file_and_moved_it_is_newer() -> None:
    event = make_event()
    date = occurrence_of(event)
    db.session.commit()
    first = feeds.attachment_for(date, "en")
    assert feeds.attachment_for(date, "en") == first
    sequences = []
    for n in range(30):
        date.starts_at += timedelta(minutes=20)
        date.ends_at += timedelta(minutes=20)
        date.sequence, event.sequence = n + 1, n + 1
        (seen,) = read(feeds.attachment_for(date, "en").encode())
        assert seen.uid == f"{event.id}@127.0.0.1"
        assert seen.start == date.starts_at
        sequences.append(seen.sequence)
    assert sequences == list(range(1, 31))


@pytest.mark.parametrize("what", ["event", "date"])
def test_the_file_of_what_is_cancelled_takes_it_back(what: str) -> None:
    event = make_event()
    date = occurrence_of(event)
    (event if what == "event" else date).state = "cancelled"
    db.session.commit()
    text = feeds.attachment_for(date, "es")
    assert "METHOD:CANCEL\r\n" in text
    (seen,) = read(text.encode())
    assert (seen.status, seen.uid) == ("CANCELLED", f"{event.id}@127.0.0.1")


def test_a_date_of_a_series_has_an_entry_of_its_own_that_moves_with_it() -> None:
    event = make_event(recurrence=WEEKLY)
    other = make_occurrence(event, "2027-03-02T18:00")
    db.session.commit()
    before = read(feeds.attachment_for(other, "en").encode())[0]
    # The series moves by an hour, and with it the name of the date.
    other.original_wall = other.starts_wall = "2027-03-02T19:00"
    other.starts_at += timedelta(hours=1)
    other.ends_at += timedelta(hours=1)
    after = read(feeds.attachment_for(other, "en").encode())[0]
    assert before.uid == after.uid == f"{other.id}@127.0.0.1"
    assert after.start == before.start + timedelta(hours=1)  # type: ignore[operator]
