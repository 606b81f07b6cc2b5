"""Changing an A/B test: begin it, write its versions, plan it, take it back, choose by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import gettext as _

from campaign import clock
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.mailings import deciding, services, standing, tasks
from campaign.mailings.models import (
    FEWEST_VARIANTS,
    LETTERS,
    MOST_VARIANTS,
    Contest,
    Measure,
    Message,
    Unit,
    Variant,
    VariantState,
    Verdict,
)
from campaign.mailings.services import MessageDetails
from campaign.worker import enqueue

LONGEST_HOURS = 7 * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a test goes: how many test, what decides when, and whether by itself."""

    size: int
    unit: Unit
    measure: Measure
    hours: int
    is_automatic: bool


def begin_contest(message: Message) -> Contest:
    """Try two versions of a draft: A is the message as it is, B waits to be written. Begun
    already, nothing changes. Raises Conflict once it is scheduled."""
    _must_be_draft(message)
    if message.contest is None:
        message.contest = Contest(variants=[Variant(letter=letter) for letter in LETTERS[:2]])
        _touch(message)
        db.session.flush()
    return message.contest


def end_contest(message: Message) -> None:
    """Take the test back: everybody gets the message itself. Raises Conflict as above."""
    _must_be_draft(message)
    message.contest = None
    _touch(message)
    db.session.flush()


def add_variant(message: Message) -> Variant:
    """One version more. Raises Conflict as above, Invalid where there are six."""
    contest = _contest(message)
    if len(contest.variants) >= MOST_VARIANTS:
        raise Invalid(_("More than %(most)s versions tell nothing.", most=MOST_VARIANTS))
    variant = Variant(letter=LETTERS[len(contest.variants)])
    contest.variants.append(variant)
    _touch(message)
    db.session.flush()
    return variant


def remove_variant(message: Message, letter: str) -> None:
    """One version less; those behind it move up. Raises Conflict as above, Invalid where only two
    are left."""
    contest = _contest(message)
    gone = contest.variant(letter)
    if gone is None:
        return
    if len(contest.variants) <= FEWEST_VARIANTS:
        raise Invalid(_("A test needs two versions. You can take back the whole test."))
    contest.variants.remove(gone)
    db.session.flush()
    for place, variant in enumerate(contest.variants):
        variant.letter = LETTERS[place]
        db.session.flush()
    _touch(message)


def edit_contest(message: Message, plan: Plan, wordings: Mapping[str, MessageDetails]) -> None:
    """Plan the test and write its versions, by letter. Raises Conflict as above, Invalid for a
    merge field that nobody can fill in and for numbers that make no test."""
    contest = _contest(message)
    if plan.size < 1 or (plan.unit == Unit.PERCENT and plan.size > 100):
        raise Invalid(_("Write a number from 1 to 100."), field="size")
    if not 1 <= plan.hours <= LONGEST_HOURS:
        raise Invalid(_("Write a number from 1 to %(most)s.", most=LONGEST_HOURS), field="hours")
    for letter, said in wordings.items():
        try:
            services.check_fields(said)
            services.check_body(message.organization_id, said.body, message.format)
        except Invalid as error:
            raise Invalid(error.message, field=f"{letter}_{error.field}") from None
    contest.size, contest.unit = plan.size, plan.unit
    contest.measure, contest.hours = plan.measure, plan.hours
    contest.is_automatic = plan.is_automatic
    for variant in contest.variants:
        own = wordings.get(variant.letter)
        if own is not None:
            variant.own_subject, variant.own_preheader = own.subject, own.preheader
            variant.own_body, variant.own_from_name = own.body, own.from_name
    _touch(message)


def choose_winner(message: Message, letter: str, *, user_id: uuid.UUID) -> None:
    """Somebody of the team decides, before its time or because they wanted to. Raises Conflict
    where it is decided, and for a version that was stopped."""
    contest = message.contest
    winner = contest.variant(letter) if contest is not None else None
    if contest is None or winner is None or winner.state != VariantState.RUNNING:
        raise Conflict
    deciding.decide(
        message, contest, winner, Verdict.CHOSEN, standing.figures(message), user_id=user_id
    )
    enqueue(tasks.start_message, message.id)


def _contest(message: Message) -> Contest:
    _must_be_draft(message)
    if message.contest is None:
        raise Conflict
    return message.contest


def _must_be_draft(message: Message) -> None:
    if not message.is_draft or message.deleted_at is not None:
        raise Conflict(_("This message can no longer be changed."))


def _touch(message: Message) -> None:
    """The message was written anew: what was tested or agreed to was another."""
    message.updated_at = clock.now()
