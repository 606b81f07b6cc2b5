"""Whose an answer is, what its owner may do, and what a stranger cannot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from campaign import clock
from campaign.campaigns.boxes import mark_of
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.events import queries, services, settling, tasks
from campaign.events.models import (
    Event,
    OccurrenceState,
    Rsvp,
    RsvpMail,
    RsvpRepeat,
    RsvpState,
)
from campaign.events.services import Change, RsvpDetails
from campaign.organizations.models import AuditEntry
from campaign.people.models import Consent, Person
from tests.events.answering import work_off
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.events import make_event, make_rsvp, make_shift, occurrence_of
from tests.factories.outbox import outbox
from tests.factories.people import make_person

pytestmark = pytest.mark.usefixtures("app")
ANA: dict[str, Any] = {
    "first_name": "Ana",
    "last_name": "Ruiz",
    "email": "ana@example.org",
    "postal_code": "60637",
}


def answer(event: Event, **values: Any) -> None:
    services.answer(occurrence_of(event), RsvpDetails(**(ANA | values)))
    work_off()


def rsvps() -> list[Rsvp]:
    db.session.expire_all()
    return list(db.session.scalars(select(Rsvp).order_by(Rsvp.id)))


# --- whose it is -------------------------------------------------------------------------------


def test_a_new_answer_makes_a_person_and_no_consent() -> None:
    campaign = make_campaign()
    partner = make_partner(campaign).partner
    event = make_event(campaign)
    answer(event, consents={partner.slug: "1"}, source="flyer")
    (rsvp,) = rsvps()
    person = db.session.get_one(Person, rsvp.person_id)
    assert (person.name, person.source, rsvp.confirmed_at) == ("Ana Ruiz", "flyer", None)
    assert list(rsvp.wordings) == [partner.id.hex]
    assert db.session.scalars(select(Consent)).all() == []


def test_a_strangers_answer_changes_nothing_of_a_person_who_is_there() -> None:
    event = make_event()
    person = make_person(
        event.campaign.organization_id and _organization(event),
        email="ana@example.org",
        first_name="Ana",
        last_name="Ruiz",
        postal_code="",
        phone="",
    )
    before = person.updated_at
    answer(event, postal_code="60637")
    (rsvp,) = rsvps()
    assert rsvp.person_id == person.id
    db.session.refresh(person)
    assert (person.postal_code, person.updated_at) == ("", before)
    services.confirm_rsvp(rsvp)
    db.session.refresh(person)
    assert person.postal_code == "60637", "now the owner of the address has spoken"


def _organization(event: Event) -> Any:
    from campaign.organizations.models import Organization

    return db.session.get_one(Organization, event.organization_id)


def test_confirming_puts_the_boxes_into_the_ledger_once() -> None:
    campaign = make_campaign()
    partner = make_partner(campaign).partner
    event = make_event(campaign)
    box = next(one for one in queries.boxes_of(event) if one.grantee_id == partner.id)
    answer(event, consents={partner.slug: mark_of(box.wording["en"])})
    (rsvp,) = rsvps()
    services.confirm_rsvp(rsvp)
    services.confirm_rsvp(rsvp)
    (line,) = db.session.scalars(select(Consent)).all()
    assert (line.grantee_id, line.source, line.source_detail) == (
        partner.id,
        "page",
        f"/e/{event.slug}",
    )
    assert line.wording is not None
    assert line.wording.text == box.wording["en"]


def test_words_that_nobody_knows_are_not_agreed_to() -> None:
    campaign = make_campaign()
    partner = make_partner(campaign).partner
    event = make_event(campaign)
    with pytest.raises(Invalid) as caught:
        answer(event, consents={partner.slug: "0123456789abcdef"})
    assert caught.value.field == f"consent-{partner.slug}"
    assert rsvps() == []


# --- answering again ---------------------------------------------------------------------------


def test_answering_twice_is_one_answer_and_the_mail_says_so() -> None:
    event = make_event(capacity=5)
    answer(event, guests=1)
    answer(event, status="declined", email="ANA+x@example.org")
    (rsvp,) = rsvps()
    assert (rsvp.state, rsvp.guests) == (RsvpState.ACCEPTED, 1)
    assert [one.subject.split(" for ")[0] for one in outbox()] == [
        "Your answer",
        "You have answered already",
    ]
    assert "nothing has changed: you are coming" in outbox()[-1].text
    assert db.session.scalars(select(RsvpRepeat)).all() == []


def test_a_second_neighbor_of_one_household_answers_too() -> None:
    event = make_event(capacity=5)
    answer(event)
    answer(event, first_name="Luis")
    assert [(one.first_name, one.slot) for one in rsvps()] == [("Ana", 1), ("Luis", 2)]
    assert occurrence_of(event).taken_count == 2
    answer(event, first_name="Third")
    answer(event, first_name="Else", postal_code="60601")
    assert len(rsvps()) == 2


def test_answering_again_after_a_no_begins_anew() -> None:
    event = make_event(capacity=5)
    answer(event)
    services.cancel_rsvp(rsvps()[0])
    answer(event, guests=2)
    (rsvp,) = rsvps()
    assert (rsvp.state, rsvp.guests, rsvp.cancelled_at) == (RsvpState.ACCEPTED, 2, None)
    assert occurrence_of(event).taken_count == 3


def test_three_e_mails_a_day_to_one_address_over_all_events() -> None:
    campaign = make_campaign()
    events = [make_event(campaign) for _ in range(3)]
    for event in events:
        answer(event)
        answer(event)
    assert len(outbox("ana@example.org")) == 3
    with time_machine.travel(clock.now() + timedelta(days=1)):
        answer(events[0])
    assert len(outbox("ana@example.org")) == 4
    assert len(db.session.scalars(select(RsvpMail)).all()) == 2


def test_a_held_repeat_brings_no_mail() -> None:
    event = make_event()
    answer(event)
    answer(event, signals=["honeypot"])
    assert len(outbox()) == 1


# --- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["past", "cancelled", "event cancelled", "draft"])
def test_no_answers_to_what_is_past_or_cancelled(what: str) -> None:
    event = make_event()
    date = occurrence_of(event)
    mine = make_rsvp(event, email="here@example.org")
    if what == "past":
        date.ends_at = clock.now() - timedelta(minutes=1)
    elif what == "cancelled":
        date.state = OccurrenceState.CANCELLED
    else:
        event.state = "cancelled" if "cancelled" in what else "draft"
    db.session.flush()
    with pytest.raises(Conflict):
        answer(event)
    with pytest.raises(Conflict):
        services.change_rsvp(mine, Change(status="declined"))
    assert len(rsvps()) == 1


def test_a_date_that_is_cancelled_behind_a_kept_sheet_takes_nothing() -> None:
    event = make_event()
    date = occurrence_of(event)
    sheet = queries.sheet_of(date)
    date.state = OccurrenceState.CANCELLED
    db.session.flush()
    with pytest.raises(Conflict):
        services.answer(sheet, RsvpDetails(**ANA))
    assert rsvps() == []
    assert outbox() == []


def test_four_hundred_guests_are_a_message_at_the_guests() -> None:
    event = make_event()
    with pytest.raises(Invalid) as caught:
        answer(event, guests=400)
    assert caught.value.field == "guests"
    assert "up to 5 guests" in str(caught.value.message)
    event.most_guests = 0
    with pytest.raises(Invalid) as caught:
        answer(event, guests=1)
    assert "without guests" in str(caught.value.message)


def test_what_an_event_does_not_ask_is_not_kept() -> None:
    event = make_event(needs_asked=["ride"])
    answer(
        event,
        needs=["ride", "wheelchair", "nonsense"],
        phone="312 555 0142",
        company="ask",
        company_wish="somebody calm",
    )
    (rsvp,) = rsvps()
    assert (rsvp.needs, rsvp.phone, rsvp.company, rsvp.company_wish) == (["ride"], "", "none", "")


# --- the console -------------------------------------------------------------------------------


def test_an_organizer_writes_an_answer_down() -> None:
    event = make_event(capacity=1)
    date = occurrence_of(event)
    by_phone = RsvpDetails(first_name="Rosa", channel="phone", phone="312 555 0142")
    rsvp = services.add_answer(date, by_phone)
    assert (rsvp.state, rsvp.email, rsvp.phone) == (RsvpState.ACCEPTED, None, "312 555 0142")
    assert db.session.get_one(Person, rsvp.person_id).first_name == "Rosa"
    other = services.add_answer(date, RsvpDetails(**ANA))
    assert other.state == RsvpState.WAITING
    assert "in line" in outbox("ana@example.org")[0].text
    with pytest.raises(Invalid) as caught:
        services.add_answer(date, RsvpDetails(**ANA))
    assert caught.value.field == "email"
    household = services.add_answer(date, RsvpDetails(**(ANA | {"first_name": "Luis"})))
    assert household.slot == 2
    actions = db.session.scalars(select(AuditEntry.action)).all()
    assert list(actions).count("rsvp.added") == 3
    services.cancel_rsvp(rsvp)
    assert other.state == RsvpState.ACCEPTED


def test_an_answer_can_be_written_down_after_the_date() -> None:
    event = make_event(starts_in_days=-3)
    rsvp = services.add_answer(occurrence_of(event), RsvpDetails(**ANA))
    assert rsvp.state == RsvpState.ACCEPTED
    assert outbox() == []


# --- by the clock ------------------------------------------------------------------------------


def test_internet_addresses_are_cut_and_go_with_the_date() -> None:
    event, past = make_event(starts_in_days=60), make_event(starts_in_days=-2)
    long_ago = clock.now() - timedelta(days=31)
    old = make_rsvp(event, ip="203.0.113.9", created_at=long_ago)
    new = make_rsvp(event, ip="203.0.113.9")
    over = make_rsvp(past, ip="2001:db8::1")
    tasks.tend_answers()
    db.session.expire_all()
    assert (old.ip, new.ip, over.ip) == ("203.0.113.0/24", "203.0.113.9", "")


def test_a_held_answer_that_nobody_looked_at_goes() -> None:
    event = make_event(starts_in_days=200, capacity=1)
    held = make_rsvp(event, review_reason="honeypot", created_at=clock.now() - timedelta(days=91))
    settling.let_go()
    db.session.expire_all()
    assert (held.email, held.first_name, held.state) == (None, "", RsvpState.CANCELLED)
    assert occurrence_of(event).taken_count == 0


def test_settling_many_takes_each_once() -> None:
    event = make_event()
    for number in range(5):
        make_rsvp(event, first_name=f"N{number}")
    make_shift(event)
    assert settling.settle_rsvps() == 5
    assert settling.settle_rsvps() == 0
    assert len(db.session.scalars(select(Person)).all()) == 5


# --- erasing -----------------------------------------------------------------------------------


def test_erasing_keeps_the_numbers_of_what_is_over() -> None:
    past, coming = make_event(starts_in_days=-2), make_event(starts_in_days=2)
    one = make_rsvp(past, email="ana@example.org", guests=2, needs=["ride"], needs_note="x")
    two = make_rsvp(coming, email="ana@example.org", guests=2)
    assert services.erase_rsvps(address_hash=one.address_hash) == 2
    db.session.expire_all()
    assert (one.state, one.guests, one.first_name, one.needs) == (RsvpState.ACCEPTED, 2, "", [])
    assert (two.state, two.address_hash) == (RsvpState.CANCELLED, None)
    assert (occurrence_of(past).taken_count, occurrence_of(coming).taken_count) == (3, 0)
    assert services.erase_rsvps() == 0
