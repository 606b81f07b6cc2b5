"""Rounds: let those enter who did what a ladder waits for, and move those whose wait is over.

A round takes the ladder's row and does one piece of people, all in one transaction that the task
commits. So rounds that meet take turns, whoever is killed leaves nothing half done, and an
e-mail is in the outbox exactly when its person has left the step that sends it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.designs import services as designs
from campaign.ladders import emails, queries, rules
from campaign.ladders.models import (
    FollowUp,
    Ladder,
    LadderRun,
    LadderStep,
    RunState,
    StepKind,
    Trigger,
)
from campaign.lists import services as lists
from campaign.mail import merge
from campaign.mail import services as mail
from campaign.mailings.rules import Quiet
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.people import services as people

AT_ONCE = 200
"""People in one piece: short enough that on SQLite others get their turn."""
LOOK_AGAIN = timedelta(hours=1)
"""How often a wait for an event looks whether it has moved, and a step that cannot work whether
it can."""


def _take(ladder_id: uuid.UUID) -> Ladder | None:
    """The ladder's row, locked; None where another round or an editor has it."""
    return db.session.scalar(
        select(Ladder)
        .where(Ladder.id == ladder_id, Ladder.deleted_at.is_(None))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


# --- entering --------------------------------------------------------------------------------------


def let_in(ladder_id: uuid.UUID, *, limit: int = AT_ONCE) -> bool:
    """Let the next people enter; True while there may be more. The caller commits."""
    ladder = _take(ladder_id)
    if ladder is None or not ladder.is_on:
        return False
    now = clock.now()
    found = queries.newcomers(ladder, now, limit)
    steps = queries.steps_of(ladder.id)
    first: dict[uuid.UUID, queries.Newcomer] = {}
    for one in found:  # two things done by one person in one piece: the first brings them in
        first.setdefault(one.person_id, one)
    if first:
        _enter(ladder, steps, list(first.values()), now)
    if len(found) < limit:
        ladder.looked_until = now
        return False
    return True


def _enter(
    ladder: Ladder,
    steps: Sequence[LadderStep],
    newcomers: Sequence[queries.Newcomer],
    now: datetime,
) -> None:
    turns = queries.turns_of(ladder.id, [one.person_id for one in newcomers])
    rows = [
        {
            "id": uuid7(),
            "organization_id": ladder.organization_id,
            "ladder_id": ladder.id,
            "person_id": one.person_id,
            "occasion": one.occasion,
            "turn": turns.get(one.person_id, 0) + 1,
            "occurrence_id": one.occurrence_id,
            "entered_at": now,
            "step_id": steps[0].id if steps else None,
            "arrived_at": now,
            "wakes_at": now,
            "state": RunState.RUNNING if steps else RunState.DONE,
            "reason": "",
            "ended_at": None if steps else now,
        }
        for one in newcomers
    ]
    db.session.execute(insert(LadderRun.__table__), rows)
    ladder.entered_count += len(rows)
    if steps:
        steps[0].entered_count += len(rows)
    else:
        ladder.done_count += len(rows)


# --- moving ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Verdict:
    """What a step says of those who stand on it: who goes on, who skips one, who waits, who ends.

    `passed_over` are those who go on and for whom the step did nothing, by reason.
    """

    on: list[LadderRun] = field(default_factory=list)
    skip: list[LadderRun] = field(default_factory=list)
    wait: list[tuple[LadderRun, datetime, datetime | None]] = field(default_factory=list)
    stop: list[tuple[LadderRun, str]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def move_on(ladder_id: uuid.UUID, *, limit: int = AT_ONCE) -> bool:
    """Do the step of the next people whose wait is over; True while there may be more."""
    ladder = _take(ladder_id)
    if ladder is None or not ladder.is_moving:
        return False
    now = clock.now()
    runs = queries.due_runs(ladder.id, now, limit)
    if not runs:
        return False
    steps = queries.steps_of(ladder.id)
    by_step: dict[uuid.UUID | None, list[LadderRun]] = {}
    for run in runs:
        by_step.setdefault(run.step_id, []).append(run)
    organization = db.session.get_one(Organization, ladder.organization_id)
    work = Work(ladder, organization, now)
    for place, step in enumerate(steps):
        here = by_step.pop(step.id, [])
        if here:
            _settle(ladder, steps, place, work.do(step, here), now)
    for lost in by_step.values():  # nobody stands on a step that is gone; if so, their way ends
        for run in lost:
            end(ladder, run, None, now=now)
    return True


def _settle(
    ladder: Ladder, steps: Sequence[LadderStep], place: int, verdict: Verdict, now: datetime
) -> None:
    """Write down what became of those at one step."""
    step = steps[place]
    passed_over = sum(verdict.passed_over.values())
    step.done_count += len(verdict.on) - passed_over
    if passed_over:
        counts = Counter(step.passed_over) + verdict.passed_over
        step.passed_over = dict(counts)
    for run in verdict.on:
        arrive(ladder, run, steps[place + 1 : place + 2], step, now)
    for run in verdict.skip:
        arrive(ladder, run, steps[place + 2 : place + 3], step, now)
    for run, wakes_at, due_at in verdict.wait:
        run.wakes_at, run.due_at = wakes_at, due_at
    for run, reason in verdict.stop:
        end(ladder, run, step, now=now, reason=reason)


def arrive(
    ladder: Ladder,
    run: LadderRun,
    ahead: Sequence[LadderStep],
    left: LadderStep | None,
    now: datetime,
) -> None:
    """Put somebody on the first step of `ahead`; where there is none, their way is done."""
    if not ahead:
        end(ladder, run, left, now=now)
        return
    run.step_id = ahead[0].id
    run.arrived_at = run.wakes_at = now
    run.due_at = None
    ahead[0].entered_count += 1


def end(
    ladder: Ladder,
    run: LadderRun,
    step: LadderStep | None,
    *,
    now: datetime,
    reason: str = "",
) -> None:
    """End somebody's way: done, or stopped at `step` for a reason."""
    state = RunState.STOPPED if reason else RunState.DONE
    run.state, run.reason, run.ended_at = state, reason, now
    run.step_id, run.due_at = None, None
    if state == RunState.DONE:
        ladder.done_count += 1
    else:
        ladder.stopped_count += 1
        if step is not None:
            step.left_count += 1


class Work:
    """What each kind of step does with those who stand on it."""

    def __init__(self, ladder: Ladder, organization: Organization, now: datetime) -> None:
        self.ladder = ladder
        self.organization = organization
        self.now = now

    def do(self, step: LadderStep, runs: list[LadderRun]) -> Verdict:
        """Do a step for these people."""
        details = queries.details_of(step)
        match StepKind(step.kind):
            case StepKind.WAIT | StepKind.WAIT_DAY:
                return self._wait(step, details, runs)
            case StepKind.WAIT_EVENT:
                return self._wait_for_event(details, runs)
            case StepKind.IF:
                return self._ask(details, runs)
            case StepKind.SEND:
                return self._send(step, details, runs)
            case StepKind.TAG:
                return self._tag(details, runs)
            case StepKind.LIST_ADD | StepKind.LIST_REMOVE:
                return self._list(step, details, runs)
            case StepKind.FOLLOW_UP:
                return self._follow_up(step, details, runs)
            case StepKind.STOP:
                return Verdict(stop=[(run, "stop") for run in runs])

    def _hold(self, runs: Sequence[LadderRun]) -> Verdict:
        """Nobody moves while the step cannot work; its page says why."""
        again = self.now + LOOK_AGAIN
        return Verdict(wait=[(run, again, None) for run in runs])

    def _wait(self, step: LadderStep, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        """The end of a wait is computed each time anew, so that changing the step changes it."""
        verdict, zone = Verdict(), self.organization.time_zone
        for run in runs:
            if step.kind == StepKind.WAIT:
                until = rules.after_while(run.arrived_at, details.amount, details.unit, zone)
            else:
                until = rules.next_weekday(run.arrived_at, details.weekday, details.hour, zone)
            if until > self.now:
                verdict.wait.append((run, until, until))
            else:
                verdict.on.append(run)
        return verdict

    def _wait_for_event(self, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        """An event that moves is noticed within the hour; one that is off ends the way, and so
        does an answer that was taken back: "see you tomorrow" is for those who come."""
        verdict = Verdict()
        asks = details.event_id is None and self.ladder.trigger == Trigger.COMING
        coming = queries.still_coming(runs) if asks else set()
        for run in runs:
            if details.event_id is None and run.occurrence_id is None:
                verdict.wait += self._hold([run]).wait  # no event has brought them in
                continue
            date = queries.date_waited_for(details.event_id, run, self.ladder.organization_id)
            if date is None:
                verdict.stop.append((run, "event_off"))
                continue
            if asks and (run.person_id, date.id) not in coming:
                verdict.stop.append((run, "not_coming"))
                continue
            until = rules.around(
                date.starts_at, details.amount, details.unit, details.side, date.event.zone
            )
            if until > self.now:
                verdict.wait.append((run, min(until, self.now + LOOK_AGAIN), until))
            else:
                verdict.on.append(run)
        return verdict

    def _ask(self, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        found = queries.found_by_segment(
            self.ladder.organization_id, details.segment_id, [run.person_id for run in runs]
        )
        if found is None:
            return self._hold(runs)
        others = [run for run in runs if run.person_id not in found]
        verdict = Verdict(on=[run for run in runs if run.person_id in found])
        if details.otherwise == rules.Otherwise.STOP:
            verdict.stop = [(run, "not_in_segment") for run in others]
        else:
            verdict.skip = others
        return verdict

    def _tag(self, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        tag = queries.find_working_tag(self.ladder.organization_id, details.tag_id)
        if tag is None:
            return self._hold(runs)
        people.add_tag_to(tag, [run.person_id for run in runs])
        return Verdict(on=runs)

    def _list(self, step: LadderStep, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        list_ = queries.find_working_list(self.ladder.organization_id, details.list_id)
        if list_ is None:
            return self._hold(runs)
        change = lists.add_to_list if step.kind == StepKind.LIST_ADD else lists.remove_from_list
        change(list_, [run.person_id for run in runs])
        return Verdict(on=runs)

    def _follow_up(
        self, step: LadderStep, details: rules.Details, runs: list[LadderRun]
    ) -> Verdict:
        zone = self.organization.time_zone
        due_at = rules.after_while(self.now, details.amount, rules.Unit.DAYS, zone)
        rows = [
            {
                "id": uuid7(),
                "organization_id": self.ladder.organization_id,
                "person_id": run.person_id,
                "run_id": run.id,
                "step_id": step.id,
                "text": details.text,
                "due_at": due_at,
                "created_at": self.now,
            }
            for run in runs
        ]
        db.session.execute(insert(FollowUp.__table__).on_conflict_do_nothing(), rows)
        return Verdict(on=runs)

    # Sending

    def _send(self, step: LadderStep, details: rules.Details, runs: list[LadderRun]) -> Verdict:
        """Queue the e-mail as a small bulk message of its own: consent, suppressions, headers and
        report are those of every other. Whoever may not be written to goes on unwritten; in the
        quiet hours of the organization all wait for their end."""
        if not self.organization.postal_address.strip():
            return self._hold(runs)
        quiet = Quiet.of(self.organization)
        morning = quiet.end_of(self.now) if quiet else None
        if morning is not None:
            return Verdict(wait=[(run, morning, morning) for run in runs])
        texts = (*details.subject.values(), *details.preheader.values(), *details.body.values())
        readers = queries.readers(
            self.ladder.organization_id,
            [run.person_id for run in runs],
            merge.names_in(*texts),
        )
        written = queries.written_already(step.id, runs)
        verdict = Verdict(on=runs)
        letters: dict[str, list[mail.Addressee]] = {}
        for run in runs:
            reader = readers.get(run.person_id)
            reason = "erased" if reader is None else reader.reason
            if run.id in written:
                reason = "already"
            if reader is None or reason:
                verdict.passed_over[reason] += 1
                continue
            language = rules.language_for(details, reader.language)
            letters.setdefault(language, []).append(
                mail.Addressee(
                    unique_key=run.id,
                    address=reader.address,
                    address_hash=reader.address_hash,
                    values=reader.values,
                    person_id=reader.person_id,
                )
            )
        if letters:
            self._queue(step, details, letters)
        return verdict

    def _queue(
        self,
        step: LadderStep,
        details: rules.Details,
        letters: dict[str, list[mail.Addressee]],
    ) -> None:
        rendered = {
            language: emails.letter_of(
                details, language, self.organization, source=emails.source_of(step)
            )
            for language in letters
        }
        for letter in rendered.values():
            designs.keep_pictures(letter.html)
        sender = organizations.sender_of(self.organization)
        batch = mail.create_batch(
            organization_id=self.ladder.organization_id,
            kind=queries.KIND,
            key=f"{step.id.hex}:{uuid7().hex}",
            letter=next(iter(rendered.values())),
            sender=mail.Sender(name=sender.name, email=sender.email, reply_to=sender.reply_to),
        )
        for language, addressees in letters.items():
            mail.add_addressees(batch, rendered[language], addressees)
        mail.release(batch)
