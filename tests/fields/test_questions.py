"""An organization's own questions in the forms of petitions and events: asked, kept with the
post, and with the person once the owner of the address has spoken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from campaign import clock
from campaign.db import Words, db
from campaign.events.models import Rsvp
from campaign.fields import queries, services
from campaign.fields.models import CustomField
from campaign.organizations.models import AuditEntry, Role
from campaign.people.models import Person, PersonChange
from campaign.petitions import services as petitions
from campaign.petitions.models import Petition, Signature, SignatureState
from campaign.web.links import PERSON, preferences_url, rsvp_token
from tests.conftest import Client
from tests.events.answering import Answer, answer
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event
from tests.factories.fields import fill, make_field
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_person
from tests.factories.petitions import make_petition
from tests.petitions.conftest import Sign, _nothing_kept, outbox, sign

__all__ = ["_nothing_kept", "answer", "sign"]


class Asking:
    """A petition and an event that ask a text, a choice, a number and something sensitive."""

    def __init__(self) -> None:
        self.organization = make_organization()
        campaign = make_campaign(self.organization)
        self.local = make_field(self.organization, "Union local", hint=Words(en="Like 73."))
        self.way = make_field(self.organization, "How you come", "choice")
        self.years = make_field(self.organization, "Years here", "number")
        self.health = make_field(self.organization, "Your clinic", is_sensitive=True)
        self.unasked = make_field(self.organization, "Shoe size", "number")
        chosen = [field.id.hex for field in (self.local, self.way, self.years, self.health)]
        self.petition = make_petition(campaign)
        self.event = make_event(campaign)
        self.petition.field_ids = self.event.field_ids = chosen
        db.session.commit()

    def known(self, person: Person | None = None) -> dict[str, str]:
        if person is None:
            person = db.session.scalars(select(Person)).one()
        return dict(queries.known_of(self.organization.id, person.id, "en"))


@pytest.fixture
def asking(app: Any) -> Asking:
    return Asking()


def only_signature() -> Signature:
    return db.session.scalars(select(Signature)).one()


def test_the_form_asks_what_was_chosen_and_nothing_more(client: Client, asking: Asking) -> None:
    for path in (f"/p/{asking.petition.slug}", f"/e/{asking.event.slug}"):
        page = read(client.get(path))
        form = next(form for form in page.forms if form["action"].startswith(path))
        names = {name for name, _value in form["fields"]}
        assert {"field_union_local", "field_years_here", "field_your_clinic"} <= names
        assert "By bus" in page.text
        assert "field_shoe_size" not in names
        assert "Like 73." in page.text
        assert page.text.count("Only owners and organizers read this.") == 1
    spanish = read(client.get(f"/p/{asking.petition.slug}?lang=es")).text
    assert "En autobús" in spanish
    assert "sin respuesta" in spanish


def test_nobody_has_to_answer(client: Client, asking: Asking, sign: Sign) -> None:
    assert sign(asking.petition.slug).status_code == 303
    assert only_signature().answers == {}


def test_answers_wait_with_the_signature_until_it_is_confirmed(
    client: Client, asking: Asking, sign: Sign
) -> None:
    answer = sign(
        asking.petition.slug,
        field_union_local=" Local 73 ",
        field_how_you_come="by_bus",
        field_years_here="12.50",
        field_your_clinic="Woodlawn",
        field_shoe_size="44",
    )
    assert answer.status_code == 303
    signature = only_signature()
    assert signature.answers == {
        asking.local.id.hex: "Local 73",
        asking.way.id.hex: "by_bus",
        asking.years.id.hex: "12.5",
        asking.health.id.hex: "Woodlawn",
    }
    assert db.session.scalar(select(Person)) is None
    mail = outbox("ana@example.org")[-1]
    assert "Woodlawn" not in mail.text + mail.html
    link = mail.link("confirm")
    shown = read(client.get(link)).text
    assert [said for said in ("Local 73", "By bus", "Woodlawn") if said not in shown] == []
    client.submit(link, {}, form="/confirm/", follow_redirects=True)
    assert asking.known() == {
        "Union local": "Local 73",
        "How you come": "By bus",
        "Years here": "12.5",
        "Your clinic": "Woodlawn",
    }
    assert only_signature().answers == {}
    history = json.dumps([row.fields for row in db.session.scalars(select(PersonChange))])
    assert "Local 73" in history
    assert "Woodlawn" not in history


def test_the_owner_says_it_anew_and_a_blank_takes_nothing_away(
    client: Client, asking: Asking, sign: Sign
) -> None:
    person = make_person(
        asking.organization,
        email="ana@example.org",
        first_name="Ana",
        last_name="Ruiz",
        postal_code="60637",
    )
    fill(person, asking.local, "Local 9")
    fill(person, asking.years, "3")
    sign(asking.petition.slug, field_union_local="Local 73")
    assert asking.known(person)["Union local"] == "Local 9", "a stranger has typed this, so far"
    client.submit(outbox("ana@example.org")[-1].link("confirm"), {}, form="/confirm/")
    assert asking.known(person) == {"Union local": "Local 73", "Years here": "3"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"field_years_here": "many"}, "Write a number, like 12 or 12.5."),
        ({"field_how_you_come": "by_rocket"}, "Choose one of these: By bus, By car."),
        ({"field_union_local": "x" * 501}, "under 500 characters"),
        ({"field_union_local": "a\u202eb"}, "character"),
    ],
)
def test_a_wrong_answer_is_said_at_its_line_and_nothing_is_lost(
    asking: Asking, sign: Sign, values: dict[str, str], message: str
) -> None:
    answer = sign(asking.petition.slug, comment="Because of my mother.", **values)
    assert answer.status_code == 400
    page = read(answer)
    assert message in page.text
    form = next(form for form in page.forms if form["action"].startswith("/p/"))
    assert ("comment", "Because of my mother.") in form["fields"]
    assert db.session.scalar(select(Signature)) is None


def test_typed_again_before_confirming_the_last_word_holds(asking: Asking, sign: Sign) -> None:
    sign(asking.petition.slug, field_union_local="Local 1")
    sign(asking.petition.slug, field_union_local="Local 2")
    assert only_signature().answers == {asking.local.id.hex: "Local 2"}


def test_a_field_that_goes_meanwhile_costs_nobody_their_signature(
    client: Client, asking: Asking, sign: Sign
) -> None:
    sign(asking.petition.slug, field_union_local="Local 73", field_how_you_come="by_car")
    services.delete_field(asking.local, user_id=None)
    asking.way.choices = [row for row in asking.way.choices if row["value"] == "by_bus"]
    db.session.commit()
    client.submit(outbox("ana@example.org")[-1].link("confirm"), {}, form="/confirm/")
    assert only_signature().state == SignatureState.CONFIRMED
    assert asking.known() == {}


def test_what_waits_is_downloaded_and_erased_with_the_rest(
    client: Client, asking: Asking, sign: Sign
) -> None:
    person = make_person(
        asking.organization, email="ana@example.org", first_name="Ana", last_name="Ruiz"
    )
    sign(asking.petition.slug, field_your_clinic="Woodlawn")
    mine = preferences_url(PERSON, person.id, "en").removeprefix("http://127.0.0.1:8000")
    held = client.get(f"{mine.split('?')[0]}/data.json").json
    assert held is not None
    (signed,) = held["What you signed"]
    assert signed["What you answered besides"] == {"Your clinic": "Woodlawn"}
    signature = only_signature()
    signature.state, signature.confirmed_at = SignatureState.CONFIRMED, clock.now()
    petitions.erase_signature(signature)
    assert only_signature().answers == {}


def test_without_email_the_organizer_reads_them_at_the_signature(
    client: Client, asking: Asking, sign: Sign
) -> None:
    """Nobody can confirm, so there is no person: they stay where they were written."""
    sign(asking.petition.slug, email="", field_union_local="Local 73", field_your_clinic="Woodlawn")
    path = f"/organize/petitions/{asking.petition.id}/signatures"
    log_in(client, make_member(asking.organization, Role.ORGANIZER), asking.organization)
    shown = read(client.get(path)).text
    assert "Union local: Local 73" in shown
    assert "Your clinic: Woodlawn" in shown
    looked = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "signatures.listed")
    ).one()
    assert looked.details["sensitive"] is True


def test_a_volunteer_does_not_read_what_is_sensitive(
    client: Client, asking: Asking, sign: Sign
) -> None:
    sign(asking.petition.slug, email="", field_union_local="Local 73", field_your_clinic="Woodlawn")
    log_in(client, make_member(asking.organization, Role.DATA_ENTRY), asking.organization)
    answer = client.get(f"/organize/petitions/{asking.petition.id}/signatures")
    assert "Woodlawn" not in answer.get_data(as_text=True)


def test_answers_to_an_event_enter_when_the_owner_says_it_is_them(
    client: Client, asking: Asking, answer: Answer
) -> None:
    sent = answer(asking.event.slug, field_union_local="Local 73", field_your_clinic="Woodlawn")
    assert sent.status_code == 303
    rsvp = db.session.scalars(select(Rsvp)).one()
    assert rsvp.answers == {asking.local.id.hex: "Local 73", asking.health.id.hex: "Woodlawn"}
    assert asking.known() == {}, "the person is there; nobody has said that it is them"
    path = f"/rsvp/{rsvp_token(rsvp.id)}"
    assert "Local 73" in read(client.get(path)).text
    client.submit(path, {}, form=f"{path}/confirm")
    assert asking.known() == {"Union local": "Local 73", "Your clinic": "Woodlawn"}
    assert db.session.scalars(select(Rsvp)).one().answers == {}


def test_an_answer_that_cannot_be_is_said_at_the_event_too(asking: Asking, answer: Answer) -> None:
    sent = answer(asking.event.slug, field_years_here="many")
    assert sent.status_code == 400
    assert "Write a number, like 12 or 12.5." in read(sent).text
    assert db.session.scalar(select(Rsvp)) is None


@pytest.mark.parametrize("kind", ["petitions", "events"])
def test_an_organizer_chooses_what_is_asked(client: Client, asking: Asking, kind: str) -> None:
    log_in(client, make_member(asking.organization, Role.ORGANIZER), asking.organization)
    thing = asking.petition if kind == "petitions" else asking.event
    path = f"/organize/{kind}/{thing.id}/edit"
    page = read(client.get(path))
    assert "Your clinic (sensitive)" in page.text
    form = next(form for form in page.forms if any(n == "title_en" for n, _v in form["fields"]))
    kept = [(name, value) for name, value in form["fields"] if name != "field_ids"]
    body: dict[str, Any] = {}
    for name, value in kept:
        body.setdefault(name, []).append(value)
    chosen = client.post(path, data=body | {"field_ids": [asking.unasked.id.hex]})
    assert chosen.status_code == 303
    db.session.refresh(thing)
    assert thing.field_ids == [asking.unasked.id.hex]
    foreign: CustomField = make_field(make_organization(), "Theirs")
    wrong = client.post(path, data=body | {"field_ids": [foreign.id.hex]})
    assert wrong.status_code in {200, 400}
    db.session.refresh(thing)
    assert thing.field_ids == [asking.unasked.id.hex]


def test_others_fields_are_never_asked(client: Client, asking: Asking) -> None:
    foreign = make_field(make_organization(), "Theirs")
    asking.petition.field_ids = [foreign.id.hex, "not an id"]
    db.session.commit()
    assert isinstance(asking.petition, Petition)
    assert "Theirs" not in read(client.get(f"/p/{asking.petition.slug}")).text
