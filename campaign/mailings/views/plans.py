"""An A/B test for its pages: what it will do, and how its versions stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import format_percent, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.mailings import contests, deciding, queries, rules, standing
from campaign.mailings.contests import Judgement
from campaign.mailings.models import Contest, Measure, Message, Variant, VariantState, Verdict
from campaign.mailings.standing import Figures
from campaign.organizations.models import Organization
from campaign.web.filters import moment, number

MEASURES: dict[str, Any] = {
    Measure.ACTIONS: _l("the most signatures and event answers"),
    Measure.CLICKS: _l("the most links followed"),
    Measure.UNSUBSCRIBES: _l("the fewest who unsubscribe"),
}
COUNTED: dict[str, Any] = {
    Measure.ACTIONS: _l("Signatures and event answers"),
    Measure.CLICKS: _l("Links followed"),
    Measure.UNSUBSCRIBES: _l("Unsubscribed"),
}
VARIANT_STATES: dict[str, tuple[Any, str]] = {
    VariantState.PLANNED: (_l("Planned"), "plain"),
    VariantState.RUNNING: (_l("In the test"), ""),
    VariantState.STOPPED: (_l("Stopped"), "bad"),
    VariantState.WON: (_l("Goes to the rest"), ""),
    VariantState.LOST: (_l("Not taken"), "plain"),
}
STOPPED_FOR: dict[str, Any] = {
    deciding.COMPLAINTS: _l("Too many marked it as spam."),
    deciding.RETURNS: _l("Too much of it came back."),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """What a test will do to an audience of this size, if it began at `start`."""

    sizes: dict[str, int]
    rest: int
    decided: datetime
    rest_from: datetime
    needed: int

    @property
    def testers(self) -> int:
        return sum(self.sizes.values())

    @property
    def is_small(self) -> bool:
        return min(self.sizes.values()) < self.needed


def planned(message: Message, organization: Organization, included: int) -> Planned | None:
    """What the test of a draft will do if it is sent now; None without one."""
    contest = message.contest
    if contest is None:
        return None
    testers = contests.testers(contest.size, contest.unit, included)
    letters = [variant.letter for variant in contest.variants]
    sizes = dict(zip(letters, contests.group_sizes(testers, len(letters)), strict=True))
    table = rules.timetable(message, organization, clock.now())
    decided = table.due(max(0, testers - 1)) + timedelta(hours=contest.hours)
    return Planned(
        sizes,
        included - testers,
        decided,
        rules.timetable(message, organization, decided).due(0),
        contests.fewest_needed(contest.measure),
    )


def plan_words(contest: Contest, plan: Planned, zone: str) -> list[str]:
    """What will happen, in sentences."""
    least, most = min(plan.sizes.values()), max(plan.sizes.values())
    groups = number(least) if least == most else f"{number(least)}–{number(most)}"
    said = [
        _(
            "%(testers)s people test %(versions)s versions, in groups of %(groups)s.",
            testers=number(plan.testers),
            versions=len(plan.sizes),
            groups=groups,
        )
    ]
    when, rest = moment(plan.decided, zone=zone), number(plan.rest)
    measure = str(MEASURES[contest.measure])
    if not plan.rest:
        said.append(_("Nobody is left for the winner: the test goes to everybody."))
    elif contest.is_automatic:
        said.append(
            _(
                "Begun now, the version with %(measure)s goes to the other %(rest)s people on %(when)s.",
                measure=measure,
                rest=rest,
                when=when,
            )
        )
    else:
        said.append(
            _(
                "Begun now, we ask you on %(when)s which version the other %(rest)s people get. Until you choose they get nothing.",
                rest=rest,
                when=when,
            )
        )
    if plan.rest and plan.rest_from > plan.decided:
        later = moment(plan.rest_from, zone=zone)
        said.append(_("It is quiet then, so they get it from %(when)s on.", when=later))
    return said


# --- under way -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One version in the table of how they stand."""

    variant: Variant
    figures: Figures
    label: str
    kind: str
    note: str
    count: int
    share: str
    may_win: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a test stands, or what it came to."""

    lines: list[Line]
    sentence: str
    counted: str
    rest: int
    is_final: bool  # the figures are those by which it was decided
    is_tight: bool  # nothing tells the versions apart: that must be seen


def standing_of(message: Message) -> Standing | None:
    """None without variants, and while nothing is out."""
    contest = message.contest
    if contest is None or not message.is_out:
        return None
    decided = standing.as_decided(contest)
    found = decided or standing.figures(message)
    by_letter = {one.letter: one for one in found}
    return Standing(
        [
            _line(contest, row, by_letter.get(row.letter, Figures(row.letter)))
            for row in contest.variants
        ],
        _sentence(message, contest, found),
        str(COUNTED[contest.measure]),
        max(0, contest.audience_count - sum(row.recipient_count for row in contest.variants)),
        bool(decided),
        contest.verdict in {Verdict.CLOSE, Verdict.NOTHING},
    )


def _line(contest: Contest, variant: Variant, found: Figures) -> Line:
    state = variant.state
    if state == VariantState.RUNNING and not contest.is_testing and contest.winner is None:
        state = VariantState.STOPPED  # with the whole message
    label, kind = VARIANT_STATES[state]
    return Line(
        variant,
        found,
        str(label),
        kind,
        str(STOPPED_FOR.get(variant.stopped_for, "")),
        found.count(contest.measure),
        str(format_percent(found.rate(contest.measure), "#,##0.0%")),
        contest.is_testing and variant.state == VariantState.RUNNING,
    )


def _sentence(message: Message, contest: Contest, found: list[Figures]) -> str:
    """How it stands, said plainly."""
    if contest.winner is not None:
        said = _verdict_words(contest)
        if contest.is_open and contest.rest_at is not None and contest.rest_at > clock.now():
            when = moment(contest.rest_at, zone=message.time_zone)
            said += " " + _("It is quiet now, so they get it from %(when)s on.", when=when)
        return said
    if not contest.is_testing:
        return str(_("The test was stopped before it was decided. Nobody else gets it."))
    if not contest.running:
        return str(_("Each version was stopped. Nobody more gets it until you say so."))
    when = moment(contest.decide_at, zone=message.time_zone) if contest.decide_at else ""
    if contest.held_since is not None:
        return str(_("The test is paused, and its clock with it."))
    judged = standing.judgement(contest, found)
    lead = _lead_words(judged) if judged is not None else ""
    is_over = contest.decide_at is not None and contest.decide_at <= clock.now()
    if contest.is_automatic:
        if is_over:
            return str(_("The last letters of the test leave, then it is decided.")) + lead
        return str(_("It is decided by itself on %(when)s.", when=when)) + lead
    if is_over:
        return str(_("The time of the test is over. Choose which version the rest gets.")) + lead
    return str(_("The test runs until %(when)s. Then you choose.", when=when)) + lead


def _lead_words(judged: Judgement) -> str:
    if judged.verdict == Verdict.CLEAR:
        return " " + str(_("Version %(name)s is clearly ahead so far.", name=judged.letter.upper()))
    if judged.verdict == Verdict.ALONE:
        return " " + str(_("Only version %(name)s is left.", name=judged.letter.upper()))
    return " " + str(_("So far nothing tells them apart."))


def _verdict_words(contest: Contest) -> str:
    winner = contest.winner
    name = winner.name if winner is not None else ""
    if contest.verdict == Verdict.CLEAR:
        return str(
            _(
                "Version %(name)s did better than the others, by more than chance. The rest gets it.",
                name=name,
            )
        )
    if contest.verdict == Verdict.CLOSE:
        close = _close_names(contest)
        return str(
            _(
                "There is too little between %(close)s to tell which is better. So the first of them goes to the rest: version %(name)s.",
                close=close,
                name=name,
            )
        )
    if contest.verdict == Verdict.NOTHING:
        return str(
            _(
                "None of the versions moved anything that we count. So the first goes to the rest: version %(name)s.",
                name=name,
            )
        )
    if contest.verdict == Verdict.ALONE:
        return str(_("All others were stopped, so the rest gets version %(name)s.", name=name))
    return str(_("Your team chose version %(name)s for the rest.", name=name))


def _close_names(contest: Contest) -> str:
    """The versions that were alike by the figures of then."""
    found = standing.as_decided(contest)
    stopped = {row.letter for row in contest.variants if row.is_stopped}
    scores = [
        contests.Score(one.letter, one.reached, one.count(contest.measure))
        for one in found
        if one.letter not in stopped
    ]
    judged = contests.judge(scores, contest.measure)
    return ", ".join(letter.upper() for letter in (judged.close if judged is not None else ()))


def left_words(message: Message) -> str:
    """How long those who wait will take, roughly; "" while nothing tells."""
    if message.is_paused:
        return ""
    seconds = standing.seconds_left(message)
    if seconds is None:
        return ""
    if seconds < 60:
        return str(_("less than a minute left"))
    minutes = round(seconds / 60)
    if minutes < 120:
        return str(ngettext("about %(num)s minute left", "about %(num)s minutes left", minutes))
    return str(ngettext("about %(num)s hour left", "about %(num)s hours left", round(minutes / 60)))


def resume_words(message: Message) -> str:
    """What going on will do, said before somebody presses it."""
    progress = queries.progress(message)
    waiting = number(progress.open)
    if progress.pause_reason == queries.ALL_STOPPED:
        return str(
            _(
                "Going on lets all versions go to the %(count)s people who wait. What harms more is stopped again.",
                count=waiting,
            )
        )
    if progress.pause_reason == "complaints":
        return str(
            _(
                "Going on writes to the %(count)s people who wait, and to nobody twice. With the next complaint it is paused again.",
                count=waiting,
            )
        )
    if progress.pause_reason == "provider errors":
        return str(
            _(
                "It goes on by itself as soon as a single email gets through. Going on now tries all %(count)s who wait at once, and nobody twice.",
                count=waiting,
            )
        )
    return str(
        _("Going on writes to the %(count)s people who wait, and to nobody twice.", count=waiting)
    )
