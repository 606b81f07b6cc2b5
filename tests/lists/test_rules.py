"""The grammar of segments: what is written comes back, what is asked is what a person would say."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.dialects import postgresql

from campaign import clock
from campaign.db import db
from campaign.errors import Invalid
from campaign.lists import matching, queries, rules, services
from campaign.lists.matching import Scope
from campaign.lists.rules import (
    EVERYBODY,
    Added,
    AtEvent,
    CameFrom,
    Clause,
    Consented,
    GotMessage,
    Group,
    HasField,
    How,
    InDistrict,
    InSegment,
    Match,
    NearBy,
    OnList,
    PostalCode,
    RandomShare,
    Signed,
    Speaks,
    Tagged,
)
from campaign.lists.taking_part import Did
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import Person, Purpose
from campaign.petitions.models import Petition, Signature, SignatureState
from campaign.places import queries as places
from campaign.places.models import District
from tests.factories.campaigns import make_campaign
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_petition, make_signature

IDS = [uuid.UUID(int=n) for n in range(1, 5)]
ZONE = ZoneInfo("America/Chicago")
DAYS = st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 12))
FLAGS = st.booleans()


TIMES = st.integers(1, 3)


def today() -> date:
    return clock.now().astimezone(ZONE).date()


BACK = st.dates(date(2026, 1, 1), date(2026, 1, 12)).map(lambda day: (today() - day).days)


def windows(kind: Any, *, is_open_ended: bool, **more: Any) -> st.SearchStrategy[Any]:
    """A clause with a first and a last day, or with so many days back."""

    def is_right(clause: Any) -> bool:
        if clause.since and clause.until and clause.since > clause.until:
            return False
        return is_open_ended or bool(clause.days or clause.since or clause.until)

    return st.one_of(
        st.builds(kind, is_not=FLAGS, since=DAYS, until=DAYS, **more).filter(is_right),
        st.builds(kind, is_not=FLAGS, days=BACK, **more),
    )


def clauses(
    petitions: list[Any],
    tags: list[Any],
    lists: list[Any],
    segments: list[Any],
    wards: list[Any],
    grantees: list[Any],
    *more: st.SearchStrategy[Clause],
) -> st.SearchStrategy[Clause]:
    pick = st.sampled_from
    return st.one_of(
        windows(Signed, is_open_ended=True, petition_id=pick(petitions)),
        windows(Signed, is_open_ended=True, times=TIMES),
        st.builds(Tagged, is_not=FLAGS, tag_id=pick(tags)),
        st.builds(OnList, is_not=FLAGS, list_id=pick(lists)),
        st.builds(InSegment, is_not=FLAGS, segment_id=pick(segments)),
        st.builds(
            PostalCode,
            is_not=FLAGS,
            codes=st.lists(
                pick(["60601", "60637", "606*", "6063*", "7*", "K1A 0B1"]), min_size=1, unique=True
            ).map(lambda found: tuple(sorted(found))),
        ),
        st.builds(
            InDistrict,
            is_not=FLAGS,
            district_ids=st.lists(pick(wards), min_size=1, unique=True).map(
                lambda found: tuple(sorted(found))
            ),
        ),
        st.builds(
            Consented, is_not=FLAGS, grantee_id=pick(grantees), purpose=pick(list(Purpose)[:2])
        ),
        windows(Added, is_open_ended=False),
        st.builds(Speaks, is_not=FLAGS, language=pick(["en", "es"])),
        st.builds(CameFrom, is_not=FLAGS, source=pick(["qr-1", "qr-*", "web", "x%_*"])),
        *more,
    )


def trees(leaves: st.SearchStrategy[Clause], depth: int = 2) -> st.SearchStrategy[Group]:
    rows: st.SearchStrategy[Any] = leaves
    for _level in range(depth):
        groups = st.builds(
            Group,
            match=st.sampled_from(Match),
            rules=st.lists(rows, min_size=1, max_size=3).map(tuple),
        )
        rows = leaves | groups
    return st.builds(
        Group, match=st.sampled_from(Match), rules=st.lists(rows, min_size=1, max_size=4).map(tuple)
    )


SAID_ONLY = (
    windows(GotMessage, is_open_ended=True, times=TIMES),
    windows(AtEvent, is_open_ended=True, times=TIMES, did=st.sampled_from(Did)),
    st.builds(NearBy, is_not=FLAGS, code=st.just("60637"), km=st.sampled_from([2, 50])),
    st.builds(
        RandomShare, is_not=FLAGS, percent=st.integers(1, 99), draw=st.sampled_from(["", "A", "é"])
    ),
    st.builds(
        HasField,
        is_not=FLAGS,
        field_id=st.sampled_from(IDS),
        how=st.sampled_from(How),
        value=st.just("9"),
    ),
)


@given(trees(clauses(IDS, IDS, IDS, IDS, IDS, IDS, *SAID_ONLY), depth=3))
def test_a_tree_comes_back_from_its_json(tree: Group) -> None:
    assert rules.parse(json.loads(json.dumps(rules.dump(tree)))) == tree


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees(clauses(IDS, IDS, IDS, IDS, IDS, IDS, *SAID_ONLY)))
def test_every_tree_can_be_said(app: Any, tree: Group) -> None:
    sentence = rules.describe(tree, dict.fromkeys(IDS, "that one"))
    assert sentence.startswith("People who ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["match", "rules", "kind", "is_not", "tag_id", "codes", "since", "x"]),
            inner | st.sampled_from(["signed", "added", "all", "tagged", "postal_code"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_other_json_is_refused_and_nothing_else_happens(data: Any) -> None:
    try:
        tree = rules.parse(data)
    except Invalid:
        return
    assert rules.parse(rules.dump(tree)) == tree


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ""),
        ({"match": "some"}, "match"),
        ({"rules": [{"kind": "flown"}]}, "rules.0.kind"),
        ({"rules": [{"kind": "tagged"}]}, "rules.0.tag_id"),
        ({"rules": [{"kind": "tagged", "tag_id": "1' OR 1=1"}]}, "rules.0.tag_id"),
        ({"rules": [{"match": "any", "rules": []}]}, "rules.0"),
        (
            {
                "rules": [
                    {"kind": "speaks", "language": "en"},
                    {"match": "any", "rules": [{"kind": "postal_code", "codes": ["%"]}]},
                ]
            },
            "rules.1.rules.0.codes",
        ),
        ({"rules": [{"kind": "added"}]}, "rules.0.since"),
        ({"rules": [{"kind": "added", "days": 0}]}, "rules.0.days"),
        ({"rules": [{"kind": "added", "days": True}]}, "rules.0.days"),
        ({"rules": [{"kind": "added", "days": 7, "until": "2026-01-01"}]}, "rules.0.days"),
        ({"rules": [{"kind": "signed", "times": "many"}]}, "rules.0.times"),
        ({"rules": [{"kind": "signed", "times": 1000}]}, "rules.0.times"),
        (
            {"rules": [{"kind": "signed", "times": 2, "petition_id": str(IDS[0])}]},
            "rules.0.times",
        ),
        (
            {"rules": [{"kind": "got_message", "times": 2, "message_id": str(IDS[0])}]},
            "rules.0.times",
        ),
        (
            {"rules": [{"kind": "got_message", "days": 2, "message_id": str(IDS[0])}]},
            "rules.0.days",
        ),
        (
            {"rules": [{"kind": "added", "since": "2026-02-01", "until": "2026-01-01"}]},
            "rules.0.until",
        ),
        ({"rules": [{"kind": "added", "since": "tomorrow"}]}, "rules.0.since"),
        ({"rules": [{"kind": "came_from", "source": "a\x00b"}]}, "rules.0.source"),
        ({"rules": [{"kind": "speaks", "language": "en", "or": 1}]}, "rules.0.or"),
        (
            {"rules": [{"kind": "consented", "grantee_id": str(IDS[0]), "purpose": "spam"}]},
            "rules.0.purpose",
        ),
    ],
)
def test_the_path_says_what_is_wrong(data: Any, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.parse(data)
    assert caught.value.field == path


def test_too_deep_and_too_many_are_refused() -> None:
    leaf: dict[str, Any] = {"kind": "speaks", "language": "en"}
    deep = leaf
    for _level in range(rules.MAX_DEPTH + 1):
        deep = {"match": "all", "rules": [deep]}
    with pytest.raises(Invalid):
        rules.parse(deep)
    with pytest.raises(Invalid):
        rules.parse({"rules": [{"match": "any", "rules": [leaf] * 40}] * 2})


def test_sentences_read_plainly(app: Any) -> None:
    tree = Group(
        Match.ALL,
        (
            Signed(petition_id=IDS[0], since=date(2026, 1, 1)),
            Group(Match.ANY, (InDistrict(district_ids=(IDS[1],)), PostalCode(codes=("606*",)))),
            Tagged(tag_id=IDS[2], is_not=True),
        ),
    )
    names = {IDS[0]: "Keep Woodlawn open", IDS[1]: "Ward 20", IDS[2]: "press"}
    assert rules.describe(tree, names) == (
        "People who signed “Keep Woodlawn open” on or after January 1, 2026"
        " and (live in Ward 20 or live at postal code 606*)"
        " and do not have the tag “press”"
    )
    assert rules.describe(EVERYBODY, {}) == "Everybody"


def test_what_was_typed_is_a_parameter(app: Any) -> None:
    organization = make_organization()
    for hostile in ("x'; DROP TABLE people; --", "x%*", 'x" OR 1=1'):
        tree = Group(Match.ALL, (CameFrom(source=hostile),))
        found = queries.audience(organization.id, tree)
        sql = str(found.compile(dialect=postgresql.dialect()))
        assert "DROP" not in sql
        assert "OR 1=1" not in sql
        assert queries.count_audience(organization.id, tree) == 0


# What is asked is what is answered


@dataclass
class World:
    """A small population, and what is true of each person, kept in plain Python."""

    organization: Organization
    petitions: list[Petition] = field(default_factory=list)
    tag_ids: list[uuid.UUID] = field(default_factory=list)
    list_ids: list[uuid.UUID] = field(default_factory=list)
    segment_ids: dict[uuid.UUID, Group] = field(default_factory=dict)
    ward_ids: list[uuid.UUID] = field(default_factory=list)
    grantees: list[Organization] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    signed: dict[uuid.UUID, list[tuple[uuid.UUID, date]]] = field(default_factory=dict)
    tags: dict[uuid.UUID, set[uuid.UUID]] = field(default_factory=dict)
    lists: dict[uuid.UUID, set[uuid.UUID]] = field(default_factory=dict)
    consents: dict[uuid.UUID, set[tuple[uuid.UUID, str]]] = field(default_factory=dict)

    def holds(self, node: Clause | Group, person: Person) -> bool:
        if isinstance(node, Group):
            answers = [self.holds(rule, person) for rule in node.rules]
            return {
                Match.ALL: all(answers),
                Match.ANY: any(answers),
                Match.NONE: not any(answers),
            }[node.match]
        return self.says(node, person) is not node.is_not

    def says(self, clause: Clause, person: Person) -> bool:
        def within(day: date, window: Signed | Added) -> bool:
            if window.days:
                return today() - timedelta(days=window.days) <= day <= today()
            return (window.since or date.min) <= day <= (window.until or date.max)

        def text_in(text: str, wanted: tuple[str, ...]) -> bool:
            return any(
                text.startswith(one[:-1]) if one.endswith("*") else text == one for one in wanted
            )

        match clause:
            case Signed():
                signed = [
                    petition_id
                    for petition_id, day in self.signed.get(person.id, [])
                    if clause.petition_id in {None, petition_id} and within(day, clause)
                ]
                return len(signed) >= clause.times
            case Tagged():
                return clause.tag_id in self.tags.get(person.id, set())
            case OnList():
                return clause.list_id in self.lists.get(person.id, set())
            case InSegment():
                return self.holds(self.segment_ids[clause.segment_id], person)
            case PostalCode():
                return text_in(person.postal_code, clause.codes)
            case InDistrict():
                return person.district_id in clause.district_ids
            case Consented():
                return (clause.grantee_id, clause.purpose) in self.consents.get(person.id, set())
            case Added():
                return within(person.created_at.astimezone(ZONE).date(), clause)
            case Speaks():
                return person.language == clause.language
            case CameFrom():
                return text_in(person.source, (clause.source,))
        raise AssertionError(clause)


def ward(number: int) -> District:
    district = District(
        code=str(number),
        name=f"Ward {number}",
        ocd_id=f"ocd-division/test/ward:{number}",
        geometry={},
        west=0,
        south=0,
        east=0,
        north=0,
    )
    db.session.add(district)
    db.session.flush()
    return district


def make_world() -> World:
    organization, partner = make_organization(), make_organization()
    world = World(organization, grantees=[organization, partner])
    campaign = make_campaign(organization)
    world.petitions = [make_petition(campaign), make_petition(campaign)]
    world.ward_ids = [ward(1).id, ward(2).id]
    world.tag_ids = [people.tag_named(organization.id, name).id for name in ("press", "driver")]
    codes = ["60601", "60637", "", "K1A 0B1", "70112"]
    sources = ["qr-1", "qr-2", "web", "", "x%_y"]
    start = datetime(2026, 1, 1, 5, 30, tzinfo=UTC)  # still the evening before in Chicago
    for n in range(24):
        person = make_person(
            organization,
            email=f"p{n}@world.example",
            postal_code=codes[n % 5],
            source=sources[(n * 3) % 5],
            language="es" if n % 3 == 0 else "en",
        )
        person.district_id = [None, *world.ward_ids][n % 3]
        person.created_at = start + timedelta(hours=11 * n)
        world.people.append(person)
        for place, petition in enumerate(world.petitions):
            if (n + place) % 4 == 0 or n % 7 == 0:  # some sign both
                at = start + timedelta(hours=9 * n)
                signature = make_signature(petition, person=person)
                db.session.execute(
                    update(Signature)
                    .where(Signature.id == signature.id)
                    .values(
                        confirmed_at=at,
                        state=(
                            SignatureState.WITHDRAWN if n % 8 == 4 else SignatureState.CONFIRMED
                        ),
                    )
                )
                if n % 8 != 4:
                    world.signed.setdefault(person.id, []).append(
                        (petition.id, at.astimezone(ZONE).date())
                    )
        for place, name in enumerate(("press", "driver")):
            if (n + place) % 5 == 0:
                people.add_tag(person, name)
                world.tags.setdefault(person.id, set()).add(world.tag_ids[place])
        for place, grantee in enumerate(world.grantees):
            for purpose in list(Purpose)[:2]:
                if (n + place + len(purpose)) % 3 == 0:
                    make_consent(person, grantee, purpose=purpose)
                    if n % 6 == 3:
                        people.withdraw_consent(
                            person, grantee_id=grantee.id, purpose=purpose, source="page"
                        )
                    if n % 6 != 3 or n % 4 == 1:
                        if n % 6 == 3:
                            make_consent(person, grantee, purpose=purpose, text="Again, yes.")
                        world.consents.setdefault(person.id, set()).add((grantee.id, purpose))
    for chosen in (world.people[::3], world.people[1::4]):
        list_ = make_list(organization, chosen)
        world.list_ids.append(list_.id)
        for person in chosen:
            world.lists.setdefault(person.id, set()).add(list_.id)
    inner = Group(Match.ANY, (Tagged(tag_id=world.tag_ids[0]), PostalCode(codes=("60637",))))
    first = make_segment(organization, inner)
    outer = Group(Match.NONE, (InSegment(segment_id=first.id), Speaks(language="es")))
    second = make_segment(organization, outer)
    world.segment_ids = {
        first.id: Group(Match.ALL, (inner,)),
        second.id: Group(Match.ALL, (outer,)),
    }
    _strangers()
    db.session.commit()
    return world


def _strangers() -> None:
    """Another organization with people much like ours, and one of ours who was erased."""
    other = make_organization()
    petition = make_petition(make_campaign(other))
    for n in range(4):
        make_signature(petition, person=make_person(other, email=f"p{n}@world.example"))


@pytest.fixture
def world(app: Any) -> World:
    return make_world()


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_the_database_answers_what_a_person_would(world: World, data: st.DataObject) -> None:
    tree = data.draw(
        trees(
            clauses(
                [petition.id for petition in world.petitions],
                world.tag_ids,
                world.list_ids,
                list(world.segment_ids),
                world.ward_ids,
                [grantee.id for grantee in world.grantees],
            )
        )
    )
    found = set(db.session.scalars(queries.audience(world.organization.id, tree)))
    assert found == {person.id for person in world.people if world.holds(tree, person)}
    assert queries.count_audience(world.organization.id, tree) == len(found)


def test_each_kind_finds_some_and_leaves_some(world: World) -> None:
    """The population is such that the property test above is not about nobody or everybody."""
    kinds: list[Clause] = [
        Signed(petition_id=world.petitions[0].id),
        Signed(since=date(2026, 1, 3), until=date(2026, 1, 6)),
        Tagged(tag_id=world.tag_ids[0]),
        OnList(list_id=world.list_ids[0]),
        InSegment(segment_id=next(iter(world.segment_ids))),
        PostalCode(codes=("606*",)),
        InDistrict(district_ids=(world.ward_ids[0],)),
        Consented(grantee_id=world.grantees[1].id),
        Added(until=date(2026, 1, 4)),
        Speaks(language="es"),
        CameFrom(source="x%_*"),
    ]
    for clause in kinds:
        count = queries.count_audience(world.organization.id, Group(Match.ALL, (clause,)))
        assert 0 < count < len(world.people), clause


def test_ids_of_another_organization_find_nobody(app: Any) -> None:
    mine, other = make_organization(), make_organization()
    person = make_person(mine)
    theirs = make_person(other)
    petition = make_petition(make_campaign(other))
    make_signature(petition, person=theirs)
    their_list = make_list(other, [theirs])
    tag = people.add_tag(theirs, "press")
    their_segment = make_segment(other)
    db.session.commit()
    for clause in (
        Signed(petition_id=petition.id),
        Tagged(tag_id=tag.id),
        OnList(list_id=their_list.id),
        InSegment(segment_id=their_segment.id),
        Consented(grantee_id=other.id),
    ):
        assert queries.count_audience(mine.id, Group(Match.ALL, (clause,))) == 0
        with pytest.raises(Invalid):
            services.save_segment(mine.id, "spy", Group(Match.ALL, (clause,)))
    assert list(db.session.scalars(queries.audience(mine.id, EVERYBODY))) == [person.id]


def test_erased_people_are_found_by_nothing(app: Any) -> None:
    organization = make_organization()
    person, gone = make_person(organization), make_person(organization)
    list_ = make_list(organization, [person, gone])
    people.erase(gone)
    db.session.commit()
    assert queries.count_audience(organization.id, EVERYBODY) == 1
    assert queries.list_sizes([list_.id]) == {list_.id: 1}
    assert list(db.session.scalars(queries.people_in_list(list_.id))) == [person.id]
    nobody = Group(Match.NONE, (OnList(list_id=list_.id),))
    assert queries.count_audience(organization.id, nobody) == 0


def test_segments_that_ask_in_a_circle_are_refused(app: Any) -> None:
    organization = make_organization()
    first = make_segment(organization)
    second = make_segment(organization, InSegment(segment_id=first.id))
    for target in (first.id, second.id):
        circle = Group(Match.ALL, (InSegment(segment_id=target),))
        with pytest.raises(Invalid):
            services.save_segment(organization.id, first.name, circle, segment=first)
        db.session.rollback()
    assert queries.count_audience(organization.id, Group(Match.ALL, ())) == 0


def test_days_are_days_where_the_organization_is(app: Any) -> None:
    organization = make_organization(time_zone="Pacific/Auckland")
    person = make_person(organization)
    person.created_at = datetime(2026, 6, 30, 13, 0, tzinfo=UTC)  # July 1, 01:00 there
    db.session.commit()
    on = {
        day: queries.count_audience(
            organization.id, Group(Match.ALL, (Added(since=day, until=day),))
        )
        for day in (date(2026, 6, 30), date(2026, 7, 1))
    }
    assert on == {date(2026, 6, 30): 0, date(2026, 7, 1): 1}


def test_a_positive_rule_is_a_join_and_a_negative_one_an_antijoin() -> None:
    scope = Scope(organization_id=IDS[0], segments={})
    clause = Tagged(tag_id=IDS[1])
    assert " IN (SELECT" in str(matching.where(Group(Match.ALL, (clause,)), scope))
    assert "EXISTS" in str(matching.where(Group(Match.ANY, (clause, clause)), scope))
    turned = Tagged(tag_id=IDS[1], is_not=True)
    assert "NOT (EXISTS" in str(matching.where(Group(Match.ALL, (turned,)), scope))


def test_now_is_a_fixed_clock_away(app: Any) -> None:
    organization = make_organization()
    make_person(organization)
    today = clock.now().astimezone(ZoneInfo(organization.time_zone)).date()
    added = Group(Match.ALL, (Added(since=today, until=today),))
    assert queries.count_audience(organization.id, added) == 1


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"kind": "near", "code": "606*", "km": "5"}, "code"),
        ({"kind": "near", "code": "60637", "km": "7"}, "km"),
        ({"kind": "near", "code": "", "km": "5"}, "code"),
        ({"kind": "random", "percent": "0"}, "percent"),
        ({"kind": "random", "percent": "100"}, "percent"),
        ({"kind": "random", "percent": "-5"}, "percent"),
        ({"kind": "random", "percent": "ten"}, "percent"),
        ({"kind": "random", "percent": "5", "draw": "x" * 21}, "draw"),
    ],
)
def test_a_place_and_a_share_that_are_none_are_refused(
    app: Any, data: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        rules.parse_clause(data)
    assert refused.value.field == field


def test_a_share_is_the_same_people_each_time_and_its_other_side_the_rest(app: Any) -> None:
    organization = make_organization()
    for _ in range(200):
        make_person(organization)
    db.session.commit()

    def found(percent: int, draw: str = "", *, is_not: bool = False) -> set[uuid.UUID]:
        clause = RandomShare(percent=percent, draw=draw, is_not=is_not)
        return set(db.session.scalars(queries.audience(organization.id, Group(rules=(clause,)))))

    tenth, half = found(10), found(50)
    assert tenth < half
    assert 70 <= len(half) <= 130
    assert found(50) == half
    assert found(50, is_not=True) & half == set()
    assert len(found(50, is_not=True) | half) == 200
    assert found(50, "B") != half


def test_who_lives_near_is_found_by_the_middles_of_postal_codes(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    middles = {"60637": (41.78, -87.60), "60615": (41.80, -87.60), "60201": (42.05, -87.68)}
    monkeypatch.setattr(places, "_centers", lambda kind: middles)
    organization = make_organization()
    for code in middles:
        make_person(organization, first_name=code, postal_code=code)
    db.session.commit()

    def found(code: str, km: int, *, is_not: bool = False) -> set[str]:
        clause = NearBy(code=code, km=km, is_not=is_not)
        people = queries.first_people(organization.id, Group(rules=(clause,)), 9)
        return {person.first_name for person in people}

    assert found("60637", 2) == {"60637"}
    assert found("60637", 5) == {"60637", "60615"}
    assert found("60637", 50) == set(middles)
    assert found("60637", 5, is_not=True) == {"60201"}
    with pytest.raises(Invalid):
        found("99999", 5)
