"""An A/B test's arithmetic: who tests, in equal groups, and which variant did best.

Who tests is drawn, not chosen, and not at random either: a person's draw is a hash of their
address and the message. It knows nothing of how old or how active somebody is, another message
draws anew, and whoever computes it again after a kill gets the same. Two people at one address
have one draw, so they land in one group, where the outbox keeps it to one letter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from statistics import NormalDist
from typing import Any

from sqlalchemy import ColumnElement, func

from campaign.mailings.models import Measure, Message, Unit, Verdict

CONFIDENCE = 0.95
"""How sure one must be that a difference is none of chance, over all comparisons together."""
USUAL_RATES = {Measure.ACTIONS: 0.02, Measure.CLICKS: 0.05, Measure.UNSUBSCRIBES: 0.003}
"""How many of a group do it, where a mailing is neither very good nor very bad."""
MOST_RETURNS = 0.1
FEWEST_RETURNS = 5
"""More than this came back or was refused, and at least so many: a variant stops by itself."""


# --- who tests -----------------------------------------------------------------------------------


def draw(message: Message, address_hash: ColumnElement[Any]) -> ColumnElement[str]:
    """A person's draw for this message, as the database computes it."""
    return func.md5(address_hash.concat(message.id.hex))


def draw_of(message: Message, address_hash: str) -> str:
    """The same in Python."""
    return md5(f"{address_hash}{message.id.hex}".encode(), usedforsecurity=False).hexdigest()


def testers(size: int, unit: str, readers: int) -> int:
    """How many of `readers` test."""
    wanted = size if unit == Unit.PEOPLE else math.floor(readers * size / 100 + 0.5)
    return max(0, min(wanted, readers))


def group_sizes(people: int, variants: int) -> list[int]:
    """Groups as equal as can be; the first ones get what does not divide."""
    each, over = divmod(people, variants)
    return [each + (place < over) for place in range(variants)]


def fewest_needed(measure: str) -> int:
    """How many a group needs to show when one variant does twice as well as another.

    With four chances in five, at a confidence of 95 %, where people do it as often as is usual.
    The counts are rare events, so their variance is their mean: (1.96 + 0.84)² · 3r / r².
    """
    needed = (1.96 + 0.84) ** 2 * 3 / USUAL_RATES[Measure(measure)]
    return math.ceil(needed / 50) * 50


# --- which did best ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """What one variant came to: how many got it, and how often what is measured happened."""

    letter: str
    people: int
    count: int

    @property
    def rate(self) -> float:
        return self.count / self.people if self.people else 0.0


def differ(one: Score, other: Score, comparisons: int = 1) -> bool:
    """Whether two rates differ by more than chance explains.

    Given how often it happened in both together, how many of these are the one's is a matter of
    the sizes of the groups alone, if the variants are alike (a binomial, with a correction for
    continuity). `comparisons` such questions asked together share the risk of a false yes.
    """
    total = one.count + other.count
    if not total or not one.people or not other.people:
        return False
    share = one.people / (one.people + other.people)
    spread = math.sqrt(total * share * (1 - share))
    distance = max(0.0, abs(one.count - total * share) - 0.5) / spread
    risk = (1 - CONFIDENCE) / max(1, comparisons)
    return distance > NormalDist().inv_cdf(1 - risk / 2)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which variant the rest gets, and why."""

    letter: str
    verdict: Verdict
    close: tuple[str, ...] = ()  # those between whom there is too little, where it was close


def judge(scores: Sequence[Score], measure: str) -> Judgement | None:
    """The first, in the order of the letters, of those not clearly worse than the best.

    So a variant wins over an earlier one only by a clear difference, and where there is none the
    first goes: it is the one that the team would have sent. None where nobody can win.
    """
    if not scores:
        return None
    ordered = sorted(scores, key=lambda score: score.letter)
    if len(ordered) == 1:
        return Judgement(ordered[0].letter, Verdict.ALONE)
    if not any(score.count for score in ordered):
        return Judgement(ordered[0].letter, Verdict.NOTHING)
    is_fewest = measure == Measure.UNSUBSCRIBES
    reached = [score for score in ordered if score.people] or ordered
    best = (min if is_fewest else max)(reached, key=lambda score: score.rate)
    alike = [
        score
        for score in ordered
        if score is best or not differ(score, best, comparisons=len(ordered) - 1)
    ]
    if len(alike) == 1:
        return Judgement(best.letter, Verdict.CLEAR)
    return Judgement(alike[0].letter, Verdict.CLOSE, tuple(score.letter for score in alike))


def harm(counts: Mapping[str, int]) -> int:
    """How many e-mails did harm: were called spam, came back, or were refused."""
    return sum(counts.get(state, 0) for state in ("complained", "bounced", "failed"))


def has_too_many_returns(counts: Mapping[str, int]) -> bool:
    """Whether so much of a variant came back or was refused that it must not go on."""
    back = counts.get("bounced", 0) + counts.get("failed", 0)
    tried = back + sum(counts.get(state, 0) for state in ("accepted", "delivered", "complained"))
    return back >= FEWEST_RETURNS and back > MOST_RETURNS * tried
