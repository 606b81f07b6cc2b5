"""What a speaker is written: you are on the list, a slot is yours, do this now, who reads for you.

Subjects name neither the hearing nor what it is about: a lock screen shows them to others. What
is one speaker's own is a merge value, so that one stored letter serves all speakers of a date.
"""

from __future__ import annotations

from dataclasses import dataclass

from babel.dates import format_date, format_time
from flask_babel import force_locale
from flask_babel import gettext as _

from campaign import clock
from campaign.db import db
from campaign.events.models import Occurrence, Rsvp
from campaign.hearings import queries, rules
from campaign.hearings.models import HearingTask, SpeakerState, Testimony
from campaign.mail import services as mail
from campaign.mail.letters import Letter, merge_tag, render_letter
from campaign.mail.services import Addressee, Sender
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.web import links
from campaign.web.languages import known

KIND = "testimony"
TASK_KIND = "hearing-task"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter and who it is from."""

    letter: Letter
    sender: Sender


def starts_in_words(occurrence: Occurrence, language: str) -> str:
    """When a date is, by its own clock on the wall."""
    at = occurrence.starts_at.astimezone(clock.zone(occurrence.event.zone))
    day = format_date(at, "full", locale=language)
    return f"{day}, {format_time(at, 'short', locale=language)}"


def _render(kind: str, occurrence: Occurrence, language: str, **more: object) -> Envelope:
    event = occurrence.event
    organization = db.session.get_one(Organization, event.organization_id)
    hearing = queries.hearing_of(event.id)
    with force_locale(language):
        why = _(
            "You get this because you asked %(name)s to speak at a hearing.", name=organization.name
        )
    letter = render_letter(
        f"hearings/{kind}",
        language,
        title=event.title.get_for(language),
        body_name=hearing.body.get_for(language) if hearing else "",
        when=starts_in_words(occurrence, language),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        why=why,
        first_name=merge_tag("first_name"),
        page_url=merge_tag("page_url"),
        preferences_url=merge_tag("preferences_url"),
        **more,
    )
    return Envelope(letter, sender_of(organization))


def values_for(rsvp: Rsvp, language: str) -> dict[str, str]:
    """The merge values of one speaker. Links carry tokens, never a name or an address."""
    kind, row_id = (
        (links.PERSON, rsvp.person_id) if rsvp.person_id is not None else (links.RSVP, rsvp.id)
    )
    return {
        "first_name": rsvp.first_name,
        "page_url": links.external(
            "hearings.testimony", token=links.rsvp_token(rsvp.id), lang=language
        ),
        "preferences_url": links.preferences_url(kind, row_id, language),
    }


def write(kind: str, testimony: Testimony, *, other_name: str = "") -> None:
    """Write to a speaker about where they stand.

    `kind`: asked (on the list, or in line), slot (one came free and is theirs), off (not on the
    list any more), reader (`other_name` reads for them), reading (they read for `other_name`).
    Nothing for who has no address.
    """
    rsvp, occurrence = testimony.rsvp, testimony.occurrence
    if rsvp is None or not rsvp.email:
        return
    language = known(rsvp.language) or "en"
    with force_locale(language):
        tasks = [
            (one.task.title.get_for(language), rules.window(one, occurrence.event.zone))
            for one in rules.in_order(queries.tasks_of(testimony.event_id), occurrence)
            if testimony.way in one.task.ways
        ]
    envelope = _render(
        kind,
        occurrence,
        language,
        tasks=tasks,
        minutes=testimony.minutes,
        place=queries.place_in_line(testimony),
        is_waiting=testimony.state == SpeakerState.WAITING,
        is_written=testimony.way not in rules.ALOUD,
        other_name=merge_tag("other_name"),
    )
    mail.queue_email(
        rsvp.email,
        envelope.letter,
        organization_id=testimony.organization_id,
        kind=KIND,
        values=values_for(rsvp, language) | {"other_name": other_name},
        person_id=rsvp.person_id,
        sender=envelope.sender,
    )


def task_letter(task: HearingTask, occurrence: Occurrence, language: str) -> Envelope:
    """The reminder of a task of one date: one letter for all speakers of a language."""
    with force_locale(language):
        when = rules.window(rules.dated(task, occurrence), occurrence.event.zone)
    return _render(
        "task",
        occurrence,
        language,
        task_title=task.title.get_for(language),
        task_text=task.text.get_for(language),
        task_when=when,
    )


def addressee(testimony: Testimony, rsvp: Rsvp, language: str) -> Addressee:
    """One speaker as a recipient of a round of reminders."""
    return Addressee(
        unique_key=testimony.id,
        address=rsvp.email or "",
        address_hash=rsvp.address_hash or "",
        values=values_for(rsvp, language),
        person_id=rsvp.person_id,
    )
