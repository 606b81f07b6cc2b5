"""Writing events: dates as rows that keep their answers, told changes, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from campaign.campaigns.models import Campaign
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.events import rounds, scheduling
from campaign.events.models import (
    Event,
    EventState,
    Notice,
    Occurrence,
    OccurrenceState,
    Reminder,
    ReminderState,
    Rsvp,
    RsvpState,
)
from campaign.events.recurrence import parse, read_wall
from campaign.events.scheduling import EventDetails, OccurrenceDetails, ShiftDetails
from campaign.organizations.models import AuditEntry
from tests.factories.campaigns import make_campaign, make_clinic, make_wards
from tests.factories.events import make_rsvp

CHICAGO = "America/Chicago"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday morning in Chicago
TUESDAYS = {"frequency": "weekly", "weekdays": ["TU"], "count": 4}


@pytest.fixture(autouse=True)
def june(app: Flask) -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as travel:
        yield travel


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return make_campaign()


def details(campaign: Campaign, **values: Any) -> EventDetails:
    """Tuesday the 9th of June at 18:00 in Chicago, unless told."""
    rule = values.pop("rule", None)
    return EventDetails(
        **{
            "campaign_id": campaign.id,
            "title": Words(en="Planning", es="Planificación"),
            "zone": CHICAGO,
            "starts": read_wall(values.pop("starts", "2026-06-09T18:00")),
            "venue": "Library",
            "rule": parse(rule) if isinstance(rule, dict) else rule,
            **values,
        }
    )


def make(campaign: Campaign, *, published: bool = True, **values: Any) -> Event:
    event = scheduling.create_event(campaign.organization_id, details(campaign, **values))
    if published:
        scheduling.publish_event(event)
    db.session.flush()
    return event


def change(event: Event, **values: Any) -> Any:
    rule = values.pop("rule", event.recurrence)
    given = {
        name: getattr(event, name)
        for name in (*scheduling.PLAIN, "zone", "duration_minutes", "is_all_day", "postal_code")
    }
    given["starts"] = event.starts_wall
    given["rule"] = rule
    return scheduling.change_event(event, details(event.campaign, **(given | values)))


def rows(event: Event) -> list[Occurrence]:
    return list(
        db.session.scalars(
            select(Occurrence)
            .where(Occurrence.event_id == event.id)
            .order_by(Occurrence.original_wall)
        )
    )


def walls(event: Event) -> list[str]:
    return [row.starts_wall for row in rows(event) if row.state == OccurrenceState.SCHEDULED]


def notices(event: Event) -> list[tuple[str, list[str], str]]:
    return [
        (row.kind, row.what, row.before)
        for row in db.session.scalars(
            select(Notice)
            .join(Occurrence, Occurrence.id == Notice.occurrence_id)
            .where(Occurrence.event_id == event.id)
            .order_by(Notice.created_at, Occurrence.starts_at)
        )
    ]


def planned(row: Occurrence) -> list[tuple[str, str]]:
    return sorted(
        (one.offset, one.due_at.strftime("%d %H:%M"))
        for one in db.session.scalars(
            select(Reminder).where(
                Reminder.occurrence_id == row.id,
                Reminder.state == ReminderState.PLANNED,
                Reminder.offset != "after",
            )
        )
    )


def actions(event: Event) -> list[str]:
    found = select(AuditEntry.action).where(AuditEntry.subject_id == event.id)
    return list(db.session.scalars(found.order_by(AuditEntry.n)))


# Making


def test_a_draft_has_its_date_and_its_address(campaign: Campaign) -> None:
    event = make(campaign, published=False)
    assert (event.slug, event.state, event.sequence) == ("planning", EventState.DRAFT, 0)
    (row,) = rows(event)
    assert row.starts_at == datetime(2026, 6, 9, 23, tzinfo=UTC)
    assert row.ends_at == datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
    assert (row.original_wall, row.starts_wall) == ("2026-06-09T18:00", "2026-06-09T18:00")
    assert make(campaign).slug == "planning-2"
    assert not planned(row)
    assert actions(event) == ["event.created"]


def test_some_addresses_are_pages(campaign: Campaign) -> None:
    assert make(campaign, title=Words(en="Propose")).slug == "propose-2"
    with pytest.raises(Invalid) as refused:
        make(campaign, slug="calendar")
    assert refused.value.field == "slug"


def test_a_series_becomes_rows_over_the_change_of_the_clocks(campaign: Campaign) -> None:
    event = make(
        campaign,
        starts="2026-10-26T18:00",
        rule={"frequency": "weekly", "weekdays": ["TU"], "count": 3},
    )
    assert event.starts_wall == "2026-10-27T18:00"
    assert [row.starts_at.isoformat() for row in rows(event)] == [
        "2026-10-27T23:00:00+00:00",
        "2026-11-04T00:00:00+00:00",
        "2026-11-11T00:00:00+00:00",
    ]
    assert planned(rows(event)[1]) == [("180m", "03 21:00"), ("1d@11:00", "02 17:00")]


def test_a_postal_code_finds_the_ward(campaign: Campaign) -> None:
    make_wards()
    event = make(campaign, postal_code="60637-1234")
    assert event.postal_code == "60637"
    assert event.district_id is not None
    assert event.latitude is not None
    change(event, postal_code="")
    assert (event.district_id, event.latitude, event.longitude) == (None, None, None)


def test_odd_times_are_saved_as_they_are_meant(campaign: Campaign) -> None:
    event = make(campaign, starts="2027-03-14T02:30")
    (row,) = rows(event)
    assert (row.starts_wall, row.original_wall) == ("2027-03-14T03:30", "2027-03-14T02:30")
    assert row.starts_at == datetime(2027, 3, 14, 8, 30, tzinfo=UTC)
    changes = change(event, starts="2026-11-01T01:30")
    ((wall, found),) = changes.oddities
    assert (wall.isoformat(), found.oddity) == ("2026-11-01T01:30:00", "fold")
    assert rows(event)[0].starts_at == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_a_day_ends_at_midnight_also_when_it_is_long(campaign: Campaign) -> None:
    event = make(campaign, starts="2026-11-01T00:00", is_all_day=True, duration_minutes=1440)
    (row,) = rows(event)
    assert (row.ends_at - row.starts_at).total_seconds() == 25 * 3600


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"duration_minutes": 0}, "ends", "ends before it begins"),
        ({"duration_minutes": -30}, "ends", "ends before it begins"),
        ({"duration_minutes": 60 * 24 * 32}, "ends", "31 days"),
        ({"zone": "Chicago"}, "zone", "time zone"),
        ({"zone": "../etc/passwd"}, "zone", "time zone"),
        ({"rule": {"frequency": "weekly"}}, "until", "needs an end"),
        ({"rule": {"frequency": "weekly", "until": "2032-01-01"}}, "until", "five years"),
        ({"kind": "party"}, "kind", "list"),
        ({"access": ["stairs"]}, "access", "list"),
        ({"needs_asked": ["ride", "x"]}, "needs_asked", "list"),
        ({"capacity": -1}, "capacity", "whole number"),
        ({"most_guests": 400}, "most_guests", "whole number"),
        ({"reminders": ["0d@20:00"]}, "reminders", "after the start"),
        ({"reminders": ["soon"]}, "reminders", "1d@11:00"),
        ({"reminders": [f"{n}m" for n in range(7)]}, "reminders", "at most 6"),
        ({"slug": "No Good"}, "slug", "small letters"),
        ({"campaign_id": uuid.UUID(int=7)}, "campaign", "your campaigns"),
        ({"clinic_id": uuid.UUID(int=7)}, "clinic", "clinic"),
    ],
)
def test_what_cannot_be_taken_is_said_at_its_field(
    campaign: Campaign, values: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(Invalid) as refused:
        make(campaign, **values)
    assert refused.value.field == field
    assert words in str(refused.value.message)


def test_a_clinic_of_another_campaign_is_refused(campaign: Campaign) -> None:
    other = make_clinic(make_campaign())
    with pytest.raises(Invalid, match="clinic"):
        make(campaign, clinic_id=other.id)


# Publishing


def test_draft_published_withdrawn_cancelled(campaign: Campaign) -> None:
    event = make(campaign, published=False)
    scheduling.publish_event(event)
    assert planned(rows(event)[0]) == [("180m", "09 20:00"), ("1d@11:00", "08 16:00")]
    with pytest.raises(Conflict):
        scheduling.publish_event(event)
    scheduling.withdraw_event(event)
    assert event.state == EventState.DRAFT
    assert planned(rows(event)[0]) == []
    scheduling.publish_event(event)
    make_rsvp(event)
    with pytest.raises(Conflict, match="answered"):
        scheduling.withdraw_event(event)
    scheduling.cancel_event(event, Words(en="The hall burned down."))
    assert event.state == EventState.CANCELLED
    assert (event.sequence, rows(event)[0].sequence) == (1, 1)
    assert [kind for kind, _what, _before in notices(event)] == ["cancelled"]
    assert planned(rows(event)[0]) == []
    with pytest.raises(Conflict, match="cancelled"):
        change(event, venue="Elsewhere")
    assert actions(event) == [
        *("event.created", "event.published", "event.withdrawn", "event.published"),
        "event.cancelled",
    ]


def test_nothing_that_is_over_is_published(
    campaign: Campaign, june: time_machine.Coordinates
) -> None:
    event = make(campaign, published=False)
    june.move_to(datetime(2026, 6, 10, 12, tzinfo=UTC))
    with pytest.raises(Invalid, match="have passed"):
        scheduling.publish_event(event)


# Moving one event


def test_a_move_keeps_the_answers_and_is_told(campaign: Campaign) -> None:
    event = make(campaign)
    rsvp = make_rsvp(event)
    change(event, starts="2026-06-11T19:00")
    (row,) = rows(event)
    assert rsvp.occurrence_id == row.id
    assert (row.starts_wall, row.time_version, row.sequence) == ("2026-06-11T19:00", 2, 1)
    assert (event.starts_wall, event.sequence) == ("2026-06-11T19:00", 1)
    assert notices(event) == [("changed", ["time"], "2026-06-09T18:00")]
    assert planned(row) == [("180m", "11 21:00"), ("1d@11:00", "10 16:00")]


def test_a_quarter_of_an_hour_is_not_worth_a_letter(campaign: Campaign) -> None:
    event = make(campaign)
    make_rsvp(event)
    change(event, starts="2026-06-09T18:15")
    (row,) = rows(event)
    assert (row.time_version, row.sequence, notices(event)) == (1, 1, [])
    change(event, starts="2026-06-09T18:31")
    assert (row.time_version, row.sequence) == (2, 2)
    assert notices(event) == [("changed", ["time"], "2026-06-09T18:15")]


def test_saving_without_a_change_tells_nobody(campaign: Campaign) -> None:
    event = make(campaign, rule=TUESDAYS)
    make_rsvp(event)
    change(event, title=Words(en="Another title"))
    assert (event.sequence, notices(event)) == (0, [])
    assert {row.sequence for row in rows(event)} == {0}


def test_a_new_place_is_told_and_a_new_zone_moves(campaign: Campaign) -> None:
    event = make(campaign)
    make_rsvp(event)
    change(event, venue="Church", online_url="https://meet.example.org/x")
    assert notices(event) == [("changed", ["place", "online"], "")]
    change(event, zone="America/New_York")
    (row,) = rows(event)
    assert (row.starts_wall, row.starts_at.hour) == ("2026-06-09T18:00", 22)
    assert (row.time_version, row.sequence, event.sequence) == (2, 2, 2)


def test_what_is_over_stays_as_it_was(campaign: Campaign, june: time_machine.Coordinates) -> None:
    event = make(campaign)
    with pytest.raises(Invalid, match="time has passed"):
        change(event, starts="2026-05-30T18:00")
    db.session.refresh(event)
    june.move_to(datetime(2026, 6, 12, 12, tzinfo=UTC))
    change(event, text=Words(en="Thank you all."), starts="2026-06-09T18:00")
    assert event.text == {"en": "Thank you all."}
    with pytest.raises(Invalid, match="is over"):
        change(event, starts="2026-06-16T18:00")


def test_capacity_throws_nobody_out_and_more_fills_the_line(campaign: Campaign) -> None:
    event = make(campaign, capacity=3)
    make_rsvp(event, guests=2)
    waiting = make_rsvp(event, state=RsvpState.WAITING)
    with pytest.raises(Invalid) as refused:
        change(event, capacity=2)
    assert (refused.value.field, "3 people" in str(refused.value.message)) == ("capacity", True)
    db.session.expire_all()
    change(event, capacity=4)
    db.session.refresh(waiting)
    assert waiting.state == RsvpState.ACCEPTED
    assert (rows(event)[0].taken_count, rows(event)[0].waiting_count) == (4, 0)


def test_a_date_that_does_not_take_place_asks_for_no_room(campaign: Campaign) -> None:
    event = make(campaign, rule=TUESDAYS, capacity=5)
    first = rows(event)[0]
    make_rsvp(event, first, guests=3)
    scheduling.cancel_occurrence(first, Words())
    change(event, capacity=2)
    assert [row.capacity for row in rows(event)] == [2, 2, 2, 2]


# Series


def test_another_hour_moves_the_dates_to_come_and_keeps_their_answers(
    campaign: Campaign, june: time_machine.Coordinates
) -> None:
    event = make(campaign, rule=TUESDAYS)
    first, second, third, fourth = rows(event)
    rsvp = make_rsvp(event, third)
    june.move_to(datetime(2026, 6, 10, 12, tzinfo=UTC))  # the first is over
    change(event, starts="2026-06-09T19:00")
    assert [row.starts_wall for row in (first, second, third, fourth)] == [
        *("2026-06-09T18:00", "2026-06-16T19:00", "2026-06-23T19:00", "2026-06-30T19:00"),
    ]
    assert [row.original_wall[11:] for row in rows(event)] == ["19:00"] * 4
    assert (first.sequence, first.is_changed, second.is_changed) == (0, True, False)
    assert (rsvp.occurrence_id, third.time_version) == (third.id, 2)
    assert len(rows(event)) == 4
    assert {before for _kind, _what, before in notices(event)} >= {"2026-06-23T18:00"}


def test_single_changes_and_exceptions_stay(campaign: Campaign) -> None:
    event = make(campaign, rule=TUESDAYS, capacity=20)
    first, second, third, fourth = rows(event)
    scheduling.change_occurrence(
        second,
        OccurrenceDetails(
            starts=read_wall("2026-06-17T12:00"), duration_minutes=60, venue="Park", capacity=8
        ),
    )
    scheduling.change_occurrence(
        fourth,
        OccurrenceDetails(
            starts=read_wall("2026-06-30T18:00"), duration_minutes=90, venue="Park", capacity=20
        ),
    )
    scheduling.remove_occurrence(third)
    assert (second.is_changed, fourth.is_changed, first.is_changed) == (True, True, False)
    change(event, starts="2026-06-09T19:00", capacity=30)
    assert [
        (row.starts_wall, row.duration_minutes, row.venue, row.capacity, row.state)
        for row in rows(event)
    ] == [
        ("2026-06-09T19:00", 90, None, 30, "scheduled"),
        ("2026-06-17T12:00", 60, "Park", 8, "scheduled"),
        ("2026-06-23T19:00", 90, None, 30, "removed"),
        ("2026-06-30T19:00", 90, "Park", 30, "scheduled"),
    ]
    make_rsvp(event, second)
    told = len(notices(event))
    change(event, venue="Church")  # the second and the fourth have a place of their own
    assert [row.sequence for row in rows(event)] == [2, 1, 3, 2]
    assert len(notices(event)) - told <= 1


def test_a_shorter_series_cancels_what_was_answered_and_drops_the_rest(
    campaign: Campaign,
) -> None:
    event = make(campaign, rule=TUESDAYS)
    first, _second, third, fourth = rows(event)
    make_rsvp(event, third)
    changes = change(event, rule={"frequency": "weekly", "weekdays": ["TU"], "count": 2})
    assert (changes.removed_count, changes.cancelled) == (1, [third])
    assert db.session.get(Occurrence, fourth.id) is None
    assert third.state == OccurrenceState.CANCELLED
    assert [kind for kind, _what, _before in notices(event)] == ["cancelled"]
    assert planned(third) == []
    change(event, rule=TUESDAYS)  # longer again: the new one is back, the cancelled one is not
    assert walls(event) == ["2026-06-09T18:00", "2026-06-16T18:00", "2026-06-30T18:00"]
    assert first.sequence == 0


def test_a_single_event_becomes_a_series_and_back(campaign: Campaign) -> None:
    event = make(campaign)
    rsvp = make_rsvp(event)
    change(event, rule=TUESDAYS)
    assert (len(rows(event)), event.is_series) == (4, True)
    assert rsvp.occurrence_id == rows(event)[0].id
    change(event, rule=None)
    assert walls(event) == ["2026-06-09T18:00"]
    assert (len(rows(event)), event.is_series) == (1, False)


def test_two_dates_a_day_may_swap_their_names(campaign: Campaign) -> None:
    twice = {"frequency": "dates", "dates": ["2026-06-09T10:00", "2026-06-09T12:00"]}
    event = make(campaign, rule=twice, starts="2026-06-09T08:00")
    later = {"frequency": "dates", "dates": ["2026-06-09T12:00", "2026-06-09T14:00"]}
    change(event, rule=later, starts="2026-06-09T10:00")
    assert [row.original_wall for row in rows(event)] == [
        *("2026-06-09T10:00", "2026-06-09T12:00", "2026-06-09T14:00")
    ]


def test_a_past_date_is_not_made_afterwards(
    campaign: Campaign, june: time_machine.Coordinates
) -> None:
    event = make(campaign, rule=TUESDAYS)
    june.move_to(datetime(2026, 6, 18, 12, tzinfo=UTC))
    change(
        event,
        starts="2026-06-08T18:00",
        rule={"frequency": "weekly", "weekdays": ["MO", "TU"], "count": 8},
    )
    assert walls(event) == [
        *("2026-06-09T18:00", "2026-06-16T18:00", "2026-06-22T18:00", "2026-06-23T18:00"),
        *("2026-06-29T18:00", "2026-06-30T18:00"),
    ]


# One date


def test_cancel_leave_out_and_take_back(campaign: Campaign) -> None:
    event = make(campaign, rule=TUESDAYS)
    first, second, third, _fourth = rows(event)
    make_rsvp(event, second)
    with pytest.raises(Conflict, match="answered"):
        scheduling.remove_occurrence(second)
    scheduling.cancel_occurrence(second, Words(en="Snow"))
    assert (second.state, second.sequence, second.cancel_note) == ("cancelled", 1, {"en": "Snow"})
    assert planned(second) == []
    with pytest.raises(Conflict):
        scheduling.cancel_occurrence(second, Words())
    rounds.queue_due(NOW)  # people have been told
    scheduling.restore_occurrence(second)
    assert (second.state, second.sequence, second.cancel_note) == ("scheduled", 2, {})
    assert len(planned(second)) == 2
    assert [(kind, what) for kind, what, _before in notices(event)] == [
        ("cancelled", []),
        ("changed", ["again"]),
    ]
    scheduling.remove_occurrence(first)
    scheduling.remove_occurrence(third)
    assert walls(event) == ["2026-06-16T18:00", "2026-06-30T18:00"]
    scheduling.restore_occurrence(first)
    with pytest.raises(Conflict):
        scheduling.restore_occurrence(first)


def test_the_only_date_is_not_left_out(campaign: Campaign) -> None:
    with pytest.raises(Conflict, match="only date"):
        scheduling.remove_occurrence(rows(make(campaign))[0])


def test_one_date_of_a_single_event_is_the_event(campaign: Campaign) -> None:
    event = make(campaign, capacity=5)
    (row,) = rows(event)
    scheduling.change_occurrence(
        row,
        OccurrenceDetails(
            starts=read_wall("2026-06-10T10:00"), duration_minutes=30, venue="Park", capacity=6
        ),
    )
    assert (event.starts_wall, event.venue, event.capacity) == ("2026-06-10T10:00", "Park", 6)
    assert (row.is_changed, row.venue, row.original_wall) == (False, None, "2026-06-10T10:00")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"duration_minutes": 0}, "ends"),
        ({"starts": read_wall("2026-05-01T18:00")}, "starts"),
        ({"capacity": 1}, "capacity"),
    ],
)
def test_a_date_refuses_what_it_cannot_be(
    campaign: Campaign, values: dict[str, Any], field: str
) -> None:
    event = make(campaign, rule=TUESDAYS)
    (row, *_rest) = rows(event)
    make_rsvp(event, row, guests=2)
    given = {"starts": read_wall(row.starts_wall), "duration_minutes": 90} | values
    with pytest.raises(Invalid) as refused:
        scheduling.change_occurrence(row, OccurrenceDetails(**given))
    assert refused.value.field == field


def test_a_date_that_is_over_is_not_changed(
    campaign: Campaign, june: time_machine.Coordinates
) -> None:
    event = make(campaign, rule=TUESDAYS)
    (row, *_rest) = rows(event)
    june.move_to(datetime(2026, 6, 10, 12, tzinfo=UTC))
    for door in (
        lambda: scheduling.cancel_occurrence(row, Words()),
        lambda: scheduling.remove_occurrence(row),
        lambda: scheduling.change_occurrence(
            row,
            OccurrenceDetails(starts=read_wall("2026-06-20T18:00"), duration_minutes=90),
        ),
    ):
        with pytest.raises(Conflict, match="over"):
            door()


# Copying, shifts


def test_a_copy_is_a_draft_in_the_weeks_to_come(
    campaign: Campaign, june: time_machine.Coordinates
) -> None:
    event = make(campaign, rule=TUESDAYS, capacity=9)
    scheduling.add_shift(event, ShiftDetails(name=Words(en="Doors"), capacity=2))
    make_rsvp(event)
    june.move_to(datetime(2026, 7, 9, 12, tzinfo=UTC))
    copy = scheduling.copy_event(event)
    assert (copy.state, copy.slug, copy.capacity) == (EventState.DRAFT, "planning-2", 9)
    assert walls(copy) == [
        *("2026-07-21T18:00", "2026-07-28T18:00", "2026-08-04T18:00", "2026-08-11T18:00")
    ]
    assert [shift.name for shift in scheduling.queries.shifts_of(copy.id)] == [{"en": "Doors"}]
    assert db.session.scalars(select(Rsvp).where(Rsvp.event_id == copy.id)).all() == []


def test_a_copy_of_dates_written_down_and_of_a_last_day(campaign: Campaign) -> None:
    dates = {"frequency": "dates", "dates": ["2026-06-11", "2026-06-12T09:30"]}
    assert walls(scheduling.copy_event(make(campaign, rule=dates))) == [
        *("2026-06-16T18:00", "2026-06-18T18:00", "2026-06-19T09:30")
    ]
    until = {"frequency": "weekly", "weekdays": ["TU"], "until": "2026-06-16"}
    assert walls(scheduling.copy_event(make(campaign, rule=until))) == [
        *("2026-06-16T18:00", "2026-06-23T18:00")
    ]


def test_a_shift_is_not_made_smaller_than_it_is(campaign: Campaign) -> None:
    event = make(campaign)
    shift = scheduling.add_shift(event, ShiftDetails(role="marshal", capacity=5))
    make_rsvp(event, shift_id=shift.id)
    make_rsvp(event, shift_id=shift.id)
    with pytest.raises(Invalid, match="2 people"):
        scheduling.change_shift(shift, ShiftDetails(role="marshal", capacity=1))
    for values in ({"role": "king"}, {"capacity": 0}, {"duration_minutes": 0}):
        with pytest.raises(Invalid):
            scheduling.change_shift(shift, ShiftDetails(**values))
    scheduling.set_shift_removed(shift, True)
    assert scheduling.queries.shifts_of(event.id) == []
    scheduling.set_shift_removed(shift, False)
    assert scheduling.queries.shifts_of(event.id) == [shift]
