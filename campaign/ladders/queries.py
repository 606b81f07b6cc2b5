"""Whose turn it is, where people stand, what a ladder lacks, and what a step was answered."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, not_, null, or_, select

from campaign.accounts.models import User
from campaign.checkin.models import SignIn
from campaign.db import db, joining_sets
from campaign.errors import Invalid, NotFound
from campaign.events.models import (
    COMING,
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
    Rsvp,
)
from campaign.ladders import rules
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
from campaign.lists import queries as lists
from campaign.lists.models import List, ListMember, Segment
from campaign.lists.taking_part import At, Did, took_part
from campaign.mail.models import Batch, Delivery, Scope, Suppression
from campaign.mail.queries import stops_bulk
from campaign.mailings.models import Audience
from campaign.mailings.queries import had_enough
from campaign.organizations.models import Organization, Permission
from campaign.organizations.queries import members
from campaign.people import queries as people
from campaign.people.models import Consent, Person, PersonTag, Purpose, Tag
from campaign.petitions.models import Petition, PetitionState, Signature, SignatureState
from campaign.places.models import District

KIND = "ladder"
"""The kind of a ladder's batches in the outbox; their key begins with the step."""
OVERLAP = timedelta(minutes=15)
"""How far a round looks back behind the last one: a row may be committed after a later one."""
MISSED_AFTER = timedelta(hours=24)
"""So long after its end a date is waited for, so that the sheets of paper are typed in."""
REST = timedelta(hours=24)
"""So long after somebody entered nothing brings them in again: two ladders cannot chase each
other through a list."""
INSIDE_SHOWN = 50
EVENT_TRIGGERS = (Trigger.COMING, Trigger.ATTENDED, Trigger.MISSED)


# --- ladders -------------------------------------------------------------------------------------


def find_ladder(
    organization_id: uuid.UUID,
    ladder_id: uuid.UUID,
    *,
    lock: bool = False,
    is_deleted: bool = False,
) -> Ladder:
    """A ladder of this organization (or one that was deleted). Raises NotFound."""
    statement = select(Ladder).where(
        Ladder.id == ladder_id,
        Ladder.organization_id == organization_id,
        Ladder.deleted_at.is_not(None) if is_deleted else Ladder.deleted_at.is_(None),
    )
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    found = db.session.scalar(statement)
    if found is None:
        raise NotFound
    return found


def ladders_of(organization_id: uuid.UUID) -> list[Ladder]:
    """All ladders, those that are on first, then the newest."""
    rows = db.session.scalars(
        select(Ladder)
        .where(Ladder.organization_id == organization_id, Ladder.deleted_at.is_(None))
        .order_by(Ladder.id.desc())
    )
    order = (LadderState.ON, LadderState.PAUSED, LadderState.DRAFT, LadderState.OFF)
    return sorted(rows, key=lambda row: order.index(LadderState(row.state)))


def steps_of(ladder_id: uuid.UUID) -> list[LadderStep]:
    """The steps in their order."""
    return list(
        db.session.scalars(
            select(LadderStep)
            .where(LadderStep.ladder_id == ladder_id, LadderStep.deleted_at.is_(None))
            .order_by(LadderStep.position, LadderStep.id)
        )
    )


def find_step(ladder: Ladder, step_id: uuid.UUID, *, is_deleted: bool = False) -> LadderStep:
    """A step of this ladder (or one that was deleted). Raises NotFound."""
    step = db.session.get(LadderStep, step_id)
    if step is None or step.ladder_id != ladder.id or (step.deleted_at is not None) != is_deleted:
        raise NotFound
    return step


def details_of(step: LadderStep) -> rules.Details:
    return rules.read(step.kind, step.details)


# --- what there is to do -------------------------------------------------------------------------


def ladders_at_work(now: datetime) -> list[uuid.UUID]:
    """The ladders that look for people, or have somebody whose wait is over."""
    due = exists().where(
        LadderRun.ladder_id == Ladder.id,
        LadderRun.state == RunState.RUNNING,
        LadderRun.wakes_at <= now,
    )
    return list(
        db.session.scalars(
            select(Ladder.id)
            .where(
                Ladder.deleted_at.is_(None),
                or_(Ladder.state == LadderState.ON, and_(Ladder.state == LadderState.OFF, due)),
            )
            .order_by(Ladder.id)
        )
    )


def due_runs(ladder_id: uuid.UUID, now: datetime, limit: int) -> list[LadderRun]:
    """Those of a ladder whose wait is over, the longest waiting first. The ladder is held."""
    return list(
        db.session.scalars(
            select(LadderRun)
            .where(
                LadderRun.ladder_id == ladder_id,
                LadderRun.state == RunState.RUNNING,
                LadderRun.wakes_at <= now,
            )
            .order_by(LadderRun.wakes_at, LadderRun.id)
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    )


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who did what the ladder waits for: when, by which row, at which date."""

    person_id: uuid.UUID
    occasion: str
    at: datetime
    occurrence_id: uuid.UUID | None = None


def newcomers(ladder: Ladder, now: datetime, limit: int) -> list[Newcomer]:
    """The next people who enter, in the order of what they did; fewer than `limit` is all.

    What was done before the ladder was switched on does not count. Whoever has been through, or
    is inside, is not among them, so that a round that is asked again goes on where it was.
    """
    if ladder.on_at is None:
        return []
    since = max(ladder.on_at, (ladder.looked_until or ladder.on_at) - OVERLAP)
    person, at, key, occurrence, where = _TRIGGERS[Trigger(ladder.trigger)](ladder, since, now)
    statement = (
        select(person.label("person_id"), at.label("at"), key.label("key"), occurrence)
        .join(Person, Person.id == person)
        .where(
            Person.organization_id == ladder.organization_id,
            Person.erased_at.is_(None),
            *where,
            not_(_has_been(ladder, at, now)),
        )
        .order_by(at, person)
        .limit(limit)
    )
    return [
        Newcomer(row[0], f"{ladder.trigger}:{row[2].hex}:{row[1].isoformat()}", row[1], row[3])
        for row in db.session.execute(statement)
    ]


def _has_been(ladder: Ladder, at: Any, now: datetime) -> ColumnElement[bool]:
    """Whether somebody was here before: ever, or where they may come again, inside or just now."""
    been = [LadderRun.ladder_id == ladder.id, LadderRun.person_id == Person.id]
    if ladder.may_repeat:
        been.append(
            or_(
                LadderRun.state == RunState.RUNNING,
                LadderRun.entered_at >= at,
                LadderRun.ended_at >= at,
                LadderRun.entered_at > now - REST,
            )
        )
    return exists().where(*been)


_Source = tuple[Any, Any, Any, Any, list[ColumnElement[bool]]]
"""Columns of the person, the moment, the row and the date, and the conditions."""


def _signed(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    where = [
        Signature.organization_id == ladder.organization_id,
        Signature.state == SignatureState.CONFIRMED,
        Signature.confirmed_at > since,
        Signature.confirmed_at <= now,
    ]
    if ladder.trigger_id is not None:
        where.append(Signature.petition_id == ladder.trigger_id)
    else:
        mine = select(Petition.id).where(Petition.organization_id == ladder.organization_id)
        where.append(Signature.petition_id.in_(mine))
    return Signature.person_id, Signature.confirmed_at, Signature.id, null(), where


def _coming(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    """When they said so, or when a freed place came to them.

    An answer has no time of its last change but `updated_at`, which any change moves. So "no" that
    became "yes" is seen where the answer was first given while the ladder was on, and where people
    enter once.
    """
    at: Any = func.coalesce(Rsvp.offered_at, Rsvp.settled_at)
    if not ladder.may_repeat:
        is_new = and_(Rsvp.settled_at.is_not(None), Rsvp.created_at > ladder.on_at)
        at = case((is_new, Rsvp.updated_at), else_=at)
    where = [
        Rsvp.organization_id == ladder.organization_id,
        Rsvp.state.in_(COMING),
        *_at_event(ladder, Rsvp.event_id),
        at > since,
        at <= now,
    ]
    return Rsvp.person_id, at, Rsvp.id, Rsvp.occurrence_id, where


def _attended(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    where = [
        SignIn.organization_id == ladder.organization_id,
        SignIn.undone_at.is_(None),
        *_at_event(ladder, SignIn.event_id),
        SignIn.settled_at > since,
        SignIn.settled_at <= now,
    ]
    return SignIn.person_id, SignIn.settled_at, SignIn.id, SignIn.occurrence_id, where


def _missed(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    """Missed as a segment means it, a while after the end."""
    there = At(event_id=ladder.trigger_id)
    _person, missed = took_part(Did.MISSED, there, ladder.organization_id, now - MISSED_AFTER)
    where = [
        *missed,
        Occurrence.ends_at > since - MISSED_AFTER,
        Occurrence.ends_at > ladder.on_at,
    ]
    return Rsvp.person_id, Occurrence.ends_at, Rsvp.id, Rsvp.occurrence_id, where


def _tagged(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    where = [
        PersonTag.tag_id == ladder.trigger_id,
        PersonTag.created_at > since,
        PersonTag.created_at <= now,
    ]
    return PersonTag.person_id, PersonTag.created_at, PersonTag.person_id, null(), where


def _listed(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    where = [
        ListMember.list_id == ladder.trigger_id,
        ListMember.created_at > since,
        ListMember.created_at <= now,
    ]
    return ListMember.person_id, ListMember.created_at, ListMember.person_id, null(), where


def _consented(ladder: Ladder, since: datetime, now: datetime) -> _Source:
    """The ledger's keys sort by time: the newest lines are read, not a million older ones."""
    where = [
        Consent.id >= _first_key(since - OVERLAP),
        Consent.grantee_id == ladder.organization_id,
        Consent.organization_id == ladder.organization_id,
        Consent.purpose == Purpose.EMAIL,
        Consent.is_granted.is_(True),
        Consent.at > since,
        Consent.at <= now,
    ]
    return Consent.person_id, Consent.at, Consent.id, null(), where


def _at_event(ladder: Ladder, column: Any) -> list[ColumnElement[bool]]:
    if ladder.trigger_id is not None:
        return [column == ladder.trigger_id]
    mine = select(Event.id).where(Event.organization_id == ladder.organization_id)
    return [column.in_(mine)]


def _first_key(at: datetime) -> uuid.UUID:
    """The least key of version 7 made at this moment or later."""
    milliseconds = max(int(at.timestamp() * 1000), 0)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x8 << 60))


_TRIGGERS = {
    Trigger.SIGNED: _signed,
    Trigger.COMING: _coming,
    Trigger.ATTENDED: _attended,
    Trigger.MISSED: _missed,
    Trigger.TAGGED: _tagged,
    Trigger.LISTED: _listed,
    Trigger.CONSENTED: _consented,
}


# --- what a step asks of the slices below ---------------------------------------------------------


def turns_of(ladder_id: uuid.UUID, person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How often each of these people has been in the ladder."""
    rows = db.session.execute(
        select(LadderRun.person_id, func.max(LadderRun.turn))
        .where(LadderRun.ladder_id == ladder_id, LadderRun.person_id.in_(person_ids))
        .group_by(LadderRun.person_id)
    )
    return {person_id: int(turn) for person_id, turn in rows}


def found_among(segment: Segment, person_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these people whom a segment finds now. Raises Invalid when it cannot be asked."""
    found = lists.people_in_segment(segment).where(Person.id.in_(person_ids))
    with joining_sets():
        return set(db.session.scalars(found))


def date_waited_for(
    event_id: uuid.UUID | None, run: LadderRun, organization_id: uuid.UUID
) -> Occurrence | None:
    """The date that a run waits for: of the event that brought it in, or the event's next one
    seen from where the wait began (else its last one). None where it does not take place."""
    dates = (
        select(Occurrence)
        .join(Event, Event.id == Occurrence.event_id)
        .where(
            Event.organization_id == organization_id,
            Event.state == EventState.PUBLISHED,
            Occurrence.state == OccurrenceState.SCHEDULED,
        )
    )
    if event_id is None:
        return db.session.scalar(dates.where(Occurrence.id == run.occurrence_id))
    mine = dates.where(Occurrence.event_id == event_id)
    ahead = mine.where(Occurrence.starts_at >= run.arrived_at).order_by(Occurrence.starts_at)
    return db.session.scalar(ahead.limit(1)) or db.session.scalar(
        mine.order_by(Occurrence.starts_at.desc()).limit(1)
    )


def still_coming(runs: Sequence[LadderRun]) -> set[tuple[uuid.UUID | None, uuid.UUID]]:
    """(person, date) of those of these runs who say they come, or may come, to their date."""
    rows = db.session.execute(
        select(Rsvp.person_id, Rsvp.occurrence_id).where(
            Rsvp.person_id.in_([run.person_id for run in runs]),
            Rsvp.occurrence_id.in_({run.occurrence_id for run in runs}),
            Rsvp.state.in_(COMING),
        )
    )
    return {(row[0], row[1]) for row in rows}


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody an e-mail is for, or `reason` why not."""

    person_id: uuid.UUID
    address: str
    address_hash: str
    language: str
    values: dict[str, str]
    reason: str = ""


def readers(
    organization_id: uuid.UUID, person_ids: Sequence[uuid.UUID], fields: Iterable[str]
) -> dict[uuid.UUID, Reader]:
    """Each of these people as they would be written to; reasons as a mailing's report says them.

    `fields` are the merge fields that the text uses: no more of a person is copied.
    """
    wanted = set(fields)
    rows = db.session.execute(
        select(Person, District.name)
        .outerjoin(District, District.id == Person.district_id)
        .where(Person.organization_id == organization_id, Person.id.in_(person_ids))
    ).all()
    agreed = set(
        db.session.scalars(
            select(Person.id).where(Person.id.in_(person_ids), people.live_consent(organization_id))
        )
    )
    hashes = [person.address_hash for person, _ward in rows if person.address_hash]
    stopped = _stopped(organization_id, hashes)
    found = {}
    for person, ward in rows:
        values = {
            "first_name": person.first_name,
            "last_name": person.last_name,
            "postal_code": person.postal_code,
            "ward": ward or "",
        }
        if person.erased_at is not None:
            reason = "erased"
        elif not person.email or not person.address_hash:
            reason = "no_address"
        elif person.id not in agreed:
            reason = "no_consent"
        else:
            reason = stopped.get(person.address_hash, "")
        found[person.id] = Reader(
            person_id=person.id,
            address=person.email or "",
            address_hash=person.address_hash or "",
            language=person.language,
            values={name: value for name, value in values.items() if name in wanted},
            reason=reason,
        )
    return found


_STOPS = {
    Scope.ADDRESS: "bounced",
    Scope.EVERYTHING: "unsubscribed_everything",
    Scope.ORGANIZATION: "unsubscribed",
}


def _stopped(organization_id: uuid.UUID, hashes: Sequence[str]) -> dict[str, str]:
    """Why these addresses take no bulk mail of the organization; those that do are not in it."""
    rows = db.session.execute(
        select(Suppression.address_hash, Suppression.scope).where(
            Suppression.address_hash.in_(hashes), stops_bulk(organization_id)
        )
    )
    order = list(_STOPS)
    strongest: dict[str, int] = {}
    for hashed, scope in rows:
        place = order.index(Scope(scope))
        strongest[hashed] = min(place, strongest.get(hashed, place))
    reasons = dict.fromkeys(_enough(hashes), "enough")
    return reasons | {hashed: _STOPS[order[place]] for hashed, place in strongest.items()}


def _enough(hashes: Sequence[str]) -> Sequence[str]:
    """Those of these addresses that got enough mass e-mail this week."""
    enough = had_enough(Audience())
    if enough is None:
        return []
    mine = select(Person.address_hash).where(
        Person.address_hash.in_(hashes), Person.address_hash.in_(enough)
    )
    return [hashed for hashed in db.session.scalars(mine) if hashed is not None]


def written_already(step_id: uuid.UUID, runs: Sequence[LadderRun]) -> set[uuid.UUID]:
    """Those runs whose e-mail of this step is in the outbox: a step that was moved
    behind them is met a second time, and written once."""
    return set(
        db.session.scalars(
            select(Delivery.unique_key)
            .join(Batch, Batch.id == Delivery.batch_id)
            .where(
                Delivery.person_id.in_([run.person_id for run in runs]),
                Delivery.unique_key.in_([run.id for run in runs]),
                Batch.kind == KIND,
                Batch.key.startswith(f"{step_id.hex}:"),
            )
        )
    )


# --- what the pages show --------------------------------------------------------------------------


def inside_of(ladder_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many people are inside each of these ladders."""
    rows = db.session.execute(
        select(LadderRun.ladder_id, func.count())
        .where(LadderRun.ladder_id.in_(ladder_ids), LadderRun.state == RunState.RUNNING)
        .group_by(LadderRun.ladder_id)
    )
    return {ladder_id: int(count) for ladder_id, count in rows}


def standing_at(ladder_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """How many people stand at each step."""
    rows = db.session.execute(
        select(LadderRun.step_id, func.count())
        .where(LadderRun.ladder_id == ladder_id, LadderRun.state == RunState.RUNNING)
        .group_by(LadderRun.step_id)
    )
    return {step_id: int(count) for step_id, count in rows if step_id is not None}


def people_inside(
    ladder: Ladder, text: str = "", limit: int = INSIDE_SHOWN
) -> list[tuple[LadderRun, Person]]:
    """Those inside with the person, the latest first; only those whom `text` finds, if any."""
    statement = (
        select(LadderRun, Person)
        .join(Person, Person.id == LadderRun.person_id)
        .where(LadderRun.ladder_id == ladder.id, LadderRun.state == RunState.RUNNING)
        .order_by(LadderRun.id.desc())
        .limit(limit)
    )
    if text.strip():
        found = people.search_people(ladder.organization_id, text).with_only_columns(Person.id)
        statement = statement.where(Person.id.in_(found.order_by(None)))
    return [(run, person) for run, person in db.session.execute(statement)]


def find_run(ladder: Ladder, run_id: uuid.UUID) -> LadderRun:
    """A run of this ladder. Raises NotFound."""
    run = db.session.get(LadderRun, run_id, populate_existing=True)
    if run is None or run.ladder_id != ladder.id:
        raise NotFound
    return run


def runs_of(person_id: uuid.UUID) -> list[tuple[LadderRun, Ladder]]:
    """The ladders a person is in or went through, the latest first."""
    rows = db.session.execute(
        select(LadderRun, Ladder)
        .join(Ladder, Ladder.id == LadderRun.ladder_id)
        .where(LadderRun.person_id == person_id)
        .order_by(LadderRun.id.desc())
    )
    return [(run, ladder) for run, ladder in rows]


def follow_ups_of(person_id: uuid.UUID, *, is_open: bool = False) -> list[FollowUp]:
    """What an organizer is asked to do about a person, the latest first."""
    mine = select(FollowUp).where(FollowUp.person_id == person_id)
    if is_open:
        mine = mine.where(FollowUp.done_at.is_(None))
    return list(db.session.scalars(mine.order_by(FollowUp.id.desc())))


def helpers_of(organization_id: uuid.UUID) -> list[User]:
    """Who of the team may change people, and so can be asked to follow up."""
    return [
        one.user for one in members(organization_id) if Permission.PEOPLE_EDIT in one.permissions
    ]


def open_follow_ups(
    organization_id: uuid.UUID,
    now: datetime,
    limit: int = 100,
    *,
    is_due: bool = True,
    user_id: uuid.UUID | None = None,
) -> list[tuple[FollowUp, Person]]:
    """What is due and not done, or not due yet, the oldest first; of all, or of one and anybody."""
    rows = db.session.execute(
        select(FollowUp, Person)
        .join(Person, Person.id == FollowUp.person_id)
        .where(*_open(organization_id, now, is_due=is_due, user_id=user_id))
        .order_by(FollowUp.due_at, FollowUp.id)
        .limit(limit)
    )
    return [(follow_up, person) for follow_up, person in rows]


def count_open_follow_ups(
    organization_id: uuid.UUID, now: datetime, *, user_id: uuid.UUID | None = None
) -> int:
    """How much is due and not done; of all, or of one and anybody."""
    mine = _open(organization_id, now, is_due=True, user_id=user_id)
    return int(db.session.scalar(select(func.count()).where(*mine)) or 0)


def _open(
    organization_id: uuid.UUID, now: datetime, *, is_due: bool, user_id: uuid.UUID | None
) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = [
        FollowUp.organization_id == organization_id,
        FollowUp.done_at.is_(None),
        FollowUp.due_at <= now if is_due else FollowUp.due_at > now,
    ]
    if user_id is not None:
        clauses.append(or_(FollowUp.assignee_id == user_id, FollowUp.assignee_id.is_(None)))
    return clauses


def find_follow_up(organization_id: uuid.UUID, follow_up_id: uuid.UUID) -> FollowUp:
    """A follow-up of this organization. Raises NotFound."""
    found = db.session.scalar(
        select(FollowUp)
        .where(FollowUp.organization_id == organization_id, FollowUp.id == follow_up_id)
        .with_for_update()
    )
    if found is None:
        raise NotFound
    return found


# --- names, and what is wrong ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Things:
    """What triggers and steps can name: id → name, of what is there and can be chosen."""

    petitions: dict[uuid.UUID, str]
    events: dict[uuid.UUID, str]
    tags: dict[uuid.UUID, str]
    lists: dict[uuid.UUID, str]
    segments: dict[uuid.UUID, str]


def things_of(organization_id: uuid.UUID, language: str) -> Things:
    """All that an organization's ladders can name."""
    petitions = db.session.scalars(
        select(Petition)
        .where(Petition.organization_id == organization_id)
        .order_by(Petition.id.desc())
        .limit(200)
    )
    return Things(
        petitions={
            row.id: row.title.get_for(language)
            for row in petitions
            if row.state != PetitionState.CLOSED
        },
        events={
            row.id: row.title.get_for(language)
            for row in lists.events_to_ask_about(organization_id)
            if row.state == EventState.PUBLISHED
        },
        tags={row.id: row.name for row in people.tags_in(organization_id)},
        lists={row.id: row.name for row in lists.lists_of(organization_id)},
        segments={row.id: row.name for row in lists.segments_of(organization_id)},
    )


def trigger_problem(ladder: Ladder, things: Things) -> str:
    """The code of what is wrong with how people enter, "" where nothing is."""
    known = {
        Trigger.SIGNED: things.petitions,
        Trigger.TAGGED: things.tags,
        Trigger.LISTED: things.lists,
    }.get(Trigger(ladder.trigger), things.events)
    if ladder.trigger == Trigger.CONSENTED:
        return ""
    if ladder.trigger_id is None:
        return "no_thing" if ladder.trigger in {Trigger.TAGGED, Trigger.LISTED} else ""
    return "" if ladder.trigger_id in known else "thing_gone"


def step_problem(
    step: LadderStep, ladder: Ladder, things: Things, organization: Organization
) -> str:
    """The code of what keeps a step from working, "" where nothing does."""
    details = details_of(step)
    if step.kind == StepKind.SEND:
        return "" if organization.postal_address.strip() else "no_postal_address"
    if step.kind == StepKind.IF:
        return "" if details.segment_id in things.segments else "segment_gone"
    if step.kind == StepKind.TAG:
        return "" if details.tag_id in things.tags else "tag_gone"
    if step.kind in {StepKind.LIST_ADD, StepKind.LIST_REMOVE}:
        return "" if details.list_id in things.lists else "list_gone"
    if step.kind == StepKind.WAIT_EVENT:
        if details.event_id is None:
            return "" if ladder.trigger in EVENT_TRIGGERS else "no_event"
        return "" if details.event_id in things.events else "event_gone"
    return ""


def problems_of(
    ladder: Ladder, things: Things | None = None
) -> list[tuple[LadderStep | None, str]]:
    """What keeps a ladder from working: the step, or None for the whole, and a code."""
    organization = db.session.get_one(Organization, ladder.organization_id)
    things = things or things_of(ladder.organization_id, "en")
    found: list[tuple[LadderStep | None, str]] = []
    if code := trigger_problem(ladder, things):
        found.append((None, code))
    steps = steps_of(ladder.id)
    if not steps:
        found.append((None, "no_steps"))
    codes = ((step, step_problem(step, ladder, things, organization)) for step in steps)
    return [*found, *((step, code) for step, code in codes if code)]


def stuck_ladders(organization_id: uuid.UUID) -> list[tuple[Ladder, bool]]:
    """The ladders at work that something keeps from working, and whether that is a step."""
    at_work = [
        ladder
        for ladder in ladders_of(organization_id)
        if ladder.is_on or (ladder.is_moving and inside_of([ladder.id]))
    ]
    if not at_work:
        return []
    things = things_of(organization_id, "en")
    found = [(ladder, problems_of(ladder, things)) for ladder in at_work]
    return [(ladder, any(step for step, _code in wrong)) for ladder, wrong in found if wrong]


def find_working_tag(organization_id: uuid.UUID, tag_id: uuid.UUID | None) -> Tag | None:
    """The tag of a step, None where it is gone."""
    try:
        return people.find_tag(organization_id, tag_id) if tag_id else None
    except NotFound:
        return None


def find_working_list(organization_id: uuid.UUID, list_id: uuid.UUID | None) -> List | None:
    """The list of a step, None where it is gone."""
    try:
        return lists.find_list(organization_id, list_id) if list_id else None
    except NotFound:
        return None


def found_by_segment(
    organization_id: uuid.UUID, segment_id: uuid.UUID | None, person_ids: Sequence[uuid.UUID]
) -> set[uuid.UUID] | None:
    """Those of these people whom a step's segment finds, None where it is gone or broken."""
    try:
        segment = lists.find_segment(organization_id, segment_id) if segment_id else None
        return found_among(segment, person_ids) if segment is not None else None
    except (NotFound, Invalid):
        return None
