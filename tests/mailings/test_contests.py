"""The arithmetic of an A/B test: who tests, and what chance explains."""

from __future__ import annotations

import random
import uuid
from itertools import pairwise

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from campaign.db import db
from campaign.mailings import contests
from campaign.mailings.contests import Score
from campaign.mailings.models import Measure, Message, Unit, Verdict
from campaign.people.models import Person
from tests.factories.mailings import make_message, make_reader
from tests.factories.organizations import make_organization


@given(people=st.integers(0, 2_000_000), variants=st.integers(2, 6))
def test_groups_are_all_there_and_as_equal_as_can_be(people: int, variants: int) -> None:
    sizes = contests.group_sizes(people, variants)
    assert len(sizes) == variants
    assert sum(sizes) == people
    assert max(sizes) - min(sizes) <= 1


@given(
    readers=st.integers(0, 1_000_000),
    size=st.integers(1, 100),
    unit=st.sampled_from(list(Unit)),
)
def test_no_more_test_than_there_are(readers: int, size: int, unit: Unit) -> None:
    wanted = contests.testers(size, unit, readers)
    assert 0 <= wanted <= readers
    if unit == Unit.PEOPLE:
        assert wanted == min(size, readers)
    else:
        assert abs(wanted - readers * size / 100) <= 0.5


def test_the_database_draws_as_python_does(app: Flask) -> None:
    organization = make_organization()
    message = make_message(organization)
    people = [make_reader(organization) for _ in range(20)]
    drawn = dict(
        db.session.execute(
            select(Person.id, contests.draw(message, Person.address_hash.expression)).where(
                Person.id.in_([person.id for person in people])
            )
        ).all()
    )
    for person in people:
        assert drawn[person.id] == contests.draw_of(message, person.address_hash or "")


def test_draws_know_nothing_of_age_and_differ_from_message_to_message() -> None:
    one, other = Message(), Message()
    for message, number in ((one, 1), (other, 2)):
        message.id = uuid.UUID(int=number)
    hashes = [f"{number:064x}" for number in range(4000)]  # in the order in which they came
    first = [contests.draw_of(one, hashed) < "8" for hashed in hashes]
    second = [contests.draw_of(other, hashed) < "8" for hashed in hashes]
    for start in range(0, 4000, 1000):
        assert 420 < sum(first[start : start + 1000]) < 580
    assert 1850 < sum(a == b for a, b in zip(first, second, strict=True)) < 2150


# --- chance --------------------------------------------------------------------------------------


def scores(*counts: int, people: int = 1000) -> list[Score]:
    return [Score(letter, people, count) for letter, count in zip("abcdef", counts, strict=False)]


@pytest.mark.parametrize(
    ("counts", "measure", "letter", "verdict"),
    [
        ((10, 40), Measure.CLICKS, "b", Verdict.CLEAR),
        ((40, 10), Measure.CLICKS, "a", Verdict.CLEAR),
        ((20, 26), Measure.CLICKS, "a", Verdict.CLOSE),
        ((20, 20), Measure.ACTIONS, "a", Verdict.CLOSE),
        ((0, 0, 0), Measure.ACTIONS, "a", Verdict.NOTHING),
        ((0, 0), Measure.UNSUBSCRIBES, "a", Verdict.NOTHING),
        ((40, 8), Measure.UNSUBSCRIBES, "b", Verdict.CLEAR),
        ((10, 45, 50), Measure.CLICKS, "b", Verdict.CLOSE),  # both beat A, and are alike
        ((10, 3, 50), Measure.CLICKS, "c", Verdict.CLEAR),
        ((7,), Measure.CLICKS, "a", Verdict.ALONE),
    ],
)
def test_who_wins(counts: tuple[int, ...], measure: Measure, letter: str, verdict: Verdict) -> None:
    judged = contests.judge(scores(*counts), measure)
    assert judged is not None
    assert (judged.letter, judged.verdict) == (letter, verdict)


def test_of_nobody_nobody_wins() -> None:
    assert contests.judge([], Measure.CLICKS) is None


def test_a_variant_that_reached_nobody_wins_nothing() -> None:
    judged = contests.judge([Score("a", 500, 20), Score("b", 0, 0)], Measure.UNSUBSCRIBES)
    assert judged is not None
    assert judged.letter == "a"


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 400)), min_size=1, max_size=6),
    st.sampled_from(list(Measure)),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_they_are_counted_changes_nothing(
    found: list[tuple[int, int]], measure: Measure, shuffle: random.Random
) -> None:
    given_ = [Score(letter, *pair) for letter, pair in zip("abcdef", found, strict=False)]
    judged = contests.judge(given_, measure)
    assert judged is not None
    assert judged.letter in {score.letter for score in given_}
    mixed = list(given_)
    shuffle.shuffle(mixed)
    assert contests.judge(mixed, measure) == judged


def test_alike_variants_hardly_ever_look_different() -> None:
    """Six variants of which none is better: chance shows a clear winner in one of twenty at most."""
    dice = random.Random(7)
    clear = 0
    for _ in range(300):
        counts = [sum(dice.random() < 0.03 for _ in range(600)) for _ in range(6)]
        judged = contests.judge(scores(*counts, people=600), Measure.ACTIONS)
        assert judged is not None
        clear += judged.verdict == Verdict.CLEAR
    assert clear <= 15


def test_a_variant_twice_as_good_shows_in_groups_as_large_as_we_ask_for() -> None:
    dice = random.Random(11)
    size = contests.fewest_needed(Measure.ACTIONS)
    shown = 0
    for _ in range(200):
        counts = [sum(dice.random() < rate for _ in range(size)) for rate in (0.02, 0.04)]
        judged = contests.judge(scores(*counts, people=size), Measure.ACTIONS)
        shown += judged is not None and (judged.letter, judged.verdict) == ("b", Verdict.CLEAR)
    assert shown >= 140  # four of five, on average


def test_the_smaller_the_effect_the_larger_the_groups() -> None:
    needed = [
        contests.fewest_needed(measure)
        for measure in (Measure.CLICKS, Measure.ACTIONS, Measure.UNSUBSCRIBES)
    ]
    assert all(fewer < more for fewer, more in pairwise(needed))


@pytest.mark.parametrize(
    ("counts", "too_many"),
    [
        ({"accepted": 100, "bounced": 4}, False),
        ({"accepted": 10, "bounced": 4}, False),  # a few are no rate
        ({"accepted": 40, "bounced": 3, "failed": 2}, True),
        ({"accepted": 95, "failed": 5}, False),
        ({"queued": 1000, "failed": 5}, True),
    ],
)
def test_what_comes_back_is_a_reason_from_some_on(counts: dict[str, int], too_many: bool) -> None:
    assert contests.has_too_many_returns(counts) is too_many
