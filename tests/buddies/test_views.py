"""The pages about going together: behind the link of an answer, and the organizer's."""

from __future__ import annotations

import pytest
import time_machine

from campaign import clock
from campaign.buddies import queries, tasks
from campaign.buddies.models import Wish
from campaign.db import db
from campaign.events.models import Company, Event, Rsvp, RsvpState
from campaign.organizations.models import Organization, Role
from campaign.web.links import rsvp_token
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import form_on, read

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def event(organization: Organization) -> Event:
    return make_event(make_campaign(organization), asks_company=True)


@pytest.fixture
def two(event: Event) -> tuple[Rsvp, Rsvp]:
    """Somebody who asks and somebody who offers, introduced."""
    asker = make_rsvp(
        event, company=Company.ASK, first_name="Rosa", company_wish="by the 63rd Street bus"
    )
    offerer = make_rsvp(event, company=Company.OFFER, first_name="Ike", phone="312 555 0199")
    tasks.find_company()
    db.session.commit()
    return asker, offerer


def page_of(rsvp: Rsvp, more: str = "") -> str:
    return f"/rsvp/{rsvp_token(rsvp.id)}/company{more}"


def wish_of(rsvp: Rsvp) -> Wish:
    found = queries.wish_of(rsvp.id)
    assert found is not None
    return found


def test_asking_on_the_page(client: Client, event: Event) -> None:
    rsvp = make_rsvp(event)
    db.session.commit()
    answer = client.submit(
        page_of(rsvp), {"company": "ask", "wish": "somebody who has been there"}, form="company"
    )
    assert answer.status_code == 303
    assert (wish_of(rsvp).kind, wish_of(rsvp).wish) == ("ask", "somebody who has been there")
    assert "We are looking for somebody to go with you." in read(client.get(page_of(rsvp))).text


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("x" * 301, "under 300 characters"),
        ("a\x00b", "characters we cannot use"),
        ("a\u202eb", "hidden characters"),
    ],
)
def test_what_cannot_be_taken_is_said_at_the_field_and_kept(
    client: Client, event: Event, wish: str, message: str
) -> None:
    rsvp = make_rsvp(event)
    db.session.commit()
    answer = client.submit(page_of(rsvp), {"company": "offer", "wish": wish}, form="company")
    assert answer.status_code == 200
    assert message in read(answer).text
    assert 'value="offer" checked' in answer.text
    assert queries.wish_of(rsvp.id) is None


def test_nothing_of_the_other_is_shown_before_both_agree(
    client: Client, two: tuple[Rsvp, Rsvp]
) -> None:
    asker, offerer = two
    page = read(client.get(page_of(offerer)))
    assert "by the 63rd Street bus" in page.text
    for secret in ("Rosa", "Reyes", str(asker.email)):
        assert secret not in page.text
    client.submit(page_of(offerer), form="agree")
    page = read(client.get(page_of(offerer)))
    assert "As soon as they do, too" in page.text
    assert "Rosa" not in page.text


def test_contacts_are_there_when_both_have_agreed(client: Client, two: tuple[Rsvp, Rsvp]) -> None:
    asker, offerer = two
    for rsvp in two:
        assert client.submit(page_of(rsvp), form="agree").status_code == 303
    page = read(client.get(page_of(asker))).text
    for contact in ("Ike", str(offerer.email), "(312) 555-0199"):
        assert contact in page
    assert "Reyes" not in page


def test_no_and_never_again(client: Client, two: tuple[Rsvp, Rsvp]) -> None:
    asker, offerer = two
    client.submit(page_of(asker), form="no")
    assert queries.introduction_of(wish_of(offerer)) is None
    late = client.post(
        page_of(offerer, "/agree"),
        data=dict(form_on(read(client.get(page_of(offerer))), "company")["fields"]),
        follow_redirects=True,
    )
    assert "This has changed meanwhile" in read(late).text


def test_opening_changes_nothing(client: Client, two: tuple[Rsvp, Rsvp]) -> None:
    before = len(outbox())
    for rsvp in two:
        client.get(page_of(rsvp))
        client.head(page_of(rsvp))
    introduction = queries.introduction_of(wish_of(two[0]))
    assert introduction is not None
    assert introduction.asker_agreed_at is None
    assert len(outbox()) == before


def test_forged_unknown_and_over(client: Client, event: Event, organization: Organization) -> None:
    assert client.get("/rsvp/forged/company").status_code == 404
    plain = make_rsvp(make_event(make_campaign(organization)))
    cannot = make_rsvp(event, state=RsvpState.DECLINED)
    coming = make_rsvp(event)
    db.session.commit()
    assert client.get(page_of(plain)).status_code == 404
    assert client.get(page_of(cannot)).status_code == 410
    with time_machine.travel(clock.now().replace(year=clock.now().year + 1)):
        assert client.get(page_of(coming)).status_code == 410


def test_spanish(client: Client, two: tuple[Rsvp, Rsvp]) -> None:
    page = read(client.get(page_of(two[0]) + "?lang=es")).text
    assert "Encontramos a alguien que se ofrece a ir" in page


class TestConsole:
    def test_numbers_and_names_but_not_what_was_wished(
        self, client: Client, event: Event, organization: Organization, two: tuple[Rsvp, Rsvp]
    ) -> None:
        make_rsvp(event, company=Company.ASK)
        tasks.find_company()
        log_in(client, make_member(organization, Role.ORGANIZER), organization)
        page = read(client.get(f"/organize/events/{event.id}/buddies")).text
        assert "1 person still looks for company" in page
        assert "Rosa" in page
        assert "63rd Street" not in page

    def test_ending_one_tells_both(
        self, client: Client, event: Event, organization: Organization, two: tuple[Rsvp, Rsvp]
    ) -> None:
        log_in(client, make_member(organization, Role.ORGANIZER), organization)
        answer = client.submit(f"/organize/events/{event.id}/buddies", form="/end")
        assert answer.status_code == 303
        ended = {mail.to for mail in outbox() if mail.subject.startswith("About going")}
        assert ended == {rsvp.email for rsvp in two}

    def test_a_viewer_sees_nobody(
        self, client: Client, event: Event, organization: Organization
    ) -> None:
        log_in(client, make_member(organization, Role.VIEWER), organization)
        assert client.get(f"/organize/events/{event.id}/buddies").status_code == 403
