"""Blocks in messages: what they show of an organization's own, and what becomes of what is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from campaign import clock
from campaign.accounts.models import User
from campaign.db import Words, db
from campaign.designs import cards, queries
from campaign.designs import services as designs
from campaign.errors import Invalid
from campaign.events.models import Event, EventState
from campaign.mailings import delivery, emails, rules, services
from campaign.mailings import queries as mailings
from campaign.mailings.emails import Draft
from campaign.mailings.models import Message, MessageState
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.petitions.models import Petition
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.designs import make_picture
from tests.factories.events import make_event, occurrence_of
from tests.factories.mailings import freeze, make_message, make_reader, send_out
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature

HOME = "/organize/mailings/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER)
    log_in(client, user)
    return user


@pytest.fixture
def event(organization: Organization) -> Event:
    title = Words(en="Vigil at Woodlawn", es="Vigilia en Woodlawn")
    return make_event(make_campaign(organization), title=title, starts_in_days=9)


@pytest.fixture
def petition(organization: Organization) -> Petition:
    return make_petition(make_campaign(organization), title=Words(en="Keep it open"), goal=10)


def letter_of(organization: Organization, body: str, language: str = "") -> emails.Letter:
    return emails.render_message(Draft("Hi", "", body), organization, language=language)


def test_an_event_is_shown_in_its_zone_and_in_the_letters_language(
    organization: Organization, event: Event
) -> None:
    body = f"::: event {event.slug}\n:::"
    english, spanish = (letter_of(organization, body, code) for code in ("en", "es"))
    at = occurrence_of(event).starts_at.astimezone(clock.zone(event.zone))
    assert "Vigil at Woodlawn" in english.text
    assert "I will come:" in english.text
    assert at.strftime("%-I:%M") in english.text
    assert str(at.tzname()) in english.text
    assert "Vigilia en Woodlawn" in spanish.text
    assert f"/e/{event.slug}" in spanish.text
    assert "I will come" not in spanish.text


def test_a_street_that_is_hidden_is_in_no_mass_email(
    organization: Organization, event: Event
) -> None:
    event.address, event.city = "6337 S Woodlawn Ave", "Chicago"
    body = f"::: event {event.slug}\n:::"
    assert "6337 S Woodlawn" in letter_of(organization, body).text
    event.address_visibility = "coming"
    text = letter_of(organization, body).text
    assert "6337" not in text
    assert "Chicago" in text


def test_a_petition_shows_how_far_it_is(organization: Organization, petition: Petition) -> None:
    for _ in range(3):
        make_signature(petition)
    letter = letter_of(organization, f"::: petition {petition.slug}\n:::")
    assert "3 people have signed. Our goal is 10." in letter.text
    assert 'width="30%"' in letter.html
    petition.close(clock.now())
    letter = letter_of(organization, f"::: petition {petition.slug}\nbutton: Sign\n:::")
    assert "See what came of it:" in letter.text


@pytest.mark.parametrize("kind", ["event", "petition", "image"])
def test_somebody_elses_is_refused_at_the_field_with_its_line(
    client: Client, organization: Organization, organizer: User, kind: str
) -> None:
    other = make_organization()
    campaign = make_campaign(other)
    name = {
        "event": lambda: make_event(campaign).slug,
        "petition": lambda: make_petition(campaign).slug,
        "image": lambda: make_picture(other).name,
    }[kind]()
    db.session.commit()
    answer = client.submit(
        f"{HOME}new", {"subject": "Hi", "body": f"Kept text\n\n::: {kind} {name}\n:::"}
    )
    assert answer.status_code == 200
    page = read(answer).text
    assert "Line 3: Your" in page
    assert f"“{name}”" in page
    assert "Kept text" in answer.text
    assert 'href="#body"' in answer.text
    assert db.session.query(Message).count() == 0


def test_a_picture_of_another_library_is_refused_by_its_address_too(
    organization: Organization,
) -> None:
    url = queries.picture_url(make_picture(make_organization()))
    for body, form in ((f"![x]({url})", "markdown"), (f'<img src="{url}">', "html")):
        with pytest.raises(Invalid) as caught:
            services.create_message(
                organization.id, MessageDetails(subject="x", body=body, format=form)
            )
        assert caught.value.field == "body"


def test_a_broken_block_keeps_the_draft(
    client: Client, organization: Organization, organizer: User
) -> None:
    answer = client.submit(f"{HOME}new", {"subject": "Hi", "body": "Kept\n\n::: petition\n:::"})
    assert "Line 3: The block “petition” lacks a name behind it." in read(answer).text
    assert "Kept" in answer.text


def test_what_is_gone_meanwhile_is_a_finding_and_holds_the_message(
    client: Client, organization: Organization, organizer: User, event: Event
) -> None:
    make_reader(organization)
    picture = make_picture(organization, filename="march.png")
    body = f"Kept\n\n::: event {event.slug}\n:::\n\n::: image march\n:::"
    message = make_message(organization, body=body)
    event.state = EventState.DRAFT
    designs.delete_picture(picture, lambda _one: False, user_id=organizer.id)
    db.session.commit()
    page = read(client.get(f"{HOME}{message.id}")).text
    assert f"Line 3: The event “{event.slug}” is not published." in page
    assert "Line 6: The picture “march” was deleted." in page
    assert client.submit(f"{HOME}{message.id}/edit", {"subject": "Still saved"}).status_code == 303
    db.session.refresh(message)
    assert message.body == body
    with pytest.raises(Invalid):
        services.send_message(message, user_id=organizer.id)
    assert outbox(kind="mailing") == []


@pytest.mark.parametrize("state", ["over", "cancelled"])
def test_a_scheduled_message_comes_back_as_a_draft(
    organization: Organization, organizer: User, event: Event, state: str
) -> None:
    make_reader(organization)
    message = make_message(organization, body=f"::: event {event.slug}\n:::")
    soon = (clock.now() + timedelta(hours=30)).replace(tzinfo=None)
    services.schedule_message(message, soon, "UTC", user_id=organizer.id)
    message.scheduled_at = clock.now()
    if state == "cancelled":
        event.cancel(clock.now())
    else:
        occurrence = occurrence_of(event)
        occurrence.starts_at = clock.now() - timedelta(hours=9)
        occurrence.ends_at = clock.now() - timedelta(hours=8)
    db.session.commit()
    freeze(message)
    db.session.refresh(message)
    assert message.state == MessageState.DRAFT
    actions = db.session.query(AuditEntry.action).all()
    assert ("mailing.returned",) in actions
    assert outbox(kind="mailing") == []


def test_the_mark_covers_what_blocks_show_but_not_the_count(
    organization: Organization, event: Event, petition: Petition
) -> None:
    body = f"::: event {event.slug}\n:::\n\n::: petition {petition.slug}\n:::"
    message = make_message(organization, body=body)
    mark = rules.mark_of(message)
    make_signature(petition)
    assert rules.mark_of(message) == mark
    event.title = Words(en="Another title")
    db.session.flush()
    assert rules.mark_of(message) != mark


def test_what_went_out_is_what_it_showed_then(
    organization: Organization, petition: Petition
) -> None:
    make_reader(organization)
    make_signature(petition)
    message = make_message(organization, body=f"::: petition {petition.slug}\n:::")
    send_out(message)
    make_signature(petition)
    content = mailings.frozen_content(message)
    assert content is not None
    assert "1 person has signed." in content.text
    assert "/go/" in content.html
    assert "source=m-" in content.text
    assert delivery.KIND == "mailing"


def test_what_can_be_inserted_can_be_saved(
    organization: Organization, event: Event, petition: Petition
) -> None:
    make_picture(organization, alt="A “march”: with\nlines")
    for choice in cards.choices(organization.id, "en"):
        text = choice.text.replace("to: https://\n", "to: https://a.example\n")
        services.create_message(organization.id, MessageDetails(subject="x", body=text))
    groups = {choice.group for choice in cards.choices(organization.id, "es")}
    assert len(groups) == 2


def test_without_a_script_a_block_is_put_at_the_end(
    client: Client, organization: Organization, organizer: User, petition: Petition
) -> None:
    db.session.commit()
    numbers = [choice.text for choice in cards.choices(organization.id, "en")]
    number = next(n for n, text in enumerate(numbers) if text.startswith("::: petition"))
    page = client.get(f"{HOME}new").text
    assert f"::: petition {petition.slug}" in page
    token = page.partition('csrf-token" content="')[2].partition('"')[0]
    data = {"csrf_token": token, "subject": "", "body": "Mine", "go": "block", "block": str(number)}
    answer = client.post(f"{HOME}new", data=data)
    assert f"Mine\n\n::: petition {petition.slug}\nbutton: Sign now\n:::" in answer.text.replace(
        "\r\n", "\n"
    )
    assert db.session.query(Message).count() == 0


# --- HTML ----------------------------------------------------------------------------------------


def test_pasted_html_is_cleaned_and_it_is_said(
    client: Client, organization: Organization, organizer: User
) -> None:
    html = '<p onclick="x()" style="position:fixed;color:red">Dear {{ first_name|you & I }}</p><script>x</script><div>open'
    answer = client.submit(
        f"{HOME}new",
        {"subject": "Hi", "body": html, "format": "html", "format_was": "html", "go": "stay"},
    )
    page = read(client.get(answer.location)).text
    for said in (
        "scripts (1)",
        "event handlers (1)",
        "positions on the screen (1)",
        "<div> in line 1",
    ):
        assert said in page
    message = db.session.query(Message).one()
    assert message.body == '<p style="color: red">Dear {{ first_name|you & I }}</p><div>open</div>'
    letter = emails.render_message(Draft.of(message), organization)
    assert "Dear {{ first_name|you &amp; I }}" in letter.html
    assert "unsubscribe_url" in letter.html


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('Kept <a href="https://a.example>go</a>', "does not end, so the rest would be lost"),
        ("<script>alert('Kept')</script>", "nothing remains to read"),
        ("<p>Kept {{ nickname }}</p>", "We do not know {{ nickname }}"),
    ],
)
def test_html_that_cannot_be_a_letter_is_said_and_kept(
    client: Client, organization: Organization, organizer: User, body: str, said: str
) -> None:
    answer = client.submit(
        f"{HOME}new", {"subject": "Hi", "body": body, "format": "html", "format_was": "html"}
    )
    assert answer.status_code == 200
    assert said in read(answer).text
    assert "Kept" in answer.text
    assert db.session.query(Message).count() == 0


def test_turning_asks_first_and_keeps_what_was(
    client: Client, organization: Organization, organizer: User, petition: Petition
) -> None:
    body = f"**Dear** {{{{ first_name|you }}}}\n\n::: petition {petition.slug}\n:::"
    message = make_message(organization, body=body, name="Mine")
    path = f"{HOME}{message.id}/edit"
    answer = client.submit(path, {"format": "html"})
    assert "Nothing is saved yet." in read(answer).text
    db.session.refresh(message)
    assert (message.format, message.body) == ("markdown", body)
    token = answer.text.partition('csrf-token" content="')[2].partition('"')[0]
    data = {
        "csrf_token": token,
        "subject": "Hi",
        "body": body,
        "name": "Mine",
        "format": "html",
        "format_was": "markdown",
        "turns": "y",
    }
    assert client.post(path, data=data).status_code == 303
    db.session.refresh(message)
    assert message.format == "html"
    assert "<strong>Dear</strong> {{ first_name|you }}" in message.body
    assert "Keep it open" in message.body
    kept = db.session.query(Message).filter(Message.id != message.id).one()
    assert (kept.name, kept.body, kept.format) == ("Mine (before)", body, "markdown")
    letter = emails.render_message(Draft.of(message), organization)
    assert 'class="button"' in letter.html


def test_a_ladders_step_knows_blocks_too(
    organization: Organization, petition: Petition, run_tasks: Callable[[], int]
) -> None:
    from campaign.ladders import services as ladders
    from campaign.ladders.models import StepKind
    from campaign.ladders.rules import Details
    from tests.factories.ladders import make_ladder, send

    ladder = make_ladder(organization, send())

    def step(body: str) -> None:
        details = Details(subject=Words(en="Hi"), body=Words(en=body))
        ladders.add_step(ladder, StepKind.SEND, details)

    step(f"::: petition {petition.slug}\n:::")
    with pytest.raises(Invalid) as caught:
        step("::: petition somebody-elses\n:::")
    assert caught.value.field == "body_en"
