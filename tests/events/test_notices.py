"""Changes and cancellations: told at once, once each, the last word last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from syrupy.assertion import SnapshotAssertion

from campaign import clock
from campaign.db import Words, db
from campaign.events import delivery, notices, tasks
from campaign.events.models import (
    Event,
    EventState,
    Notice,
    Occurrence,
    OccurrenceState,
    Reminder,
    Rsvp,
    RsvpState,
)
from campaign.events.notices import Reader
from campaign.mail import delivery as mail_delivery
from campaign.mail import queries as mail_queries
from campaign.mail.models import Delivery
from campaign.organizations.models import Organization
from tests.factories.events import make_event, make_rsvp, make_shift, occurrence_of
from tests.factories.outbox import outbox

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test, whatever happened in it, the books of mail must balance."""
    yield
    with app.app_context():
        report = mail_queries.invariants()
    assert report["ok"], report["checks"]


def change(occurrence: Occurrence, *what: str, before: str = "", moved_to: str = "") -> None:
    occurrence.sequence += 1
    if moved_to:
        before = before or occurrence.starts_wall
        occurrence.starts_wall = moved_to
    delivery.tell_change(occurrence, what=list(what), before=before)
    db.session.commit()


def told() -> list[str]:
    """To whom a notice waits or went, by first name."""
    names = {one.id: one.first_name for one in db.session.scalars(select(Rsvp))}
    live = select(Delivery.unique_key).where(Delivery.state.is_(None)).order_by(Delivery.id)
    return [names[key] for key in db.session.scalars(live)]


def crowd(event: Event) -> None:
    for name, state in [
        ("Coming", RsvpState.ACCEPTED),
        ("Maybe", RsvpState.TENTATIVE),
        ("Waiting", RsvpState.WAITING),
        ("No", RsvpState.DECLINED),
        ("Gone", RsvpState.CANCELLED),
    ]:
        make_rsvp(event, first_name=name, email=f"{name.lower()}@example.org", state=state)
    db.session.commit()


def test_a_change_rings_and_is_told_to_everybody_of_the_date(
    rung: list[tuple[object, tuple[object, ...]]],
) -> None:
    event = make_event()
    crowd(event)
    change(occurrence_of(event), "place")
    assert (tasks.queue_due, ()) in rung
    tasks.queue_due()
    assert told() == ["Coming", "Maybe", "Waiting"]
    notice = db.session.scalars(select(Notice)).one()
    assert (notice.state, notice.recipient_count, notice.sequence) == ("queued", 3, 1)


def test_saved_twice_nobody_is_told_twice() -> None:
    event = make_event()
    crowd(event)
    occurrence = occurrence_of(event)
    change(occurrence, "place")
    delivery.tell_change(occurrence, what=["place"])
    db.session.commit()
    for _ in range(2):
        tasks.queue_due()
    assert told() == ["Coming", "Maybe", "Waiting"]


def test_a_later_change_takes_over_what_is_not_out_yet() -> None:
    event = make_event(starts_wall="2031-06-10T18:00")
    make_rsvp(event, first_name="Maria", email="m@example.org")
    occurrence = occurrence_of(event)
    change(occurrence, "time", moved_to="2031-06-10T19:00")
    tasks.queue_due()
    change(occurrence, "place")
    change(occurrence, "time", moved_to="2031-06-10T20:00")
    tasks.queue_due()
    assert told() == ["Maria"]
    rows = db.session.scalars(select(Notice).order_by(Notice.sequence)).all()
    assert [row.state for row in rows] == ["queued", "cancelled", "queued"]
    assert (rows[2].what, rows[2].before) == (["time", "place"], "2031-06-10T18:00")


def test_a_change_that_everybody_got_is_not_told_again_with_the_next() -> None:
    event = make_event(starts_wall="2031-06-10T18:00")
    make_rsvp(event, first_name="Maria", email="m@example.org")
    occurrence = occurrence_of(event)
    change(occurrence, "time", moved_to="2031-06-10T19:00")
    tasks.queue_due()
    mail_delivery.work(bulk=True, seconds=5)
    change(occurrence, "place")
    tasks.queue_due()
    assert told() == ["Maria", "Maria"]
    last = db.session.scalars(select(Notice).order_by(Notice.sequence.desc())).first()
    assert last is not None
    assert (last.what, last.before) == (["place"], "")


def test_a_cancellation_silences_all_else_and_reaches_everybody() -> None:
    event = make_event(reminders=["180m"])
    crowd(event)
    occurrence = occurrence_of(event)
    delivery.plan_reminders(occurrence)
    change(occurrence, "place")
    with time_machine.travel(occurrence.starts_at - timedelta(hours=2), tick=False):
        tasks.queue_due()
        occurrence.state = OccurrenceState.CANCELLED
        occurrence.cancel_note = Words(en="The hall is flooded.", es="La sala se inundó.")
        occurrence.sequence += 1
        delivery.tell_cancelled(occurrence, occurrence.cancel_note)
        db.session.commit()
        tasks.queue_due()
    assert told() == ["Coming", "Maybe", "Waiting"]
    letters = [one for one in outbox(kind=notices.NOTICE) if one.to]
    assert len(letters) == 3
    assert "The hall is flooded." in letters[0].text
    reminders = db.session.scalars(select(Reminder).order_by(Reminder.due_at)).all()
    assert [row.state for row in reminders] == ["queued", "cancelled"]


def test_what_was_cancelled_and_takes_place_after_all_is_told_to_whoever_heard() -> None:
    event = make_event()
    make_rsvp(event, first_name="Maria", email="m@example.org")
    occurrence = occurrence_of(event)

    def cancel() -> None:
        occurrence.state = OccurrenceState.CANCELLED
        occurrence.sequence += 1
        delivery.tell_cancelled(occurrence)
        db.session.commit()

    def restore() -> None:
        occurrence.state = OccurrenceState.SCHEDULED
        change(occurrence, "again")
        tasks.queue_due()

    cancel()
    restore()
    assert told() == []
    cancel()
    tasks.queue_due()
    mail_delivery.work(bulk=True, seconds=5)
    restore()
    assert told() == ["Maria", "Maria"]
    assert "It takes place after all" in outbox(to="m@example.org")[-1].html


def test_calendar_files_follow_those_who_have_the_date_and_nobody_else() -> None:
    event = make_event()
    crowd(event)
    occurrence = occurrence_of(event)
    change(occurrence, "place")
    tasks.queue_due()
    mail_delivery.work(bulk=True, seconds=5)
    occurrence.state = OccurrenceState.CANCELLED
    occurrence.sequence += 1
    delivery.tell_cancelled(occurrence)
    db.session.commit()
    tasks.queue_due()
    mail_delivery.work(bulk=True, seconds=5)
    letters = mail_queries.mailbox(to="coming@example.org", limit=5)
    cancelled, changed = (one.attachments[0]["content"] for one in letters)
    assert "METHOD:PUBLISH" in changed
    assert "SEQUENCE:1" in changed
    assert "METHOD:CANCEL" in cancelled
    assert "SEQUENCE:2" in cancelled
    uids = {line for text in (changed, cancelled) for line in text.splitlines() if "UID:" in line}
    assert len(uids) == 1
    assert [one.attachments for one in mail_queries.mailbox(to="waiting@example.org", limit=5)] == [
        [],
        [],
    ]


def test_a_cancelled_event_speaks_the_organizers_words_in_both_languages() -> None:
    event = make_event()
    make_rsvp(event, email="a@example.org", language="es")
    event.state = EventState.CANCELLED
    event.cancel_note = Words(en="We won.", es="Ganamos.")
    occurrence = occurrence_of(event)
    delivery.tell_cancelled(occurrence, event.cancel_note)
    db.session.commit()
    tasks.queue_due()
    (letter,) = outbox(to="a@example.org")
    assert letter.subject.startswith("Cancelado: ")
    assert "Ganamos." in letter.text


def test_what_is_over_is_not_told_of() -> None:
    event = make_event()
    crowd(event)
    occurrence = occurrence_of(event)
    with time_machine.travel(occurrence.ends_at, tick=False):
        change(occurrence, "place")
        delivery.tell_cancelled(occurrence)
    assert db.session.scalars(select(Notice)).all() == []
    change(occurrence, "place")
    with time_machine.travel(occurrence.ends_at, tick=False):
        tasks.queue_due()
    assert told() == []
    assert db.session.scalars(select(Notice.state)).all() == ["dropped"]


def test_an_answer_taken_back_is_not_told() -> None:
    event = make_event()
    crowd(event)
    change(occurrence_of(event), "place")
    tasks.queue_due()
    rsvp = db.session.scalars(select(Rsvp).where(Rsvp.first_name == "Maybe")).one()
    rsvp.state = RsvpState.CANCELLED
    delivery.stop_for(rsvp)
    db.session.commit()
    assert told() == ["Coming", "Waiting"]


def test_who_waits_is_not_told_a_hidden_street() -> None:
    event = make_event(
        address_visibility="coming", is_online=True, online_url="https://meet.example/x"
    )
    crowd(event)
    change(occurrence_of(event), "place", "online")
    tasks.queue_due()
    coming, waiting = (outbox(to=f"{who}@example.org")[0] for who in ("coming", "waiting"))
    assert "6337 S Woodlawn Ave" in coming.text
    assert "https://meet.example/x" in coming.text
    for hidden in ("6337", "Woodlawn Clinic", "meet.example"):
        assert hidden not in waiting.text
        assert hidden not in waiting.html


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", ["reminder", "maybe", "changed", "cancelled", "after", "thanks"])
def test_letters(name: str, language: str, snapshot: SnapshotAssertion) -> None:
    """As they are read; times narrow no-break spaces are shown as blanks."""
    event = make_event(
        starts_wall="2031-06-10T18:00",
        directions=Words(en="Ring at the side door.", es="Toque en la puerta lateral."),
        contact_name="Denise",
        contact_phone="312 555 0142",
    )
    occurrence = occurrence_of(event)
    organization = db.session.get_one(Organization, event.organization_id)
    organization.name, organization.postal_address = "Clinics Together", "1 Main St, Chicago"
    occurrence.cancel_note = Words(en="The hall is flooded.", es="La sala se inundó.")
    reader = Reader(language)
    notice = Notice(
        occurrence_id=occurrence.id,
        kind="changed",
        what=["time", "place"],
        before="2031-06-09T17:30",
    )
    letter = {
        "reminder": lambda: notices.reminder_letter(
            occurrence, organization, reader, make_shift(event, starts_after_minutes=-30)
        ),
        "maybe": lambda: notices.reminder_letter(
            occurrence, organization, Reader(language, RsvpState.TENTATIVE)
        ),
        "changed": lambda: notices.changed_letter(notice, occurrence, organization, reader),
        "cancelled": lambda: notices.cancelled_letter(notice, occurrence, organization, reader),
        "after": lambda: notices.after_letter(occurrence, organization, reader),
        "thanks": lambda: notices.after_letter(
            occurrence, organization, Reader(language, has_signed_in=True)
        ),
    }[name]()
    text = f"{letter.subject}\n\n{letter.text}".replace("\u202f", " ")
    assert text == snapshot
    for secret in ("Woodlawn", "Vigil", "clinic"):
        assert secret not in letter.subject


def test_an_end_on_another_day_and_a_whole_day_are_said_so() -> None:
    event = make_event(starts_wall="2031-06-10T22:00", duration_minutes=240)
    words = notices.when(occurrence_of(event), "en").replace("\u202f", " ")
    assert words == (
        "Tuesday, June 10, 2031, 10:00 PM – Wednesday, June 11, 2031, 2:00 AM (Central Time)"
    )
    event.is_all_day = True
    assert notices.when(occurrence_of(event), "es") == "martes, 10 de junio de 2031"
    assert notices.short_when(occurrence_of(event), "en") == "Tuesday, June 10"


def test_a_date_with_a_place_of_its_own_names_that() -> None:
    occurrence = occurrence_of(make_event())
    occurrence.venue, occurrence.address = "Library", ""
    assert notices.where(occurrence) == "Library, Chicago 60637"
    assert clock.now() < occurrence.starts_at
