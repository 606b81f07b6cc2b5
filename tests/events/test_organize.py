"""The console's pages of events, as organizers meet them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign.campaigns.models import Campaign
from campaign.db import db
from campaign.events.models import (
    Event,
    EventState,
    Host,
    HostState,
    Notice,
    Occurrence,
    Shift,
)
from campaign.organizations.models import AuditEntry, Organization, Role
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.events import (
    make_event,
    make_host,
    make_occurrence,
    make_rsvp,
    make_shift,
    occurrence_of,
)
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def june() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=True) as travel:
        yield travel


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def campaign(organization: Organization) -> Campaign:
    return make_campaign(organization)


@pytest.fixture
def organizer(client: Client, organization: Organization) -> Client:
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    return client


def write(organizer: Client, **typed: Any) -> TestResponse:
    """Fill in the form for a new event, as a browser without script would."""
    return organizer.submit(
        "/organize/events/new",
        {
            "title_en": "Vigil",
            "starts": "2026-06-09T18:00",
            "ends": "2026-06-09T19:00",
            **typed,
        },
    )


def fill(organizer: Client, path: str, name: str, typed: dict[str, Any]) -> TestResponse:
    """Post the form of a page that has a field of that name, with what is typed put in."""
    form, fields = form_of(read(organizer.get(path)), name)
    return organizer.post(form["action"] or path, data=fields | typed)


def form_of(page: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The form that has a field of that name, and all its fields with their values."""
    form = next(one for one in page.forms if any(field == name for field, _ in one["fields"]))
    fields: dict[str, Any] = {}
    for field, value in form["fields"]:
        fields.setdefault(field, []).append(value)
    return form, fields


def edit(organizer: Client, event: Event, **typed: Any) -> TestResponse:
    return fill(organizer, f"/organize/events/{event.id}/edit", "title_en", typed)


def only() -> Event:
    return db.session.scalars(select(Event)).one()


def dates(event: Event) -> list[Occurrence]:
    found = select(Occurrence).where(Occurrence.event_id == event.id)
    return list(db.session.scalars(found.order_by(Occurrence.starts_at)))


def text(response: TestResponse) -> str:
    return read(response).text


# Writing


def test_a_vigil_from_an_empty_form_to_the_public(
    organizer: Client, campaign: Campaign, organization: Organization
) -> None:
    db.session.commit()
    response = write(organizer, venue="Woodlawn Clinic", kind="vigil", title_es="Vigilia")
    assert response.status_code == 303, text(response)
    event = only()
    assert (event.slug, event.state, event.kind) == ("vigil", EventState.DRAFT, "vigil")
    assert (event.zone, event.duration_minutes) == ("America/Chicago", 60)
    assert event.reminders == ["1d@11:00", "180m"]
    assert event.most_guests == 5
    at = f"/organize/events/{event.id}"
    assert "This is a draft" in text(organizer.get(at))
    assert organizer.get("/e/vigil").status_code == 404
    assert organizer.submit(at, {}, form="publish").status_code == 303
    assert organizer.get("/e/vigil").status_code == 200
    organizer.submit(at, {}, form="withdraw")
    assert organizer.get("/e/vigil").status_code == 404
    organizer.submit(at, {}, form="publish")
    make_rsvp(event)
    db.session.commit()
    page = read(organizer.get(at))
    assert "Make it a draft again" not in page.text
    organizer.submit(at, {"note_en": "The street is closed."}, form="cancel")
    assert only().state == EventState.CANCELLED
    assert db.session.scalars(select(Notice)).one().kind == "cancelled"
    assert "The street is closed." in text(organizer.get(at))
    assert organizer.get(f"{at}/edit").status_code == 409
    actions = db.session.scalars(
        select(AuditEntry.action).where(AuditEntry.subject_id == event.id).order_by(AuditEntry.n)
    ).all()
    assert actions == [
        *("event.created", "event.published", "event.withdrawn", "event.published"),
        "event.cancelled",
    ]


def test_a_weekly_series_without_script(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    response = write(organizer, repeats="weekly", weekdays=["TU", "TH"], count="4", capacity="20")
    assert response.status_code == 303, text(response)
    event = only()
    assert [row.starts_wall[:10] for row in dates(event)] == [
        *("2026-06-09", "2026-06-11", "2026-06-16", "2026-06-18")
    ]
    shown = text(organizer.get(f"/organize/events/{event.id}"))
    assert "Every week on Tuesday, Thursday, 4 times" in shown
    edit(organizer, event, starts="2026-06-09T17:00", ends="2026-06-09T18:00")
    assert {row.starts_wall[11:] for row in dates(only())} == {"17:00"}
    edit(organizer, event, repeats="monthly", nth="2", nth_day="TU", until="2026-08-31", count="")
    assert [row.starts_wall[:10] for row in dates(only())] == [
        *("2026-06-09", "2026-07-14", "2026-08-11")
    ]
    edit(organizer, event, repeats="dates", dates="2026-06-20\n\n2026-06-21 09:30\n")
    assert [row.starts_wall for row in dates(only())] == [
        *("2026-06-09T17:00", "2026-06-20T17:00", "2026-06-21T09:30")
    ]
    edit(organizer, event, repeats="")
    assert len(dates(only())) == 1


def test_what_is_saved_is_shown_again(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    typed = {
        "online_url": "https://meet.example.org/a",
        "access": ["step-free", "transit"],
        "languages": ["en", "pl"],
        "needs_asked": ["ride"],
        "days_1": "7",
        "time_1": "09:30",
        "hours_0": "1.5",
        "address_visibility": "coming",
        "zone": "Pacific/Apia",
        "most_guests": "",
        "contact_email": "ask@example.org",
        "briefing_en": "Stay calm.",
    }
    assert write(organizer, **typed).status_code == 303
    event = only()
    assert event.reminders == ["1d@11:00", "7d@09:30", "90m"]
    assert (event.access, event.languages) == (["step-free", "transit"], ["en", "pl"])
    assert (event.zone, event.most_guests, event.address_visibility) == (
        "Pacific/Apia",
        0,
        "coming",
    )
    before = {
        column.name: getattr(event, column.name)
        for column in Event.__table__.columns
        if column.name != "updated_at"
    }
    assert edit(organizer, event).status_code == 303
    event = only()
    assert {name: getattr(event, name) for name in before} == before


def test_reminders_that_no_row_can_say_stay(organizer: Client, campaign: Campaign) -> None:
    event = make_event(campaign, reminders=["mon@00:01", "180m"], starts_wall="2026-06-09T18:00")
    db.session.commit()
    assert "on Monday of that week" in text(organizer.get(f"/organize/events/{event.id}/edit"))
    edit(organizer, event, hours_0="2")
    assert only().reminders == ["120m", "mon@00:01"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"title_en": ""}, "Write a title in at least one language."),
        ({"ends": "2026-06-09T17:00"}, "ends before it begins"),
        ({"ends": "2026-08-09T17:00"}, "31 days"),
        ({"starts": ""}, "Say when it begins."),
        ({"starts": "2026-06-09T18:00Z"}, "Write the day and the time like"),
        ({"starts": "2026-06-09T18:00+02:00"}, "Write the day and the time like"),
        ({"starts": "9999-12-31T18:00"}, "Please check the year."),
        ({"zone": "Mars/Olympus"}, "We know no such time zone."),
        ({"zone": "../../etc/passwd"}, "We know no such time zone."),
        ({"kind": "party"}, "Not a valid choice"),
        ({"campaign": "0" * 32}, "Not a valid choice"),
        ({"clinic": "x"}, "Not a valid choice"),
        ({"access": ["step-free", "moon"]}, "moon"),
        ({"capacity": "many"}, "whole number"),
        ({"most_guests": "400"}, "whole number from 0 to 20"),
        ({"online_url": "javascript:alert(1)"}, "begins with https://"),
        ({"slug": "No Good"}, "small letters, digits and hyphens"),
        ({"slug": "propose"}, "Another event has this address"),
        ({"repeats": "weekly"}, "A series needs an end"),
        ({"repeats": "weekly", "until": "2040-01-01"}, "at most five years"),
        ({"repeats": "weekly", "count": "501"}, "from 1 to 500"),
        ({"repeats": "weekly", "interval": "0", "count": "3"}, "from 1 to 12"),
        ({"repeats": "weekly", "count": "3", "until": "2026-07-01"}, "not both"),
        ({"repeats": "dates", "dates": "tomorrow"}, "one date in each line"),
        ({"repeats": "dates", "dates": ""}, "one date in each line"),
        ({"repeats": "hourly"}, "Not a valid choice"),
        ({"days_0": "1", "time_0": ""}, "Write the time too"),
        ({"days_0": "", "time_0": "11:00"}, "Write how many days before"),
        ({"days_0": "0", "time_0": "20:00"}, "after the start"),
        ({"days_0": "99"}, "at most 60 days before"),
        ({"hours_0": "soon"}, "Write hours as a number"),
        ({"hours_0": "1e9"}, "Write hours as a number"),
        ({"title_en": "a\x00b"}, "characters we cannot use"),
        ({"title_en": "a\u202eb"}, "direction of text"),
        ({"venue": "a\nb"}, "on one line"),
        ({"contact_email": "nobody"}, "email address"),
    ],
)
def test_bad_input_is_said_at_the_field_and_kept(
    organizer: Client, campaign: Campaign, typed: dict[str, Any], message: str
) -> None:
    db.session.commit()
    response = write(organizer, text_en="My long text", **typed)
    assert response.status_code == 200
    assert message in text(response)
    assert "My long text" in response.get_data(as_text=True)
    assert db.session.scalar(select(Event)) is None


@pytest.mark.parametrize(
    ("typed", "at", "message"),
    [
        ({"days_1": "70", "time_1": "11:00"}, "days_1", "at most 60 days before"),
        ({"days_1": "99999", "time_1": "11:00"}, "days_1", "at most 60 days before"),
        ({"days_1": "0", "time_1": "20:00"}, "time_1", "after the start"),
        ({"capacity": "many"}, "capacity", "Write a whole number"),
    ],
)
def test_one_message_stands_at_the_very_field_that_is_wrong(
    organizer: Client, campaign: Campaign, typed: dict[str, Any], at: str, message: str
) -> None:
    db.session.commit()
    page = write(organizer, **typed).get_data(as_text=True)
    assert f'id="{at}-error"' in page
    assert page.count('-error">') == 1
    said = page.split(f'id="{at}-error">')[1].split("<")[0]
    assert message in said
    assert said.count(".") == 1, "one message, not two"


def test_the_list_of_errors_says_which_language_is_wrong(
    organizer: Client, campaign: Campaign
) -> None:
    db.session.commit()
    answer = write(organizer, title_en="x" * 500, title_es="x" * 500)
    said = answer.get_data(as_text=True).split('id="errors"')[1].split("</div>")[0]
    assert 'href="#title_en">Title (English):' in said
    assert 'href="#title_es">Title (Español):' in said


def test_times_in_the_gap_and_the_fold_are_saved_and_warned_of(
    organizer: Client, campaign: Campaign
) -> None:
    db.session.commit()
    response = organizer.submit(
        "/organize/events/new",
        {"title_en": "Watch", "starts": "2027-03-14T02:30", "ends": "2027-03-14T04:30"},
        follow_redirects=True,
    )
    shown = text(response)
    assert shown.count("does not happen") == 1, "said once"
    assert "On Sunday, March 14, 2027 the clocks go forward: 2:30" in shown
    assert "clock shows 3:30" in shown
    (row,) = dates(only())
    assert row.starts_wall == "2027-03-14T03:30"
    assert (row.ends_at - row.starts_at).total_seconds() == 3600
    edit(organizer, only(), starts="2026-11-01T01:30", ends="2026-11-01T02:30")
    shown = text(organizer.get(f"/organize/events/{only().id}/edit"))
    assert "On Sunday, November 1, 2026 the clocks go back: 1:30" in shown
    assert shown.count("happens twice") == 1


def test_fewer_places_than_people_are_refused(organizer: Client, campaign: Campaign) -> None:
    event = make_event(campaign, capacity=5, starts_wall="2026-06-09T18:00")
    make_rsvp(event, guests=2)
    db.session.commit()
    shown = text(edit(organizer, event, capacity="2", title_en="New title"))
    assert "3 people are coming already" in shown
    assert only().capacity == 5
    edit(organizer, event, capacity="3")
    assert only().capacity == 3


def test_moving_tells_and_says_so(organizer: Client, campaign: Campaign) -> None:
    event = make_event(campaign, starts_wall="2026-06-09T18:00")
    make_rsvp(event)
    db.session.commit()
    edit(organizer, event, starts="2026-06-10T18:00", ends="2026-06-10T19:30")
    shown = text(organizer.get(f"/organize/events/{event.id}/edit"))
    assert "1 date moved. Whoever comes is told by email." in shown
    notice = db.session.scalars(select(Notice)).one()
    assert (notice.what, notice.before) == (["time"], "2026-06-09T18:00")


def test_the_second_of_two_organizers_hears_of_the_first(
    organizer: Client, organization: Organization, campaign: Campaign
) -> None:
    event = make_event(campaign, starts_wall="2026-06-09T18:00", access=["step-free"])
    colleague = make_member(organization, Role.ORGANIZER, name="Ruth Ellison")
    db.session.commit()
    path = f"/organize/events/{event.id}/edit"
    opened = form_of(read(organizer.get(path)), "title_en")[1]
    other = organizer.application.test_client()
    log_in(other, colleague)
    assert edit(other, event, venue="Park").status_code == 303

    refused = organizer.post(path, data=opened | {"title_en": "Night of candles"})
    assert refused.status_code == 200
    page = read(refused)
    assert "Ruth Ellison changed this on Jun 1, 2026" in page.text
    assert "It differs in: Title (English), Place. " in page.text
    assert "Night of candles" in refused.get_data(as_text=True)
    assert (only().venue, only().title["en"]) == ("Park", "Vigil at Woodlawn")

    again = form_of(page, "title_en")[1]
    assert again["venue"] == ["Woodlawn Clinic"], "what was typed is still there"
    assert organizer.post(path, data=again).status_code == 303
    assert (only().venue, only().title["en"]) == ("Woodlawn Clinic", "Night of candles")


def test_two_windows_of_one_organizer_and_a_button_pressed_twice(
    organizer: Client, campaign: Campaign
) -> None:
    event = make_event(campaign, starts_wall="2026-06-09T18:00")
    db.session.commit()
    path = f"/organize/events/{event.id}/edit"
    opened = form_of(read(organizer.get(path)), "title_en")[1]
    for _time in range(2):
        assert organizer.post(path, data=opened | {"venue": "Park"}).status_code == 303
    shown = text(organizer.post(path, data=opened | {"capacity": "40"}))
    assert "You changed this in another window" in shown
    assert "It differs in: Place, Room for how many. " in shown


def test_an_answer_meanwhile_is_in_nobodys_way(organizer: Client, series: Event) -> None:
    for path, name in (
        (f"/organize/events/{series.id}/edit", "title_en"),
        (f"/organize/events/dates/{dates(series)[1].id}", "venue"),
    ):
        opened = form_of(read(organizer.get(path)), name)[1]
        make_rsvp(series, dates(series)[1])
        db.session.commit()
        assert organizer.post(path, data=opened | {"venue": "Park"}).status_code == 303


def test_a_date_and_a_shift_are_not_overwritten_unseen(organizer: Client, series: Event) -> None:
    shift = make_shift(series, starts_after_minutes=0)
    db.session.commit()
    for path, name, first, second in (
        (f"/organize/events/dates/{dates(series)[1].id}", "venue", {"venue": "A"}, {"venue": "B"}),
        (f"/organize/events/shifts/{shift.id}", "role", {"capacity": "4"}, {"minutes": "30"}),
    ):
        opened = form_of(read(organizer.get(path)), name)[1]
        assert organizer.post(path, data=opened | first).status_code == 303
        refused = organizer.post(path, data=opened | second)
        assert refused.status_code == 200
        assert "Nothing is saved yet" in text(refused)
    assert dates(series)[1].venue == "A"
    assert (shift.capacity, shift.duration_minutes) == (4, None)


def test_a_copy_opens_in_the_editor(organizer: Client, campaign: Campaign) -> None:
    event = make_event(campaign, starts_wall="2026-06-09T18:00")
    db.session.commit()
    response = organizer.submit(f"/organize/events/{event.id}", {}, form="copy")
    copy = db.session.scalars(select(Event).where(Event.id != event.id)).one()
    assert response.location == f"/organize/events/{copy.id}/edit"
    assert (copy.state, copy.title) == (EventState.DRAFT, event.title)
    assert "Save" in text(organizer.get(response.location))


# The list


def test_the_list_in_its_parts(organizer: Client, campaign: Campaign) -> None:
    soon = make_event(campaign, starts_in_days=2, title={"en": "Soon"}, capacity=9, kind="hearing")
    make_rsvp(soon, guests=1)
    make_event(campaign, starts_in_days=9, title={"en": "Later"})
    make_event(campaign, starts_in_days=-9, title={"en": "Long ago"})
    make_event(campaign, state="draft", title={"en": "Thought"}, published_at=None)
    make_event(campaign, state="cancelled", title={"en": "Off"})
    hidden = make_event(campaign, state="proposed", title={"en": "Unconfirmed"})
    make_host(hidden, is_proposer=True, state=HostState.INVITED)
    seen = make_event(campaign, state="proposed", title={"en": "Idea"})
    make_host(seen, is_proposer=True, name="Vera Volunteer")
    make_event(title={"en": "Of others"})
    db.session.commit()
    shown = text(organizer.get("/organize/events/"))
    assert shown.index("Soon") < shown.index("Later")
    assert "2 / 9" in " ".join(shown.split())
    for word in ("Long ago", "Thought", "Off", "Unconfirmed", "Idea", "Of others"):
        assert word not in shown
    for part, word in [
        ("past", "Long ago"),
        ("drafts", "Thought"),
        ("cancelled", "Off"),
        ("proposals", "Vera Volunteer"),
    ]:
        shown = text(organizer.get(f"/organize/events/?part={part}"))
        assert word in shown
        assert "Unconfirmed" not in shown
        assert "Soon" not in shown
    filtered = text(organizer.get("/organize/events/?kind=hearing&q=SOO"))
    assert "Soon" in filtered
    assert "Later" not in filtered
    assert "Nothing fits" in text(organizer.get("/organize/events/?q=zebra&kind=x&campaign=x"))


def test_a_long_list_has_pages(organizer: Client, campaign: Campaign) -> None:
    for number in range(53):
        make_event(campaign, starts_in_days=number + 1, title={"en": f"No. {number:03}"})
    db.session.commit()
    first = read(organizer.get("/organize/events/"))
    assert "No. 049" in first.text
    assert "No. 050" not in first.text
    following = next(url for url, _given in first.links if "after=" in url)
    second = read(organizer.get(following))
    assert "No. 050" in second.text
    assert "No. 049" not in second.text


def test_a_series_is_one_line(organizer: Client, campaign: Campaign) -> None:
    event = make_event(campaign, title={"en": "Planning"}, starts_wall="2026-06-09T18:00")
    make_occurrence(event, "2026-06-16T18:00")
    make_occurrence(event, "2026-06-23T18:00", state="removed")
    db.session.commit()
    shown = text(organizer.get("/organize/events/"))
    assert shown.count("Planning") == 1
    assert "and 1 date more" in shown


# One date


@pytest.fixture
def series(organizer: Client, campaign: Campaign) -> Event:
    db.session.commit()
    write(organizer, repeats="weekly", weekdays=["TU"], count="3", venue="Library")
    event = only()
    organizer.submit(f"/organize/events/{event.id}", {}, form="publish")
    return only()


def test_one_date_moves_is_cancelled_and_comes_back(organizer: Client, series: Event) -> None:
    first, second, third = dates(series)
    make_rsvp(series, second)
    db.session.commit()
    path = f"/organize/events/dates/{second.id}"
    moved = {
        "starts": "2026-06-17T10:00",
        "ends": "2026-06-17T11:00",
        "venue": "Park",
        "capacity": "8",
        "note_en": "Bring a chair.",
    }
    response = fill(organizer, path, "starts", moved)
    assert response.status_code == 303, text(response)
    db.session.refresh(second)
    assert (second.starts_wall, second.venue, second.is_changed) == (
        "2026-06-17T10:00",
        "Park",
        True,
    )
    assert (second.address, second.capacity) == (None, 8)
    assert "Changed" in text(organizer.get(f"/organize/events/{series.id}"))
    shown = text(fill(organizer, path, "starts", {"capacity": "0"}))
    assert "coming already" in shown
    organizer.submit(path, {"cancel-note_en": "Rain"}, form="cancel")
    db.session.refresh(second)
    assert (second.state, second.cancel_note) == ("cancelled", {"en": "Rain"})
    organizer.submit(path, {}, form="restore")
    db.session.refresh(second)
    assert second.state == "scheduled"
    organizer.submit(f"/organize/events/dates/{third.id}", {}, form="remove")
    db.session.refresh(third)
    assert third.state == "removed"
    refused = organizer.submit(path, {}, form="remove", follow_redirects=True)
    assert "People have answered this date." in text(refused)
    assert first.state == "scheduled"


def test_a_date_that_is_over_has_no_form(
    organizer: Client, series: Event, june: time_machine.Coordinates
) -> None:
    june.move_to(datetime(2026, 6, 10, 12, tzinfo=UTC))
    path = f"/organize/events/dates/{dates(series)[0].id}"
    log_in(
        organizer,
        make_member(db.session.get_one(Organization, series.organization_id)),
        db.session.get_one(Organization, series.organization_id),
    )
    page = read(organizer.get(path))
    assert "This date is over." in page.text
    assert not [
        form for form in page.forms if form["method"] == "post" and "dates" in form["action"]
    ]


# Shifts, hosts


def test_shifts_are_added_changed_taken_out_and_back(organizer: Client, series: Event) -> None:
    path = f"/organize/events/{series.id}/shifts"
    typed = {
        "role": "marshal",
        "name_en": "Doors",
        "starts_after": "15",
        "minutes": "30",
        "capacity": "2",
    }
    assert fill(organizer, path, "role", typed).status_code == 303
    shift = db.session.scalars(select(Shift)).one()
    assert (shift.role, shift.starts_after_minutes, shift.capacity) == ("marshal", 15, 2)
    assert "6:15" in text(organizer.get(path))
    for _n in range(2):
        make_rsvp(series, dates(series)[0], shift_id=shift.id)
    db.session.commit()
    at = f"/organize/events/shifts/{shift.id}"
    assert "2 people are coming already" in text(fill(organizer, at, "role", {"capacity": "1"}))
    fill(organizer, at, "role", {"capacity": "", "name_es": "Puertas"})
    db.session.refresh(shift)
    assert (shift.capacity, shift.name) == (None, {"en": "Doors", "es": "Puertas"})
    organizer.submit(path, {}, form="remove")
    assert db.session.scalars(select(Shift)).one().is_removed
    organizer.submit(path, {}, form="restore")
    assert not db.session.scalars(select(Shift)).one().is_removed


def test_partners_and_volunteers_are_asked(organizer: Client, series: Event) -> None:
    partner = make_partner(series.campaign).partner
    alone = make_partner(series.campaign).partner
    make_member(partner)
    db.session.commit()
    path = f"/organize/events/{series.id}/hosts"
    organizer.submit(path, {"partner": partner.id.hex}, form="partner")
    host = db.session.scalars(select(Host)).one()
    assert (host.partner_id, host.state) == (partner.id, HostState.INVITED)
    refused = organizer.submit(path, {"partner": alone.id.hex}, form="partner")
    assert "Nobody of this organization has an account yet." in text(refused)
    organizer.submit(path, {"name": "Vera", "email": "vera@example.org"}, form="volunteer")
    again = organizer.submit(path, {"name": "Vera", "email": "VERA@example.org"}, form="volunteer")
    assert "They are asked already." in text(again)
    assert "email address" in text(
        organizer.submit(path, {"name": "Vera", "email": "vera"}, form="volunteer")
    )
    organizer.submit(path, {}, form="/off")
    assert [row.state for row in db.session.scalars(select(Host).order_by(Host.id))] == [
        HostState.REMOVED,
        HostState.INVITED,
    ]
    organizer.submit(path, {}, form="/back")
    assert db.session.scalars(select(Host).order_by(Host.id)).first().state == HostState.INVITED  # type: ignore[union-attr]


# Who may


def test_a_viewer_sees_and_changes_nothing(
    client: Client, organization: Organization, campaign: Campaign
) -> None:
    event = make_event(campaign)
    make_rsvp(event, first_name="Secret", last_name="Name")
    log_in(client, make_member(organization, Role.VIEWER), organization)
    page = read(client.get(f"/organize/events/{event.id}"))
    assert "Secret" not in page.text
    assert not [
        form for form in page.forms if form["method"] == "post" and "/events/" in form["action"]
    ]
    assert client.get(f"/organize/events/{event.id}/edit").status_code == 403
    assert client.get("/organize/events/new").status_code == 403
    assert "New event" not in text(client.get("/organize/events/"))


def test_spanish_reads_spanish(organizer: Client, series: Event) -> None:
    assert occurrence_of(series)
    shown = text(organizer.get(f"/organize/events/{series.id}?lang=es"))
    assert "Cada semana: martes, 3 veces" in shown
    shown = text(organizer.get("/organize/events/new?lang=es"))
    assert "Empieza" in shown
