"""One person's page: everything that happened, from every slice, and nobody else's."""

from __future__ import annotations

from campaign import clock
from campaign.checkin.models import SignIn
from campaign.console.history import Kind, history_of
from campaign.db import db
from campaign.hearings import models as hearings
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.mail.services import suppress
from campaign.organizations.models import Role
from campaign.people import services as people
from campaign.petitions import services as petitions
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_host, make_rsvp, occurrence_of
from tests.factories.organizations import log_in, make_member
from tests.factories.pages import read
from tests.factories.people import make_person
from tests.factories.petitions import make_signature
from tests.privacy.conftest import Known, known

__all__ = ["known"]


def test_every_slice_has_its_line(known: Known) -> None:
    petitions.withdraw_signature(known.signature)
    people.withdraw_consent(known.person, grantee_id=known.partner.id, source="preferences")
    event = make_event(make_campaign(known.organization))
    rsvp = make_rsvp(event, person_id=known.person.id, cancelled_at=clock.now())
    make_host(event, person_id=known.person.id)
    occurrence = occurrence_of(event)
    mine = {
        "organization_id": known.organization.id,
        "event_id": event.id,
        "occurrence_id": occurrence.id,
        "rsvp_id": rsvp.id,
    }
    at = {"at": clock.now(), "received_at": clock.now()}
    person = {"person_id": known.person.id, "client_key": "1", "way": "list"}
    db.session.add_all(
        [SignIn(**mine, **at, **person), hearings.Testimony(**mine, outcome="spoke")]
    )
    db.session.commit()
    kinds = [line.kind for line in history_of(known.person, "en")]
    assert set(kinds) == set(Kind)
    assert kinds[-1] == Kind.ADDED


def test_the_latest_comes_first(known: Known) -> None:
    lines = history_of(known.person, "en")
    assert [line.at for line in lines] == sorted((line.at for line in lines), reverse=True)


def test_the_page_shows_wordings_mail_files_and_changes(client: Client, known: Known) -> None:
    log_in(client, make_member(known.organization, Role.DATA_ENTRY), known.organization)
    text = read(client.get(f"/organize/people/{known.person.id}")).text
    for words in (
        "Yes, Nurses Test may e-mail me. (wording 1)",
        "Email: Hello Xiomara waiting",
        "Held in a file of Nurses Test “vigil”",
        f"Put on the list {known.list_.name}",
        "Phone: (312) 555-0142 → 312-555-0142",
        "I planted the plum orchard behind the clinic.",
        "Xiomara lives by the plum orchard",
    ):
        assert words in text, words
    assert "Erase this person" not in text


def test_what_happened_with_somebody_else_is_not_there(client: Client, known: Known) -> None:
    other = make_person(known.organization, first_name="Other")
    make_signature(known.petition, person=other, comment="other words")
    people.add_note(other, "other note", author_id=None)
    db.session.commit()
    kinds = {line.kind for line in history_of(other, "en")}
    assert kinds == {Kind.ADDED, Kind.SIGNED, Kind.CONFIRMED, Kind.NOTED}
    assert "other" not in repr(history_of(known.person, "en"))


def test_a_stopped_address_is_told(client: Client, known: Known) -> None:
    suppress(address_hash("xq.unique@mail.example"), scope=Scope.EVERYTHING, reason="unsubscribed")
    log_in(client, make_member(known.organization), known.organization)
    page = client.get(f"/organize/people/{known.person.id}")
    assert "This person asked for no more email from anybody here." in page.text


def test_the_page_of_somebody_without_anything_stands(client: Client, known: Known) -> None:
    nobody = make_person(known.organization, email="", first_name="", last_name="", phone="")
    log_in(client, make_member(known.organization), known.organization)
    page = client.get(f"/organize/people/{nobody.id}")
    assert page.status_code == 200
    assert "No name" in page.text
    assert "Nothing so far: nobody may write to this person." in page.text
