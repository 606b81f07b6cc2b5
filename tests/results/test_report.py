"""A report says what the rows say: rows made by sending, by the webhook, by signing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from campaign import clock
from campaign.db import db
from campaign.events.models import RsvpState
from campaign.lists.models import AskKind
from campaign.mail import services as mail
from campaign.mail.models import Attempt, Chunk, Delivery, DeliveryState, Suppression
from campaign.mailings import services as mailing_services
from campaign.mailings.models import MessageLink
from campaign.organizations.models import Organization
from campaign.results import queries, times
from campaign.results.queries import Report
from campaign.web.few import Veiled
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp
from tests.factories.mailings import make_message, make_reader
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition, make_signature
from tests.factories.results import BLOCKED, BOUNCE, deliveries_of, say, sent_to, tell

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


def test_states_by_the_webhook_add_up_to_all(organization: Organization) -> None:
    message, people = sent_to(organization, 14)
    tell(message, *((person, say("delivered")) for person in people[:8]))
    tell(message, (people[0], say("spamreport")), (people[9], BOUNCE), (people[10], BLOCKED))
    tell(message, (people[11], {"event": "dropped", "reason": "Invalid"}))
    report = queries.report_of(message, "en")
    assert report.is_whole
    assert {name: count for name, count in report.total.states.items() if count} == {
        "accepted": 3,
        "delivered": 7,
        "complained": 1,
        "hard": 1,
        "soft": 1,
        "suppressed": 1,
    }
    assert report.returns == {"no mailbox": 1, "policy": 1}
    assert report.not_sent == {"hard bounce": 1, "soft bounce": 1, "invalid address": 1}
    assert (report.total.base, report.total.is_confirmed) == (11, False)
    tell(message, *((person, say("delivered")) for person in people[8:9] + people[12:]))
    total = queries.total_of(message)
    assert (total.base, total.is_confirmed) == (11, True)


STATES = [state for state in DeliveryState if state != DeliveryState.LEASED]
OF_CHUNKS = [
    DeliveryState.QUEUED,
    DeliveryState.ATTEMPTING,
    DeliveryState.RETRY,
    DeliveryState.ACCEPTED,
    DeliveryState.UNKNOWN,
    DeliveryState.UNKNOWN_FINAL,
    DeliveryState.FAILED,
    DeliveryState.CANCELLED,
]
"""All that a request as a whole comes to; the rest is said of single recipients."""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from([None, *STATES]), min_size=10, max_size=14),
    st.sampled_from(OF_CHUNKS),
)
def test_whatever_states_there_are_they_sum_to_the_recipients(
    app: Flask, states: list[DeliveryState | None], chunk_state: DeliveryState
) -> None:
    organization = make_organization()
    message, people = sent_to(organization, len(states))
    rows = deliveries_of(message)
    for person, state in zip(people, states, strict=True):
        row = rows[person.id]
        row.state, row.reason = state, "soft bounce" if person is people[0] else "hard bounce"
        row.settled_at = clock.now()
    db.session.execute(
        update(Chunk).where(Chunk.batch_id == message.batch_id).values(state=chunk_state)
    )
    db.session.commit()
    report = queries.report_of(message, "en")
    assert sum(report.total.states.values()) == message.recipient_count == report.total.people
    assert sum(report.times.series["delivered"]) == report.total.confirmed
    assert sum(report.returns.values()) == report.total.came_back
    assert sum(report.times.series["sent"]) == report.total.taken


def test_everything_through_its_links_is_counted_and_nothing_else(
    organization: Organization,
) -> None:
    campaign = make_campaign(organization)
    petition, event = make_petition(campaign), make_event(campaign)
    other = make_organization()
    message, _people = sent_to(
        organization, 12, f"/p/{petition.slug}", f"/e/{event.slug}", "/p/x?source=own"
    )
    source = message.source
    make_signature(petition, source=source)
    make_signature(petition, source=source)
    make_signature(petition, "pending", source=source)
    make_signature(petition, source="flyer")
    make_signature(make_petition(organization_id=other.id), source=source)
    make_signature(petition, source=source, confirmed_at=clock.now() - timedelta(days=2))
    make_rsvp(event, source=source)
    make_rsvp(event, source=source, state=RsvpState.DECLINED)
    make_rsvp(event, source=source, state=RsvpState.WAITING)
    make_rsvp(make_event(make_campaign(other)), source=source)
    db.session.commit()
    report = queries.report_of(message, "en")
    assert [(one.kind, one.thing_id, one.count) for one in report.actions] == [
        (AskKind.PETITION, petition.id, 2),
        (AskKind.EVENT, event.id, 2),
    ]
    assert (report.total.signatures, report.total.answers) == (2, 2)
    assert sum(report.times.series["actions"]) == 4
    assert [link.leads_to for link in report.links] == [
        petition.title.get_for("en"),
        event.title.get_for("en"),
        "",
    ]


def test_clicks_by_link_and_by_hour(organization: Organization) -> None:
    message, _people = sent_to(organization, 12, "/a", "/b")
    first, second = db.session.scalars(select(MessageLink).order_by(MessageLink.position))
    for link, count in ((first, 3), (second, 2)):
        for _click in range(count):
            mailing_services.count_click(link.id)
    db.session.commit()
    report = queries.report_of(message, "en")
    assert [link.clicks for link in report.links] == [3, 2]
    assert sum(report.times.series["clicks"]) == report.total.clicks == 5


def test_hours_are_the_organizations_and_the_clock_may_change(organization: Organization) -> None:
    """Sent at half past midnight on the night the clocks go back in Chicago."""
    organization.time_zone = "America/Chicago"
    message, people = sent_to(organization, 12)
    start = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    message.started_at = start
    db.session.execute(
        update(Attempt).values(started_at=start, ended_at=start + timedelta(seconds=1))
    )
    tell(message, *((person, say("delivered")) for person in people))
    rows = deliveries_of(message)
    for number, person in enumerate(people):
        rows[person.id].settled_at = start + timedelta(minutes=30 * number)
    db.session.commit()
    found = queries.report_of(message, "en").times
    local = [span.start.astimezone(clock.zone("America/Chicago")) for span in found.spans]
    assert [f"{at:%H %Z}" for at in local[:4]] == ["00 CDT", "01 CDT", "01 CST", "02 CST"]
    assert found.series["sent"][:2] == [12, 0]
    assert found.series["delivered"][:7] == [1, 2, 2, 2, 2, 2, 1]


def test_who_complained_was_delivered_first(organization: Organization) -> None:
    message, people = sent_to(organization, 12)
    early = clock.now() - timedelta(minutes=1)
    tell(message, (people[0], say("delivered")), at=early)
    tell(message, (people[0], say("spamreport")))
    counted = times.delivered_at([message.batch_id] if message.batch_id else [])
    (at,) = counted
    assert abs((at - early).total_seconds()) < 1


def test_unsubscribes_belong_to_the_message_read_last(organization: Organization) -> None:
    first, people = sent_to(organization, 12)
    second, _same = sent_to(organization, people)
    assert first.started_at
    first.started_at -= timedelta(days=1)
    tell(second, (people[0], say("unsubscribe")))
    assert queries.total_of(first).unsubscribed == 0
    assert queries.total_of(second).unsubscribed == 1
    assert sum(queries.report_of(second, "en").times.series["unsubscribed"]) == 1


def test_mail_services_with_few_people_stand_together(organization: Organization) -> None:
    people = [make_reader(organization, email=f"g{n}@gmail.com") for n in range(11)]
    people += [make_reader(organization, email=f"o{n}@outlook.com") for n in range(6)]
    people += [make_reader(organization, email=f"me{n}@family{n}.example") for n in range(5)]
    message, _people = sent_to(organization, people)
    tell(message, *((person, BOUNCE) for person in people[:7]))
    rows = queries.report_of(message, "en").mailboxes
    assert [(row.name, row.people, row.hard) for row in rows] == [("Gmail", 11, 7), ("", 11, 0)]


def test_an_erased_person_is_among_the_others(organization: Organization) -> None:
    message, people = sent_to(organization, 12)
    mail.forget_person(people[0].id, people[0].address_hash or "")
    db.session.commit()
    rows = queries.report_of(message, "en").mailboxes
    assert [(row.name, row.people) for row in rows] == [("", 12)]


def test_what_few_people_did_is_not_counted_out(organization: Organization) -> None:
    petition = make_petition(organization_id=organization.id)
    message, people = sent_to(organization, 9, f"/p/{petition.slug}")
    make_signature(petition, source=message.source)
    tell(message, (people[0], say("delivered")), (people[0], say("spamreport")))
    total = queries.report_of(message, "en").total
    assert total.shown("signatures") is total.shown("complained") is Veiled.FEW
    assert total.rate("signatures") is None
    assert "complained" not in total.states
    assert total.states["delivered"] == 1
    assert sum(total.states.values()) == 9


def test_another_organization_adds_nothing(organization: Organization) -> None:
    message, _people = sent_to(organization, 12)
    other = make_organization()
    theirs, others = sent_to(other, 12)
    tell(theirs, (others[0], BOUNCE), (others[1], say("unsubscribe")))
    report = queries.report_of(message, "en")
    assert report.total.came_back == report.total.unsubscribed == 0
    assert report.is_whole


def test_a_message_that_reaches_nobody_has_a_report(organization: Organization) -> None:
    message, _people = sent_to(organization, [make_reader(organization, consents=False)])
    report: Report = queries.report_of(message, "en")
    assert report.total.people == 0
    assert report.left_out == {"no_consent": 1}
    assert report.is_whole
    assert report.total.rate("clicks") is None


def test_a_request_that_events_prove_counts_at_its_last_attempt(
    organization: Organization,
) -> None:
    message, people = sent_to(organization, 12)
    tried = clock.now() - timedelta(hours=2)
    db.session.execute(update(Chunk).values(state=DeliveryState.UNKNOWN))
    db.session.execute(update(Attempt).values(outcome="unknown", started_at=tried))
    db.session.commit()
    tell(message, *((person, say("delivered")) for person in people[:5]))
    ids: list[uuid.UUID] = [message.batch_id] if message.batch_id else []
    assert dict(times.sent_at(ids, clock.now())) == {tried: 12}
    report = queries.report_of(message, "en")
    assert (report.total.delivered, report.total.accepted) == (5, 7)
    assert sum(report.times.series["sent"]) == 12


def test_no_person_is_in_a_report(organization: Organization) -> None:
    """Nothing in a report holds an id, a name or an address of anybody."""
    message, people = sent_to(organization, 12)
    tell(message, (people[0], BOUNCE), (people[1], say("unsubscribe")))
    told = repr(queries.report_of(message, "en"))
    for person in people:
        assert str(person.id) not in told
        assert person.first_name not in told
        assert (person.email or "") not in told
    for hashed in db.session.scalars(select(Suppression.address_hash)):
        assert hashed not in told
    for delivery_id in db.session.scalars(select(Delivery.id)):
        assert str(delivery_id) not in told


def test_drafts_have_no_parts(organization: Organization) -> None:
    draft = make_message(organization)
    assert queries.total_of(draft).people == 0
