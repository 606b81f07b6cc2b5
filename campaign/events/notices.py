"""What those who come are written besides the answer to their answer: a reminder, a change, a
cancellation, "did you come?".

Subjects and preheaders name neither the event nor the place: a lock screen shows them to others.
Everything of one person is a merge value, so that one stored letter serves all who get the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from babel.dates import format_date, format_time, get_timezone_name
from flask_babel import force_locale
from flask_babel import gettext as _

from campaign import clock
from campaign.events import feeds
from campaign.events.models import Notice, Occurrence, RsvpState, Shift
from campaign.mail.letters import Letter, merge_tag, render_letter
from campaign.organizations.models import Organization
from campaign.web import links
from campaign.web.phones import phone_words

REMINDER = "reminder"
AFTER = "reminder-after"
NOTICE = "event-notice"
DAY_PATTERNS = {"en": "EEEE, MMMM d", "es": "EEEE d 'de' MMMM"}


@dataclass(frozen=True, slots=True)
class Reader:
    """What the readers of one letter have in common."""

    language: str
    state: str = RsvpState.ACCEPTED
    shift_id: uuid.UUID | None = None
    has_signed_in: bool = False  # at the door: they are thanked, not asked whether they came

    @property
    def is_coming(self) -> bool:
        """Whether the street and the link of an event that hides them are theirs to know."""
        return self.state in {RsvpState.ACCEPTED, RsvpState.TENTATIVE}


def values_for(
    kind: str, rsvp_id: uuid.UUID, first_name: str, language: str, person_id: uuid.UUID | None
) -> dict[str, str]:
    """The merge values of one reader. Links carry tokens, never a name or an address.

    The link to what we hold is made by mail at the moment of sending, once there is a person.
    """
    answer = links.rsvp_url(rsvp_id)
    values = {"first_name": first_name, "language": language}
    if kind == AFTER:
        values["came_url"] = f"{answer}/came"
    else:
        values["answer_url"] = answer
    if person_id is None:
        values["preferences_url"] = links.preferences_url(links.RSVP, rsvp_id, language)
    return values


def reminder_letter(
    occurrence: Occurrence, organization: Organization, reader: Reader, shift: Shift | None = None
) -> Letter:
    """It is soon: when, where, what they signed up for, and how to change or cancel."""
    return _letter(
        "reminder",
        occurrence,
        organization,
        reader,
        short_when=short_when(occurrence, reader.language),
        is_maybe=reader.state == RsvpState.TENTATIVE,
        part=_part(occurrence, shift, reader.language),
    )


def after_letter(occurrence: Occurrence, organization: Organization, reader: Reader) -> Letter:
    """It is over: did you come? Who signed in at the door is asked how it was."""
    return _letter(
        "after",
        occurrence,
        organization,
        reader,
        has_signed_in=reader.has_signed_in,
        day=_day(occurrence.starts_at, occurrence.event.zone, reader.language),
    )


def changed_letter(
    notice: Notice, occurrence: Occurrence, organization: Organization, reader: Reader
) -> Letter:
    """What changed, from what to what, with the calendar file that overwrites the former one."""
    before = ""
    if notice.before and "time" in notice.what and notice.before != occurrence.starts_wall:
        wall = datetime.fromisoformat(notice.before)
        at = clock.to_utc(wall, occurrence.event.zone)
        before = when(occurrence, reader.language, starts_at=at)
    letter = _letter(
        "changed",
        occurrence,
        organization,
        reader,
        short_when=_day(occurrence.starts_at, occurrence.event.zone, reader.language),
        before=before,
        has_time="time" in notice.what,
        has_place="place" in notice.what,
        has_link="online" in notice.what,
        is_again="again" in notice.what,
        is_waiting=reader.state == RsvpState.WAITING,
    )
    return _with_calendar(letter, occurrence, reader)


def _with_calendar(letter: Letter, occurrence: Occurrence, reader: Reader) -> Letter:
    """For whoever has the date in a calendar: not for those in line. It holds the street."""
    if not reader.is_coming:
        return letter
    return replace(letter, calendar=feeds.attachment_for(occurrence, reader.language))


def cancelled_letter(
    notice: Notice, occurrence: Occurrence, organization: Organization, reader: Reader
) -> Letter:
    """It does not take place, with the organizer's words and a file that strikes it out."""
    event = occurrence.event
    note = (
        occurrence.cancel_note.get_for(reader.language)
        or event.cancel_note.get_for(reader.language)
        or notice.note
    )
    letter = _letter(
        "cancelled",
        occurrence,
        organization,
        reader,
        short_when=short_when(occurrence, reader.language),
        note=note,
    )
    return _with_calendar(letter, occurrence, reader)


def _letter(
    name: str,
    occurrence: Occurrence,
    organization: Organization,
    reader: Reader,
    **context: str | bool,
) -> Letter:
    event, language = occurrence.event, reader.language
    with force_locale(language):
        why = _(
            "You get this because you answered an invitation of %(name)s.", name=organization.name
        )
    return render_letter(
        f"events/{name}",
        language,
        title=event.title.get_for(language),
        when=when(occurrence, language),
        where=where(occurrence, shows_street=reader.is_coming or not event.hides_address),
        online_url=_online_url(occurrence, reader),
        directions=event.directions.get_for(language) if reader.is_coming else "",
        note_of_date=occurrence.note.get_for(language),
        contact=_contact(occurrence),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        why=why,
        first_name=merge_tag("first_name"),
        answer_url=merge_tag("answer_url"),
        came_url=merge_tag("came_url"),
        preferences_url=merge_tag("preferences_url"),
        **context,
    )  # fmt: skip


def _online_url(occurrence: Occurrence, reader: Reader) -> str:
    event = occurrence.event
    if not event.is_online or (event.hides_address and not reader.is_coming):
        return ""
    return event.online_url if occurrence.online_url is None else occurrence.online_url


def _contact(occurrence: Occurrence) -> str:
    event = occurrence.event
    return ", ".join(
        filter(None, (event.contact_name, phone_words(event.contact_phone), event.contact_email))
    )


def where(occurrence: Occurrence, *, shows_street: bool = True) -> str:
    """The place in one line; without the street for those who are not told it."""
    event = occurrence.event
    venue = event.venue if occurrence.venue is None else occurrence.venue
    street = event.address if occurrence.address is None else occurrence.address
    town = " ".join(filter(None, (event.city, event.postal_code)))
    parts: Sequence[str] = (venue, street, town) if shows_street else (event.city,)
    return ", ".join(filter(None, parts))


def _part(occurrence: Occurrence, shift: Shift | None, language: str) -> str:
    """What somebody signed up for, with its own time where it has one."""
    if shift is None:
        return ""
    name = shift.name.get_for(language)
    if not shift.starts_after_minutes:
        return name
    at = occurrence.starts_at + timedelta(minutes=shift.starts_after_minutes)
    return f"{name}, {_clock(at, occurrence.event.zone, language)}"


# --- when, in words ----------------------------------------------------------------------------


def when(occurrence: Occurrence, language: str, *, starts_at: datetime | None = None) -> str:
    """ "Tuesday, December 1, 2026, 6:00 PM – 7:30 PM (Central Time)": local, with its zone."""
    event = occurrence.event
    place = clock.zone(event.zone)
    start = (starts_at or occurrence.starts_at).astimezone(place)
    if event.is_all_day:
        return str(format_date(start, "full", locale=language))
    # Minutes that pass, not minutes of the wall: the clocks may change in between.
    end = (starts_at or occurrence.starts_at) + timedelta(minutes=occurrence.duration_minutes)
    end = end.astimezone(place)
    until = _clock(end, event.zone, language)
    if end.date() != start.date():
        until = f"{format_date(end, 'full', locale=language)}, {until}"
    zone = get_timezone_name(
        start, width="long", locale=language, return_zone=False, zone_variant="generic"
    )
    day = format_date(start, "full", locale=language)
    return f"{day}, {_clock(start, event.zone, language)} – {until} ({zone})"


def short_when(occurrence: Occurrence, language: str) -> str:
    """ "Tuesday, December 1, 6:00 PM", for a subject."""
    day = _day(occurrence.starts_at, occurrence.event.zone, language)
    if occurrence.event.is_all_day:
        return day
    return f"{day}, {_clock(occurrence.starts_at, occurrence.event.zone, language)}"


def _day(at: datetime, zone: str, language: str) -> str:
    pattern = DAY_PATTERNS.get(language, DAY_PATTERNS["en"])
    return str(format_date(at.astimezone(clock.zone(zone)), pattern, locale=language))


def _clock(at: datetime, zone: str, language: str) -> str:
    return str(format_time(at.astimezone(clock.zone(zone)), "short", locale=language))
