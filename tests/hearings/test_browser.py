"""A speaker's and an organizer's pages in a browser: axe, a phone's width, words saved unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from campaign.db import Words, db
from campaign.hearings import models, services
from campaign.hearings.services import HearingDetails
from campaign.organizations.models import Role
from tests.browsers import axe, chromium, fits, log_in, visit
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.hearings import make_testimony
from tests.factories.organizations import make_member, make_organization
from tests.hearings.conftest import page_of
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ORGANIZER, PASSWORD = "organizer@example.org", "speak-at-the-hearing"


@dataclass(frozen=True, slots=True)
class Council:
    """A hearing with speakers, a line, and the paths of its pages."""

    own: str
    public: tuple[str, ...]
    console: tuple[str, ...]


@pytest.fixture
def council(live: Live) -> Council:
    with live.rows():
        organization = make_organization(name="STOP")
        make_member(organization, Role.ORGANIZER, email=ORGANIZER, password=PASSWORD)
        event = make_event(make_campaign(organization), kind="hearing", starts_in_days=9)
        body = Words(en="Chicago City Council", es="Concejo Municipal de Chicago")
        hearing = services.set_up_hearing(
            event, HearingDetails(body=body, slot_count=2), template="chicago"
        )
        people: list[dict[str, Any]] = [
            {"wants_reader": True},
            {"offers_to_read": True, "language": "es", "topic": "Dos buses y una hora"},
        ]
        ana, bea = (make_testimony(hearing, **one) for one in people)
        ana.reader_id = bea.id
        line = make_testimony(hearing, state="waiting")
        fresh = make_rsvp(event)
        task = models.HearingTask.__table__.c
        task_id = db.session.scalar(select(task.id).where(task.event_id == event.id))
        here = occurrence_of(event).id
        console = f"/organize/events/{event.id}/hearing"
        return Council(
            page_of(ana),
            (
                f"/e/{event.slug}/speak",
                page_of(fresh),
                *map(page_of, (ana, bea, line)),
                f"{page_of(bea)}/reading/{ana.id}",
            ),
            (
                console,
                f"{console}/edit",
                f"{console}/tasks/new",
                f"/organize/hearing-tasks/{task_id}",
                f"/organize/speakers/{ana.id}",
                f"/organize/dates/{here}/speakers/new",
                f"/organize/dates/{here}/running-order",
            ),
        )


@pytest.mark.parametrize("lang", ["en", "es"])
def test_pages_are_for_everybody(
    live: Live, council: Council, visit: Callable[..., Page], lang: str
) -> None:
    phone = visit(phone=True, dark=lang == "es")
    desk = visit()
    log_in(desk, live.url, ORGANIZER, PASSWORD)
    for page, paths in ((phone, council.public), (desk, council.console)):
        for path in paths:
            page.goto(f"{live.url}{path}?lang={lang}")
            assert axe(page) == [], path
            assert fits(page), path


def test_words_are_saved_while_one_types_and_the_link_leaves_the_address_bar(
    live: Live, council: Council, visit: Callable[..., Page]
) -> None:
    page = visit(phone=True)
    page.goto(f"{live.url}{council.own}")
    assert "/rsvp/" not in page.url
    page.fill("textarea", "I speak for my mother. " * 90)
    expect(page.locator("[data-state]")).to_contain_text("Saved", timeout=10_000)
    expect(page.locator("[data-length]")).to_contain_text("450 words, about 3.5 minutes")
    expect(page.locator("[data-warning]")).to_be_visible()
    with live.rows():
        drafts = db.session.scalars(select(models.Testimony.draft)).all()
        assert sum(draft.startswith("I speak for my mother.") for draft in drafts) == 1
