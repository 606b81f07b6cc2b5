"""Where links lead: pages of this installation as they stand, and addresses that can be seen to
lead nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign import clock
from campaign.db import db
from campaign.designs import leads
from campaign.designs.leads import Pages, Wrong
from campaign.organizations.models import Organization
from campaign.petitions.models import PetitionState
from campaign.web.links import preferences_url, rsvp_url
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event
from tests.factories.mailings import make_reader
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def base(app: Flask) -> str:
    return str(app.extensions["settings"].base_url)


def found(organization: Organization, url: str) -> Wrong | None:
    return leads.wrong_with(url, leads.look_up(organization.id, [f"Look: {url}."]))


def test_petitions_as_they_stand(organization: Organization, base: str) -> None:
    campaign = make_campaign(organization)
    now = clock.now()
    states = {
        None: make_petition(campaign),
        Wrong.DRAFT: make_petition(campaign, state=PetitionState.DRAFT),
        Wrong.CLOSED: make_petition(campaign, closes_at=now - timedelta(hours=1)),
    }
    for wrong, petition in states.items():
        for end in ("", "?lang=es", "#sign", "?source=x"):
            assert found(organization, f"{base}/p/{petition.slug}{end}") is wrong
    assert found(organization, f"{base}/p/no-such-thing") is Wrong.MISSING


def test_events_as_they_stand(organization: Organization, base: str) -> None:
    campaign = make_campaign(organization)
    states = {
        None: make_event(campaign),
        Wrong.OVER: make_event(campaign, starts_in_days=-3),
        Wrong.CANCELLED: make_event(campaign, state="cancelled", cancelled_at=clock.now()),
        Wrong.DRAFT: make_event(campaign, state="draft", published_at=None),
    }
    for wrong, event in states.items():
        assert found(organization, f"{base}/e/{event.slug}") is wrong
    assert found(organization, f"{base}/e/no-such-thing") is Wrong.MISSING


def test_campaigns_as_they_stand(organization: Organization, base: str) -> None:
    open_, draft = make_campaign(organization), make_campaign(organization)
    draft.state = "draft"
    db.session.flush()
    assert found(organization, f"{base}/c/{open_.slug}") is None
    assert found(organization, f"{base}/c/{draft.slug}") is Wrong.DRAFT
    assert found(organization, f"{base}/c/no-such-thing") is Wrong.MISSING


def test_only_so_many_pages_are_looked_up(
    organization: Organization, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leads, "MOST_PAGES", 1)
    pages = leads.look_up(organization.id, [f"{base}/p/first {base}/p/second"])
    assert leads.wrong_with(f"{base}/p/first", pages) is Wrong.MISSING
    assert leads.wrong_with(f"{base}/p/second", pages) is None


def test_nobody_learns_what_another_organization_writes(
    organization: Organization, base: str
) -> None:
    campaign = make_campaign(make_organization())
    draft = make_petition(campaign, state=PetitionState.DRAFT)
    event = make_event(campaign, state="draft", published_at=None)
    campaign.state = "draft"
    db.session.flush()
    assert found(organization, f"{base}/p/{draft.slug}") is Wrong.MISSING
    assert found(organization, f"{base}/e/{event.slug}") is Wrong.MISSING
    assert found(organization, f"{base}/c/{campaign.slug}") is Wrong.MISSING
    assert found(organization, f"{base}/p/{make_petition(campaign).slug}") is None


def test_pages_of_ours_that_are_none_of_the_readers(organization: Organization, base: str) -> None:
    person = make_reader(organization)
    assert found(organization, f"{base}/") is None
    assert found(organization, f"{base}/e/") is None
    assert found(organization, f"{base}/e/propose") is None
    assert found(organization, f"{base}/nonsense") is Wrong.MISSING
    assert found(organization, f"{base}/organize/people/{person.id}") is Wrong.TEAM
    assert found(organization, preferences_url("person", person.id)) is Wrong.PERSONAL
    assert found(organization, rsvp_url(person.id)) is Wrong.PERSONAL
    assert found(organization, f"{base}/unsubscribe/abc") is Wrong.PERSONAL


def test_our_own_without_encryption(
    app: Flask, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    petition = make_petition(make_campaign(organization))
    secure = replace(app.extensions["settings"], base_url="https://stop.clinics.org")
    monkeypatch.setitem(app.extensions, "settings", secure)
    assert found(organization, f"http://stop.clinics.org/p/{petition.slug}") is Wrong.HTTP
    assert found(organization, f"HTTPS://Stop.Clinics.org:443/p/{petition.slug}") is None
    assert found(organization, "http://stop.clinics.org/nonsense") is Wrong.MISSING
    assert found(organization, "http://clinics.org/p/nonsense") is None
    assert found(organization, "http://127.0.0.1:8000/") is Wrong.LOCAL


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://clinics.org/", None),
        ("https://8.8.8.8/", None),
        ("http://localhost:3000/x", Wrong.LOCAL),
        ("http://localhost./", Wrong.LOCAL),
        ("http://printer.local/", Wrong.LOCAL),
        ("http://192.168.1.1/", Wrong.LOCAL),
        ("http://[::1]/", Wrong.LOCAL),
        ("https://example.org/", Wrong.SAMPLE),
        ("https://www.EXAMPLE.com/x", Wrong.SAMPLE),
        ("https://a.test/", Wrong.SAMPLE),
        ("https://myexample.com/", None),
        ("mailto:ana@clinics.org", None),
        ("MAILTO:ana@clinics.org?subject=Hi%20there", None),
        ("mailto:ana@clinics.org,bo@clinics.org", None),
        ("mailto:ana%40clinics.org", None),
        ("mailto:ana", Wrong.MAILTO),
        ("mailto:ana@clinics", Wrong.MAILTO),
        ("mailto:ana@clinics..org", Wrong.MAILTO),
        ("mailto:ana@@clinics.org", Wrong.MAILTO),
        ("mailto:?subject=Hi", None),
        ("tel:988", None),
        ("tel:+1-773-555-0100", None),
        ("tel:(773)%20555-0100", None),
        ("tel:+17735550100;ext=12", None),
        ("tel:1-800-FLOWERS", Wrong.TEL),
        ("tel:12", Wrong.TEL),
        ("tel:+", Wrong.TEL),
    ],
)
def test_what_can_be_seen_of_an_address(app: Flask, url: str, wrong: Wrong | None) -> None:
    assert leads.wrong_with(url, Pages()) is wrong


@pytest.mark.parametrize(
    ("url", "is_readable"),
    [
        ("https://clinics.org/x?y#z", True),
        ("https://[2606:4700::1111]/", True),
        ("https://sí.org/", True),
        ("http://[", False),
        ("https://clinics..org/", False),
        ("https://.org/", False),
        ("https://clinics.org:banana/", False),
        ("https://clinics.org:0/", False),
        ("https://two words.org/", False),
    ],
)
def test_what_can_be_taken_apart(url: str, is_readable: bool) -> None:
    assert leads.is_readable(url) is is_readable


def test_no_address_breaks_it(app: Flask) -> None:
    @given(st.sampled_from(["https://", "http://", "mailto:", "tel:", ""]), st.text())
    def any_address(beginning: str, rest: str) -> None:
        for url in (beginning + rest, f"{app.extensions['settings'].base_url}/{rest}"):
            leads.is_readable(url)
            leads.is_own(url)
            wrong = leads.wrong_with(url, Pages())
            assert wrong is None or wrong in Wrong

    any_address()
