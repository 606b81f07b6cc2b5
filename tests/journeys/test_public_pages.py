"""Every public page about events, hearings, buddies, sit-ins and check-in, as anybody meets it:
axe finds nothing and nothing sticks out at 320 px, in both languages, light and dark, and what
is wrong with a form is said as accessibly as the form itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from campaign import clock
from campaign.db import Words
from campaign.events.models import Event, HostState, Occurrence, Rsvp, RsvpState
from campaign.hearings import services as hearings
from campaign.hearings.services import HearingDetails
from campaign.sit_ins import services as sit_ins
from campaign.web.links import RSVP, host_token, preferences_url, rsvp_token
from tests.browsers import axe, chromium, fits, visit
from tests.factories.buddies import make_introduction
from tests.factories.campaigns import make_campaign
from tests.factories.events import (
    make_event,
    make_host,
    make_occurrence,
    make_rsvp,
    make_shift,
)
from tests.factories.hearings import make_testimony
from tests.factories.organizations import make_organization
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LOOKS = [("en", False), ("es", True)]
NAMES = ["en-light", "es-dark"]
NARROW = {"width": 320, "height": 700}


class Town:
    """A campaign with an event of every sort, and the address of every page about them."""

    def __init__(self) -> None:
        organization = make_organization(name="STOP", crisis_line="Warmline: 855-845-8415")
        self.campaign = make_campaign(organization, slug="clinics")
        self.pages: dict[str, str] = {
            "calendar": "/e/",
            "month": f"/e/?month={clock.now():%Y-%m}",
            "nothing found": "/e/?kind=phone-bank&way=online",
            "embedded": "/embed/e/?campaign=clinics",
            "unknown ZIP code": "/e/?near=1",
            "proposal": "/e/propose",
            "proposed": "/e/propose/thanks",
            "forgotten": "/host/forgotten",
            "front page": "/",
            "privacy": "/privacy",
            "what we hold": "/me",
            "no such event": "/e/nothing-here",
            "no such answer": "/rsvp/forged",
        }
        self._events()
        self._hearing()
        self._sit_in()

    def _event(self, name: str, **values: Any) -> Event:
        event = make_event(
            self.campaign,
            slug=name,
            **{"languages": ["en", "es"], "access": ["step-free", "food"], **values},
        )
        self.pages[f"event {name}"] = f"/e/{name}"
        self.pages[f"thanks {name}"] = f"/e/{name}/thanks"
        return event

    def _answer(
        self, name: str, event: Event, *below: str, on: Occurrence | None = None, **values: Any
    ) -> Rsvp:
        rsvp = make_rsvp(event, on, **{"confirmed_at": clock.now(), **values})
        self._pages_of(name, rsvp, "", *below)
        return rsvp

    def _pages_of(self, name: str, rsvp: Rsvp, *below: str) -> None:
        for path in below:
            self.pages[f"{name} {path}".strip()] = f"/rsvp/{rsvp_token(rsvp.id)}{path}"

    def _events(self) -> None:
        vigil = self._event("vigil", asks_company=True, needs_asked=["ride"], asks_phone=True)
        make_shift(vigil, capacity=4)
        coming = self._answer("coming", vigil, "/code", "/came", "/company", guests=2)
        self.pages["preferences"] = urlsplit(preferences_url(RSVP, coming.id)).path
        self._answer("not yet confirmed", vigil, confirmed_at=None)
        self._answer("maybe", vigil, state=RsvpState.TENTATIVE)
        self._answer("not coming", vigil, state=RsvpState.DECLINED)
        pair = make_introduction(vigil)
        self._pages_of("asks for company", pair.asker.rsvp, "/company")
        self._pages_of("offers company", pair.offerer.rsvp, "/company")
        agreed = make_introduction(vigil)
        agreed.state = "agreed"
        self._pages_of("goes together", agreed.asker.rsvp, "/company")
        for state in (HostState.ACTIVE, HostState.INVITED, HostState.DECLINED):
            host = make_host(vigil, state=state)
            self.pages[f"host {state}"] = f"/host/{host_token(host.id)}"

        full = self._event("full", kind="town-hall", capacity=1)
        self._answer("offered a place", full, offered_at=clock.now())
        self._answer("waiting", full, state=RsvpState.WAITING, line_number=1)
        self._event("no-line", kind="training", capacity=0, has_waiting_list=False)

        weekly = self._event("weekly", kind="meeting", recurrence={})
        for week in (2, 3, 4):
            there = make_event(self.campaign, starts_in_days=7 * week, state="draft")
            make_occurrence(weekly, there.starts_wall)
        self._answer("of a series", weekly)

        self._event("online", venue="", address="", city="", is_online=True, online_url="https://meet.example.org/a-rather-long-name-of-a-room")  # fmt: skip
        off = self._event("off", state="cancelled", cancel_note=Words(en="Snow.", es="Nieve."))
        self._answer("cancelled", off)
        over = self._event("over", kind="protest", starts_in_days=-3)
        self._answer("over", over, "/came")

    def _hearing(self) -> None:
        event = self._event("hearing", kind="hearing", starts_in_days=9)
        body = Words(en="Chicago City Council", es="Concejo Municipal de Chicago")
        hearing = hearings.set_up_hearing(
            event, HearingDetails(body=body, slot_count=2), template="chicago"
        )
        self.pages["speak"] = "/e/hearing/speak"
        self._answer("asks to speak", event, "/testimony")
        ana = make_testimony(hearing, wants_reader=True)
        bea = make_testimony(hearing, offers_to_read=True, draft="Two buses and an hour.")
        ana.reader_id, ana.draft = bea.id, "I speak for my mother. " * 300
        line = make_testimony(hearing, state="waiting")
        for name, one in (("speaker", ana), ("reader", bea), ("in line to speak", line)):
            assert one.rsvp is not None
            self._pages_of(name, one.rsvp, "", "/testimony")
        assert bea.rsvp is not None
        self._pages_of("words to read", bea.rsvp, f"/testimony/reading/{ana.id}")

    def _sit_in(self) -> None:
        event = self._event(
            "sit-in",
            kind="sit-in",
            address_visibility="coming",
            briefing=Words(en="## What happens\n\nBring water.", es="## Qué pasa\n\nTraiga agua."),
            briefing_version=1,
        )
        self._answer("has not read", event, "/briefing")
        reader = self._answer("has read", event, "/briefing", "/risk")
        sit_ins.acknowledge(reader, event.briefing_version)


@pytest.mark.parametrize(("lang", "dark"), LOOKS, ids=NAMES)
def test_public_pages_are_for_everybody(
    live: Live, visit: Callable[..., Page], lang: str, dark: bool
) -> None:
    with live.rows():
        pages = Town().pages
    phone = visit(phone=True, dark=dark, locale="es-MX" if lang == "es" else "en-US")
    phone.set_viewport_size(NARROW)
    wrong = {}
    for name, path in pages.items():
        phone.goto(f"{live.url}{path}{'&' if '?' in path else '?'}lang={lang}")
        complaints = axe(phone) + ([] if fits(phone) else ["too wide"])
        if phone.locator("html").get_attribute("lang") != lang:
            complaints.append("in another language")
        if complaints:
            wrong[name] = complaints
    assert wrong == {}


@pytest.mark.parametrize(("lang", "dark"), LOOKS, ids=NAMES)
def test_forms_that_come_back_are_for_everybody(
    live: Live, visit: Callable[..., Page], lang: str, dark: bool
) -> None:
    with live.rows():
        town = Town()
        answer = rsvp_token(make_rsvp(make_event(town.campaign, most_guests=2)).id)
    # A page that glides would move the button away under the pointer.
    page = visit(
        phone=True,
        dark=dark,
        locale="es-MX" if lang == "es" else "en-US",
        reduced_motion="reduce",
    )
    page.set_viewport_size(NARROW)

    def send(path: str, form: str, first: str) -> None:
        page.goto(f"{live.url}{path}?lang={lang}")
        if form == "#change form":
            page.fill(f"{form} [name=guests]", "50")
        page.locator(f"{form} button[type=submit]").first.click()
        page.wait_for_selector("#errors")
        assert axe(page) == [], path
        assert fits(page), path
        assert page.evaluate("document.activeElement.id") == first, path

    send("/e/vigil", "#answer form", "first_name")
    send("/e/propose", "form.sign", "title")
    send(town.pages["has read /risk"], "main form", "legal_name")
    send(f"/rsvp/{answer}", "#change form", "guests")
