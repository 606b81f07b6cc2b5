"""Signing in: late, twice and in any order means the same; slips agree for nobody."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.campaigns import boxes
from campaign.checkin import delivery, queries, rules, services
from campaign.checkin.models import CountWay, SignIn, SignInWay
from campaign.checkin.services import Did, Pressed, WalkIn
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.events.models import Occurrence, Rsvp, RsvpState
from campaign.organizations.models import AuditEntry
from campaign.people import queries as people
from campaign.people.models import Consent, Person
from tests.factories.checkin import make_head_count, make_sign_in
from tests.factories.events import make_event, make_occurrence, make_rsvp, occurrence_of
from tests.factories.organizations import make_user

KEY, OTHER = "key-0123456789", "key-9876543210"


@pytest.fixture
def rsvp(app: Flask) -> Rsvp:
    return make_rsvp(make_event(starts_in_days=0), guests=2)


def ago(seconds: float) -> object:
    return clock.now() - timedelta(seconds=seconds)


def rows() -> int:
    return db.session.scalar(select(func.count()).select_from(SignIn)) or 0


def settle_all() -> None:
    for row in db.session.scalars(select(SignIn)):
        row.received_at -= timedelta(minutes=rules.UNDO_MINUTES + 1)
    db.session.flush()
    delivery.settle_sign_ins()


# --- one row, whatever is sent -----------------------------------------------------------------


def test_signing_in_twice_is_once(rsvp: Rsvp) -> None:
    first = services.sign_in(rsvp, way=SignInWay.LIST, key=KEY)
    again = services.sign_in(rsvp, way=SignInWay.LIST, key=KEY)
    assert (first.guests, first.way, first.client_key) == (2, SignInWay.LIST, KEY)
    other_phone = services.sign_in(rsvp, way=SignInWay.QR, key=OTHER, guests=5)
    assert first.id == again.id == other_phone.id
    assert (first.guests, first.way) == (5, SignInWay.QR), "as pressed last"
    assert rows() == 1


def test_undone_stays_undone_when_the_same_message_comes_again(rsvp: Rsvp) -> None:
    pressed_at = ago(60)
    services.sign_in(rsvp, way=SignInWay.LIST, key=KEY, at=pressed_at)
    services.undo(rsvp, key=KEY)
    again = services.sign_in(rsvp, way=SignInWay.LIST, key=KEY, at=pressed_at)
    assert again.is_undone


def test_an_older_sign_in_of_another_phone_does_not_bring_it_back(rsvp: Rsvp) -> None:
    services.sign_in(rsvp, way=SignInWay.LIST, key=KEY, at=ago(60))
    services.undo(rsvp, key=KEY, at=ago(30))
    late = services.sign_in(rsvp, way=SignInWay.LIST, key=OTHER, at=ago(45))
    assert late.is_undone


def test_pressing_anew_after_undoing_counts(rsvp: Rsvp) -> None:
    services.sign_in(rsvp, way=SignInWay.LIST, key=KEY, at=ago(60))
    services.undo(rsvp, key=KEY, at=ago(30))
    row = services.sign_in(rsvp, way=SignInWay.QR, key=OTHER, guests=1, at=ago(10))
    assert not row.is_undone
    assert (row.client_key, row.guests, row.way) == (OTHER, 1, SignInWay.QR)
    services.undo(rsvp, key=KEY, at=ago(30))
    assert not row.is_undone, "the old undoing, sent once more, is about the old sign-in"


def test_an_undoing_that_overtakes_its_sign_in_is_kept(rsvp: Rsvp) -> None:
    services.undo(rsvp, key=KEY, at=ago(5))
    row = services.sign_in(rsvp, way=SignInWay.LIST, key=KEY, at=ago(10))
    assert row.is_undone
    assert rows() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_and_any_repeats_come_to_the_same(rsvp: Rsvp, order: tuple[int, ...]) -> None:
    """In at 60, out at 50, in again at 40, and the first "in" once more."""
    now = clock.now()
    messages = [
        Pressed(rsvp_id=rsvp.id, key=KEY, at=now - timedelta(seconds=60)),
        Pressed(rsvp_id=rsvp.id, key=KEY, at=now - timedelta(seconds=50), is_undo=True),
        Pressed(rsvp_id=rsvp.id, key=OTHER, at=now - timedelta(seconds=40), guests=4),
        Pressed(rsvp_id=rsvp.id, key=KEY, at=now - timedelta(seconds=60)),
    ]
    user = make_user()
    for place in order:
        services.apply(rsvp.occurrence, [messages[place]], user_id=user.id)
    row = db.session.scalars(select(SignIn)).one()
    assert not row.is_undone
    assert (row.client_key, row.guests) == (OTHER, 4)


def test_a_phone_hears_what_became_of_each(rsvp: Rsvp) -> None:
    elsewhere = make_rsvp(make_event())
    done = services.apply(
        rsvp.occurrence,
        [
            Pressed(rsvp_id=rsvp.id, key=KEY, at=clock.now()),
            Pressed(rsvp_id=elsewhere.id, key=OTHER, at=clock.now()),
            Pressed(rsvp_id=rsvp.id, key="bad key!", at=clock.now()),
        ],
        user_id=make_user().id,
    )
    assert done == {KEY: Did.SIGNED_IN, OTHER: Did.REFUSED, "bad key!": Did.REFUSED}
    assert rows() == 1


def test_a_key_is_one_sign_in(rsvp: Rsvp) -> None:
    other = make_rsvp(rsvp.occurrence.event, email="two@example.org")
    services.sign_in(rsvp, way=SignInWay.LIST, key=KEY)
    with pytest.raises(Conflict):
        services.sign_in(other, way=SignInWay.LIST, key=KEY)


def test_a_wrong_clock_is_corrected_and_a_right_one_believed(app: Flask) -> None:
    now = clock.now()
    ms = now.timestamp() * 1000
    assert abs((now - rules.moment_of(ms - 5000, ms, now)).total_seconds() - 5) < 0.01
    slow = ms - 3_600_000
    assert abs((now - rules.moment_of(slow - 5000, slow, now)).total_seconds() - 5) < 0.01
    assert rules.moment_of(ms + 60_000, ms, now) == now
    assert rules.moment_of(float("inf"), float("nan"), now) == now


# --- the ledger waits --------------------------------------------------------------------------


def test_a_slip_of_the_thumb_agrees_for_nobody(rsvp: Rsvp) -> None:
    row = services.sign_in(rsvp, way=SignInWay.LIST, key=KEY)
    assert delivery.settle_sign_ins() == 0, "not within the first minutes"
    services.undo_sign_in(row)
    settle_all()
    assert rsvp.confirmed_at is None


def walk(occurrence: Occurrence, key: str = KEY, **values: object) -> SignIn:
    given = {"first_name": "Walter", "last_name": "Innes", "postal_code": "60637"} | values
    return services.walk_in(occurrence, WalkIn(**given), key=key, user_id=make_user().id)  # type: ignore[arg-type]


def ticked(occurrence: Occurrence) -> dict[str, str]:
    event = occurrence.event
    shown = boxes.boxes_for(event.organization_id, event.campaign_id, event.own_wording)
    return boxes.wordings_of(shown, boxes.key_of(shown), {shown[0].slug: "on"}, "en")


def test_a_walk_in_with_an_address_becomes_a_person_with_their_consent(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    row = walk(occurrence, email="walter@example.org", wordings=ticked(occurrence))
    assert row.person_id is None
    settle_all()
    person = db.session.get_one(Person, row.person_id)
    assert (person.email, person.first_name) == ("walter@example.org", "Walter")
    line = db.session.scalars(select(Consent)).one()
    assert (line.is_granted, line.source, line.user_id) == (True, "page", row.user_id)
    assert line.source_detail == (
        f"/e/{occurrence.event.slug} {occurrence.starts_wall[:10]}, at the door"
    )


def test_a_line_of_a_sheet_says_which_in_the_ledger(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    walk(
        occurrence,
        email="walter@example.org",
        wordings=ticked(occurrence),
        way=SignInWay.SHEET,
        sheet_line="2/14",
    )
    settle_all()
    line = db.session.scalars(select(Consent)).one()
    assert line.source == "paper"
    assert line.source_detail.endswith("sign-in sheet 2, line 14")


def test_without_an_address_nobody_becomes_a_person(app: Flask) -> None:
    row = walk(occurrence_of(make_event(starts_in_days=0)))
    settle_all()
    assert row.settled_at is not None
    assert db.session.scalars(select(Person)).all() == []


def test_undoing_late_ends_what_the_sign_in_alone_had_granted(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    row = walk(occurrence, email="walter@example.org", wordings=ticked(occurrence))
    settle_all()
    services.undo_sign_in(row)
    assert row.person_id is not None
    assert not people.has_consent(row.person_id, occurrence.organization_id)
    services.restore_sign_in(row)
    settle_all()
    assert people.has_consent(row.person_id, occurrence.organization_id)


# --- who is who --------------------------------------------------------------------------------


def test_a_walk_in_who_had_answered_is_signed_in_by_their_answer(rsvp: Rsvp) -> None:
    row = walk(
        rsvp.occurrence, first_name="MARIA", last_name="reyes", email=(rsvp.email or "").upper()
    )
    assert row.rsvp_id == rsvp.id
    assert queries.numbers_of(rsvp.occurrence_id).from_answers.rows == 1


def test_by_name_alone_only_where_it_is_one(rsvp: Rsvp) -> None:
    row = walk(rsvp.occurrence, first_name="María", last_name="Reyes")
    assert row.rsvp_id == rsvp.id
    event = make_event(starts_in_days=0)
    make_rsvp(event)
    make_rsvp(event)
    assert walk(occurrence_of(event), first_name="Maria", last_name="Reyes").rsvp_id is None


def test_another_first_name_under_one_address_is_another_person(rsvp: Rsvp) -> None:
    row = walk(rsvp.occurrence, first_name="Benito", last_name="Reyes", email=rsvp.email)
    assert row.rsvp_id is None


def test_who_is_in_already_is_not_counted_twice_unless_it_is_somebody_else(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    walk(occurrence)
    with pytest.raises(Invalid) as raised:
        walk(occurrence, key=OTHER)
    assert raised.value.field == "repeat"
    services.walk_in(
        occurrence,
        WalkIn(first_name="Walter", last_name="Innes"),
        key=OTHER,
        user_id=None,
        is_somebody_else=True,
    )
    assert rows() == 2


def test_the_same_form_sent_twice_is_one_sign_in(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    assert walk(occurrence).id == walk(occurrence).id


def test_a_line_is_entered_once(app: Flask) -> None:
    occurrence = occurrence_of(make_event(starts_in_days=0))
    first = walk(occurrence, way=SignInWay.SHEET, sheet_line="1/1")
    with pytest.raises(Invalid) as raised:
        walk(occurrence, key=OTHER, first_name="Ana", way=SignInWay.SHEET, sheet_line="1/1")
    assert raised.value.field == "line"
    services.undo_sign_in(first)
    walk(occurrence, key=OTHER, first_name="Ana", way=SignInWay.SHEET, sheet_line="1/1")
    assert [row.name for row in queries.sheet_lines(occurrence.id, 1)] == ["Ana Innes"]


# --- numbers -----------------------------------------------------------------------------------


def test_three_numbers_stay_apart(app: Flask) -> None:
    event = make_event(starts_in_days=0)
    occurrence = occurrence_of(event)
    came, missed = make_rsvp(event, guests=2), make_rsvp(event, guests=1)
    make_rsvp(event, state=RsvpState.TENTATIVE)
    make_sign_in(event, came, guests=1)
    make_sign_in(event, guests=3)
    make_sign_in(event, undone_at=clock.now())
    make_head_count(event, 40)
    make_head_count(event, 412)
    make_head_count(event, 900, removed_at=clock.now())
    numbers = queries.numbers_of(occurrence.id)
    assert (numbers.said.people, numbers.maybe.people) == (5, 1)
    assert (numbers.here.people, numbers.here.rows) == (6, 2)
    assert (numbers.from_answers.people, numbers.walked_in.people) == (2, 4)
    assert (numbers.missed.rows, numbers.missed.people) == (1, 2)
    assert numbers.heads is not None
    assert numbers.heads.count == 412
    assert missed.state == RsvpState.ACCEPTED


def test_heads_are_removed_and_come_back(app: Flask) -> None:
    occurrence = occurrence_of(make_event())
    row = services.count_heads(occurrence, 40, way=CountWay.CLICKER, user_id=None)
    services.remove_head_count(row)
    assert queries.highest(occurrence.id) is None
    services.restore_head_count(row)
    assert queries.highest(occurrence.id) == row
    for count in (-1, 10_000_001):
        with pytest.raises(Invalid):
            services.count_heads(occurrence, count, user_id=None)


def test_the_forecast_learns_from_past_dates_with_a_door(app: Flask) -> None:
    event = make_event(starts_in_days=3)
    coming = occurrence_of(event)
    guess = queries.forecast_for(coming, 100, clock.now())
    assert (guess.people, guess.is_guess) == (60, True)
    for days in (7, 14, 21, 28):
        wall = (clock.now() - timedelta(days=days)).strftime("%Y-%m-%dT18:00")
        past = make_occurrence(event, wall)
        for number in range(50):
            answer = make_rsvp(event, past)
            if number < 20:
                make_sign_in(event, answer)
    silent = make_occurrence(event, "2025-01-01T18:00")
    make_rsvp(event, silent)
    db.session.flush()
    learned = queries.forecast_for(coming, 100, clock.now())
    assert (learned.basis.dates, learned.basis.said, learned.basis.came) == (4, 200, 80)
    assert learned.is_of_kind
    assert 40 <= learned.people <= 43, "near the 40 of 100 that it saw, drawn a little to the guess"
    latest = db.session.scalars(
        select(Occurrence)
        .where(Occurrence.event_id == event.id, Occurrence.ends_at < clock.now())
        .order_by(Occurrence.starts_at.desc())
        .limit(1)
    ).one()
    was = queries.forecast_for(latest, 50, clock.now())
    assert was.basis.dates == 3, "what came of a date is not what was forecast for it"


def test_ones_own_number_is_written_over_the_forecast_and_noted(app: Flask) -> None:
    occurrence = occurrence_of(make_event())
    services.expect(occurrence, 250, user_id=make_user().id)
    assert occurrence.expected_count == 250
    assert db.session.scalars(select(AuditEntry.action)).all() == ["event.expected"]


# --- did you come? -----------------------------------------------------------------------------


def test_what_people_tell_is_in_no_other_number(app: Flask) -> None:
    event = make_event(starts_in_days=-1)
    rsvp = make_rsvp(event)
    services.tell_came(rsvp, True, "  It was warm. ")
    services.tell_came(rsvp, True, "It was warm.")
    numbers = queries.numbers_of(rsvp.occurrence_id)
    assert (numbers.told_came, numbers.here.rows, numbers.missed.rows) == (1, 0, 1)
    assert [row.feedback for row in queries.feedback_of(rsvp.occurrence_id)] == ["It was warm."]
    services.tell_came(rsvp, False)
    assert queries.numbers_of(rsvp.occurrence_id).told_missed == 1


def test_nobody_has_come_before_it_began(app: Flask) -> None:
    with pytest.raises(Conflict):
        services.tell_came(make_rsvp(make_event(starts_in_days=2)), True)
