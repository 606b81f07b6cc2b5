"""Changing many people, a few thousand in each transaction: what the task and the page share.

Whom a change means is written down first, all at one moment, so that a filter that the change itself
moves ("has no tag", then a tag) can neither miss nor repeat anybody. Then piece after piece: the
piece notes in whom it made a difference, in the transaction that makes it. Nothing here commits;
`work` yields after each piece and whoever runs it commits.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update

from campaign import clock
from campaign.db import Ids, db, insert, joining_sets
from campaign.lists import services as lists
from campaign.lists.models import List
from campaign.people import services as people
from campaign.people.models import Person, Tag
from campaign.table import queries, rules
from campaign.table.models import Act, ChangePiece, ChangeState, ManyChange

LEASE = timedelta(minutes=5)
PIECE = 5000
KEPT = timedelta(hours=25)
FORGOTTEN = timedelta(days=30)


def freeze(change: ManyChange, found: Select[Any]) -> None:
    """Write down whom a select of Person finds now."""
    ids = found.with_only_columns(Person.id).order_by(None).order_by(Person.id)
    ids = ids.where(Person.created_at <= change.created_at)
    with joining_sets():
        rows = db.session.scalars(ids.execution_options(yield_per=PIECE))
        pieces = [Ids.of(some) for some in rows.partitions()]
    for number, some in enumerate(pieces):
        db.session.execute(
            insert(ChangePiece).values(
                change_id=change.id, number=number, people=some, is_undone=False
            )
        )
    change.people_count = sum(map(len, pieces))
    change.frozen_at = clock.now()
    change.asked = {}  # it may hold a name or an address, and has done its work
    db.session.flush()


def claim(change_id: uuid.UUID) -> bool:
    """Take a change to work at; False when it is over or another run has it."""
    now = clock.now()
    taken = db.session.execute(
        update(ManyChange)
        .where(
            ManyChange.id == change_id,
            ManyChange.state.in_((ChangeState.QUEUED, ChangeState.RUNNING, ChangeState.UNDOING)),
            or_(ManyChange.lease_until.is_(None), ManyChange.lease_until < now),
        )
        .values(lease_until=now + LEASE)
        .returning(ManyChange.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    db.session.expire_all()
    return taken is not None


def work(change_id: uuid.UUID) -> Iterator[int]:
    """Do what is still to be done, or take back what is still to be taken back; yields how many
    people so far."""
    change = db.session.get_one(ManyChange, change_id)
    if change.frozen_at is None:
        asked = rules.read(rules.Stored(change.asked))
        meant = queries.meaning(change.organization_id, asked, with_sensitive=True)
        freeze(change, queries.found(change.organization_id, meant))
        yield 0
    is_undoing = change.state == ChangeState.UNDOING
    if not is_undoing:
        change.state = ChangeState.RUNNING
    while (piece := _next_piece(change_id, is_undoing=is_undoing)) is not None:
        change = db.session.get_one(ManyChange, change_id, populate_existing=True)
        if is_undoing:
            _do(_BACK[Act(change.act)], change, list(piece.changed or ()))
            piece.is_undone = True
        else:
            changed = _do(Act(change.act), change, list(piece.people))
            piece.changed = Ids.of(sorted(changed))
            change.changed_count += len(changed)
        change.done_count += len(piece.people)
        change.lease_until = clock.now() + LEASE
        db.session.flush()
        yield change.done_count
    change = db.session.get_one(ManyChange, change_id)
    change.state = ChangeState.UNDONE if is_undoing else ChangeState.DONE
    change.finished_at, change.lease_until = clock.now(), None
    db.session.flush()
    yield change.done_count


def _next_piece(change_id: uuid.UUID, *, is_undoing: bool) -> ChangePiece | None:
    """The next piece, locked: a run that was thought dead finds it done when it has waited."""
    waits = ChangePiece.is_undone.is_(False) if is_undoing else ChangePiece.changed.is_(None)
    return db.session.scalar(
        select(ChangePiece)
        .where(ChangePiece.change_id == change_id, waits)
        .order_by(ChangePiece.number)
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


_BACK = {
    Act.TAG: Act.UNTAG,
    Act.UNTAG: Act.TAG,
    Act.ENLIST: Act.UNLIST,
    Act.UNLIST: Act.ENLIST,
}


def _do(act: Act, change: ManyChange, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Do it to these people; returns in whom it made a difference."""
    if act in (Act.TAG, Act.UNTAG):
        tag = db.session.get_one(Tag, change.target_id)
        return (people.add_tag_to if act is Act.TAG else people.remove_tag_from)(tag, ids)
    list_ = db.session.get_one(List, change.target_id)
    return (lists.add_to_list if act is Act.ENLIST else lists.remove_from_list)(list_, ids)


def give_up(change_id: uuid.UUID) -> None:
    """What was asked cannot be asked any more: nobody was changed."""
    change = db.session.get_one(ManyChange, change_id)
    change.state, change.lease_until, change.asked = ChangeState.DONE, None, {}
    change.finished_at = clock.now()
    db.session.flush()


def sweep() -> None:
    """Forget the way back of what was done more than a day ago, and after a month all of it."""
    now = clock.now()
    over = select(ManyChange.id).where(
        ManyChange.finished_at < now - KEPT,
        ManyChange.state.in_((ChangeState.DONE, ChangeState.UNDONE)),
    )
    db.session.execute(
        delete(ChangePiece)
        .where(ChangePiece.change_id.in_(over))
        .execution_options(synchronize_session=False)
    )
    db.session.execute(
        delete(ManyChange)
        .where(func.coalesce(ManyChange.finished_at, now) < now - FORGOTTEN)
        .execution_options(synchronize_session=False)
    )
