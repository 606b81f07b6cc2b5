"""Which version the rest gets: decided once, at its time, and told plainly."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, update

from campaign import clock
from campaign.accounts.models import User
from campaign.app import create_app
from campaign.db import Model, db
from campaign.errors import Conflict
from campaign.mail import delivery as mail_delivery
from campaign.mail.models import Chunk, Delivery, DeliveryState
from campaign.mail.outbox import split
from campaign.mailings import deciding, delivery, queries, services, standing, tasks, variants
from campaign.mailings.models import (
    ContestState,
    Message,
    MessageState,
    VariantState,
    Verdict,
)
from campaign.mailings.views import plans
from campaign.organizations.models import Organization, Role
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.contests import answer, click, groups, make_contest, people_in, variant
from tests.factories.mailings import beat, deliver, freeze, make_readers, to_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.outbox import outbox

HOUR = timedelta(hours=1)


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def sender(organization: Organization) -> User:
    return make_member(organization, Role.ORGANIZER)


def out(
    organization: Organization, user: User | None = None, readers: int = 40, **plan: object
) -> Message:
    """A message whose test is out: ten read A, ten read B, twenty wait."""
    subjects = plan.pop("subjects", ("", "Doors open on Monday"))
    message = make_contest(
        organization,
        to_list(make_readers(organization, readers)),
        subjects=subjects,  # type: ignore[arg-type]
        **plan,
    )
    services.send_message(message, user_id=user.id if user else None)
    db.session.commit()
    freeze(message)
    deliver()
    return message


def later(message: Message, passed: timedelta) -> None:
    """Everything that the beat and workers do by then."""
    today = clock.now()
    with time_machine.travel(today + passed, tick=False):
        beat()
        freeze(message)
        due_by(message, today)
        deliver()
        beat()


def due_by(message: Message, today: datetime) -> None:
    """The database has a clock of its own, which no test moves: the rest is due by it, too."""
    db.session.execute(
        update(Chunk).where(Chunk.batch_id == message.batch_id).values(next_attempt_at=today)
    )
    db.session.commit()


def told() -> list[str]:
    """The subjects of what the team was told; the address of what has left is gone."""
    return [one.subject for one in outbox(kind="mailing-trouble")]


def contest_of(message: Message) -> tuple[str, str, str]:
    db.session.expire_all()
    contest = message.contest
    assert contest is not None
    return contest.state, contest.verdict, contest.winner.letter if contest.winner else ""


# --- by itself -----------------------------------------------------------------------------------


def test_nothing_is_decided_before_its_time_and_all_is_after(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    click(message, "b", 30)
    later(message, 4 * HOUR - timedelta(minutes=1))
    assert contest_of(message) == (ContestState.TESTING, "", "")
    assert message.state == MessageState.SENDING
    assert len(outbox(kind="mailing")) == 20
    later(message, 4 * HOUR + timedelta(minutes=1))
    assert contest_of(message) == (ContestState.OVER, Verdict.CLEAR, "b")
    assert message.state == MessageState.SENT
    subjects = [one.subject for one in outbox(kind="mailing")]
    assert subjects.count("Doors open on Monday") == 30
    assert variant(message, "b").state == VariantState.WON
    assert variant(message, "a").state == VariantState.LOST
    assert told() == ["Your test is decided"]
    later(message, 9 * HOUR)
    assert told() == ["Your test is decided"]
    assert len(outbox(kind="mailing")) == 40


def test_too_little_between_them_is_said_and_the_first_goes(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    click(message, "a", 5)
    click(message, "b", 6)
    later(message, 5 * HOUR)
    assert contest_of(message) == (ContestState.OVER, Verdict.CLOSE, "a")
    letter = outbox(kind="mailing-trouble")[0]
    assert "too little between the versions to tell them apart" in letter.text
    assert "version A" in letter.text


def test_what_it_was_decided_by_is_kept(organization: Organization) -> None:
    message = out(organization)
    click(message, "b", 30)
    later(message, 5 * HOUR)
    click(message, "a", 500)  # afterwards everybody follows the other
    assert message.contest is not None
    kept = {one.letter: one for one in standing.as_decided(message.contest)}
    assert (kept["a"].clicks, kept["b"].clicks) == (0, 30)
    assert (kept["a"].reached, kept["b"].reached) == (10, 10)
    now = {one.letter: one.clicks for one in standing.figures(message)}
    assert now == {"a": 500, "b": 30}


def test_a_paused_test_waits_and_so_does_its_clock(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    click(message, "b", 30)
    start = clock.now()
    with time_machine.travel(start + HOUR, tick=False):
        services.pause_message(message, user_id=sender.id)
        db.session.commit()
    with time_machine.travel(start + 5 * HOUR, tick=False):
        beat()
        assert contest_of(message) == (ContestState.TESTING, "", "")
        assert message.state == MessageState.PAUSED
        services.resume_message(message, user_id=sender.id)
        db.session.commit()
        beat()
        assert contest_of(message)[0] == ContestState.TESTING
    later(message, 7 * HOUR + timedelta(minutes=50))
    assert contest_of(message)[0] == ContestState.TESTING
    later(message, 8 * HOUR + timedelta(minutes=10))
    assert contest_of(message) == (ContestState.OVER, Verdict.CLEAR, "b")


def test_letters_of_the_test_that_have_not_left_are_waited_for(organization: Organization) -> None:
    message = out(organization)
    click(message, "b", 30)
    chunk = db.session.scalars(
        select(Chunk).where(Chunk.batch_id == variant(message, "a").batch_id)
    ).first()
    assert chunk is not None
    chunk.state, chunk.next_attempt_at = DeliveryState.QUEUED, clock.now() + 9 * HOUR
    db.session.commit()
    later(message, 5 * HOUR)
    assert contest_of(message)[0] == ContestState.TESTING


def test_the_rest_is_not_written_to_at_night(organization: Organization) -> None:
    organization.quiet_from, organization.quiet_until = "21:00", "08:00"
    db.session.commit()
    evening = datetime.fromisoformat("2026-06-10T19:00:00-05:00")
    morning = datetime.fromisoformat("2026-06-11T08:00:00-05:00")
    with time_machine.travel(evening, tick=False):
        message = out(organization)
        click(message, "b", 30)
    with time_machine.travel(evening + 5 * HOUR, tick=False):
        beat()
        freeze(message)
        assert contest_of(message) == (ContestState.DECIDED, Verdict.CLEAR, "b")
        assert message.contest is not None
        assert message.contest.rest_at == morning
        assert message.batch_id is None
        assert message.state == MessageState.SENDING
    with time_machine.travel(morning, tick=False):
        beat()
        freeze(message)
        deliver()
        beat()
        assert contest_of(message)[0] == ContestState.OVER
        assert len(people_in(message.batch_id)) == 20


def test_a_test_at_a_pace_is_decided_hours_after_its_last_turn(organization: Organization) -> None:
    message = make_contest(organization, to_list(make_readers(organization, 40)))
    services.set_pace(message, 600, ignores_quiet=False, included=40)
    with time_machine.travel(datetime.fromisoformat("2026-06-10T12:00:00-05:00"), tick=False):
        start = clock.now()
        services.send_message(message)
        db.session.commit()
        freeze(message)
    assert message.contest is not None
    due = {
        row.letter: sorted(
            moment - start
            for moment in db.session.scalars(
                select(Chunk.next_attempt_at).where(Chunk.batch_id == row.batch_id)
            )
        )
        for row in message.contest.variants
    }
    # Ten a minute, five of each side by side.
    assert due["a"] == due["b"] == [timedelta(), timedelta(minutes=1)]
    assert message.contest.decide_at == start + timedelta(minutes=1, seconds=54) + 4 * HOUR


# --- by hand -------------------------------------------------------------------------------------


def test_who_wants_to_decide_is_asked_once_and_nothing_goes_before(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender, is_automatic=False)
    click(message, "b", 30)
    later(message, 5 * HOUR)
    later(message, 9 * HOUR)
    assert contest_of(message)[0] == ContestState.TESTING
    assert told() == ["Your test has run: please choose"]
    assert len(outbox(kind="mailing")) == 20
    variants.choose_winner(message, "a", user_id=sender.id)
    db.session.commit()
    later(message, 9 * HOUR)
    assert contest_of(message) == (ContestState.OVER, Verdict.CHOSEN, "a")
    assert len(people_in(message.batch_id)) == 20


def test_it_is_decided_once(organization: Organization, sender: User) -> None:
    message = out(organization, sender)
    variants.choose_winner(message, "a", user_id=sender.id)
    with pytest.raises(Conflict):
        variants.choose_winner(message, "b", user_id=sender.id)


def test_stopped_before_it_is_decided_the_rest_gets_nothing_and_the_report_says_so(
    app: Flask, organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    services.stop_message(message, user_id=sender.id)
    db.session.commit()
    later(message, 9 * HOUR)
    assert contest_of(message)[0] == ContestState.STOPPED
    assert message.state == MessageState.STOPPED
    assert len(outbox(kind="mailing")) == 20
    assert queries.not_sent_reasons(message) == {"stopped": 20}
    with app.test_request_context():
        shown = plans.standing_of(message)
    assert shown is not None
    assert {line.label for line in shown.lines} == {"Stopped"}


def test_stopped_while_the_rest_is_frozen_nobody_more_gets_it(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    variants.choose_winner(message, "b", user_id=sender.id)
    db.session.commit()
    for _ in range(3):
        delivery.build_outbox(message.id, limit=3)
        db.session.commit()
    assert people_in(message.batch_id)
    services.stop_message(message, user_id=sender.id)
    db.session.commit()
    freeze(message)
    deliver()
    assert queries.progress(message).of("accepted") == 20
    assert message.state == MessageState.STOPPED


# --- harm ----------------------------------------------------------------------------------------


def test_a_version_that_many_call_spam_stops_and_the_others_go_on(
    organization: Organization, sender: User
) -> None:
    message = make_contest(
        organization,
        to_list(make_readers(organization, 60)),
        subjects=("", "B", "C"),
    )
    services.send_message(message, user_id=sender.id)
    db.session.commit()
    freeze(message)
    with_one_left(message, "b")
    answer(variant(message, "b").batch_id, 2)
    beat()
    beat()
    assert [variant(message, letter).state for letter in "abc"] == [
        VariantState.RUNNING,
        VariantState.STOPPED,
        VariantState.RUNNING,
    ]
    assert message.state == MessageState.SENDING
    assert told() == ["A version of your mailing was stopped"]
    deliver()
    left = waiting(variant(message, "b").batch_id)
    assert left  # those who have not got it do not get it now
    click(message, "b", 500)
    click(message, "c", 40)
    later(message, 5 * HOUR)
    assert contest_of(message) == (ContestState.OVER, Verdict.CLEAR, "c")
    rest = people_in(message.batch_id)
    assert left <= rest  # they get the winner
    assert len(rest) == 30 + len(left)
    sent = [one.to for one in outbox(kind="mailing") if one.to]
    assert len(sent) == len(set(sent))
    state = queries.progress(message)
    assert state.total == message.recipient_count == 60
    assert sum(state.counts.values()) == 60
    assert queries.not_sent_reasons(message) == {}
    assert message.state == MessageState.SENT


def with_one_left(message: Message, letter: str) -> None:
    """One chunk of the version has left, the rest of it waits."""
    batch_id = variant(message, letter).batch_id
    chunk = db.session.scalars(select(Chunk).where(Chunk.batch_id == batch_id)).one()
    ids = list(db.session.scalars(select(Delivery.id).where(Delivery.chunk_id == chunk.id)))
    split(chunk.id, ids[:4], state=DeliveryState.QUEUED, failures=0)
    db.session.commit()
    chunk.state = DeliveryState.ACCEPTED
    db.session.commit()


def waiting(batch_id: object) -> set[object]:
    return set(
        db.session.scalars(
            select(Delivery.person_id)
            .join(Chunk, Chunk.id == Delivery.chunk_id)
            .where(
                Delivery.batch_id == batch_id,
                Delivery.state.is_(None),
                Chunk.state == DeliveryState.QUEUED,
            )
        )
    )


def test_a_version_of_which_much_comes_back_stops(organization: Organization) -> None:
    message = out(organization)
    answer(variant(message, "a").batch_id, 5, DeliveryState.BOUNCED)
    beat()
    assert variant(message, "a").stopped_for == deciding.RETURNS
    later(message, 5 * HOUR)
    assert contest_of(message) == (ContestState.OVER, Verdict.ALONE, "b")


def test_when_all_are_stopped_the_message_pauses_and_goes_on_only_by_hand(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender)
    for letter in "ab":
        answer(variant(message, letter).batch_id, 2)
    beat()
    beat()
    assert message.state == MessageState.PAUSED
    assert queries.progress(message).pause_reason == queries.ALL_STOPPED
    later(message, 9 * HOUR)
    assert contest_of(message)[0] == ContestState.TESTING
    assert sorted(told()) == [
        "A version of your mailing was stopped",
        "A version of your mailing was stopped",
        "Your mailing was paused",
    ]
    services.resume_message(message, user_id=sender.id)
    db.session.commit()
    beat()
    assert message.state == MessageState.SENDING
    assert [variant(message, letter).state for letter in "ab"] == [VariantState.RUNNING] * 2
    answer(variant(message, "a").batch_id, 1)  # one more, and it is stopped again
    beat()
    assert variant(message, "a").state == VariantState.STOPPED
    assert variant(message, "b").state == VariantState.RUNNING
    with pytest.raises(Conflict):
        variants.choose_winner(message, "a", user_id=sender.id)


# --- many at once --------------------------------------------------------------------------------


def test_a_beat_that_runs_thrice_decides_once(tmp_path: Path, worker_id: str) -> None:
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_deciding_{worker_id}"),
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
        organization = make_organization()
        user = make_member(organization, Role.ORGANIZER)
        message = out(organization, user)
        click(message, "b", 30)
        assert message.contest is not None
        message.contest.decide_at = clock.now() - HOUR
        db.session.commit()
        message_id = message.id
        db.session.remove()

    def work() -> None:
        with app.app_context():
            for _ in range(4):
                tasks.follow_messages()
                tasks.start_due()
                tasks.start_message(str(message_id))
                while mail_delivery.work(bulk=True, seconds=5):
                    pass
                db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.app_context():
        message = db.session.get_one(Message, message_id)
        assert contest_of(message) == (ContestState.OVER, Verdict.CLEAR, "b")
        people = [person for group in groups(message).values() for person in group]
        assert len(people) == len(set(people)) == 40
        letters = db.session.scalar(
            select(func.count())
            .select_from(Delivery)
            .where(Delivery.batch_id.not_in(queries.batch_ids(message)))
        )
        assert letters == 1  # the one that tells of it
        db.session.remove()
        db.engine.dispose()


def test_unknown_ones_are_sent_again_in_every_version(
    organization: Organization, sender: User
) -> None:
    message = out(organization, sender, size=100)
    for letter in "ab":
        chunk = db.session.scalars(
            select(Chunk).where(Chunk.batch_id == variant(message, letter).batch_id)
        ).one()
        chunk.state = DeliveryState.UNKNOWN_FINAL
    db.session.commit()
    assert services.send_again(message, user_id=sender.id) == 40
    db.session.commit()
    deliver()
    assert queries.progress(message).counts == {"accepted": 40}


def test_paused_and_resumed_in_the_middle_of_the_test_nobody_gets_two(
    organization: Organization, sender: User
) -> None:
    message = make_contest(organization, to_list(make_readers(organization, 40)), size=100)
    services.send_message(message, user_id=sender.id)
    db.session.commit()
    freeze(message)
    services.pause_message(message, user_id=sender.id)
    db.session.commit()
    deliver()
    beat()
    assert queries.progress(message).counts == {"queued": 40}
    assert queries.progress(message).pause_reason == "organizer"
    assert told() == []
    services.resume_message(message, user_id=sender.id)
    db.session.commit()
    deliver()
    sent = [one.to for one in outbox(kind="mailing")]
    assert len(sent) == len(set(sent)) == 40
