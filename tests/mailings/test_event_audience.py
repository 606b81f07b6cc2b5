"""Writing to those who come to an event: their answer is consent to that, and to nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.events.models import Event, RsvpState
from campaign.lists.models import List
from campaign.mail.services import suppress
from campaign.mailings import queries
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message
from campaign.organizations.models import Organization, Role
from campaign.people.models import Person
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.lists import make_list
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person

pytestmark = pytest.mark.usefixtures("app")


def coming(event: Event, **values: object) -> Person:
    """Somebody who answered the event and agreed to nothing else."""
    organization = db.session.get_one(Organization, event.organization_id)
    person = make_person(organization)
    make_rsvp(event, person_id=person.id, email=person.email, **values)
    return person


def to_event(event: Event) -> Choice:
    return Choice(ChoiceKind.EVENT, event.id)


def reached(event: Event, *more: Choice) -> set[object]:
    audience = Audience((to_event(event), *more))
    rows = queries.recipients(event.organization_id, audience, (), slot=1)
    found = {row.person_id for row in db.session.execute(rows)}
    assert queries.reach(event.organization_id, audience).included == len(found)
    return found


def test_those_who_come_and_may_come_are_reached_without_another_consent() -> None:
    event = make_event()
    yes, maybe = coming(event), coming(event, state=RsvpState.TENTATIVE)
    for state in (RsvpState.WAITING, RsvpState.DECLINED, RsvpState.CANCELLED):
        coming(event, state=state)
    coming(make_event(event.campaign))
    assert reached(event) == {yes.id, maybe.id}


def test_one_other_choice_and_the_consent_is_asked_for() -> None:
    event = make_event()
    person = coming(event)
    organization = db.session.get_one(Organization, event.organization_id)
    list_: List = make_list(organization, [person])
    assert reached(event, Choice(ChoiceKind.LIST, list_.id)) == set()
    reach = queries.reach(
        organization.id, Audience((to_event(event), Choice(ChoiceKind.LIST, list_.id)))
    )
    assert reach.reasons == {"no_consent": 1}


def test_two_events_are_still_only_events() -> None:
    event = make_event()
    other = make_event(event.campaign)
    assert reached(event, to_event(other)) == set()
    people = {coming(event).id, coming(other).id}
    assert reached(event, to_event(other)) == people


def test_a_month_after_it_the_answer_is_no_consent_any_more() -> None:
    event = make_event()
    person = coming(event)
    occurrence = occurrence_of(event)
    for days, found in ((29, {person.id}), (31, set())):
        occurrence.ends_at = clock.now() - timedelta(days=days)
        db.session.flush()
        assert reached(event) == found


def test_who_unsubscribed_gets_nothing_all_the_same() -> None:
    event = make_event()
    person = coming(event)
    suppress(
        person.address_hash or "",
        scope="organization",
        scope_id=event.organization_id,
        reason="unsubscribed",
    )
    db.session.flush()
    assert reached(event) == set()


def test_another_organizations_event_finds_nobody() -> None:
    event, organization = make_event(), make_organization()
    coming(event)
    assert queries.reach(organization.id, Audience((to_event(event),))).total == 0
    assert queries.names_of(organization.id, [to_event(event)], "en") == {}


def test_an_organizer_writes_to_them_from_the_page_of_the_event(client: Client) -> None:
    organization = make_organization()
    event = make_event(make_campaign(organization))
    coming(event)
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    response = client.submit(
        f"/organize/mailings/new?to=event:{event.id.hex}",
        {"subject": "Bring a candle", "body": "It is cold outside."},
    )
    message = db.session.scalars(select(Message)).one()
    assert message.chosen == Audience((to_event(event),))
    page = read(client.get(response.location))
    assert "Vigil at Woodlawn" in page.text
    assert "1 person will get it" in page.text
