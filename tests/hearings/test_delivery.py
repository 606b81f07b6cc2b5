"""Reminders of tasks, by a moved clock: once each, at the right hour, to whom they concern."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from campaign.db import Words, db
from campaign.events.models import EventState, Occurrence, OccurrenceState, RsvpState
from campaign.events.recurrence import resolve
from campaign.hearings import delivery, rules, services, tasks
from campaign.hearings.models import Hearing, SpeakerState, TaskReminder, Way
from campaign.hearings.services import HearingDetails
from campaign.mail.models import Batch, Delivery
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.hearings import make_hearing, make_task, make_testimony
from tests.hearings.conftest import letters

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday; the hearing is on Thursday, Dec 3
WALL = "2026-12-03T10:00"


@pytest.fixture
def council(app: Flask) -> Hearing:
    """A hearing on a Thursday at 10:00 in Chicago with the council's rules."""
    event = make_event(kind="hearing", starts_wall=WALL, title=Words(en="Hearing", es="Audiencia"))
    details = HearingDetails(body=Words(en="City Council", es="Concejo"))
    with time_machine.travel(NOW, tick=False):
        hearing = services.set_up_hearing(event, details, template="chicago")
    db.session.commit()
    return hearing


def at(day: str, time: str) -> datetime:
    return resolve(datetime.fromisoformat(f"{day}T{time}"), "America/Chicago").at


def run(moment: datetime) -> list[str]:
    """What is queued at a moment: who gets which task."""
    before = len(letters())
    with time_machine.travel(moment, tick=False):
        tasks.tend_hearings()
    return sorted(f"{mail.to}: {mail.subject}" for mail in letters()[before:])


def rounds() -> list[TaskReminder]:
    return list(db.session.scalars(select(TaskReminder).order_by(TaskReminder.due_at)))


def test_the_councils_dates(council: Hearing) -> None:
    shown = [
        (one.task.title["en"][:12], one.opens_at, one.closes_at)
        for one in rules.in_order(
            list(db.session.scalars(select(services.HearingTask))), occurrence_of(council.event)
        )
    ]
    assert shown == [
        ("Ask to speak", at("2026-11-30", "00:01"), at("2026-12-02", "08:00")),
        ("Keep your ph", at("2026-12-02", "10:00"), at("2026-12-02", "14:00")),
        ("Hand in your", None, at("2026-12-03", "09:00")),
    ]
    assert [(row.offset, row.due_at, row.expires_at) for row in rounds()] == [
        ("mon@00:01", at("2026-11-30", "00:01"), at("2026-12-02", "08:00")),
        ("2d@18:00", at("2026-12-01", "18:00"), at("2026-12-02", "08:00")),
        ("1d@09:00", at("2026-12-02", "09:00"), at("2026-12-02", "14:00")),
        ("1d@18:00", at("2026-12-02", "18:00"), at("2026-12-03", "09:00")),
    ]


def test_each_round_goes_once_to_whom_it_concerns_and_who_has_not_done_it(
    council: Hearing,
) -> None:
    def person(name: str) -> dict[str, str]:
        return {"first_name": name, "email": f"{name.lower()}@example.org"}

    ana = make_testimony(council, person=person("Ana"))
    make_testimony(council, person=person("Bea") | {"language": "es"})
    make_testimony(council, person=person("Cleo"), way=Way.WRITTEN)
    make_testimony(council, person=person("Dan"), state=SpeakerState.WAITING)
    make_testimony(council, person=person("Eva"), state=SpeakerState.WITHDRAWN, position=None)
    make_testimony(council, make_rsvp(council.event, first_name="Flo", email=None))
    db.session.commit()
    english, spanish = "Something to do before you speak", "Algo que hacer antes de hablar"
    assert run(at("2026-11-30", "00:00")) == []
    assert run(at("2026-11-30", "00:02")) == [
        f"ana@example.org: {english}",
        f"bea@example.org: {spanish}",
    ]
    assert run(at("2026-11-30", "00:03")) == []
    mail = letters("ana@example.org")[-1]
    assert "Ask to speak by phone" in mail.text
    assert "Mon, Nov 30, 12:01\u202fAM to Wed, Dec 2, 8:00\u202fAM" in mail.text
    assert "Hello Ana" in mail.text
    assert mail.link("rsvp").startswith("/rsvp/")
    assert "Pida la palabra" in letters("bea@example.org")[-1].text
    services.tick_task(ana, council_task("Ask to speak by phone"), is_done=True)
    db.session.commit()
    assert run(at("2026-12-01", "18:00")) == [f"bea@example.org: {spanish}"]
    assert len(run(at("2026-12-02", "09:00"))) == 2
    assert run(at("2026-12-02", "18:01")) == [f"cleo@example.org: {english}"]
    assert {row.state for row in rounds()} == {"queued"}
    assert [row.recipient_count for row in rounds()] == [2, 1, 2, 1]
    batch = db.session.scalars(select(Batch).where(Batch.kind == "hearing-task")).first()
    assert batch is not None
    assert batch.expires_at in {
        at("2026-12-02", "08:00"),
        at("2026-12-02", "14:00"),
        at("2026-12-03", "09:00"),
    }
    assert not batch.is_bulk


def council_task(title: str) -> services.HearingTask:
    return next(
        task
        for task in db.session.scalars(select(services.HearingTask))
        if task.title["en"] == title
    )


def move(occurrence: Occurrence, wall: str) -> None:
    occurrence.starts_wall = wall
    occurrence.starts_at = resolve(datetime.fromisoformat(wall), "America/Chicago").at
    occurrence.ends_at = occurrence.starts_at + timedelta(minutes=90)
    occurrence.time_version += 1
    db.session.commit()


def test_a_moved_hearing_is_planned_anew_and_repeats_nothing(council: Hearing) -> None:
    make_testimony(council, person={"email": "ana@example.org"})
    db.session.commit()
    assert len(run(at("2026-11-30", "00:02"))) == 1
    move(occurrence_of(council.event), "2026-12-10T10:00")
    assert run(at("2026-12-01", "18:00")) == []  # the evening before, of the former date
    assert len(run(at("2026-12-07", "00:02"))) == 1
    states = [(row.offset, row.time_version, row.state, row.reason) for row in rounds()]
    assert ("2d@18:00", 1, "cancelled", "moved") in states
    assert ("mon@00:01", 1, "queued", "") in states
    assert ("mon@00:01", 2, "queued", "") in states


def test_thirty_moves_remind_nobody_twice_of_one_version(council: Hearing) -> None:
    make_testimony(council, person={"email": "ana@example.org"})
    db.session.commit()
    occurrence = occurrence_of(council.event)
    moment = at("2026-11-30", "00:02")
    for number in range(30):
        run(moment + timedelta(minutes=number))
        move(occurrence, f"2026-12-03T{10 + number % 8}:{number % 2 * 30:02}")
    run(moment + timedelta(minutes=40))
    sent = (
        db.session.query(Delivery)
        .join(Batch, Batch.id == Delivery.batch_id)
        .filter(Batch.kind == "hearing-task")
        .all()
    )
    assert len({(row.batch_id, row.unique_key) for row in sent}) == len(sent)
    by_version = [row.time_version for row in rounds() if row.recipient_count]
    assert len(by_version) == len(set(by_version))


def test_too_late_is_dropped_with_its_reason(council: Hearing) -> None:
    make_testimony(council)
    db.session.commit()
    assert run(at("2026-12-02", "08:30")) == []
    assert [(row.offset, row.state, row.reason) for row in rounds()][:2] == [
        ("mon@00:01", "dropped", "late"),
        ("2d@18:00", "dropped", "late"),
    ]


def test_late_but_in_time_still_goes_out(council: Hearing) -> None:
    make_testimony(council)
    db.session.commit()
    assert len(run(at("2026-12-02", "07:30"))) == 2  # both rounds of the first task were held up


def test_a_hearing_set_up_late_does_not_send_what_lies_behind(app: Flask) -> None:
    event = make_event(kind="hearing", starts_wall=WALL)
    with time_machine.travel(at("2026-12-01", "12:00"), tick=False):
        services.set_up_hearing(event, HearingDetails(body=Words(en="C")), template="chicago")
    db.session.commit()
    first = rounds()[0]
    assert (first.offset, first.state, first.reason) == (
        "mon@00:01",
        "dropped",
        "past",
    )


def test_cancelled_hearings_remind_nobody(council: Hearing) -> None:
    make_testimony(council)
    occurrence_of(council.event).state = OccurrenceState.CANCELLED
    db.session.commit()
    assert run(at("2026-11-30", "00:02")) == []
    assert rounds()[0].state == "cancelled"
    council.event.state = EventState.CANCELLED
    db.session.commit()
    assert run(at("2026-12-02", "18:01")) == []


def test_a_changed_task_changes_its_rounds(council: Hearing) -> None:
    task = council_task("Ask to speak by phone")
    with time_machine.travel(NOW, tick=False):
        services.change_task(
            task,
            rules.TaskDetails(title=task.title, closes="1d@12:00", reminders=("3d@10:00",)),
        )
    mine = [row for row in rounds() if row.task_id == task.id]
    assert [(row.offset, row.state) for row in mine] == [
        ("mon@00:01", "cancelled"),
        ("3d@10:00", "planned"),
        ("2d@18:00", "cancelled"),
    ]
    with time_machine.travel(NOW, tick=False):
        services.change_task(
            task, rules.TaskDetails(title=task.title, closes="1d@12:00", reminders=("2d@18:00",))
        )
    mine = [row for row in rounds() if row.task_id == task.id]
    assert [(row.offset, row.state, row.reason) for row in mine] == [
        ("mon@00:01", "cancelled", "changed"),
        ("3d@10:00", "cancelled", "changed"),
        ("2d@18:00", "planned", ""),  # wanted again
    ]
    assert mine[-1].expires_at == at("2026-12-02", "12:00")


def test_tasks_written_past_the_service_are_planned_by_the_clock(app: Flask) -> None:
    hearing = make_hearing(event=make_event(kind="hearing", starts_wall=WALL))
    make_task(hearing)
    db.session.commit()
    run(NOW)
    assert [(row.offset, row.state) for row in rounds()] == [("2d@18:00", "planned")]


def test_clocks_that_change_in_between(app: Flask) -> None:
    """The day before is told by the clock on the wall: 8:00 is 8:00 on both sides."""
    event = make_event(kind="hearing", starts_wall="2026-11-02T10:00")  # clocks went back Nov 1
    hearing = make_hearing(event=event)
    task = make_task(hearing, opens="2d@08:00", closes="1d@08:00")
    dated = rules.dated(task, occurrence_of(event))
    assert dated.opens_at == datetime(2026, 10, 31, 13, 0, tzinfo=UTC)
    assert dated.closes_at == datetime(2026, 11, 1, 14, 0, tzinfo=UTC)


def test_who_took_their_answer_back_leaves_the_list(council: Hearing) -> None:
    council.slot_count = 1
    ana = make_testimony(council, draft="Words")
    bea = make_testimony(council, state=SpeakerState.WAITING, person={"email": "bea@example.org"})
    assert ana.rsvp is not None
    ana.rsvp.state = RsvpState.CANCELLED
    db.session.commit()
    run(NOW)
    assert (ana.state, bea.state) == (SpeakerState.WITHDRAWN, SpeakerState.SPEAKING)
    assert ana.draft == "Words"
    assert [mail.subject for mail in letters("bea@example.org")] == ["A place came free for you"]


def test_who_was_erased_leaves_no_words(council: Hearing) -> None:
    ana = make_testimony(council, draft="Words")
    assert ana.rsvp is not None
    ana.rsvp.state, ana.rsvp.first_name, ana.rsvp.email = RsvpState.CANCELLED, "", None
    db.session.commit()
    run(NOW)
    assert (ana.draft, ana.topic, ana.state) == ("", "", SpeakerState.WITHDRAWN)


def test_off_the_list_stops_what_waits_to_leave(council: Hearing) -> None:
    ana = make_testimony(council, person={"email": "ana@example.org"})
    db.session.commit()
    run(at("2026-11-30", "00:02"))
    with time_machine.travel(at("2026-11-30", "00:03"), tick=False):
        services.withdraw_testimony(ana)
    db.session.commit()
    row = db.session.scalars(select(Delivery).where(Delivery.unique_key == ana.id)).one()
    assert (row.state, row.reason) == ("cancelled", "cancelled")


def test_queue_due_looks_at_nothing_when_nothing_is_due(council: Hearing) -> None:
    with time_machine.travel(NOW, tick=False):
        assert delivery.queue_due() == 0
        assert delivery.plan_moved() == 0
