"""Choosing columns; changing many people at once and taking it back. Nothing here commits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.errors import Gone
from campaign.lists.models import List
from campaign.organizations.services import record
from campaign.people.models import Tag
from campaign.table import delivery, queries, tasks
from campaign.table.columns import MOST_COLUMNS
from campaign.table.models import Act, ChangeState, ChosenColumns, ManyChange, Place
from campaign.table.rules import Asked
from campaign.worker import enqueue

AT_ONCE = 2000
"""So many people are changed while somebody waits for the page; more go to a worker."""
UNDO_LASTS = timedelta(hours=24)


def choose_columns(
    user_id: uuid.UUID, organization_id: uuid.UUID, place: Place, columns: Sequence[str]
) -> None:
    """Keep which columns somebody wants to see, in their order."""
    kept = list(dict.fromkeys(columns))[:MOST_COLUMNS]
    db.session.execute(
        insert(ChosenColumns)
        .values(user_id=user_id, organization_id=organization_id, place=place, columns=kept)
        .on_conflict_do_update(
            index_elements=["user_id", "organization_id", "place"], set_={"columns": kept}
        )
    )


def note_sensitive(
    organization_id: uuid.UUID, user_id: uuid.UUID, field_ids: Sequence[uuid.UUID], count: int
) -> None:
    """Audit that somebody looked at sensitive fields of many people: which, and of how many."""
    record(
        "people.sensitive",
        organization_id=organization_id,
        user_id=user_id,
        details={"fields": list(field_ids), "people": count},
    )


def change_many(
    act: Act,
    target: Tag | List,
    whom: Sequence[uuid.UUID] | tuple[Asked, Select[Any]],
    *,
    user_id: uuid.UUID,
) -> ManyChange:
    """Tag, untag, put on a list or take off: those named, or all whom filters find.

    Few are changed at once, many by a worker: `is_working` tells. Who comes in after this moment is
    not among them.
    """
    change = ManyChange(
        id=uuid7(),
        organization_id=target.organization_id,
        user_id=user_id,
        act=act.value,
        target_id=target.id,
        target_name=target.name,
        created_at=clock.now(),
    )
    db.session.add(change)
    db.session.flush()
    if isinstance(whom, tuple):
        asked, found = whom
        change.asked = asked.query()
        is_many = queries.has_more_than(found, AT_ONCE)
        if not is_many:
            delivery.freeze(change, found)
    else:
        is_many = False
        delivery.freeze(change, queries.named(target.organization_id, whom))
    if is_many:
        enqueue(tasks.work_change, change.id)
    else:
        for _done in delivery.work(change.id):
            db.session.flush()
    _note("people.changed", change, user_id)
    return change


def undo_change(change: ManyChange, *, user_id: uuid.UUID) -> None:
    """Take a change back in those it made a difference to. Raises Gone after a day."""
    if not can_be_undone(change):
        raise Gone(_l("This can no longer be undone."))
    change.state = ChangeState.UNDOING
    change.lease_until = None
    change.done_count = 0
    db.session.flush()
    if change.changed_count > AT_ONCE:
        enqueue(tasks.work_change, change.id)
    else:
        for _done in delivery.work(change.id):
            db.session.flush()
    _note("people.changed.undone", change, user_id)


def can_be_undone(change: ManyChange) -> bool:
    """Whether it is done and its day is not over."""
    return (
        change.state == ChangeState.DONE
        and change.changed_count > 0
        and change.finished_at is not None
        and clock.now() < change.finished_at + UNDO_LASTS
    )


def _note(action: str, change: ManyChange, user_id: uuid.UUID) -> None:
    record(
        action,
        organization_id=change.organization_id,
        user_id=user_id,
        subject_kind="many_change",
        subject_id=change.id,
        details={"act": change.act, "target": change.target_id, "changed": change.changed_count},
    )
