"""Seats, the line, and what a freed place becomes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign import clock
from campaign.db import Words, db
from campaign.errors import Invalid
from campaign.events import queries, seats, services, settling
from campaign.events.models import Event, Occurrence, Rsvp, RsvpState
from campaign.events.services import Change, RsvpDetails
from tests.factories.events import make_event, make_rsvp, make_shift, occurrence_of
from tests.factories.outbox import outbox

pytestmark = pytest.mark.usefixtures("app")


def answer(event: Event, name: str, **values: object) -> Rsvp:
    """Somebody's answer through the public door; returns its row."""
    details = RsvpDetails(
        **{  # type: ignore[arg-type]
            "first_name": name.title(),
            "last_name": "Reyes",
            "email": f"{name}@example.org",
            "postal_code": "60637",
            **values,
        }
    )
    services.answer(occurrence_of(event), details)
    return row(name)


def row(name: str) -> Rsvp:
    db.session.expire_all()
    found = db.session.query(Rsvp).filter_by(email=f"{name}@example.org").all()
    return found[-1]


def balance(event: Event) -> tuple[int, int]:
    """Taken and waiting as the counters say; they must agree with the answers themselves."""
    db.session.flush()
    db.session.expire_all()
    date = occurrence_of(event)
    counted = queries.recount(date.id)
    assert (date.taken_count, date.waiting_count) == (counted.taken, counted.waiting)
    return date.taken_count, date.waiting_count


def test_a_party_gets_its_seats_together_or_waits_together() -> None:
    event = make_event(capacity=4)
    assert answer(event, "ana", guests=2).state == RsvpState.ACCEPTED
    assert answer(event, "bea", guests=1).state == RsvpState.WAITING
    assert balance(event) == (3, 1)


def test_who_comes_later_does_not_pass_the_line_though_they_would_fit() -> None:
    event = make_event(capacity=4)
    answer(event, "ana", guests=2)
    answer(event, "bea", guests=1)
    assert answer(event, "cleo").state == RsvpState.WAITING
    assert [one.first_name for one in queries.line_of(occurrence_of(event).id)] == ["Bea", "Cleo"]


def test_maybe_and_no_take_no_seat() -> None:
    event = make_event(capacity=1)
    assert answer(event, "ana", status="tentative", guests=3).state == RsvpState.TENTATIVE
    assert answer(event, "bea", status="declined").state == RsvpState.DECLINED
    assert answer(event, "cleo").state == RsvpState.ACCEPTED
    assert balance(event) == (1, 0)


def test_full_without_a_line_is_noted_as_no_and_told() -> None:
    event = make_event(capacity=1, has_waiting_list=False)
    answer(event, "ana")
    bea = answer(event, "bea")
    assert (bea.state, bea.line_number) == (RsvpState.DECLINED, None)
    assert bea.waiting_since is not None, "the organizer sees that they had wanted to come"
    assert "All places are taken" in outbox("bea@example.org")[0].text
    assert balance(event) == (1, 0)


@pytest.mark.parametrize("how", ["cancel", "decline", "maybe", "fewer", "erase", "reject"])
def test_a_freed_place_goes_at_once_to_the_longest_waiting(how: str) -> None:
    event = make_event(capacity=2)
    ana = answer(event, "ana", guests=1, signals=["honeypot"] if how == "reject" else [])
    bea, cleo = answer(event, "bea"), answer(event, "cleo")
    match how:
        case "cancel":
            services.cancel_rsvp(ana)
        case "decline":
            services.change_rsvp(ana, Change(status="declined"))
        case "maybe":
            services.change_rsvp(ana, Change(status="tentative", guests=1))
        case "fewer":
            services.change_rsvp(ana, Change(status="accepted", guests=0))
        case "erase":
            services.erase_rsvp(ana)
        case "reject":
            services.reject_rsvp(ana)
    assert row("bea").state == RsvpState.ACCEPTED
    assert row("bea").offered_at is not None
    assert outbox("bea@example.org")[-1].subject.startswith("A place for you on")
    is_second_in = how != "fewer"
    assert (row("cleo").state == RsvpState.ACCEPTED) is is_second_in
    assert balance(event) == (2, 0 if is_second_in else 1)
    assert bea.id != cleo.id


def test_the_head_of_the_line_waits_for_its_whole_party_and_nobody_overtakes() -> None:
    event = make_event(capacity=3)
    ana, bea = answer(event, "ana"), answer(event, "bea", guests=1)
    answer(event, "cleo", guests=1)
    answer(event, "dora")
    services.cancel_rsvp(ana)
    assert (row("cleo").state, row("dora").state) == (RsvpState.WAITING, RsvpState.WAITING)
    assert balance(event) == (2, 2), "one seat is free, the two at the head need two"
    services.cancel_rsvp(row("bea"))
    assert (row("cleo").state, row("dora").state) == (RsvpState.ACCEPTED, RsvpState.ACCEPTED)
    assert balance(event) == (3, 0)
    assert bea.state == RsvpState.CANCELLED


def test_when_the_head_leaves_the_next_moves_up_at_once() -> None:
    event = make_event(capacity=3)
    answer(event, "ana", guests=1)
    cleo = answer(event, "cleo", guests=1)
    answer(event, "dora")
    services.cancel_rsvp(cleo)
    assert row("dora").state == RsvpState.ACCEPTED
    assert balance(event) == (3, 0)


def test_a_party_in_line_that_gets_smaller_may_fit_now() -> None:
    event = make_event(capacity=3)
    answer(event, "ana", guests=1)
    cleo = answer(event, "cleo", guests=1)
    services.change_rsvp(cleo, Change(status="accepted", guests=0))
    assert row("cleo").state == RsvpState.ACCEPTED
    assert [one.subject for one in outbox("cleo@example.org")][-1].startswith("A place for you")
    assert balance(event) == (3, 0)


def test_giving_a_place_back_passes_it_on() -> None:
    event = make_event(capacity=1)
    ana = answer(event, "ana")
    answer(event, "bea")
    answer(event, "cleo")
    services.cancel_rsvp(ana)
    services.cancel_rsvp(row("bea"))
    assert row("cleo").state == RsvpState.ACCEPTED
    assert balance(event) == (1, 0)


def test_more_capacity_lets_the_line_in_and_less_throws_nobody_out() -> None:
    event = make_event(capacity=1)
    for name in ("ana", "bea", "cleo", "dora"):
        answer(event, name)
    date = occurrence_of(event)
    date.capacity = 3
    came = seats.fill_places(date)
    assert [one.first_name for one in came] == ["Bea", "Cleo"]
    date.capacity = 1
    seats.fill_places(date)
    assert balance(event) == (3, 1)
    services.cancel_rsvp(row("ana"))
    assert row("dora").state == RsvpState.WAITING, "three had places, two have; one is meant"


def test_a_party_larger_than_the_room_is_told_at_the_guests() -> None:
    event = make_event(capacity=3)
    with pytest.raises(Invalid) as caught:
        answer(event, "ana", guests=3)
    assert caught.value.field == "guests"
    assert "3 places in all" in str(caught.value.message)


def test_a_party_that_can_never_fit_any_more_does_not_block_the_line() -> None:
    event = make_event(capacity=4)
    ana = answer(event, "ana", guests=1)
    answer(event, "bea", guests=3)
    answer(event, "cleo")
    date = occurrence_of(event)
    date.capacity = 2
    db.session.flush()
    services.cancel_rsvp(ana)
    assert (row("bea").state, row("cleo").state) == (RsvpState.WAITING, RsvpState.ACCEPTED)
    answer(event, "dora")
    assert row("dora").state == RsvpState.WAITING
    assert settling.fill_lines() == 1
    assert row("dora").state == RsvpState.ACCEPTED


def test_more_guests_only_while_there_is_room() -> None:
    event = make_event(capacity=3)
    ana = answer(event, "ana")
    answer(event, "bea")
    with pytest.raises(Invalid) as caught:
        services.change_rsvp(ana, Change(status="accepted", guests=2))
    assert (caught.value.field, str(caught.value.message)) == (
        "guests",
        "There is room for 1 guest of yours.",
    )
    services.change_rsvp(row("ana"), Change(status="accepted", guests=1))
    assert balance(event) == (3, 0)


def test_saying_yes_again_joins_the_end_of_the_line() -> None:
    event = make_event(capacity=1)
    ana = answer(event, "ana")
    answer(event, "bea")
    answer(event, "cleo")
    services.cancel_rsvp(ana)
    services.change_rsvp(row("ana"), Change(status="accepted"))
    line = queries.line_of(occurrence_of(event).id)
    assert [one.first_name for one in line] == ["Cleo", "Ana"]
    assert queries.place_in_line(line[1]) == 2


def test_a_shift_takes_so_many() -> None:
    event = make_event()
    shift = make_shift(event, capacity=1)
    ana = answer(event, "ana", shift_id=shift.id)
    with pytest.raises(Invalid) as caught:
        answer(event, "bea", shift_id=shift.id)
    assert caught.value.field == "shift"
    services.change_rsvp(ana, Change(status="accepted", shift_id=shift.id))  # their own
    services.cancel_rsvp(row("ana"))
    assert answer(event, "bea", shift_id=shift.id).shift_id == shift.id


def test_another_events_shift_is_not_one_to_choose() -> None:
    event, other = make_event(), make_event()
    foreign = make_shift(other)
    for act in (
        lambda: answer(event, "ana", shift_id=foreign.id),
        lambda: services.change_rsvp(
            make_rsvp(event), Change(status="accepted", shift_id=foreign.id)
        ),
    ):
        with pytest.raises(Invalid) as caught:
            act()
        assert caught.value.field == "shift"


def test_nothing_moves_up_once_the_date_is_over_or_cancelled() -> None:
    event = make_event(capacity=1)
    ana = answer(event, "ana")
    answer(event, "bea")
    date = occurrence_of(event)
    date.starts_at, date.ends_at = (clock.now() - timedelta(hours=n) for n in (3, 2))
    db.session.flush()
    services.cancel_rsvp(ana)
    assert row("bea").state == RsvpState.WAITING
    assert balance(event) == (0, 1)


def test_a_held_answer_keeps_its_state_and_is_written_nothing_until_it_is_looked_at() -> None:
    event = make_event(capacity=2, title=Words(en="Vigil"))
    ana = answer(event, "ana", signals=["honeypot"])
    assert (ana.state, ana.review_reason) == (RsvpState.ACCEPTED, "honeypot")
    assert outbox("ana@example.org") == []
    settling.settle_rsvps()
    assert row("ana").person_id is None
    services.approve_rsvp(row("ana"))
    assert len(outbox("ana@example.org")) == 1
    assert row("ana").person_id is not None


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "cancel", "change", "capacity", "erase"]),
        st.integers(0, 7),
        st.integers(0, 3),
        st.sampled_from(["accepted", "tentative", "declined"]),
    ),
    max_size=25,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=ACTS, has_line=st.booleans())
def test_whatever_happens_counters_agree_and_no_seat_lies_free(
    acts: list[tuple[str, int, int, str]], has_line: bool
) -> None:
    savepoint = db.session.begin_nested()
    try:
        event = make_event(capacity=5, has_waiting_list=has_line)
        most = 5
        for act, who, guests, status in acts:
            mine = db.session.query(Rsvp).filter_by(
                occurrence_id=occurrence_of(event).id, email=f"p{who}@example.org"
            )
            try:
                if act == "answer":
                    answer(event, f"p{who}", guests=guests, status=status)
                    settling.work_repeats()
                elif act == "capacity":
                    date = occurrence_of(event)
                    date.capacity = 2 + guests
                    most = max(most, date.capacity)
                    seats.fill_places(date)
                elif found := mine.first():
                    if act == "cancel":
                        services.cancel_rsvp(found)
                    elif act == "erase":
                        services.erase_rsvp(found)
                    else:
                        services.change_rsvp(found, Change(status=status, guests=guests))
            except Invalid:
                db.session.expire_all()
            taken, _waiting = balance(event)
            assert taken <= most
            _nobody_waits_in_vain(occurrence_of(event))
    finally:
        savepoint.rollback()
        db.session.expire_all()


def _nobody_waits_in_vain(date: Occurrence) -> None:
    """The first in line who can fit at all does not fit now."""
    assert date.capacity is not None
    for rsvp in queries.line_of(date.id):
        if rsvp.party <= date.capacity:
            is_blocked_by_a_giant = any(
                one.party > date.capacity for one in queries.line_of(date.id)
            )
            fits = date.taken_count + rsvp.party <= date.capacity
            assert not fits or is_blocked_by_a_giant
            return
