"""The door, the sheets and the report as pages; what phones send; what strangers hold."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.checkin import queries
from campaign.checkin.models import CameAnswer, HeadCount, SignIn, SignInWay
from campaign.db import Words, db
from campaign.events.models import Event, Occurrence, Rsvp, RsvpState
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people.models import ConsentWording
from campaign.web.links import checkin_token, rsvp_token
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.checkin import make_came_answer, make_head_count, make_sign_in
from tests.factories.events import make_event, make_occurrence, make_rsvp, occurrence_of
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.pdfs import pages_of

KEY = "key-0123456789"


@pytest.fixture
def event(app: Flask) -> Event:
    campaign = make_campaign(make_organization(slug="stop-test"))
    make_partner(campaign, make_organization(slug="nurses-test"))
    return make_event(campaign, starts_in_days=0)


def enter(client: Client, event: Event, role: Role = Role.DATA_ENTRY) -> None:
    organization = db.session.get_one(Organization, event.organization_id)
    log_in(client, make_member(organization, role), organization)


def door(event: Event, rest: str = "") -> str:
    return f"/organize/checkin/{occurrence_of(event).id}{rest}"


def token_on(client: Client, path: str) -> str:
    html = client.get(path).get_data(as_text=True)
    return re.findall(r'name="csrf-token" content="([^"]+)"', html)[0]


def sync(client: Client, event: Event, *pressed: dict[str, Any], **more: Any) -> Any:
    body = {"sent": clock.now().timestamp() * 1000, "pressed": list(pressed)} | more
    token = token_on(client, door(event))
    return client.post(door(event, "/sync"), json=body, headers={"X-CSRF-Token": token})


def press(rsvp: Rsvp, what: str = "in", key: str = KEY, **more: Any) -> dict[str, Any]:
    at = clock.now().timestamp() * 1000
    return {
        "do": what,
        "rsvp": rsvp.id.hex,
        "key": key,
        "at": at,
        "guests": 1,
        "way": "list",
    } | more


# --- the door ----------------------------------------------------------------------------------


def test_the_door_lists_who_may_come_and_finds_others(client: Client, event: Event) -> None:
    make_rsvp(event, first_name="José", last_name="Peña")
    make_rsvp(event, first_name="Declan", state=RsvpState.DECLINED)
    enter(client, event)
    text = read(client.get(door(event))).text
    assert "José Peña" in text
    assert "Declan" not in text
    assert "Declan" in read(client.get(door(event, "?q=declan"))).text
    assert "Peña" in read(client.get(door(event, "?q=pena jose"))).text
    assert "Nobody fits" in read(client.get(door(event, "?q=%00zzz"))).text


def test_only_the_door_may_ask_for_the_camera(client: Client, event: Event) -> None:
    enter(client, event)
    assert "camera=(self)" in client.get(door(event)).headers["Permissions-Policy"]
    assert "camera=()" in client.get(door(event, "/report")).headers["Permissions-Policy"]


def test_looking_at_the_names_is_noted_once_an_hour(client: Client, event: Event) -> None:
    enter(client, event)
    client.get(door(event))
    client.get(door(event))
    client.get(door(event, "/sheet.pdf?names=1"))
    entries = db.session.scalars(select(AuditEntry.action)).all()
    assert entries.count(queries.DOOR_LISTED) == 1


def test_signing_in_and_undoing_without_a_script(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event, guests=2)
    enter(client, event)
    response = client.submit(door(event), {"guests": "1"}, form="/sign-in", follow_redirects=True)
    assert "Signed in." in read(response).text
    row = db.session.scalars(select(SignIn)).one()
    assert (row.rsvp_id, row.guests, row.way) == (rsvp.id, 1, SignInWay.LIST)
    client.submit(door(event), {}, form=f"/{occurrence_of(event).id}/undo")
    assert db.session.scalars(select(SignIn)).one().is_undone


@pytest.mark.parametrize("guests", ["", "-1", "many", "9999", "²", "\x00"])
def test_a_strange_number_of_guests_means_as_many_as_they_said(
    client: Client, event: Event, guests: str
) -> None:
    make_rsvp(event, guests=2)
    enter(client, event)
    client.submit(door(event), {"guests": guests}, form="/sign-in")
    assert db.session.scalars(select(SignIn.guests)).one() == 2


def test_an_answer_to_another_date_is_unknown_here(client: Client, event: Event) -> None:
    other = make_rsvp(make_event(event.campaign))
    make_rsvp(event)
    enter(client, event)
    response = client.submit(door(event), {"rsvp": other.id.hex}, form="/sign-in")
    assert response.status_code == 404
    assert db.session.scalars(select(SignIn)).all() == []


# --- what a phone sends ------------------------------------------------------------------------


def test_a_phone_is_told_what_became_of_it_and_who_is_here(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    enter(client, event)
    answer = sync(client, event, press(rsvp)).get_json()
    assert answer["done"] == {KEY: "signed-in"}
    assert answer["numbers"] == {"here": 2, "said": 1, "heads": None}
    assert answer["here"][rsvp.id.hex]["key"] == KEY
    again = sync(client, event, press(rsvp), press(rsvp, "out")).get_json()
    assert again["done"] == {KEY: "undone"}
    assert again["here"] == {}
    state = client.get(door(event, "/state.json"))
    assert state.get_json()["here"] == {}
    assert "Maria" not in sync(client, event, press(rsvp, key="key-two-two")).get_data(as_text=True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"sent": 1},
        {"pressed": []},
        {"sent": "x", "pressed": []},
        {"sent": 1, "pressed": [{}]},
        {"sent": 1, "pressed": [{"do": "in", "rsvp": "x", "key": "k", "at": 1}]},
        {"sent": 1, "pressed": [{"do": "in", "rsvp": None, "key": [], "at": {}}]},
        {"sent": 1e400, "pressed": [1] * 501},
        {
            "sent": 1,
            "pressed": [{"do": "in", "rsvp": "0" * 32, "key": KEY, "at": 1, "guests": "\x00"}],
        },
    ],
)
def test_what_no_phone_of_ours_sends_is_refused(client: Client, event: Event, body: Any) -> None:
    enter(client, event)
    token = token_on(client, door(event))
    headers = {"X-CSRF-Token": token}
    response = client.post(door(event, "/sync"), json=body, headers=headers)
    assert response.status_code == 400
    assert client.post(door(event, "/sync"), data=b"\xff", headers=headers).status_code == 400
    assert db.session.scalars(select(SignIn)).all() == []


def test_odd_values_in_a_right_shape_harm_nobody(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    enter(client, event)
    answer = sync(
        client,
        event,
        press(rsvp, key="k" * 500),
        press(rsvp, key="key-right-one", guests=10**9, at=1e300, way="\x00"),
    ).get_json()
    assert answer["done"] == {"k" * 500: "refused", "key-right-one": "signed-in"}
    assert db.session.scalars(select(SignIn)).one().guests == 50


def test_an_answer_of_somebody_else_is_refused(client: Client, event: Event) -> None:
    foreign = make_rsvp(make_event())
    enter(client, event)
    assert sync(client, event, press(foreign)).get_json()["done"] == {KEY: "refused"}
    assert db.session.scalars(select(SignIn)).all() == []


def test_a_sync_without_the_token_changes_nothing(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    enter(client, event)
    body = {"sent": 1, "pressed": [press(rsvp)]}
    assert client.post(door(event, "/sync"), json=body).status_code == 400
    assert db.session.scalars(select(SignIn)).all() == []


# --- walking in, sheets ------------------------------------------------------------------------


def test_a_walk_in_agrees_in_the_words_shown(client: Client, event: Event) -> None:
    enter(client, event)
    html = client.get(door(event, "/walk-in")).get_data(as_text=True)
    mark = re.findall(r'name="consent-nurses-test" value="([^"]+)"', html)[0]
    assert "checked" not in html.split("<main")[1].split("</main")[0]
    client.submit(
        door(event, "/walk-in"),
        {"first_name": "Hazel", "email": "hazel@example.org", "consent-nurses-test": mark},
    )
    row = db.session.scalars(select(SignIn)).one()
    wording = db.session.scalars(select(ConsentWording)).one()
    assert list(row.wordings.values()) == [wording.id.hex]
    assert (row.name, row.way, row.email) == ("Hazel", SignInWay.DOOR, "hazel@example.org")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"first_name": ""}, "first name"),
        ({"consent-nurses-test": "on"}, "write the address"),
        (
            {"consent-nurses-test": "0123456789abcdef", "email": "h@example.org"},
            "words have changed",
        ),
        ({"email": "no address"}, "email address"),
        ({"postal_code": "??"}, "ZIP code"),
        ({"guests": "400"}, "0 to 50"),
        ({"guests": "some"}, "whole number"),
        ({"first_name": "Ha\u0000zel"}, "characters"),
        ({"first_name": "Hazel\u202e"}, "direction"),
    ],
)
def test_mistakes_at_the_door_are_said_and_nothing_is_lost(
    client: Client, event: Event, data: dict[str, str], message: str
) -> None:
    enter(client, event)
    page = read(
        client.submit(door(event, "/walk-in"), {"first_name": "Hazel", "last_name": "Quinn"} | data)
    )
    assert message in page.text
    assert "Quinn" in str(page.forms)
    assert db.session.scalars(select(SignIn)).all() == []


def test_a_sheet_is_typed_in_line_by_line(client: Client, event: Event) -> None:
    enter(client, event)
    response = client.submit(
        door(event, "/enter?sheet=2&line=14"), {"first_name": "Ola"}, follow_redirects=True
    )
    assert "Line 2/14 is kept." in read(response).text
    assert response.request.args["line"] == "15"
    last = client.submit(door(event, "/enter?sheet=2&line=15"), {"first_name": "Per"})
    assert "sheet=3" in last.location
    assert "line=1" in last.location
    page = read(client.submit(door(event, "/enter?sheet=2&line=14"), {"first_name": "Ida"}))
    assert "This line is entered already." in page.text
    assert "Ola" in page.text
    page = read(client.submit(door(event, "/enter?sheet=3&line=1"), {"first_name": "Ola"}))
    assert "Signed in already?" in page.text
    assert len(db.session.scalars(select(SignIn)).all()) == 2


@pytest.mark.parametrize("query", ["sheet=0", "sheet=%00", "line=²", "sheet=99999", "language=xx"])
def test_odd_places_on_a_sheet_begin_at_the_first(client: Client, event: Event, query: str) -> None:
    enter(client, event)
    assert client.get(door(event, f"/enter?{query}")).status_code == 200


@pytest.mark.parametrize("language", ["en", "es"])
def test_sheets_are_numbered_and_alike_for_alike_input(
    client: Client, event: Event, language: str
) -> None:
    make_rsvp(event, first_name="Nguyễn", last_name="Thị Hoa")
    enter(client, event)
    with time_machine.travel(clock.now(), tick=False):
        one = client.get(door(event, f"/sheet.pdf?language={language}&sheets=2&names=1"))
        two = client.get(door(event, f"/sheet.pdf?language={language}&sheets=2&names=1"))
    assert one.data.startswith(b"%PDF")
    assert one.data == two.data
    assert one.data.count(b"/Type /Page\n") == 3


def test_the_door_is_found_from_the_events_and_stands_among_them(
    client: Client, event: Event
) -> None:
    enter(client, event)
    assert 'href="/organize/checkin/"' in client.get("/organize/events/").get_data(as_text=True)
    for path in (door(event), "/organize/checkin/"):
        html = client.get(path).get_data(as_text=True)
        assert '<a href="/organize/events/" aria-current="page">' in html


@pytest.mark.parametrize("language", ["en", "es"])
def test_long_names_leave_a_sheet_on_its_one_page(
    client: Client, event: Event, language: str
) -> None:
    event.title = Words(en="A long evening of candles and names at Woodlawn " * 3)
    for _row in range(5):
        make_rsvp(event, first_name="Bartholomew", last_name="Featherstonehaugh-Kowalczyk")
    enter(client, event)
    pages = pages_of(
        client.get(door(event, f"/sheet.pdf?language={language}&sheets=2&names=1")).data
    )
    assert len(pages) == 3
    assert all("15" in page.split("\n") for page in pages)
    assert "Featherstonehaugh-Kowalczyk" in pages[0]


def test_the_form_leads_to_the_pdf(client: Client, event: Event) -> None:
    enter(client, event)
    response = client.submit(door(event, "/sheets"), {"sheets": "4", "language": "es"})
    assert "sheet.pdf" in response.location
    assert "sheets=4" in response.location
    page = read(client.submit(door(event, "/sheets"), {"sheets": "5000"}))
    assert "1 to 50" in page.text


# --- codes -------------------------------------------------------------------------------------


def scan(rsvp: Rsvp) -> str:
    return f"/organize/checkin/scan/{checkin_token(rsvp.id)}"


def test_a_scanned_code_shows_who_and_signs_in_by_the_button(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event, guests=2)
    enter(client, event)
    assert "Maria R. and 2 guests" in read(client.get(scan(rsvp))).text
    response = client.submit(scan(rsvp), {}, follow_redirects=True)
    assert "Signed in" in read(response).text
    row = db.session.scalars(select(SignIn)).one()
    assert (row.way, row.guests, row.is_undone) == (SignInWay.QR, 2, False)
    assert "Signed in already" in read(client.get(scan(rsvp))).text


def test_another_events_code_says_so(client: Client, event: Event) -> None:
    other = make_rsvp(make_event(event.campaign, starts_in_days=0))
    elsewhere = make_rsvp(make_event(event.campaign, starts_in_days=9))
    enter(client, event)
    here = occurrence_of(event).id.hex
    assert "for another event" in read(client.get(f"{scan(other)}?at={here}")).text
    assert "for another day" in read(client.get(scan(elsewhere))).text


def test_another_organization_knows_no_such_code(client: Client, event: Event) -> None:
    stranger = make_event()
    rsvp = make_rsvp(event)
    enter(client, stranger)
    assert client.get(scan(rsvp)).status_code == 404


def test_one_token_is_not_the_other(client: Client, event: Event) -> None:
    """The code on the screen opens no answer, and the link of the e-mail is no code."""
    rsvp = make_rsvp(event)
    enter(client, event)
    assert client.get(f"/rsvp/{checkin_token(rsvp.id)}").status_code == 404
    assert client.get(f"/organize/checkin/scan/{rsvp_token(rsvp.id)}").status_code == 404
    assert client.get("/organize/checkin/scan/forged").status_code == 404


def test_the_answers_page_shows_the_code_of_the_door(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    token = rsvp_token(rsvp.id)
    for path in (f"/rsvp/{token}/code", f"/rsvp/{token}/code.svg"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
    assert client.get("/rsvp/forged/code.svg").status_code == 404


# --- heads and the report ----------------------------------------------------------------------


def test_heads_are_counted_removed_and_brought_back(client: Client, event: Event) -> None:
    enter(client, event)
    path = door(event, "/heads")
    response = client.submit(path, {"count": "1,412", "note": "at dusk"}, follow_redirects=True)
    assert "1,412" in read(response).text
    row = db.session.scalars(select(HeadCount)).one()
    response = client.submit(path, {}, form=f"{row.id}/remove", follow_redirects=True)
    assert "Nothing yet" in read(response).text
    undo = next(form for form in read(response).forms if "restore" in form["action"])
    client.post(undo["action"], data=dict(undo["fields"]))
    assert "1,412" in read(client.get(path)).text
    for wrong in ("", "-4", "many", "99999999999"):
        assert client.submit(path, {"count": wrong}).status_code == 200
    assert len(db.session.scalars(select(HeadCount)).all()) == 1


def test_no_page_of_the_door_takes_a_picture(client: Client, event: Event) -> None:
    enter(client, event)
    for rest in ("", "/heads", "/walk-in", "/enter", "/sheets", "/report"):
        assert 'type="file"' not in client.get(door(event, rest)).get_data(as_text=True)


def test_who_signed_in_is_asked_how_it_was(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    make_sign_in(event, rsvp)
    address = f"/rsvp/{rsvp_token(rsvp.id)}/came"
    with time_machine.travel(rsvp.occurrence.ends_at, tick=False):
        page = read(client.get(address))
        assert dict(page.forms[0]["fields"])["came"] == "yes"
        assert "How was it?" in page.text
        assert "count you as having come" in page.text


def test_the_report_cites_each_number_by_its_own_name(client: Client, event: Event) -> None:
    for _one in range(3):
        make_rsvp(event, source="flyer")
    make_sign_in(event, guests=411)
    make_head_count(event, 430)
    make_came_answer(make_rsvp(event), feedback="It was warm.")
    enter(client, event, Role.ORGANIZER)
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        enter(client, event, Role.ORGANIZER)
        for path in (door(event, "/report"), door(event, "/report?view=print")):
            text = read(client.get(path)).text
            assert "412 people signed in at" in text
            assert "We counted 430 people" in text
        text = read(client.get(door(event, "/report"))).text
        assert "It was warm." in text
        assert "flyer" in text
        assert "1 person told us they came" in text


def test_a_viewer_reads_numbers_and_no_words(client: Client, event: Event) -> None:
    make_came_answer(make_rsvp(event), feedback="I live on Ellis Avenue.")
    make_sign_in(event)
    enter(client, event, Role.VIEWER)
    text = read(client.get(door(event, "/report"))).text
    assert "Ellis" not in text
    assert client.get(door(event)).status_code == 403


def test_nothing_is_cited_where_nobody_counted(client: Client, event: Event) -> None:
    make_rsvp(event)
    event_date = occurrence_of(event)
    with time_machine.travel(event_date.ends_at + timedelta(hours=1), tick=False):
        enter(client, event, Role.ORGANIZER)
        text = read(client.get(door(event, "/report"))).text
    assert "Nothing can be cited yet" in text
    assert "nobody counts as missing" in text


def test_before_it_begins_the_report_is_a_forecast(client: Client, app: Flask) -> None:
    event = make_event(make_campaign(make_organization()), starts_in_days=5)
    for _one in range(10):
        make_rsvp(event)
    enter(client, event, Role.ORGANIZER)
    path = door(event, "/report")
    assert "6 of 10" in read(client.get(path)).text
    client.submit(path, {"count": "80"}, form="/expect")
    assert db.session.scalars(select(Occurrence.expected_count)).one() == 80
    assert "will come, you think" in read(client.get(path)).text
    client.submit(path, {"count": ""}, form="/expect")
    assert db.session.scalars(select(Occurrence.expected_count)).one() is None


def test_the_event_leads_to_todays_date(client: Client, event: Event) -> None:
    make_occurrence(event, "2030-01-01T18:00")
    enter(client, event)
    assert client.get(f"/organize/checkin/event/{event.id}").location == door(event)
    report = client.get(f"/organize/checkin/event/{event.id}/report").location
    assert report == door(event, "/report")


# --- did you come? -----------------------------------------------------------------------------


def test_telling_afterwards_and_changing_ones_mind(client: Client, app: Flask) -> None:
    rsvp = make_rsvp(make_event(starts_in_days=-1), language="es")
    db.session.commit()
    path = f"/rsvp/{rsvp_token(rsvp.id)}/came"
    assert "¿Vino usted?" in read(client.get(path)).text or "Vino" in read(client.get(path)).text
    assert db.session.scalars(select(CameAnswer)).all() == []
    client.submit(path, {"came": "yes", "feedback": "Estuvo bien."})
    client.submit(path, {"came": "no"})
    row = db.session.scalars(select(CameAnswer)).one()
    assert (row.has_come, row.feedback) == (False, "Estuvo bien.")
    assert client.submit(path, {"came": "perhaps"}).status_code == 200
    assert client.submit(path, {"came": None}).status_code == 200
    assert db.session.scalars(select(CameAnswer.has_come)).one() is False


def test_before_the_event_nobody_is_asked(client: Client, app: Flask) -> None:
    rsvp = make_rsvp(make_event(starts_in_days=3))
    db.session.commit()
    path = f"/rsvp/{rsvp_token(rsvp.id)}/came"
    assert "has not begun yet" in read(client.get(path)).text
    assert client.get("/rsvp/forged/came").status_code == 404


def test_an_erased_answer_is_gone(client: Client, app: Flask) -> None:
    rsvp = make_rsvp(make_event(), first_name="", email=None)
    db.session.commit()
    for page in ("came", "code", "code.svg"):
        assert client.get(f"/rsvp/{rsvp_token(rsvp.id)}/{page}").status_code == 410
