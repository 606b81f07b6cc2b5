"""One's own page: what it says, what its buttons do, and what no token opens."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db
from campaign.mail.models import Delivery, Suppression
from campaign.organizations.models import Role
from campaign.people import queries as people
from campaign.people import services as people_services
from campaign.people.models import Consent, Person, PersonChange
from campaign.petitions import queries as petitions
from campaign.petitions.models import Signature, SignatureState
from campaign.web.csrf import signer
from campaign.web.links import SIGNATURE, preferences_url
from tests.conftest import Client
from tests.factories.leftovers import everything, traces_of
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_signature
from tests.privacy.conftest import WORDS, Known, path_of


def test_the_page_says_what_is_held(client: Client, known: Known) -> None:
    response = client.get(known.path)
    text = read(response).text
    assert response.status_code == 200
    assert "What STOP Test holds about you" in text
    assert "Yes, Nurses Test may e-mail me." in text
    assert "I planted the plum orchard behind the clinic." in text
    assert response.headers["Cache-Control"] == "no-store"
    assert "noindex" in response.text
    assert '<meta name="clean-url" content="/me">' in response.text
    assert "Set-Cookie" not in response.headers


def test_the_page_speaks_the_language_of_the_person_unless_asked(
    client: Client, known: Known
) -> None:
    known.person.language = "es"
    db.session.commit()
    assert 'lang="es"' in client.get(known.path).text
    assert 'lang="en"' in client.get(f"{known.path}?lang=en").text


def test_reading_changes_nothing(client: Client, known: Known) -> None:
    before = everything()
    for tail in ("", "/data", "/data.json", "/erase"):
        assert client.get(known.path + tail).status_code == 200
        assert client.head(known.path + tail).status_code == 200
    assert everything() == before


def test_a_box_left_empty_withdraws_and_only_that(client: Client, known: Known) -> None:
    response = client.submit(known.path, {"consent-nurses-test": None})
    assert response.status_code == 303
    assert not people.has_consent(known.person.id, known.partner.id)
    assert people.has_consent(known.person.id, known.organization.id)
    assert "You withdrew on" in client.get(known.path).text


def test_a_box_ticked_again_grants_with_the_words_beside_it(client: Client, known: Known) -> None:
    client.submit(known.path, {"consent-nurses-test": None})
    client.submit(known.path, {"consent-nurses-test": "yes"})
    last = people.last_consent(known.person.id, known.partner.id, "email")
    assert last is not None
    assert last.wording is not None
    assert last.is_granted
    assert last.wording.text in client.get(known.path).text


def test_a_box_that_was_not_on_the_page_is_not_withdrawn(client: Client, known: Known) -> None:
    third = make_organization(slug="third-test")
    page = client.get(known.path)
    token = read(page).forms[0]["fields"][0][1]
    make_consent(known.person, third)
    client.post(
        known.path,
        data={
            "csrf_token": token,
            "offered": ["consent-stop-test", "consent-nurses-test"],
            "consent-stop-test": "yes",
        },
    )
    assert people.has_consent(known.person.id, third.id)
    assert not people.has_consent(known.person.id, known.partner.id)


def test_details_are_corrected_and_kept_as_history(client: Client, known: Known) -> None:
    response = client.submit(
        known.path, {"first_name": "Xiomára", "postal_code": "60637-1234", "language": "es"}
    )
    assert response.status_code == 303
    person = db.session.get_one(Person, known.person.id)
    assert (person.first_name, person.postal_code, person.language) == ("Xiomára", "60637", "es")
    change = db.session.scalars(select(PersonChange).order_by(PersonChange.id.desc())).first()
    assert change is not None
    assert change.user_id is None
    assert change.fields["postal_code"] == ["60699", "60637"]
    assert people.has_consent(person.id, known.organization.id)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", "A\x00B"),
        ("last_name", "x\u202egnp.exe"),
        ("first_name", "x" * 5000),
        ("last_name", "one\r\ntwo"),
        ("postal_code", "no digits"),
    ],
)
def test_hostile_text_is_refused_at_its_field_and_nothing_changes(
    client: Client, known: Known, field: str, value: str
) -> None:
    before = everything()
    response = client.submit(known.path, {field: value, "consent-stop-test": None})
    assert response.status_code == 200
    assert f'id="{field}-error"' in response.text
    assert everything() == before


def test_markup_in_what_was_typed_stays_text(client: Client, known: Known) -> None:
    client.submit(known.path, {"first_name": "<script>alert(1)</script>"})
    for tail in ("", "/data"):
        text = client.get(known.path + tail).text
        assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in client.get(known.path).text


def test_stopping_and_starting_mail(client: Client, known: Known) -> None:
    assert client.submit(known.path, {"action": "everything"}, form="/mail").status_code == 303
    assert db.session.scalar(select(func.count()).select_from(Suppression)) == 1
    assert not people.has_consent(known.person.id, known.organization.id)
    client.submit(known.path, {"action": "start"}, form="/mail")
    assert db.session.scalar(select(func.count()).select_from(Suppression)) == 0
    assert people.has_consent(known.person.id, known.organization.id)


def test_an_unknown_action_is_no_action(client: Client, known: Known) -> None:
    before = everything()
    assert client.submit(known.path, {"action": "address"}, form="/mail").status_code == 400
    assert everything() == before


def test_taking_a_name_off_lowers_the_count_once(client: Client, known: Known) -> None:
    before = petitions.count(known.petition.id).confirmed
    page = client.get(known.path)
    form = next(form for form in read(page).forms if "/withdraw" in form["action"])
    for _again in range(2):
        client.post(form["action"], data=dict(form["fields"]))
    assert petitions.count(known.petition.id).confirmed == before - 1


def test_nobody_takes_another_persons_name_off(client: Client, known: Known) -> None:
    other = make_signature(known.petition)
    db.session.commit()
    page = client.get(known.path)
    form = next(form for form in read(page).forms if "/withdraw" in form["action"])
    action = form["action"].replace(str(known.signature.id), str(other.id))
    assert client.post(action, data=dict(form["fields"])).status_code == 404
    assert db.session.get_one(Signature, other.id).state == SignatureState.CONFIRMED


def test_the_download_is_readable_json(client: Client, known: Known) -> None:
    response = client.get(f"{known.path}/data.json")
    held = json.loads(response.data)
    assert held["About you"]["First name"] == "Xiomara"
    assert held["What you agreed to"][0]["In these words"] == "Yes, Nurses Test may e-mail me."
    assert held["Email we sent you"][0]["Subject"] == "Hello Xiomara"
    assert held["Files you were in"][0]["Made for"] == "Nurses Test"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "no-store"


def test_erasing_oneself(client: Client, known: Known) -> None:
    response = client.submit(f"{known.path}/erase", follow_redirects=True)
    assert response.status_code == 410
    assert "Done. You are erased." in response.text
    assert traces_of(*WORDS) == {}
    assert not known.export_path.exists()
    for tail in ("", "/data", "/data.json", "/erase"):
        assert client.get(known.path + tail).status_code == 410
    assert client.post(known.path, data={}).status_code == 400


def test_a_signature_not_confirmed_yet_can_be_read_and_deleted(
    client: Client, known: Known
) -> None:
    waiting = make_signature(
        known.petition, SignatureState.PENDING, email="wolf@mail.example", first_name="Wolf"
    )
    db.session.commit()
    path = "/me/" + preferences_url(SIGNATURE, waiting.id).rsplit("/", 1)[1]
    page = client.get(path)
    assert page.status_code == 200
    assert "wolf@mail.example" in page.text
    assert client.get(f"{path}/data").status_code == 404
    response = client.submit(path, follow_redirects=True)
    assert response.status_code == 410
    assert traces_of("wolf@mail.example", "Wolf") == {}


def test_a_signature_withdrawn_before_it_was_confirmed_can_be_deleted(
    client: Client, known: Known
) -> None:
    withdrawn = make_signature(
        known.petition, SignatureState.WITHDRAWN, email="wolf@mail.example", first_name="Wolf"
    )
    db.session.commit()
    path = "/me/" + preferences_url(SIGNATURE, withdrawn.id).rsplit("/", 1)[1]
    assert client.submit(path, follow_redirects=True).status_code == 410
    assert traces_of("wolf@mail.example", "Wolf") == {}


def test_a_confirmed_signatures_link_leads_to_its_person(client: Client, known: Known) -> None:
    path = "/me/" + preferences_url(SIGNATURE, known.signature.id).rsplit("/", 1)[1]
    assert "What STOP Test holds about you" in client.get(path).text


def test_forged_tokens_open_nothing(app: Flask, client: Client, known: Known) -> None:
    token = known.path.removeprefix("/me/")
    with app.test_request_context():
        foreign = signer().sign("unsubscribe", ["person", known.person.id.hex])
        values: list[object] = [
            ["person", uuid.uuid4().hex],
            ["person", "x"],
            ["user", known.person.id.hex],
            ["person"],
            "person",
            None,
            7,
            {},
        ]
        odd = [signer().sign("preferences", value) for value in values]
    for forged in (token[:-2], token + "x", "x", foreign, "a" * 3000, "..", *odd[1:]):
        assert client.get(f"/me/{forged}").status_code == 404, forged
    assert client.get(f"/me/{odd[0]}").status_code == 410


def test_a_link_works_for_a_year(client: Client, known: Known) -> None:
    now, path = datetime.now(UTC), known.path
    with time_machine.travel(now + timedelta(days=364)):
        assert client.get(path).status_code == 200
    with time_machine.travel(now + timedelta(days=367)):
        response = client.get(path)
    assert response.status_code == 410
    assert "Ask for a new link" in response.text


def test_changing_without_the_pages_token_is_refused(client: Client, known: Known) -> None:
    before = everything()
    for tail in ("", "/mail", "/erase", f"/signatures/{known.signature.id}/withdraw"):
        assert client.post(known.path + tail, data={"action": "everything"}).status_code == 400
    assert everything() == before


def test_asking_for_the_link_answers_alike(client: Client, known: Known) -> None:
    there = client.submit("/me", {"email": "xq.unique+x@MAIL.example"}, follow_redirects=True)
    not_there = client.submit("/me", {"email": "nobody@mail.example"}, follow_redirects=True)
    assert read(there).text == read(not_there).text
    assert there.status_code == not_there.status_code == 200
    sent = db.session.scalars(select(Delivery).where(Delivery.person_id == known.person.id)).all()
    assert len(sent) == 2
    link = (sent[-1].values or {})["preferences_url"]
    assert client.get("/" + link.split("/", 3)[3]).status_code == 200


def test_asking_often_sends_three_a_day(client: Client, known: Known) -> None:
    for _again in range(5):
        client.submit("/me", {"email": "xq.unique@mail.example"})
    assert db.session.scalar(select(func.count()).select_from(Delivery)) == 1 + 3


# --- erasing from the console ------------------------------------------------------------------


def test_an_organizer_erases_with_the_typed_word(client: Client, known: Known) -> None:
    user = make_member(known.organization, Role.ORGANIZER)
    log_in(client, user, known.organization)
    path = f"/organize/people/{known.person.id}/erase"
    refused = client.submit(path, {"word": "delete"}, form="/erase")
    assert refused.status_code == 200
    assert traces_of("Quetzalcóatl") != {}
    assert client.submit(path, {"word": " Erase "}, form="/erase").status_code == 303
    assert traces_of(*WORDS) == {}
    assert client.get(f"/organize/people/{known.person.id}").status_code == 404
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DATA_ENTRY, Role.PARTNER])
def test_other_roles_erase_nobody(client: Client, known: Known, role: str) -> None:
    log_in(client, make_member(known.organization, role), known.organization)
    assert client.get(f"/organize/people/{known.person.id}/erase").status_code == 403


def test_another_organizations_owner_erases_nobody(client: Client, known: Known) -> None:
    log_in(client, make_member(), None)
    assert client.get(f"/organize/people/{known.person.id}/erase").status_code == 404


def test_the_link_sent_by_the_team(client: Client, known: Known) -> None:
    log_in(client, make_member(known.organization), known.organization)
    response = client.submit(f"/organize/people/{known.person.id}", form="/link")
    assert response.status_code == 303
    sent = db.session.scalars(select(Delivery).order_by(Delivery.id.desc())).first()
    assert sent is not None
    assert (sent.values or {})["preferences_url"].startswith("http")


def test_two_organizations_two_pages(client: Client, known: Known) -> None:
    elsewhere = make_organization(name="Elsewhere Org")
    twin = make_person(elsewhere, email="xq.unique@mail.example", first_name="Xiomara")
    people_services.add_note(twin, "only elsewhere", author_id=None)
    db.session.commit()
    assert "only elsewhere" not in client.get(f"{known.path}/data").text
    assert "only elsewhere" in client.get(f"{path_of(twin)}/data").text
    assert db.session.scalar(select(func.count()).select_from(Consent)) == 2
