"""The calendar: what it lists, what it keeps to itself, its feeds, and how it looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask
from playwright.sync_api import Page, Route
from werkzeug.test import EnvironBuilder, run_wsgi_app

from campaign import clock
from campaign.campaigns.models import CampaignState
from campaign.db import Words, db
from campaign.events import agenda, feeds
from campaign.events.models import EventState, HostState, Occurrence, OccurrenceState
from tests.browsers import axe, fits
from tests.conftest import Client
from tests.events.test_feeds import read as parsed
from tests.factories.campaigns import make_campaign, make_wards
from tests.factories.events import make_event, make_host, make_occurrence, occurrence_of
from tests.factories.organizations import make_organization
from tests.factories.trees import tree

NOW = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_noon(app: Flask) -> Any:
    """A Wednesday at noon in Chicago, and no page kept from another test."""
    app.extensions["pages"].clear()
    with time_machine.travel(NOW, tick=False):
        yield


def titled(title: str, **values: Any) -> Any:
    return make_event(title=Words(en=title), **values)


def shown(client: Client, query: str = "") -> list[str]:
    """The titles of a calendar's list, in its order."""
    client.application.extensions["pages"].clear()
    answer = client.get(f"/e/{query}")
    assert answer.status_code == 200
    return [row.text for row in tree(answer).all("h3")]


# --- the list ----------------------------------------------------------------------------------


def test_dates_come_in_order_under_their_day(client: Client) -> None:
    titled("Later", starts_wall="2026-12-09T18:00")
    titled("Evening", starts_wall="2026-12-01T18:00")
    titled("Morning", starts_wall="2026-12-01T09:00", kind="meeting")
    titled("Next year", starts_wall="2027-01-04T18:00")
    db.session.commit()
    assert shown(client) == ["Morning", "Evening", "Later", "Next year"]
    page = tree(client.get("/e/"))
    days = [row.text for row in page.all("h2") if row.get("id").startswith("day-")]
    assert days == [
        "Tuesday, December 1",
        "Wednesday, December 9",
        "Monday, January 4, 2027",
    ]
    assert "Meeting · Woodlawn Clinic, Chicago" in page.text
    assert "9:00 AM – 10:30 AM CST" in page.text.replace("\u202f", " ")


def test_a_date_goes_to_its_event_on_that_day(client: Client) -> None:
    make_event(slug="vigil", starts_wall="2026-12-01T18:00")
    db.session.commit()
    links = [a["href"] for row in tree(client.get("/e/")).all("h3") for a in row.all("a")]
    assert [parse_qs(urlsplit(link).query)["on"][0] for link in links] == ["2026-12-01T18:00"]
    assert {urlsplit(link).path for link in links} == {"/e/vigil"}


def test_a_series_stands_in_the_list_once_and_in_the_month_with_all_its_dates(
    client: Client,
) -> None:
    series = titled("Weekly", starts_wall="2026-11-24T18:00", recurrence={}, slug="weekly")
    for day in ("2026-12-01", "2026-12-08", "2026-12-15", "2026-12-22"):
        make_occurrence(series, f"{day}T18:00")
    make_occurrence(series, "2026-12-29T18:00", state=OccurrenceState.CANCELLED)
    titled("Once", starts_wall="2026-12-03T18:00")
    db.session.commit()
    assert shown(client) == ["Weekly", "Once"]
    page = tree(client.get("/e/"))
    more = next(a for a in page.all("a") if "more date" in a.text)
    assert more.text == "and 3 more dates: Weekly"
    assert more["href"] == "/e/weekly?on=2026-12-01T18:00#dates"
    assert 'id="dates"' in client.get("/e/weekly?on=2026-12-01T18:00").text
    assert shown(client, "?from=2026-12-20") == ["Weekly"]
    assert shown(client, "?from=2026-12-23") == ["Weekly Cancelled"]
    month = tree(client.get("/e/?month=2026-12"))
    assert [row.text for row in month.all("h3")].count("Weekly") == 4


def test_today_is_counted_where_whoever_the_calendar_is_of_lives(
    client: Client, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = make_organization(slug="far", name="Far", time_zone="Pacific/Auckland")
    campaign = make_campaign(far, slug="far-away")
    make_event(campaign, starts_wall="2026-11-30T18:00", zone="Pacific/Auckland")
    make_event(starts_wall="2026-11-30T18:00")
    db.session.commit()

    def today(query: str) -> str:
        app.extensions["pages"].clear()
        cell = next(
            row for row in tree(client.get(f"/e/?month=2026-11{query}")).all("td")
            if "today" in str(row.get("class"))
        )  # fmt: skip
        return cell.all("time")[0].text

    assert today("") == "25"
    assert today("&campaign=far-away") == today("&organization=far") == "26"
    own = replace(app.extensions["settings"], time_zone="Pacific/Auckland")
    monkeypatch.setitem(app.extensions, "settings", own)
    assert today("") == "26"


def test_only_what_is_public_is_listed(client: Client) -> None:
    titled("Draft", state=EventState.DRAFT)
    titled("Proposed", state=EventState.PROPOSED)
    titled("Of a draft campaign", campaign=make_campaign(state=CampaignState.DRAFT))
    over = titled("Over", starts_wall="2026-11-25T08:00", duration_minutes=60)
    removed = titled("Removed")
    occurrence_of(removed).state = OccurrenceState.REMOVED
    titled("Running now", starts_wall="2026-11-25T11:30")
    db.session.commit()
    assert shown(client) == ["Running now"]
    feed = client.get("/e/calendar.ics").get_data(as_text=True)
    for word in ("Draft", "Proposed", "draft campaign", "Removed"):
        assert word not in feed
    assert str(over.id) in feed  # for a month: somebody may look up when it was


def test_a_cancelled_date_is_struck_out_and_says_so(client: Client) -> None:
    titled("Called off", state=EventState.CANCELLED)
    event = titled("One of two")
    occurrence_of(event).state = OccurrenceState.CANCELLED
    db.session.commit()
    assert shown(client) == ["Called off Cancelled", "One of two Cancelled"]
    assert len(tree(client.get("/e/")).all("s")) == 2


def test_a_hidden_address_stays_hidden(client: Client) -> None:
    event = titled("House meeting", address_visibility="coming", venue="Ana's living room",
                   address="12 Secret St", postal_code="60637",
                   starts_wall="2026-12-01T18:00")  # fmt: skip
    event.is_online, event.online_url = True, "https://meet.example/secret"
    db.session.commit()
    for path in ("/e/", "/e/?month=2026-12", "/e/calendar.ics", f"/e/{event.slug}.ics", "/"):
        text = client.get(path).get_data(as_text=True)
        assert "House meeting" in text
        for secret in ("Secret", "secret", "living room", "60637"):
            assert secret not in text, path
    assert "We send the exact place to people who come." in client.get("/e/").get_data(as_text=True)
    links = feeds.links_for(occurrence_of(event), "en")
    assert not any("secret" in link.lower() for link in links.values())


def test_a_full_room_says_so(client: Client) -> None:
    make_event(title=Words(en="Full"), capacity=1)
    event = make_event(title=Words(en="Free"), capacity=2)
    for one in (occurrence_of(event), db.session.query(Occurrence).first()):
        assert one is not None
        one.taken_count = 1
    db.session.commit()
    assert sorted(shown(client)) == ["Free", "Full Full"]


def test_pages_hold_thirty_and_lose_none(client: Client) -> None:
    campaign = make_campaign()
    for n in range(70):
        make_event(campaign, starts_wall=f"2026-12-{1 + n // 24:02}T{n % 24:02}:00")
    db.session.commit()
    seen: list[str] = []
    path: str | None = "/e/"
    for expected in (30, 30, 10):
        page = tree(client.get(str(path)))
        links = [a["href"] for row in page.all("h3") for a in row.all("a")]
        assert len(links) == expected
        seen += links
        path = next((a["href"] for a in page.all("a") if a.text == "Later dates"), None)
    assert path is None
    assert len(set(seen)) == 70


def test_from_a_day_on(client: Client) -> None:
    titled("First", starts_wall="2026-12-01T18:00")
    titled("Second", starts_wall="2026-12-05T18:00")
    db.session.commit()
    assert shown(client, "?from=2026-12-02") == ["Second"]


# --- narrowing it down -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?campaign=save-it", ["A vigil"]),
        ("?campaign=nobody-knows", []),
        ("?kind=hearing", ["A hearing"]),
        ("?organization=nurses", ["A call", "A hearing"]),
        ("?organization=stop", ["A vigil"]),
        ("?spoken=es", ["A vigil", "A call"]),
        ("?access=captions", ["A hearing"]),
        ("?access=captions&access=step-free", ["A hearing"]),
        ("?access=step-free", ["A vigil", "A hearing"]),
        ("?access=captions&access=food", []),
        ("?way=online", ["A call"]),
        ("?way=place", ["A vigil", "A hearing"]),
        ("?near=60637&km=5", ["A vigil"]),
        ("?near=60637-1234&km=25", ["A vigil", "A hearing"]),
        ("?near=60637&km=50&kind=vigil&spoken=es", ["A vigil"]),
    ],
)
def test_it_can_be_narrowed_down(client: Client, query: str, found: list[str]) -> None:
    make_wards()
    stop, nurses = make_organization(slug="stop"), make_organization(slug="nurses")
    titled("A vigil", campaign=make_campaign(stop, slug="save-it"), languages=["en", "es"],
           access=["step-free"], starts_in_days=1)  # fmt: skip
    hearing = titled("A hearing", kind="hearing", campaign=make_campaign(), starts_in_days=3,
                     access=["captions", "step-free"], languages=["en"], postal_code="60601",
                     latitude=41.8838, longitude=-87.6319)  # fmt: skip
    make_host(hearing, partner_id=nurses.id, state=HostState.ACTIVE)
    not_yet = titled("Invited", starts_wall="2026-11-20T18:00")
    make_host(not_yet, partner_id=nurses.id, state=HostState.INVITED)
    titled("A call", kind="phone-bank", campaign=make_campaign(nurses), languages=["es"],
           is_online=True, venue="", address="", city="", postal_code="",
           starts_in_days=2)  # fmt: skip
    db.session.commit()
    assert sorted(shown(client, query)) == sorted(found)


def test_what_narrows_it_can_be_taken_away_one_by_one(client: Client) -> None:
    make_wards()
    make_event(kind="vigil")
    db.session.commit()
    page = tree(client.get("/e/?kind=vigil&near=60637&km=5&access=food&access=parking&spoken=es"))
    chips = next(row for row in page.all("ul") if row.get("class") == "chips")
    names = [link.text for link in chips.all("a")]
    assert names == [
        "Vigil × remove",
        "Within 5 km of 60637 × remove",
        "Español × remove",
        "Food × remove",
        "Parking × remove",
        "Show everything",
    ]
    without = chips.all("a")[0]["href"]
    assert "kind=" not in without
    assert "near=60637" in without
    assert "access=food" in without


def test_an_unknown_postal_code_is_said_at_its_field_and_kept(client: Client) -> None:
    make_wards()
    titled("A vigil")
    db.session.commit()
    page = tree(client.get("/e/?near=99999"))
    field = next(row for row in page.all("input") if row.get("id") == "near")
    assert field["value"] == "99999"
    assert field["aria-invalid"] == "true"
    assert "We do not know this ZIP code. Please check it." in page.text
    assert "A vigil" in page.text
    spanish = client.get("/e/?near=99999&lang=es").get_data(as_text=True)
    assert "No conocemos este código postal. Revíselo, por favor." in spanish


@pytest.mark.parametrize(
    "query",
    [
        "kind=%00",
        "kind=<script>",
        "campaign=%00",
        "campaign=' OR 1=1",
        "organization=" + "x" * 5000,
        "near=%00%00",
        "near=" + "9" * 5000,
        "near=%E2%80%AE60637",
        "km=999999",
        "km=-5",
        "access=%22",
        "access=" + "&access=".join(["food"] * 200),
        "month=2026-13",
        "month=9999-12",
        "month=0001-01",
        "month=%EF%BC%92026-12",
        "from=2026-02-30",
        "from=9999-12-31",
        "after=1",
        "after=9999999999-00000000000000000000000000000000",
        "after=" + "9" * 400,
        "way=upward",
        "spoken=%25",
        "lang=xx",
        "kind=vigil&kind=hearing",
    ],
)
def test_odd_questions_get_a_page(client: Client, query: str) -> None:
    titled("A vigil")
    db.session.commit()
    assert client.get(f"/e/?{query}").status_code == 200


def test_an_empty_calendar_says_what_to_do(client: Client) -> None:
    text = tree(client.get("/e/")).text
    assert "Nothing is planned right now" in text
    assert "See the campaigns" in text
    titled("A vigil")
    db.session.commit()
    client.application.extensions["pages"].clear()
    text = tree(client.get("/e/?kind=hearing")).text
    assert "No dates like that" in text
    assert "Show everything" in text
    assert "No later dates" in tree(client.get("/e/?from=2030-01-01")).text


# --- the month ---------------------------------------------------------------------------------


def test_a_month_has_each_date_on_its_local_day(client: Client) -> None:
    titled("On the first", starts_wall="2026-12-01T00:30")
    titled("On the last", starts_wall="2026-12-31T23:30")
    titled("In January", starts_wall="2027-01-01T00:00")
    titled("In Sydney", starts_wall="2026-12-01T06:00", zone="Australia/Sydney")
    titled("Off", starts_wall="2026-12-10T18:00", state=EventState.CANCELLED)
    db.session.commit()
    page = tree(client.get("/e/?month=2026-12"))
    cells = {
        cell.all("time")[0]["datetime"]: cell.text for cell in page.all("td") if cell.all("time")
    }
    assert len(cells) == 31
    assert "On the first" in cells["2026-12-01"]
    assert "In Sydney" in cells["2026-12-01"]
    assert "On the last" in cells["2026-12-31"]
    assert "Off Cancelled" in cells["2026-12-10"]
    assert "In January" not in page.text
    links = {a.text: a["href"] for a in page.all("a")}
    assert "month=2027-01" in links["Next month"]
    assert "month=2026-11" in links["Month before"]


def test_nobody_pages_on_for_ever(client: Client) -> None:
    titled("The last one", starts_wall="2026-12-10T18:00")
    db.session.commit()
    text = tree(client.get("/e/?month=2026-12")).text
    assert "Next month" not in text
    text = tree(client.get("/e/?month=2026-11")).text
    assert "Month before" not in text
    assert "Next month" in text


def test_a_crowded_day_names_four_and_counts_the_rest(client: Client) -> None:
    for n in range(9):
        titled(f"Number {n}", starts_wall=f"2026-12-05T{10 + n}:00")
    db.session.commit()
    page = tree(client.get("/e/?month=2026-12"))
    cell = next(
        cell for cell in page.all("td") if cell.all("time") and cell.all("time")[0].text == "5"
    )
    assert "9 dates, Saturday, December 5" in cell.text
    assert "Number 3" in cell.text
    assert "Number 4" not in cell.text
    more = next(a for a in cell.all("a") if a.text == "5 more")
    assert "from=2026-12-05" in more["href"]


def test_a_month_is_narrowed_down_like_the_list(client: Client) -> None:
    titled("A vigil", starts_wall="2026-12-05T10:00")
    titled("A hearing", kind="hearing", starts_wall="2026-12-05T11:00")
    db.session.commit()
    text = client.get("/e/?month=2026-12&kind=hearing").get_data(as_text=True)
    assert "A hearing" in text
    assert "A vigil" not in text


# --- for everybody alike -----------------------------------------------------------------------


def test_the_page_sets_no_cookie_and_is_rendered_once_for_all(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    titled("A vigil")
    db.session.commit()
    first = client.get("/e/")
    monkeypatch.setattr(agenda, "upcoming", None)
    again = client.get("/e/")
    assert first.data == again.data
    assert "Set-Cookie" not in first.headers
    assert client.get("/e/", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_spanish_keeps_the_question(client: Client) -> None:
    make_event(starts_wall="2026-12-01T18:00", languages=["es"])
    db.session.commit()
    page = tree(client.get("/e/?spoken=es&lang=es"))
    assert "Vigilia en Woodlawn" in page.text
    assert "martes 1 de diciembre" in page.text
    english = next(a for a in page.all("a") if a.get("hreflang") == "en")
    assert "spoken=es" in english["href"]
    assert "lang=en" in english["href"]


def test_another_website_may_show_the_next_dates(client: Client) -> None:
    campaign = make_campaign(slug="clinics", title=Words(en="Save our clinics"))
    for day in range(12):
        make_event(
            campaign, title=Words(en=f"Vigil {day}"), starts_wall=f"2026-12-{day + 1:02}T18:00"
        )
    titled("Of others", starts_wall="2026-12-01T10:00")
    page = tree(client.get("/e/?campaign=clinics&month=2026-12&lang=es"))
    (code,) = page.all("textarea")
    (frame,) = re.findall(r'<iframe src="([^"]+)"', code.text)
    address = urlsplit(unescape(frame))
    assert parse_qs(address.query) == {"campaign": ["clinics"], "lang": ["es"]}
    answer = client.get("/embed/e/?campaign=clinics")
    shown_there = tree(answer)
    assert [row.text for row in shown_there.all("h3")] == [f"Vigil {day}" for day in range(10)]
    assert shown_there.all("h1")[0].text == "Save our clinics"
    assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert b"<script" not in answer.data
    assert b"<form" not in answer.data
    assert "frame-ancestors 'none'" in client.get("/e/").headers["Content-Security-Policy"]
    assert client.get("/e/").headers["X-Frame-Options"] == "DENY"


def test_subscribing_follows_what_is_shown(client: Client) -> None:
    titled("A vigil", campaign=make_campaign(make_organization(slug="stop"), slug="save-it"))
    db.session.commit()
    for query, path in (
        ("", "/e/calendar.ics"),
        ("?campaign=save-it", "/c/save-it/calendar.ics"),
        ("?organization=stop", "/o/stop/calendar.ics"),
        ("?campaign=unknown", "/e/calendar.ics"),
        ("?lang=es", "/e/calendar.ics?lang=es"),
    ):
        links = {a.text: a["href"] for a in tree(client.get(f"/e/{query}")).all("a")}
        name = "Suscribirse" if "lang" in query else "Subscribe"
        found = [a for text, a in links.items() if text == name and a.startswith("webcal")]
        assert found == [f"webcal://127.0.0.1:8000{path}"]


def test_next_dates_are_on_the_front_page_and_the_campaigns(client: Client) -> None:
    campaign = make_campaign(slug="save-it")
    titled("A vigil", campaign=campaign, starts_in_days=2)
    titled("Of others", starts_in_days=1)
    titled("Called off", campaign=campaign, state=EventState.CANCELLED)
    db.session.commit()
    home = tree(client.get("/")).text
    assert home.index("Of others") < home.index("A vigil")
    assert "Called off" not in home
    page = tree(client.get("/c/save-it"))
    assert "A vigil" in page.text
    assert "Of others" not in page.text
    more = next(a for a in page.all("a") if a.text == "See the whole calendar")
    assert more["href"] == "/e/?campaign=save-it"


# --- feeds -------------------------------------------------------------------------------------


def test_feeds_of_all_of_a_campaign_and_of_an_organization(client: Client) -> None:
    nurses = make_organization(slug="nurses", name="The Nurses")
    campaign = make_campaign(slug="save-it", title=Words(en="Save it, now", es="Salvarlo"))
    mine = titled("Mine", campaign=campaign)
    shared = titled("Together")
    make_host(shared, partner_id=nurses.id, state=HostState.ACTIVE)
    theirs = titled("Theirs", campaign=make_campaign(nurses))
    db.session.commit()
    for path, name, events in (
        ("/e/calendar.ics", "Events near you", {mine, shared, theirs}),
        ("/c/save-it/calendar.ics", "Save it\\, now", {mine}),
        ("/c/save-it/calendar.ics?lang=es", "Salvarlo", {mine}),
        ("/o/nurses/calendar.ics", "The Nurses", {shared, theirs}),
    ):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
        assert f"X-WR-CALNAME:{name}\r\n" in answer.get_data(as_text=True)
        assert {one.uid for one in parsed(answer.data)} == {
            f"{event.id}@127.0.0.1" for event in events
        }


@pytest.mark.parametrize(
    "path",
    ["/c/none/calendar.ics", "/c/secret/calendar.ics", "/o/none/calendar.ics", "/o/%00/calendar.ics",
     "/c/A%00/calendar.ics", "/e/none.ics", "/e/draft.ics", "/e/%00.ics"],
)  # fmt: skip
def test_what_nobody_may_see_has_no_feed(client: Client, path: str) -> None:
    make_campaign(slug="secret", state=CampaignState.DRAFT)
    make_event(slug="draft", state=EventState.DRAFT)
    db.session.commit()
    assert client.get(path).status_code == 404


def test_a_feed_that_has_not_changed_costs_nothing(client: Client) -> None:
    event = make_event()
    date = occurrence_of(event)
    db.session.commit()
    tag = client.get("/e/calendar.ics").headers["ETag"]

    def again() -> int:
        return client.get("/e/calendar.ics", headers={"If-None-Match": tag}).status_code

    assert again() == 304
    date.sequence += 1
    date.starts_at += timedelta(hours=1)
    db.session.commit()
    assert again() == 200
    tag = client.get("/e/calendar.ics").headers["ETag"]
    assert again() == 304
    assert client.get("/e/calendar.ics?lang=es").headers["ETag"] != tag
    with time_machine.travel(NOW + timedelta(minutes=1)):
        event.title = Words(en="Another title")
        db.session.commit()
    assert again() == 200
    tag = client.get("/e/calendar.ics").headers["ETag"]
    make_occurrence(event, "2027-01-01T18:00")
    db.session.commit()
    assert again() == 200


def test_the_file_of_one_event_and_of_one_of_its_dates(client: Client) -> None:
    weekly = {"frequency": "weekly", "interval": 1, "weekdays": ["TU"], "count": 2}
    event = make_event(slug="vigil", starts_wall="2026-12-01T18:00", recurrence=weekly)
    second = make_occurrence(event, "2026-12-08T18:00")
    db.session.commit()
    answer = client.get("/e/vigil.ics")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="vigil.ics"'
    assert len(parsed(answer.data)) == 2
    (seen,) = parsed(client.get("/e/vigil.ics?on=2026-12-08T18:00").data)
    assert seen.start == second.starts_at
    assert len(parsed(client.get("/e/vigil.ics?on=2030-01-01").data)) == 2
    assert client.get("/e/vigil.ics?on=%00%00%00%00%00%00%00%00%00%00").status_code == 200
    event.state = EventState.CANCELLED
    db.session.commit()
    assert "METHOD:CANCEL" in client.get("/e/vigil.ics").get_data(as_text=True)


def test_a_feed_comes_in_pieces(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "FEED_BATCH", 7)
    for n in range(40):
        make_event(slug=f"event-number-{n}", summary=Words(en="word " * 300))
    db.session.commit()
    asked = EnvironBuilder(path="/e/calendar.ics").get_environ()
    pieces, status, headers = run_wsgi_app(client.application.wsgi_app, asked)
    assert status == "200 OK"
    assert "Content-Length" not in headers
    pieces = list(pieces)
    assert len(pieces) > 1
    assert len(parsed(b"".join(pieces))) == 40


def test_one_press_puts_a_date_into_a_calendar() -> None:
    event = make_event(slug="vigil", starts_wall="2026-12-01T18:00",
                       title=Words(en="Vigil & more", es="Vigilia"))  # fmt: skip
    links = feeds.links_for(occurrence_of(event), "en")
    assert links["file"] == "http://127.0.0.1:8000/e/vigil.ics"
    google = parse_qs(urlsplit(links["google"]).query)
    assert google["dates"] == ["20261201T180000/20261201T193000"]
    assert google["ctz"] == ["America/Chicago"]
    assert google["text"] == ["Vigil & more"]
    assert google["details"][0].endswith("http://127.0.0.1:8000/e/vigil")
    outlook = parse_qs(urlsplit(links["outlook"]).query)
    assert outlook["startdt"] == ["2026-12-02T00:00:00+00:00"]
    assert feeds.links_for(occurrence_of(event), "es")["file"].endswith("?lang=es")
    day = make_event(is_all_day=True, starts_wall="2026-12-01T00:00", duration_minutes=1440)
    links = feeds.links_for(occurrence_of(day), "en")
    assert parse_qs(urlsplit(links["google"]).query)["dates"] == ["20261201/20261202"]
    assert parse_qs(urlsplit(links["outlook"]).query)["allday"] == ["true"]


# --- how it looks ------------------------------------------------------------------------------


def through(page: Page, client: Client) -> Page:
    """Let a browser's page ask the test client instead of the network.

    The browser calls back from a place of its own, where no application is; so each call brings
    the test's.
    """
    here = copy_context()

    def answer(route: Route) -> None:
        asked = urlsplit(route.request.url)
        got = here.copy().run(
            client.get,
            f"{asked.path}?{asked.query}" if asked.query else asked.path,
            headers={"Accept-Language": route.request.headers.get("accept-language", "en")},
        )
        route.fulfill(status=got.status_code, headers=dict(got.headers), body=got.get_data())

    page.route("**/*", answer)
    return page


@pytest.mark.parametrize("path", ["/e/", "/e/?month=2026-12", "/e/?kind=training&near=1", "/"])
@pytest.mark.parametrize("locale", ["en-US", "es-MX"])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_in_anybodys_way(
    client: Client, visit: Callable[..., Page], path: str, locale: str, dark: bool
) -> None:
    make_event(starts_wall="2026-12-01T18:00", languages=["en", "es"], access=["step-free"])
    make_event(starts_wall="2026-12-01T18:00", state=EventState.CANCELLED)
    make_event(starts_wall="2026-12-02T18:00", capacity=0, is_online=True)
    make_event(starts_wall="2026-12-03T18:00", address_visibility="coming")
    db.session.commit()
    page = through(visit(phone=True, locale=locale, dark=dark), client)
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(f"http://127.0.0.1:8000{path}")
    assert page.locator("html").get_attribute("lang") == locale[:2]
    assert fits(page)
    assert axe(page) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    assert axe(page) == []


def test_it_works_without_a_script(client: Client, visit: Callable[..., Page]) -> None:
    titled("A vigil", starts_wall="2026-12-01T18:00")
    titled("A hearing", kind="hearing", starts_wall="2026-12-02T18:00")
    db.session.commit()
    page = through(visit(phone=True, script=False), client)
    page.goto("http://127.0.0.1:8000/e/")
    page.get_by_role("link", name="Narrow it down").click()
    page.get_by_label("What", exact=True).select_option("hearing")
    page.get_by_role("button", name="Show these").click()
    assert page.get_by_role("heading", level=3).all_inner_texts() == ["A hearing"]
    page.get_by_role("link", name="Month", exact=True).click()
    page.get_by_role("link", name="1 date, Wednesday, December 2").click()
    page.get_by_role("link", name="Vigil", exact=True).wait_for(state="detached")


def test_the_choices_are_those_that_find_something() -> None:
    make_event(kind="vigil")
    make_event(kind="hearing", state=EventState.DRAFT)
    make_event(kind="protest", starts_wall="2026-11-01T18:00")
    db.session.commit()
    found = agenda.calendar_choices(clock.now())
    assert found.kinds == ["vigil"]
    assert len(found.campaigns) == len(found.organizations) == 1
    assert agenda.last_day() == date(2026, 12, 2)
