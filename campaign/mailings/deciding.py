"""What happens to a mailing while it is out: variants are stopped, one wins, people are told.

Each function takes the message's row first and asks again what it was called for, so that two
workers, or a beat that runs thrice, do it once. Nothing here commits.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy.orm.attributes import flag_modified

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.mail import queries as mail_queries
from campaign.mail import services as mail
from campaign.mail.models import Batch
from campaign.mailings import contests, delivery, emails, queries, rules, standing
from campaign.mailings.models import (
    Contest,
    ContestState,
    Message,
    MessageState,
    Variant,
    VariantState,
    Verdict,
)
from campaign.mailings.standing import Figures
from campaign.organizations import queries as organization_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization

COMPLAINTS = "complaints"
RETURNS = "returns"


def tend(message_id: uuid.UUID) -> bool:
    """Look after a message on its way; True when it was just decided, so that the rest can go."""
    message = delivery.take(message_id)
    if message is None or message.state not in {MessageState.SENDING, MessageState.PAUSED}:
        return False
    contest = message.contest
    is_decided = False
    if contest is not None and contest.is_testing:
        for variant in contest.running:
            stop_if_bad(message, variant)
        is_decided = decide_if_due(message, contest)
    _tell_how_it_goes(message)
    return is_decided


# --- a variant that harms ------------------------------------------------------------------------


def stop_if_bad(message: Message, variant: Variant) -> bool:
    """Stop a variant that too many call spam, or of which too much comes back. The others go on;
    it cannot win, and those of its group who have not got it get the winner."""
    if variant.batch_id is None:
        return False
    counts = mail_queries.batch_counts(variant.batch_id)
    if contests.harm(counts) <= variant.forgiven:
        return False  # somebody let it go on, and it has done no more since
    share = mail_queries.complaint_rates(variant.batch_id).get(variant.batch_id, 0.0)
    if share > mail_queries.COMPLAINT_PAUSE:
        reason = COMPLAINTS
    elif contests.has_too_many_returns(counts):
        reason = RETURNS
    else:
        return False
    variant.move(VariantState.STOPPED)
    variant.stopped_for, variant.stopped_at = reason, clock.now()
    mail.pause(db.session.get_one(Batch, variant.batch_id, with_for_update=True), reason)
    organizations.record(
        "mailing.variant_stopped",
        organization_id=message.organization_id,
        subject_kind="message",
        subject_id=message.id,
        details={"variant": variant.name, "reason": reason},
    )
    tell(message, f"stopped {variant.letter}", "variant_stopped", variant=variant.name)
    return True


# --- who won -------------------------------------------------------------------------------------


def decide_if_due(message: Message, contest: Contest) -> bool:
    """Decide when its time has come; ask somebody to, where they want to do it themselves. It
    waits for a message that is paused, and for letters of the test that have not left."""
    if message.state != MessageState.SENDING or not contest.running:
        return False
    if contest.decide_at is None or contest.decide_at > clock.now():
        return False
    if not standing.is_all_tried(contest):
        return False
    if not contest.is_automatic:
        tell(message, "choose", "choose")
        return False
    found = standing.figures(message)
    judged = standing.judgement(contest, found)
    winner = contest.variant(judged.letter) if judged is not None else None
    if judged is None or winner is None:
        return False
    decide(message, contest, winner, judged.verdict, found)
    tell(message, "decided", "decided", variant=winner.name, verdict=judged.verdict.value)
    return True


def decide(
    message: Message,
    contest: Contest,
    winner: Variant,
    verdict: Verdict,
    found: Sequence[Figures],
    *,
    user_id: uuid.UUID | None = None,
) -> None:
    """testing → decided: the rest gets the winner, not at night. Whoever of a stopped variant's
    group has not got it is one of the rest now."""
    contest.move(ContestState.DECIDED)
    contest.winner_id, contest.verdict = winner.id, verdict
    contest.numbers = {one.letter: one.dump() for one in found}
    contest.decided_at = now = clock.now()
    for variant in contest.variants:
        if variant.is_stopped and variant.batch_id is not None:
            mail.stop(
                db.session.get_one(Batch, variant.batch_id, with_for_update=True),
                reason=queries.MOVED,
            )
        elif not variant.is_stopped:
            variant.move(VariantState.WON if variant is winner else VariantState.LOST)
    organization = db.session.get_one(Organization, message.organization_id)
    contest.rest_at = rules.timetable(message, organization, now).due(0)
    organizations.record(
        "mailing.decided",
        organization_id=message.organization_id,
        user_id=user_id,
        subject_kind="message",
        subject_id=message.id,
        details={"variant": winner.name, "verdict": verdict.value},
    )


# --- telling the team ----------------------------------------------------------------------------


def _tell_how_it_goes(message: Message) -> None:
    """A pause that nobody of the team ordered, and complaints before they pause it."""
    progress = queries.progress(message)
    if progress.state == MessageState.PAUSED and progress.pause_reason != "organizer":
        tell(message, f"paused {progress.pause_reason}", f"paused {progress.pause_reason}")
    elif progress.has_complaints and not _has_stopped_for_complaints(message):
        tell(message, "complaints", "complaints")


def _has_stopped_for_complaints(message: Message) -> bool:
    """Whether they know already: a variant was stopped because of them."""
    variants = message.contest.variants if message.contest is not None else []
    return any(variant.stopped_for == COMPLAINTS for variant in variants)


def watch_complaints(message_id: uuid.UUID) -> None:
    """Complaints come for days after a mailing has gone out: say so once there are too many."""
    message = delivery.take(message_id)
    if message is not None and message.is_out and queries.progress(message).has_complaints:
        tell(message, "complaints", "complaints")


def tell(message: Message, key: str, what: str, **about: str) -> bool:
    """Write to whoever sent it, in their language, once for each `key` until somebody lets the
    message go on; False if they know already."""
    if key in message.told:
        return False
    message.told[key] = clock.now().isoformat()
    flag_modified(message, "told")
    organization = db.session.get_one(Organization, message.organization_id)
    emails.tell_of_trouble(what, message, organization, readers(message), **about)
    return True


def readers(message: Message) -> list[User]:
    """Who sent it, while they may still send; else all of the team who may."""
    team = organization_queries.senders(message.organization_id)
    own = [user for user in team if user.id in {message.sent_by or message.author_id}]
    return own or list(team)
