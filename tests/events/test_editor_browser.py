"""An organizer writes events in a real browser, with script and without; pages for everybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from campaign import clock
from campaign.campaigns.models import Campaign, CampaignState
from campaign.db import Words, db
from campaign.events.models import Event, HostState, Occurrence
from campaign.organizations.models import Role
from campaign.web.links import host_token
from tests.browsers import axe, chromium, fits, log_in, visit
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.events import make_event, make_host, make_occurrence, make_shift
from tests.factories.organizations import make_member, make_organization
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ORGANIZER, PASSWORD = "organizer@example.org", "a-candle-for-the-clinic"


@pytest.fixture
def desk(live: Live) -> Live:
    """An installation with an organization that leads a campaign."""
    with live.rows():
        organization = make_organization(name="STOP")
        make_member(organization, Role.ORGANIZER, email=ORGANIZER, password=PASSWORD)
        make_campaign(organization, state=CampaignState.ACTIVE, title=Words(en="Keep it open"))
    return live


def wall(days: int, hour: int) -> str:
    """A local time some days from now, as the field of a browser takes it."""
    day = datetime.now(UTC).date() + timedelta(days=days)
    return f"{day.isoformat()}T{hour:02}:00"


@pytest.mark.parametrize("script", [True, False])
def test_a_weekly_series_and_a_hearing(
    desk: Live, visit: Callable[..., Page], script: bool
) -> None:
    page = visit(script=script)
    log_in(page, desk.url, ORGANIZER, PASSWORD)
    page.goto(f"{desk.url}/organize/events/")
    page.click("text=New event")
    page.fill("[name=title_en]", "Planning")
    page.fill("[name=venue]", "Library")
    page.click("summary:has-text('It repeats')")
    assert not page.is_visible("[name=interval]")
    page.check("[name=repeats][value=weekly]")
    assert page.is_visible("[name=interval]")
    assert not page.is_visible("[name=dates]")
    page.click("text=Save the draft")
    assert "A series needs an end" in page.inner_text("#errors")
    assert page.input_value("[name=venue]") == "Library"
    assert page.is_visible("[name=until]"), "what is wrong is not folded away"
    page.fill("[name=count]", "3")
    page.click("text=Save the draft")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.click("button:text-is('Publish')")
    assert "public now" in page.inner_text("main")
    page.click("a:has-text('Change') >> nth=1")
    page.fill("[name=venue]", "Park")
    page.click("form.wide >> text=Save")
    assert "Park" in page.inner_text("tbody")
    page.click("a:has-text('Change') >> nth=2")
    page.click("text=Leave this date out")
    assert "Left out" in page.inner_text("tbody")
    page.click("button:text-is('Undo')")
    assert "Left out" not in page.inner_text("tbody")
    page.click("text=See the page")
    assert page.inner_text("h1") == "Planning"

    page.goto(f"{desk.url}/organize/events/new")
    page.fill("[name=title_en]", "Council hearing")
    page.fill("[name=title_es]", "Audiencia del concejo")
    page.select_option("[name=kind]", "hearing")
    page.fill("[name=starts]", wall(20, 10))
    page.fill("[name=ends]", wall(20, 9))
    page.click("text=Save the draft")
    assert "ends before it begins" in page.inner_text("#errors")
    page.fill("[name=ends]", wall(20, 13))
    page.click("text=Save the draft")
    page.click("text=Preview")
    assert "This is a preview" in page.inner_text("main")
    page.go_back()
    page.click("button:text-is('Publish')")
    page.click("nav >> text=Speakers")
    with desk.rows():
        events = db.session.scalars(select(Event).order_by(Event.id)).all()
        assert [(row.state, row.kind) for row in events] == [
            ("published", "meeting"),
            ("published", "hearing"),
        ]
        dates = db.session.scalars(
            select(Occurrence).where(Occurrence.event_id == events[0].id)
        ).all()
        assert sorted(row.venue or "" for row in dates) == ["", "", "Park"]
        assert events[1].duration_minutes == 180


@pytest.mark.parametrize("lang", ["en", "es"])
def test_pages_are_for_everybody(desk: Live, visit: Callable[..., Page], lang: str) -> None:
    with desk.rows():
        campaign = db.session.scalars(select(Campaign)).one()
        event = make_event(campaign, capacity=20)
        partner = make_partner(event.campaign).partner
        other = make_occurrence(event, wall(40, 18))
        event.recurrence = {"frequency": "dates", "dates": [wall(40, 18)]}
        shift = make_shift(event)
        host = make_host(event)
        asked = make_host(event, state=HostState.INVITED)
        make_host(event, partner_id=partner.id, email=None, state=HostState.INVITED)
        idea = make_event(event.campaign, state="proposed", published_at=None)
        proposer = make_host(idea, is_proposer=True, state=HostState.INVITED)
        past = make_event(event.campaign, starts_in_days=-3)
        off = make_event(event.campaign, state="cancelled", cancelled_at=clock.now())
        here = f"/organize/events/{event.id}"
        console = (
            *("/organize/events/", "/organize/events/?part=past", "/organize/events/?q=zebra"),
            *("/organize/events/new", here, f"{here}/edit", f"{here}/shifts", f"{here}/hosts"),
            *(f"/organize/events/dates/{other.id}", f"/organize/events/shifts/{shift.id}"),
            *(f"/organize/events/{row.id}" for row in (idea, past, off)),
            f"/organize/events/{idea.id}/preview",
        )
        public = (
            *("/e/propose", "/e/propose/thanks", "/host/forgotten", f"/e/{event.slug}"),
            *(f"/host/{host_token(row.id)}" for row in (host, asked, proposer)),
        )
    phone = visit(phone=True, dark=lang == "es")
    office = visit()
    log_in(office, desk.url, ORGANIZER, PASSWORD)
    for page, paths in ((phone, public), (office, console)):
        for path in paths:
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 844})
                page.goto(f"{desk.url}{path}{'&' if '?' in path else '?'}lang={lang}")
                for fold in page.query_selector_all("details.fold:not([open]) > summary"):
                    fold.click()
                assert axe(page) == [], path
                assert fits(page), path
