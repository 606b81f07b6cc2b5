"""Calendar files (iCalendar, RFC 5545): one event, one date for whoever comes, and feeds of many.

What a calendar program keys on never changes: an event's UID is its id, and so is the UID of a
date that stands by itself. SEQUENCE goes up with every change. A series by rule is one entry with
its exceptions (EXDATE) and its changed or cancelled dates (RECURRENCE-ID); dates that somebody
wrote down are entries of their own, for Outlook does not read RDATE. Times are local with their
zone, so that a series keeps its hour when the clocks change.

Nobody's name or address gets in: there is no ORGANIZER, no ATTENDEE, no contact. The street and
the link are left out where only those who come may know them; the file in their e-mail has both.

The lines are written here and folded by the icalendar library: its components take the better
part of a millisecond an entry, and a feed of five thousand has a second.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from flask_babel import force_locale
from flask_babel import gettext as _
from icalendar.parser import Contentline

from campaign import clock
from campaign.db import Words
from campaign.events import recurrence
from campaign.events.models import (
    AddressVisibility,
    Event,
    EventState,
    Occurrence,
    OccurrenceState,
)
from campaign.events.recurrence import read_wall
from campaign.events.words import KIND_NAMES
from campaign.events.zones import zone_lines
from campaign.web.languages import DEFAULT
from campaign.web.requests import settings

CRLF = "\r\n"
LONGEST_LINE = 75  # octets (RFC 5545, 3.1)
REFRESH = "PT1H"
MOST_CHARACTERS = 4000  # of a description
ONE_DAY = timedelta(days=1)
IN_UTC = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "UCT", "Zulu", "Universal"})


class EventFacts(NamedTuple):
    """What a calendar file says of an event: the columns a feed reads, in this order."""

    id: uuid.UUID
    slug: str
    kind: str
    state: str
    title: Words
    summary: Words
    zone: str
    starts_wall: str
    duration_minutes: int
    is_all_day: bool
    recurrence: dict[str, Any] | None
    sequence: int
    is_online: bool
    online_url: str
    venue: str
    address: str
    city: str
    postal_code: str
    address_visibility: str
    directions: Words
    cancel_note: Words
    updated_at: datetime


class DateFacts(NamedTuple):
    """What a calendar file says of one date of an event."""

    event_id: uuid.UUID
    id: uuid.UUID
    original_wall: str
    starts_at: datetime
    ends_at: datetime
    duration_minutes: int
    state: str
    sequence: int
    venue: str | None
    address: str | None
    online_url: str | None
    note: Words
    cancel_note: Words


Entry = tuple[EventFacts, Sequence[DateFacts]]


def facts_of(event: Event) -> EventFacts:
    return EventFacts(*(getattr(event, name) for name in EventFacts._fields))


def date_of(occurrence: Occurrence) -> DateFacts:
    return DateFacts(*(getattr(occurrence, name) for name in DateFacts._fields))


# --- what is asked for -------------------------------------------------------------------------


def calendar_of(event: Event, occurrences: Iterable[Occurrence], language: str) -> bytes:
    """The file of one event with all its dates, for everybody."""
    entry = facts_of(event), [date_of(one) for one in occurrences]
    method = "CANCEL" if event.state == EventState.CANCELLED else "PUBLISH"
    return b"".join(
        _file([entry], spans([entry]), Voice.of(language), method=method, head=_refreshing())
    )


def single_of(occurrence: Occurrence, language: str) -> bytes:
    """The file of one date of a series, for everybody."""
    return _one(occurrence, Voice.of(language))


def attachment_for(occurrence: Occurrence, language: str) -> str:
    """The file in the e-mail of whoever comes to a date: with street and link, without people.

    A date of a series has an entry of its own, so that its UID stays when the series moves.
    """
    return _one(occurrence, Voice.of(language, knows_all=True)).decode()


def _one(occurrence: Occurrence, voice: Voice) -> bytes:
    event, one = facts_of(occurrence.event), date_of(occurrence)
    method = "CANCEL" if _is_cancelled(event, one) else "PUBLISH"
    uid = one.id if event.recurrence is not None else event.id
    start = _start({event.zone: (one.starts_at.year, one.ends_at.year)}, method, [])
    return start + _entry(_single(event, one, uid, voice)) + END


def feed(
    name: str,
    entries: Iterable[Entry],
    zones: Mapping[str, tuple[int, int]],
    language: str,
) -> Iterator[bytes]:
    """Many events as one calendar, entry by entry. `zones` are those of all entries, each with
    the years that its dates are in: they come first in the file."""
    label = _text(name)
    head = [f"NAME:{label}", f"X-WR-CALNAME:{label}", *_refreshing()]
    return _file(entries, zones, Voice.of(language), method="PUBLISH", head=head)


def spans(entries: Iterable[Entry]) -> dict[str, tuple[int, int]]:
    """The zones of some entries, each with its first and its last year."""
    found: dict[str, tuple[int, int]] = {}
    for event, dates in entries:
        starts = [one.starts_at for one in dates]
        if event.recurrence is not None:
            starts.append(read_wall(event.starts_wall).replace(tzinfo=UTC))
        if starts:
            first, last = found.get(event.zone, (9999, 0))
            years = [start.year for start in starts]
            found[event.zone] = min(first, *years), max(last, *years)
    return found


def _refreshing() -> list[str]:
    return [f"REFRESH-INTERVAL;VALUE=DURATION:{REFRESH}", f"X-PUBLISHED-TTL:{REFRESH}"]


def links_for(occurrence: Occurrence, language: str) -> dict[str, str]:
    """Where a date can be put into a calendar with one press: our file, Google's and Outlook's
    pages, and for a series the feed of all its dates. They carry what everybody may know: the street hidden from the public is hidden there."""
    event, one = facts_of(occurrence.event), date_of(occurrence)
    voice = Voice.of(language)
    on, file = _on(event, one), f"{voice.base_url}/{event.slug}.ics"
    start, end = _locals_of(event, one)
    place, _link = _where(event, one, voice)
    title = event.title.get_for(language)
    text = "\n\n".join(
        part for part in (event.summary.get_for(language), voice.page(event.slug, on)) if part
    )
    days = [start.date(), max(end.date(), start.date() + ONE_DAY)]
    google = {
        "action": "TEMPLATE",
        "text": title,
        "dates": "/".join(
            [_day(day) for day in days]
            if event.is_all_day
            else [f"{at:%Y%m%dT%H%M%S}" for at in (start, end)]
        ),
        "ctz": event.zone,
        "details": text,
        "location": place,
    }
    outlook = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title,
        "startdt": days[0].isoformat() if event.is_all_day else one.starts_at.isoformat(),
        "enddt": days[1].isoformat() if event.is_all_day else one.ends_at.isoformat(),
        "allday": "true" if event.is_all_day else "false",
        "body": text,
        "location": place,
    }
    query = {"on": on, "lang": "" if language == DEFAULT else language}
    asked = urlencode({name: value for name, value in query.items() if value})
    feed = f"{file}?{voice.query}" if voice.query else file
    return {
        "file": f"{file}?{asked}" if asked else file,
        "series": f"webcal{feed[feed.index(':') :]}" if occurrence.event.is_series else "",
        "google": f"https://calendar.google.com/calendar/render?{urlencode(google)}",
        "outlook": f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(outlook)}",
    }


# --- the file ----------------------------------------------------------------------------------


END = f"END:VCALENDAR{CRLF}".encode()


@dataclass(frozen=True, slots=True)
class Voice:
    """The words of one language, looked up once for a file, and how much it may tell."""

    language: str
    knows_all: bool
    base_url: str
    host: str
    query: str
    kinds: Mapping[str, str]
    cancelled: str
    online: str
    online_at: str

    @classmethod
    def of(cls, language: str, *, knows_all: bool = False) -> Voice:
        with force_locale(language):
            base_url = settings().base_url
            return cls(
                language=language,
                knows_all=knows_all,
                base_url=f"{base_url.rstrip('/')}/e",
                host=urlsplit(base_url).hostname or "localhost",
                query="" if language == DEFAULT else f"lang={language}",
                kinds={kind: str(name) for kind, name in KIND_NAMES.items()},
                cancelled=_("Cancelled: %(title)s", title="\0"),
                online=_("Online"),
                online_at=_("Online at %(link)s", link="\0"),
            )

    def page(self, slug: str, day: str = "") -> str:
        """The address of the event's page, at one of its dates."""
        asked = [part for part in (f"on={day}" if day else "", self.query) if part]
        return f"{self.base_url}/{slug}" + (f"?{'&'.join(asked)}" if asked else "")


def _file(
    entries: Iterable[Entry],
    zones: Mapping[str, tuple[int, int]],
    voice: Voice,
    *,
    method: str,
    head: Sequence[str],
) -> Iterator[bytes]:
    yield _start(zones, method, head)
    for event, dates in entries:
        for lines in _components(event, dates, voice):
            yield _entry(lines)
    yield END


def _start(zones: Mapping[str, tuple[int, int]], method: str, head: Sequence[str]) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Campaign//Events//EN"]
    lines += ["CALSCALE:GREGORIAN", f"METHOD:{method}", *head]
    for zone, (first, last) in sorted(zones.items()):
        if zone not in IN_UTC:
            lines += zone_lines(zone, first, last)
    return _written(lines)


def _entry(lines: Sequence[str]) -> bytes:
    return _written(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def _written(lines: Iterable[str]) -> bytes:
    return "".join(
        f"{line}{CRLF}" if len(line) <= LONGEST_LINE and line.isascii() else _folded(line)
        for line in lines
    ).encode()


def _folded(line: str) -> str:
    """A line of any length, folded between characters so that no part has over 75 octets."""
    if line.isascii():  # most are, and the library looks at every character
        rest = range(LONGEST_LINE, len(line), LONGEST_LINE - 1)
        parts = [line[:LONGEST_LINE], *(line[at : at + LONGEST_LINE - 1] for at in rest)]
        return f"{CRLF} ".join(parts) + CRLF
    folded: bytes = Contentline(line).to_ical()  # type: ignore[no-untyped-call]  # has no types
    return folded.decode() + CRLF


_BREAKS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _text(value: str) -> str:
    """A TEXT value: escaped, without the controls that no reader allows."""
    return _clean(value).translate(_ESCAPES)


def _line(value: str) -> str:
    """A TEXT value on one line."""
    return " ".join(_clean(value).split()).translate(_ESCAPES)


def _clean(value: str) -> str:
    return _CONTROLS.sub("", _BREAKS.sub("\n", value))


# --- the entries of an event -------------------------------------------------------------------


def _components(
    event: EventFacts, dates: Sequence[DateFacts], voice: Voice
) -> Iterator[Sequence[str]]:
    """All entries of an event: one, or a series with what is otherwise, or one for each date."""
    there = [one for one in dates if one.state != OccurrenceState.REMOVED]
    if event.recurrence is None:
        for one in there:
            yield _single(event, one, event.id, voice)
        return
    by_wall = {one.original_wall: one for one in there}
    rule = recurrence.parse(event.recurrence)
    first = read_wall(event.starts_wall)
    text = recurrence.rrule_text(rule, first, event.zone, all_day=event.is_all_day)
    walls = recurrence.walls(rule, first) if text else []
    held = [wall for wall in walls if recurrence.write_wall(wall) in by_wall]
    if held:
        missing = [wall for wall in walls if recurrence.write_wall(wall) not in by_wall]
        yield _series(event, walls[0], text, missing, voice)
        for wall in held:
            one = by_wall.pop(recurrence.write_wall(wall))
            if _is_otherwise(event, wall, one):
                yield _single(event, one, event.id, voice, instead_of=wall)
    for one in by_wall.values():
        yield _single(event, one, one.id, voice)


def _series(
    event: EventFacts, first: datetime, rule: str, missing: Sequence[datetime], voice: Voice
) -> list[str]:
    """The entry of a series as its rule has it. A date that is not there is an EXDATE."""
    length = timedelta(minutes=event.duration_minutes)
    lines = [
        *_stamps(event, event.id, event.sequence, voice),
        *_span(
            event,
            _when(event, "DTSTART", first),
            _when(event, "DTEND", first + length),
            first,
            first + length,
        ),
        f"RRULE:{rule}",
    ]
    lines += [_when(event, "EXDATE", wall) for wall in missing]
    return lines + _words(event, None, voice)


def _single(
    event: EventFacts,
    one: DateFacts,
    uid: uuid.UUID,
    voice: Voice,
    *,
    instead_of: datetime | None = None,
) -> list[str]:
    """The entry of one date; `instead_of` is the time that its series had for it."""
    lines = _stamps(event, uid, max(event.sequence, one.sequence), voice)
    if instead_of is not None:
        lines.append(_when(event, "RECURRENCE-ID", instead_of))
    start, end = _locals_of(event, one)
    lines += _span(
        event,
        _instant(event, "DTSTART", start),
        _instant(event, "DTEND", end),
        start.replace(tzinfo=None),
        end.replace(tzinfo=None),
    )
    return lines + _words(event, one, voice)


def _is_otherwise(event: EventFacts, wall: datetime, one: DateFacts) -> bool:
    """Whether a date is not what the rule says: moved, longer, elsewhere, with a note, cancelled.

    A night on which the clocks change is otherwise, too: its end is at another hour.
    """
    length = timedelta(minutes=event.duration_minutes)
    return (
        one.state == OccurrenceState.CANCELLED
        or any(value is not None for value in (one.venue, one.address, one.online_url))
        or bool(one.note)
        or tuple(at.replace(tzinfo=None, fold=0) for at in _locals_of(event, one))
        != (wall, wall + length)
    )


def _locals_of(event: EventFacts, one: DateFacts) -> tuple[datetime, datetime]:
    """The start and the end of a date as the clocks there show them."""
    place = _place(event.zone)
    return one.starts_at.astimezone(place), one.ends_at.astimezone(place)


def _is_cancelled(event: EventFacts, one: DateFacts | None) -> bool:
    return event.state == EventState.CANCELLED or (
        one is not None and one.state == OccurrenceState.CANCELLED
    )


# --- the lines of an entry ---------------------------------------------------------------------


def _stamps(event: EventFacts, uid: uuid.UUID, sequence: int, voice: Voice) -> list[str]:
    """Who it is and how new. DTSTAMP is the last change, so that the same event is the same file."""
    at = _utc(event.updated_at)
    return [
        f"UID:{uid}@{voice.host}",
        f"DTSTAMP:{at}",
        f"LAST-MODIFIED:{at}",
        f"SEQUENCE:{sequence}",
    ]


def _span(event: EventFacts, start: str, end: str, first: datetime, last: datetime) -> list[str]:
    """DTSTART and DTEND; of an event that lasts all day as days, the last one exclusive."""
    if not event.is_all_day:
        return [start, end]
    after = last.date() if last == _midnight(last) else last.date() + ONE_DAY
    after = max(after, first.date() + ONE_DAY)
    return [f"DTSTART;VALUE=DATE:{_day(first)}", f"DTEND;VALUE=DATE:{_day(after)}"]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _instant(event: EventFacts, name: str, at: datetime) -> str:
    """A property whose value is an instant: in UTC where the wall's clock would show it twice and
    a reader would take it for the first time."""
    if at.fold and not event.is_all_day:
        return f"{name}:{_utc(at)}"
    return _when(event, name, at)


def _when(event: EventFacts, name: str, wall: datetime) -> str:
    """A property whose value is a local time of the event."""
    if event.is_all_day:
        return f"{name};VALUE=DATE:{_day(wall)}"
    if event.zone in IN_UTC:
        return f"{name}:{wall:%Y%m%dT%H%M%S}Z"
    return f"{name};TZID={event.zone}:{wall:%Y%m%dT%H%M%S}"


def _day(day: date) -> str:
    return f"{day:%Y%m%d}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _words(event: EventFacts, one: DateFacts | None, voice: Voice) -> list[str]:
    """What it is, where, and where to read on."""
    language = voice.language
    is_off = _is_cancelled(event, one)
    title = event.title.get_for(language)
    url = voice.page(event.slug, _on(event, one))
    texts = [event.summary.get_for(language)]
    place, link = _where(event, one, voice)
    if one is not None:
        texts.insert(0, one.note.get_for(language))
    if is_off:
        own = one.cancel_note.get_for(language) if one is not None else ""
        texts.insert(0, own or event.cancel_note.get_for(language))
    if voice.knows_all:
        texts.append(event.directions.get_for(language))
    if link and not is_off:
        texts.append(voice.online_at.replace("\0", link))
    texts = [text.strip()[:MOST_CHARACTERS] for text in texts]
    description = "\n\n".join([*(text for text in texts if text), url])
    lines = [
        f"STATUS:{'CANCELLED' if is_off else 'CONFIRMED'}",
        f"SUMMARY:{_line(voice.cancelled.replace(chr(0), title) if is_off else title)}",
        f"DESCRIPTION:{_text(description)}",
        f"URL:{url}",
        f"CATEGORIES:{_line(voice.kinds.get(event.kind, event.kind))}",
    ]
    return [*lines, f"LOCATION:{_line(place)}"] if place else lines


def _on(event: EventFacts, one: DateFacts | None) -> str:
    """The local start of a date of a series, by which its page finds it."""
    if one is None or event.recurrence is None:
        return ""
    return f"{one.starts_at.astimezone(_place(event.zone)):%Y-%m-%dT%H:%M}"


def _where(event: EventFacts, one: DateFacts | None, voice: Voice) -> tuple[str, str]:
    """The place in one line, and the link of an online event; what is for those who come alone
    is left out for everybody else."""
    knows = voice.knows_all or event.address_visibility == AddressVisibility.ALL
    venue, address, link = event.venue, event.address, event.online_url
    if one is not None:
        venue = venue if one.venue is None else one.venue
        address = address if one.address is None else one.address
        link = link if one.online_url is None else one.online_url
    city = " ".join(part for part in (event.city, event.postal_code if knows else "") if part)
    parts = [venue, address, city] if knows else [city]
    if event.is_online:
        parts.append(voice.online)
    return ", ".join(part for part in parts if part), link if knows and event.is_online else ""


@lru_cache(maxsize=512)
def _place(zone: str) -> Any:
    return clock.zone(zone)
