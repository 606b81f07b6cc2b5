"""Changing campaigns: addresses, states, clinics, partners, order."""

from __future__ import annotations

import uuid
from datetime import date

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign import clock
from campaign.campaigns import queries, services
from campaign.campaigns.models import (
    SLUG,
    CampaignState,
    Clinic,
    ClinicStatus,
    Partnership,
    PartnershipState,
    slug_from,
)
from campaign.campaigns.services import (
    CampaignDetails,
    ClinicDetails,
    MilestoneDetails,
    PartnerDetails,
    StatusDetails,
)
from campaign.db import Words, db
from campaign.errors import Conflict, Invalid
from campaign.organizations.models import AuditEntry
from campaign.places import queries as places
from tests.factories.campaigns import (
    make_campaign,
    make_clinic,
    make_milestone,
    make_partner,
    make_wards,
)
from tests.factories.organizations import make_organization
from tests.factories.petitions import make_petition

BOX = PartnerDetails(wording=Words(en="They may email me."))


def details(title: str = "Keep Woodlawn open", **values: object) -> CampaignDetails:
    return CampaignDetails(title=Words(en=title), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Keep our clinics", "keep-our-clinics"),
        ("¡Salvemos Woodlawn!", "salvemos-woodlawn"),
        ("Don’t close it", "dont-close-it"),
        ("  50% off? No -- never ", "50-off-no-never"),
        ("门", "campaign"),
        ("word " * 40, "-".join(["word"] * 12)),
        ("x" * 200, "x" * 60),
    ],
)
def test_an_address_is_suggested_from_the_title(title: str, slug: str) -> None:
    assert slug_from(title) == slug


@given(st.text(max_size=200))
def test_a_suggestion_is_always_an_address(title: str) -> None:
    slug = slug_from(title)
    assert SLUG.fullmatch(slug)
    assert len(slug) <= 60


def test_a_new_campaign_is_a_draft_with_a_free_address(app: Flask) -> None:
    lead = make_organization()
    first = services.create_campaign(lead.id, details())
    second = services.create_campaign(make_organization().id, details())
    assert (first.slug, first.state) == ("keep-woodlawn-open", CampaignState.DRAFT)
    assert second.slug == "keep-woodlawn-open-2"


def test_a_taken_address_is_refused_with_a_free_one(app: Flask) -> None:
    make_campaign(slug="keep-it")
    with pytest.raises(Invalid, match="keep-it-2 is free") as caught:
        services.create_campaign(make_organization().id, details(slug="keep-it"))
    assert caught.value.field == "slug"


def test_the_free_address_offered_for_the_longest_one_can_be_taken(app: Flask) -> None:
    longest = "x" * 80
    make_campaign(slug=longest)
    with pytest.raises(Invalid) as caught:
        services.create_campaign(make_organization().id, details(slug=longest))
    free = str(caught.value.message).split("already. ")[1].split(" ")[0]
    assert services.create_campaign(make_organization().id, details(slug=free)).slug == free


def test_the_constraint_decides_a_race_for_an_address(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_campaign(slug="keep-it")
    monkeypatch.setattr(services, "_slug_is_taken", lambda slug, but=None: False)
    with pytest.raises(Invalid, match="is free"):
        services.create_campaign(make_organization().id, details(slug="keep-it"))


@pytest.mark.parametrize("slug", ["Keep", "a b", "-a", "a--b", "../x", "é", "x" * 81])
def test_what_is_no_address_is_refused(app: Flask, slug: str) -> None:
    with pytest.raises(Invalid) as caught:
        services.create_campaign(make_organization().id, details(slug=slug))
    assert caught.value.field == "slug"


def test_the_address_of_a_published_campaign_stays(app: Flask) -> None:
    campaign = services.create_campaign(make_organization().id, details())
    services.edit_campaign(campaign, details(slug="other"))
    assert campaign.slug == "other"
    services.publish_campaign(campaign)
    services.edit_campaign(campaign, details("New title", slug="third"))
    assert (campaign.slug, campaign.title) == ("other", {"en": "New title"})


def test_a_draft_cannot_take_anothers_address(app: Flask) -> None:
    make_campaign(slug="taken")
    campaign = services.create_campaign(make_organization().id, details())
    with pytest.raises(Invalid):
        services.edit_campaign(campaign, details(slug="taken"))
    assert campaign.slug == "keep-woodlawn-open"


def test_states_go_only_where_they_may(app: Flask) -> None:
    campaign = services.create_campaign(make_organization().id, details())
    for wrong in (
        lambda: services.end_campaign(campaign, CampaignState.WON),
        lambda: services.reopen_campaign(campaign),
        lambda: services.withdraw_campaign(campaign),
    ):
        with pytest.raises(Conflict):
            wrong()
    services.publish_campaign(campaign)
    assert campaign.published_at is not None
    with pytest.raises(Conflict):
        services.publish_campaign(campaign)
    with pytest.raises(Conflict):
        services.end_campaign(campaign, CampaignState.DRAFT)
    services.end_campaign(campaign, CampaignState.WON)
    assert (campaign.state, campaign.ended_at is not None) == ("won", True)
    with pytest.raises(Conflict):
        services.end_campaign(campaign, CampaignState.LOST)
    services.reopen_campaign(campaign)
    assert (campaign.state, campaign.ended_at) == ("active", None)


def test_what_the_public_sees_change_is_in_the_audit_log(app: Flask) -> None:
    lead = make_organization()
    campaign = services.create_campaign(lead.id, details())
    services.publish_campaign(campaign)
    services.add_partner(campaign, make_organization(), BOX)
    services.end_campaign(campaign, CampaignState.LOST)
    lines = db.session.query(AuditEntry).filter_by(organization_id=lead.id).order_by(AuditEntry.n)
    assert [line.action for line in lines] == [
        "campaign.created",
        "campaign.published",
        "partner.added",
        "campaign.ended",
    ]


# Clinics


def test_a_status_change_is_history_and_present(app: Flask) -> None:
    clinic = services.add_clinic(make_campaign(), ClinicDetails(name="Woodlawn"))
    services.change_clinic_status(
        clinic, StatusDetails(status=ClinicStatus.CLOSING, on=date(2026, 7, 7))
    )
    services.change_clinic_status(
        clinic,
        StatusDetails(status=ClinicStatus.SAVED, on=date(2026, 5, 30), note=Words(en="We did it.")),
    )
    assert [row.status for row in queries.status_history(clinic.id)] == ["saved", "closing", "open"]
    assert (clinic.status, clinic.status_on) == ("saved", date(2026, 5, 30))
    assert clinic.status_note == {"en": "We did it."}


def test_a_clinics_ward_comes_from_its_code_unless_named(app: Flask) -> None:
    make_wards()
    wards = {district.code: district.id for district in places.districts()}
    campaign = make_campaign()
    guessed = services.add_clinic(campaign, ClinicDetails(name="A", postal_code="60637-1234"))
    named = services.add_clinic(
        campaign, ClinicDetails(name="B", postal_code="60637", district_id=wards["5"])
    )
    assert (guessed.postal_code, guessed.district_id) == ("60637", wards["20"])
    assert named.district_id == wards["5"]


def test_clinics_are_moved_one_place_at_a_time(app: Flask) -> None:
    campaign = make_campaign()
    for name in "ABC":
        services.add_clinic(campaign, ClinicDetails(name=name))

    def order() -> str:
        return "".join(clinic.name for clinic in queries.clinics_of(campaign.id))

    first, _middle, last = queries.clinics_of(campaign.id)
    services.move_clinic(first, -1)
    services.move_clinic(last, 1)
    assert order() == "ABC"
    services.move_clinic(first, 1)
    assert order() == "BAC"
    services.move_clinic(last, -1)
    services.move_clinic(last, -1)
    assert order() == "CBA"


def test_moving_never_touches_another_campaign(app: Flask) -> None:
    mine, other = make_clinic(make_campaign(), position=1), make_clinic(make_campaign(), position=1)
    services.move_clinic(mine, -1)
    assert db.session.get_one(Clinic, other.id).position == 1


def test_a_clinic_that_a_petition_is_about_stays(app: Flask) -> None:
    campaign = make_campaign()
    needed, mistake = make_clinic(campaign), make_clinic(campaign)
    make_petition(campaign, clinic_id=needed.id)
    with pytest.raises(Conflict, match="petition"):
        services.remove_clinic(needed)
    services.remove_clinic(mistake)
    db.session.expire_all()
    assert [clinic.id for clinic in queries.clinics_of(campaign.id)] == [needed.id]


# The timeline


def test_the_timeline_is_latest_first_and_hides_what_is_for_the_team(app: Flask) -> None:
    campaign = make_campaign()
    for day, is_public in ((1, True), (3, False), (2, True)):
        services.add_milestone(
            campaign,
            MilestoneDetails(
                on=date(2026, 6, day), title=Words(en=f"Day {day}"), is_public=is_public
            ),
        )
    everything = [row.title["en"] for row in queries.milestones_of(campaign.id)]
    shown = [row.title["en"] for row in queries.milestones_of(campaign.id, only_public=True)]
    assert everything == ["Day 3", "Day 2", "Day 1"]
    assert shown == ["Day 2", "Day 1"]


# Partners


def test_a_partner_is_found_by_its_whole_name_only(app: Flask) -> None:
    partner = make_organization(name="Illinois Nurses", slug="nurses")
    assert services.find_partner("NURSES ").id == partner.id
    assert services.find_partner("illinois nurses").id == partner.id
    for part in ("nurse", "Illinois", "%", "", "nurses%"):
        with pytest.raises(Invalid):
            services.find_partner(part)


def test_two_of_one_name_need_the_short_name(app: Flask) -> None:
    make_organization(name="Neighbors", slug="neighbors-north")
    make_organization(name="Neighbors", slug="neighbors-south")
    with pytest.raises(Invalid):
        services.find_partner("Neighbors")
    assert services.find_partner("neighbors-south").slug == "neighbors-south"


def test_a_partner_joins_once_and_never_leads_itself(app: Flask) -> None:
    campaign = make_campaign()
    partner = make_organization()
    services.add_partner(campaign, partner, BOX)
    with pytest.raises(Conflict, match="already"):
        services.add_partner(campaign, partner, BOX)
    lead = db.session.get_one(type(partner), campaign.organization_id)
    with pytest.raises(Conflict, match="lead"):
        services.add_partner(campaign, lead, BOX)


def test_who_left_is_shown_no_more_and_may_come_back(app: Flask) -> None:
    campaign = make_campaign()
    partner = make_organization()
    partnership = services.add_partner(campaign, partner, BOX)
    services.end_partnership(partnership)
    assert queries.partners_of(campaign.id) == []
    assert [row.id for row in queries.partnerships_of(campaign.id)] == [partnership.id]
    with pytest.raises(Conflict):
        services.end_partnership(partnership)
    again = services.add_partner(campaign, partner, PartnerDetails(wording=Words(en="New words.")))
    assert (again.id, again.wording) == (partnership.id, {"en": "New words."})
    assert db.session.query(Partnership).filter_by(campaign_id=campaign.id).count() == 1


def test_only_active_partners_are_partners(app: Flask) -> None:
    campaign = make_campaign()
    make_partner(campaign, state=PartnershipState.INVITED)
    active = make_partner(campaign)
    make_partner(make_campaign())
    assert [row.id for row in queries.partners_of(campaign.id)] == [active.id]


def test_a_new_partner_organization_gets_a_short_name_of_its_own(app: Flask) -> None:
    first = services.create_partner_organization("Block Club")
    second = services.create_partner_organization("Block Club")
    assert (first.slug, second.slug) == ("block-club", "block-club-2")


def test_partners_are_moved_among_the_active(app: Flask) -> None:
    campaign = make_campaign()
    first, second = make_partner(campaign, position=0), make_partner(campaign, position=1)
    services.move_partner(second, -1)
    assert [row.id for row in queries.partners_of(campaign.id)] == [second.id, first.id]


# Reading


def test_what_is_missing_in_a_language_is_known(app: Flask) -> None:
    campaign = make_campaign(title=Words(en="T", es="T"), summary=Words(en="S"))
    assert campaign.missing_languages == ["es"]
    assert make_milestone(campaign, title=Words(es="H"), result=Words()).missing_languages == ["en"]
    assert make_clinic(campaign).missing_languages == []


def test_only_the_organizations_own_are_found(app: Flask) -> None:
    campaign = make_campaign()
    clinic, milestone = make_clinic(campaign), make_milestone(campaign)
    partnership = make_partner(campaign)
    own, stranger = campaign.organization_id, uuid.uuid4()
    for find, key in (
        (queries.campaign_of, campaign.id),
        (queries.clinic_of, clinic.id),
        (queries.milestone_of, milestone.id),
        (queries.partnership_of, partnership.id),
    ):
        assert find(own, key) is not None
        assert find(stranger, key) is None
        assert find(partnership.partner_id, key) is None


def test_running_campaigns_come_first_by_their_decision(app: Flask) -> None:
    now = clock.now()
    over = make_campaign(state=CampaignState.WON, ended_at=now)
    later = make_campaign(decision_on=date(2030, 2, 1))
    open_end = make_campaign()
    sooner = make_campaign(decision_on=date(2030, 1, 1))
    make_campaign(state=CampaignState.DRAFT)
    found = [campaign.id for campaign in queries.public_campaigns()]
    assert found == [sooner.id, later.id, open_end.id, over.id]
