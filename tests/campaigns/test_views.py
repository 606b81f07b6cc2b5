"""The console's pages of campaigns: what an organizer can do, and what nobody else can."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from markupsafe import escape
from sqlalchemy import select

from campaign.campaigns import queries
from campaign.campaigns.models import Campaign, CampaignState, Clinic, Milestone, Partnership
from campaign.db import Model, Words, db
from campaign.organizations.models import Invitation, Membership, Organization, Role
from campaign.places import queries as places
from tests.conftest import Client
from tests.factories.campaigns import (
    make_campaign,
    make_clinic,
    make_milestone,
    make_partner,
    make_wards,
)
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read

ROOT = "/organize/campaigns/"


@pytest.fixture
def lead(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def organizer(client: Client, lead: Organization) -> Client:
    """A browser in which an owner of `lead` is logged in."""
    log_in(client, make_member(lead, Role.OWNER))
    return client


@pytest.fixture
def campaign(lead: Organization) -> Campaign:
    return make_campaign(lead, title=Words(en="Keep Woodlawn open"))


def only(model: type[Model]) -> Model:
    return db.session.scalars(select(model)).one()


# Campaigns


def test_without_a_campaign_the_page_says_what_to_do(organizer: Client) -> None:
    page = read(organizer.get(ROOT))
    assert "Start your first campaign" in page.text
    assert f"{ROOT}new" in [link for link, _attributes in page.links]


def test_a_campaign_is_written_published_and_taken_back(organizer: Client) -> None:
    answer = organizer.submit(
        f"{ROOT}new",
        {
            "title_en": "Keep Woodlawn open",
            "summary_es": "Dos frases.",
            "decision_on": "2030-06-29",
            "goal": "2,000",
        },
        form=form_with_title(organizer, f"{ROOT}new"),
    )
    made = only(Campaign)
    assert isinstance(made, Campaign)
    assert (answer.status_code, answer.location) == (303, f"{ROOT}{made.id}")
    assert (made.state, made.slug, made.goal) == ("draft", "keep-woodlawn-open", 2000)
    assert made.summary == {"es": "Dos frases."}
    page = read(organizer.get(ROOT))
    assert "Draft" in page.text
    assert "Missing: Español" in page.text
    organizer.submit(f"{ROOT}{made.id}", form="/publish")
    assert db.session.get_one(Campaign, made.id).state == CampaignState.ACTIVE
    flashed = organizer.get(f"{ROOT}{made.id}").get_data(as_text=True)
    assert "The campaign is public now." in flashed
    assert f"{ROOT}{made.id}/withdraw" in flashed
    organizer.submit(f"{ROOT}{made.id}", form="/withdraw")
    assert db.session.get_one(Campaign, made.id).state == CampaignState.DRAFT


def form_with_title(client: Client, path: str) -> int:
    """The position of the page's own form among its posting forms."""
    return form_having(client, path, "title_en", "wording_en", "name")


def form_having(client: Client, path: str, *fields: str) -> int:
    """The position of the form that has one of the fields."""
    forms = [form for form in read(client.get(path)).forms if form["method"] == "post"]
    return next(
        place
        for place, form in enumerate(forms)
        if {*fields} & {name for name, _ in form["fields"]}
    )


def test_a_title_is_needed_and_nothing_typed_is_lost(organizer: Client) -> None:
    answer = organizer.submit(
        f"{ROOT}new",
        {"summary_en": "Kept <b>text</b>", "goal": "lots", "decision_on": "soon"},
        form=form_with_title(organizer, f"{ROOT}new"),
    )
    page = read(answer)
    assert answer.status_code == 200
    assert "Write a title in at least one language." in page.text
    assert "Write a whole number, like 540." in page.text
    assert "Write the day as year-month-day" in page.text
    typed = dict(next(f["fields"] for f in page.forms if "summary_en" in dict(f["fields"])))
    assert typed["summary_en"] == "Kept <b>text</b>"
    assert db.session.scalars(select(Campaign)).all() == []


def test_a_taken_address_says_so_at_the_field(organizer: Client) -> None:
    make_campaign(slug="keep-it")
    db.session.commit()
    answer = organizer.submit(
        f"{ROOT}new",
        {"title_en": "Mine", "slug": "keep-it"},
        form=form_with_title(organizer, f"{ROOT}new"),
    )
    assert "keep-it-2 is free" in read(answer).text
    assert 'value="keep-it"' in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title_en", "a\x00b"),
        ("title_en", "x" * 121),
        ("title_en", "right\u202eleft"),
        ("title_en", "two\nlines"),
        ("slug", "Not An Address"),
        ("goal", "-5"),
        ("goal", "99999999999999999999"),
        ("decision_on", "0001-01-01"),
        ("decision_on", "9999-12-31"),
        ("decision_on", "2026-02-30"),
        ("story_en", "y" * 20_001),
    ],
)
def test_hostile_input_is_a_message_at_the_field(
    organizer: Client, campaign: Campaign, field: str, value: str
) -> None:
    db.session.commit()
    path = f"{ROOT}{campaign.id}"
    answer = organizer.submit(
        path, {"title_en": "Fine", field: value}, form=form_with_title(organizer, path)
    )
    if field == "slug":  # the address of a published campaign is not asked for
        assert answer.status_code in {200, 303}
    else:
        assert answer.status_code == 200
        assert 'aria-invalid="true"' in answer.get_data(as_text=True)
        assert db.session.get_one(Campaign, campaign.id).title == {"en": "Keep Woodlawn open"}
    assert db.session.get_one(Campaign, campaign.id).slug == campaign.slug


def test_emoji_and_other_scripts_are_welcome(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    path = f"{ROOT}{campaign.id}"
    organizer.submit(
        path,
        {"title_en": "Save it 🕯️ أبقوها مفتوحة", "title_es": "¡Sálvenla!"},
        form=form_with_title(organizer, path),
    )
    saved = db.session.get_one(Campaign, campaign.id).title
    assert saved == {"en": "Save it 🕯️ أبقوها مفتوحة", "es": "¡Sálvenla!"}


def test_a_campaign_ends_and_may_run_again(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    path = f"{ROOT}{campaign.id}"
    nothing = organizer.submit(path, form="/end", follow_redirects=True)
    assert "Choose how it ended." in read(nothing).text
    organizer.submit(path, {"outcome": "won"}, form="/end")
    assert db.session.get_one(Campaign, campaign.id).state == CampaignState.WON
    organizer.submit(path, form="/reopen")
    assert db.session.get_one(Campaign, campaign.id).state == CampaignState.ACTIVE


def test_a_step_that_is_over_is_a_conflict(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    token = dict(read(organizer.get(f"{ROOT}new")).forms[-1]["fields"])["csrf_token"]
    answer = organizer.post(f"{ROOT}{campaign.id}/publish", data={"csrf_token": token})
    assert answer.status_code == 409


# Clinics


def test_a_clinic_is_added_changed_and_moved(organizer: Client, campaign: Campaign) -> None:
    make_wards()
    db.session.commit()
    path = f"{ROOT}{campaign.id}/clinics"
    assert "No clinic yet" in read(organizer.get(path)).text
    for name in ("Woodlawn", "Beverly"):
        organizer.submit(
            f"{path}/new",
            {"name": name, "postal_code": "60637-1234", "status": "closing",
             "status_on": "2030-07-07", "people_served": "540"},
            form=form_with_title(organizer, f"{path}/new"),
        )  # fmt: skip
    first, second = queries.clinics_of(campaign.id)
    page = read(organizer.get(path))
    assert "Closes July 7" in page.text
    assert "20th Ward" in page.text
    organizer.submit(path, {"direction": "up"}, form=f"{second.id}/move")
    assert [row.name for row in queries.clinics_of(campaign.id)] == ["Beverly", "Woodlawn"]
    clinic_path = f"{ROOT}clinics/{first.id}"
    organizer.submit(
        clinic_path,
        {"status": "saved", "status_on": "2030-05-30", "note_en": "After the town hall."},
        form=f"{first.id}/status",
    )
    page = read(organizer.get(clinic_path))
    assert "Saved May 30" in page.text
    assert "After the town hall." in page.text
    assert "60637 lies in: 20th Ward 52 %, 5th Ward 41 %, 6th Ward 7 %." in page.text
    fifth = next(d.id for d in places.districts() if d.code == "5")
    organizer.submit(
        clinic_path,
        {"name": "Woodlawn!", "district": str(fifth)},
        form=form_having(organizer, clinic_path, "name"),
    )
    changed = db.session.get_one(Clinic, first.id)
    assert (changed.name, changed.district_id, changed.status) == ("Woodlawn!", fifth, "saved")


def test_an_unknown_status_or_ward_is_refused(organizer: Client, campaign: Campaign) -> None:
    clinic = make_clinic(campaign)
    db.session.commit()
    path = f"{ROOT}clinics/{clinic.id}"
    answer = organizer.submit(path, {"status": "sold"}, form=f"{clinic.id}/status")
    assert answer.status_code == 200
    forged = organizer.submit(
        path, {"district": str(uuid.uuid4())}, form=form_having(organizer, path, "name")
    )
    assert forged.status_code == 200
    assert db.session.get_one(Clinic, clinic.id).status == "open"
    assert queries.status_history(clinic.id) == []


def test_a_clinic_is_removed(organizer: Client, campaign: Campaign) -> None:
    clinic = make_clinic(campaign)
    db.session.commit()
    organizer.submit(f"{ROOT}clinics/{clinic.id}", form="/remove")
    assert queries.clinics_of(campaign.id) == []


# The timeline


def test_the_timeline_is_written_and_hidden(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    path = f"{ROOT}{campaign.id}/timeline"
    form = form_with_title(organizer, f"{path}/new")
    empty = organizer.submit(f"{path}/new", {"title_en": "", "on": ""}, form=form)
    assert "Write what you did in at least one language." in read(empty).text
    organizer.submit(
        f"{path}/new",
        {"on": "2026-06-01", "title_en": "A vigil", "result_en": "They came", "is_public": "on"},
        form=form,
    )
    made = only(Milestone)
    assert isinstance(made, Milestone)
    assert made.is_public
    one = f"{ROOT}milestones/{made.id}"
    organizer.submit(one, {"is_public": None}, form=form_with_title(organizer, one))
    page = read(organizer.get(path))
    assert "A vigil" in page.text
    assert "Team only" in page.text
    organizer.submit(one, form="/remove")
    assert queries.milestones_of(campaign.id) == []


# Partners


def test_a_partner_that_is_here_joins(organizer: Client, campaign: Campaign) -> None:
    partner = make_organization(name="Illinois Nurses", slug="nurses")
    db.session.commit()
    path = f"{ROOT}{campaign.id}/partners"
    form = form_with_title(organizer, f"{path}/new")
    unknown = organizer.submit(f"{path}/new", {"partner": "Nurse", "wording_en": "Yes."}, form=form)
    assert "We know no organization of that name." in read(unknown).text
    wordless = organizer.submit(f"{path}/new", {"partner": "nurses"}, form=form)
    assert "Write what the box says" in read(wordless).text
    organizer.submit(
        f"{path}/new",
        {"partner": "nurses", "wording_en": "Nurses may email me.", "about_en": "Nurses."},
        form=form,
    )
    made = only(Partnership)
    assert isinstance(made, Partnership)
    assert made.partner_id == partner.id
    text = read(organizer.get(path)).text
    assert "Nurses may email me." in text
    assert "What its box says (Español)" in text
    assert "Missing" in text
    organizer.submit(path, form=f"{made.id}/leave")
    assert queries.partners_of(campaign.id) == []
    organizer.submit(path, form=f"{made.id}/return")
    assert len(queries.partners_of(campaign.id)) == 1
    one = f"{ROOT}partnerships/{made.id}"
    organizer.submit(
        one, {"wording_es": "Pueden escribirme."}, form=form_with_title(organizer, one)
    )
    assert db.session.get_one(Partnership, made.id).wording == {
        "en": "Nurses may email me.",
        "es": "Pueden escribirme.",
    }


def test_a_new_organization_is_made_for_a_partner(organizer: Client, campaign: Campaign) -> None:
    db.session.commit()
    path = f"{ROOT}{campaign.id}/partners/new"
    form = form_with_title(organizer, path)
    wrong = {
        "kind": "new",
        "partner": "Block Club",
        "wording_en": "Yes.",
        "website": "javascript:1",
    }
    assert "A website starts with https://." in read(organizer.submit(path, wrong, form=form)).text
    organizer.submit(path, wrong | {"website": "https://block.example"}, form=form)
    made = queries.partners_of(campaign.id)[0].partner
    assert (made.slug, made.name, made.website) == (
        "block-club",
        "Block Club",
        "https://block.example",
    )


def test_a_partner_twice_is_a_message(organizer: Client, campaign: Campaign) -> None:
    partnership = make_partner(campaign)
    db.session.commit()
    slug = partnership.partner.slug
    path = f"{ROOT}{campaign.id}/partners/new"
    answer = organizer.submit(
        path, {"partner": slug, "wording_en": "Again."}, form=form_with_title(organizer, path)
    )
    assert "This organization is a partner already." in read(answer).text
    assert f'value="{escape(slug)}"' in answer.get_data(as_text=True)


# Who may


@pytest.fixture
def foreign(app: Flask) -> dict[str, str]:
    """Paths of another organization's things."""
    campaign = make_campaign(make_organization())
    return {
        "campaign": f"{ROOT}{campaign.id}",
        "preview": f"{ROOT}{campaign.id}/preview",
        "clinics": f"{ROOT}{campaign.id}/clinics",
        "new clinic": f"{ROOT}{campaign.id}/clinics/new",
        "timeline": f"{ROOT}{campaign.id}/timeline",
        "new milestone": f"{ROOT}{campaign.id}/timeline/new",
        "partners": f"{ROOT}{campaign.id}/partners",
        "new partner": f"{ROOT}{campaign.id}/partners/new",
        "clinic": f"{ROOT}clinics/{make_clinic(campaign).id}",
        "milestone": f"{ROOT}milestones/{make_milestone(campaign).id}",
        "partnership": f"{ROOT}partnerships/{make_partner(campaign).id}",
    }


def test_another_organizations_things_are_not_there(
    organizer: Client, foreign: dict[str, str]
) -> None:
    db.session.commit()
    before = {
        model: sorted(str(row.__dict__["id"]) for row in db.session.scalars(select(model)))
        for model in (Campaign, Clinic, Milestone, Partnership)
    }
    states = [row.state for row in db.session.scalars(select(Campaign))]
    for path in foreign.values():
        assert organizer.get(path).status_code == 404, path
    token = dict(read(organizer.get(f"{ROOT}new")).forms[-1]["fields"])["csrf_token"]
    verbs = ("publish", "withdraw", "end", "reopen", "status", "move", "remove", "leave", "return")
    posts = [*foreign.values(), *(f"{path}/{verb}" for path in foreign.values() for verb in verbs)]
    for path in posts:
        data = {"csrf_token": token, "title_en": "Mine now", "outcome": "lost", "name": "Mine",
                "status": "closed", "on": "2026-01-01", "wording_en": "x", "partner": "x"}  # fmt: skip
        assert organizer.post(path, data=data).status_code in {404, 405}, path
    for model, ids in before.items():
        assert sorted(str(row.id) for row in db.session.scalars(select(model))) == ids
    assert [row.state for row in db.session.scalars(select(Campaign))] == states


def test_unknown_ids_are_not_there(organizer: Client) -> None:
    db.session.commit()
    for path in (f"{uuid.uuid4()}", f"clinics/{uuid.uuid4()}", "clinics/7", "x"):
        assert organizer.get(f"{ROOT}{path}").status_code == 404


@pytest.mark.parametrize(
    ("role", "list_code", "edit_code", "partner_code"),
    [
        (Role.OWNER, 200, 200, 200),
        (Role.ORGANIZER, 200, 200, 403),
        (Role.DATA_ENTRY, 200, 403, 403),
        (Role.VIEWER, 200, 403, 403),
        (Role.PARTNER, 403, 403, 403),
    ],
)
def test_roles(
    client: Client,
    lead: Organization,
    campaign: Campaign,
    role: Role,
    list_code: int,
    edit_code: int,
    partner_code: int,
) -> None:
    log_in(client, make_member(lead, role))
    assert client.get(ROOT).status_code == list_code
    assert client.get(f"{ROOT}{campaign.id}/preview").status_code == list_code
    assert client.get(f"{ROOT}{campaign.id}").status_code == edit_code
    assert client.get(f"{ROOT}{campaign.id}/clinics").status_code == edit_code
    assert client.get(f"{ROOT}{campaign.id}/partners/new").status_code == partner_code


def test_a_viewer_is_led_to_the_preview(
    client: Client, lead: Organization, campaign: Campaign
) -> None:
    log_in(client, make_member(lead, Role.VIEWER))
    links = [link for link, _attributes in read(client.get(ROOT)).links]
    assert f"{ROOT}{campaign.id}/preview" in links
    assert f"{ROOT}new" not in links


def test_nobody_comes_in_without_a_log_in(client: Client, campaign: Campaign) -> None:
    db.session.commit()
    answer = client.get(f"{ROOT}{campaign.id}")
    assert answer.status_code in {302, 303}
    assert "/login" in answer.location


def test_the_contact_of_a_new_partner_is_invited_and_sees_only_its_own(
    client: Client, lead: Organization, campaign: Campaign
) -> None:
    owner = make_member(lead, Role.OWNER)
    log_in(client, owner)
    path = f"{ROOT}{campaign.id}/partners/new"
    data = {"kind": "new", "partner": "Block Club", "wording_en": "Yes.", "contact": "no address"}
    form = form_with_title(client, path)
    assert "does not look like an email address" in read(client.submit(path, data, form=form)).text
    assert db.session.scalars(select(Invitation)).all() == []
    client.submit(path, data | {"contact": "dana@block.example"}, form=form)
    invitation = db.session.scalars(select(Invitation)).one()
    partner = queries.partners_of(campaign.id)[0].partner
    assert (invitation.organization_id, invitation.role) == (partner.id, Role.PARTNER)
    assert invitation.email == "dana@block.example"
    assert (
        db.session.scalars(select(Membership).where(Membership.organization_id == partner.id)).all()
        == []
    )
