"""Writing in a real browser: merge fields go to the cursor, and without a script they are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from campaign.organizations.models import Role
from tests.browsers import axe, chromium, fits, log_in, visit
from tests.factories.mailings import make_message, make_reader
from tests.factories.organizations import make_member, make_organization
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
EMAIL, PASSWORD = "writer@example.org", "twenty-tabs-are-open"


def draft(live: Live) -> str:
    """A draft to somebody called Rosa; its address."""
    with live.rows():
        organization = make_organization()
        make_member(organization, Role.ORGANIZER, email=EMAIL, password=PASSWORD)
        make_reader(organization, first_name="Rosa")
        message = make_message(organization, subject="Come on", body="Dear , come.")
        return f"{live.url}/organize/mailings/{message.id}"


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_a_merge_field_is_put_where_the_cursor_is(
    live: Live, visit: Callable[..., Page], phone: bool
) -> None:
    here = draft(live)
    page = visit(phone=phone)
    log_in(page, live.url, EMAIL, PASSWORD)
    page.goto(f"{here}/edit")
    page.evaluate("() => document.getElementById('body').setSelectionRange(5, 5)")
    page.locator("[data-fields=body] > summary").click()
    page.locator("[data-fields=body] button").first.click()
    expect(page.locator("#body")).to_have_value("Dear {{ first_name|neighbor }}, come.")
    page.evaluate("() => document.getElementById('subject').setSelectionRange(4, 4)")
    page.locator("[data-fields=subject] > summary").click()
    assert fits(page)
    page.get_by_role("button", name="Ward").first.click()
    expect(page.locator("#subject")).to_have_value("Come{{ ward|your ward }} on")
    expect(page.locator("[data-fields=subject][open]")).to_have_count(0)
    expect(page.locator("#subject")).to_be_focused()
    assert axe(page) == []
    page.locator("button[value=stay]").click()
    expect(page.locator("#body")).to_have_value("Dear {{ first_name|neighbor }}, come.")


def test_pasted_html_takes_them_in_the_subject_too(live: Live, visit: Callable[..., Page]) -> None:
    here = draft(live)
    page = visit()
    log_in(page, live.url, EMAIL, PASSWORD)
    page.goto(f"{here}/edit")
    page.select_option("#format", "html")
    expect(page.locator("[data-toolbar]")).to_be_hidden()
    page.locator("[data-fields=subject] > summary").click()
    page.locator("[data-fields=subject] button").first.click()
    expect(page.locator("#subject")).to_have_value("Come on{{ first_name|neighbor }}")


def test_without_a_script_they_are_there_to_copy_and_somebody_can_be_looked_for(
    live: Live, visit: Callable[..., Page]
) -> None:
    here = draft(live)
    page = visit(script=False)
    log_in(page, live.url, EMAIL, PASSWORD)
    page.goto(f"{here}/edit")
    expect(page.locator("[data-fields]:visible")).to_have_count(0)
    page.get_by_text("How to use names and places of your readers").click()
    expect(page.get_by_text("{{ ward|your ward }}").first).to_be_visible()
    page.get_by_text("Read it as somebody else").click()
    page.fill("#q", "ros")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Rosa").click()
    expect(page.get_by_role("heading", name="As Rosa Moore gets it")).to_be_visible()
    page.select_option("#view", "text")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#view")).to_have_value("text")
    frame = page.frame_locator("iframe.frame")
    expect(frame.get_by_text("Dear , come.")).to_be_visible()
