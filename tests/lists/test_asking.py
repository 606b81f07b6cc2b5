"""Who got a message and who did what it asked, as segments and audiences ask it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import db, uuid7
from campaign.events.models import RsvpState
from campaign.lists import queries as lists
from campaign.lists import rules
from campaign.lists.models import AskKind
from campaign.lists.rules import DidAsked, GotMessage, Group, Match
from campaign.mail.models import Batch, Delivery, DeliveryState
from campaign.mailings import queries
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message
from campaign.organizations.models import Organization
from campaign.people.models import Person
from campaign.petitions.models import Petition
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_occurrence, make_rsvp, occurrence_of
from tests.factories.lists import make_list, make_segment
from tests.factories.mailings import make_message, make_reader, send_out, to_list
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition, make_signature

pytestmark = pytest.mark.usefixtures("app")
HERE = "http://127.0.0.1:8000"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


def sent(organization: Organization, *paths: str, readers: int = 3) -> tuple[Message, list[Person]]:
    """A message that is out, with a link for each path, and who got it."""
    people = [make_reader(organization) for _ in range(readers)]
    links = "\n\n".join(f"[Look {n}]({HERE}{path})" for n, path in enumerate(paths))
    message = make_message(
        organization, to_list(make_list(organization, people)), body=f"Dear all,\n\n{links}"
    )
    send_out(message)
    return message, people


def found(organization: Organization, *clauses: rules.Clause, match: str = "all") -> set[Person]:
    tree = Group(Match(match), clauses)
    select_ids = lists.audience(organization.id, tree)
    return set(db.session.scalars(select(Person).where(Person.id.in_(select_ids))))


def test_got_it_is_what_their_mail_service_took(organization: Organization) -> None:
    message, people = sent(organization)
    outsider = make_reader(organization)
    rows = db.session.scalars(select(Delivery).where(Delivery.batch_id == message.batch_id))
    by_person = {row.person_id: row for row in rows}
    by_person[people[0].id].state = DeliveryState.BOUNCED
    by_person[people[1].id].state = DeliveryState.COMPLAINED
    db.session.commit()
    got = GotMessage(message_id=message.id)
    assert found(organization, got) == set(people[1:])
    assert found(organization, GotMessage(message_id=message.id, is_not=True)) == {
        people[0],
        outsider,
    }
    assert found(organization, got, GotMessage(message_id=uuid7()), match="any") == set(people[1:])


def test_how_often_they_were_written_to(organization: Organization) -> None:
    """Messages are counted, not deliveries: the parts of one message are one."""
    first, (ann, bea, cyd) = sent(organization)
    second = make_message(organization, to_list(make_list(organization, [ann, bea])))
    send_out(second)
    outsider = make_reader(organization)
    other = make_organization()
    sent(other)
    row = db.session.scalars(
        select(Delivery).where(Delivery.batch_id == second.batch_id, Delivery.person_id == bea.id)
    ).one()
    row.state = DeliveryState.BOUNCED
    db.session.commit()
    assert found(organization, GotMessage()) == {ann, bea, cyd}
    assert found(organization, GotMessage(times=2)) == {ann}
    assert found(organization, GotMessage(times=2, is_not=True)) == {bea, cyd, outsider}
    assert found(organization, GotMessage(times=3)) == set()
    assert found(organization, GotMessage(times=2, days=1), GotMessage(message_id=first.id)) == {
        ann
    }
    batch = db.session.get_one(Batch, second.batch_id)
    assert batch.released_at is not None
    batch.released_at -= timedelta(days=40)
    db.session.commit()
    assert found(organization, GotMessage(times=2, days=30)) == set()
    assert found(organization, GotMessage(days=30)) == {ann, bea, cyd}
    assert found(organization, GotMessage(times=2, days=60)) == {ann}


def test_a_petition_counts_however_and_whenever_it_was_signed(organization: Organization) -> None:
    petition = make_petition(organization_id=organization.id)
    before = make_reader(organization)
    make_signature(petition, person=before, confirmed_at=clock.now() - timedelta(days=40))
    message, (first, second, third) = sent(organization, f"/p/{petition.slug}?lang=es")
    make_signature(petition, person=first, source="flyer")
    make_signature(petition, "withdrawn", person=second)
    make_signature(make_petition(organization_id=organization.id), person=third)
    db.session.commit()
    did = DidAsked(message_id=message.id)
    assert found(organization, did) == {before, first}
    assert found(organization, did, GotMessage(message_id=message.id)) == {first}
    not_did = DidAsked(message_id=message.id, is_not=True)
    assert found(organization, GotMessage(message_id=message.id), not_did) == {second, third}
    assert found(organization, GotMessage(message_id=message.id), did, match="any") == {
        before,
        first,
        second,
        third,
    }


def test_an_event_counts_by_an_answer_to_a_date_that_was_to_come(
    organization: Organization,
) -> None:
    event = make_event(make_campaign(organization))
    coming, over = occurrence_of(event), make_occurrence(event, "2020-01-07T18:00")
    message, people = sent(organization, f"/e/{event.slug}", readers=6)
    make_rsvp(event, coming, person_id=people[0].id)
    make_rsvp(event, coming, person_id=people[1].id, state=RsvpState.TENTATIVE)
    make_rsvp(event, coming, person_id=people[2].id, state=RsvpState.WAITING)
    make_rsvp(event, coming, person_id=people[3].id, state=RsvpState.DECLINED)
    make_rsvp(event, over, person_id=people[4].id)
    db.session.commit()
    assert found(organization, DidAsked(message_id=message.id)) == set(people[:3])


def test_one_date_of_an_event_is_that_date_alone(organization: Organization) -> None:
    event = make_event(make_campaign(organization))
    first, second = occurrence_of(event), make_occurrence(event, "2030-01-07T18:00")
    message, people = sent(organization, f"/e/{event.slug}?on=2030-01-07")
    assert lists.asks_of(message.id) == [lists.Ask(AskKind.DATE, second.id)]
    make_rsvp(event, first, person_id=people[0].id)
    make_rsvp(event, second, person_id=people[1].id)
    db.session.commit()
    assert found(organization, DidAsked(message_id=message.id)) == {people[1]}


def test_a_campaigns_page_counts_what_was_done_since(organization: Organization) -> None:
    campaign = make_campaign(organization)
    old, new = (make_petition(campaign, organization_id=organization.id) for _ in range(2))
    event = make_event(campaign)
    message, people = sent(organization, f"/c/{campaign.slug}", readers=4)
    long_ago = clock.now() - timedelta(days=9)
    make_signature(old, person=people[0], confirmed_at=long_ago)
    make_signature(new, person=people[1])
    make_rsvp(event, person_id=people[2].id)
    make_rsvp(event, person_id=people[3].id, created_at=long_ago)
    db.session.commit()
    assert found(organization, DidAsked(message_id=message.id)) == {people[1], people[2]}


def test_what_is_not_ours_is_asked_of_nobody(organization: Organization) -> None:
    other = make_organization()
    theirs = make_petition(organization_id=other.id)
    message, people = sent(
        organization, f"/p/{theirs.slug}", "/p/nothing", "/", "/p/../e", f"/p/{theirs.slug}.json"
    )
    make_signature(theirs, person=people[0])
    db.session.commit()
    assert lists.asks_of(message.id) == []
    assert lists.ask_behind(other.id, "http://[::1") is None
    assert lists.ask_behind(other.id, f"https://evil.example/p/{theirs.slug}") is None
    assert found(organization, DidAsked(message_id=message.id)) == set()


def test_another_organizations_message_finds_nobody(organization: Organization) -> None:
    petition = make_petition(organization_id=organization.id)
    message, people = sent(organization, f"/p/{petition.slug}")
    make_signature(petition, person=people[0])
    db.session.commit()
    other = make_organization()
    make_reader(other)
    for clause in (GotMessage(message_id=message.id), DidAsked(message_id=message.id)):
        assert found(other, clause) == set()
        assert lists.names_in(other.id, Group(rules=(clause,))) == {}
    got = Choice(ChoiceKind.GOT, message.id)
    assert queries.reach(other.id, Audience((got,))).total == 0
    assert queries.names_of(other.id, [got], "en") == {}


def test_an_audience_of_those_who_got_it_and_did_not_act_and_a_chain_of_them(
    organization: Organization,
) -> None:
    petition = make_petition(organization_id=organization.id)
    first, people = sent(organization, f"/p/{petition.slug}", readers=4)
    make_signature(petition, person=people[0])
    db.session.commit()

    def again(message: Message) -> Message:
        following = make_message(
            organization,
            Choice(ChoiceKind.GOT, message.id),
            exclude=(Choice(ChoiceKind.ACTED, message.id),),
            body=message.body,
        )
        send_out(following)
        return following

    second = again(first)
    assert (second.recipient_count, second.excluded) == (3, {"excluded": 1})
    make_signature(petition, person=people[1])
    db.session.commit()
    third = again(second)
    assert (third.recipient_count, third.excluded) == (2, {"excluded": 1})


def test_a_segment_says_it_in_words_and_survives_a_round(organization: Organization) -> None:
    petition = make_petition(organization_id=organization.id)
    message, _people = sent(organization, f"/p/{petition.slug}")
    clauses = tuple(
        kind(message_id=message.id, is_not=is_not)
        for kind in (GotMessage, DidAsked)
        for is_not in (False, True)
    )
    segment = make_segment(organization, *clauses)
    tree = lists.tree_of(segment)
    assert tree.rules == clauses
    assert rules.describe(tree, lists.names_in(organization.id, tree)) == (
        "People who got the message “Come on Monday” and did not get the message “Come on Monday”"
        " and did what the message “Come on Monday” asked"
        " and have not done what the message “Come on Monday” asked"
    )


def test_a_message_that_was_chosen_stays_a_choice(organization: Organization) -> None:
    messages = [sent(organization)[0] for _ in range(queries.MOST_MESSAGES + 1)]
    oldest = Choice(ChoiceKind.GOT, messages[0].id)

    def offered(chosen: Audience | None) -> set[Choice]:
        return {
            option.choice
            for option in queries.options(organization.id, "en", chosen)[ChoiceKind.GOT]
        }

    assert oldest not in offered(None)
    assert oldest in offered(Audience((oldest,)))


def test_a_petition_of_many_languages_and_links_is_one_ask(organization: Organization) -> None:
    petition: Petition = make_petition(organization_id=organization.id)
    message, _people = sent(organization, f"/p/{petition.slug}", f"/p/{petition.slug}?lang=es")
    assert lists.asks_of(message.id) == [lists.Ask(AskKind.PETITION, petition.id)]
