"""Every e-mail that the product sends, once, by the functions that queue it."""

from __future__ import annotations

from datetime import timedelta

import time_machine

from campaign import clock
from campaign.accounts import emails as accounts
from campaign.buddies import emails as buddies
from campaign.buddies.models import Introduction
from campaign.db import Words, db
from campaign.events import delivery as events
from campaign.events import emails as answers
from campaign.events import invitations
from campaign.events import queries as dates
from campaign.events import tasks as event_tasks
from campaign.events.models import Event
from campaign.hearings import delivery as hearings
from campaign.hearings import emails as speakers
from campaign.hearings import tasks as hearing_tasks
from campaign.mail import delivery as mail
from campaign.mail.services import queue_email
from campaign.mailings import emails as mailings
from campaign.mailings import services
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization, Role
from campaign.people import emails as people
from campaign.petitions import delivery as petition_delivery
from campaign.petitions import queries as petitions
from tests.factories.buddies import make_introduction
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_host, make_rsvp, occurrence_of
from tests.factories.hearings import make_hearing, make_task, make_testimony
from tests.factories.ladders import beat, make_ladder, send
from tests.factories.lists import make_list
from tests.factories.mailings import make_message, make_reader, send_out, to_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.petitions import make_petition, make_signature

ROSA = {"first_name": "Rósa", "email": "rosa@people.example"}
BODY = """# {{ first_name|neighbor }}, the clinic stays open

Come to the **hearing** on Monday. Bring a neighbor, a chair and something warm to drink.

[Say that you come](https://example.org/come)

> “I come here every week.”

- A quiet room is there.
- Somebody can read for you.

---

With thanks
"""


def send_everything(language: str = "en") -> None:
    """Each letter of `templates/email/`, and each kind of batch, to its reader in `language`."""
    organization = make_organization(
        name="Únete “Southside”",
        sender_name="Únete “Southside”",
        sender_email="hello@unete.example",
        reply_to="desk@unete.example",
        postal_address="61 Example Street\r\nChicago, IL 60637",
        crisis_line="Warmline 312 555 0142",
        language=language,
    )
    _to_the_team(organization, language)
    _about_petitions(organization, language)
    _about_events(organization, language)
    _about_hearings(organization, language)
    _in_bulk(organization, language)


def work() -> None:
    """Let everything that is due leave."""
    db.session.commit()
    while mail.work(bulk=True, seconds=30):
        pass
    db.session.expire_all()


def _to_the_team(organization: Organization, language: str) -> None:
    owner = make_member(organization, Role.OWNER, name="Ana", language=language)
    accounts.send_reset(owner, "TOKEN")
    accounts.send_password_changed(owner)
    organizations.invite(organization, "bo@people.example", Role.VIEWER, by=owner)
    message = make_message(organization, subject="Come on Monday", body=BODY)
    for what in ("asked", "agreed", "sent_back", "held"):
        mailings.tell_of_look(what, message, organization, [owner], by="Bo")
    for what in ("decided", "choose", "variant_stopped", "complaints", "paused complaints"):
        mailings.tell_of_trouble(what, message, organization, [owner], variant="B")
    services.send_test(message, organization, [owner], {"first_name": "Rósa"})
    work()


def _about_petitions(organization: Organization, language: str) -> None:
    person = make_reader(organization, language=language, **ROSA)
    people.send_preferences_link(person)
    petition = make_petition(
        make_campaign(organization),
        title=Words(en="Keep the clinic open", es="Que la clínica siga abierta"),
        thanks=Words(en="Thank you. Tell **two** others.", es="Gracias. Dígalo a **dos** más."),
    )
    signature = make_signature(petition, person=person, language=language)
    for kind in ("confirm", "already", "signed"):
        petition_delivery.write_to(kind, petitions.sheet_of(petition), signature)
    work()


def _about_events(organization: Organization, language: str) -> None:
    event = make_event(
        make_campaign(organization),
        directions=Words(en="Ring twice.", es="Toque dos veces."),
        contact_name="Ana",
        contact_email="ana@unete.example",
        reminders=["180m"],
    )
    date, rsvp = occurrence_of(event), make_rsvp(event, language=language, **ROSA)
    for note in answers.Note:
        queue_email(
            ROSA["email"],
            answers.envelope(note, dates.sheet_of(date), language).letter,
            organization_id=organization.id,
            kind=answers.KIND,
            values=answers.values_for(rsvp.id, first_name="Rósa", guests=2, language=language),
            sender=organizations.sender_of(organization),
        )
    host = make_host(event, language=language)
    for what in ("host_invited", "proposal", "proposal_approved", "proposal_declined"):
        invitations.send(what, event, host, word="Two are enough that day.")
    _about_company(make_introduction(event), language)
    work()
    events.plan_reminders(date)
    _rounds(event, date.starts_at - timedelta(hours=2))
    date.sequence += 1
    events.tell_change(date, what=["time", "place"], before="2026-01-01T18:00")
    _rounds(event, clock.now())
    _rounds(event, date.ends_at + timedelta(hours=6))
    other = make_event(make_campaign(organization))
    make_rsvp(other, language=language, **ROSA)
    occurrence_of(other).state = "cancelled"
    occurrence_of(other).sequence += 1
    events.tell_cancelled(occurrence_of(other), Words(en="The hall is flooded.", es="Hay agua."))
    _rounds(other, clock.now())


def _about_company(introduction: Introduction, language: str) -> None:
    asker, offerer = introduction.asker, introduction.offerer
    asker.rsvp.language = language
    offerer.wish = "I am the one with the red scarf."
    buddies.send_suggested(asker, offerer)
    buddies.send_agreed(asker, offerer)
    buddies.send_ended(asker, introduction)


def _rounds(event: Event, moment: object) -> None:
    db.session.commit()
    with time_machine.travel(moment, tick=False):  # type: ignore[arg-type]
        event_tasks.queue_due()
        work()


def _about_hearings(organization: Organization, language: str) -> None:
    hearing = make_hearing(make_campaign(organization))
    make_task(hearing)
    date = occurrence_of(hearing.event)
    speaker = make_testimony(hearing, person={**ROSA, "language": language})
    for what in ("asked", "slot", "off", "reader", "reading", "unread"):
        speakers.write(what, speaker, other_name="Bo")
    hearings.plan_reminders(date)
    work()
    with time_machine.travel(date.starts_at - timedelta(days=2), tick=False):
        hearing_tasks.tend_hearings()
        work()


def _in_bulk(organization: Organization, language: str) -> None:
    reader = make_reader(organization, language=language, first_name="Rósa")
    send_out(make_message(organization, to_list(make_list(organization, [reader])), body=BODY))
    petition = make_petition(make_campaign(organization))
    with time_machine.travel(clock.now() - timedelta(hours=1), tick=False) as machine:
        step = send(body=BODY, subject_es="Gracias, {{ first_name|vecina }}", body_es=BODY)
        make_ladder(organization, step)
        machine.shift(timedelta(minutes=1))
        make_signature(petition, person=reader)
        machine.shift(timedelta(minutes=1))
        beat()
    work()
