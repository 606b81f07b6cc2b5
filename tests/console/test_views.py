from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from campaign import clock
from campaign.accounts.models import User
from campaign.campaigns.models import Campaign
from campaign.console import queries
from campaign.db import Words, db
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import Organization, Role
from campaign.petitions.models import CommentState, PetitionState, SignatureState
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_milestone, make_wards
from tests.factories.mail import make_batch
from tests.factories.organizations import (
    log_in,
    make_member,
    make_membership,
    make_organization,
)
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def owner(client: Client, organization: Organization) -> User:
    user = make_member(organization, name="Denise")
    log_in(client, user, organization)
    return user


def today() -> date:
    return clock.now().astimezone(clock.zone("America/Chicago")).date()


def text_of(client: Client, path: str = "/organize/") -> str:
    db.session.commit()
    response = client.get(path)
    assert response.status_code == 200
    return read(response).text


class TestHome:
    def test_new_organization_is_told_where_to_begin(self, client: Client, owner: User) -> None:
        page = read(client.get("/organize/"))
        assert "Begin with a campaign" in page.text
        assert any(href == "/organize/campaigns/new" for href, _ in page.links)

    def test_campaign_without_petition(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        make_campaign(organization)
        db.session.commit()
        page = read(client.get("/organize/"))
        assert any(href == "/organize/petitions/new" for href, _ in page.links)

    def test_decision_counts_down(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        later = Words(en="Later vote")
        make_campaign(organization, decision_on=today() + timedelta(days=90), decision_label=later)
        make_campaign(
            organization,
            decision_on=today() + timedelta(days=23),
            decision_label=Words(en="Council votes", es="El concejo vota"),
        )
        assert "Council votes in 23 days" in text_of(client)

    @pytest.mark.parametrize(
        ("days", "words"), [(0, "Council votes today"), (1, "Council votes tomorrow")]
    )
    def test_last_days(
        self, client: Client, owner: User, organization: Organization, days: int, words: str
    ) -> None:
        make_campaign(
            organization,
            decision_on=today() + timedelta(days=days),
            decision_label=Words(en="Council votes"),
        )
        assert words in text_of(client)

    def test_a_decision_that_is_over_is_no_countdown(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        make_campaign(
            organization,
            title=Words(en="Keep our clinics"),
            decision_on=today() - timedelta(days=1),
        )
        text = text_of(client)
        assert "Keep our clinics" in text
        assert "yesterday" not in text

    def test_numbers_and_what_waits(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        campaign = make_campaign(organization)
        petition = make_petition(campaign, title=Words(en="Keep Woodlawn open"))
        make_petition(campaign, title=Words(en="Draft ask"), state=PetitionState.DRAFT)
        for _ in range(3):
            make_signature(petition)
        make_signature(petition, created_at=clock.now() - timedelta(days=9))
        make_signature(petition, comment="I need it", comment_state=CommentState.WAITING)
        make_signature(petition, SignatureState.REVIEW)
        make_signature(petition, SignatureState.PENDING)
        make_signature(petition, SignatureState.UNVERIFIED)
        theirs = make_petition()
        make_signature(theirs, SignatureState.REVIEW)
        text = text_of(client)
        assert "+4 this week" in text
        assert "signatures +4 this week 5" in text
        assert "1 signature waits for a look" in text
        assert "1 comment waits to be read" in text
        assert "“Draft ask” is not published yet" in text
        assert "without email, counted apart 1" in text
        assert "I need it" not in text

    def test_mailings_that_wait(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        def message(
            subject: str, state: MessageState, where: Organization = organization, **more: object
        ) -> None:
            db.session.add(Message(organization_id=where.id, subject=subject, state=state, **more))

        message("Dear {{ first_name|friend }}", MessageState.DRAFT, name="First")
        message("Second", MessageState.PAUSED)
        message("Third", MessageState.SCHEDULED, scheduled_at=clock.now() + timedelta(hours=3))
        message("Far away", MessageState.SCHEDULED, scheduled_at=clock.now() + timedelta(days=9))
        message("Gone", MessageState.DRAFT, deleted_at=clock.now())
        message("Theirs", MessageState.DRAFT, make_organization())
        text = text_of(client)
        assert text.index("“Second” is paused") < text.index("“Third” goes out soon")
        assert text.index("“Third”") < text.index("“First” is not sent yet")
        for hidden in ("Far away", "Gone", "Theirs"):
            assert hidden not in text

    def test_mail_that_does_not_flow(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        make_batch(3, organization_id=organization.id)
        assert "should have left" not in text_of(client)
        from campaign.mail.models import Chunk

        late = clock.now() - timedelta(minutes=10)
        db.session.execute(update(Chunk).values(next_attempt_at=late))
        assert "3 emails should have left by now" in text_of(client)
        db.session.execute(update(Chunk).values(state="unknown_final"))
        text = text_of(client)
        assert "Of 3 emails nobody knows" in text
        assert "should have left" not in text

    def test_organization_without_an_address(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        assert "postal address and a sender" not in text_of(client)
        organization.postal_address = " "
        assert "postal address and a sender" in text_of(client)

    def test_map_and_milestone(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        make_wards()
        campaign = make_campaign(organization)
        petition = make_petition(campaign)
        make_signature(petition)
        make_milestone(campaign, title=Words(en="Town hall"), on=today() - timedelta(days=3))
        text = text_of(client)
        assert "Town hall, " in text
        assert "20th Ward" in text or "Ward 20" in text

    def test_spanish(self, client: Client, owner: User, organization: Organization) -> None:
        owner.language = "es"
        campaign = make_campaign(organization, title=Words(en="Keep it", es="Que siga abierta"))
        make_signature(make_petition(campaign))
        on = today() - timedelta(days=3)
        make_milestone(campaign, title=Words(en="Town hall", es="Asamblea"), on=on)
        text = text_of(client)
        assert "Que siga abierta" in text
        assert re.search(rf"Asamblea, {on.day} \w+", text), "the day stands before the month"

    def test_a_viewer_sees_numbers_and_no_tasks(
        self, client: Client, organization: Organization
    ) -> None:
        log_in(client, make_member(organization, Role.VIEWER), organization)
        petition = make_petition(make_campaign(organization))
        make_signature(petition)
        make_signature(petition, SignatureState.REVIEW)
        text = text_of(client)
        assert "Signatures a day" in text
        for hidden in ("waits for a look", "people you know", "Write to supporters", "Exports"):
            assert hidden not in text

    def test_no_name_of_a_person_is_on_it(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        make_signature(
            make_petition(make_campaign(organization)), first_name="Xochitl", email="x@example.org"
        )
        text = text_of(client)
        assert "Xochitl" not in text
        assert "x@example.org" not in text


class TestShell:
    def test_current_page_is_marked(self, client: Client, owner: User) -> None:
        html = client.get("/organize/organization/team").get_data(as_text=True)
        assert html.count('aria-current="page"') == 3  # rail, drawer, tab
        assert '<a href="/organize/organization" aria-current="page">' in html
        assert '<a href="/organize/" aria-current="page">' not in html

    def test_switcher_only_with_a_choice(self, client: Client, owner: User) -> None:
        assert "/organize/switch/" not in client.get("/organize/").get_data(as_text=True)
        make_membership(owner, make_organization(name="Zeta"))
        db.session.commit()
        assert "/organize/switch/" in client.get("/organize/").get_data(as_text=True)

    def test_partner_people_have_their_own_way(
        self, client: Client, organization: Organization
    ) -> None:
        log_in(client, make_member(organization, Role.PARTNER), organization)
        page = read(client.get("/partner/"))
        paths = {href for href, _ in page.links if href.startswith(("/organize", "/partner"))}
        assert not {
            path for path in paths if path.startswith("/organize") and "account" not in path
        }
        assert "/partner/" in paths


class TestQueries:
    def test_days_are_the_readers(self, app: Flask) -> None:
        petition = make_petition()
        chicago = clock.zone("America/Chicago")
        late = clock.to_utc(
            clock.now().astimezone(chicago).replace(tzinfo=None, hour=23, minute=30),
            "America/Chicago",
        ) - timedelta(days=2)
        make_signature(petition, created_at=late)
        series = queries.signatures_a_day([petition.id], clock.now(), chicago)
        assert len(series) == queries.CHART_DAYS
        assert [day for day, count in series if count] == [late.astimezone(chicago).date()]
        utc = queries.signatures_a_day([petition.id], clock.now(), clock.zone("UTC"))
        assert [day for day, count in utc if count] == [late.date()]

    def test_people_are_counted_once_a_minute(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.factories.people import make_person

        organization = make_organization()
        make_person(organization)
        assert queries.people_count(organization.id) == 1
        make_person(organization)
        assert queries.people_count(organization.id) == 1
        now = queries.monotonic() + 61
        monkeypatch.setattr(queries, "monotonic", lambda: now)
        assert queries.people_count(organization.id) == 2

    def test_front_campaign(self, app: Flask) -> None:
        organization = make_organization()
        assert queries.campaign_in_front(organization.id, today()) is None
        make_campaign(organization, state="draft")
        first: Campaign = make_campaign(organization)
        near = make_campaign(organization, decision_on=today())
        make_campaign(organization, decision_on=today() + timedelta(days=1))
        make_campaign(decision_on=today())
        assert queries.campaign_in_front(organization.id, today()) is near
        near.decision_on = today() - timedelta(days=1)
        assert queries.campaign_in_front(organization.id, today()) is not near
        assert first.state == "active"
