"""Numbers: each day saved once where it is over, told back as a course and as tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db
from campaign.lists import services as lists
from campaign.lists.models import List
from campaign.numbers import delivery, queries, tasks
from campaign.numbers.models import SavedNumber, Topic
from campaign.organizations.models import Organization, Role
from campaign.people.models import Person
from campaign.privacy import services as privacy
from tests.conftest import Client
from tests.factories.lists import make_list
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_consent, make_person

NIGHT = datetime(2026, 6, 16, 6, 0, tzinfo=UTC)  # one o'clock in Chicago: June 15 is over


def joined(organization: Organization, days_ago: int, **details: str) -> Person:
    person = make_person(organization, **details)
    person.created_at = NIGHT - timedelta(days=days_ago)
    db.session.commit()
    return person


def saved(organization: Organization, topic: Topic) -> dict[tuple[date, str], int]:
    rows = db.session.execute(
        select(SavedNumber.day, SavedNumber.key, SavedNumber.count).where(
            SavedNumber.organization_id == organization.id, SavedNumber.topic == topic
        )
    )
    return {(day, key): count for day, key, count in rows}


def save(organization: Organization, now: datetime = NIGHT) -> bool:
    done = delivery.save_day(organization.id, now)
    db.session.commit()
    return done


def numbers(organization: Organization, now: datetime, weeks: int = 4) -> queries.Numbers:
    return queries.numbers_of(organization, now, weeks=weeks, language="en")


@pytest.mark.usefixtures("app")
def test_a_day_is_saved_once_and_never_changes() -> None:
    organization, other = make_organization(), make_organization()
    ana = joined(organization, 9, source="page")
    bo = joined(organization, 2, source="paper")
    joined(other, 2, source="page")
    make_consent(ana, organization)
    list_ = make_list(organization, [ana, bo])
    assert save(organization)
    joined(organization, 0)
    assert not save(organization)
    day = date(2026, 6, 15)
    assert saved(organization, Topic.PEOPLE) == {(day, ""): 2}
    assert saved(organization, Topic.MAIL) == {(day, ""): 1}
    assert saved(organization, Topic.SOURCE) == {(day, "page"): 1, (day, "paper"): 1}
    assert saved(organization, Topic.LIST) == {(day, list_.id.hex): 2}
    assert saved(other, Topic.PEOPLE) == {}


@pytest.mark.usefixtures("app")
def test_a_day_is_over_where_the_organization_is() -> None:
    zones = {"Pacific/Auckland": date(2026, 6, 15), "America/Chicago": date(2026, 6, 14)}
    here = {zone: make_organization(time_zone=zone) for zone in zones}
    with time_machine.travel(NIGHT - timedelta(hours=2), tick=False):  # 23:00 in Chicago
        tasks.save_numbers()
        tasks.save_numbers()
    for zone, day in zones.items():
        assert saved(here[zone], Topic.PEOPLE) == {(day, ""): 0}


@pytest.mark.usefixtures("app")
def test_the_course_goes_down_when_people_leave() -> None:
    organization = make_organization()
    people = [joined(organization, 20) for _ in range(3)]
    save(organization)
    privacy.erase_person(people[0])
    db.session.commit()
    later = NIGHT + timedelta(weeks=2)
    save(organization, later)
    found = numbers(organization, later)
    assert [(point.day.isoformat(), point.people, point.mail) for point in found.points] == [
        ("2026-06-01", 2, None),  # nobody counted: of those who are here now
        ("2026-06-08", 2, None),
        ("2026-06-15", 3, 0),
        ("2026-06-22", 3, 0),  # the machine was off: the last count
        ("2026-06-29", 2, 0),
    ]
    assert found.change == 0
    assert found.as_of == date(2026, 6, 29)


@pytest.mark.usefixtures("app")
def test_tables_say_what_changed_since_the_period_began() -> None:
    organization = make_organization()
    ana = joined(organization, 40, source="page")
    tree = make_list(organization, [ana])
    gone = make_list(organization, [ana])
    save(organization)
    later = NIGHT + timedelta(weeks=4)
    bo = joined(organization, -3, source="qr")
    lists.add_to_list(tree, [bo.id])
    lists.delete_list(gone, user_id=None)
    db.session.commit()
    save(organization, later)
    found = numbers(organization, later)
    assert [(line.name, line.count, line.change) for line in found.sources] == [
        ("page", 1, 0),
        ("qr", 1, 1),
    ]
    assert [(line.name, line.count, line.change) for line in found.lists] == [(tree.name, 2, 1)]
    assert [line.change for line in numbers(organization, later, weeks=12).sources] == [None, None]


@pytest.mark.usefixtures("app")
def test_before_the_first_night_it_counts_at_once() -> None:
    organization = make_organization()
    joined(organization, 8)
    joined(organization, 1)
    found = numbers(organization, NIGHT)
    assert found.as_of is None
    assert [point.people for point in found.points] == [0, 0, 0, 1, 2]
    assert found.last.mail == 0


def test_the_page_is_for_those_who_see_people(app: Flask, client: Client) -> None:
    organization = make_organization()
    make_list(organization, [joined(organization, 8, source="the market")])
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    for weeks in ("", "?weeks=4", "?weeks=52", "?weeks=x", "?weeks=-3"):
        page = read(client.get(f"/organize/numbers/{weeks}")).text
        assert "the market" in page
        assert db.session.scalars(select(List.name)).one() in page
    log_in(client, make_member(organization, Role.VIEWER), organization)
    assert client.get("/organize/numbers/").status_code == 403
    assert db.session.scalar(select(func.count()).select_from(SavedNumber)) == 0
