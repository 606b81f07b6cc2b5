"""When a mailing goes out: not at night, one reader after the other, and not more than enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.errors import Invalid
from campaign.mail import queries as mail_queries
from campaign.mail.models import Chunk
from campaign.mailings import queries, rules, services
from campaign.mailings.models import Message, MessageState
from campaign.mailings.rules import Quiet, Timetable
from campaign.organizations.models import Organization, Role
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.mailings import (
    beat,
    deliver,
    freeze,
    make_message,
    make_reader,
    make_readers,
    send_out,
    to_list,
)
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read

NOON = datetime(2026, 6, 10, 17, 0, tzinfo=UTC)  # 12:00 in Chicago
LATE = datetime(2026, 6, 11, 3, 30, tzinfo=UTC)  # 22:30
MORNING = datetime(2026, 6, 11, 13, 0, tzinfo=UTC)  # 8:00
ZONES = ("America/Chicago", "Australia/Lord_Howe", "Pacific/Apia", "UTC")


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test the books of mail balance."""
    yield
    with app.app_context():
        report = mail_queries.invariants()
    assert report["ok"], report["checks"]


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(quiet_from="21:00", quiet_until="08:00")


# --- the timetable -------------------------------------------------------------------------------


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    since=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    until=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    zone=st.sampled_from(ZONES),
    per_hour=st.one_of(st.none(), st.integers(20, 100_000)),
)
def test_nobodys_turn_is_at_night_and_they_keep_their_order(
    start: datetime, since: time, until: time, zone: str, per_hour: int | None
) -> None:
    quiet = Quiet(since, until, zone) if since != until else None
    table = Timetable(start, per_hour, quiet)
    turns = [table.due(position) for position in (0, 1, 7, 50, 199)]
    assert turns[0] >= start
    assert all(first <= second for first, second in pairwise(turns))
    for at in turns:
        if quiet is not None:
            assert quiet.end_of(at) is None
    if per_hour is None:
        assert len(set(turns)) == 1
    elif quiet is None:
        assert turns[-1] - start == timedelta(hours=199 / per_hour)


@pytest.mark.parametrize(
    ("at", "end"),
    [
        (NOON, None),
        (LATE, MORNING),
        (datetime(2026, 6, 11, 12, 59, tzinfo=UTC), MORNING),
        (MORNING, None),
        # The night in which the clocks go forward has an hour less.
        (datetime(2026, 3, 8, 5, 0, tzinfo=UTC), datetime(2026, 3, 8, 13, 0, tzinfo=UTC)),
    ],
)
def test_nights_go_over_midnight_by_the_clock_on_the_wall(
    at: datetime, end: datetime | None
) -> None:
    assert Quiet(time(21), time(8), "America/Chicago").end_of(at) == end


def test_a_spread_pauses_for_the_night() -> None:
    table = Timetable(LATE - timedelta(hours=3), 100, Quiet(time(21), time(8), "America/Chicago"))
    assert table.due(0) == LATE - timedelta(hours=3)  # 19:30
    assert table.due(149) < LATE - timedelta(hours=1, minutes=30)
    assert table.due(150) == MORNING  # an hour and a half is full at 21:00


# --- quiet hours ---------------------------------------------------------------------------------


def test_sent_at_night_it_goes_out_in_the_morning(organization: Organization) -> None:
    message = make_message(organization, to_list(make_readers(organization, 2)))
    with time_machine.travel(LATE, tick=False):
        services.send_message(message)
        db.session.commit()
        freeze(message)
        assert (message.state, message.scheduled_at) == (MessageState.SCHEDULED, MORNING)
    with time_machine.travel(MORNING, tick=False):
        beat()
        freeze(message)
        deliver()
    assert len(outbox(kind="mailing")) == 2


def test_whoever_has_a_reason_sends_at_night(organization: Organization) -> None:
    message = make_message(organization, to_list(make_readers(organization, 1)))
    services.set_pace(message, None, ignores_quiet=True, included=1)
    with time_machine.travel(LATE, tick=False):
        services.send_message(message)
        assert message.scheduled_at == LATE


def test_a_time_set_in_the_night_moves_to_its_end(organization: Organization) -> None:
    message = make_message(organization, to_list(make_readers(organization, 1)))
    user = make_member(organization)
    with time_machine.travel(NOON, tick=False):
        moved = services.schedule_message(
            message,
            datetime(2026, 6, 10, 23, 0),  # noqa: DTZ001 - a wall time has no zone
            "America/Chicago",
            user_id=user.id,
        )
    assert (moved.at, moved.oddity) == (MORNING, "quiet")
    assert message.scheduled_at == MORNING


# --- spread --------------------------------------------------------------------------------------


def due_times(message: Message) -> list[datetime]:
    found = select(Chunk.next_attempt_at).where(Chunk.batch_id == message.batch_id)
    return sorted(db.session.scalars(found))


def sent(message: Message) -> int:
    return queries.progress(message).of("accepted")


def let_pass(message: Message, passed: timedelta) -> None:
    """The database has a clock of its own, which no test moves: its rows are, instead."""
    for chunk in db.session.scalars(select(Chunk).where(Chunk.batch_id == message.batch_id)):
        chunk.next_attempt_at -= passed
    db.session.commit()


@pytest.fixture
def spread(app: Flask) -> Message:
    """Six readers, two a minute, on their way for a moment."""
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 6)))
    services.set_pace(message, 120, ignores_quiet=False, included=6)
    services.send_message(message)
    db.session.commit()
    freeze(message)
    deliver()
    return message


def test_spread_over_an_hour_they_leave_one_group_after_the_other(spread: Message) -> None:
    assert sent(spread) == 2
    first, second, third = due_times(spread)
    assert (second - first, third - second) == (timedelta(minutes=1), timedelta(minutes=1))
    for expected in (4, 6):
        let_pass(spread, timedelta(minutes=1))
        deliver()
        assert sent(spread) == expected


def test_paused_and_resumed_the_rest_keeps_its_pace(spread: Message) -> None:
    user = make_member(db.session.get_one(Organization, spread.organization_id))
    services.pause_message(spread, user_id=user.id)
    db.session.commit()
    let_pass(spread, timedelta(hours=1))
    services.resume_message(spread, user_id=user.id)
    db.session.commit()
    deliver()
    assert sent(spread) == 4  # not all at once
    let_pass(spread, timedelta(minutes=1))
    deliver()
    assert sent(spread) == 6


def test_killed_while_it_is_frozen_the_turns_go_on_where_they_were(
    organization: Organization,
) -> None:
    message = make_message(organization, to_list(make_readers(organization, 6)))
    with time_machine.travel(NOON, tick=False):
        services.set_pace(message, 120, ignores_quiet=False, included=6)
        services.send_message(message)
        db.session.commit()
        freeze(message, limit=2)
    assert due_times(message) == [NOON + timedelta(minutes=minute) for minute in range(3)]


def test_a_pace_of_weeks_is_refused(organization: Organization) -> None:
    message = make_message(organization)
    with pytest.raises(Invalid) as refused:
        services.set_pace(message, 10, ignores_quiet=False, included=100_000)
    assert refused.value.field == "per_hour"


# --- enough --------------------------------------------------------------------------------------


def test_nobody_gets_more_than_the_cap_in_a_week_from_all_together(
    app: Flask, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_weekly_cap=2)
    here, there = make_organization(), make_organization()
    for organization in (here, there):
        make_reader(organization, email="ana@people.example")
        make_reader(organization)
    with time_machine.travel(NOON, tick=False):
        send_out(make_message(here))
        send_out(make_message(there))
        assert len(outbox(to="ana@people.example")) == 2
        third = make_message(here)
        counts = queries.reach(here.id, third.chosen)
        assert (counts.included, counts.reasons) == (1, {"enough": 1})
        send_out(third)
        assert len(outbox(to="ana@people.example")) == 2
        assert third.excluded == {"enough": 1}
    with time_machine.travel(NOON + timedelta(days=7, minutes=1), tick=False):
        fourth = make_message(here)
        assert queries.reach(here.id, fourth.chosen).included == 2


def test_without_a_cap_nobody_is_held_back(
    app: Flask, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_weekly_cap=0)
    organization = make_organization()
    make_reader(organization)
    for _ in range(3):
        send_out(make_message(organization))
    assert queries.reach(organization.id, make_message(organization).chosen).included == 1


# --- the page ------------------------------------------------------------------------------------


def test_the_page_says_what_quiet_hours_and_pace_will_do(
    client: Client, organization: Organization
) -> None:
    user: User = make_member(organization, Role.ORGANIZER)
    message = make_message(organization, to_list(make_readers(organization, 3)))
    send = f"/organize/mailings/{message.id}/send"
    with time_machine.travel(LATE, tick=False):
        log_in(client, user)
        page = read(client.get(send))
        assert "Your quiet hours are 9:00 PM to 8:00 AM" in page.text.replace("\u202f", " ")
        assert "It is quiet now: sent now, it goes out on" in page.text
        answer = client.submit(send, {"per_hour": "abc"}, form="/pace")
        assert answer.status_code == 400
        client.submit(send, {"per_hour": "60", "ignores_quiet": "y"}, form="/pace")
        page = read(client.get(send))
        assert "60 people an hour" in page.text
        assert "It goes out even so." in page.text
    assert rules.timetable(message, organization, clock.now()).per_hour == 60


def test_the_profile_takes_quiet_hours_or_none(client: Client, organization: Organization) -> None:
    owner = make_member(organization, Role.OWNER)
    log_in(client, owner)
    page = dict(read(client.get("/organize/organization")).forms[-1]["fields"])
    assert page["quiet_from"] == "21:00"
    answer = client.submit("/organize/organization", {"quiet_until": ""})
    assert "Say both when the quiet hours begin and when they end." in read(answer).text
    client.submit("/organize/organization", {"quiet_from": "", "quiet_until": ""})
    db.session.refresh(organization)
    assert Quiet.of(organization) is None
