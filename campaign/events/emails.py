"""What somebody who answered is written: what we noted, a place came free, taken back.

Subjects name neither the clinic nor the event: a lock screen shows them to others. Everything of
one person is a merge value, so that one stored letter serves all who answer alike. A street that
is only for those who come is only in letters to those who come.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from flask import current_app
from flask_babel import force_locale, ngettext
from flask_babel import gettext as _

from campaign.db import db
from campaign.events import feeds, rules
from campaign.events.models import Occurrence, Rsvp, RsvpState
from campaign.events.queries import Sheet
from campaign.mail.letters import Letter, merge_tag, render_letter
from campaign.mail.services import Sender
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.web import links
from campaign.web.languages import known
from campaign.web.requests import settings

KIND = "rsvp"
HERE = "HERE"
KEEP = 1024


class Note(StrEnum):
    """The letters, each a folder of `templates/email/events/`."""

    ACCEPTED = "accepted"
    MAYBE = "maybe"
    WAITING = "waiting"
    FULL = "full"  # no place and no line: noted as "cannot come"
    DECLINED = "declined"
    PLACE = "place"  # a place came free
    TAKEN_BACK = "taken_back"
    ALREADY = "already"


OF_STATE = {
    RsvpState.ACCEPTED: Note.ACCEPTED,
    RsvpState.TENTATIVE: Note.MAYBE,
    RsvpState.WAITING: Note.WAITING,
    RsvpState.DECLINED: Note.DECLINED,
    RsvpState.CANCELLED: Note.TAKEN_BACK,
}
SHOWING_THE_PLACE = frozenset({Note.ACCEPTED, Note.MAYBE, Note.PLACE})
WITH_CALENDAR = SHOWING_THE_PLACE

_kept: dict[tuple[object, ...], Envelope] = {}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter with the place that its answers go to."""

    letter: Letter
    sender: Sender


def note_of(rsvp: Rsvp) -> Note:
    """The letter that says what we have of an answer."""
    if rsvp.state == RsvpState.DECLINED and rsvp.waiting_since is not None:
        return Note.FULL
    return OF_STATE[RsvpState(rsvp.state)]


def envelope(note: Note, sheet: Sheet, language: str) -> Envelope:
    """The letter of a kind for a date, kept in the process."""
    language = known(language) or "en"
    key = (note, sheet.occurrence_id, sheet.version, language)
    found = _kept.get(key)
    if found is None:
        if len(_kept) >= KEEP:
            _kept.clear()
        found = _kept[key] = _render(note, sheet, language)
    return found


def _render(note: Note, sheet: Sheet, language: str) -> Envelope:
    occurrence = db.session.get_one(Occurrence, sheet.occurrence_id)
    event = occurrence.event
    organization = db.session.get_one(Organization, sheet.organization_id)
    shows_place = not event.hides_address or note in SHOWING_THE_PLACE
    with force_locale(language):
        why = _(
            "You get this because this address was typed into an answer to an invitation of "
            "%(name)s.",
            name=organization.name,
        )
    letter = render_letter(
        f"events/{note}",
        language,
        title=event.title.get_for(language),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        day=rules.day_of(occurrence.starts_at, event.zone, language),
        hours=rules.hours_of(
            occurrence.starts_at,
            occurrence.ends_at,
            event.zone,
            language,
            is_all_day=event.is_all_day,
        ),
        place=place_of(occurrence) if shows_place else event.city,
        online_url=online_url_of(occurrence) if shows_place else "",
        directions=event.directions.get_for(language) if shows_place else "",
        note=occurrence.note.get_for(language),
        thanks=event.thanks.get_for(language) if note == Note.ACCEPTED else "",
        event_url=links.external("events.event", event=sheet.slug, lang=language),
        calendar_url=calendar_url(sheet.slug, language, sheet.day) if note in WITH_CALENDAR else "",
        why=why,
        first_name=merge_tag("first_name"),
        party=merge_tag("party"),
        answer=merge_tag("answer"),
        rsvp_url=merge_tag("rsvp_url"),
        preferences_url=merge_tag("preferences_url"),
    )
    if note in WITH_CALENDAR:
        letter = replace(letter, calendar=feeds.attachment_for(occurrence, language))
    return Envelope(letter, sender_of(organization))


def place_of(occurrence: Occurrence) -> str:
    """Where a date takes place, on one line; "" online."""
    return ", ".join(place_lines(occurrence))


def place_lines(occurrence: Occurrence) -> list[str]:
    """Where a date takes place as one writes an address: the house, then street and city."""
    event = occurrence.event
    if event.is_online and not (occurrence.venue or event.venue):
        return []
    venue = event.venue if occurrence.venue is None else occurrence.venue
    street = event.address if occurrence.address is None else occurrence.address
    return [line for line in (venue, ", ".join(filter(None, (street, event.city)))) if line]


def online_url_of(occurrence: Occurrence) -> str:
    """Where to join online; "" for what is only in a room."""
    own = occurrence.online_url
    return occurrence.event.online_url if own is None else own


@lru_cache(maxsize=512)
def _calendar_url(_base_url: str, slug: str, language: str, day: str) -> str:
    return links.external("calendar.event", event=slug, lang=language, on=day or None)


def calendar_url(slug: str, language: str, day: str = "") -> str:
    """Where the event's calendar file is, of one `day` of a series: who answered for a date gets
    that one, not the others besides. "" where the application has none."""
    if "calendar.event" not in current_app.view_functions:
        return ""
    return _calendar_url(settings().base_url, slug, language, day)


def values_for(
    rsvp_id: uuid.UUID,
    *,
    first_name: str,
    guests: int,
    language: str,
    state: str = RsvpState.ACCEPTED,
    person_id: uuid.UUID | None = None,
) -> Mapping[str, str]:
    """The merge values of one answer. Links carry tokens, never a name or an address."""
    language = known(language) or "en"
    kind, row_id = (links.PERSON, person_id) if person_id is not None else (links.RSVP, rsvp_id)
    return {
        "first_name": first_name,
        "party": party_words(guests, language),
        "answer": answer_words(state, language),
        "rsvp_url": rsvp_url(rsvp_id, language),
        "preferences_url": links.preferences_url(kind, row_id, language),
    }


def rsvp_url(rsvp_id: uuid.UUID, language: str) -> str:
    """The address of an answer: it shows, changes and cancels."""
    address = _rsvp_address(settings().base_url, language)
    return address.replace(HERE, links.rsvp_token(rsvp_id))


@lru_cache(maxsize=64)
def _rsvp_address(_base_url: str, language: str) -> str:
    return links.external("events.rsvp", token=HERE, lang=language)


@lru_cache(maxsize=256)
def party_words(guests: int, language: str) -> str:
    """Who comes, by number: "you and 2 guests"."""
    with force_locale(language):
        if not guests:
            return str(_("you"))
        return str(ngettext("you and %(num)d guest", "you and %(num)d guests", guests))


@lru_cache(maxsize=64)
def answer_words(state: str, language: str) -> str:
    """What we have noted, as the end of a sentence: "you are coming"."""
    with force_locale(language):
        words: dict[str, str] = {
            RsvpState.ACCEPTED: _("you are coming"),
            RsvpState.TENTATIVE: _("you may come"),
            RsvpState.WAITING: _("you are in line for a place"),
        }
        return words.get(state) or str(_("you are not coming"))
