"""The page that says whether the organization's e-mail will arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import dns.resolver
import pytest
from flask import Flask

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.mail import domains, queries, tasks
from campaign.mail.domains import Finding, Findings, State
from campaign.mail.models import SenderDomain
from campaign.organizations import services
from campaign.organizations.models import Organization, Role
from campaign.organizations.services import Profile
from tests.conftest import Client
from tests.factories.mailings import make_message
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read

PAGE = "/organize/organization/sending"
GOOD = Finding(State.GOOD, "spf_good", {}, "v=spf1 mx -all")
BAD = Finding(State.MISSING, "dmarc_missing", {}, "", "_dmarc.clinics.example", "v=DMARC1; p=none")


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(sender_email="hello@clinics.example")


@pytest.fixture
def owner(client: Client, organization: Organization) -> User:
    user = make_member(organization)
    log_in(client, user, organization)
    return user


def found(findings: Findings, **values: Any) -> SenderDomain:
    row = SenderDomain(
        domain="clinics.example",
        asked_at=clock.now(),
        looked_at=clock.now() + timedelta(seconds=1),
        verdict=domains.verdict_of(findings),
        findings={name: asdict(finding) for name, finding in findings.items()},
    )
    for name, value in values.items():
        setattr(row, name, value)
    db.session.add(row)
    db.session.commit()
    return row


@pytest.mark.usefixtures("owner")
class TestPage:
    def test_before_the_first_look(self, client: Client) -> None:
        page = read(client.get(PAGE)).text
        assert "We have not looked at them yet" in page
        assert "Look now" in page
        assert "clinics.example" in page

    def test_all_in_order(self, client: Client) -> None:
        found({"spf": GOOD})
        page = read(client.get(PAGE)).text
        assert "Your email is set up to arrive." in page
        assert "Look again" in page
        assert "v=spf1 mx -all" in page

    def test_what_is_missing_comes_with_the_record_to_add(self, client: Client) -> None:
        found({"spf": GOOD, "dmarc": BAD})
        page = read(client.get(PAGE)).text
        assert "Some of your email may not arrive." in page
        for part in ("_dmarc.clinics.example", "TXT", "v=DMARC1; p=none"):
            assert part in page

    def test_dns_that_could_not_be_asked(self, client: Client) -> None:
        found({"spf": Finding(State.UNKNOWN, "unreachable", {"reason": "timeout"})})
        page = read(client.get(PAGE)).text
        assert "We could not look: DNS did not answer in time." in page
        assert "may not arrive" not in page

    def test_what_others_publish_is_shown_as_text(self, client: Client) -> None:
        found({"spf": replace(GOOD, found="v=spf1 <script>alert(1)</script>")})
        assert b"<script>alert" not in client.get(PAGE).data

    def test_while_it_looks_the_part_asks_again(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = found({}, looked_at=None)
        assert 'hx-trigger="every 2s"' in client.get(PAGE).text
        part = client.get(PAGE, headers={"HX-Request": "true"}).text
        assert part.lstrip().startswith('<section id="sending"')
        assert "We are looking at clinics.example." in part
        row.asked_at = clock.now() - timedelta(minutes=5)
        db.session.commit()
        late = client.get(PAGE).text
        assert "This takes longer than it should" in late
        assert "every 2s" not in late

    def test_the_button_has_dns_asked_by_a_task(
        self,
        client: Client,
        rung: list[tuple[Any, tuple[Any, ...]]],
        run_tasks: Callable[[], int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked: list[str] = []

        def resolve(_self: object, name: str, _kind: str) -> None:
            asked.append(name)
            raise dns.resolver.NoAnswer

        monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda _self: None)
        monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
        client.submit(PAGE, form=PAGE)
        assert asked == []
        assert rung == [(tasks.look_at_domain, ("clinics.example",))]
        run_tasks()
        assert "clinics.example" in asked
        assert "may not arrive" in read(client.get(PAGE)).text

    def test_it_cannot_be_pressed_without_end(self, client: Client) -> None:
        found({"spf": GOOD})
        for _ in range(12):
            client.submit(PAGE, form=PAGE)
            db.session.get_one(SenderDomain, "clinics.example").looked_at = clock.now()
            db.session.commit()
        answer = client.submit(PAGE, form=PAGE, follow_redirects=True)
        assert "You have looked many times this hour." in read(answer).text

    def test_a_free_mail_service_cannot_be_helped(
        self, client: Client, organization: Organization, rung: list[object]
    ) -> None:
        organization.sender_email = "clinic@GMail.com"
        db.session.commit()
        page = read(client.get(PAGE)).text
        assert "refuse mass email from gmail.com" in page
        assert "Look now" not in page
        assert not services.look_at_sender(organization)
        assert rung == []

    def test_no_postal_address_and_no_sender(
        self, client: Client, organization: Organization
    ) -> None:
        organization.postal_address, organization.sender_email = "", ""
        db.session.commit()
        page = read(client.get(PAGE)).text
        assert "Your postal address is missing." in page
        assert "You have no sender address yet" in page

    def test_a_mailing_leads_here(self, client: Client, organization: Organization) -> None:
        organization.sender_email = "clinic@yahoo.com"
        message = make_message(organization)
        db.session.commit()
        answer = client.get(f"/organize/mailings/{message.id}")
        assert "Your sender address is at yahoo.com." in read(answer).text
        assert f'href="{PAGE}"' in answer.text


@pytest.mark.parametrize(
    ("role", "reads", "changes"),
    [(Role.OWNER, 200, 303), (Role.ORGANIZER, 200, 403), (Role.DATA_ENTRY, 403, 403)],
)
def test_owners_change_and_organizers_read(
    client: Client, organization: Organization, role: Role, reads: int, changes: int
) -> None:
    log_in(client, make_member(organization, role), organization)
    found({"spf": GOOD})
    answer = client.get(PAGE)
    assert answer.status_code == reads
    assert ("Look again" in answer.text) is (changes == 303)
    token = dict(read(client.get("/organize/account")).forms[-1]["fields"])["csrf_token"]
    assert client.post(PAGE, data={"csrf_token": token}).status_code == changes


def test_a_new_sender_address_is_looked_at_by_itself(
    organization: Organization, rung: list[tuple[Any, tuple[Any, ...]]]
) -> None:
    profile = Profile(
        name=organization.name, sender_email="hello@Clínicas.example", postal_address="1 Main St"
    )
    services.change_profile(organization, profile, by=None)
    db.session.commit()
    assert rung == [(tasks.look_at_domain, ("xn--clnicas-8ya.example",))]
    assert queries.sender_domain("xn--clnicas-8ya.example") is not None
