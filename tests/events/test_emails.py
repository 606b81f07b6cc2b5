"""What somebody who answered is written, word for word, in both languages."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
import time_machine
from syrupy.assertion import SnapshotAssertion

from campaign.db import Words, db
from campaign.events import emails, queries, services
from campaign.events.emails import Note
from campaign.events.models import Event
from campaign.events.services import RsvpDetails
from campaign.mail.models import Content
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.organizations import make_organization
from tests.factories.outbox import filled

pytestmark = pytest.mark.usefixtures("app")
START = "2026-12-01T18:00"


def vigil(**values: object) -> Event:
    organization = make_organization(
        slug="stop-letters",
        name="STOP Chicago",
        postal_address="6100 S Blackstone Ave",
        crisis_line="Warmline: 855-845-8415",
    )
    return make_event(
        make_campaign(organization),
        slug="vigil-letters",
        starts_wall=START,
        **{"thanks": Words(en="Bring a **candle**.", es="Traiga una **vela**."), **values},
    )


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("note", list(Note))
def test_letters(note: Note, language: str, snapshot: SnapshotAssertion) -> None:
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False):
        event = vigil()
        letter = emails.envelope(note, queries.sheet_of(occurrence_of(event)), language).letter
        rsvp = make_rsvp(event, first_name="Ana", guests=2)
        values = dict(emails.values_for(rsvp.id, first_name="Ana", guests=2, language=language)) | {
            "rsvp_url": "RSVP",
            "preferences_url": "ME",
        }
    assert f"{filled(letter.subject, values)}\n\n{filled(letter.text, values)}" == snapshot
    assert "Woodlawn" not in letter.subject
    assert "igil" not in letter.subject
    assert letter.html.count("{{ rsvp_url }}") >= 1
    assert "988" in letter.text


@pytest.mark.parametrize("note", list(Note))
def test_a_hidden_street_is_in_letters_to_those_who_come_alone(note: Note) -> None:
    event = vigil(address_visibility="coming", is_online=True, online_url="https://x.example/y")
    letter = emails.envelope(note, queries.sheet_of(occurrence_of(event)), "en").letter
    shown = note in {Note.ACCEPTED, Note.MAYBE, Note.PLACE}
    for secret in ("6337 S Woodlawn", "x.example"):
        assert (secret in letter.text) is shown
        assert (secret in letter.html) is shown


def test_whoever_comes_gets_a_calendar_file_without_a_name() -> None:
    event = vigil()
    services.answer(
        occurrence_of(event),
        RsvpDetails(
            first_name="Xiomara",
            last_name="Quispe",
            email="xiomara@example.org",
            postal_code="60637",
        ),
    )
    content = db.session.query(Content).filter(Content.calendar != "").one()
    assert content.calendar.startswith("BEGIN:VCALENDAR\r\n")
    assert "6337 S Woodlawn Ave" in content.calendar.replace("\\", "")
    assert not re.search(r"(?i)xiomara|quispe|ATTENDEE", content.calendar)
    for note in (Note.WAITING, Note.FULL, Note.DECLINED, Note.ALREADY, Note.TAKEN_BACK):
        letter = emails.envelope(note, queries.sheet_of(occurrence_of(event)), "en").letter
        assert letter.calendar == ""


def test_a_date_of_a_series_goes_into_the_calendar_without_the_others() -> None:
    event = vigil(recurrence={})
    letter = emails.envelope(Note.ACCEPTED, queries.sheet_of(occurrence_of(event)), "en").letter
    assert "/e/vigil-letters.ics?lang=en&on=2026-12-01T18:00" in unquote(letter.text)
    once = emails.envelope(Note.ACCEPTED, queries.sheet_of(occurrence_of(make_event())), "en")
    assert "on=" not in once.letter.text


def test_a_letter_is_made_anew_when_the_date_moves() -> None:
    event = vigil()
    date = occurrence_of(event)
    first = emails.envelope(Note.ACCEPTED, queries.sheet_of(date), "en").letter
    assert emails.envelope(Note.ACCEPTED, queries.sheet_of(date), "en").letter is first
    date.venue = "Church next door"
    assert (
        "Church next door"
        in emails.envelope(Note.ACCEPTED, queries.sheet_of(date), "en").letter.text
    )
