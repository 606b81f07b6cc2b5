"""What a mailing waits for: a second pair of eyes, the morning, its readers' turns.

Above a number of readers two people stand behind what goes out. At night nobody is written to,
where an organization says so; and a mailing may be spread over hours.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from campaign import clock
from campaign.mailings import shown
from campaign.mailings.models import Message
from campaign.organizations.models import Organization


class Look(StrEnum):
    """How far a message is with its second look."""

    NOT_NEEDED = "not needed"
    TO_ASK = "to ask"
    ASKED = "asked"
    SENT_BACK = "sent back"
    AGREED = "agreed"


def words_mark(message: Message) -> str:
    """What readers see and from whom, in each variant: the words, and all that stands in and
    around them. Any change of it, a template's, too, changes the mark."""
    contest = message.contest
    variants = contest.variants if contest is not None else []
    return _digest(
        message.subject,
        message.preheader,
        message.body,
        message.format,
        message.from_name,
        message.reply_to,
        shown.around(message),
        *(json.dumps((row.letter, *astuple(row.wording))) for row in variants),
    )


def mark_of(message: Message) -> str:
    """What somebody agrees to: what readers see, who they are, and which of them see what. Any
    change of one of them changes the mark, so that nobody has agreed to what they have not seen."""
    parts = [words_mark(message), json.dumps(message.chosen.dump(), sort_keys=True)]
    contest = message.contest
    if contest is not None:
        plan = (contest.size, contest.unit, contest.measure, contest.hours, contest.is_automatic)
        parts.append(json.dumps(plan))
    return _digest(*parts)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_agreed(message: Message) -> bool:
    """Whether somebody else has agreed to the message as it is now."""
    return bool(message.agreed_mark) and message.agreed_mark == mark_of(message)


def wants_second_look(message: Message, organization: Organization, included: int) -> bool:
    """Whether it goes to more people than one person may decide about, and only one has."""
    limit = organization.second_look_above
    return limit is not None and included > limit and not is_agreed(message)


def look_of(message: Message, organization: Organization, included: int) -> Look:
    """How far it is. What was asked or sent back counts only for the message as it was then."""
    if is_agreed(message):
        return Look.AGREED
    if not wants_second_look(message, organization, included):
        return Look.NOT_NEEDED
    if message.look_mark != mark_of(message):
        return Look.TO_ASK
    return Look.SENT_BACK if message.look_note else Look.ASKED


def may_agree(message: Message, user_id: uuid.UUID) -> bool:
    """Whether this is a second person: not the one who asked for the look."""
    return message.look_asked_by is not None and message.look_asked_by != user_id


# --- when ----------------------------------------------------------------------------------------

LONGEST_SPREAD = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours of the night, by the clock on the wall of `zone`, in which nobody is written to.

    `since` may be later than `until`: then they go over midnight. Equal, they are none.
    """

    since: time
    until: time
    zone: str

    @classmethod
    def of(cls, organization: Organization) -> Quiet | None:
        """An organization's quiet hours; None where it has none."""
        since, until = organization.quiet_from, organization.quiet_until
        if not since or not until or since == until:
            return None
        return cls(time.fromisoformat(since), time.fromisoformat(until), organization.time_zone)

    def end_of(self, at: datetime) -> datetime | None:
        """When the quiet hours around `at` end (UTC); None where it is not quiet then."""
        for begins, ends in self._nights(at):
            if begins <= at < ends:
                return ends
        return None

    def next_begin(self, at: datetime) -> datetime:
        """When it becomes quiet next, from `at` on (UTC)."""
        return next(begins for begins, _ends in self._nights(at) if begins >= at)

    def _nights(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The nights around a moment in their order, each by its own clock: some have an hour
        more or less."""
        day = at.astimezone(clock.zone(self.zone)).date()
        for number in range(-1, 4):
            evening = day + timedelta(days=number)
            morning = evening if self.since < self.until else evening + timedelta(days=1)
            yield (
                clock.to_utc(datetime.combine(evening, self.since), self.zone),
                clock.to_utc(datetime.combine(morning, self.until), self.zone),
            )


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the n-th reader's turn is: from `start` on, `per_hour` of them an hour, never at night.

    Without `per_hour` it is everybody's turn at once.
    """

    start: datetime
    per_hour: int | None = None
    quiet: Quiet | None = None

    def due(self, position: int) -> datetime:
        """The turn of the reader at `position`, counted from 0 (UTC). Later ones never come
        sooner."""
        at = self._awake(self.start)
        left = timedelta(hours=position / self.per_hour) if self.per_hour else timedelta()
        while left > timedelta() and self.quiet is not None:
            day = self.quiet.next_begin(at) - at
            if left < day:
                break
            left -= day
            at = self._awake(at + day)
        return at + left

    def _awake(self, at: datetime) -> datetime:
        return (self.quiet.end_of(at) if self.quiet else None) or at


def timetable(message: Message, organization: Organization, start: datetime) -> Timetable:
    """When a message's readers have their turns if it begins at `start`."""
    quiet = None if message.ignores_quiet else Quiet.of(organization)
    return Timetable(start, message.per_hour, quiet)
