"""Ladders with steps, people on them, and rounds as the beat runs them."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from campaign import clock
from campaign.db import Words, db, uuid7
from campaign.ladders import queries, services, tasks
from campaign.ladders.models import FollowUp, Ladder, LadderRun, LadderStep, StepKind, Trigger
from campaign.ladders.rules import Details
from campaign.ladders.services import LadderDetails
from campaign.organizations.models import Organization
from campaign.people.models import Person

_numbers = itertools.count(1)

Step = tuple[StepKind, Details]


def wait(amount: int = 1, unit: str = "days") -> Step:
    return StepKind.WAIT, Details(amount=amount, unit=unit)  # type: ignore[arg-type]


def send(
    subject: str = "Thank you", body: str = "Dear {{ first_name|neighbor }},", **es: str
) -> Step:
    """An e-mail in English; `subject_es` and `body_es` add Spanish."""
    words = {"subject": Words(en=subject), "body": Words(en=body)}
    if es:
        words = {
            "subject": Words(en=subject, es=es["subject_es"]),
            "body": Words(en=body, es=es["body_es"]),
        }
    return StepKind.SEND, Details(**words)


def follow_up(text: str = "Call and say thank you.") -> Step:
    return StepKind.FOLLOW_UP, Details(text=text)


STOP: Step = (StepKind.STOP, Details())


def make_ladder(
    organization: Organization,
    *steps: Step,
    trigger: Trigger = Trigger.SIGNED,
    trigger_id: uuid.UUID | None = None,
    is_on: bool = True,
    **given: Any,
) -> Ladder:
    """A ladder with these steps, switched on unless told otherwise."""
    details = {"name": f"Ladder {next(_numbers)}"} | given
    ladder = services.create_ladder(
        organization.id, LadderDetails(trigger=trigger, trigger_id=trigger_id, **details)
    )
    for kind, said in steps:
        services.add_step(ladder, kind, said)
    if is_on:
        services.switch_on(ladder)
    db.session.commit()
    return ladder


def make_run(ladder: Ladder, person: Person, step: LadderStep | None = None) -> LadderRun:
    """Somebody on a step of a ladder, as if they had come by what they did."""
    now = clock.now()
    step = step or queries.steps_of(ladder.id)[0]
    run = LadderRun(
        id=uuid7(),
        organization_id=ladder.organization_id,
        ladder_id=ladder.id,
        person_id=person.id,
        occasion=f"test:{uuid7().hex}",
        turn=1,
        entered_at=now,
        step_id=step.id,
        arrived_at=now,
        wakes_at=now,
    )
    ladder.entered_count += 1
    step.entered_count += 1
    db.session.add(run)
    db.session.flush()
    return run


def make_follow_up(person: Person, text: str = "Call them.", **given: Any) -> FollowUp:
    now = clock.now()
    row = FollowUp(
        organization_id=person.organization_id,
        person_id=person.id,
        text=text,
        **{"due_at": now, "created_at": now, **given},
    )
    db.session.add(row)
    db.session.flush()
    return row


def beat() -> None:
    """One round of the clock."""
    db.session.commit()
    tasks.climb()
    db.session.expire_all()


def runs_in(ladder: Ladder) -> list[LadderRun]:
    """Everybody who entered, in their order."""
    return sorted(ladder_runs(ladder.id), key=lambda run: run.id)


def ladder_runs(ladder_id: uuid.UUID) -> list[LadderRun]:
    return list(db.session.query(LadderRun).filter_by(ladder_id=ladder_id))


def names_of_steps(ladder: Ladder) -> list[str]:
    return [step.kind for step in queries.steps_of(ladder.id)]
