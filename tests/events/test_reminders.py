"""Reminders: planned by the clock on the wall, queued once, stopped when the world changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.events import delivery, notices, rounds, tasks
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
from campaign.mail import delivery as mail_delivery
from campaign.mail import queries as mail_queries
from campaign.mail import sweeping
from campaign.mail.models import Batch, Chunk, Delivery, DeliveryState, Priority
from tests.factories.checkin import make_sign_in
from tests.factories.events import make_event, make_occurrence, make_rsvp, make_shift, occurrence_of
from tests.factories.outbox import outbox
from tests.factories.statements import counted

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test, whatever happened in it, the books of mail must balance."""
    yield
    with app.app_context():
        report = mail_queries.invariants()
    assert report["ok"], report["checks"]


def planned(occurrence: Occurrence) -> list[Reminder]:
    """The reminders of a date, as they are in the database, the first due first."""
    db.session.expire_all()
    mine = select(Reminder).where(Reminder.occurrence_id == occurrence.id)
    return list(db.session.scalars(mine.order_by(Reminder.time_version, Reminder.due_at)))


def states(occurrence: Occurrence) -> dict[str, tuple[str, str]]:
    """Offset → state and reason, of the present version."""
    return {
        row.offset: (row.state, row.reason)
        for row in planned(occurrence)
        if row.time_version == occurrence.time_version
    }


def plan(event: Event) -> Occurrence:
    occurrence = occurrence_of(event)
    delivery.plan_reminders(occurrence)
    db.session.commit()
    return occurrence


def run_at(moment: datetime) -> None:
    """The beat's call at a moment."""
    with time_machine.travel(moment, tick=False):
        tasks.queue_due()
    db.session.expire_all()


def send_at(moment: datetime) -> None:
    """The senders' work at a moment."""
    with time_machine.travel(moment, tick=False):
        mail_delivery.work(bulk=True, seconds=5)
    db.session.expire_all()


def move(occurrence: Occurrence, by: timedelta) -> None:
    """What `scheduling` does when a start moves."""
    wall = datetime.fromisoformat(occurrence.starts_wall) + by
    occurrence.starts_wall = wall.replace(tzinfo=None).isoformat(timespec="minutes")
    occurrence.starts_at = clock.to_utc(wall, occurrence.event.zone)
    occurrence.ends_at = occurrence.starts_at + timedelta(minutes=occurrence.duration_minutes)
    occurrence.sequence += 1
    if abs(by) > timedelta(minutes=15):
        before = (wall - by).isoformat(timespec="minutes")
        occurrence.time_version += 1
        delivery.plan_reminders(occurrence)
        delivery.tell_change(occurrence, what=["time"], before=before)
    else:
        delivery.plan_reminders(occurrence)
    db.session.commit()


def reminded(kind: str = notices.REMINDER) -> list[str]:
    """To whom a reminder waits or went, in the order in which it was queued."""
    rows = select(Delivery.unique_key).join(Batch, Batch.id == Delivery.batch_id)
    live = rows.where(Batch.kind == kind, Delivery.state.is_(None)).order_by(Delivery.id)
    names = {one.id: one.first_name for one in db.session.scalars(select(Rsvp))}
    return [names[key] for key in db.session.scalars(live)]


# Planning


def test_a_date_plans_its_reminders_and_the_question_after() -> None:
    event = make_event(starts_wall="2031-06-10T18:00")
    occurrence = plan(event)
    found = {row.offset: (row.due_at, row.expires_at) for row in planned(occurrence)}
    start = datetime(2031, 6, 10, 23, 0, tzinfo=UTC)
    after = start + timedelta(minutes=90, hours=2)
    assert found == {
        "1d@11:00": (datetime(2031, 6, 9, 16, 0, tzinfo=UTC), start),
        "180m": (start - timedelta(hours=3), start),
        "after": (after, after + timedelta(days=7)),
    }


def test_planned_twice_is_planned_once() -> None:
    occurrence = plan(make_event())
    before = [(row.id, row.due_at, row.state) for row in planned(occurrence)]
    delivery.plan_reminders(occurrence)
    db.session.commit()
    assert [(row.id, row.due_at, row.state) for row in planned(occurrence)] == before


def test_a_draft_plans_nothing_and_a_published_one_drops_what_is_past() -> None:
    event = make_event(state=EventState.DRAFT)
    occurrence = occurrence_of(event)
    delivery.plan_reminders(occurrence)
    assert planned(occurrence) == []
    event.state = EventState.PUBLISHED
    with time_machine.travel(occurrence.starts_at - timedelta(hours=5), tick=False):
        delivery.plan_reminders(occurrence)
    db.session.commit()
    assert states(occurrence) == {
        "1d@11:00": ("dropped", "past when planned"),
        "180m": ("planned", ""),
        "after": ("planned", ""),
    }


def test_a_reminder_that_would_come_after_the_start_is_dropped() -> None:
    event = make_event(reminders=["0d@20:00"], asks_after=False)
    assert states(plan(event)) == {"0d@20:00": ("dropped", "not before the start")}


def test_other_offsets_replace_those_that_are_gone() -> None:
    event = make_event(asks_after=False)
    occurrence = plan(event)
    event.reminders = ["180m", "60m"]
    delivery.plan_reminders(occurrence)
    db.session.commit()
    assert states(occurrence) == {
        "1d@11:00": ("cancelled", "no longer wanted"),
        "180m": ("planned", ""),
        "60m": ("planned", ""),
    }
    event.reminders = ["1d@11:00"]
    delivery.plan_reminders(occurrence)
    db.session.commit()
    assert states(occurrence)["1d@11:00"] == ("planned", "")


def test_a_cancelled_date_withdraws_and_a_restored_one_plans_again() -> None:
    occurrence = plan(make_event(asks_after=False))
    occurrence.state = OccurrenceState.CANCELLED
    delivery.plan_reminders(occurrence)
    db.session.commit()
    assert set(states(occurrence).values()) == {("cancelled", "cancelled")}
    occurrence.state = OccurrenceState.SCHEDULED
    delivery.plan_reminders(occurrence)
    db.session.commit()
    assert set(states(occurrence).values()) == {("planned", "")}


# Queueing


def test_who_comes_or_may_come_is_reminded_and_nobody_else() -> None:
    event = make_event(asks_after=False, reminders=["180m"], capacity=2)
    for name, state in [
        ("Coming", RsvpState.ACCEPTED),
        ("Maybe", RsvpState.TENTATIVE),
        ("No", RsvpState.DECLINED),
        ("Waiting", RsvpState.WAITING),
        ("Gone", RsvpState.CANCELLED),
    ]:
        make_rsvp(event, first_name=name, state=state)
    make_rsvp(event, first_name="Caller", email="")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=4))
    assert reminded() == []
    run_at(occurrence.starts_at - timedelta(hours=3))
    assert reminded() == ["Coming", "Maybe"]
    (row,) = planned(occurrence)
    assert (row.state, row.recipient_count) == (ReminderState.QUEUED, 2)
    (batch,) = db.session.scalars(select(Batch)).all()
    assert (batch.is_bulk, batch.expires_at) == (False, occurrence.starts_at)
    assert {chunk.priority for chunk in db.session.scalars(select(Chunk))} == {Priority.TIMELY}


def test_run_twice_nobody_is_reminded_twice() -> None:
    event = make_event(asks_after=False)
    for _ in range(3):
        make_rsvp(event)
    occurrence = plan(event)
    for _ in range(3):
        run_at(occurrence.starts_at - timedelta(hours=3))
    assert len(reminded()) == 3


def test_a_worker_killed_between_pieces_leaves_the_rest_to_the_next() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    for number in range(7):
        make_rsvp(event, first_name=f"N{number}", language="es" if number % 2 else "en")
    occurrence = plan(event)
    due = occurrence.starts_at - timedelta(hours=3)
    with time_machine.travel(due, tick=False):
        assert rounds.queue_due(clock.now(), limit=3) is True
        db.session.commit()
        assert rounds.queue_due(clock.now(), limit=3) is True
        db.session.rollback()  # killed before its commit
        (batch,) = db.session.scalars(select(Batch)).all()
        assert (batch.state, batch.total_count) == ("building", 3)
    run_at(due + timedelta(minutes=1))
    assert sorted(reminded()) == [f"N{number}" for number in range(7)]
    (row,) = planned(occurrence)
    assert (row.state, row.recipient_count) == (ReminderState.QUEUED, 7)
    (batch,) = db.session.scalars(select(Batch)).all()
    assert (batch.state, batch.total_count) == ("released", 7)


def test_a_full_last_piece_still_ends() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    for _ in range(4):
        make_rsvp(event)
    occurrence = plan(event)
    with time_machine.travel(occurrence.starts_at - timedelta(hours=3), tick=False):
        while rounds.queue_due(clock.now(), limit=2):
            db.session.commit()
        db.session.commit()
    assert len(reminded()) == 4
    assert states(occurrence)["180m"] == ("queued", "")


def test_many_dates_share_their_statements_and_a_cut_between_them_loses_nobody() -> None:
    """Many small meetings begin at the same hour: what they cost does not grow with each."""
    wall = (clock.now() + timedelta(days=9)).astimezone(ZoneInfo("America/Chicago"))
    dates = []
    for number in range(12):
        event = make_event(
            starts_wall=wall.replace(tzinfo=None).isoformat(timespec="minutes"),
            asks_after=False,
            reminders=["180m"],
        )
        for one in range(number % 4):  # every fourth has nobody
            make_rsvp(event, first_name=f"{number}-{one}", language="es" if one else "en")
        dates.append(plan(event))
    due = dates[0].starts_at - timedelta(hours=3)
    with time_machine.travel(due, tick=False):
        assert rounds.queue_due(clock.now(), limit=5) is True  # in the middle of a date
        db.session.commit()
        with counted() as statements:
            while rounds.queue_due(clock.now()):
                db.session.commit()
        db.session.commit()
    assert len(statements) < 40
    expected = sorted(f"{number}-{one}" for number in range(12) for one in range(number % 4))
    assert sorted(reminded()) == expected
    db.session.expire_all()
    for number, occurrence in enumerate(dates):
        (row,) = planned(occurrence)
        if number % 4:
            assert (row.state, row.recipient_count) == (ReminderState.QUEUED, number % 4)
        else:
            assert (row.state, row.reason) == (ReminderState.DROPPED, "nobody to write to")


def test_late_but_before_the_start_it_goes_out_and_after_the_start_it_does_not() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(minutes=1))
    assert reminded() == ["Maria"]
    other = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(other, first_name="Ana")
    occurrence = plan(other)
    run_at(occurrence.starts_at)
    assert reminded() == ["Maria"]
    assert states(occurrence) == {"180m": ("dropped", "late")}


def test_after_a_halt_one_reminder_is_enough() -> None:
    event = make_event(asks_after=False)
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=1))
    assert reminded() == ["Maria"]
    assert states(occurrence) == {
        "1d@11:00": ("dropped", "overtaken by the next"),
        "180m": ("queued", ""),
    }


def test_what_waits_in_the_outbox_is_dropped_at_the_start() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(event)
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=1))
    with time_machine.travel(occurrence.starts_at, tick=False):
        sweeping.sweep()
    (batch,) = db.session.scalars(select(Batch)).all()
    assert mail_queries.batch_reasons(batch.id) == {"late": 1}


def test_with_nobody_to_write_to_it_says_so() -> None:
    occurrence = plan(make_event(asks_after=False, reminders=["180m"]))
    run_at(occurrence.starts_at - timedelta(hours=1))
    assert states(occurrence) == {"180m": ("dropped", "nobody to write to")}
    assert db.session.scalars(select(Batch)).all() == []


def test_the_question_after_comes_two_hours_after_and_lives_a_week() -> None:
    event = make_event(reminders=[])
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.ends_at + timedelta(hours=1, minutes=59))
    assert reminded(notices.AFTER) == []
    run_at(occurrence.ends_at + timedelta(hours=2))
    assert reminded(notices.AFTER) == ["Maria"]
    (batch,) = db.session.scalars(select(Batch)).all()
    assert batch.expires_at == occurrence.ends_at + timedelta(hours=2, days=7)


def test_who_signed_in_at_the_door_is_thanked_and_not_asked_whether_they_came() -> None:
    event = make_event(reminders=[])
    here, undone, away = (make_rsvp(event, email=f"{one}@example.org") for one in "hua")
    occurrence = plan(event)
    make_sign_in(event, here)
    make_sign_in(event, undone, undone_at=clock.now())
    db.session.commit()
    run_at(occurrence.ends_at + timedelta(hours=2))
    for rsvp, subject in ((here, "Thank you for coming"), (undone, "Did you"), (away, "Did you")):
        (letter,) = outbox(to=str(rsvp.email))
        assert letter.subject.startswith(subject)
        assert ("Did you make it?" in letter.text) is (rsvp is not here)
        assert letter.values["came_url"].endswith("/came")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": EventState.DRAFT}, "cancelled"),
        ({"state": EventState.CANCELLED}, "cancelled"),
    ],
)
def test_a_due_reminder_of_an_event_that_is_off_goes_nowhere(
    change: dict[str, Any], reason: str
) -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(event)
    occurrence = plan(event)
    for name, value in change.items():
        setattr(event, name, value)
    db.session.commit()
    run_at(occurrence.starts_at - timedelta(hours=1))
    assert reminded() == []
    assert states(occurrence) == {"180m": ("cancelled", reason)}


# Answers taken back


def test_an_answer_taken_back_is_not_reminded() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    gone, stays = make_rsvp(event, first_name="Gone"), make_rsvp(event, first_name="Stays")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=1))
    gone = db.session.get_one(Rsvp, gone.id)
    gone.state = RsvpState.CANCELLED
    assert delivery.stop_for(gone) == 1
    db.session.commit()
    assert reminded() == ["Stays"]
    (row,) = db.session.scalars(select(Delivery).where(Delivery.unique_key == gone.id)).all()
    assert (row.state, row.reason) == ("cancelled", "no longer coming")
    assert stays.id


def test_stopping_one_date_leaves_the_others_of_the_same_person() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    first = occurrence_of(event)
    second = make_occurrence(event, f"{first.starts_wall[:10]}T19:00")
    one = make_rsvp(event, first, first_name="One", email="same@example.org")
    make_rsvp(event, second, first_name="Two", email="same@example.org")
    for occurrence in (first, second):
        delivery.plan_reminders(occurrence)
    db.session.commit()
    run_at(first.starts_at - timedelta(hours=1))
    delivery.stop_for(db.session.get_one(Rsvp, one.id))
    db.session.commit()
    assert reminded() == ["Two"]


# Moving


def test_moved_by_ten_minutes_nothing_repeats_and_what_is_planned_moves_along() -> None:
    event = make_event()
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=20))
    assert reminded() == ["Maria"]
    with time_machine.travel(occurrence.starts_at - timedelta(hours=19), tick=False):
        move(occurrence, timedelta(minutes=10))
    run_at(occurrence.starts_at - timedelta(hours=18))
    assert reminded() == ["Maria"]
    assert db.session.scalars(select(Notice)).all() == []
    rows = {row.offset: row for row in planned(occurrence)}
    assert len(rows) == 3
    assert rows["1d@11:00"].state == ReminderState.QUEUED
    assert rows["180m"].due_at == occurrence.starts_at - timedelta(hours=3)
    assert rows["after"].due_at == occurrence.ends_at + timedelta(hours=2)
    (batch,) = db.session.scalars(select(Batch)).all()
    assert batch.expires_at == occurrence.starts_at


def test_moved_by_two_hours_everybody_is_told_and_reminded_of_the_new_time() -> None:
    event = make_event(asks_after=False)
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    first_due = planned(occurrence)[0].due_at
    run_at(first_due)
    send_at(first_due)
    with time_machine.travel(first_due + timedelta(hours=1), tick=False):
        move(occurrence, timedelta(hours=2))
    run_at(first_due + timedelta(hours=1))
    assert reminded() == ["Maria"]
    assert reminded(notices.NOTICE) == ["Maria"]
    assert states(occurrence) == {
        "1d@11:00": ("dropped", "past when planned"),
        "180m": ("planned", ""),
    }
    old = [row for row in planned(occurrence) if row.time_version == 1]
    assert [(row.offset, row.state, row.reason) for row in old] == [
        ("1d@11:00", "queued", ""),
        ("180m", "cancelled", "moved"),
    ]
    run_at(occurrence.starts_at - timedelta(hours=3))
    assert reminded() == ["Maria", "Maria"]


def test_moved_to_the_next_week_both_reminders_come_again() -> None:
    event = make_event(asks_after=False)
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=20))
    send_at(occurrence.starts_at - timedelta(hours=20))
    with time_machine.travel(occurrence.starts_at - timedelta(hours=19), tick=False):
        move(occurrence, timedelta(days=7))
    run_at(occurrence.starts_at - timedelta(hours=20))
    run_at(occurrence.starts_at - timedelta(hours=2))
    assert reminded() == ["Maria"] * 3


def test_what_of_the_old_time_still_waits_is_cancelled() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(event, first_name="Maria")
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=3))
    with time_machine.travel(occurrence.starts_at - timedelta(hours=2), tick=False):
        move(occurrence, timedelta(hours=1))
    assert reminded() == []
    (row,) = db.session.scalars(select(Delivery)).all()
    assert (row.state, row.reason) == ("cancelled", "moved")
    assert states(occurrence) == {"180m": ("dropped", "past when planned")}
    tasks.queue_due()
    assert reminded(notices.NOTICE) == ["Maria"]


def test_an_unknown_of_the_old_time_is_not_sent_again() -> None:
    event = make_event(asks_after=False, reminders=["180m"])
    make_rsvp(event)
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=3))
    chunk = db.session.scalars(select(Chunk)).one()
    chunk.state = DeliveryState.UNKNOWN
    db.session.commit()
    move(occurrence, timedelta(hours=1))
    chunk.state = DeliveryState.QUEUED
    db.session.commit()
    mail_delivery.work(bulk=True, seconds=2)
    sweeping.sweep()
    assert reminded() == []


# Change days

ZONES = {
    # zone → (a Sunday or so on which clocks go forward, one on which they go back)
    "America/Chicago": ("2027-03-14", "2027-11-07"),
    "Australia/Sydney": ("2027-10-03", "2027-04-04"),
    "Australia/Lord_Howe": ("2027-10-03", "2027-04-04"),
    "Pacific/Apia": ("2010-09-26", "2011-04-02"),
}
DAYS = [(zone, day) for zone, days in ZONES.items() for day in days]


@pytest.mark.parametrize(("zone", "day"), DAYS)
@pytest.mark.parametrize("shift", [0, 1])
def test_on_change_days_the_clock_on_the_wall_is_right_and_each_comes_once(
    zone: str, day: str, shift: int
) -> None:
    """An event on the day of the change, and one on the day after it: 11:00 is 11:00 there."""
    change = datetime.fromisoformat(f"{day}T18:00")
    wall = change + timedelta(days=shift)
    place = ZoneInfo(zone)
    offsets = {(change + timedelta(days=n)).replace(tzinfo=place).utcoffset() for n in (-1, 0)}
    assert len(offsets) == 2, "the clocks change in the night before that evening"
    with time_machine.travel(clock.to_utc(wall - timedelta(days=3), zone), tick=False):
        event = make_event(
            zone=zone, starts_wall=wall.replace(tzinfo=None).isoformat(timespec="minutes")
        )
        make_rsvp(event, first_name="Maria")
        occurrence = plan(event)
    due = {row.offset: row.due_at for row in planned(occurrence)}
    there = due["1d@11:00"].astimezone(place)
    assert (there.date(), there.hour, there.minute) == (
        (wall - timedelta(days=1)).date(),
        11,
        0,
    )
    assert due["180m"] == occurrence.starts_at - timedelta(hours=3)
    moment = occurrence.starts_at - timedelta(days=2)
    seen: list[tuple[datetime, int]] = []
    while moment < occurrence.ends_at + timedelta(hours=4):
        run_at(moment)
        count = len(reminded()) + len(reminded(notices.AFTER))
        if count != (seen[-1][1] if seen else 0):
            seen.append((moment, count))
        moment += timedelta(minutes=30)
    assert [count for _, count in seen] == [1, 2, 3]
    first = seen[0][0].astimezone(place)
    assert timedelta() <= seen[0][0] - due["1d@11:00"] < timedelta(minutes=30), first


@pytest.mark.parametrize("zone", ["America/Chicago", "Australia/Sydney", "Australia/Lord_Howe"])
def test_a_weekly_series_keeps_its_hours_across_both_changes(zone: str) -> None:
    place = ZoneInfo(zone)
    first = datetime(2027, 2, 2, 18, 0)  # noqa: DTZ001 - a wall
    with time_machine.travel(clock.to_utc(first - timedelta(days=3), zone), tick=False):
        event = make_event(
            zone=zone, starts_wall=first.isoformat(timespec="minutes"), asks_after=False
        )
        dates = [occurrence_of(event)] + [
            make_occurrence(event, (first + timedelta(weeks=n)).isoformat(timespec="minutes"))
            for n in range(1, 45)
        ]
        for occurrence in dates:
            make_rsvp(event, occurrence, first_name="Maria")
            delivery.plan_reminders(occurrence)
        db.session.commit()
    assert len({one.starts_at.time() for one in dates}) > 1, "the series crosses changes"
    for occurrence in dates:
        early, late = planned(occurrence)
        there = [row.due_at.astimezone(place) for row in (early, late)]
        start = occurrence.starts_at.astimezone(place)
        assert (start.hour, there[0].hour, there[0].minute, there[1].hour) == (18, 11, 0, 15)
        assert there[0].date() == start.date() - timedelta(days=1)
    moment = dates[0].starts_at - timedelta(days=2)
    while moment < dates[-1].ends_at:
        run_at(moment)
        moment += timedelta(hours=12)
    counts = [
        sum(row.recipient_count for row in planned(occurrence) if row.state == "queued")
        for occurrence in dates
    ]
    assert all(count in {1, 2} for count in counts)
    assert len(reminded()) == sum(counts)


# What they read


def test_each_reads_their_language_and_their_part() -> None:
    event = make_event(
        starts_wall="2031-06-10T18:00", asks_after=False, reminders=["180m"], venue="Hall"
    )
    shift = make_shift(event, starts_after_minutes=-30)
    make_rsvp(event, first_name="Maria", email="m@example.org", shift_id=shift.id)
    make_rsvp(event, first_name="Ana", email="a@example.org", language="es")
    make_rsvp(event, first_name="Jo", email="j@example.org", state=RsvpState.TENTATIVE)
    occurrence = plan(event)
    run_at(occurrence.starts_at - timedelta(hours=1))
    maria, ana, jo = (outbox(to=f"{letter}@example.org")[0] for letter in "maj")
    assert maria.subject == "Reminder: Tuesday, June 10, 6:00 PM"
    assert "Tuesday, June 10, 2031, 6:00 PM – 7:30 PM (Central Time)" in maria.text.replace(
        "\u202f", " "
    )
    assert "Marshals, 5:30" in maria.text
    assert "Hall, 6337 S Woodlawn Ave, Chicago 60637" in maria.text
    assert ana.subject == "Recordatorio: martes 10 de junio, 18:00"
    assert "hora central" in ana.text
    assert "Marshals" not in jo.text
    assert "may come" in jo.text
    rsvp = db.session.scalars(select(Rsvp).where(Rsvp.email == "m@example.org")).one()
    from campaign.web import links

    token = maria.values["answer_url"].rsplit("/", 1)[1]
    assert links.rsvp_of(token) == rsvp.id
    assert "988" in maria.text
    for letter in (maria, ana, jo):
        assert "Woodlawn" not in letter.subject
