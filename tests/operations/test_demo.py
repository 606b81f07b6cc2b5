"""The demo: once, whole, consistent, and plain about what is invented."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import User
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import Clinic
from campaign.checkin.models import SignIn
from campaign.db import Model, db
from campaign.events.models import Event, EventState, Occurrence, Rsvp, RsvpState
from campaign.hearings import models as hearings
from campaign.lists import queries as lists
from campaign.lists.models import List, Segment
from campaign.mail.models import Chunk, Delivery, DeliveryState, MailboxMessage
from campaign.mailings import queries as mailings
from campaign.mailings.models import Message, MessageState
from campaign.operations import demo
from campaign.organizations import queries as organizations
from campaign.organizations.models import Membership, Role
from campaign.people.models import Consent, ConsentWording, Person
from campaign.people.queries import live_consent
from campaign.petitions import queries as petitions
from campaign.petitions.models import CommentState, Petition, Signature, SignatureState
from campaign.results import queries as results
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.organizations import make_organization
from tests.factories.pages import read


def row_counts() -> dict[str, int]:
    return {
        table.name: db.session.scalar(select(func.count()).select_from(table)) or 0
        for table in Model.metadata.sorted_tables
    }


@pytest.fixture
def loaded(app: Flask) -> Petition:
    """The demo's petition, loaded and committed."""
    app.extensions["pages"].clear()
    assert demo.load_demo() is True
    db.session.commit()
    return db.session.scalars(select(Petition)).one()


def test_loading_twice_is_loading_once(loaded: Petition) -> None:
    before = row_counts()
    assert demo.load_demo() is False
    db.session.commit()
    assert row_counts() == before


def test_nothing_is_touched_where_an_organization_has_its_name(app: Flask) -> None:
    make_organization(slug="nurses")
    before = row_counts()
    assert demo.load_demo() is False
    assert row_counts() == before


def test_what_programs_rely_on_is_there_in_both_languages(loaded: Petition) -> None:
    for slug in ("stop", "afscme-31", "nurses", "next-steps"):
        assert organizations.organization_by_slug(slug) is not None
    campaign = campaigns.campaign_by_slug("keep-our-clinics")
    assert campaign is not None
    assert (loaded.slug, loaded.campaign_id) == ("keep-our-clinics-open", campaign.id)
    assert loaded.is_open(clock.now())
    names = [clinic.name for clinic in campaigns.clinics_of(campaign.id)]
    assert names == [
        "Woodlawn",
        "Back of the Yards",
        "Beverly Morgan Park",
        "Greater Grand/Mid-South",
    ]
    wards = [
        clinic.district.code for clinic in campaigns.clinics_of(campaign.id) if clinic.district
    ]
    assert wards == ["20", "11", "19", "4"]
    partners = [row.partner.slug for row in campaigns.partners_of(campaign.id)]
    assert partners == ["afscme-31", "nurses", "next-steps"]

    campaign = loaded.campaign
    things = [
        campaign,
        *campaigns.clinics_of(campaign.id),
        *campaigns.milestones_of(campaign.id),
        *campaigns.partners_of(campaign.id),
    ]
    assert [thing.missing_languages for thing in things] == [[] for _ in things]
    for text in (loaded.title, loaded.summary, loaded.text, loaded.target, loaded.thanks):
        assert text.has("en")
        assert text.has("es")

    clinic = db.session.scalars(select(Clinic).where(Clinic.status == "saved")).one()
    history = campaigns.status_history(clinic.id)
    assert [change.status for change in history] == ["saved", "closing"]
    assert history[0].at > history[1].at + timedelta(days=20)


def test_signatures_count_and_lie_in_the_last_four_weeks(loaded: Petition) -> None:
    rows = db.session.execute(select(Signature.state, func.count()).group_by(Signature.state))
    states = {row[0]: row[1] for row in rows}
    assert 300 <= sum(states.values()) <= 400
    assert set(states) == {"confirmed", "unverified", "pending", "review", "withdrawn"}
    shown = petitions.count(loaded.id)
    assert shown == petitions.recount(loaded.id)
    assert (shown.confirmed, shown.unverified) == (states["confirmed"], states["unverified"])
    assert len(petitions.counts_by_district(loaded.id)) > 25

    now = clock.now()
    times = list(db.session.scalars(select(Signature.created_at)))
    assert now - timedelta(days=29) < min(times) < now - timedelta(days=25)
    assert max(times) < now
    ids = list(db.session.scalars(select(Signature.id).order_by(Signature.created_at)))
    assert ids == sorted(ids)

    confirmed = {SignatureState.CONFIRMED, SignatureState.WITHDRAWN}
    for signature in db.session.scalars(select(Signature)):
        assert (signature.person_id is not None) == (signature.state in confirmed)
        assert (signature.email is None) == (signature.state == SignatureState.UNVERIFIED)
    assert db.session.query(Person).count() == len(
        {s.person_id for s in db.session.scalars(select(Signature)) if s.person_id}
    )

    states = set(db.session.scalars(select(Signature.comment_state)))
    assert {CommentState.WAITING, CommentState.APPROVED, CommentState.NONE} <= states


def test_consents_are_to_words_that_were_shown_and_addresses_reach_nobody(loaded: Petition) -> None:
    boxes = {box.grantee_id: set(box.wording.values()) for box in petitions.boxes_of(loaded)}
    for grantee_id, text in db.session.execute(
        select(Consent.grantee_id, ConsentWording.text).join(ConsentWording)
    ):
        assert text in boxes[grantee_id]
    for grantee_id in boxes:
        found = db.session.scalar(
            select(func.count()).select_from(Person).where(live_consent(grantee_id))
        )
        assert found
        assert found > 20

    addresses = [
        *db.session.scalars(select(Signature.email)),
        *db.session.scalars(select(User.email)),
    ]
    for address in filter(None, addresses):
        assert address.endswith(("@example.org", "@example.net", "@example.com", ".example"))


def test_lists_segments_and_mailings_add_up(loaded: Petition) -> None:
    assert db.session.scalars(select(List)).one().name == "Vigil helpers"
    for segment in db.session.scalars(select(Segment)):
        found = db.session.scalars(lists.people_in_segment(segment)).all()
        assert len(found) > 10, segment.name
    states = sorted(db.session.scalars(select(Message.state)))
    assert states == [
        *[MessageState.DRAFT] * 2,
        MessageState.SCHEDULED,
        *[MessageState.SENT] * 4,
    ]
    assert {chunk.state for chunk in db.session.scalars(select(Chunk))} == {DeliveryState.ACCEPTED}
    assert db.session.query(MailboxMessage).count() == 0
    for message in db.session.scalars(select(Message).where(Message.state == MessageState.SENT)):
        deliveries = db.session.scalars(
            select(Delivery).where(Delivery.batch_id.in_(mailings.batch_ids(message)))
        ).all()
        assert message.recipient_count == len(deliveries) > 20
        assert {row.state for row in deliveries} <= {"bounced", "complained", "delivered"}
        assert {row.address for row in deliveries} == {None}
        recipients = select(Person.created_at).where(
            Person.id.in_([row.person_id for row in deliveries])
        )
        assert message.started_at is not None
        assert all(since < message.started_at for since in db.session.scalars(recipients))
        assert mailings.progress(message).state == MessageState.SENT


def test_its_test_of_two_subjects_has_a_clear_winner(loaded: Petition) -> None:
    message = db.session.scalars(select(Message).where(Message.contest.has())).one()
    contest = message.contest
    assert contest is not None
    assert (contest.state, contest.verdict) == ("over", "clear")
    assert contest.winner is not None
    assert contest.winner.letter == "b"
    groups = [variant.recipient_count for variant in contest.variants]
    assert max(groups) - min(groups) <= 1
    batch = mailings.batch_of(message)
    assert batch is not None
    assert sum(groups) + batch.total_count == message.recipient_count


def test_the_reports_of_its_mailings_are_worth_a_look(loaded: Petition) -> None:
    plain = select(Message).where(Message.state == MessageState.SENT, ~Message.contest.has())
    messages = db.session.scalars(plain).all()
    for message in messages:
        report = results.report_of(message, "en")
        assert report.is_whole
        assert sum(report.times.series["sent"]) == report.total.taken
        assert sum(report.times.series["clicks"]) == report.total.clicks > 0
        assert report.total.unsubscribed
        assert report.returns
        assert any(link.leads_to for link in report.links)
        assert lists.asks_of(message.id)
    assert sum(results.total_of(message).signatures for message in messages) > 10


def test_nothing_is_sent_by_loading(loaded: Petition, run_tasks: Callable[[], int]) -> None:
    run_tasks()
    assert db.session.query(MailboxMessage).count() == 0


def test_the_log_ins_work(loaded: Petition) -> None:
    logins = demo.demo_logins()
    assert [login.role for login in logins] == [
        Role.OWNER, Role.ORGANIZER, Role.DATA_ENTRY, Role.VIEWER, Role.LEGAL, Role.PARTNER
    ]  # fmt: skip
    for login in logins:
        user = accounts.authenticate(login.email, login.password)
        assert user is not None
        assert user.is_demo
        membership = db.session.scalars(
            select(Membership).where(Membership.user_id == user.id)
        ).one()
        assert membership.role == login.role
        assert membership.organization.slug == login.organization


def test_log_ins_exist_in_development_only(
    app: Flask, with_settings: Callable[..., Settings]
) -> None:
    with_settings(base_url="https://campaign.example.org")
    assert demo.load_demo() is True
    assert db.session.query(User).count() == 0
    assert demo.demo_logins() == []
    states = set(db.session.scalars(select(Message.state)))
    assert states == {MessageState.DRAFT, MessageState.SENT}


def test_no_log_in_is_told_before_the_demo_is_there(app: Flask) -> None:
    assert demo.demo_logins() == []


def test_the_pages_say_what_is_invented(loaded: Petition, client: Client) -> None:
    english = "All people, quotes and numbers here are invented."
    spanish = "Todas las personas, citas y cifras de aquí son inventadas."
    for path, says in (
        ("/c/keep-our-clinics", english),
        ("/c/keep-our-clinics?lang=es", spanish),
        ("/p/keep-our-clinics-open", english),
        ("/p/keep-our-clinics-open?lang=es", spanish),
    ):
        answer = client.get(path)
        assert answer.status_code == 200
        assert says in read(answer).text

    text = read(client.get("/c/keep-our-clinics")).text
    for words in (
        "Keep our four clinics open",
        "in 23 days",
        "20th Ward. 540 people come here.",
        "Kept open after the town hall.",
        "Our town hall was so full",
        "The union of the people who work in the clinics.",
        "of 50 wards have signers.",
    ):
        assert words in text, words


def test_the_events_hold_together(loaded: Petition) -> None:
    """Named as the contract names them, full where they should be, and counted right."""
    events = {row.slug: row for row in db.session.scalars(select(Event))}
    assert {"vigil-at-woodlawn", "council-hearing", "town-hall", "planning-meetings"} <= set(events)
    assert {row.state for row in events.values()} == {EventState.PUBLISHED}
    for date in db.session.scalars(select(Occurrence)):
        answers = db.session.scalars(select(Rsvp).where(Rsvp.occurrence_id == date.id)).all()
        assert date.taken_count == sum(rsvp.seats for rsvp in answers)
        waiting = [rsvp for rsvp in answers if rsvp.state == RsvpState.WAITING]
        assert date.waiting_count == len(waiting)
        assert all(rsvp.person_id for rsvp in answers)
    town_hall = db.session.scalars(
        select(Occurrence).where(Occurrence.event_id == events["town-hall"].id)
    ).one()
    assert (town_hall.taken_count, town_hall.waiting_count) == (60, 7)
    dates = select(func.count()).where(Occurrence.event_id == events["planning-meetings"].id)
    assert db.session.scalar(dates) == 12
    speakers = db.session.scalars(select(hearings.Testimony)).all()
    assert len(speakers) == 8
    assert len([one for one in speakers if one.state == "speaking"]) == 6
    assert db.session.scalar(select(func.count()).select_from(SignIn)) == 53


def test_the_pages_of_the_events_open(loaded: Petition, client: Client) -> None:
    for path in (
        "/e/",
        "/e/vigil-at-woodlawn",
        "/e/council-hearing",
        "/e/town-hall",
        "/c/" + demo.CAMPAIGN,
    ):
        for language in ("en", "es"):
            page = client.get(f"{path}?lang={language}")
            assert page.status_code == 200, path
    assert "City Council hearing" in read(client.get("/e/")).text
    assert "invented" in read(client.get("/e/vigil-at-woodlawn")).text
