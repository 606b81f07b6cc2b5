"""Rounds: who enters, who moves, what is sent, and that nothing of it happens twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db
from campaign.events.models import OccurrenceState, RsvpState
from campaign.ladders import delivery, queries, services
from campaign.ladders.models import (
    FollowUp,
    LadderRun,
    LadderState,
    RunState,
    StepKind,
    Trigger,
)
from campaign.ladders.rules import Details, Otherwise, Side, Unit
from campaign.lists import rules as grammar
from campaign.lists import services as lists
from campaign.lists.queries import lists_with
from campaign.mail import services as mail
from campaign.mail.models import Delivery, MailboxMessage, Scope
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Person
from campaign.people.queries import tags_of
from campaign.petitions.models import Petition, SignatureState
from tests.factories.campaigns import make_campaign
from tests.factories.checkin import make_sign_in
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.ladders import (
    STOP,
    beat,
    follow_up,
    make_ladder,
    make_run,
    runs_in,
    send,
    wait,
)
from tests.factories.lists import make_list, make_segment
from tests.factories.mailings import deliver, make_reader
from tests.factories.organizations import make_organization
from tests.factories.outbox import outbox
from tests.factories.petitions import make_petition, make_signature

Travel = Any


@pytest.fixture
def travel() -> Iterator[Travel]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(clock.now(), tick=False) as machine:
        yield machine


@pytest.fixture
def organization(app: Flask, travel: Travel) -> Organization:
    return make_organization(name="STOP")


@pytest.fixture
def petition(organization: Organization) -> Petition:
    return make_petition(make_campaign(organization))


@pytest.fixture
def later(travel: Travel) -> Callable[..., None]:
    """Move the clock, and let a round run."""

    def move(**time: float) -> None:
        db.session.commit()
        travel.shift(timedelta(**time))
        beat()

    return move


def sign(petition: Petition, person: Person | None = None, **values: Any) -> Person:
    """Somebody signs, confirms, and agreed to e-mail."""
    person = person or make_reader(petition_owner(petition), **values)
    make_signature(petition, person=person)
    db.session.commit()
    return person


def petition_owner(petition: Petition) -> Organization:
    return db.session.get_one(Organization, petition.organization_id)


def addresses(kind: str = "ladder") -> list[str]:
    return [letter.to for letter in outbox(kind=kind)]


class TestEntering:
    def test_only_what_happens_after_it_was_switched_on_counts(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        sign(petition)
        later(minutes=1)
        ladder = make_ladder(organization, wait())
        later(minutes=1)
        assert runs_in(ladder) == []
        new = sign(petition)
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [new.id]
        later(minutes=1)
        assert len(runs_in(ladder)) == 1

    def test_an_unconfirmed_signature_is_nobody(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait())
        later(minutes=1)
        make_signature(petition, SignatureState.PENDING)
        later(minutes=1)
        assert runs_in(ladder) == []

    def test_a_row_that_is_committed_late_is_still_seen(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait())
        later(minutes=20)
        person = make_reader(organization)
        make_signature(petition, person=person, confirmed_at=clock.now() - timedelta(minutes=5))
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [person.id]

    def test_another_organizations_signatures_are_not_ours(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait())
        sign(make_petition(make_campaign(make_organization())))
        later(minutes=1)
        assert runs_in(ladder) == []

    def test_one_petition_or_any(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        other = make_petition(make_campaign(organization))
        one = make_ladder(organization, wait(), trigger_id=petition.id)
        any_ = make_ladder(organization, wait())
        later(minutes=1)
        sign(petition)
        sign(other)
        later(minutes=1)
        assert (len(runs_in(one)), len(runs_in(any_))) == (1, 2)

    def test_never_twice_through(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, send())
        later(minutes=1)
        person = sign(petition)
        later(minutes=1)
        later(days=3)
        sign(make_petition(make_campaign(organization)), person)
        later(minutes=1)
        assert len(runs_in(ladder)) == 1
        assert addresses() == [person.email]

    def test_twice_where_it_is_allowed_but_not_while_inside_nor_on_one_day(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(2), may_repeat=True)
        person = make_reader(organization)

        def again() -> int:
            sign(make_petition(make_campaign(organization)), person)
            later(minutes=1)
            return len(runs_in(ladder))

        later(minutes=1)
        assert again() == 1
        later(days=1)
        assert again() == 1, "still inside"
        later(days=1)
        later(minutes=20)
        assert [run.state for run in runs_in(ladder)] == [RunState.DONE]
        assert again() == 2
        assert [run.turn for run in runs_in(ladder)] == [1, 2]

    def test_pieces(self, petition: Petition, organization: Organization, travel: Travel) -> None:
        ladder = make_ladder(organization, wait())
        travel.shift(60)
        everybody = {sign(petition).id for _ in range(7)}
        travel.shift(60)
        assert delivery.let_in(ladder.id, limit=3)
        db.session.commit()
        assert len(runs_in(ladder)) == 3
        delivery.let_in(ladder.id, limit=3)
        db.session.rollback()  # killed between the piece and its commit
        while delivery.let_in(ladder.id, limit=3):
            db.session.commit()
        db.session.commit()
        assert {run.person_id for run in runs_in(ladder)} == everybody
        assert len(runs_in(ladder)) == ladder.entered_count == 7


class TestTriggers:
    """Each brings in who did it, once, and nobody else."""

    @pytest.fixture
    def event(self, organization: Organization) -> Any:
        return make_event(make_campaign(organization), starts_in_days=2)

    def test_coming(
        self, event: Any, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(), trigger=Trigger.COMING, trigger_id=event.id)
        later(minutes=1)
        coming = make_reader(organization)
        for person, state in (
            (coming, RsvpState.ACCEPTED),
            (make_reader(organization), RsvpState.DECLINED),
        ):
            make_rsvp(event, person_id=person.id, state=state, settled_at=clock.now())
        later(minutes=1)
        (run,) = runs_in(ladder)
        assert (run.person_id, run.occurrence_id) == (coming.id, occurrence_of(event).id)

    def test_a_no_that_becomes_a_yes(
        self, event: Any, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(), trigger=Trigger.COMING)
        later(minutes=1)
        person = make_reader(organization)
        rsvp = make_rsvp(
            event, person_id=person.id, state=RsvpState.DECLINED, settled_at=clock.now()
        )
        later(hours=8)
        assert runs_in(ladder) == []
        rsvp.state = RsvpState.ACCEPTED
        db.session.commit()
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [person.id]
        rsvp.needs_note = "A ride"
        db.session.commit()
        later(minutes=1)
        assert len(runs_in(ladder)) == 1

    def test_attended(
        self, event: Any, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(), trigger=Trigger.ATTENDED)
        later(minutes=1)
        came = make_reader(organization)
        make_sign_in(event, person_id=came.id, settled_at=clock.now())
        make_sign_in(
            event,
            person_id=make_reader(organization).id,
            settled_at=clock.now(),
            undone_at=clock.now(),
        )
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [came.id]

    def test_missed_a_day_after_where_there_was_a_list(
        self,
        event: Any,
        organization: Organization,
        travel: Travel,
        later: Callable[..., None],
    ) -> None:
        ladder = make_ladder(organization, wait(), trigger=Trigger.MISSED, trigger_id=event.id)
        later(minutes=1)
        missed, came = make_reader(organization), make_reader(organization)
        for person in (missed, came):
            rsvp = make_rsvp(event, person_id=person.id, settled_at=clock.now())
        make_sign_in(event, rsvp)
        travel.move_to(occurrence_of(event).ends_at + timedelta(hours=23))
        later(minutes=1)
        assert runs_in(ladder) == [], "sheets of paper may still be typed in"
        later(days=1)
        assert [run.person_id for run in runs_in(ladder)] == [missed.id]

    def test_tagged_and_tagged_again(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        tag = people.tag_named(organization.id, "driver")
        old, new = make_reader(organization), make_reader(organization)
        people.add_tag_to(tag, [old.id])
        later(minutes=1)
        ladder = make_ladder(organization, wait(), trigger=Trigger.TAGGED, trigger_id=tag.id)
        later(minutes=1)
        people.add_tag_to(tag, [new.id])
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [new.id]

    def test_listed(self, organization: Organization, later: Callable[..., None]) -> None:
        list_ = make_list(organization, [make_reader(organization)])
        later(minutes=1)
        ladder = make_ladder(organization, wait(), trigger=Trigger.LISTED, trigger_id=list_.id)
        new = make_reader(organization)
        later(minutes=1)
        lists.add_to_list(list_, [new.id])
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [new.id]

    def test_consent_to_us_and_to_nobody_else(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        make_reader(organization)
        later(minutes=1)
        ladder = make_ladder(organization, wait(), trigger=Trigger.CONSENTED)
        later(minutes=1)
        agreed = make_reader(organization)
        other = make_reader(organization, consents=False)
        people.grant_consent(other, grantee_id=make_organization().id, source="page")
        later(minutes=1)
        assert [run.person_id for run in runs_in(ladder)] == [agreed.id]


class TestSending:
    def test_journey_from_a_signature_to_the_second_email(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        tag = people.tag_named(organization.id, "signer")
        ladder = make_ladder(
            organization,
            send("Thank you"),
            (StepKind.TAG, Details(tag_id=tag.id)),
            wait(1),
            send("Come along", subject_es="Venga", body_es="Hola {{ first_name|vecina }},"),
        )
        later(minutes=1)
        person = sign(petition, first_name="Rosa", language="es")
        later(minutes=1)
        assert [letter.subject for letter in outbox(kind="ladder")] == ["Thank you"]
        assert [one.name for one in tags_of(person.id)] == ["signer"]
        later(hours=23)
        assert len(outbox(kind="ladder")) == 1
        later(hours=2)
        later(hours=2)
        deliver()
        sent = list(
            db.session.scalars(
                select(MailboxMessage)
                .where(MailboxMessage.address == person.email)
                .order_by(MailboxMessage.id)
            )
        )
        assert [one.content.subject for one in sent] == ["Thank you", "Venga"]
        for one in sent:
            assert one.headers["List-Unsubscribe"].startswith("<http")
            assert one.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert "Main St" in one.content.text, "the postal address is below it"
        (run,) = runs_in(ladder)
        assert run.state == RunState.DONE
        assert [step.done_count for step in queries.steps_of(ladder.id)] == [1, 1, 1, 1]

    def test_nobody_without_consent_is_written_and_all_go_on(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, send(), follow_up())
        later(minutes=1)
        fine = sign(petition)
        sign(petition, make_reader(organization, consents=False))
        stopped = sign(petition)
        mail.suppress(
            str(stopped.address_hash),
            scope=Scope.ORGANIZATION,
            scope_id=organization.id,
            reason="unsubscribed",
        )
        later(minutes=1)
        assert addresses() == [fine.email]
        step = queries.steps_of(ladder.id)[0]
        assert step.done_count == 1
        assert step.passed_over == {"no_consent": 1, "unsubscribed": 1}
        assert db.session.scalar(select(func.count()).select_from(FollowUp)) == 3

    def test_a_step_moved_behind_somebody_writes_to_them_once(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, send("Once"), wait(1))
        later(minutes=1)
        sign(petition)
        later(minutes=1)
        first = queries.steps_of(ladder.id)[0]
        services.move_step(ladder, first, is_up=False)
        later(days=1, hours=1)
        assert [letter.subject for letter in outbox(kind="ladder")] == ["Once"]
        assert first.passed_over == {"already": 1}

    def test_killed_between_pieces_nobody_is_written_twice(
        self, petition: Petition, organization: Organization, travel: Travel
    ) -> None:
        ladder = make_ladder(organization, send())
        travel.shift(60)
        for _ in range(5):
            sign(petition)
        travel.shift(60)
        delivery.let_in(ladder.id)
        db.session.commit()
        delivery.move_on(ladder.id, limit=2)
        db.session.commit()
        delivery.move_on(ladder.id, limit=2)
        db.session.rollback()
        while delivery.move_on(ladder.id, limit=2):
            db.session.commit()
        assert len(addresses()) == len(set(addresses())) == 5

    def test_at_night_all_wait_for_the_morning(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        zone = clock.zone(organization.time_zone)
        local = clock.now().astimezone(zone)
        organization.quiet_from = (local - timedelta(hours=1)).strftime("%H:%M")
        organization.quiet_until = (local + timedelta(hours=3)).strftime("%H:%M")
        ladder = make_ladder(organization, send())
        later(minutes=1)
        sign(petition)
        later(minutes=1)
        assert addresses() == []
        (run,) = runs_in(ladder)
        assert run.due_at is not None
        assert run.due_at.astimezone(zone).strftime("%H:%M") == organization.quiet_until
        later(hours=3)
        assert len(addresses()) == 1

    def test_whoever_got_enough_this_week_goes_on_unwritten(
        self,
        petition: Petition,
        organization: Organization,
        later: Callable[..., None],
        with_settings: Callable[..., Any],
    ) -> None:
        with_settings(mail_weekly_cap=2)
        ladder = make_ladder(organization, send("One"), send("Two"), send("Three"))
        later(minutes=1)
        sign(petition)
        later(minutes=1)
        assert len(addresses()) == 2
        assert queries.steps_of(ladder.id)[2].passed_over == {"enough": 1}

    def test_without_a_postal_address_all_wait(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        make_ladder(organization, send())
        later(minutes=1)
        sign(petition)
        address, organization.postal_address = organization.postal_address, ""
        later(minutes=1)
        assert addresses() == []
        organization.postal_address = address
        later(hours=1)
        assert len(addresses()) == 1


class TestSteps:
    def test_if_stops_or_skips(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        drivers = people.tag_named(organization.id, "driver")
        segment = make_segment(organization, grammar.Tagged(tag_id=drivers.id))
        stops = make_ladder(
            organization,
            (StepKind.IF, Details(segment_id=segment.id)),
            wait(),
        )
        skips = make_ladder(
            organization,
            (StepKind.IF, Details(segment_id=segment.id, otherwise=Otherwise.SKIP)),
            STOP,
            wait(),
        )
        later(minutes=1)
        driver, other = sign(petition), sign(petition)
        people.add_tag_to(drivers, [driver.id])
        later(minutes=1)
        states = {run.person_id: (run.state, run.reason) for run in runs_in(stops)}
        assert states[driver.id] == (RunState.RUNNING, "")
        assert states[other.id] == (RunState.STOPPED, "not_in_segment")
        states = {run.person_id: (run.state, run.reason) for run in runs_in(skips)}
        assert states[driver.id] == (RunState.STOPPED, "stop")
        assert states[other.id] == (RunState.RUNNING, "")

    def test_a_segment_that_is_gone_holds_everybody(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        segment = make_segment(organization)
        ladder = make_ladder(organization, (StepKind.IF, Details(segment_id=segment.id)))
        later(minutes=1)
        sign(petition)
        lists.delete_segment(segment)
        later(minutes=1)
        assert [run.state for run in runs_in(ladder)] == [RunState.RUNNING]
        lists.restore(segment)
        later(hours=1)
        assert [run.state for run in runs_in(ladder)] == [RunState.DONE]

    def test_lists_and_follow_ups(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        to, away = make_list(organization), make_list(organization)
        make_ladder(
            organization,
            (StepKind.LIST_ADD, Details(list_id=to.id)),
            (StepKind.LIST_REMOVE, Details(list_id=away.id)),
            (StepKind.FOLLOW_UP, Details(text="Call.", amount=2)),
        )
        later(minutes=1)
        person = sign(petition)
        lists.add_to_list(away, [person.id])
        later(minutes=1)
        assert [one.id for one in lists_with(person.id)] == [to.id]
        assert queries.count_open_follow_ups(organization.id, clock.now()) == 0
        later(days=2)
        ((task, who),) = queries.open_follow_ups(organization.id, clock.now())
        assert (task.text, who.id) == ("Call.", person.id)

    def test_waiting_for_an_event_that_moves(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        event = make_event(make_campaign(organization), starts_in_days=5)
        date = occurrence_of(event)
        ladder = make_ladder(
            organization,
            (StepKind.WAIT_EVENT, Details(amount=3, unit=Unit.HOURS, side=Side.BEFORE)),
            STOP,
            trigger=Trigger.COMING,
        )
        later(minutes=1)
        make_rsvp(event, person_id=make_reader(organization).id, settled_at=clock.now())
        later(minutes=1)
        (run,) = runs_in(ladder)
        assert run.due_at == date.starts_at - timedelta(hours=3)
        date.starts_at = clock.now() + timedelta(hours=5)
        later(hours=1)
        (run,) = runs_in(ladder)
        assert run.due_at == date.starts_at - timedelta(hours=3)
        later(hours=1, minutes=5)
        assert [run.reason for run in runs_in(ladder)] == ["stop"]

    def test_an_answer_that_was_taken_back_ends_the_way(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        event = make_event(make_campaign(organization), starts_in_days=5)
        ladder = make_ladder(
            organization,
            (StepKind.WAIT_EVENT, Details(amount=1)),
            send("See you tomorrow"),
            trigger=Trigger.COMING,
        )
        later(minutes=1)
        stays, goes = (
            make_rsvp(event, person_id=make_reader(organization).id, settled_at=clock.now())
            for _ in range(2)
        )
        later(minutes=1)
        goes.state = RsvpState.CANCELLED
        later(days=5)
        reasons = {run.person_id: run.reason for run in runs_in(ladder)}
        assert reasons == {stays.person_id: "", goes.person_id: "not_coming"}
        assert len(addresses()) == 1

    def test_without_an_event_all_wait_until_one_is_chosen(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        event = make_event(make_campaign(organization), starts_in_days=9)
        ladder = make_ladder(
            organization, (StepKind.WAIT_EVENT, Details(amount=1)), trigger=Trigger.COMING
        )
        run = make_run(ladder, make_reader(organization))
        later(minutes=1)
        assert (run.state, run.due_at) == (RunState.RUNNING, None)
        step = queries.steps_of(ladder.id)[0]
        services.edit_step(ladder, step, Details(amount=1, event_id=event.id))
        later(minutes=1)
        assert run.due_at is not None
        assert occurrence_of(event).starts_at - run.due_at >= timedelta(hours=23)

    def test_an_event_that_is_off_ends_the_way_and_a_past_one_does_not_hold(
        self, organization: Organization, later: Callable[..., None]
    ) -> None:
        event = make_event(make_campaign(organization), starts_in_days=1)
        ladder = make_ladder(
            organization, (StepKind.WAIT_EVENT, Details(amount=2)), wait(), trigger=Trigger.COMING
        )
        later(minutes=1)
        make_rsvp(event, person_id=make_reader(organization).id, settled_at=clock.now())
        later(minutes=1)
        steps = queries.steps_of(ladder.id)
        assert [run.step_id for run in runs_in(ladder)] == [steps[1].id]
        off = make_event(make_campaign(organization), starts_in_days=9)
        make_rsvp(off, person_id=make_reader(organization).id, settled_at=clock.now())
        occurrence_of(off).state = OccurrenceState.CANCELLED
        later(minutes=1)
        assert "event_off" in {run.reason for run in runs_in(ladder)}


class TestStates:
    def test_paused_all_keep_their_place_and_off_lets_them_end(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(1), send())
        user_id = make_reader(organization).id
        later(minutes=1)
        sign(petition)
        later(minutes=1)
        services.pause(ladder, user_id=user_id)
        meanwhile = sign(petition)
        later(days=2)
        assert len(runs_in(ladder)) == 1
        assert addresses() == []
        services.resume(ladder, user_id=user_id)
        later(minutes=1)
        assert len(addresses()) == 1
        assert meanwhile.id in {run.person_id for run in runs_in(ladder)}
        services.switch_off(ladder, stops_inside=False, user_id=user_id)
        sign(petition)
        later(days=1, minutes=1)
        assert [run.state for run in runs_in(ladder)] == [RunState.DONE] * 2
        assert len(addresses()) == 2

    def test_stopping_those_inside(
        self, petition: Petition, organization: Organization, later: Callable[..., None]
    ) -> None:
        ladder = make_ladder(organization, wait(1), send())
        later(minutes=1)
        sign(petition)
        later(minutes=1)
        count = services.switch_off(ladder, stops_inside=True, user_id=organization.id)
        assert (count, ladder.state) == (1, LadderState.OFF)
        later(days=2)
        assert addresses() == []
        assert [run.reason for run in runs_in(ladder)] == ["switched_off"]
        assert ladder.stopped_count == queries.steps_of(ladder.id)[0].left_count == 1


class TestEditing:
    """People inside keep their place when it changes."""

    @pytest.fixture
    def inside(self, organization: Organization) -> Any:
        ladder = make_ladder(organization, wait(1), wait(2), wait(3))
        run = make_run(ladder, make_reader(organization), queries.steps_of(ladder.id)[1])
        db.session.commit()
        beat()
        return ladder, run

    def place(self, ladder: Any, run: LadderRun) -> int | None:
        db.session.expire_all()
        ids = [step.id for step in queries.steps_of(ladder.id)]
        return ids.index(run.step_id) if run.step_id else None

    def test_inserting_moving_and_deleting_others(self, inside: Any) -> None:
        ladder, run = inside
        here = run.step_id
        first, second, _third = queries.steps_of(ladder.id)
        services.add_step(ladder, *STOP, before=first.id)
        services.add_step(ladder, *STOP, before=second.id)
        assert self.place(ladder, run) == 3
        services.move_step(ladder, second, is_up=True)
        assert self.place(ladder, run) == 2
        services.delete_step(ladder, first)
        assert self.place(ladder, run) == 1
        assert run.step_id == here
        assert [step.position for step in queries.steps_of(ladder.id)] == [0, 1, 2, 3]

    def test_a_deleted_step_moves_its_people_on(self, inside: Any) -> None:
        ladder, run = inside
        _first, second, third = queries.steps_of(ladder.id)
        services.delete_step(ladder, second)
        db.session.commit()
        assert run.step_id == third.id
        services.restore_step(ladder, second)
        assert [step.id for step in queries.steps_of(ladder.id)][1] == second.id
        assert run.step_id == third.id, "they do not come back"
        services.delete_step(ladder, third)
        db.session.commit()
        assert (run.state, run.step_id) == (RunState.DONE, None)

    def test_a_shorter_wait_counts_from_where_it_began(
        self, inside: Any, later: Callable[..., None]
    ) -> None:
        ladder, run = inside
        _first, second, third = queries.steps_of(ladder.id)
        later(days=1, hours=1)
        assert run.step_id == second.id
        services.edit_step(ladder, second, Details(amount=1))
        later(minutes=1)
        assert run.step_id == third.id


def test_everything_sent_is_a_delivery_of_its_person(
    organization: Organization, petition: Petition, later: Callable[..., None]
) -> None:
    make_ladder(organization, send())
    later(minutes=1)
    person = sign(petition)
    later(minutes=1)
    assert db.session.scalars(select(Delivery.person_id)).all() == [person.id]
