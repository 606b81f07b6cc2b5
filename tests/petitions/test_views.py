"""Signing as a person meets it: pages, answers, e-mails, rows."""

from __future__ import annotations

import gzip
import itertools
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text

from campaign import clock
from campaign.campaigns.boxes import mark_of
from campaign.db import Words, db
from campaign.mail.addresses import address_hash
from campaign.organizations.models import AuditEntry, Organization
from campaign.people import strangers
from campaign.people.models import Consent, ConsentWording, Person
from campaign.petitions import queries, services
from campaign.petitions.models import (
    CommentState,
    Display,
    PetitionState,
    Signature,
    SignatureState,
    SigningMail,
)
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_clinic, make_partner, make_wards
from tests.factories.organizations import make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature
from tests.factories.statements import counted
from tests.petitions.conftest import ANA, Sign, outbox


def only() -> Signature:
    return db.session.scalars(select(Signature)).one()


def confirm(client: Client, link: str, **data: Any) -> Any:
    return client.submit(link, data, form="/confirm/", follow_redirects=True)


# --- reading -----------------------------------------------------------------------------------


def test_page_shows_the_petition_its_form_and_its_count(client: Client) -> None:
    here = clock.now().astimezone(clock.zone("America/Chicago")).date()
    campaign = make_campaign(
        decision_on=here + timedelta(days=23),
        decision_label=Words(en="Council votes"),
    )
    make_clinic(campaign, name="Woodlawn")
    petition = make_petition(campaign, goal=5)
    for _ in range(3):
        make_signature(petition)
    db.session.commit()
    page = read(client.get(f"/p/{petition.slug}"))
    assert petition.title["en"] in page.text
    assert "3 neighbors have signed. Next stop: 5." in page.text
    assert "Council votes in 23 days" in page.text
    assert "Woodlawn" in page.text
    fields = {name for name, _value in page.forms[0]["fields"]}
    assert {"first_name", "last_name", "email", "postal_code", "display", "language"} <= fields


def test_page_sets_no_cookie_and_stays_under_60_kb(client: Client, app: Flask) -> None:
    petition = make_petition()
    for number in range(30):
        make_signature(
            petition,
            display=Display.FULL,
            comment="x" * 900,
            comment_state="approved",
            first_name=f"N{number}",
        )
    db.session.commit()
    response = client.get(f"/p/{petition.slug}")
    assert "Set-Cookie" not in response.headers
    size = len(gzip.compress(response.data))
    for name in re.findall(r'(?:href|src)="/static/([^"?]+)', response.get_data(as_text=True)):
        body = (Path(app.static_folder or "") / name).read_bytes()
        size += len(body if name.endswith("woff2") else gzip.compress(body))
    assert size < 60_000
    assert "http://" not in re.sub(r'xmlns="[^"]*"', "", response.get_data(as_text=True))


def test_second_reading_is_the_same_rendering_and_304_when_known(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    first = client.get(f"/p/{petition.slug}")
    again = client.get(f"/p/{petition.slug}")
    assert first.data == again.data
    assert "public" in first.headers["Cache-Control"]
    assert first.headers["Vary"] == "Accept-Language, Cookie"
    known = client.get(f"/p/{petition.slug}", headers={"If-None-Match": first.headers["ETag"]})
    assert known.status_code == 304
    nonce = re.search(r"nonce-([^']+)'", first.headers["Content-Security-Policy"])
    assert (nonce is None) or nonce[1] in first.get_data(as_text=True)


def test_page_is_renewed_after_two_seconds(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from campaign.web import page_cache

    petition = make_petition()
    db.session.commit()
    now = [1000.0]
    monkeypatch.setattr(page_cache, "monotonic", lambda: now[0])
    assert "Be the first" in read(client.get(f"/p/{petition.slug}")).text
    make_signature(petition)
    db.session.commit()
    now[0] += 1.9
    assert "Be the first" in read(client.get(f"/p/{petition.slug}")).text
    now[0] += 0.2
    assert "1 neighbor has signed" in read(client.get(f"/p/{petition.slug}")).text


def test_source_and_referral_of_a_shared_page_are_each_visitors_own(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    plain = read(client.get(f"/p/{petition.slug}"))
    mine = client.get(f"/p/{petition.slug}?source=flyer&ref=AbC123")
    fields = dict(read(mine).forms[0]["fields"])
    assert (fields["source"], fields["ref"]) == ("flyer", "AbC123")
    assert dict(plain.forms[0]["fields"])["source"] == ""
    assert any("source=flyer" in href and "lang=es" in href for href, _ in read(mine).links)
    hostile = client.get(
        f"/p/{petition.slug}?source=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&ref=%3Cb%3E"
    )
    assert "<script>alert" not in hostile.get_data(as_text=True)
    assert "0f6d" not in hostile.get_data(as_text=True)


@pytest.mark.parametrize("slug", ["nothing-here", "%00", "a" * 500, "petition'--", "🙂"])
def test_unknown_petition_is_404_for_reading_and_signing(client: Client, slug: str) -> None:
    other = make_petition()
    db.session.commit()
    for path in (f"/p/{slug}", f"/p/{slug}/thanks", f"/p/{slug}.json"):
        assert client.get(path).status_code == 404, path
    token = dict(read(client.get(f"/p/{other.slug}")).forms[0]["fields"])["csrf_token"]
    assert client.post(f"/p/{slug}", data=ANA | {"csrf_token": token}).status_code == 404
    assert client.post(f"/p/{slug}", data=ANA).status_code in {400, 404}


def test_draft_is_404(client: Client) -> None:
    petition = make_petition(state=PetitionState.DRAFT)
    db.session.commit()
    for path in (f"/p/{petition.slug}", f"/p/{petition.slug}.json", f"/p/{petition.slug}/thanks"):
        assert client.get(path).status_code == 404


def test_closed_petition_tells_the_result_and_takes_no_signature(
    client: Client, sign: Sign
) -> None:
    petition = make_petition()
    make_signature(petition)
    db.session.commit()
    page = read(client.get(f"/p/{petition.slug}"))
    fields = dict(page.forms[0]["fields"])
    petition.close(clock.now())
    petition.result = Words(en="The council voted **yes**.")
    db.session.commit()
    queries.forget_sheets()
    client.application.extensions["pages"].clear()
    closed = read(client.get(f"/p/{petition.slug}"))
    assert "This petition is closed" in closed.text
    assert "The council voted yes ." in closed.text or "The council voted yes." in closed.text
    assert not [form for form in closed.forms if form["method"] == "post"]
    late = client.post(f"/p/{petition.slug}", data=fields | ANA)
    assert late.status_code == 410
    assert "closed before your name reached us" in read(late).text
    assert db.session.scalar(select(Signature).where(Signature.state == "pending")) is None


def test_closing_time_closes_by_itself(client: Client) -> None:
    petition = make_petition(closes_at=clock.now() - timedelta(minutes=1))
    db.session.commit()
    assert "This petition is closed" in read(client.get(f"/p/{petition.slug}")).text


def test_public_counts_as_json(client: Client) -> None:
    make_wards()
    petition = make_petition(goal=10)
    for code in ("60637", "60637", "99999"):
        make_signature(petition, postal_code=code)
    make_signature(petition, SignatureState.UNVERIFIED)
    make_signature(petition, SignatureState.PENDING)
    db.session.commit()
    response = client.get(f"/p/{petition.slug}.json")
    assert response.json == {"total": 3, "goal": 10, "by_ward": {"20": 2}}
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "s-maxage" in response.headers["Cache-Control"]
    etag = response.headers["ETag"]
    assert (
        client.get(f"/p/{petition.slug}.json", headers={"If-None-Match": etag}).status_code == 304
    )


def test_spanish_page_speaks_spanish_and_keeps_it(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    page = client.get(f"/p/{petition.slug}?lang=es")
    assert petition.title["es"] in read(page).text
    assert '<html lang="es"' in page.get_data(as_text=True)
    answer = sign(petition.slug, f"/p/{petition.slug}?lang=es")
    assert answer.headers["Location"].endswith(f"/p/{petition.slug}/thanks?lang=es")
    assert only().language == "es"
    assert "lang=es" in outbox()[0].link("confirm")
    assert petition.title["es"] in outbox()[0].text


def test_language_field_alone_decides_too(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    answer = sign(petition.slug, language="es")
    assert answer.headers["Location"].endswith("/thanks?lang=es")
    assert only().language == "es"


# --- what is seen of signers -------------------------------------------------------------------


def test_signers_are_shown_as_far_as_they_chose(client: Client) -> None:
    make_wards()
    petition = make_petition()
    for display in Display:
        make_signature(
            petition, display=display, first_name=f"First-{display}", last_name=f"Last-{display}"
        )
    make_signature(petition, SignatureState.PENDING, display=Display.FULL, first_name="Waiting")
    make_signature(petition, SignatureState.WITHDRAWN, display=Display.FULL, first_name="Gone")
    db.session.commit()
    shown = read(client.get(f"/p/{petition.slug}")).text
    assert "First-full Last-full" in shown
    assert "First-initial" in shown
    assert "20th Ward" in shown
    for hidden in ("Last-initial", "First-hidden", "Last-hidden", "Waiting", "Gone"):
        assert hidden not in shown


def test_petition_may_lower_what_is_shown_never_raise_it(client: Client, sign: Sign) -> None:
    petition = make_petition(most_public=Display.INITIAL)
    make_signature(petition, display=Display.FULL, first_name="Full", last_name="Surname")
    make_signature(petition, display=Display.HIDDEN, first_name="Hidden")
    db.session.commit()
    page = client.get(f"/p/{petition.slug}")
    assert "Full" in read(page).text
    assert "Surname" not in read(page).text
    assert "Hidden" not in read(page).text
    assert 'value="full"' not in page.get_data(as_text=True)
    sign(petition.slug, display="full")
    assert (
        db.session.scalars(select(Signature).where(Signature.state == "pending")).one().display
        == "initial"
    )


def test_only_approved_comments_are_shown_and_named_by_choice(client: Client) -> None:
    petition = make_petition()
    for state in CommentState:
        make_signature(petition, comment=f"Words-{state}", comment_state=state, first_name="Nemo")
    db.session.commit()
    shown = read(client.get(f"/p/{petition.slug}")).text
    assert "Words-approved" in shown
    assert "A neighbor who asked not to be named" in shown
    for hidden in ("Words-waiting", "Words-hidden", "Words-none", "Nemo"):
        assert hidden not in shown


# --- signing -----------------------------------------------------------------------------------


def test_signing_leaves_one_row_and_one_email(client: Client, sign: Sign) -> None:
    petition = make_petition(asks_phone=True)
    db.session.commit()
    answer = sign(
        petition.slug,
        f"/p/{petition.slug}?source=flyer",
        phone="312 555 0142",
        comment="It is my group.\r\nEvery Tuesday.",
        display="initial",
        postal_code="60637-1234",
    )
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/p/{petition.slug}/thanks"
    assert "Set-Cookie" not in answer.headers
    row = only()
    assert (row.first_name, row.last_name, row.email) == ("Ana", "Ruiz", "ana@example.org")
    assert (row.postal_code, row.phone, row.source) == ("60637", "312 555 0142", "flyer")
    assert (row.display, row.comment_state, row.state) == ("initial", "waiting", "pending")
    assert "Every Tuesday." in row.comment
    assert row.expires_at == row.created_at + timedelta(days=7)
    assert queries.count(petition.id) == queries.Counts()
    assert db.session.scalar(select(Person)) is None
    [mail] = outbox()
    assert mail.to == "ana@example.org"
    assert mail.subject == "Please confirm your signature"
    assert "Ana" in mail.text
    thanks = read(client.get(answer.headers["Location"])).text
    assert "One step is left" in thanks


def test_confirming_counts_once_and_makes_the_person(client: Client, sign: Sign) -> None:
    make_wards()
    petition = make_petition()
    partner = make_partner(petition.campaign)
    other = make_partner(petition.campaign)
    db.session.commit()
    slug = db.session.get_one(Organization, partner.partner_id).slug
    sign(petition.slug, **{f"consent-{slug}": "1"})
    link = outbox()[0].link("confirm")
    page = read(client.get(link))
    assert "Is this right, Ana?" in page.text
    assert partner.wording["en"] in page.text
    assert other.wording["en"] not in page.text
    assert queries.count(petition.id).confirmed == 0
    done = confirm(client, link)
    assert "Thank you, Ana. You are counted." in read(done).text
    assert "1 neighbor has signed" in read(done).text
    confirm_again = client.post(link, data={"csrf_token": _token(client, petition.slug)})
    assert confirm_again.status_code == 303
    assert queries.count(petition.id) == queries.Counts(1, 0)
    assert queries.counts_by_ward(petition.id) == {"20": 1}
    person = db.session.scalars(select(Person)).one()
    assert (person.email, person.first_name, person.postal_code) == (
        "ana@example.org",
        "Ana",
        "60637",
    )
    assert only().person_id == person.id
    [consent] = db.session.scalars(select(Consent))
    assert consent.grantee_id == partner.partner_id
    assert consent.is_granted
    assert consent.wording is not None
    assert consent.wording.text == partner.wording["en"]
    assert consent.source == "page"
    assert [mail.subject for mail in outbox()] == [
        "Please confirm your signature",
        "Your signature is counted",
    ]


def test_a_next_step_on_this_site_is_a_whole_address_in_the_email(
    client: Client, sign: Sign
) -> None:
    campaign = make_campaign()
    petition = make_petition(
        campaign,
        next_label=Words(en="See what comes next", es="Vea qué sigue"),
        next_url=f"/c/{campaign.slug}",
    )
    db.session.commit()
    sign(petition.slug, f"/p/{petition.slug}?lang=es", language="es")
    done = read(confirm(client, outbox()[0].link("confirm")))
    mail = outbox()[-1]
    assert f"http://127.0.0.1:8000/c/{campaign.slug}?lang=es" in mail.text
    assert f'href="http://127.0.0.1:8000/c/{campaign.slug}?lang=es"' in mail.html
    assert any(href == f"/c/{campaign.slug}?lang=es" for href, _ in done.links)


def test_one_page_is_offered_once_as_the_next_step(client: Client) -> None:
    campaign = make_campaign()
    label = Words(en="See what comes next")
    here = make_petition(campaign, next_label=label, next_url=f"/c/{campaign.slug}")
    away = make_petition(campaign, next_label=label, next_url="https://example.org/hearing")
    db.session.commit()
    for petition, steps in ((here, 1), (away, 2)):
        more = client.get(f"/p/{petition.slug}").get_data(as_text=True).partition("Do more than")[2]
        assert more.partition("</ul>")[0].count("<li>") == steps


def _token(client: Client, slug: str) -> str:
    return str(dict(read(client.get(f"/p/{slug}")).forms[0]["fields"])["csrf_token"])


def test_nothing_is_ticked_before_and_no_tick_is_no_consent(client: Client, sign: Sign) -> None:
    petition = make_petition()
    make_partner(petition.campaign)
    db.session.commit()
    page = client.get(f"/p/{petition.slug}").get_data(as_text=True)
    boxes = re.findall(r'<input type="checkbox"[^>]*>', page)
    assert len(boxes) == 2
    assert not [box for box in boxes if "checked" in box]
    sign(petition.slug)
    confirm(client, outbox()[0].link("confirm"))
    assert db.session.scalar(select(Consent)) is None


def test_consent_is_to_the_words_that_were_on_the_page(client: Client, sign: Sign) -> None:
    petition = make_petition()
    partner = make_partner(petition.campaign)
    db.session.commit()
    slug = db.session.get_one(Organization, partner.partner_id).slug
    old, mark = partner.wording["en"], mark_of(partner.wording["en"])
    sign(petition.slug, **{f"consent-{slug}": mark}, email="first@example.org")
    partner.wording = Words(en="Now we also phone you.")
    db.session.commit()
    queries.forget_sheets()
    sign(petition.slug, **{f"consent-{slug}": mark})
    confirm(client, outbox("ana@example.org")[0].link("confirm"))
    [consent] = db.session.scalars(select(Consent))
    assert consent.wording is not None
    assert consent.wording.text == old
    refused = sign(petition.slug, **{f"consent-{slug}": "0123456789abcdef"}, email="x@example.org")
    assert refused.status_code == 400
    assert "These words have changed" in read(refused).text
    assert dict(read(refused).forms[0]["fields"])["email"] == "x@example.org"
    assert db.session.scalars(select(ConsentWording)).one().text == old


def test_unknown_organizations_box_is_ignored(client: Client, sign: Sign) -> None:
    petition, stranger = make_petition(), make_organization()
    db.session.commit()
    sign(petition.slug, **{f"consent-{stranger.slug}": "1", "consent-": "1", "consent-💥": "1"})
    assert only().wordings == {}


def test_name_and_zip_alone_are_enough_and_counted_apart(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    answers = {sign(petition.slug, email="").headers["Location"] for _ in range(2)}
    assert answers == {f"/p/{petition.slug}/thanks"}
    assert only().state == SignatureState.UNVERIFIED
    assert queries.count(petition.id) == queries.Counts(0, 1)
    assert outbox() == []
    sign(petition.slug, email="", first_name="Ben")
    assert queries.count(petition.id) == queries.Counts(0, 2)
    assert client.get(f"/p/{petition.slug}.json").json["total"] == 0


def test_referral_is_kept_when_it_is_of_this_petition(client: Client, sign: Sign) -> None:
    petition = make_petition()
    friend, stranger = make_signature(petition), make_signature()
    db.session.commit()
    sign(petition.slug, f"/p/{petition.slug}?ref={friend.referral_code}", email="a@example.org")
    sign(petition.slug, f"/p/{petition.slug}?ref={stranger.referral_code}", email="b@example.org")
    by_email = {row.email: row.referrer_id for row in db.session.scalars(select(Signature))}
    assert by_email["a@example.org"] == friend.id
    assert by_email["b@example.org"] is None


# --- the same answer for all -------------------------------------------------------------------


def test_answers_are_alike_for_new_known_barred_limited_and_capped(
    client: Client, sign: Sign, with_settings: Any
) -> None:
    with_settings(sign_limit_per_address=7)
    petition = make_petition()
    make_signature(petition, email="known@example.org", first_name="Ana", last_name="Ruiz")
    make_signature(
        petition,
        SignatureState.INVALIDATED,
        email="barred@example.org",
        first_name="Ana",
        last_name="Ruiz",
    )
    make_signature(
        petition,
        SignatureState.WITHDRAWN,
        email="left@example.org",
        first_name="Ana",
        last_name="Ruiz",
    )
    db.session.commit()
    outside = {"environ_overrides": {"REMOTE_ADDR": "203.0.113.9"}}
    answers = [
        sign(petition.slug, **outside),
        sign(petition.slug, **outside),
        sign(petition.slug, email="known@example.org", **outside),
        sign(petition.slug, email="barred@example.org", **outside),
        sign(petition.slug, email="left@example.org", **outside),
        sign(petition.slug, email="one@mailinator.com", **outside),
        sign(petition.slug, email="bot@example.org", website="https://spam.example", **outside),
        sign(petition.slug, email="over@example.org", **outside),
    ]
    seen = {
        (
            answer.status_code,
            answer.data,
            tuple(
                sorted((name, value) for name, value in answer.headers if name != "X-Request-Id")
            ),
        )
        for answer in answers
    }
    assert len(seen) == 1
    states = {row.email: row.state for row in db.session.scalars(select(Signature))}
    assert states["over@example.org"] == states["bot@example.org"] == SignatureState.REVIEW
    assert states["one@mailinator.com"] == states["left@example.org"] == SignatureState.PENDING
    subjects = {(mail.to, mail.subject) for mail in outbox()}
    assert subjects == {
        ("ana@example.org", "Please confirm your signature"),
        ("known@example.org", "You have signed already"),
        ("left@example.org", "Please confirm your signature"),
        ("one@mailinator.com", "Please confirm your signature"),
    }


def test_each_way_through_signing_does_the_same_work(client: Client, sign: Sign) -> None:
    """No timing tell: a newcomer, a known, a barred, a held and a capped signer cost the same."""
    petition = make_petition()
    make_signature(petition, email="known@example.org", first_name="Ana", last_name="Ruiz")
    make_signature(
        petition,
        SignatureState.INVALIDATED,
        email="barred@example.org",
        first_name="Ana",
        last_name="Ruiz",
    )
    make_signature(
        petition,
        SignatureState.PENDING,
        email="waits@example.org",
        first_name="Ana",
        last_name="Ruiz",
    )
    db.session.add(
        SigningMail(
            address_hash=address_hash("capped@example.org"), day=clock.now().date(), count=3
        )
    )
    db.session.commit()
    sign(petition.slug, email="first@example.org")  # it stores the letter that the others share
    page = dict(read(client.get(f"/p/{petition.slug}")).forms[0]["fields"])
    seen: dict[str, list[str]] = {}
    for address in ("new", "known", "barred", "waits", "capped", "bot"):
        more = {"website": "x"} if address == "bot" else {}
        with counted() as statements:
            client.post(
                f"/p/{petition.slug}", data=page | ANA | more | {"email": f"{address}@example.org"}
            )
        seen[address] = statements
    assert len(seen["new"]) >= 1
    assert len({tuple(statements) for statements in seen.values()}) == 1, seen


def test_three_emails_a_day_to_one_address_over_all_petitions(client: Client, sign: Sign) -> None:
    petitions = [make_petition() for _ in range(5)]
    db.session.commit()
    for petition, spelling in zip(
        petitions, itertools.cycle(["ana@example.org", "Ana+x@EXAMPLE.org"]), strict=False
    ):
        sign(petition.slug, email=spelling)
    assert len(outbox()) == strangers.MAILS_A_DAY
    assert db.session.query(Signature).count() == 5
    with time_machine.travel(clock.now() + timedelta(days=1)):
        sign(petitions[4].slug)
    assert len(outbox()) == strangers.MAILS_A_DAY + 1


def test_same_signer_again_is_reminded_by_the_same_link(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    sign(petition.slug, display="full", comment="Second thoughts")
    first, second = outbox()
    assert first.link("confirm") == second.link("confirm")
    assert only().display == "full"
    page = read(client.get(first.link("confirm")))
    assert "Ana Ruiz" in page.text
    assert "Second thoughts" in page.text


def test_household_of_two_may_share_an_address_not_of_three(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    sign(petition.slug, first_name="Ben")
    sign(petition.slug, first_name="Ben")
    sign(petition.slug, first_name="Cleo")
    assert sorted((row.first_name, row.slot) for row in db.session.scalars(select(Signature))) == [
        ("Ana", 1),
        ("Ben", 2),
    ]
    for mail in outbox()[:2]:
        confirm(client, mail.link("confirm"))
    assert queries.count(petition.id).confirmed == 2
    assert sorted(person.first_name for person in db.session.scalars(select(Person))) == [
        "Ana",
        "Ben",
    ]


def test_another_name_from_elsewhere_changes_nothing_of_the_first(
    client: Client, sign: Sign
) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    sign(petition.slug, first_name="Mallory", postal_code="90210", display="full")
    row = only()
    assert (row.first_name, row.postal_code, row.display) == ("Ana", "60637", "hidden")
    assert [mail.values["first_name"] for mail in outbox()] == ["Ana", "Ana"]


# --- confirming --------------------------------------------------------------------------------


def test_link_works_for_seven_days(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    link = outbox()[0].link("confirm")
    with time_machine.travel(clock.now() + timedelta(days=7, minutes=1)):
        response = client.get(link)
        assert response.status_code == 410
        assert "older than 7 days" in read(response).text
    with time_machine.travel(clock.now() + timedelta(days=6, hours=23)):
        assert confirm(client, link).status_code == 200
    assert only().state == SignatureState.CONFIRMED
    with time_machine.travel(clock.now() + timedelta(days=30)):
        assert "You are counted" in read(client.get(link)).text


def test_confirmations_are_taken_for_a_day_after_closing(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    for name in ("early", "late"):
        sign(petition.slug, email=f"{name}@example.org")
    early, late = (mail.link("confirm") for mail in outbox())
    petition.close(clock.now())
    db.session.commit()
    with time_machine.travel(clock.now() + timedelta(hours=23)):
        assert confirm(client, early).status_code == 200
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        response = confirm(client, late)
        assert response.status_code == 410
        assert "takes no more signatures" in read(response).text
    assert queries.count(petition.id).confirmed == 1


@pytest.mark.parametrize("token", ["x", "a" * 22, "%00", "..", "A" * 3000, "ÿ"])
def test_forged_links_are_404(client: Client, token: str) -> None:
    petition = make_petition()
    db.session.commit()
    data = {"csrf_token": _token(client, petition.slug)}
    for path in (f"/confirm/{token}", f"/withdraw/{token}"):
        assert client.get(path).status_code == 404, path
        assert client.post(path, data=data).status_code == 404, path
    assert client.post(f"/confirm/{token}/remember", data=data).status_code == 404


def test_post_without_form_token_is_refused_everywhere(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    mail = outbox()[0]
    for path in (
        f"/p/{petition.slug}",
        f"/p/{petition.slug}/not-me",
        mail.link("confirm"),
        mail.link("withdraw"),
    ):
        assert client.post(path.split("?")[0], data=ANA).status_code == 400, path
    assert only().state == SignatureState.PENDING


def test_form_left_open_for_a_day_keeps_what_was_typed(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    fields = dict(read(client.get(f"/p/{petition.slug}")).forms[0]["fields"])
    with time_machine.travel(clock.now() + timedelta(days=2)):
        late = client.post(f"/p/{petition.slug}", data=fields | ANA)
        assert late.status_code == 400
        assert "open for a long time" in read(late).text
        fresh = dict(read(late).forms[0]["fields"])
        assert fresh["email"] == "ana@example.org"
        assert client.post(f"/p/{petition.slug}", data=fresh).status_code == 303


# --- withdrawing -------------------------------------------------------------------------------


def test_withdrawing_takes_one_off_once_and_says_so(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug, display="full", comment="Mine")
    mail = outbox()[0]
    confirm(client, mail.link("confirm"))
    assert queries.count(petition.id).confirmed == 1
    assert "Take your name off?" in read(client.get(mail.link("withdraw"))).text
    assert queries.count(petition.id).confirmed == 1
    for _ in range(2):
        done = (
            client.submit(mail.link("confirm"), {}, form="remember")
            if False
            else client.post(
                mail.link("withdraw"),
                data={"csrf_token": _token(client, petition.slug)},
                follow_redirects=True,
            )
        )
        assert "Your name is off" in read(done).text
    assert queries.count(petition.id).confirmed == 0
    assert only().state == SignatureState.WITHDRAWN
    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "signature.withdrawn")
    ).one()
    assert entry.subject_id == only().id
    assert "Ana" not in read(client.get(f"/p/{petition.slug}")).text
    assert client.get(mail.link("confirm")).status_code == 410
    sign(petition.slug)
    confirm(client, outbox()[-1].link("confirm"))
    assert queries.count(petition.id).confirmed == 1


def test_pending_signature_can_be_removed_at_once(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    client.submit(outbox()[0].link("withdraw"), {})
    assert only().state == SignatureState.WITHDRAWN
    assert queries.count(petition.id) == queries.Counts()


def test_every_link_in_every_email_changes_nothing_when_opened(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    sign(petition.slug)
    confirm(client, outbox()[0].link("confirm"))
    before = _everything()
    links = {link for mail in outbox() for link in mail.links if not link.startswith("/me/")}
    assert len(links) >= 3
    for link in links:
        for method in ("GET", "HEAD"):
            assert client.open(link, method=method).status_code == 200, link
    assert _everything() == before


def _everything() -> dict[str, list[Any]]:
    from campaign.db import Model

    return {
        name: sorted(map(repr, db.session.execute(text(f'SELECT * FROM "{name}"'))))
        for name in Model.metadata.tables
    }


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("first_name", "", "Please write your first name."),
        ("last_name", "  ", "Please write your last name."),
        ("postal_code", "", "Please write your ZIP code."),
        ("first_name", "A\x00na", "characters we cannot use"),
        ("first_name", "Ana\u202ezo", "change the direction of text"),
        ("last_name", "Ruiz\r\nBcc: x", "on one line"),
        ("last_name", "R" * 101, "under 100 characters"),
        ("email", "not an address", "does not look like an email address"),
        ("email", "a@b", "does not look like an email address"),
        ("email", "a@example.org\nBcc: x@y.z", "on one line"),
        ("email", "a" * 250 + "@example.org", "under 254 characters"),
        ("postal_code", "nowhere at all", "does not look like a ZIP code"),
        ("postal_code", "60637\x00", "characters we cannot use"),
        ("comment", "x" * 1001, "under 1000 characters"),
        ("comment", "a\x07b", "characters we cannot use"),
        ("display", "everything", "Not a valid choice"),
        ("phone", "call me", "does not look like a phone number"),
    ],
)
def test_bad_input_is_told_at_its_field_and_nothing_typed_is_lost(
    client: Client, sign: Sign, field: str, value: str, message: str
) -> None:
    petition = make_petition(asks_phone=True)
    partner = make_partner(petition.campaign)
    db.session.commit()
    slug = db.session.get_one(Organization, partner.partner_id).slug
    typed = {
        "comment": "My words",
        "display": "initial",
        f"consent-{slug}": "1",
        "phone": "312 555 0142",
    }
    response = sign(petition.slug, **(typed | {field: value}))
    assert response.status_code == 400
    html = response.get_data(as_text=True)
    page = read(response)
    assert message in page.text
    assert 'role="alert"' in html
    if field != "display":
        assert f'href="#{field}"' in html
        assert re.search(rf'id="{field}-error"', html)
    kept = dict(page.forms[0]["fields"])
    for name, given in (ANA | typed).items():
        if name != field and not name.startswith("consent-"):
            assert kept[name] == given, name
    assert f"consent-{slug}" in kept
    assert db.session.scalar(select(Signature)) is None
    assert outbox() == []


@pytest.mark.parametrize(
    "name",
    [
        "José",
        "नेहा",
        "李小龍",
        "مريم",
        "🙂",
        "O’Brien-García",
        "Æ" * 100,
        "<script>alert(1)</script>",
        "=1+1",
    ],
)
def test_names_of_any_script_are_taken_and_shown_as_they_are(
    client: Client, sign: Sign, name: str
) -> None:
    petition = make_petition()
    db.session.commit()
    assert sign(petition.slug, first_name=name, display="full").status_code == 303
    assert only().first_name == name
    done = confirm(client, outbox()[0].link("confirm"))
    assert name in read(done).text
    assert "<script>alert" not in done.get_data(as_text=True)
    assert "<script>alert" not in client.get(f"/p/{petition.slug}").get_data(as_text=True)


def test_repeated_fields_take_the_first(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    assert sign(petition.slug, first_name=["Ana", "Zoe"]).status_code == 303
    assert only().first_name == "Ana"


def test_huge_body_is_413(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    response = client.post(f"/p/{petition.slug}", data=ANA | {"comment": "x" * 5_000_000})
    assert response.status_code == 413
    assert "too large" in read(response).text.lower()


def test_wrong_type_of_body_is_400(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    for body, kind in (
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ):
        assert client.post(f"/p/{petition.slug}", data=body, content_type=kind).status_code == 400


# --- friction ----------------------------------------------------------------------------------


def test_form_sent_at_once_is_only_a_signal(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    client.submit(f"/p/{petition.slug}", ANA)
    assert only().state == SignatureState.PENDING


@pytest.mark.parametrize(
    "odd",
    [{"email": "x@mailinator.com"}, {"comment": "see https://spam.example"}, {"website": "x"}],
)
def test_two_weak_signals_or_the_honeypot_make_a_quiet_review(
    client: Client, odd: dict[str, str]
) -> None:
    petition = make_petition()
    db.session.commit()
    answer = client.submit(f"/p/{petition.slug}", ANA | odd)
    assert answer.status_code == 303
    assert only().state == SignatureState.REVIEW
    assert only().review_reason
    assert outbox() == []


def test_limit_counts_an_ipv4_address_and_an_ipv6_network(
    client: Client, sign: Sign, with_settings: Any
) -> None:
    with_settings(sign_limit_per_address=2)
    petition = make_petition()
    db.session.commit()
    for number, source in enumerate(
        [
            "203.0.113.9",
            "203.0.113.9",
            "203.0.113.9",
            "203.0.113.10",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
            "2001:db8:0:1::1",
        ]
    ):
        sign(
            petition.slug, email=f"n{number}@example.org", environ_overrides={"REMOTE_ADDR": source}
        )
    held = [
        row.email
        for row in db.session.scalars(select(Signature).where(Signature.state == "review"))
    ]
    assert sorted(held) == ["n2@example.org", "n6@example.org"]


def test_own_machine_is_not_limited_in_development_but_is_elsewhere(
    client: Client, sign: Sign, with_settings: Any
) -> None:
    with_settings(sign_limit_per_address=1)
    petition = make_petition()
    db.session.commit()
    for number in range(3):
        sign(petition.slug, email=f"n{number}@example.org")
    assert db.session.query(Signature).filter_by(state="review").count() == 0


# --- a device that is remembered ---------------------------------------------------------------


def test_one_tap_on_a_device_that_asked_for_it(client: Client, sign: Sign) -> None:
    petition, other = make_petition(), make_petition()
    db.session.commit()
    sign(petition.slug)
    done = confirm(client, outbox()[0].link("confirm"), remember="1")
    assert client.get_cookie("signer") is not None
    assert "Is this your own device?" not in read(done).text
    page = client.get(f"/p/{other.slug}")
    assert "Sign as Ana" in read(page).text
    assert page.headers["Cache-Control"] == "private, no-store"
    done = client.submit(f"/p/{other.slug}", {"display": "initial"}, follow_redirects=True)
    assert "Thank you, Ana. You are counted." in read(done).text
    assert queries.count(other.id).confirmed == 1
    row = db.session.scalars(select(Signature).where(Signature.petition_id == other.id)).one()
    assert (row.email, row.display) == ("ana@example.org", "initial")
    assert "You have signed, Ana" in read(client.get(f"/p/{other.slug}")).text
    client.submit(f"/p/{petition.slug}", {}, form="not-me")
    assert client.get_cookie("signer") is None
    assert "Add your name" in read(client.get(f"/p/{other.slug}")).text


def test_cookie_is_set_only_when_ticked(client: Client, sign: Sign) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    link = outbox()[0].link("confirm")
    done = confirm(client, link)
    assert client.get_cookie("signer") is None
    assert "Is this your own device?" in read(done).text
    client.submit(link, {}, form="remember")
    assert client.get_cookie("signer") is None
    client.submit(link, {"remember": "1"}, form="remember")
    assert client.get_cookie("signer") is not None


@pytest.mark.parametrize("state", [SignatureState.WITHDRAWN, SignatureState.INVALIDATED])
def test_device_forgets_a_signer_who_is_not_counted_any_more(
    client: Client, sign: Sign, state: str
) -> None:
    petition = make_petition()
    db.session.commit()
    sign(petition.slug)
    confirm(client, outbox()[0].link("confirm"), remember="1")
    only().state = state
    db.session.commit()
    assert "Sign as Ana" not in read(client.get(f"/p/{petition.slug}")).text
    assert "Add your name" in read(client.get(f"/p/{petition.slug}")).text


def test_forged_device_cookie_is_nobody(client: Client) -> None:
    petition = make_petition()
    db.session.commit()
    client.set_cookie("signer", "forged")
    assert "Add your name" in read(client.get(f"/p/{petition.slug}")).text
    data = {"csrf_token": _token(client, petition.slug), "one_tap": "1"}
    assert client.post(f"/p/{petition.slug}", data=data).status_code == 400
    assert db.session.scalar(select(Signature)) is None


def test_database_down_is_503_and_says_so(
    client: Client, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    petition = make_petition()
    db.session.commit()

    def away(*_: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(services.newcomers, "add", away)
    response = sign(petition.slug)
    assert response.status_code == 503
    assert response.headers["Retry-After"]
