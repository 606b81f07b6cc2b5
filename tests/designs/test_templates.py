"""Templates: what stands around a message, which colours can be read, and what nobody can leave out."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign.accounts.models import User
from campaign.db import db
from campaign.designs import looks, queries, services
from campaign.designs.looks import Palette
from campaign.designs.models import Template
from campaign.designs.services import TemplateDetails
from campaign.errors import Invalid
from campaign.mailings import emails, rules
from campaign.mailings import queries as mailings
from campaign.mailings import services as messages
from campaign.mailings.emails import Draft
from campaign.mailings.models import Message
from campaign.organizations import colours
from campaign.organizations.models import Organization, Role
from tests.conftest import Client
from tests.factories.designs import make_picture, make_template
from tests.factories.mailings import make_message, make_reader, send_out
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import outbox
from tests.factories.pages import read

HOME = "/organize/mailings/templates/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER)
    log_in(client, user)
    return user


hexes = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(hexes, hexes)
def test_whatever_the_colours_the_text_can_be_read(accent: str, paper: str) -> None:
    if not looks.is_readable(paper):
        return
    palette = Palette.of(paper, looks.brightened(accent, paper))
    for shade in (palette.ink, palette.soft, palette.accent):
        assert colours.contrast(shade, paper) >= 4.5
    assert colours.contrast(palette.on_accent, palette.accent) >= 4.5


def test_header_footer_and_colours_are_in_the_letter(organization: Organization) -> None:
    logo = make_picture(organization, alt="Southside Together, a sun")
    make_template(
        organization,
        header="Neighbors for the clinic",
        picture_id=logo.id,
        footer="More at [our page](https://example.org/us)",
        accent="#7a1f5c",
        paper="#fff8f0",
        accent_dark="#f0a0d0",
        paper_dark="#201018",
        is_default=True,
    )
    letter = emails.render_message(Draft("Hi", "", "Text [a](https://a.example)"), organization)
    assert 'alt="Southside Together, a sun"' in letter.html
    assert queries.picture_url(logo) in letter.html
    for part in ("Neighbors for the clinic", "#7a1f5c", "#f0a0d0 !important", "#201018 !important"):
        assert part in letter.html
    assert "our page (https://example.org/us)" in letter.text
    assert letter.text.startswith("Neighbors for the clinic\n")
    for part in ("{{ unsubscribe_url }}", "{{ preferences_url }}", "Main St"):
        assert part in letter.html
        assert part in letter.text


def test_light_and_dark_can_be_looked_at_anywhere(organization: Organization) -> None:
    letter = emails.render_message(Draft("Hi", "", "x"), organization)
    dark = emails.in_scheme(letter.html, is_dark=True)
    light = emails.in_scheme(letter.html, is_dark=False)
    assert "prefers-color-scheme" not in dark + light
    assert "@media all" in dark
    assert "@media not all" in light


def test_a_message_names_its_template_or_has_the_default(organization: Organization) -> None:
    make_template(organization, header="The default", is_default=True)
    other = make_template(organization, header="The other")
    plain = make_message(organization)
    named = make_message(organization, template_id=other.id)
    for message, header in ((plain, "The default"), (named, "The other")):
        assert emails.render_message(Draft.of(message), organization).text.startswith(header)
    services.delete_template(other)
    db.session.commit()
    assert emails.render_message(Draft.of(named), organization).text.startswith("The other")


def test_there_is_one_default(organization: Organization) -> None:
    first, second = (make_template(organization, is_default=True) for _ in range(2))
    db.session.expire_all()
    assert (first.is_default, second.is_default) == (False, True)
    services.delete_template(second)
    assert queries.default_template(organization.id) is None
    services.restore_template(second)
    assert not second.is_default


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accent", "red"),
        ("accent", "#ffff00"),
        ("accent_dark", "#111111"),
        ("paper", "#777777"),
        ("paper_dark", "x" * 7),
        ("footer", "Dear {{ first_name|you }}"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_field(
    client: Client, organization: Organization, organizer: User, field: str, value: str
) -> None:
    with pytest.raises(Invalid) as caught:
        services.create_template(organization.id, TemplateDetails(name="x", **{field: value}))
    assert caught.value.field == field
    answer = client.submit(f"{HOME}new", {"name": "Kept", field: value})
    assert answer.status_code == 200
    assert f'href="#{field}"' in answer.text
    assert 'value="Kept"' in answer.text


def test_made_changed_copied_put_away_and_brought_back(
    client: Client, organization: Organization, organizer: User
) -> None:
    assert "No templates yet" in client.get(HOME).text
    given = {"name": "Vigils", "header": "Candles", "is_default": "y"}
    assert client.submit(f"{HOME}new", given).status_code == 303
    (template,) = queries.templates_of(organization.id)
    path = f"{HOME}{template.id}"
    page = client.get(path).text
    assert "No template can be without." in page
    client.submit(path, {"name": "Vigils", "header": "Lights", "is_default": "y"})
    assert "Lights" in client.get(HOME).text
    client.submit(HOME, {}, form="/copy")
    assert {one.name for one in queries.templates_of(organization.id)} == {
        "Vigils",
        "Vigils, a copy",
    }
    client.post(f"{path}/delete", data={"csrf_token": token(client)})
    assert client.get(path).status_code == 404
    client.post(f"{path}/restore", data={"csrf_token": token(client)})
    assert client.get(path).status_code == 200


def token(client: Client) -> str:
    found = re.search(r'csrf-token" content="([^"]+)"', client.get(HOME).text)
    assert found
    return found[1]


def test_the_preview_shows_what_is_typed_and_saves_nothing(
    client: Client, organization: Organization, organizer: User
) -> None:
    answer = client.post(
        f"{HOME}preview",
        data={
            "csrf_token": token(client),
            "name": "x",
            "header": "Typed",
            "paper_dark": "#301020",
            "view": "dark",
        },
    )
    assert "Typed" in answer.text
    assert "#301020" in answer.text
    assert "@media all" in answer.text
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert db.session.query(Template).count() == 0


def test_a_message_is_written_in_a_template_of_ones_own(
    client: Client, organization: Organization, organizer: User
) -> None:
    own = make_template(organization, name="Own", header="Own header")
    theirs = make_template(make_organization(), name="Theirs")
    db.session.commit()
    path = "/organize/mailings/new"
    assert "Theirs" not in client.get(path).text
    answer = client.submit(path, {"subject": "Hi", "body": "Text"})
    assert answer.status_code == 303
    answer = client.post(
        path,
        data={
            "csrf_token": token(client),
            "subject": "Hi",
            "body": "Kept text",
            "template_id": theirs.id.hex,
        },
    )
    assert "This template is no longer there." in read(answer).text
    assert "Kept text" in answer.text
    client.submit(path, {"subject": "Second", "body": "Text", "template_id": own.id.hex})
    message = db.session.scalars(
        mailings.messages_in(organization.id, ["draft"]).order_by(Message.id.desc())
    ).first()
    assert message is not None
    assert message.template_id == own.id
    frame = client.get(f"/organize/mailings/{message.id}/frame").text
    assert "Own header" in frame
    services.delete_template(db.session.get_one(Template, own.id))
    db.session.commit()
    assert "Own (put away)" in client.get(f"/organize/mailings/{message.id}/edit").text


def test_somebody_elses_picture_is_no_logo(
    client: Client, organization: Organization, organizer: User
) -> None:
    theirs = make_picture(make_organization())
    db.session.commit()
    data = {"csrf_token": token(client), "name": "x", "picture_id": theirs.id.hex}
    answer = client.post(f"{HOME}new", data=data)
    assert "no longer in your library" in read(answer).text


def test_the_mark_covers_all_that_readers_see(organization: Organization, organizer: User) -> None:
    logo = make_picture(organization)
    template = make_template(organization, is_default=True, picture_id=logo.id)
    message = make_message(organization)
    marks = [rules.mark_of(message)]

    def changed() -> None:
        db.session.flush()
        marks.append(rules.mark_of(message))

    services.edit_template(
        template, TemplateDetails(name="x", header="New", is_default=True, picture_id=logo.id)
    )
    changed()
    services.edit_template(
        template, TemplateDetails(name="x", paper="#fff0f0", is_default=True, picture_id=logo.id)
    )
    changed()
    services.describe_picture(logo, "Another description")
    changed()
    organization.postal_address = "2 Other St"
    changed()
    services.delete_template(template)
    changed()
    organization.accent = "#7a1f5c"
    changed()
    assert all(before != after for before, after in pairwise(marks))
    before = rules.mark_of(message)
    services.create_template(organization.id, TemplateDetails(name="Of no use here"))
    assert rules.mark_of(message) == before


def test_a_test_is_of_the_version_with_its_template(
    organization: Organization, organizer: User
) -> None:
    template = make_template(organization, is_default=True)
    message = make_message(organization)
    messages.send_test(message, organization, [organizer], {})
    codes = [found.code for found in mailings.findings(message, organization, mailings.Reach(1, 1))]
    assert "not_tested" not in codes
    services.edit_template(template, TemplateDetails(name="x", footer="New", is_default=True))
    codes = [found.code for found in mailings.findings(message, organization, mailings.Reach(1, 1))]
    assert "not_tested" in codes


def test_what_went_out_keeps_its_look(organization: Organization) -> None:
    make_reader(organization)
    logo = make_picture(organization)
    template = make_template(organization, header="Then", is_default=True, picture_id=logo.id)
    message = make_message(organization)
    send_out(message)
    services.edit_template(template, TemplateDetails(name="x", header="Now", is_default=True))
    db.session.commit()
    content = mailings.frozen_content(message)
    assert content is not None
    assert "Then" in content.html
    assert len(outbox(kind="mailing")) == 1
    db.session.refresh(logo)
    assert logo.kept_at is not None
