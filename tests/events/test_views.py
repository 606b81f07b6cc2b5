"""Answering as a person meets it: pages, answers, e-mails, rows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import Words, db
from campaign.events.models import OccurrenceState, Rsvp, RsvpState
from campaign.people.models import Consent, Person
from campaign.web.links import rsvp_token
from tests.conftest import Client
from tests.events.answering import ANA, Answer, outbox
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.events import (
    make_event,
    make_occurrence,
    make_rsvp,
    make_shift,
    occurrence_of,
)
from tests.factories.hearings import make_hearing
from tests.factories.leftovers import traces_of
from tests.factories.pages import read
from tests.factories.people import make_person


def only() -> Rsvp:
    return db.session.scalars(select(Rsvp)).one()


def errors(response: Any) -> str:
    return " ".join(re.findall(r'class="error"[^>]*>([^<]+)', response.get_data(as_text=True)))


def token_of(client: Client, slug: str) -> str:
    page = client.get(f"/e/{slug}").get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


# --- the page ----------------------------------------------------------------------------------


def test_page_shows_the_event_and_its_form(client: Client) -> None:
    event = make_event(capacity=20, needs_asked=["ride"], asks_company=True, access=["step-free"])
    make_shift(event, capacity=3)
    db.session.commit()
    response = client.get(f"/e/{event.slug}")
    page = read(response)
    assert event.title["en"] in page.text
    assert "6:00" in page.text
    assert "6337 S Woodlawn Ave" in page.text
    assert "20 places are left." in page.text
    for words in ("A ride", "No steps", "Marshals · 3 left"):
        assert words in page.text
    fields = {name for name, _value in page.forms[0]["fields"]}
    assert {"status", "first_name", "email", "guests", "company", "occurrence"} <= fields
    assert "Set-Cookie" not in response.headers
    assert "public" in response.headers["Cache-Control"]
    assert 'type="checkbox" name="needs"' in response.get_data(as_text=True)


def test_street_and_link_are_only_for_those_who_come(client: Client, answer: Answer) -> None:
    event = make_event(
        address_visibility="coming",
        is_online=True,
        online_url="https://meet.example/secret",
        directions=Words(en="Ring twice."),
        capacity=1,
    )
    db.session.commit()
    page = client.get(f"/e/{event.slug}").get_data(as_text=True)
    for secret in ("6337", "meet.example", "Ring twice"):
        assert secret not in page
    assert "We send the exact place to people who come." in page
    answer(event.slug)
    answer(event.slug, email="bea@example.org", first_name="Bea")
    assert "6337" in outbox("ana@example.org")[0].text
    assert "meet.example/secret" in outbox("ana@example.org")[0].html
    waiting = outbox("bea@example.org")[0]
    assert "6337" not in waiting.text + waiting.html
    assert "meet.example" not in waiting.text + waiting.html
    assert "6337" in client.get(outbox("ana@example.org")[0].link("rsvp")).get_data(as_text=True)
    assert "6337" not in client.get(waiting.link("rsvp")).get_data(as_text=True)


def test_a_series_shows_the_next_date_and_the_others_to_choose(client: Client) -> None:
    event = make_event()
    later = (clock.now() + timedelta(days=14)).date().isoformat()
    other = make_occurrence(event, f"{later}T18:00")
    make_occurrence(event, "2020-01-01T18:00")
    db.session.commit()
    page = read(client.get(f"/e/{event.slug}"))
    assert dict(page.forms[0]["fields"])["occurrence"] == str(occurrence_of_next(event))
    assert any(f"on={later}" in href for href, _ in page.links)
    second = read(client.get(f"/e/{event.slug}?on={later}"))
    assert dict(second.forms[0]["fields"])["occurrence"] == str(other.id)
    odd = client.get(f"/e/{event.slug}?on=%00'--&source=%3Cscript%3E")
    assert odd.status_code == 200
    assert "4e1b" not in odd.get_data(as_text=True)


def occurrence_of_next(event: Any) -> Any:
    from campaign.events import queries

    found = queries.next_occurrence(event, clock.now())
    assert found is not None
    return found.id


@pytest.mark.parametrize("slug", ["nothing-here", "%00", "a" * 500, "event'--", "🙂"])
def test_unknown_events_are_404(client: Client, slug: str) -> None:
    other = make_event()
    db.session.commit()
    assert client.get(f"/e/{slug}").status_code == 404
    assert client.get(f"/e/{slug}/thanks").status_code == 404
    sent = client.post(f"/e/{slug}", data=ANA | {"csrf_token": token_of(client, other.slug)})
    assert sent.status_code == 404


def test_a_draft_is_404(client: Client) -> None:
    event = make_event(state="draft")
    db.session.commit()
    assert client.get(f"/e/{event.slug}").status_code == 404


# --- answering ---------------------------------------------------------------------------------


def test_answering_takes_a_seat_and_writes(client: Client, answer: Answer) -> None:
    event = make_event(capacity=20)
    db.session.commit()
    response = answer(event.slug, guests="2", source="flyer")
    assert response.status_code == 303
    assert response.headers["Location"] == f"/e/{event.slug}/thanks"
    rsvp = only()
    assert (rsvp.state, rsvp.guests, rsvp.email) == (RsvpState.ACCEPTED, 2, ANA["email"])
    assert (rsvp.source, rsvp.ip) == ("flyer", "127.0.0.1")
    assert occurrence_of(event).taken_count == 3
    (mail,) = outbox(ANA["email"])
    assert "Your answer for" in mail.subject
    assert "you and 2 guests" in mail.text
    assert rsvp.person_id is not None
    assert "Please look at your email" in read(client.get(response.headers["Location"])).text


def test_the_page_after_an_answer_puts_the_chosen_date_of_a_series_into_a_calendar(
    client: Client, answer: Answer
) -> None:
    event = make_event(starts_in_days=3, recurrence={}, slug="weekly")
    second = make_occurrence(event, f"{clock.now() + timedelta(days=10):%Y-%m-%d}T19:00")
    db.session.commit()
    response = answer(event.slug, path=f"/e/weekly?on={second.starts_wall}", occurrence=second.id)
    assert response.status_code == 303
    assert parse_qs(urlsplit(response.location).query) == {"on": [second.starts_wall]}
    page = client.get(response.location).text
    assert f"/e/weekly.ics?on={second.starts_wall.replace(':', '%3A')}" in page
    assert re.search(r'href="webcal://[^"?]+/e/weekly\.ics"', page)
    once = make_event()
    db.session.commit()
    assert "webcal" not in client.get(f"/e/{once.slug}/thanks").text


def test_what_is_wrong_is_listed_in_the_order_of_the_page(client: Client, answer: Answer) -> None:
    event = make_event(most_guests=2)
    db.session.commit()
    page = answer(event.slug, first_name="", email="nobody", guests="9").text
    summary = page[page.index('id="errors"') :]
    assert re.findall(r'<a href="#(\w+)">', summary)[:3] == ["first_name", "email", "guests"]
    assert re.search(r'id="first_name"[^>]* autofocus|autofocus[^>]* id="first_name"', page)
    assert "?:" not in summary


def test_an_answer_to_what_is_over_asks_whether_one_came(client: Client) -> None:
    rsvp = make_rsvp(make_event(starts_in_days=-2), confirmed_at=clock.now())
    db.session.commit()
    token = rsvp_token(rsvp.id)
    page = client.get(f"/rsvp/{token}").text
    assert page.count(f'href="/rsvp/{token}/came"') == 1
    assert "Who comes" not in page


def test_the_page_of_a_hearing_leads_to_speaking_where_speakers_are_taken(client: Client) -> None:
    plain = make_event(kind="hearing")
    hearing = make_hearing()
    db.session.commit()
    assert f"/e/{plain.slug}/speak" not in client.get(f"/e/{plain.slug}").text
    assert f"/e/{hearing.event.slug}/speak" in client.get(f"/e/{hearing.event.slug}").text


def test_new_known_and_full_are_answered_alike(client: Client, answer: Answer) -> None:
    event = make_event(capacity=1)
    db.session.commit()

    def shape(response: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = [pair for pair in response.headers if pair[0] != "X-Request-Id"]
        return response.status_code, headers, response.data

    shapes = [
        shape(answer(event.slug)),
        shape(answer(event.slug)),
        shape(answer(event.slug, email="bea@example.org", first_name="Bea")),
        shape(answer(event.slug, email="x@mailinator.com", website="spam")),
        shape(answer(event.slug, status="declined", email="no@example.org")),
    ]
    assert all(one == shapes[0] for one in shapes)
    states = {one.email: one.state for one in db.session.scalars(select(Rsvp))}
    assert states == {
        "ana@example.org": "accepted",
        "bea@example.org": "waiting",
        "x@mailinator.com": "waiting",
        "no@example.org": "declined",
    }
    assert "in line" in outbox("bea@example.org")[0].text


def test_everything_an_event_asks_is_kept(client: Client, answer: Answer) -> None:
    campaign = make_campaign()
    partner = make_partner(campaign).partner
    event = make_event(campaign, needs_asked=["ride", "other"], asks_company=True, asks_phone=True)
    shift = make_shift(event, capacity=2)
    db.session.commit()
    page = client.get(f"/e/{event.slug}").get_data(as_text=True)
    found = re.search(rf'name="consent-{partner.slug}"[^>]*value="([^"]+)"', page)
    assert found is not None
    assert "checked" not in found[0]
    answer(
        event.slug,
        needs=["ride", "other"],
        needs_note="Two steps are fine.",
        shift=shift.id.hex,
        company="ask",
        company_wish="somebody calm",
        phone="312 555 0142",
        **{f"consent-{partner.slug}": found[1]},
    )
    rsvp = only()
    assert (rsvp.needs, rsvp.needs_note) == (["ride", "other"], "Two steps are fine.")
    assert (rsvp.shift_id, rsvp.company, rsvp.company_wish) == (shift.id, "ask", "somebody calm")
    assert rsvp.phone == "312 555 0142"
    assert list(rsvp.wordings) == [partner.id.hex]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("guests", "400", "You can bring up to 5 guests"),
        ("guests", "many", "Write a whole number"),
        ("guests", "-3", "Write a number from 0."),
        ("guests", "99999999999999999999", "You can bring up to 5 guests"),
        ("guests", "²", "Write a whole number"),
        ("status", "boss", "Not a valid choice"),
        ("first_name", "", "Please write your first name"),
        ("first_name", "A\u202eb", "hidden characters"),
        ("first_name", "A\x00b", "characters we cannot use"),
        ("email", "", "Please write your email address"),
        ("email", "nobody", "does not look like an email"),
        ("postal_code", "no", "ZIP code"),
        ("shift", "00000000000000000000000000000000", "Not a valid choice"),
        ("needs", "castle", "castle"),
        ("needs_note", "x" * 501, "under 500"),
    ],
)
def test_bad_input_is_a_message_at_its_field_and_nothing_is_lost(
    client: Client, answer: Answer, field: str, value: str, words: str
) -> None:
    event = make_event(needs_asked=["ride"])
    make_shift(event)
    db.session.commit()
    response = answer(event.slug, **{"last_name": "Kept-Name", "guests": "1", field: value})
    assert response.status_code == 400
    assert words in errors(response)
    assert "million" not in errors(response), "one message at a field, and about this event"
    assert 'value="Kept-Name"' in response.get_data(as_text=True)
    assert db.session.scalars(select(Rsvp)).all() == []


def test_messages_speak_the_language_of_the_form(client: Client, answer: Answer) -> None:
    event = make_event()
    db.session.commit()
    response = answer(event.slug, path=f"/e/{event.slug}?lang=es", guests="400")
    assert "Puede traer hasta 5 acompañantes" in errors(response)


def test_ones_own_shift_is_not_called_full(client: Client) -> None:
    event = make_event()
    shift = make_shift(event, capacity=1)
    mine, other = make_rsvp(event, shift_id=shift.id), make_rsvp(event)
    db.session.commit()
    assert "full" not in client.get(f"/rsvp/{rsvp_token(mine.id)}").get_data(as_text=True)
    assert "· full" in client.get(f"/rsvp/{rsvp_token(other.id)}").get_data(as_text=True)


def test_a_full_shift_is_a_message_at_the_shift(client: Client, answer: Answer) -> None:
    event = make_event()
    shift = make_shift(event, capacity=1)
    make_rsvp(event, shift_id=shift.id)
    db.session.commit()
    assert "Marshals · full" in read(client.get(f"/e/{event.slug}")).text
    response = answer(event.slug, shift=shift.id.hex)
    assert response.status_code == 400
    assert "This shift is full" in errors(response)


def test_too_large_a_body_and_repeated_fields_are_no_500(client: Client, answer: Answer) -> None:
    event = make_event()
    db.session.commit()
    assert answer(event.slug, company_wish="x" * 5_000_000).status_code in {400, 413}
    assert answer(event.slug, first_name=["Ana", "Bea"]).status_code == 303
    assert only().first_name == "Ana"


def test_another_events_date_is_404(client: Client, answer: Answer) -> None:
    event, other = make_event(), make_event()
    db.session.commit()
    for value in (str(occurrence_of(other).id), "nonsense"):
        assert answer(event.slug, occurrence=value).status_code == 404
    assert db.session.scalars(select(Rsvp)).all() == []


@pytest.mark.parametrize("what", ["past", "cancelled"])
def test_past_and_cancelled_dates_say_so(client: Client, answer: Answer, what: str) -> None:
    event = make_event()
    date = occurrence_of(event)
    db.session.commit()
    token = token_of(client, event.slug)
    if what == "past":
        date.starts_at, date.ends_at = (clock.now() - timedelta(hours=n) for n in (2, 1))
    else:
        date.state, date.cancel_note = OccurrenceState.CANCELLED, Words(en="The hall is closed.")
    db.session.commit()
    client.application.extensions["pages"].clear()
    from campaign.events import queries

    queries.forget_sheets()
    response = client.post(f"/e/{event.slug}", data=ANA | {"csrf_token": token})
    assert response.status_code == 410
    text = read(response).text
    assert "Your answer did not reach us in time" in text
    assert ("The hall is closed." if what == "cancelled" else "This is over") in text
    assert db.session.scalars(select(Rsvp)).all() == []


def test_a_stale_form_keeps_what_was_typed(client: Client) -> None:
    event = make_event()
    db.session.commit()
    response = client.post(f"/e/{event.slug}", data=ANA | {"csrf_token": "old"})
    assert response.status_code == 400
    assert "open for a long time" in response.get_data(as_text=True)
    assert 'value="Ruiz"' in response.get_data(as_text=True)


def test_a_plain_post_and_a_form_read_alike(app: Flask) -> None:
    from campaign.events import queries
    from campaign.events.forms import RsvpForm, plain_details

    event = make_event()
    db.session.commit()
    date = occurrence_of(event)
    for guests in ("", "0", "3", "05"):
        for status in ("accepted", "tentative", "declined"):
            data = ANA | {"guests": guests, "status": status, "source": "a b", "language": "es"}
            with app.test_request_context(f"/e/{event.slug}", method="POST", data=data) as context:
                plain = plain_details(queries.sheet_of(date), context.request, [], "1.2.3.4")
                form = RsvpForm.of(date)
                assert form.validate(), form.errors
                assert plain is not None
                typed = form.details([], "1.2.3.4")
                for name in ("first_name", "email", "postal_code", "status", "guests", "source"):
                    assert getattr(plain, name) == getattr(typed, name)
                assert (plain.language, typed.language) == ("es", "es")


# --- behind the link ---------------------------------------------------------------------------


def test_opening_the_link_changes_nothing(client: Client, answer: Answer) -> None:
    event = make_event(capacity=5)
    db.session.commit()
    answer(event.slug)
    link = outbox()[0].link("rsvp")
    before = only().updated_at
    page = client.get(link)
    assert page.status_code == 200
    assert "You are coming, Ana" in read(page).text
    assert 'class="qr"' in page.get_data(as_text=True)
    assert f'<meta name="clean-url" content="/e/{event.slug}' in page.get_data(as_text=True)
    assert only().updated_at == before
    assert only().confirmed_at is None


def test_change_cancel_and_give_back(client: Client, answer: Answer) -> None:
    event = make_event(capacity=2)
    db.session.commit()
    answer(event.slug, guests="1")
    answer(event.slug, email="bea@example.org", first_name="Bea")
    ana, bea = outbox("ana@example.org")[0].link("rsvp"), outbox("bea@example.org")[0].link("rsvp")
    assert "You are first in line" in read(client.get(bea)).text
    changed = client.submit(ana, {"guests": "0"}, form="#change", follow_redirects=True)
    assert "Saved." in read(changed).text
    assert occurrence_of(event).taken_count == 2, "the freed place is Bea's at once"
    place = outbox("bea@example.org")[-1]
    assert place.subject.startswith("A place for you on")
    page = client.submit(place.link("rsvp"), form="/cancel", follow_redirects=True)
    assert "You are not coming" in read(page).text
    assert occurrence_of(event).taken_count == 1
    assert outbox("bea@example.org")[-1].subject.endswith("is taken back")
    again = client.submit(bea, {"status": "accepted"}, form="#change", follow_redirects=True)
    assert "You are coming, Bea" in read(again).text


def test_growing_beyond_the_room_is_a_message_and_keeps_the_answer(
    client: Client, answer: Answer
) -> None:
    event = make_event(capacity=2)
    db.session.commit()
    answer(event.slug)
    response = client.submit(outbox()[0].link("rsvp"), {"guests": "3"}, form="#change")
    assert response.status_code == 400
    assert "2 places in all" in errors(response)
    assert (only().state, only().guests) == ("accepted", 0)


def test_yes_thats_me_enters_the_ledger(client: Client, answer: Answer) -> None:
    campaign = make_campaign()
    partner = make_partner(campaign).partner
    event = make_event(campaign)
    db.session.commit()
    answer(event.slug, **{f"consent-{partner.slug}": "1"})
    link = outbox()[0].link("rsvp")
    assert db.session.scalars(select(Consent)).all() == []
    page = client.submit(link, form="/confirm", follow_redirects=True)
    assert "We know now that it is you" in read(page).text
    assert db.session.scalars(select(Consent)).one().grantee_id == partner.id
    assert "Is this you?" not in read(page).text


def test_this_was_not_me_leaves_nothing_behind(client: Client, answer: Answer) -> None:
    event = make_event(capacity=1)
    db.session.commit()
    answer(event.slug, first_name="Xiomara", last_name="Quispe")
    answer(event.slug, email="bea@example.org", first_name="Bea")
    link = outbox("ana@example.org")[0].link("rsvp")
    page = client.submit(link, form="/not-me", follow_redirects=True)
    assert "what was typed is erased" in read(page).text
    assert traces_of("Xiomara", "Quispe", "ana@example.org") == {}
    assert client.get(link).status_code == 410
    states = sorted(one.state for one in db.session.scalars(select(Rsvp)))
    assert states == ["accepted", "cancelled"], "the place went on to Bea"


def test_this_was_not_me_keeps_a_person_who_was_known(client: Client, answer: Answer) -> None:
    campaign = make_campaign()
    event = make_event(campaign)
    from campaign.organizations.models import Organization

    organization = db.session.get_one(Organization, event.organization_id)
    person = make_person(organization, email="ana@example.org", first_name="Ana", last_name="Ruiz")
    db.session.commit()
    answer(event.slug)
    client.submit(outbox()[0].link("rsvp"), form="/not-me")
    kept = db.session.get_one(Person, person.id)
    assert (kept.email, kept.erased_at) == ("ana@example.org", None)
    assert only().person_id is None


@pytest.mark.parametrize("path", ["", "/cancel", "/confirm", "/not-me"])
def test_a_forged_link_opens_and_changes_nothing(client: Client, answer: Answer, path: str) -> None:
    event = make_event()
    rsvp = make_rsvp(event)
    db.session.commit()
    token = rsvp_token(rsvp.id)
    forged = ("A" if token[0] != "A" else "B") + token[1:]
    data = {"csrf_token": token_of(client, event.slug), "status": "declined"}
    for bad in (forged, "x", "%00", "é" * 20):
        assert client.get(f"/rsvp/{bad}").status_code == 404
        assert client.post(f"/rsvp/{bad}{path}", data=data).status_code == 404
    assert only().state == "accepted"


def test_past_answers_can_be_read_and_not_changed(client: Client) -> None:
    event = make_event(starts_in_days=-2)
    rsvp = make_rsvp(event)
    db.session.commit()
    link = f"/rsvp/{rsvp_token(rsvp.id)}"
    page = client.get(link)
    assert "This is over" in read(page).text
    assert "#change" not in page.get_data(as_text=True)


def test_own_page_shows_answers_takes_them_back_and_hands_them_out(
    client: Client, answer: Answer
) -> None:
    event = make_event(needs_asked=["ride"])
    db.session.commit()
    answer(event.slug, needs=["ride"], needs_note="From 63rd street")
    client.get(outbox()[0].link("rsvp"))
    mine = outbox()[0].link("me")
    page = read(client.get(mine))
    assert event.title["en"] in page.text
    assert "From 63rd street" in read(client.get(mine.replace("?", "/data?"))).text
    plain = client.get(mine.replace("?", "/data.json?")).get_json()
    assert plain["What you answered"][0]["Your words"] == "From 63rd street"
    client.submit(mine, form="/answers/")
    assert only().state == RsvpState.CANCELLED


def test_own_page_of_an_answer_without_a_person_yet(client: Client) -> None:
    event = make_event()
    rsvp = make_rsvp(event, email="early@example.org", first_name="Early", needs_note="mine")
    db.session.commit()
    from campaign.web.links import RSVP, preferences_url

    link = "/" + preferences_url(RSVP, rsvp.id, "en").split("/", 3)[3]
    page = read(client.get(link))
    assert "An answer came with your address" in page.text
    client.submit(link, form="/erase")
    assert traces_of("early@example.org", "Early") == {}
    assert client.get(link).status_code == 410


def test_erasing_somebody_erases_their_answers_everywhere(client: Client, answer: Answer) -> None:
    event = make_event(needs_asked=["ride"], asks_company=True)
    db.session.commit()
    answer(
        event.slug,
        first_name="Xiomara",
        last_name="Quispe",
        needs=["ride"],
        needs_note="zanzibar",
        company="ask",
        company_wish="quetzal",
        environ_overrides={"REMOTE_ADDR": "198.51.100.77"},
    )
    answer(event.slug, first_name="Xiomara", last_name="Quispe", guests="1")
    mine = outbox()[0].link("me")
    client.submit(mine.replace("?", "/erase?"), form="/erase")
    words = ("Xiomara", "Quispe", "ana@example.org", "zanzibar", "quetzal", "198.51.100.77")
    assert traces_of(*words) == {}
