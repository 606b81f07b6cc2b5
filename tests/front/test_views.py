"""The public pages: the front page, a campaign's page, how names are kept safe."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from campaign import clock
from campaign.campaigns import services
from campaign.campaigns.models import CampaignState, ClinicStatus
from campaign.db import Words, db
from campaign.petitions.models import PetitionState, SignatureState
from campaign.places import queries as places
from campaign.web.filters import markdown_html
from tests.conftest import Client
from tests.factories.campaigns import (
    make_campaign,
    make_clinic,
    make_milestone,
    make_partner,
    make_wards,
)
from tests.factories.organizations import make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature

PAGES = ("/", "/privacy", "/c/keep-it")


@pytest.fixture(autouse=True)
def no_kept_pages(app: Flask) -> None:
    app.extensions["pages"].clear()


def text_of(client: Client, path: str, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return read(answer).text.replace(" ,", ",")


# The front page


def test_the_front_page_without_a_campaign_says_so(client: Client) -> None:
    make_campaign(state=CampaignState.DRAFT, title=Words(en="Secret plan"))
    db.session.commit()
    text = text_of(client, "/")
    assert "No campaign is running here right now" in text
    assert "Secret plan" not in text


def test_the_front_page_shows_what_runs_and_what_became_of_the_rest(client: Client) -> None:
    running = make_campaign(title=Words(en="Keep Woodlawn open"))
    petition = make_petition(running, goal=10)
    for _ in range(3):
        make_signature(petition)
    make_signature(petition, SignatureState.PENDING)
    won = make_campaign(title=Words(en="Keep the library"), state=CampaignState.ACTIVE)
    services.end_campaign(won, CampaignState.WON)
    db.session.commit()
    text = text_of(client, "/")
    assert "Keep Woodlawn open" in text
    assert "3 neighbors have signed." in text
    assert text.index("Keep Woodlawn open") < text.index("What became of it")
    assert text.index("What became of it") < text.index("Keep the library")
    assert "Won" in text


def test_the_count_of_a_campaign_is_of_all_its_petitions(client: Client) -> None:
    campaign = make_campaign()
    for _ in range(2):
        make_signature(make_petition(campaign))
    make_signature(make_petition(campaign, state=PetitionState.CLOSED, closed_at=clock.now()))
    make_signature(make_petition())
    db.session.commit()
    assert "3 neighbors have signed." in text_of(client, "/")


# A campaign's page


def test_a_draft_is_not_there(client: Client) -> None:
    make_campaign(slug="keep-it", state=CampaignState.DRAFT)
    db.session.commit()
    unknown, draft = client.get("/c/nothing"), client.get("/c/keep-it")
    assert (unknown.status_code, draft.status_code) == (404, 404)
    assert read(unknown).text.split("number")[0] == read(draft).text.split("number")[0]


@pytest.mark.parametrize("slug", ["x" * 500, "..", "%00", "a'--", "ключ"])
def test_hostile_addresses_are_not_there(client: Client, slug: str) -> None:
    db.session.commit()
    assert client.get(f"/c/{slug}").status_code == 404


def test_a_campaign_shows_all_its_parts(client: Client) -> None:
    make_wards()
    lead = make_organization(name="Southside", crisis_line="Warmline: 312 555 0142")
    campaign = make_campaign(
        lead,
        slug="keep-it",
        title=Words(en="Keep it open"),
        summary=Words(en="Council can stop it."),
        story=Words(en="# Why\n\nWe *need* it. <script>alert(1)</script>"),
    )
    ward = next(d for d in places.districts() if d.code == "20")
    make_clinic(
        campaign,
        name="Woodlawn",
        district_id=ward.id,
        people_served=540,
        status=ClinicStatus.CLOSING,
        status_on=date(2030, 7, 7),
    )
    make_milestone(campaign, title=Words(en="We sang"), result=Words(en="They listened"))
    make_milestone(campaign, title=Words(en="For us only"), is_public=False)
    make_partner(campaign, make_organization(name="Nurses"), about=Words(en="They care."))
    petition = make_petition(campaign, title=Words(en="Sign here"), goal=10)
    for code in ("60637", "60637", "60609"):
        district_id, share = places.district_for(code)
        make_signature(petition, postal_code=code, district_id=district_id, district_share=share)
    make_petition(campaign, title=Words(en="Not yet"), state=PetitionState.DRAFT)
    db.session.commit()
    answer = client.get("/c/keep-it")
    html, page = answer.get_data(as_text=True), read(answer)
    for words in (
        "Keep it open",
        "Council can stop it.",
        "Closes July 7",
        "20th Ward. 540 people come here.",
        "We sang",
        "They listened",
        "Nurses",
        "They care.",
        "Sign here",
        "3 neighbors have signed.",
        "2 of 50 wards have signers.",
        "Warmline: 312 555 0142",
        "988",
    ):
        assert words in page.text, words
    assert "For us only" not in page.text
    assert "Not yet" not in page.text
    assert "<h2>Why</h2>" in html
    assert "<script>alert" not in html
    assert html.count("<path") == 50
    assert "<title>20th Ward: 2</title>" in html
    assert f"/p/{petition.slug}" in [link for link, _attributes in page.links]


def test_nobodys_name_is_on_a_campaigns_page(client: Client) -> None:
    petition = make_petition(make_campaign(slug="keep-it"))
    make_signature(petition, first_name="Rosalinda", last_name="Quux", display="full")
    db.session.commit()
    assert "Rosalinda" not in text_of(client, "/c/keep-it")


@pytest.mark.parametrize(
    ("days", "says"),
    [(23, "City Council votes in 23 days, on"), (1, "City Council votes tomorrow,"),
     (0, "City Council votes today,"), (-2, "City Council votes: ")],
)  # fmt: skip
def test_the_countdown_counts_in_the_leads_time_zone(client: Client, days: int, says: str) -> None:
    """Late in the evening in Chicago it is tomorrow in London; the day is Chicago's."""
    with time_machine.travel(datetime.fromisoformat("2030-06-17T03:30:00+00:00"), tick=False):
        today_in_chicago = date(2030, 6, 16)
        make_campaign(
            slug="keep-it",
            decision_on=today_in_chicago + timedelta(days=days),
            decision_label=Words(en="City Council votes"),
        )
        db.session.commit()
        assert says in text_of(client, "/c/keep-it")


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (CampaignState.WON, "We won."),
        (CampaignState.LOST, "We lost this one, and we are still here."),
        (CampaignState.ENDED, "This campaign has ended."),
    ],
)
def test_an_ended_campaign_says_how_it_went(
    client: Client, outcome: CampaignState, says: str
) -> None:
    campaign = make_campaign(
        slug="keep-it", decision_on=date(2030, 1, 1), decision_label=Words(en="Council votes")
    )
    services.end_campaign(campaign, outcome)
    db.session.commit()
    text = text_of(client, "/c/keep-it")
    assert says in text
    assert "Council votes" not in text


def test_a_missing_language_falls_back(client: Client) -> None:
    make_campaign(slug="keep-it", title=Words(en="Keep it"), summary=Words(es="En dos frases."))
    db.session.commit()
    spanish = text_of(client, "/c/keep-it?lang=es")
    assert "Keep it" in spanish
    assert "En dos frases." in spanish
    assert "En dos frases." in text_of(client, "/c/keep-it?lang=en")


def test_the_language_of_the_browser_or_of_the_address(client: Client) -> None:
    make_wards()
    campaign = make_campaign(slug="keep-it", title=Words(en="Keep it", es="Que siga"))
    make_clinic(campaign, district_id=places.districts()[19].id)
    db.session.commit()
    browser = {"Accept-Language": "es-MX,es;q=0.9"}
    assert "Que siga" in text_of(client, "/c/keep-it", **browser)
    assert "Distrito 20" in text_of(client, "/c/keep-it", **browser)
    assert "Keep it" in text_of(client, "/c/keep-it?lang=en", **browser)


# All of them


@pytest.mark.parametrize("path", PAGES)
def test_public_pages_are_shared_and_set_no_cookie(client: Client, path: str) -> None:
    make_campaign(slug="keep-it")
    db.session.commit()
    answer = client.get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "public" in answer.headers["Cache-Control"]
    assert "Accept-Language" in answer.headers["Vary"]
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_an_accent_comes_with_the_policy_that_allows_it(client: Client) -> None:
    """The nonce in a kept page and the one in its header are the same, every time."""
    lead = make_organization(accent_css="html[data-accent]{--accent:#123456}")
    make_campaign(lead, slug="keep-it")
    db.session.commit()
    for _ in range(2):
        answer = client.get("/c/keep-it")
        nonce = answer.get_data(as_text=True).split('<style nonce="')[1].split('"')[0]
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]


def test_a_campaigns_page_is_light(client: Client) -> None:
    """With the map of fifty wards; style sheets and the font come on top, once."""
    make_wards()
    petition = make_petition(make_campaign(slug="keep-it"))
    district_id, share = places.district_for("60637")
    make_signature(petition, district_id=district_id, district_share=share)
    db.session.commit()
    assert len(client.get("/c/keep-it").data) < 60_000


def test_how_names_are_kept_safe_says_what_the_software_does(client: Client) -> None:
    text = text_of(client, "/privacy")
    for words in (
        "you are on no list",
        "deleted after 7 days",
        "No box is ticked beforehand.",
        "they must say why",
        "We set no cookie on these pages.",
        "one signature from your ward",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# One\n\n## Two", "<h2>One</h2>\n<h3>Two</h3>"),
        ("## One\n\n### Two", "<h2>One</h2>\n<h3>Two</h3>"),
        ("### One\n\n# Two", "<h4>One</h4>\n<h2>Two</h2>"),
        ("###### Deep", "<h2>Deep</h2>"),
        ("# One\n\n###### Six", "<h2>One</h2>\n<h4>Six</h4>"),
        ("No heading", "<p>No heading</p>"),
    ],
)
def test_the_highest_heading_of_a_text_stands_below_the_pages_own(source: str, html: str) -> None:
    assert markdown_html(source).strip() == html
