"""Slots, the line, the order, plan B, erasing: what the rows say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from campaign import clock
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.events.models import RsvpState
from campaign.hearings import delivery, models, queries, services, writing
from campaign.hearings.models import Hearing, HearingTask, SpeakerState, TaskDone, Way
from campaign.hearings.services import HearingDetails
from campaign.organizations.models import Organization
from campaign.privacy import queries as privacy_queries
from campaign.privacy import services as privacy
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.hearings import make_task, make_testimony
from tests.factories.people import make_person
from tests.hearings.conftest import letters

ALOUD = services.TestimonyDetails(topic="My clinic")
WRITTEN = services.TestimonyDetails(way=Way.WRITTEN)


def ask(
    hearing: Hearing, name: str = "Ana", details: services.TestimonyDetails = ALOUD
) -> models.Testimony:
    rsvp = make_rsvp(hearing.event, first_name=name, email=f"{name.lower()}@example.org")
    return services.ask_to_speak(rsvp, details)


def names(rows: list[models.Testimony]) -> list[str]:
    return [row.rsvp.first_name for row in rows if row.rsvp]


def test_slots_are_given_in_order_and_then_places_in_line(hearing: Hearing) -> None:
    hearing.slot_count = 2
    for name in ("Ana", "Bea", "Cleo", "Dan"):
        ask(hearing, name)
    here = occurrence_of(hearing.event).id
    assert names(queries.speakers(here)) == ["Ana", "Bea"]
    assert names(queries.waiting(here)) == ["Cleo", "Dan"]
    assert [queries.place_in_line(row) for row in queries.waiting(here)] == [1, 2]
    assert [mail.subject for mail in letters()] == [
        *["You are on the list"] * 2,
        *["You are in line"] * 2,
    ]
    assert "number 2 in line" in letters("dan@example.org")[0].text


def test_a_freed_slot_goes_at_once_to_the_longest_waiting_who_can_give_it_back(
    hearing: Hearing,
) -> None:
    hearing.slot_count = 1
    ana, bea, cleo = (ask(hearing, name) for name in ("Ana", "Bea", "Cleo"))
    services.withdraw_testimony(ana)
    assert (ana.state, bea.state, cleo.state) == ("withdrawn", "speaking", "waiting")
    assert bea.offered_at is not None
    mail = letters("bea@example.org")[-1]
    assert mail.subject == "A place came free for you"
    assert "give it back" in mail.text
    assert mail.link("rsvp")
    services.withdraw_testimony(bea)  # gives it back
    assert cleo.state == SpeakerState.SPEAKING
    assert letters("ana@example.org")[-1].subject == "You are off the list"
    services.withdraw_testimony(bea)  # twice is once
    assert len(letters("bea@example.org")) == 3


def test_written_statements_take_no_slot_and_changing_the_way_does(hearing: Hearing) -> None:
    hearing.slot_count = 1
    ana, bea = ask(hearing, "Ana"), ask(hearing, "Bea", WRITTEN)
    assert (bea.state, bea.position) == (SpeakerState.SPEAKING, None)
    services.change_testimony(bea, ALOUD)
    assert bea.state == SpeakerState.WAITING
    services.change_testimony(ana, WRITTEN)
    assert (ana.state, bea.state) == (SpeakerState.SPEAKING, SpeakerState.SPEAKING)
    assert queries.slots_taken(ana.occurrence_id) == 1
    assert names(queries.speakers(ana.occurrence_id)) == ["Bea", "Ana"]


def test_more_slots_fill_from_the_line_and_fewer_than_taken_are_refused(hearing: Hearing) -> None:
    hearing.slot_count = 1
    _ana, bea, cleo = (ask(hearing, name) for name in ("Ana", "Bea", "Cleo"))
    details = HearingDetails(body=hearing.body, slot_count=2)
    services.change_hearing(hearing, details)
    assert (bea.state, cleo.state) == (SpeakerState.SPEAKING, SpeakerState.WAITING)
    with pytest.raises(Invalid) as refused:
        services.change_hearing(hearing, HearingDetails(body=hearing.body, slot_count=1))
    assert refused.value.field == "slot_count"
    services.change_hearing(hearing, HearingDetails(body=hearing.body, slot_count=None))
    assert cleo.state == SpeakerState.SPEAKING


def test_nobody_passes_the_line_when_the_limit_falls_away_by_erasing(hearing: Hearing) -> None:
    """A free slot beside a line (its owner was told elsewhere) goes to the line, not the next."""
    hearing.slot_count = 1
    ask(hearing, "Ana")
    waiting = ask(hearing, "Bea")
    hearing.slot_count = 2
    late = ask(hearing, "Cleo")
    assert late.state == SpeakerState.WAITING
    assert names(delivery.fill_slots(occurrence_of(hearing.event))) == ["Bea"]
    assert waiting.state == SpeakerState.SPEAKING


def test_asking_twice_changes_what_was_said(hearing: Hearing) -> None:
    ana = ask(hearing)
    assert ana.rsvp is not None
    again = services.ask_to_speak(ana.rsvp, services.TestimonyDetails(topic="Other", language="es"))
    assert again.id == ana.id
    assert (ana.topic, ana.language, ana.position) == ("Other", "es", 1)
    assert len(letters()) == 1


def test_asking_again_after_withdrawing_finds_the_words(hearing: Hearing) -> None:
    ana = ask(hearing)
    services.save_draft(ana, "My words")
    services.withdraw_testimony(ana)
    assert ana.rsvp is not None
    back = services.ask_to_speak(ana.rsvp, ALOUD)
    assert (back.id, back.state, back.draft) == (ana.id, SpeakerState.SPEAKING, "My words")


def test_who_may_not_ask(hearing: Hearing) -> None:
    rsvp = make_rsvp(hearing.event, state=RsvpState.CANCELLED)
    with pytest.raises(Conflict):
        services.ask_to_speak(rsvp, ALOUD)
    rsvp.state = RsvpState.DECLINED
    with pytest.raises(Invalid):
        services.ask_to_speak(rsvp, ALOUD)
    services.ask_to_speak(rsvp, WRITTEN)  # who cannot come can write
    hearing.ways = [Way.WRITTEN]
    other = make_rsvp(hearing.event)
    with pytest.raises(Invalid):
        services.ask_to_speak(other, ALOUD)
    hearing.is_open = False
    with pytest.raises(Conflict):
        services.ask_to_speak(other, WRITTEN)
    services.ask_to_speak(other, WRITTEN, user_id=hearing.organization_id)  # an organizer may
    with time_machine.travel(clock.now() + timedelta(days=30)), pytest.raises(Conflict):
        services.ask_to_speak(make_rsvp(hearing.event), WRITTEN)


def test_only_hearings_take_testimony_and_only_once(hearing: Hearing) -> None:
    details = HearingDetails(body=Words(en="Council"))
    with pytest.raises(Conflict):
        services.set_up_hearing(make_event(), details)
    with pytest.raises(Conflict):
        services.set_up_hearing(hearing.event, details)
    fresh = make_event(kind="hearing")
    services.set_up_hearing(fresh, details, template="chicago")
    titles = [task.title["en"] for task in queries.tasks_of(fresh.id)]
    assert titles == [
        "Ask to speak by phone",
        "Keep your phone free",
        "Hand in your written statement, two pages at most",
    ]


def test_moving_speakers(hearing: Hearing) -> None:
    rows = [ask(hearing, name) for name in ("Ana", "Bea", "Cleo")]
    here = rows[0].occurrence_id
    assert services.move_speaker(rows[2], up=True)
    assert names(queries.speakers(here)) == ["Ana", "Cleo", "Bea"]
    assert services.move_speaker(rows[2], up=False)
    assert not services.move_speaker(rows[0], up=True)
    assert names(queries.speakers(here)) == ["Ana", "Bea", "Cleo"]
    assert [row.position for row in queries.speakers(here)] == [1, 2, 3]
    with pytest.raises(Conflict):
        services.move_speaker(ask(hearing, "Dan", WRITTEN), up=True)


def test_plan_b_pairs_who_asks_with_who_offers(hearing: Hearing) -> None:
    wants = ask(hearing, "Ana", services.TestimonyDetails(wants_reader=True, language="es"))
    busy = ask(hearing, "Bea", services.TestimonyDetails(offers_to_read=True, language="es"))
    free = ask(hearing, "Cleo", services.TestimonyDetails(offers_to_read=True))
    silent = ask(hearing, "Dan")
    assert services.find_reader(wants) is busy  # the same language comes first
    assert letters("ana@example.org")[-1].subject == "You have a reader"
    assert "Bea reads for you" in letters("ana@example.org")[-1].text.replace("\n", " ") or (
        "Bea does" in letters("ana@example.org")[-1].text
    )
    assert "words of Ana" in letters("bea@example.org")[-1].text
    other = ask(hearing, "Eva", services.TestimonyDetails(wants_reader=True, language="es"))
    assert services.find_reader(other) is busy
    assert services.give_back_reading(wants) is free
    assert services.give_back_reading(wants) is busy
    services.withdraw_testimony(busy)
    assert (wants.reader_id, other.reader_id) == (None, None)
    with pytest.raises(Conflict):
        services.pair_reader(wants, silent)
    with pytest.raises(Conflict):
        services.pair_reader(wants, wants)
    with pytest.raises(Conflict):
        services.find_reader(silent)
    services.pair_reader(wants, free)
    services.change_testimony(wants, services.TestimonyDetails(wants_reader=False))
    assert wants.reader_id is None


def test_who_reads_no_more_for_others_reads_for_nobody(hearing: Hearing) -> None:
    wants = ask(hearing, "Ana", services.TestimonyDetails(wants_reader=True))
    reader = ask(hearing, "Bea", services.TestimonyDetails(offers_to_read=True))
    services.find_reader(wants)
    services.change_testimony(reader, ALOUD)
    db.session.refresh(wants)
    assert wants.reader_id is None
    assert services.give_back_reading(wants) is None
    assert letters("ana@example.org")[-1].subject == "Your reader cannot do it"


def test_tasks_are_ticked_once(hearing: Hearing) -> None:
    ana, task = ask(hearing), make_task(hearing)
    for _again in range(2):
        services.tick_task(ana, task, is_done=True)
    assert queries.done_by([ana.id]) == {ana.id: {task.id}}
    services.tick_task(ana, task, is_done=False)
    assert queries.done_by([ana.id]) == {ana.id: set()}
    elsewhere = make_task(
        Hearing(
            event_id=make_event(hearing.event.campaign).id, organization_id=hearing.organization_id
        )
    )
    with pytest.raises(Conflict):
        services.tick_task(ana, elsewhere, is_done=True)


def test_erasing_takes_the_words_and_frees_the_slot(hearing: Hearing) -> None:
    hearing.slot_count = 1
    ana, bea = ask(hearing, "Ana"), ask(hearing, "Bea")
    task = make_task(hearing)
    services.save_draft(ana, "My illness, in my own words")
    services.tick_task(ana, task, is_done=True)
    assert ana.rsvp is not None
    assert services.erase_testimonies([ana.rsvp.id]) == 1
    assert (ana.draft, ana.topic, ana.state) == ("", "", SpeakerState.WITHDRAWN)
    assert bea.state == SpeakerState.SPEAKING
    assert db.session.query(TaskDone).count() == 0
    assert services.erase_testimonies([]) == 0


def test_erasing_who_spoke_keeps_the_number(hearing: Hearing) -> None:
    ana = make_testimony(hearing, outcome="spoke", draft="Words")
    assert ana.rsvp is not None
    with time_machine.travel(clock.now() + timedelta(days=30)):
        services.erase_testimonies([ana.rsvp.id])
    assert (ana.draft, ana.outcome, ana.state) == ("", "spoke", SpeakerState.SPEAKING)


def test_removing_a_task_takes_its_ticks_along(hearing: Hearing) -> None:
    ana, task = ask(hearing), make_task(hearing)
    services.tick_task(ana, task, is_done=True)
    services.remove_task(task)
    assert db.session.query(HearingTask).count() == 0
    db.session.expire_all()
    assert queries.done_by([ana.id]) == {ana.id: set()}


@pytest.mark.parametrize(
    ("language", "words", "minutes"),
    [
        ("en", 130, 1.0),
        ("en", 390, 3.0),
        ("en", 391, 3.5),
        ("es", 372, 3.0),
        ("pl", 285, 3.0),
        ("xx", 130, 1.0),
        ("en", 0, 0.0),
    ],
)
def test_minutes_follow_the_words_and_the_language(
    language: str, words: int, minutes: float
) -> None:
    assert writing.minutes_for("word " * words, language) == minutes


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("Don't close it at 3:30, please.", "en", 6),
        ("¿Por qué? — ¡Porque sí!", "es", 4),
        ("请不要关闭诊所。", "zh", 5),
        ("  \n ", "en", 0),
        ("a_b", "en", 2),
    ],
)
def test_words_are_counted_as_one_says_them(text: str, language: str, count: int) -> None:
    assert writing.words_in(text, language) == count


def test_two_at_once_for_the_last_slot(hearing: Hearing, run_tasks: Callable[[], int]) -> None:
    """One slot, asked for by twelve: one speaks, the others wait in the order they came."""
    hearing.slot_count = 1
    rows = [ask(hearing, f"P{n}") for n in range(12)]
    assert [row.state for row in rows].count(SpeakerState.SPEAKING) == 1
    assert names(queries.waiting(rows[0].occurrence_id)) == [f"P{n}" for n in range(1, 12)]


def test_a_persons_download_holds_their_words_and_erasing_takes_them(hearing: Hearing) -> None:
    person = make_person(db.session.get_one(Organization, hearing.organization_id))
    rsvp = make_rsvp(hearing.event, person_id=person.id)
    ana = make_testimony(hearing, rsvp, draft="My illness, in my own words", topic="Plum orchard")
    db.session.commit()
    plain = repr(privacy_queries.as_plain(privacy_queries.holding_of(person)))
    assert "My illness, in my own words" in plain
    assert "Plum orchard" in plain
    privacy.erase_person(person)
    db.session.commit()
    db.session.refresh(ana)
    assert (ana.draft, ana.topic, ana.state) == ("", "", SpeakerState.WITHDRAWN)
    other = make_rsvp(hearing.event)
    theirs = make_testimony(hearing, other, draft="Not me")
    privacy.not_me(other)  # somebody typed another's address
    db.session.refresh(theirs)
    assert (theirs.draft, theirs.state) == ("", SpeakerState.WITHDRAWN)
