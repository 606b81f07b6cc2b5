"""What one of the team asks another to do about a person: by when, by whom, until it is ticked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.errors import Invalid
from campaign.ladders import queries, services
from campaign.ladders.models import FollowUp
from campaign.organizations.models import Organization, Role
from campaign.people.models import Person
from tests.conftest import Client
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)  # seven in the morning in Chicago


@pytest.fixture
def organization(client: Client) -> Organization:
    return make_organization()


@pytest.fixture
def person(organization: Organization) -> Person:
    made = make_person(organization, email="ann@example.org", first_name="Ann", last_name="Lee")
    db.session.commit()
    return made


def text(response: Any) -> str:
    return read(response).text


def test_it_is_asked_shown_to_whom_it_is_for_and_ticked(
    client: Client, organization: Organization, person: Person
) -> None:
    me = make_member(organization, Role.ORGANIZER, email="me@example.org")
    other = make_member(organization, Role.DATA_ENTRY, email="other@example.org")
    make_member(organization, Role.VIEWER, email="viewer@example.org")
    with time_machine.travel(NOW, tick=True):
        log_in(client, me, organization)
        at = f"/organize/ladders/follow-ups/new/{person.id}"
        assert "viewer@example.org" not in client.get(at).get_data(as_text=True)
        asked = client.submit(
            at,
            {"text": "Call,  please", "due_on": "2026-06-16", "assignee": other.id.hex},
        )
        assert asked.status_code == 303
        shown = text(client.get(f"/organize/people/{person.id}"))
        assert "Call, please" in shown
        assert "Nothing is due today." in text(client.get("/organize/ladders/follow-ups"))
        assert "Call, please" not in text(client.get("/organize/ladders/follow-ups?of=me"))
        assert "waits to hear from you" not in text(client.get("/organize/"))
    row = db.session.scalars(select(FollowUp)).one()
    assert row.due_at == datetime(2026, 6, 16, 13, tzinfo=UTC)  # eight in the morning
    with time_machine.travel(datetime(2026, 6, 16, 14, tzinfo=UTC), tick=True):
        log_in(client, other, organization)
        assert "1 person waits to hear from you" in text(client.get("/organize/"))
        assert "Call, please" in text(client.get("/organize/ladders/follow-ups?of=me"))
        client.submit("/organize/ladders/follow-ups", form="/done")
        assert row.done_by == other.id
        assert "Nothing to follow up" in text(client.get("/organize/ladders/follow-ups"))


def test_what_is_anybodys_is_everybodys(organization: Organization, person: Person) -> None:
    one, two = (make_member(organization, Role.ORGANIZER).id for _ in range(2))
    today = clock.now().astimezone(clock.zone(organization.time_zone)).date()
    with time_machine.travel(clock.now(), tick=False):
        services.ask_follow_up(person, "All", due_on=today, assignee_id=None, user_id=one)
        services.ask_follow_up(person, "Mine", due_on=today, assignee_id=one, user_id=two)
    late = datetime(2100, 1, 1, tzinfo=UTC)
    assert queries.count_open_follow_ups(organization.id, late) == 2
    assert queries.count_open_follow_ups(organization.id, late, user_id=one) == 2
    assert queries.count_open_follow_ups(organization.id, late, user_id=two) == 1


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"text": "  "}, "text"),
        ({"due_on": date(2026, 6, 14)}, "due_on"),
        ({"assignee_id": "stranger"}, "assignee"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    organization: Organization, person: Person, values: dict[str, Any], field: str
) -> None:
    user_id = make_member(organization, Role.ORGANIZER).id
    stranger = make_member(make_organization(), Role.ORGANIZER).id
    given: dict[str, Any] = {"text": "Call", "due_on": date(2026, 6, 15), "assignee_id": None}
    given |= values
    if given["assignee_id"] == "stranger":
        given["assignee_id"] = stranger
    with pytest.raises(Invalid) as caught:
        services.ask_follow_up(person, given.pop("text"), user_id=user_id, **given)
    assert caught.value.field == field


def test_nobody_asks_about_anothers_person(client: Client, organization: Organization) -> None:
    theirs = make_person(make_organization())
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    assert client.get(f"/organize/ladders/follow-ups/new/{theirs.id}").status_code == 404
