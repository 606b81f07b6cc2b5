"""Who is found, in which order, page by page, with and without something under the key."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from campaign import clock
from campaign.db import db, is_postgres
from campaign.errors import Invalid, NotFound
from campaign.fields import services as fields
from campaign.lists.rules import How, Speaks
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.table import queries, rules
from campaign.table.columns import ORDERS, Sort, arranged, moved, shown
from campaign.table.rules import Asked
from tests.factories.fields import make_field
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person

SORTS = [f"{sign}{key}" for key in ORDERS for sign in ("", "-")]


@pytest.fixture
def here(app: Flask) -> Organization:
    return make_organization()


def found(here: Organization, **asked: Any) -> list[str]:
    meant = queries.meaning(here.id, Asked(**asked), with_sensitive=True)
    assert not meant.problems
    page = queries.page(queries.found(here.id, meant), Sort("name"))
    return [person.first_name for person in page.people]


def crowd(here: Organization) -> None:
    """People with the same name, the same code, none of them, no address, one address for two."""
    for number in range(23):
        make_person(
            here,
            email=None if number % 4 == 0 else f"p{number % 9}x{number // 9}@mail.example",
            first_name="" if number % 5 == 0 else f"N{number % 6}",
            last_name="",
            postal_code="" if number % 3 == 0 else f"6060{number % 2}",
        )
    make_person(make_organization(), first_name="Foreign")
    db.session.commit()


@pytest.mark.parametrize("word", SORTS)
def test_pages_hold_everybody_once_in_order_both_ways(here: Organization, word: str) -> None:
    crowd(here)
    sort = Sort(word)
    statement = queries.found(here.id, queries.meaning(here.id, Asked(), with_sensitive=False))
    pages, after = [], None
    for _turn in itertools.count():
        page = queries.page(statement, sort, after=after, size=4)
        pages.append(page)
        if page.after is None:
            break
        after = page.after
    everybody = [person.id for page in pages for person in page.people]
    assert len(everybody) == len(set(everybody)) == 23
    keys = [getattr(person, sort.order.key.key) for page in pages for person in page.people]
    known = [key for key in keys if key]
    assert known == sorted(known, reverse=sort.is_falling)
    assert not any(keys[len(known) :])  # who has nothing comes last, both ways
    assert pages[0].before is None
    back = []
    before = pages[-1].before
    while before is not None:
        page = queries.page(statement, sort, before=before, size=4)
        back.insert(0, [person.id for person in page.people])
        before = page.before
    assert list(itertools.chain(*back)) == everybody[: len(everybody) - len(pages[-1].people)]


def test_an_edge_that_is_gone_begins_anew(here: Organization) -> None:
    crowd(here)
    statement = queries.found(here.id, queries.meaning(here.id, Asked(), with_sensitive=False))
    first = queries.page(statement, Sort("name"), size=4)
    again = queries.page(statement, Sort("name"), size=4, after=uuid.uuid4())
    assert [one.id for one in again.people] == [one.id for one in first.people]
    assert again.before is None


def test_filters_all_hold(here: Organization) -> None:
    ann, bo, cy = (
        make_person(here, first_name=name, last_name="Lee") for name in ("Ann", "Bo", "Cy")
    )
    ann.source, bo.language = "flyer", "es"
    bo.created_at = clock.now() - timedelta(days=40)
    people.add_tag(ann, "Speaker")
    people.add_tag(bo, "Speaker")
    people.add_tag(bo, "Press")
    make_consent(cy, here)
    list_ = make_list(here, [bo, cy])
    segment = make_segment(here, Speaks(language="es"))
    field = make_field(here, "Shirt")
    fields.set_values(cy, [field], {"shirt": "Large"}, language="en", user_id=None)
    db.session.commit()
    assert found(here) == ["Ann", "Bo", "Cy"]
    assert found(here, tags=("speaker",)) == ["Ann", "Bo"]
    assert found(here, tags=("speaker", "press")) == ["Bo"]
    assert found(here, tags=("speaker", "nobody has it")) == []
    assert found(here, source="flyer") == ["Ann"]
    assert found(here, source="*") == []
    assert found(here, consent="yes") == ["Cy"]
    assert found(here, list_id=list_.id, tags=("speaker",)) == ["Bo"]
    assert found(here, segment_id=segment.id) == ["Bo"]
    month = (clock.now() - timedelta(days=30)).date()
    assert found(here, since=month) == ["Ann", "Cy"]
    assert found(here, until=month) == ["Bo"]
    assert found(here, field="shirt", value="large") == ["Cy"]
    assert found(here, field="shirt", how=How.KNOWN) == ["Cy"]
    assert found(here, field="shirt", how=How.BEGINS, value="lar", q="cy") == ["Cy"]
    with pytest.raises(Invalid):
        found(here, field="shirt", how=How.LEAST, value="3")


def test_what_is_not_ours_is_unknown(here: Organization) -> None:
    other = make_organization()
    for asked in (
        Asked(list_id=make_list(other).id),
        Asked(segment_id=make_segment(other, Speaks(language="es")).id),
    ):
        with pytest.raises(NotFound):
            queries.meaning(here.id, asked, with_sensitive=True)
    make_field(other, "Theirs")
    secret = make_field(here, "Clinic", is_sensitive=True)
    for key in ("theirs", secret.key):
        meant = queries.meaning(here.id, Asked(field=key, value="x"), with_sensitive=False)
        assert "field" in meant.problems


def test_an_address_bar_is_read_and_written_again(app: Flask) -> None:
    key = str(uuid.uuid4())
    pairs = [
        ("q", "ann"), ("tag", "a"), ("tag", "b"), ("source", "x"), ("consent", "no"), ("ward", key),
        ("list", key), ("segment", key), ("since", "2026-01-02"), ("until", "2026-02-03"),
        ("field", "shirt"), ("how", "begins"), ("value", "L"),
    ]  # fmt: skip
    stored: dict[str, list[str]] = {}
    for name, value in pairs:
        stored.setdefault(name, []).append(value)
    with app.test_request_context():
        asked = rules.read(rules.Stored(stored))
        assert asked.pairs() == pairs
        assert rules.read(rules.Stored(asked.query())) == asked
        for name, value in pairs:
            if name not in {"how", "value"}:
                left = asked.without(name, value)
                assert (name, value) not in left.pairs()
        wrong = rules.read(
            rules.Stored(
                {
                    "since": ["soon"], "until": ["0001-01-01"], "list": ["x"], "q": ["a\x00b"],
                    "consent": ["maybe"], "tag": ["a\x00"], "how": ["x"],
                }
            )
        )  # fmt: skip
        assert {name for name, _words in wrong.problems} == {"since", "until", "list", "q"}
        assert not wrong.is_anything
        turned = rules.read(rules.Stored({"since": ["2026-02-03"], "until": ["2026-01-02"]}))
        assert [name for name, _words in turned.problems] == ["until"]


def test_last_actions_and_counts(here: Organization) -> None:
    crowd(here)
    everybody = queries.found(here.id, queries.meaning(here.id, Asked(), with_sensitive=False))
    assert queries.count(everybody) == 23
    assert queries.has_more_than(everybody, 22)
    assert not queries.has_more_than(everybody, 23)
    assert queries.last_actions(lambda key: key.in_([uuid.uuid4()])) == {}


def test_columns_are_arranged(app: Flask) -> None:
    known = ["a", "b", "c", "d"]
    assert shown(None, dict.fromkeys(known), ("d", "x")) == ["d"]
    assert shown(["c", "gone", "a", "c"], dict.fromkeys(known), ()) == ["c", "a"]
    assert arranged((), ["c"], known) == ["c", "a", "b", "d"]
    assert arranged(["b", "gone", "a"], (), known) == ["b", "a", "c", "d"]
    assert moved(known, "up:c") == ["a", "c", "b", "d"]
    assert moved(known, "down:a") == ["b", "a", "c", "d"]
    for nothing in ("up:a", "down:d", "up:zz", ""):
        assert moved(known, nothing) == known


@pytest.mark.parametrize("word", SORTS)
def test_an_index_answers_each_order(here: Organization, word: str) -> None:
    """No database puts everybody in order to show a page of fifty."""
    if is_postgres():  # a table of few rows is read whole, unless that is forbidden
        db.session.execute(text("SET LOCAL enable_seqscan = off"))
        db.session.execute(text("SET LOCAL enable_sort = off"))
    sort = Sort(word)
    statement = queries.found(here.id, queries.meaning(here.id, Asked(), with_sensitive=False))
    person = make_person(here)
    for half in (True, False):
        if not half and sort.order.lacks_key is None:
            continue
        for mark in (None, tuple(getattr(person, one.key) for one in sort.order.columns)):
            edge = mark if half or mark is None else (person.id, person.id)
            made = queries.ranged(statement, sort, half, edge, is_back=False, limit=51)
            plan = explain(made)
            assert "temp b-tree" not in plan, plan
            assert "sort" not in plan, plan


def explain(statement: Any) -> str:
    connection = db.session.connection()
    written = statement.compile(connection, compile_kwargs={"literal_binds": True})
    prefix = "EXPLAIN " if is_postgres() else "EXPLAIN QUERY PLAN "
    lines = connection.execute(text(prefix + str(written).replace(":", "\\:")))
    return "\n".join(str(tuple(line)) for line in lines).casefold()
