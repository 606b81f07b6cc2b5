"""Changing ladders: write steps, switch on and off, take somebody out, tick what is done.

Every change of a ladder or its steps is made while its row is held (the view asks for it so), so
that it never meets a round halfway. Nobody loses their place: a step keeps its id wherever it is
moved, a step that is inserted behind somebody passes them by, and those on a step that is deleted
go on to the one that follows.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update

from campaign import clock
from campaign.db import db, uuid7
from campaign.errors import Conflict, Invalid
from campaign.ladders import delivery, queries, rules, tasks
from campaign.ladders.models import (
    FollowUp,
    Ladder,
    LadderRun,
    LadderState,
    LadderStep,
    RunState,
    StepKind,
    Trigger,
)
from campaign.ladders.rules import Details
from campaign.mailings import services as mailings
from campaign.mailings import writing
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.people.models import Person
from campaign.worker import enqueue

MOST_STEPS = 40
WAITS = (StepKind.WAIT, StepKind.WAIT_DAY, StepKind.WAIT_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderDetails:
    """What is said of a ladder. `trigger_id` None means any petition or event."""

    name: str
    trigger: Trigger
    trigger_id: uuid.UUID | None = None
    may_repeat: bool = False


def create_ladder(
    organization_id: uuid.UUID, details: LadderDetails, *, author_id: uuid.UUID | None = None
) -> Ladder:
    """A new draft without steps."""
    ladder = Ladder(
        id=uuid7(),
        organization_id=organization_id,
        author_id=author_id,
        state=LadderState.DRAFT,
        name=details.name,
        trigger=details.trigger,
        trigger_id=details.trigger_id,
        may_repeat=details.may_repeat,
    )
    db.session.add(ladder)
    db.session.flush()
    return ladder


def edit_ladder(ladder: Ladder, details: LadderDetails, *, user_id: uuid.UUID) -> None:
    """Other words, or another beginning: then only what happens from now on brings people in."""
    if (ladder.trigger, ladder.trigger_id) != (details.trigger, details.trigger_id):
        ladder.trigger, ladder.trigger_id = details.trigger, details.trigger_id
        if ladder.on_at is not None:
            ladder.on_at = ladder.looked_until = clock.now()
    ladder.name, ladder.may_repeat = details.name, details.may_repeat
    if ladder.state != LadderState.DRAFT:
        _note(ladder, "ladder.changed", user_id)


# --- steps -----------------------------------------------------------------------------------------


def add_step(
    ladder: Ladder,
    kind: StepKind,
    details: Details,
    *,
    before: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
) -> LadderStep:
    """A new step before another one, else at the end. Whoever is past it, is past it.

    Raises Invalid with the field that is wrong.
    """
    steps = queries.steps_of(ladder.id)
    if len(steps) >= MOST_STEPS:
        raise Invalid(_("A ladder has %(most)s steps at most.", most=MOST_STEPS))
    check_details(kind, details)
    _check_blocks(ladder, kind, details)
    step = LadderStep(
        id=uuid7(),
        ladder_id=ladder.id,
        position=len(steps),
        kind=kind,
        details=rules.dump(kind, details),
    )
    db.session.add(step)
    place = next((n for n, other in enumerate(steps) if other.id == before), len(steps))
    steps.insert(place, step)
    _number(steps)
    _note_change(ladder, user_id)
    return step


def edit_step(
    ladder: Ladder, step: LadderStep, details: Details, *, user_id: uuid.UUID | None = None
) -> None:
    """Say something else in a step. Those who wait on it wait as it says now."""
    check_details(StepKind(step.kind), details)
    _check_blocks(ladder, StepKind(step.kind), details)
    step.details = rules.dump(step.kind, details)
    _wake(step)
    _note_change(ladder, user_id)


def move_step(
    ladder: Ladder, step: LadderStep, *, is_up: bool, user_id: uuid.UUID | None = None
) -> None:
    """One place up or down, with those who stand on it. At the end of the row nothing happens."""
    steps = queries.steps_of(ladder.id)
    place = next(n for n, other in enumerate(steps) if other.id == step.id)
    other = place - 1 if is_up else place + 1
    if 0 <= other < len(steps):
        steps[place], steps[other] = steps[other], steps[place]
        _number(steps)
        _note_change(ladder, user_id)


def delete_step(ladder: Ladder, step: LadderStep, *, user_id: uuid.UUID | None = None) -> None:
    """Take a step out; those on it go on to the one that follows. `restore_step` brings it back,
    not them. Raises Conflict for the last step of a ladder that is not a draft."""
    steps = queries.steps_of(ladder.id)
    if len(steps) == 1 and ladder.state != LadderState.DRAFT:
        raise Conflict(_("This is the only step. Write another one first."))
    place = next(n for n, other in enumerate(steps) if other.id == step.id)
    now = clock.now()
    for run in _standing_on(step):
        delivery.arrive(ladder, run, steps[place + 1 : place + 2], None, now)
    step.deleted_at = now
    del steps[place]
    _number(steps)
    _note_change(ladder, user_id)


def restore_step(ladder: Ladder, step: LadderStep, *, user_id: uuid.UUID | None = None) -> None:
    """Bring a deleted step back where it was, or as near as there is."""
    steps = queries.steps_of(ladder.id)
    step.deleted_at = None
    steps.insert(min(step.position, len(steps)), step)
    _number(steps)
    _note_change(ladder, user_id)


def _number(steps: list[LadderStep]) -> None:
    for position, step in enumerate(steps):
        step.position = position
    db.session.flush()


def _standing_on(step: LadderStep) -> list[LadderRun]:
    return list(
        db.session.scalars(
            select(LadderRun)
            .where(LadderRun.step_id == step.id, LadderRun.state == RunState.RUNNING)
            .execution_options(populate_existing=True)
        )
    )


def _wake(step: LadderStep) -> None:
    """Let the next round look at everybody on a step."""
    db.session.execute(
        update(LadderRun)
        .where(LadderRun.step_id == step.id, LadderRun.state == RunState.RUNNING)
        .values(wakes_at=clock.now())
    )


def check_details(kind: StepKind, details: Details) -> None:
    """Raises Invalid, with the field, for what a step may not say."""
    if kind == StepKind.WAIT and details.amount < 1:
        raise Invalid(_("Write how long, as a whole number from 1 on."), field="amount")
    most = rules.MOST_HOURS if details.unit == rules.Unit.HOURS else rules.MOST_DAYS
    if details.amount > most:
        raise Invalid(_("This is too long: %(most)s at most.", most=most), field="amount")
    if kind == StepKind.FOLLOW_UP and not details.text.strip():
        raise Invalid(_("Write what there is to do."), field="text")
    if kind == StepKind.SEND:
        _check_words(details)


def _check_blocks(ladder: Ladder, kind: StepKind, details: Details) -> None:
    if kind == StepKind.SEND:
        for code, body in details.body.items():
            mailings.check_body(ladder.organization_id, body, field=f"body_{code}")


def _check_words(details: Details) -> None:
    languages = [
        code
        for code in ("en", "es")
        if details.subject.has(code) or details.preheader.has(code) or details.body.has(code)
    ]
    for code in languages or ["en"]:
        if not details.subject.get(code, "").strip():
            raise Invalid(_("Write a subject first."), field=f"subject_{code}")
        if not details.body.get(code, "").strip():
            raise Invalid(_("Write a text first."), field=f"body_{code}")
        for name in ("subject", "preheader", "body"):
            text = getattr(details, name).get(code, "")
            for problem in writing.unknown_fields(text):
                raise Invalid(
                    _(
                        "We do not know {{ %(name)s }} (%(place)s). You can use: %(known)s.",
                        name=problem.name,
                        place=_(
                            "line %(line)s, character %(column)s",
                            line=problem.line,
                            column=problem.column,
                        ),
                        known=", ".join(writing.FIELDS),
                    ),
                    field=f"{name}_{code}",
                )


# --- on and off ------------------------------------------------------------------------------------


def switch_on(ladder: Ladder, *, user_id: uuid.UUID | None = None) -> None:
    """draft or off → on: what happens from now on brings people in.

    Raises Invalid while something keeps it from working.
    """
    if queries.problems_of(ladder):
        raise Invalid(_("Something is missing before it can be switched on. It is marked below."))
    if ladder.state == LadderState.PAUSED:
        raise Conflict
    ladder.move(LadderState.ON)
    ladder.on_at = ladder.looked_until = clock.now()
    _note(ladder, "ladder.on", user_id)


def pause(ladder: Ladder, *, user_id: uuid.UUID) -> None:
    """on → paused: nobody enters and nobody moves."""
    ladder.move(LadderState.PAUSED)
    _note(ladder, "ladder.paused", user_id)


def resume(ladder: Ladder, *, user_id: uuid.UUID) -> None:
    """paused → on: all go on from their place, and whoever came meanwhile enters."""
    if ladder.state != LadderState.PAUSED:
        raise Conflict
    ladder.move(LadderState.ON)
    _note(ladder, "ladder.resumed", user_id)
    enqueue(tasks.climb)


def switch_off(ladder: Ladder, *, stops_inside: bool, user_id: uuid.UUID) -> int:
    """on or paused → off: nobody enters; those inside go on to the end, or stop here.

    Returns how many were stopped. Stopping is also for a ladder that is off already.
    """
    if ladder.state != LadderState.OFF:
        ladder.move(LadderState.OFF)
    count = _stop_inside(ladder) if stops_inside else 0
    _note(ladder, "ladder.off", user_id, stopped=count)
    return count


def _stop_inside(ladder: Ladder) -> int:
    steps = {step.id: step for step in queries.steps_of(ladder.id)}
    standing = queries.standing_at(ladder.id)
    now = clock.now()
    db.session.execute(
        update(LadderRun)
        .where(LadderRun.ladder_id == ladder.id, LadderRun.state == RunState.RUNNING)
        .values(
            state=RunState.STOPPED, reason="switched_off", ended_at=now, step_id=None, due_at=None
        )
    )
    for step_id, count in standing.items():
        if step_id in steps:
            steps[step_id].left_count += count
    total = sum(standing.values())
    ladder.stopped_count += total
    return total


def take_out(ladder: Ladder, run: LadderRun, *, user_id: uuid.UUID) -> None:
    """Stop one person's way. Raises Conflict when it has ended."""
    if run.state != RunState.RUNNING:
        raise Conflict
    step = db.session.get(LadderStep, run.step_id) if run.step_id else None
    delivery.end(ladder, run, step, now=clock.now(), reason="taken_out")
    _note(ladder, "ladder.taken_out", user_id, person=run.person_id)


def delete_ladder(ladder: Ladder, *, user_id: uuid.UUID) -> None:
    """Put a ladder away; `restore_ladder` brings it back.

    Raises Conflict while it is on or paused, or somebody is inside.
    """
    if ladder.state in {LadderState.ON, LadderState.PAUSED}:
        raise Conflict(_("Switch it off first."))
    if queries.inside_of([ladder.id]):
        raise Conflict(_("Somebody is still inside. Let them go to the end, or stop them first."))
    ladder.deleted_at = clock.now()
    _note(ladder, "ladder.deleted", user_id)


def restore_ladder(ladder: Ladder, *, user_id: uuid.UUID) -> None:
    """Bring a deleted ladder back as it was: a draft, or off."""
    ladder.deleted_at = None
    _note(ladder, "ladder.restored", user_id)


def _note_change(ladder: Ladder, user_id: uuid.UUID | None) -> None:
    """Changes of a ladder that people are on are written down; a draft is nobody's business."""
    if ladder.state != LadderState.DRAFT:
        _note(ladder, "ladder.changed", user_id)


def _note(ladder: Ladder, action: str, user_id: uuid.UUID | None, **details: object) -> None:
    organizations.record(
        action,
        organization_id=ladder.organization_id,
        user_id=user_id,
        subject_kind="ladder",
        subject_id=ladder.id,
        details=details,
    )


# --- people ----------------------------------------------------------------------------------------


DUE_HOUR = 8


def ask_follow_up(
    person: Person,
    text: str,
    *,
    due_on: date,
    assignee_id: uuid.UUID | None,
    user_id: uuid.UUID,
) -> FollowUp:
    """Ask the team, or one of them, to do something about a person by a day.

    It is due from the morning of that day where the organization is. Raises Invalid at `text`
    without words, at `due_on` for a day that is over, at `assignee` for somebody who does not work
    with people here.
    """
    words = " ".join(text.split())
    if not words:
        raise Invalid(_l("Please write what to do."), field="text")
    organization = db.session.get_one(Organization, person.organization_id)
    zone = clock.zone(organization.time_zone)
    if due_on < clock.now().astimezone(zone).date():
        raise Invalid(_l("This day is over. Choose a later one."), field="due_on")
    known = {user.id for user in queries.helpers_of(person.organization_id)}
    if assignee_id is not None and assignee_id not in known:
        raise Invalid(_l("Choose somebody of your team."), field="assignee")
    found = FollowUp(
        id=uuid7(),
        organization_id=person.organization_id,
        person_id=person.id,
        text=words,
        assignee_id=assignee_id,
        asked_by=user_id,
        due_at=datetime.combine(due_on, time(DUE_HOUR), tzinfo=zone).astimezone(UTC),
        created_at=clock.now(),
    )
    db.session.add(found)
    db.session.flush()
    return found


def finish_follow_up(follow_up: FollowUp, *, user_id: uuid.UUID) -> None:
    """Tick what is done. Twice is once."""
    if follow_up.done_at is None:
        follow_up.done_at, follow_up.done_by = clock.now(), user_id


def reopen_follow_up(follow_up: FollowUp) -> None:
    """It was not done after all."""
    follow_up.done_at = follow_up.done_by = None


def forget_person(person_id: uuid.UUID) -> None:
    """Erasure: take a person out of every ladder and every list of things to do.

    The ladders are held until the commit, so that no round writes to them meanwhile. What the
    steps counted stays.
    """
    mine = select(LadderRun.ladder_id).where(LadderRun.person_id == person_id)
    db.session.execute(
        select(Ladder.id).where(Ladder.id.in_(mine)).order_by(Ladder.id).with_for_update()
    )
    db.session.execute(delete(FollowUp).where(FollowUp.person_id == person_id))
    db.session.execute(delete(LadderRun).where(LadderRun.person_id == person_id))
