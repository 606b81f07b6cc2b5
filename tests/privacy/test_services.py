"""Erasing leaves no trace; withdrawing, stopping and choosing do what they say and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db
from campaign.errors import Conflict
from campaign.exports.models import Export, ExportState
from campaign.mail.addresses import address_hash
from campaign.mail.models import Delivery, Scope, Suppression
from campaign.mail.services import suppress
from campaign.organizations.models import AuditEntry
from campaign.people import queries as people
from campaign.people.models import Consent, Erasure, Person
from campaign.petitions import queries as petitions
from campaign.petitions.models import Signature, SignatureState
from campaign.privacy import queries, services
from tests.factories.leftovers import traces_of
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_signature
from tests.privacy.conftest import WORDS, Known


def test_the_search_for_traces_finds_what_is_there(known: Known) -> None:
    found = traces_of(*WORDS)
    assert {"people", "signatures", "notes", "person_changes", "consents", "person_words"} <= set(
        found
    )
    assert {word for hits in found.values() for word in hits} == set(WORDS)


def test_erasing_leaves_no_trace_in_any_table(known: Known) -> None:
    hashed = known.person.address_hash
    assert hashed is not None
    suppress(hashed, scope=Scope.EVERYTHING, reason="unsubscribed")
    erased = services.erase_person(known.person)
    db.session.commit()
    erased.delete_files()

    assert traces_of(*WORDS, "198.51.100.77") == {}
    assert not known.export_path.exists()
    assert set(traces_of(hashed)) == {"erasures", "mail_suppressions"}
    assert (erased.people, erased.signatures, len(erased.files)) == (1, 1, 1)


def test_erasing_reaches_mail_that_was_sent(known: Known, run_tasks: Callable[[], int]) -> None:
    run_tasks()
    assert traces_of("Xiomara")["mail_mailbox"]
    services.erase_person(known.person)
    db.session.commit()
    assert traces_of(*WORDS) == {}
    assert db.session.scalars(select(Delivery.state)).one() != "cancelled"


def test_erasing_keeps_count_ward_and_journal(known: Known) -> None:
    person_id, district_id = known.person.id, known.signature.district_id
    before = petitions.count(known.petition.id)
    services.erase_person(known.person)
    db.session.commit()

    assert petitions.count(known.petition.id) == before
    tombstone = db.session.get_one(Signature, known.signature.id)
    assert tombstone.state == SignatureState.CONFIRMED
    assert (tombstone.person_id, tombstone.district_id) == (None, district_id)
    assert db.session.get_one(Person, person_id).erased_at is not None
    journal = db.session.scalars(select(Erasure)).one()
    assert journal.person_id == person_id
    assert journal.address_hash == address_hash("xq.unique@mail.example")
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "person.erased")).one()
    assert entry.details == {"signatures": 1, "answers": 0, "files": 1}


def test_erasing_ends_consents_and_recalls_files(known: Known) -> None:
    services.erase_person(known.person)
    db.session.commit()

    assert not people.has_consent(known.person.id, known.partner.id)
    last = db.session.scalars(select(Consent).order_by(Consent.id.desc())).first()
    assert last is not None
    assert (last.is_granted, last.source, last.source_detail) == (False, "erasure", "")
    assert db.session.scalars(select(Export.state)).one() == ExportState.EXPIRED


def test_erasing_cancels_waiting_mail(known: Known) -> None:
    services.erase_person(known.person)
    db.session.commit()
    delivery = db.session.scalars(select(Delivery)).one()
    assert (delivery.state, delivery.address, delivery.values) == ("cancelled", None, None)


def test_erasing_spares_the_other_one_of_the_household(known: Known) -> None:
    other = make_person(
        known.organization,
        email="xq.unique@mail.example",
        first_name="Benito",
        last_name="Juarez",
        postal_code="60699",
    )
    theirs = make_signature(known.petition, person=other, slot=2)
    assert other.id != known.person.id
    services.erase_person(known.person)
    db.session.commit()

    assert set(traces_of("Xiomara", "Quetzalcóatl", "plum orchard")) == set()
    kept = db.session.get_one(Signature, theirs.id)
    assert (kept.first_name, kept.email) == ("Benito", "xq.unique@mail.example")
    assert db.session.get_one(Person, other.id).erased_at is None


def test_erase_everywhere_reaches_the_same_person_at_other_organizations(known: Known) -> None:
    elsewhere = make_organization()
    same = make_person(
        elsewhere, email="xq.unique@mail.example", first_name="Xiomara", last_name="Quetzalcoatl"
    )
    stranger = make_person(elsewhere, first_name="Xiomara", last_name="Quetzalcoatl")
    erased = services.erase_everywhere(known.person)
    db.session.commit()
    assert erased.people == 2
    assert db.session.get_one(Person, same.id).erased_at is not None
    assert db.session.get_one(Person, stranger.id).erased_at is None


def test_erasing_in_one_organization_leaves_the_other(known: Known) -> None:
    elsewhere = make_organization()
    same = make_person(elsewhere, email="xq.unique@mail.example", first_name="Xiomara")
    services.erase_address("XQ.UNIQUE+tag@mail.example", known.organization.id)
    db.session.commit()
    assert db.session.get_one(Person, known.person.id).erased_at is not None
    assert db.session.get_one(Person, same.id).first_name == "Xiomara"


def test_erase_address_takes_signatures_nobody_confirmed(known: Known) -> None:
    make_signature(
        known.petition, SignatureState.PENDING, email="lone.wolf@mail.example", first_name="Wolf"
    )
    db.session.commit()
    assert traces_of("lone.wolf") != {}
    erased = services.erase_address("Lone.Wolf@mail.example")
    db.session.commit()
    assert erased.signatures == 1
    assert traces_of("lone.wolf", "Wolf") == {}
    assert db.session.scalars(select(Erasure.address_hash)).all() == [
        address_hash("lone.wolf@mail.example")
    ]


def test_erasing_twice_finds_nobody(known: Known) -> None:
    services.erase_address("xq.unique@mail.example")
    db.session.commit()
    assert services.erase_address("xq.unique@mail.example") == services.Erased()


def test_withdrawing_is_not_erasing(known: Known) -> None:
    before = petitions.count(known.petition.id).confirmed
    services.withdraw_signature(known.person, known.signature.id)
    db.session.commit()
    assert petitions.count(known.petition.id).confirmed == before - 1
    assert db.session.get_one(Person, known.person.id).first_name == "Xiomara"


def test_choices_offer_the_organization_and_its_partners(known: Known) -> None:
    choices = queries.choices_for(known.person, "en")
    assert [choice.field for choice in choices] == ["consent-stop-test", "consent-nurses-test"]
    assert all(choice.is_granted for choice in choices)


def test_unticking_withdraws_and_ticking_grants_in_the_words_shown(known: Known) -> None:
    choices = queries.choices_for(known.person, "en")
    services.change_choices(
        known.person, choices, {"consent-stop-test": choices[0].mark}, language="en"
    )
    db.session.commit()
    assert people.has_consent(known.person.id, known.organization.id)
    assert not people.has_consent(known.person.id, known.partner.id)

    choices = queries.choices_for(known.person, "en")
    ticked = {choice.field: choice.mark for choice in choices}
    services.change_choices(known.person, choices, ticked, language="en")
    db.session.commit()
    last = people.last_consent(known.person.id, known.partner.id, "email")
    assert last is not None
    assert last.wording is not None
    assert (last.is_granted, last.source, last.wording.text) == (
        True,
        "preferences",
        choices[1].text,
    )


def test_nobody_agrees_to_words_they_did_not_read(known: Known) -> None:
    services.change_choices(
        known.person, queries.choices_for(known.person, "en"), {}, language="en"
    )
    choices = queries.choices_for(known.person, "en")
    with pytest.raises(Conflict):
        services.change_choices(
            known.person, choices, {"consent-nurses-test": "0123456789abcdef"}, language="en"
        )
    assert not people.has_consent(known.person.id, known.partner.id)


def test_the_same_choices_again_add_no_line(known: Known) -> None:
    choices = queries.choices_for(known.person, "en")
    ticked = {choice.field: choice.mark for choice in choices}
    count = select(func.count()).select_from(Consent)
    before = db.session.scalar(count)
    assert services.change_choices(known.person, choices, ticked, language="en") == 0
    assert db.session.scalar(count) == before


def test_stopping_one_organization_keeps_the_partner(known: Known) -> None:
    services.stop_mail(known.person, Scope.ORGANIZATION)
    db.session.commit()
    assert not people.has_consent(known.person.id, known.organization.id)
    assert people.has_consent(known.person.id, known.partner.id)
    row = db.session.scalars(select(Suppression)).one()
    assert (row.scope, row.scope_id) == (Scope.ORGANIZATION, known.organization.id.hex)


def test_stopping_everything_ends_every_consent_to_mail(known: Known) -> None:
    services.stop_mail(known.person, Scope.EVERYTHING)
    db.session.commit()
    assert not people.has_consent(known.person.id, known.organization.id)
    assert not people.has_consent(known.person.id, known.partner.id)


def test_starting_again_is_a_new_consent_and_lifts_what_the_person_set(known: Known) -> None:
    hashed = known.person.address_hash or ""
    services.stop_mail(known.person, Scope.EVERYTHING)
    services.stop_mail(known.person, Scope.ORGANIZATION)
    suppress(hashed, scope=Scope.ADDRESS, reason="bounced")
    own = queries.choices_for(known.person, "en")[0]
    services.start_mail(known.person, own, language="en")
    db.session.commit()
    assert people.has_consent(known.person.id, known.organization.id)
    assert not people.has_consent(known.person.id, known.partner.id)
    assert db.session.scalars(select(Suppression.scope)).all() == [Scope.ADDRESS]


def test_all_that_is_held_is_in_the_download(known: Known) -> None:
    plain = repr(queries.as_plain(queries.holding_of(known.person)))
    for word in ("Xiomara", "Quetzalcóatl", "60699", "312-555-0142", "plum orchard", "VIP"):
        assert word in plain
    assert "198.51.100.77" in plain
    assert "Hello Xiomara" in plain
    assert "Nurses Test" in plain


def test_holdings_of_one_organization_hold_nothing_of_another(known: Known) -> None:
    elsewhere = make_organization(name="Elsewhere Org")
    twin = make_person(elsewhere, email="xq.unique@mail.example", first_name="Xiomara")
    make_consent(twin, elsewhere)
    plain = repr(queries.as_plain(queries.holding_of(known.person)))
    assert "Elsewhere Org" not in plain
    assert "plum orchard" not in repr(queries.as_plain(queries.holding_of(twin)))


def test_erasing_an_unknown_address_does_nothing(app: Flask) -> None:
    assert services.erase_address("nobody@nowhere.example") == services.Erased()
    assert db.session.scalars(select(Erasure)).all() == []
