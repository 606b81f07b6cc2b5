"""Segments by what people did about events: every combination against a plain list of facts."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign import clock
from campaign.checkin.models import SignIn
from campaign.db import Words, db
from campaign.errors import Invalid
from campaign.events.models import Event, EventKind, HostState, Occurrence, RsvpState
from campaign.hearings import models as hearings
from campaign.lists import queries, rules
from campaign.lists.rules import AtEvent, Group, Match
from campaign.lists.taking_part import Did
from campaign.organizations.models import Organization
from campaign.people.models import Person
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_host, make_rsvp, occurrence_of
from tests.factories.organizations import make_organization
from tests.factories.people import make_person

ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 6, 15, 12, tzinfo=ZONE)
ID = uuid.UUID(int=7)


@dataclass
class World:
    """Two campaigns, four dates, people of whom it is known what they did at which date."""

    organization: Organization
    people: list[Person] = field(default_factory=list)
    dates: list[tuple[Event, Occurrence]] = field(default_factory=list)
    did: set[tuple[Did, uuid.UUID, uuid.UUID]] = field(default_factory=set)  # what, date, person

    def finds(self, clause: AtEvent) -> set[uuid.UUID]:
        first, last = clause.since or date.min, clause.until or date.max
        if clause.days:
            last = clock.now().astimezone(ZONE).date()
            first = last - timedelta(days=clause.days)
        dates = Counter(
            person_id
            for did, occurrence_id, person_id in self.did
            for event, occurrence in self.dates
            if occurrence.id == occurrence_id
            and did == clause.did
            and clause.event_id in {None, event.id}
            and clause.event_kind in {"", event.kind}
            and clause.campaign_id in {None, event.campaign_id}
            and first <= occurrence.starts_at.astimezone(ZONE).date() <= last
        )
        found = {person_id for person_id, count in dates.items() if count >= clause.times}
        everybody = {person.id for person in self.people}
        return everybody - found if clause.is_not else found


def sign_in(occurrence: Occurrence, person: Person, rsvp: Any = None, **values: Any) -> None:
    db.session.add(
        SignIn(
            organization_id=occurrence.organization_id,
            event_id=occurrence.event_id,
            occurrence_id=occurrence.id,
            person_id=person.id,
            rsvp_id=rsvp.id if rsvp is not None else None,
            client_key=uuid.uuid4().hex,
            way="list",
            at=clock.now(),
            received_at=clock.now(),
            **values,
        )
    )


def make_world() -> World:
    world = World(make_organization())
    one, two = make_campaign(world.organization), make_campaign(world.organization)
    for campaign, kind, days in (
        (one, EventKind.VIGIL, -20),
        (one, EventKind.HEARING, -5),
        (two, EventKind.VIGIL, -3),
        (two, EventKind.MEETING, 4),
    ):
        event = make_event(campaign, kind=kind, starts_in_days=days)
        world.dates.append((event, occurrence_of(event)))
    states = [
        (RsvpState.ACCEPTED, Did.COMING),
        (RsvpState.TENTATIVE, Did.MAYBE),
        (RsvpState.WAITING, Did.WAITING),
        (RsvpState.DECLINED, Did.CANNOT),
        (RsvpState.CANCELLED, None),
    ]
    for n in range(20):
        person = make_person(world.organization, email=f"part{n}@world.example")
        world.people.append(person)
        for place, (event, occurrence) in enumerate(world.dates):
            if (n + place) % 3 == 0:
                continue
            state, did = states[0] if n % 7 == 1 else states[(n * 2 + place) % 5]
            rsvp = make_rsvp(event, occurrence, state=state, person_id=person.id)
            if did is not None:
                world.did.add((did, occurrence.id, person.id))
            is_over = occurrence.ends_at <= clock.now()
            has_door = is_over and place != 2  # nobody kept a list at the third
            if has_door and (n + place) % 2:
                sign_in(occurrence, person, rsvp)
                world.did.add((Did.ATTENDED, occurrence.id, person.id))
            elif has_door and state == RsvpState.ACCEPTED:
                world.did.add((Did.MISSED, occurrence.id, person.id))
            if event.kind == EventKind.HEARING and n % 4 == 1:
                outcome = hearings.Outcome.SPOKE if n % 8 == 1 else hearings.Outcome.ABSENT
                db.session.add(
                    hearings.Testimony(
                        organization_id=event.organization_id,
                        event_id=event.id,
                        occurrence_id=occurrence.id,
                        rsvp_id=rsvp.id,
                        outcome=outcome,
                    )
                )
                if outcome == hearings.Outcome.SPOKE:
                    world.did.add((Did.SPOKE, occurrence.id, person.id))
    walk_in, host = world.people[0], world.people[1]
    sign_in(world.dates[0][1], walk_in)
    sign_in(world.dates[1][1], world.people[2], undone_at=clock.now())
    world.did.add((Did.ATTENDED, world.dates[0][1].id, walk_in.id))
    said_and_walked_in = (world.dates[1][1].id, world.people[7].id)
    sign_in(world.dates[1][1], world.people[7])
    world.did.remove((Did.MISSED, *said_and_walked_in))
    world.did.add((Did.ATTENDED, *said_and_walked_in))
    make_host(world.dates[2][0], person_id=host.id)
    world.did.add((Did.HOSTED, world.dates[2][1].id, host.id))
    make_host(world.dates[1][0], person_id=host.id, state=HostState.INVITED)
    db.session.flush()
    return world


def found_by(world: World, clause: AtEvent) -> set[uuid.UUID]:
    return set(db.session.scalars(queries.audience(world.organization.id, Group(rules=(clause,)))))


@time_machine.travel(NOW, tick=False)
def test_every_question_finds_who_did_it(app: Flask) -> None:
    world = make_world()
    stranger = make_event(make_campaign())
    make_rsvp(stranger, person_id=world.people[3].id)  # another organization's event
    events = [None, *(event.id for event, _date in world.dates), stranger.id]
    campaigns = [None, world.dates[0][0].campaign_id, world.dates[2][0].campaign_id]
    for did, event_id, kind, campaign_id, is_not in itertools.product(
        Did, events, ["", "vigil", "hearing", "sit-in"], campaigns, [False, True]
    ):
        clause = AtEvent(
            did=did, event_id=event_id, event_kind=kind, campaign_id=campaign_id, is_not=is_not
        )
        assert found_by(world, clause) == world.finds(clause), clause
    assert all(world.finds(AtEvent(did=did)) for did in Did), "each is done by somebody"


@time_machine.travel(NOW, tick=False)
def test_days_are_days_of_the_organization(app: Flask) -> None:
    world = make_world()
    day = (NOW - timedelta(days=5)).date()
    for since, until in (
        (day, None),
        (None, day),
        (day, day),
        (day + timedelta(days=1), None),
        (None, day - timedelta(days=1)),
    ):
        clause = AtEvent(did=Did.COMING, since=since, until=until)
        assert found_by(world, clause) == world.finds(clause), clause


@time_machine.travel(NOW, tick=False)
def test_how_often_and_how_long_ago(app: Flask) -> None:
    """Dates are counted, not answers; the last days end today, whatever is still to come."""
    world = make_world()
    for did, times, days, is_not in itertools.product(
        (Did.COMING, Did.ATTENDED, Did.HOSTED), (1, 2, 3), (None, 1, 4, 6, 30), (False, True)
    ):
        clause = AtEvent(did=did, times=times, days=days, is_not=is_not)
        assert found_by(world, clause) == world.finds(clause), clause
    assert world.finds(AtEvent(times=2, days=30)), "somebody came twice"
    assert world.finds(AtEvent(days=30)) != world.finds(AtEvent()), "one date is to come"


@time_machine.travel(NOW, tick=False)
def test_joined_with_others_it_means_the_same(app: Flask) -> None:
    world = make_world()
    came, may_come = AtEvent(did=Did.ATTENDED), AtEvent(did=Did.MAYBE, is_not=True)
    for match, wanted in (
        (Match.ALL, world.finds(came) & world.finds(may_come)),
        (Match.ANY, world.finds(came) | world.finds(may_come)),
    ):
        tree = Group(match, (came, may_come))
        found = db.session.scalars(queries.audience(world.organization.id, tree))
        assert set(found) == wanted


def is_in_order(clause: AtEvent) -> bool:
    return not (clause.since and clause.until and clause.since > clause.until)


DAYS = st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        AtEvent,
        is_not=st.booleans(),
        did=st.sampled_from(Did),
        event_id=st.none() | st.just(ID),
        event_kind=st.sampled_from(["", *(kind.value for kind in EventKind)]),
        campaign_id=st.none() | st.just(ID),
        since=DAYS,
        until=DAYS,
    ).filter(is_in_order)
)
def test_it_comes_back_from_its_json_and_can_be_said(app: Flask, clause: AtEvent) -> None:
    tree = Group(rules=(clause,))
    assert rules.parse(json.loads(json.dumps(rules.dump(tree)))) == tree
    assert rules.describe(tree, {ID: "That one"}).startswith("People who ")


def test_it_reads_plainly(app: Flask) -> None:
    tree = Group(
        Match.ALL,
        (
            AtEvent(did=Did.MISSED, event_id=ID),
            AtEvent(did=Did.ATTENDED, is_not=True, event_kind="town-hall", since=date(2026, 6, 1)),
            AtEvent(did=Did.SPOKE, campaign_id=ID),
        ),
    )
    assert rules.describe(tree, {ID: "Keep Woodlawn open"}) == (
        "People who said they come to “Keep Woodlawn open” and did not sign in"
        " and did not sign in at any event of the kind “Town hall” on or after June 1, 2026"
        " and spoke at any event of the campaign “Keep Woodlawn open”"
    )


@pytest.mark.parametrize(
    ("values", "field_name"),
    [
        ({"did": "flew"}, "did"),
        ({"event_kind": "x' OR 1=1"}, "event_kind"),
        ({"event_id": "7"}, "event_id"),
        ({"event_id": []}, "event_id"),
        ({"campaign_id": {}}, "campaign_id"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "until"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(values: dict[str, Any], field_name: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.parse_clause({"kind": "at_event", **values})
    assert caught.value.field == field_name


def test_names_are_those_of_ones_own_events(app: Flask) -> None:
    organization = make_organization()
    mine = make_event(make_campaign(organization), title=Words(en="Mine", es="Mío"))
    other = make_event(make_campaign())
    tree = Group(rules=(AtEvent(event_id=mine.id), AtEvent(event_id=other.id)))
    assert queries.names_in(organization.id, tree, "es") == {mine.id: "Mío"}
