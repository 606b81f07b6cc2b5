"""The door on a phone: without a connection, with it again, by two phones at once, by code."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import segno
from playwright.sync_api import Page, expect
from sqlalchemy import select

from campaign.checkin.models import SignIn
from campaign.db import Words, db
from campaign.events.models import Need
from campaign.organizations.models import Role
from campaign.web.links import checkin_token, rsvp_token
from tests.browsers import axe, chromium, fits, log_in, visit
from tests.factories.campaigns import make_campaign
from tests.factories.checkin import make_head_count
from tests.factories.events import make_event, make_occurrence, make_rsvp, occurrence_of
from tests.factories.organizations import make_member, make_organization
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

HELPER, PASSWORD = "helper@example.org", "stand-at-the-door"
NAMES = ("Maria Reyes", "José Peña", "Dorothy Washington")


@dataclass(frozen=True, slots=True)
class Door:
    """A date with three people on its list."""

    url: str
    id: uuid.UUID
    event_id: uuid.UUID
    rsvps: dict[str, uuid.UUID]
    tokens: dict[str, str]
    codes: dict[str, str]


@pytest.fixture
def door(live: Live) -> Door:
    with live.rows():
        organization = make_organization(name="STOP")
        make_member(organization, Role.DATA_ENTRY, email=HELPER, password=PASSWORD)
        event = make_event(
            make_campaign(organization),
            starts_in_days=0,
            needs_asked=[Need.RIDE],
            briefing=Words(en="Bring water.", es="Traiga agua."),
        )
        rows = {}
        for place, name in enumerate(NAMES):
            first, last = name.split(" ")
            rows[name] = make_rsvp(event, first_name=first, last_name=last, guests=place)
        make_occurrence(event, "2027-01-05T18:00")
        make_head_count(event, 40, note="at the start")
        return Door(
            live.url,
            occurrence_of(event).id,
            event.id,
            {name: row.id for name, row in rows.items()},
            {name: rsvp_token(row.id) for name, row in rows.items()},
            {name: checkin_token(row.id) for name, row in rows.items()},
        )


def here(live: Live) -> dict[str, int]:
    """Who is signed in by the database: name → guests."""
    with live.rows():
        rows = db.session.scalars(select(SignIn).where(SignIn.undone_at.is_(None)))
        return {row.name: row.guests for row in rows}


def open_door(page: Page, door: Door, *, lang: str = "en") -> Page:
    log_in(page, door.url, HELPER, PASSWORD)
    page.goto(f"{door.url}/organize/checkin/{door.id}?lang={lang}")
    return page


def test_without_a_connection_sign_ins_wait_and_are_sent_when_it_is_back(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    page = open_door(visit(phone=True), door)
    page.context.set_offline(True)
    page.get_by_role("button", name="One guest more for Maria Reyes").click()
    for name in NAMES:
        page.get_by_role("button", name=f"Sign in {name}", exact=True).click()
    status = page.locator("[data-status]")
    expect(status).to_contain_text("3 not sent yet")
    expect(page.locator("[data-count=here]")).to_have_text("7")
    assert here(live) == {}
    page.get_by_role("button", name="Undo for Dorothy Washington").click()
    expect(status).to_contain_text("4 not sent yet")

    kept = page.evaluate("() => JSON.stringify(localStorage)")
    assert not any(part in kept for name in NAMES for part in name.split(" "))
    waiting = json.loads(next(iter(json.loads(kept).values())))
    assert set(waiting[0]) == {"do", "rsvp", "key", "at", "guests", "way"}

    warned = []
    page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.dismiss()))
    page.evaluate("() => { location.href = '/organize/'; }")
    page.wait_for_timeout(300)
    assert warned == ["beforeunload"]

    page.context.set_offline(False)
    expect(status).to_contain_text("All saved", timeout=15_000)
    assert here(live) == {"Maria Reyes": 1, "José Peña": 1}
    assert page.evaluate("() => localStorage.length") == 0
    with live.rows():
        keys = {row.client_key for row in db.session.scalars(select(SignIn))}
    assert {one["key"] for one in waiting} == keys


def test_what_waits_outlives_the_page_and_a_log_in(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    page = open_door(visit(phone=True), door)
    page.context.set_offline(True)
    page.get_by_role("button", name="Sign in Maria Reyes", exact=True).click()
    expect(page.locator("[data-status]")).to_contain_text("1 not sent yet")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.context.set_offline(False)
    expect(page.locator("[data-status]")).to_contain_text("logged out", timeout=15_000)
    assert here(live) == {}
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Log in again").click()
    expect(page.locator("[data-status]")).to_contain_text("All saved", timeout=15_000)
    assert here(live) == {"Maria Reyes": 0}


def test_two_phones_at_one_door_see_each_other(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    one, two = open_door(visit(phone=True), door), open_door(visit(), door)
    one.get_by_role("button", name="Sign in José Peña", exact=True).click()
    expect(one.locator("[data-out]:visible")).to_have_count(1)
    expect(two.get_by_role("button", name="Undo for José Peña")).to_be_visible(timeout=15_000)
    two.get_by_role("button", name="Undo for José Peña").click()
    expect(one.get_by_role("button", name="Sign in José Peña", exact=True)).to_be_visible(
        timeout=15_000
    )
    assert here(live) == {}


def test_finding_works_without_a_connection_and_without_accents(
    door: Door, visit: Callable[..., Page]
) -> None:
    page = open_door(visit(phone=True), door)
    page.context.set_offline(True)
    page.fill("#q", "pena jo")
    expect(page.locator("[data-rsvp]:visible")).to_have_count(1)
    expect(page.locator("[data-rsvp]:visible")).to_contain_text("José Peña")
    page.fill("#q", "nobody")
    expect(page.locator("[data-nobody]")).to_be_visible()


def test_a_name_is_never_left_on_the_phone(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    """Somebody not on the list is sent at once or not at all, and the page says which."""
    page = open_door(visit(phone=True), door)
    page.goto(f"{door.url}/organize/checkin/{door.id}/walk-in")
    page.fill("[name=first_name]", "Hazel")
    page.context.set_offline(True)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("[data-status]")).to_contain_text("not saved")
    expect(page.locator("[name=first_name]")).to_have_value("Hazel")
    kept = page.evaluate("() => JSON.stringify([localStorage, sessionStorage])")
    assert "Hazel" not in kept
    page.context.set_offline(False)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator(".toasts").first).to_contain_text("Signed in")
    assert here(live) == {"Hazel": 0}


def test_the_door_works_without_a_script(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    page = open_door(visit(phone=True, script=False), door)
    page.fill("#q", "pena")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("textbox", name="Guests of José Peña").fill("4")
    page.get_by_role("button", name="Sign in José Peña", exact=True).click()
    assert here(live) == {"José Peña": 4}
    expect(page.locator("body")).to_contain_text("Here since")
    page.get_by_role("button", name="Undo for José Peña").click()
    assert here(live) == {}


def test_the_clicker_counts_and_keeps_the_number_over_a_reload(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    page = open_door(visit(phone=True), door)
    page.goto(f"{door.url}/organize/checkin/{door.id}/heads")
    for _time in range(7):
        page.get_by_role("button", name="One more head").click()
    page.get_by_role("button", name="One less").click()
    page.reload()
    expect(page.locator("[data-clicks]")).to_have_text("6")
    page.get_by_role("button", name="Save this count").click()
    expect(page.locator("aside")).to_contain_text("6")


def test_a_code_is_shown_on_one_phone_and_scanned_by_another(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    guest = visit(phone=True)
    guest.goto(f"{door.url}/rsvp/{door.tokens['Dorothy Washington']}/code")
    shown = guest.locator("img[src*='code.svg']")
    expect(shown).to_be_visible()
    assert guest.evaluate("image => image.naturalWidth", shown.element_handle()) > 100
    picture = guest.request.get(door.url + (shown.get_attribute("src") or "")).text()
    address = f"{door.url}/organize/checkin/scan/{door.codes['Dorothy Washington']}"
    assert squares_in(picture) == [list(row) for row in segno.make(address, error="m").matrix]
    assert door.tokens["Dorothy Washington"] not in address

    stranger = visit(phone=True)
    stranger.goto(address)
    expect(stranger).to_have_url(re.compile(r"/login"))

    helper = open_door(visit(phone=True), door)
    helper.goto(address)
    expect(helper.locator("h1")).to_have_text("Dorothy W. and 2 guests")
    assert here(live) == {}, "looking at a code signs nobody in"
    helper.get_by_role("button", name="Sign in", exact=True).click()
    expect(helper.locator("main")).to_contain_text("Signed in")
    assert here(live) == {"Dorothy Washington": 2}
    helper.goto(address)
    expect(helper.locator("main")).to_contain_text("Signed in already")


def squares_in(picture: str) -> list[list[int]]:
    """The dark and light squares of a QR code drawn by strokes of one square, without its edge."""
    size = int(re.findall(r'width="(\d+)"', picture)[0]) // 8 - 8
    grid = [[0] * size for _row in range(size)]
    x, y = 0.0, 0.0
    dark = re.findall(r'd="([^"]+)"', picture)[-1]
    for move, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?:[ ,]?(-?[\d.]+))?", dark):
        if move == "M":
            x, y = float(first), float(second)
        elif move == "m":
            x, y = x + float(first), y + float(second)
        else:
            for step in range(int(first)):
                grid[int(y) - 4][int(x) + step - 4] = 1
            x += float(first)
    return grid


def test_scanning_in_the_page_finds_its_row(
    live: Live, door: Door, visit: Callable[..., Page]
) -> None:
    """What the browser's reader hands over, with and without a connection."""
    page = open_door(visit(phone=True), door)
    page.context.set_offline(True)
    read = "text => document.getElementById('door').dispatchEvent(new CustomEvent('checkin:code', {detail: text}))"
    page.evaluate(read, f"{door.url}/organize/checkin/scan/{door.codes['José Peña']}")
    page.evaluate(read, "https://elsewhere.example/")
    expect(page.locator("[data-status]")).to_contain_text("1 not sent yet")
    page.context.set_offline(False)
    expect(page.locator("[data-status]")).to_contain_text("All saved", timeout=15_000)
    with live.rows():
        row = db.session.scalars(select(SignIn)).one()
        assert (row.name, row.way, row.guests) == ("José Peña", "qr", 1)


def pages_of(door: Door) -> list[str]:
    date, token = f"/organize/checkin/{door.id}", door.tokens["Maria Reyes"]
    return [
        "/organize/checkin/",
        date,
        f"{date}/walk-in",
        f"{date}/heads",
        f"{date}/sheets",
        f"{date}/enter",
        f"{date}/report",
        f"{date}/report?view=print",
        f"/organize/checkin/scan/{door.codes['Maria Reyes']}",
        f"/organize/briefings/{door.id}",
        f"/rsvp/{token}/code",
        f"/rsvp/{token}/came",
        f"/rsvp/{token}/briefing",
    ]


@pytest.mark.parametrize("lang", ["en", "es"])
@pytest.mark.parametrize("phone", [True, False], ids=["phone", "desk"])
def test_pages_are_accessible_and_fit(
    door: Door, visit: Callable[..., Page], lang: str, phone: bool
) -> None:
    page = open_door(visit(phone=phone, dark=lang == "es"), door, lang=lang)
    wrong = {}
    for path in pages_of(door):
        page.goto(f"{door.url}{path}{'&' if '?' in path else '?'}lang={lang}")
        complaints = axe(page) + ([] if fits(page) else ["too wide"])
        if complaints:
            wrong[path] = complaints
    assert wrong == {}
