"""The rules of bodies: templates to begin with, and the dates that offsets come to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from babel.dates import format_date, format_time
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.db import Words
from campaign.events.models import Need, Occurrence
from campaign.events.recurrence import offset_at
from campaign.hearings.models import HearingTask, Outcome, Testimony, Way

MOST_MINUTES = 60
MOST_SLOTS = 500
MOST_TASKS = 20
MOST_REMINDERS = 3
DRAFT_LIMIT = 30_000

WAY_NAMES: dict[str, Any] = {
    Way.IN_PERSON: _l("In person"),
    Way.REMOTE: _l("By phone or video"),
    Way.WRITTEN: _l("In writing"),
}
OUTCOME_NAMES: dict[str, Any] = {
    Outcome.NONE: _l("Not said yet"),
    Outcome.SPOKE: _l("Spoke"),
    Outcome.READ: _l("Was read out"),
    Outcome.HANDED_IN: _l("Handed in"),
    Outcome.ABSENT: _l("Was not there"),
}
ALOUD: Sequence[str] = (Way.IN_PERSON, Way.REMOTE)
"""Ways that take a slot; a written statement takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetails:
    """A rule of the body as something to do."""

    title: Words
    text: Words = field(default_factory=Words)
    opens: str = ""
    closes: str = ""
    reminders: tuple[str, ...] = ()
    ways: tuple[str, ...] = tuple(Way)


CHICAGO: tuple[TaskDetails, ...] = (
    TaskDetails(
        title=Words(en="Ask to speak by phone", es="Pida la palabra por teléfono"),
        text=Words(
            en="Call the number in the public notice and say that you want to speak. Give your "
            "name and a phone number where they can reach you.",
            es="Llame al número del aviso público y diga que quiere hablar. Dé su nombre y un "
            "teléfono donde puedan encontrarle.",
        ),
        opens="mon@00:01",
        closes="1d@08:00",
        reminders=("mon@00:01", "2d@18:00"),
        ways=(Way.IN_PERSON, Way.REMOTE),
    ),
    TaskDetails(
        title=Words(en="Keep your phone free", es="Tenga el teléfono libre"),
        text=Words(
            en="They call back once, from a number you may not know. Answer it: there is no second "
            "call.",
            es="Le llaman una sola vez, quizás de un número que no conoce. Conteste: no hay una "
            "segunda llamada.",
        ),
        opens="1d@10:00",
        closes="1d@14:00",
        reminders=("1d@09:00",),
        ways=(Way.IN_PERSON, Way.REMOTE),
    ),
    TaskDetails(
        title=Words(
            en="Hand in your written statement, two pages at most",
            es="Entregue su declaración escrita, de dos páginas como máximo",
        ),
        text=Words(
            en="Send it to the address in the public notice. You can download it here as a PDF.",
            es="Envíela a la dirección del aviso público. Aquí puede descargarla en PDF.",
        ),
        closes="0d@09:00",
        reminders=("1d@18:00",),
        ways=(Way.WRITTEN,),
    ),
)
TEMPLATES: dict[str, tuple[TaskDetails, ...]] = {"chicago": CHICAGO, "": ()}
"""Rules to begin with, by their name; each hearing's own are changed freely afterwards."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A task with its times for one date. `is_odd`: it would close before it opens."""

    task: HearingTask
    opens_at: datetime | None
    closes_at: datetime | None

    @property
    def is_odd(self) -> bool:
        return (
            self.opens_at is not None
            and self.closes_at is not None
            and self.closes_at <= self.opens_at
        )

    def is_over(self, now: datetime) -> bool:
        """Whether it is too late to do it. A task without an end can be done until the hearing."""
        return self.closes_at is not None and self.closes_at <= now and not self.is_odd


def due_at(offset: str, occurrence: Occurrence) -> datetime:
    """The instant of an offset before a date, by its own clock on the wall."""
    wall = datetime.fromisoformat(occurrence.starts_wall)
    return offset_at(offset, wall, occurrence.event.zone)


def dated(task: HearingTask, occurrence: Occurrence) -> Dated:
    """A task with its times for a date."""
    return Dated(
        task,
        due_at(task.opens, occurrence) if task.opens else None,
        due_at(task.closes, occurrence) if task.closes else None,
    )


def in_order(tasks: Sequence[HearingTask], occurrence: Occurrence) -> list[Dated]:
    """The tasks of a date by when they end; those without a time come last."""
    found = [dated(task, occurrence) for task in tasks]
    return sorted(
        found,
        key=lambda one: (one.closes_at or one.opens_at or occurrence.ends_at, one.task.position),
    )


def still_to_do_first(tasks: Sequence[Dated], now: datetime) -> list[Dated]:
    """What one can still do, then what is over, each as it was ordered."""
    return sorted(tasks, key=lambda one: one.is_over(now))


def due(one: Dated, zone: str) -> str:
    """When a task was due, as one says it: "Mon, Nov 30, 2:00 PM"; "" where it has no end."""
    return _moment(one.closes_at.astimezone(clock.zone(zone))) if one.closes_at is not None else ""


def window(one: Dated, zone: str) -> str:
    """When to do a task, as one says it: "Mon, Nov 30, 10:00 AM to 2:00 PM"."""
    place, locale = clock.zone(zone), get_locale() or "en"
    opens, closes = (
        at.astimezone(place) if at is not None else None for at in (one.opens_at, one.closes_at)
    )
    if opens is not None and closes is not None:
        if opens.date() == closes.date():
            times = (format_time(at, "short", locale=locale) for at in (opens, closes))
            return str(_("%(day)s, from %(first)s to %(last)s", day=_day(opens), **_named(*times)))
        return str(_("from %(first)s to %(last)s", **_named(_moment(opens), _moment(closes))))
    if closes is not None:
        return str(_("by %(moment)s", moment=_moment(closes)))
    if opens is not None:
        return str(_("from %(moment)s", moment=_moment(opens)))
    return ""


def _named(first: str, last: str) -> dict[str, str]:
    return {"first": first, "last": last}


def _day(at: datetime) -> str:
    locale = str(get_locale() or "en")
    return format_date(at, "EEE, MMM d" if locale == "en" else "EEE d MMM", locale=locale)


def _moment(at: datetime) -> str:
    return f"{_day(at)}, {format_time(at, 'short', locale=get_locale() or 'en')}"


def times(speakers: Sequence[Testimony], starts_at: datetime) -> dict[uuid.UUID, datetime]:
    """When each is about to speak: the minutes of those before them, from the start on."""
    found, at = {}, starts_at
    for one in speakers:
        if one.way in ALOUD:
            found[one.id] = at
            at += timedelta(minutes=one.minutes)
    return found


def needs_interpreter(language: str, spoken_there: Sequence[str], needs: Sequence[str]) -> bool:
    """Whether the body must be asked for an interpreter: for the words, or for the speaker."""
    asked = {Need.INTERPRETATION, Need.SIGN_LANGUAGE} & set(needs)
    return language not in (spoken_there or ("en",)) or bool(asked)
