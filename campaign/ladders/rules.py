"""What a step says, and until when it lets somebody wait.

Hours are hours; days, weekdays and times of day are read from a clock on the wall, so that
"two days later" and "Tuesday at ten" stay what they are when the clocks change. Nobody waits
backwards: the end of a wait is never before its beginning.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

from campaign import clock
from campaign.db import Words
from campaign.ladders.models import StepKind

MOST_HOURS = 720
MOST_DAYS = 365


class Unit(StrEnum):
    HOURS = "hours"
    DAYS = "days"


class Side(StrEnum):
    """Before or after the start of an event."""

    BEFORE = "before"
    AFTER = "after"


class Otherwise(StrEnum):
    """What becomes of whom a segment does not find."""

    STOP = "stop"
    SKIP = "skip"  # the next step


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """All that a step can say; each kind uses the fields that `FIELDS` names.

    `event_id` None is the event that brought somebody in. `amount` of a follow-up is in days.
    """

    amount: int = 0
    unit: Unit = Unit.DAYS
    weekday: int = 0  # Monday is 0
    hour: int = 10
    side: Side = Side.BEFORE
    event_id: uuid.UUID | None = None
    segment_id: uuid.UUID | None = None
    otherwise: Otherwise = Otherwise.STOP
    subject: Words = field(default_factory=Words)
    preheader: Words = field(default_factory=Words)
    body: Words = field(default_factory=Words)
    tag_id: uuid.UUID | None = None
    list_id: uuid.UUID | None = None
    text: str = ""


FIELDS: dict[StepKind, tuple[str, ...]] = {
    StepKind.WAIT: ("amount", "unit"),
    StepKind.WAIT_DAY: ("weekday", "hour"),
    StepKind.WAIT_EVENT: ("amount", "unit", "side", "event_id"),
    StepKind.IF: ("segment_id", "otherwise"),
    StepKind.SEND: ("subject", "preheader", "body"),
    StepKind.TAG: ("tag_id",),
    StepKind.LIST_ADD: ("list_id",),
    StepKind.LIST_REMOVE: ("list_id",),
    StepKind.FOLLOW_UP: ("text", "amount"),
    StepKind.STOP: (),
}
_READERS: dict[str, Any] = {
    "amount": int,
    "unit": Unit,
    "weekday": int,
    "hour": int,
    "side": Side,
    "event_id": uuid.UUID,
    "segment_id": uuid.UUID,
    "otherwise": Otherwise,
    "subject": Words,
    "preheader": Words,
    "body": Words,
    "tag_id": uuid.UUID,
    "list_id": uuid.UUID,
    "text": str,
}


def read(kind: str, data: Mapping[str, Any]) -> Details:
    """The details of a step's JSON."""
    values = {
        name: _READERS[name](data[name])
        for name in FIELDS[StepKind(kind)]
        if data.get(name) is not None
    }
    return Details(**values)


def dump(kind: str, details: Details) -> dict[str, Any]:
    """The JSON of what this kind of step says."""
    values = {name: getattr(details, name) for name in FIELDS[StepKind(kind)]}
    return {
        name: value.hex if isinstance(value, uuid.UUID) else value for name, value in values.items()
    }


def language_for(details: Details, wanted: str) -> str:
    """In which language somebody who wants `wanted` reads an e-mail: the first that is whole."""
    whole = [code for code in details.subject if details.subject[code] and details.body.has(code)]
    if wanted in whole or not whole:
        return wanted
    return "en" if "en" in whole else whole[0]


# --- waiting -------------------------------------------------------------------------------------


def after_while(arrived_at: datetime, amount: int, unit: str, zone_name: str) -> datetime:
    """`amount` hours or days later."""
    return max(_moved(arrived_at, amount, unit, zone_name), arrived_at)


def next_weekday(arrived_at: datetime, weekday: int, hour: int, zone_name: str) -> datetime:
    """The next time it is this day of the week and hour; now only if it is just that moment."""
    today = arrived_at.astimezone(clock.zone(zone_name)).date()
    days = (weekday - today.weekday()) % 7
    for ahead in (days, days + 7):
        at = clock.to_utc(datetime.combine(today + timedelta(days=ahead), time(hour)), zone_name)
        if at >= arrived_at:
            return at
    return at


def around(starts_at: datetime, amount: int, unit: str, side: str, zone_name: str) -> datetime:
    """So long before or after the start of an event; days by the clock where it takes place."""
    return _moved(starts_at, -amount if side == Side.BEFORE else amount, unit, zone_name)


def _moved(at: datetime, amount: int, unit: str, zone_name: str) -> datetime:
    if unit == Unit.HOURS:
        return at + timedelta(hours=amount)
    if not amount:
        return at
    wall = at.astimezone(clock.zone(zone_name)).replace(tzinfo=None)
    return clock.to_utc(wall + timedelta(days=amount), zone_name)
