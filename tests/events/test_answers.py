"""Who comes, in the console: the list, needs as work, the line, answers written down for others."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.events import coming, services
from campaign.events.models import Event, Need, Occurrence, Rsvp, RsvpState
from campaign.organizations.models import AuditEntry, Organization, Role
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp, make_shift, occurrence_of
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read


@pytest.fixture
def event(app: Flask) -> Event:
    return make_event(
        make_campaign(make_organization()),
        needs_asked=[Need.RIDE, Need.INTERPRETATION],
        capacity=50,
    )


def date_of(event: Event) -> Occurrence:
    return occurrence_of(event)


def enter(client: Client, event: Event, role: Role = Role.ORGANIZER) -> None:
    organization = db.session.get_one(Organization, event.organization_id)
    log_in(client, make_member(organization, role), organization)


def path_to(event: Event, rest: str = "answers") -> str:
    return f"/organize/events/dates/{date_of(event).id}/{rest}"


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return read(response).text


def names_on(client: Client, path: str) -> list[str]:
    """The names in the first column, in order."""
    html = client.get(path).get_data(as_text=True)
    return re.findall(r"/organize/events/answers/[0-9a-f-]{36}\">([^<]+)</a>", html)


# --- the list ----------------------------------------------------------------------------------


def test_the_list_is_ordered_filtered_and_searched(client: Client, event: Event) -> None:
    make_rsvp(event, first_name="José", last_name="Peña", needs=[Need.RIDE])
    make_rsvp(event, first_name="Ana", last_name="Adams", state=RsvpState.TENTATIVE)
    shift = make_shift(event)
    make_rsvp(event, first_name="Zoe", last_name="Quinn", postal_code="60608", shift_id=shift.id)
    enter(client, event)
    base = path_to(event)
    assert names_on(client, base) == ["Ana Adams", "José Peña", "Zoe Quinn"]
    assert names_on(client, f"{base}?sort=new") == ["Zoe Quinn", "Ana Adams", "José Peña"]
    assert names_on(client, f"{base}?sort=old") == ["José Peña", "Ana Adams", "Zoe Quinn"]
    assert names_on(client, f"{base}?state=tentative") == ["Ana Adams"]
    assert names_on(client, f"{base}?need=ride") == ["José Peña"]
    assert names_on(client, f"{base}?shift={shift.id}") == ["Zoe Quinn"]
    assert names_on(client, f"{base}?q=quinn") == ["Zoe Quinn"]
    assert names_on(client, f"{base}?q=60608") == ["Zoe Quinn"]
    assert "Nobody fits" in text_of(client, f"{base}?q=nobody")


@pytest.mark.parametrize(
    "query",
    [
        "state=%00",
        "need='",
        "shift=none",
        "sort=password",
        "q=%",
        "q=%00",
        "after=x",
        "q=" + "x" * 5000,
    ],
)
def test_odd_questions_get_a_page(client: Client, event: Event, query: str) -> None:
    make_rsvp(event)
    enter(client, event)
    assert client.get(f"{path_to(event)}?{query}").status_code == 200


@pytest.mark.parametrize("sort", ["name", "new", "old"])
def test_pages_hold_everybody_once_and_go_back(client: Client, event: Event, sort: str) -> None:
    for number in range(120):
        make_rsvp(event, first_name=f"N{number % 7}", last_name=f"L{number % 5}")
    enter(client, event)
    path, seen, pages = f"{path_to(event)}?sort={sort}", [], []
    while path:
        html = client.get(path).get_data(as_text=True)
        pages.append(re.findall(r"events/answers/([0-9a-f-]{36})\"", html))
        seen += pages[-1]
        found = re.search(r'rel="next" href="([^"]+)"', html)
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 120
    back = re.search(r'rel="prev" href="([^"]+)"', html)
    assert back is not None
    html = client.get(back[1].replace("&amp;", "&")).get_data(as_text=True)
    assert re.findall(r"events/answers/([0-9a-f-]{36})\"", html) == pages[-2]


def test_looking_at_names_is_noted_once_an_hour(client: Client, event: Event) -> None:
    enter(client, event)
    for rest in ("answers", "needs", "shifts", "line", "answers/print"):
        client.get(path_to(event, rest))
    entries = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == coming.ANSWERS_LISTED)
    ).all()
    assert len(entries) == 1
    assert entries[0].subject_id == date_of(event).id


def test_a_viewer_sees_no_names(client: Client, event: Event) -> None:
    make_rsvp(event)
    enter(client, event, Role.VIEWER)
    for rest in ("answers", "needs", "shifts", "line", "held", "answers/print", "answers.csv"):
        assert client.get(path_to(event, rest)).status_code == 403


def test_the_event_leads_to_its_next_date(client: Client, event: Event) -> None:
    enter(client, event)
    response = client.get(f"/organize/events/{event.id}/answers")
    assert response.location == path_to(event)


# --- the list for the door ---------------------------------------------------------------------


def test_the_file_is_guarded_and_noted(client: Client, event: Event) -> None:
    make_rsvp(
        event,
        first_name="=HYPERLINK(1)",
        last_name="+Reyes",
        needs=[Need.RIDE],
        needs_note="@now",
        guests=2,
    )
    make_rsvp(event, first_name="Nobody", state=RsvpState.DECLINED)
    enter(client, event)
    response = client.get(path_to(event, "answers.csv"))
    assert response.status_code == 200
    assert "attachment" in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert len(rows) == 1
    row = rows[0]
    assert (row["First name"], row["Last name"], row["Note"]) == (
        "'=HYPERLINK(1)",
        "'+Reyes",
        "'@now",
    )
    assert (row["Answer"], row["Guests"], row["Needs"]) == ("Coming", "2", "A ride")
    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "answers.exported")
    ).one()
    assert entry.details == {"rows": 1}


def test_data_entry_takes_no_file_out(client: Client, event: Event) -> None:
    enter(client, event, Role.DATA_ENTRY)
    assert client.get(path_to(event, "answers.csv")).status_code == 403
    assert "CSV" not in text_of(client, path_to(event))


def test_the_printed_list_has_who_may_come(client: Client, event: Event) -> None:
    make_rsvp(event)
    make_rsvp(event, first_name="Wanda", state=RsvpState.WAITING)
    make_rsvp(event, first_name="Declan", state=RsvpState.DECLINED)
    enter(client, event)
    text = text_of(client, path_to(event, "answers/print"))
    assert "Reyes, Maria" in text
    assert "Wanda" in text
    assert "Declan" not in text


# --- needs, shifts, the line -------------------------------------------------------------------


def test_needs_are_work_lists(client: Client, event: Event) -> None:
    make_rsvp(event, first_name="Rita", needs=[Need.RIDE], postal_code="60608")
    make_rsvp(event, first_name="Iris", needs=[Need.INTERPRETATION, Need.RIDE], language="es")
    make_rsvp(event, first_name="Nora", needs=[Need.RIDE], state=RsvpState.CANCELLED)
    lists = {one.need: one for one in coming.work_lists(date_of(event).id)}
    assert [name for name, _rows in lists[Need.RIDE].groups] == ["60608", "60637"]
    assert [name for name, _rows in lists[Need.INTERPRETATION].groups] == ["es"]
    enter(client, event)
    text = text_of(client, path_to(event, "needs"))
    assert "From ZIP code 60608" in text
    assert "Nora" not in text


def test_seen_to_can_be_undone(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event, needs=[Need.RIDE])
    enter(client, event, Role.DATA_ENTRY)
    response = client.submit(
        path_to(event, "needs"), {}, form=f"{rsvp.id}/met", follow_redirects=True
    )
    assert "all seen to" in read(response).text
    assert db.session.get_one(Rsvp, rsvp.id).needs_met_at is not None
    client.submit(path_to(event, "needs"), {}, form=f"{rsvp.id}/unmet")
    assert db.session.get_one(Rsvp, rsvp.id).needs_met_at is None


def test_shifts_say_who_and_what_is_missing(client: Client, event: Event) -> None:
    shift = make_shift(event, capacity=3)
    make_rsvp(event, first_name="Marta", shift_id=shift.id)
    enter(client, event)
    text = text_of(client, path_to(event, "shifts"))
    assert "Marta" in text
    assert "2 still missing" in text


def test_the_line_stands_in_order(client: Client, event: Event) -> None:
    now = clock.now()
    for place, name in enumerate(["Cara", "Bela", "Abel"]):
        make_rsvp(
            event,
            first_name=name,
            state=RsvpState.WAITING,
            waiting_since=now + timedelta(seconds=place),
            line_number=place + 1,
        )
    enter(client, event)
    assert names_on(client, path_to(event, "line")) == ["Cara Reyes", "Bela Reyes", "Abel Reyes"]


# --- for somebody else -------------------------------------------------------------------------


def write_down(client: Client, event: Event, **data: Any) -> Any:
    given = {"first_name": "Nelly", "last_name": "Novak", "email": "nelly@example.org"} | data
    return client.submit(path_to(event, "answers/new"), given, follow_redirects=True)


def test_an_answer_by_phone_takes_its_place(client: Client, event: Event) -> None:
    enter(client, event, Role.DATA_ENTRY)
    response = write_down(client, event, guests="2", needs=["ride"], channel="phone")
    assert "written down" in read(response).text
    rsvp = db.session.scalars(select(Rsvp)).one()
    assert (rsvp.first_name, rsvp.guests, rsvp.channel, rsvp.state) == (
        "Nelly",
        2,
        "phone",
        RsvpState.ACCEPTED,
    )
    assert date_of(event).taken_count == 3
    assert rsvp.confirmed_at is None


def test_without_an_address_somebody_can_still_be_written_down(
    client: Client, event: Event
) -> None:
    enter(client, event)
    write_down(client, event, email="", last_name="")
    assert db.session.scalars(select(Rsvp.email)).one() is None


def test_mistakes_are_said_at_the_field_and_nothing_is_lost(client: Client, event: Event) -> None:
    make_rsvp(event, email="nelly@example.org", first_name="Nelly", last_name="Novak")
    enter(client, event)
    for data, message in (
        ({}, "answered already"),
        ({"guests": "400", "email": "two@example.org"}, "guests"),
        ({"first_name": "Nel\u202ely", "email": "two@example.org"}, "hidden characters"),
        ({"first_name": "", "email": "two@example.org"}, "first name"),
        ({"email": "", f"consent-{slug_of(event)}": "on"}, "write the address"),
    ):
        page = read(write_down(client, event, **data))
        assert message in page.text, message
        assert "Novak" in str(page.forms)
    assert len(db.session.scalars(select(Rsvp)).all()) == 1


def slug_of(event: Event) -> str:
    return db.session.get_one(Organization, event.organization_id).slug


def test_changing_and_taking_back_for_somebody(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    waiting = make_rsvp(event, first_name="Wanda", state=RsvpState.WAITING, line_number=1)
    date_of(event).capacity = 1
    enter(client, event, Role.DATA_ENTRY)
    path = f"/organize/events/answers/{rsvp.id}"
    client.submit(path, {"status": "tentative"})
    assert db.session.get_one(Rsvp, rsvp.id).state == RsvpState.TENTATIVE
    assert db.session.get_one(Rsvp, waiting.id).state == RsvpState.ACCEPTED
    client.submit(path, {}, form="/cancel")
    assert db.session.get_one(Rsvp, rsvp.id).state == RsvpState.CANCELLED
    actions = db.session.scalars(select(AuditEntry.action)).all()
    assert {"rsvp.changed", "rsvp.cancelled"} <= set(actions)


def test_numbers_are_shown_as_one_writes_them(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event, phone="+17735550142")
    enter(client, event)
    for path in (path_to(event), f"/organize/events/answers/{rsvp.id}"):
        shown = client.get(path).get_data(as_text=True)
        assert 'href="tel:+1-773-555-0142">(773) 555-0142</a>' in shown


def test_a_held_answer_goes_its_way_or_is_turned_away(client: Client, event: Event) -> None:
    fine = make_rsvp(event, review_reason="fast form, links in the comment")
    odd = make_rsvp(event, first_name="Bot", review_reason="honeypot")
    enter(client, event)
    assert "Held for a look" in text_of(client, path_to(event))
    client.submit(path_to(event, "held"), {}, form=f"{fine.id}/approve")
    client.submit(path_to(event, "held"), {}, form=f"{odd.id}/reject")
    assert db.session.get_one(Rsvp, fine.id).review_reason == ""
    assert db.session.get_one(Rsvp, odd.id).first_name == ""
    assert "Held for a look" not in text_of(client, path_to(event))


def test_meeting_needs_twice_keeps_the_first_time(event: Event) -> None:
    rsvp = make_rsvp(event, needs=[Need.RIDE])
    services.meet_needs(rsvp, is_met=True)
    first = rsvp.needs_met_at
    services.meet_needs(rsvp, is_met=True)
    assert rsvp.needs_met_at == first
