"""What may be done to a message, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from campaign import clock
from campaign.db import db, uuid7
from campaign.errors import Conflict, Invalid
from campaign.mail.models import Chunk, Delivery, DeliveryState
from campaign.mailings import queries, services
from campaign.mailings.models import Audience, MessageState
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import AuditEntry
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
from tests.factories.organizations import make_member, make_organization
from tests.factories.outbox import outbox

pytestmark = pytest.mark.usefixtures("app")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SOMEBODY = uuid7()


@pytest.mark.parametrize(
    ("wall", "zone", "instant", "oddity"),
    [
        ("2026-03-08T01:59", "America/Chicago", "2026-03-08T07:59", ""),
        ("2026-03-08T02:30", "America/Chicago", "2026-03-08T08:30", "gap"),
        ("2026-03-08T03:00", "America/Chicago", "2026-03-08T08:00", ""),
        ("2026-11-01T00:59", "America/Chicago", "2026-11-01T05:59", ""),
        ("2026-11-01T01:30", "America/Chicago", "2026-11-01T06:30", "fold"),
        ("2026-11-01T02:00", "America/Chicago", "2026-11-01T08:00", ""),
        ("2026-03-08T02:30", "America/Phoenix", "2026-03-08T09:30", ""),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30", "gap"),
    ],
)
def test_wall_times_around_the_change_of_clocks(
    wall: str, zone: str, instant: str, oddity: str
) -> None:
    found = services.resolve_wall_time(datetime.fromisoformat(wall), zone)
    assert found.at == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert found.oddity == oddity


@time_machine.travel(NOW, tick=False)
def test_scheduling_keeps_wall_time_and_zone_and_can_be_changed_and_taken_back() -> None:
    message = make_message(make_organization())
    first = datetime(2026, 3, 8, 2, 30)  # noqa: DTZ001 - a wall time has no zone
    services.schedule_message(message, first, "America/Chicago", user_id=SOMEBODY)
    assert message.scheduled_at == datetime(2026, 3, 8, 8, 30, tzinfo=UTC)
    services.schedule_message(message, first, "America/New_York", user_id=SOMEBODY)
    assert message.scheduled_at == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert (message.state, message.time_zone) == (MessageState.SCHEDULED, "America/New_York")
    services.unschedule_message(message, user_id=SOMEBODY)
    assert (message.state, message.scheduled_at) == (MessageState.DRAFT, None)


@pytest.mark.parametrize(
    ("wall", "zone", "field"),
    [
        (datetime(2020, 1, 1, 10), "America/Chicago", "on"),  # noqa: DTZ001
        (datetime(2400, 1, 1, 10), "America/Chicago", "on"),  # noqa: DTZ001
        (datetime(1, 1, 1), "Asia/Tokyo", "on"),  # noqa: DTZ001
        (datetime(2026, 6, 1, 10), "Mars/Olympus", "zone"),  # noqa: DTZ001
        (datetime(2026, 6, 1, 10), "../etc/passwd", "zone"),  # noqa: DTZ001
    ],
)
@time_machine.travel(NOW, tick=False)
def test_times_that_cannot_be(wall: datetime, zone: str, field: str) -> None:
    message = make_message(make_organization())
    with pytest.raises(Invalid) as refused:
        services.schedule_message(message, wall, zone, user_id=SOMEBODY)
    assert refused.value.field == field
    assert message.state == MessageState.DRAFT


@pytest.mark.parametrize("field", ["subject", "preheader", "body"])
def test_unknown_merge_fields_are_refused_with_their_place(field: str) -> None:
    details = MessageDetails(
        **{field: "Hello\n {{ nickname|x }}" if field == "body" else "{{ nickname }}"}
    )
    with pytest.raises(Invalid) as refused:
        services.create_message(make_organization().id, details)
    assert refused.value.field == field
    place = "line 2, character 2" if field == "body" else "character 1"
    assert f"{{{{ nickname }}}} ({place})" in refused.value.message
    assert "first_name" in refused.value.message


@pytest.mark.parametrize("field", ["unsubscribe_url", "preferences_url"])
def test_links_that_mail_makes_are_not_for_writers(field: str) -> None:
    with pytest.raises(Invalid):
        services.create_message(make_organization().id, MessageDetails(body=f"{{{{ {field} }}}}"))


@pytest.mark.parametrize(
    ("details", "audience", "field"),
    [
        ({"subject": " "}, None, "subject"),
        ({"body": ""}, None, "body"),
        ({}, Audience(), "include"),
    ],
)
def test_what_is_not_ready_does_not_go(
    details: dict[str, str], audience: Audience | None, field: str
) -> None:
    message = make_message(make_organization(), **details)
    if audience is not None:
        services.choose_audience(message, audience)
    with pytest.raises(Invalid) as refused:
        services.send_message(message)
    assert refused.value.field == field


def test_only_a_draft_can_be_changed() -> None:
    message = make_message(make_organization())
    services.send_message(message)
    for change in (
        lambda: services.edit_message(message, MessageDetails()),
        lambda: services.choose_audience(message, Audience()),
        lambda: services.delete_message(message),
    ):
        with pytest.raises(Conflict):
            change()


def test_a_sent_message_is_not_sent_again() -> None:
    organization = make_organization()
    make_readers(organization, 2)
    message = make_message(organization)
    send_out(message)
    with pytest.raises(Conflict):
        services.send_message(message)
    freeze(message)
    deliver()
    assert len(outbox(kind="mailing")) == 2


def test_a_deleted_draft_is_gone_until_it_is_brought_back() -> None:
    message = make_message(make_organization())
    services.delete_message(message)
    db.session.flush()
    assert queries.message_by_id(message.id) is None
    with pytest.raises(Conflict):
        message.move(MessageState.SCHEDULED)
    services.restore_message(message)
    assert queries.message_by_id(message.id) is message


def test_a_copy_is_a_draft_of_its_own() -> None:
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 1)), name="First")
    send_out(message)
    copied = services.copy_message(message, author_id=SOMEBODY)
    assert (copied.state, copied.body, copied.chosen) == ("draft", message.body, message.chosen)
    assert copied.batch_id is None


def test_a_test_is_marked_read_as_somebody_and_goes_to_the_team_alone() -> None:
    organization = make_organization()
    make_reader(organization)
    user = make_member(organization)
    message = make_message(organization, subject="For {{ first_name|you }}")
    assert services.send_test(message, organization, [user], {"first_name": "Ana"}) == 1
    db.session.flush()
    (letter,) = outbox(kind=services.TEST_KIND)
    assert letter.to == user.email
    assert letter.subject == "[Test] For {{ first_name|you }}"
    assert letter.values["first_name"] == "Ana"
    assert "/go/" not in letter.html
    assert "unsubscribe_url" not in letter.html
    assert "This is a test" in letter.text
    assert message.tested_at is not None
    assert message.state == MessageState.DRAFT


def test_every_step_is_in_the_audit_log() -> None:
    organization = make_organization()
    user = make_member(organization)
    message = make_message(organization, to_list(make_readers(organization, 3)))
    with time_machine.travel(NOW, tick=False):
        services.schedule_message(
            message,
            datetime(2026, 2, 1, 10),  # noqa: DTZ001 - a wall time has no zone
            "America/Chicago",
            user_id=user.id,
        )
        services.unschedule_message(message, user_id=user.id)
    services.send_message(message, user_id=user.id)
    db.session.commit()
    freeze(message)
    services.pause_message(message, user_id=user.id)
    services.resume_message(message, user_id=user.id)
    services.stop_message(message, user_id=user.id)
    db.session.commit()
    rows = db.session.scalars(
        select(AuditEntry).where(AuditEntry.subject_id == message.id).order_by(AuditEntry.n)
    ).all()
    assert [row.action for row in rows] == [
        f"mailing.{step}" for step in ("schedule", "unschedule", "send", "pause", "resume", "stop")
    ]
    assert {row.user_id for row in rows} == {user.id}
    assert rows[-1].details == {"cancelled": 3}


def test_unknown_ones_can_be_sent_again_and_only_they() -> None:
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 2)))
    services.send_message(message)
    db.session.commit()
    freeze(message)
    first = db.session.scalars(
        select(Delivery).where(Delivery.batch_id == message.batch_id).order_by(Delivery.id)
    ).first()
    assert first
    deliver()
    chunk = db.session.get_one(Chunk, first.chunk_id)
    db.session.refresh(first)
    first.state, first.reason = DeliveryState.UNKNOWN_FINAL, "worker lost"
    first.address, first.values = "x@people.example", {"first_name": "X"}
    db.session.commit()
    beat()
    assert message.state == MessageState.SENT
    assert queries.progress(message).counts == {"accepted": 1, "unknown_final": 1}
    count = services.send_again(message, user_id=SOMEBODY)
    db.session.commit()
    assert count == 1
    assert message.state == MessageState.SENDING
    deliver()
    assert queries.progress(message).counts == {"accepted": 2}
    assert chunk.size >= 1


def test_scheduled_means_at_that_time() -> None:
    organization = make_organization()
    make_reader(organization)
    message = make_message(organization)
    with time_machine.travel(NOW, tick=False):
        services.schedule_message(
            message,
            datetime(2026, 1, 5, 7),  # noqa: DTZ001 - a wall time has no zone
            "America/Chicago",
            user_id=SOMEBODY,
        )
        db.session.commit()
        assert queries.due_messages(clock.now()) == []
    with time_machine.travel(NOW + timedelta(hours=1, seconds=1), tick=False):
        assert queries.due_messages(clock.now()) == [message.id]
        freeze(message)
        assert message.state == MessageState.SENDING


def test_without_a_postal_address_no_door_lets_it_through() -> None:
    """The law asks for one in every mass e-mail: the command line is no way around it."""
    organization = make_organization(postal_address=" \n ")
    message = make_message(organization)
    with pytest.raises(Invalid, match="postal address"):
        services.send_message(message)
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=2)
    with pytest.raises(Invalid, match="postal address"):
        services.schedule_message(message, later, "UTC", user_id=SOMEBODY)
    assert message.state == MessageState.DRAFT
    organization.postal_address = "1 Main St, Chicago"
    services.send_message(message)
    assert message.state == MessageState.SCHEDULED


def test_an_address_that_is_gone_when_its_time_comes_brings_it_back_to_a_draft() -> None:
    organization = make_organization()
    make_reader(organization)
    message = make_message(organization)
    services.send_message(message)
    organization.postal_address = ""
    db.session.commit()
    freeze(message)
    deliver()
    assert message.state == MessageState.DRAFT
    assert message.scheduled_at is None
    assert not outbox()
    actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.n)))
    assert actions[-1] == "mailing.returned"
