"""The console's pages of petitions, as organizers meet them."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.petitions import queries
from campaign.petitions.models import (
    CommentState,
    Display,
    Invalidation,
    Petition,
    PetitionState,
    Signature,
    SignatureState,
)
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_clinic, make_wards
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature
from tests.petitions.conftest import outbox


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def organizer(client: Client, organization: Organization) -> Client:
    """A client logged in as an organizer."""
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    return client


@pytest.fixture
def mine(organization: Organization) -> Petition:
    petition = make_petition(make_campaign(organization))
    db.session.commit()
    return petition


def actions(organization: Organization) -> list[str]:
    return [
        row.action
        for row in db.session.scalars(
            select(AuditEntry)
            .where(AuditEntry.organization_id == organization.id)
            .order_by(AuditEntry.n)
        )
    ]


def test_write_preview_publish_close_and_open_again(
    organizer: Client, organization: Organization
) -> None:
    campaign = make_campaign(organization)
    clinic = make_clinic(campaign, name="Woodlawn")
    db.session.commit()
    written = {
        "title_en": "Keep Woodlawn open",
        "summary_en": "It is about to close.",
        "text_en": "## Why\n\nBecause.",
        "campaign": campaign.id.hex,
        "clinic": clinic.id.hex,
        "goal": "1,000",
        "closes_on": "2030-06-30",
        "most_public": "initial",
    }
    response = organizer.submit("/organize/petitions/new", written)
    assert response.status_code == 303, read(response).text
    petition = db.session.scalars(select(Petition)).one()
    assert (petition.slug, petition.state, petition.goal) == ("keep-woodlawn-open", "draft", 1000)
    assert petition.clinic_id == clinic.id
    assert petition.closes_at is not None
    assert petition.closes_at.isoformat() == "2030-07-01T05:00:00+00:00"  # midnight in Chicago
    assert petition.missing_languages == ["es"]
    at = f"/organize/petitions/{petition.id}"
    assert "Missing: Español" in read(organizer.get(f"{at}/edit")).text
    assert organizer.get("/p/keep-woodlawn-open").status_code == 404
    shown = read(organizer.get(f"{at}/preview"))
    assert "This is a preview" in shown.text
    assert "Keep Woodlawn open" in shown.text
    assert not [form for form in shown.forms if form["method"] == "post"]
    organizer.submit(at, {}, form="publish")
    assert organizer.get("/p/keep-woodlawn-open").status_code == 200
    organizer.submit(at, {}, form="close")
    assert "This petition is closed" in read(organizer.get("/p/keep-woodlawn-open")).text
    organizer.submit(at, {}, form="publish")
    assert "Add your name" in read(organizer.get("/p/keep-woodlawn-open")).text
    assert actions(organization) == [
        "petition.created",
        "petition.published",
        "petition.closed",
        "petition.published",
    ]


def test_edit_keeps_the_address_once_published(organizer: Client, mine: Petition) -> None:
    slug = mine.slug
    page = read(organizer.get(f"/organize/petitions/{mine.id}/edit"))
    form = next(one for one in page.forms if any(name == "title_en" for name, _ in one["fields"]))
    fields = dict(form["fields"]) | {"slug": "another", "title_en": "New words"}
    assert organizer.post(f"/organize/petitions/{mine.id}/edit", data=fields).status_code == 303
    db.session.refresh(mine)
    assert (mine.slug, mine.title["en"]) == (slug, "New words")
    assert mine.title["es"]
    assert "New words" in read(organizer.get(f"/p/{slug}")).text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("title_en", "", "Write a title in at least one language."),
        ("slug", "No Good!", "small letters, digits and hyphens"),
        ("goal", "0", "whole number"),
        ("goal", "many", "whole number"),
        ("next_url", "javascript:alert(1)", "begins with https://"),
        ("closes_on", "2026-13-45", "year-month-day"),
        ("title_en", "a\x00b", "characters we cannot use"),
        ("campaign", "0" * 32, "Not a valid choice"),
    ],
)
def test_bad_petitions_are_told_at_the_field_and_kept(
    organizer: Client, organization: Organization, field: str, value: str, message: str
) -> None:
    campaign = make_campaign(organization)
    db.session.commit()
    typed = {
        "title_en": "Keep it",
        "campaign": campaign.id.hex,
        "text_en": "My long text",
        "goal": "100",
    }
    response = organizer.submit("/organize/petitions/new", typed | {field: value})
    assert response.status_code == 200
    assert message in read(response).text
    assert "My long text" in response.get_data(as_text=True)
    assert db.session.scalar(select(Petition)) is None


def test_taken_address_is_refused_and_a_free_one_is_found(
    organizer: Client, organization: Organization
) -> None:
    campaign, other = make_campaign(organization), make_petition(slug="keep-it")
    db.session.commit()
    typed = {"title_en": "Keep it", "campaign": campaign.id.hex, "goal": "100"}
    response = organizer.submit("/organize/petitions/new", typed | {"slug": other.slug})
    assert "Another petition has this address" in read(response).text
    organizer.submit("/organize/petitions/new", typed)
    assert db.session.scalar(select(Petition).where(Petition.slug == "keep-it-2")) is not None


def test_overview_has_numbers_growth_sources_and_wards_but_no_name(
    organizer: Client, mine: Petition
) -> None:
    make_wards()
    friend = make_signature(mine, source="flyer", first_name="Secret", postal_code="60637")
    make_signature(mine, source="flyer", referrer_id=friend.id, postal_code="60637")
    make_signature(mine, SignatureState.UNVERIFIED)
    make_signature(mine, SignatureState.PENDING)
    db.session.commit()
    text = read(organizer.get(f"/organize/petitions/{mine.id}")).text
    assert "2 confirmed" in text or "confirmed 2" in text
    assert "flyer" in text
    assert "20th Ward" in text
    assert "Secret" not in text
    assert [count for _day, count in queries.growth(mine.id, clock.zone("America/Chicago"), 2)][
        -1
    ] == 2


def test_growth_counts_days_of_the_readers_zone(app: Flask) -> None:
    from datetime import UTC, datetime

    import time_machine

    petition = make_petition()
    make_signature(
        petition, confirmed_at=datetime(2026, 6, 17, 4, 30, tzinfo=UTC)
    )  # 23:30 on the 16th
    make_signature(petition, confirmed_at=datetime(2026, 6, 17, 5, 30, tzinfo=UTC))
    with time_machine.travel(datetime(2026, 6, 17, 12, tzinfo=UTC)):
        days = queries.growth(petition.id, clock.zone("America/Chicago"), 2)
    assert [count for _day, count in days] == [1, 1]


def test_signatures_filter_search_and_page(
    organizer: Client, mine: Petition, organization: Organization
) -> None:
    make_wards()
    for number in range(60):
        make_signature(
            mine,
            first_name=f"Nr{number:02d}",
            source="flyer" if number % 2 else "",
            postal_code="60637" if number < 5 else "60609",
        )
    make_signature(mine, SignatureState.WITHDRAWN, first_name="Left", email="left@example.net")
    make_signature(first_name="Stranger")
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/signatures"
    first = read(organizer.get(at))
    assert "Left" in first.text
    assert "Nr59" in first.text
    assert "Nr05" not in first.text
    assert "Stranger" not in first.text
    following = next(href for href, given in first.links if given.get("rel") == "next")
    assert "Nr05" in read(organizer.get(following)).text
    ward = next(
        key for key, name in queries.places.district_names("en").items() if name == "20th Ward"
    )
    for query, there, missing in (
        ("state=withdrawn", "Left", "Nr59"),
        ("source=-", "Nr58", "Nr59"),
        ("source=flyer", "Nr59", "Nr58"),
        (f"ward={ward}", "Nr04", "Nr05"),
        ("q=nr17", "Nr17", "Nr18"),
        ("q=left%40example.net", "Left", "Nr59"),
        ("q=%25", "Nobody fits", "Nr59"),
        ("from=2099-01-01", "Nobody fits", "Nr59"),
        ("until=2001-01-01", "Nobody fits", "Nr59"),
        ("from=rubbish&ward=rubbish&state=rubbish&q=%00&after=x", "Nr59", "Nobody fits"),
    ):
        text = read(organizer.get(f"{at}?{query}")).text
        assert there in text, query
        assert missing not in text, query
    assert "signatures.listed" in actions(organization)


def test_display_can_only_be_lowered(organizer: Client, mine: Petition) -> None:
    full = make_signature(mine, display=Display.FULL)
    hidden = make_signature(mine, display=Display.HIDDEN)
    foreign = make_signature(display=Display.FULL)
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/signatures"
    organizer.submit(
        at,
        {"ids": [full.id.hex, hidden.id.hex, foreign.id.hex, "rubbish"], "display": "initial"},
        form="lower",
    )
    assert (full.display, hidden.display, foreign.display) == ("initial", "hidden", "full")
    organizer.submit(at, {"ids": [full.id.hex], "display": "full"}, form="lower")
    assert full.display == "hidden"


def test_comments_are_approved_hidden_and_taken_back(organizer: Client, mine: Petition) -> None:
    rows = [
        make_signature(mine, comment=f"Words {n}", comment_state=CommentState.WAITING)
        for n in range(3)
    ]
    foreign = make_signature(comment="Foreign", comment_state=CommentState.WAITING)
    make_signature(
        mine, SignatureState.PENDING, comment="Not yet", comment_state=CommentState.WAITING
    )
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/comments"
    page = read(organizer.get(at))
    assert "Words 0" in page.text
    assert "Foreign" not in page.text
    assert "Not yet" not in page.text
    ids = [rows[0].id.hex, rows[1].id.hex, foreign.id.hex]
    done = organizer.submit(at, {"ids": ids}, form="approved", follow_redirects=True)
    assert "2 comments are on the page now." in read(done).text
    assert [row.comment_state for row in (*rows, foreign)] == [
        "approved",
        "approved",
        "waiting",
        "waiting",
    ]
    undo = next(form for form in read(done).forms if "waiting?" in form["action"])
    organizer.post(undo["action"], data=dict(undo["fields"]))
    assert [row.comment_state for row in rows] == ["waiting"] * 3
    assert organizer.post(f"{at}/none", data=dict(undo["fields"])).status_code == 404


def test_held_signatures_go_their_way_or_are_turned_away(organizer: Client, mine: Petition) -> None:
    held = [make_signature(mine, SignatureState.REVIEW, review_reason="honeypot") for _ in range(3)]
    nameless = make_signature(mine, SignatureState.REVIEW, email=None)
    foreign = make_signature(state=SignatureState.REVIEW)
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/review"
    assert "a hidden field was filled in" in read(organizer.get(at)).text
    ids = [held[0].id.hex, nameless.id.hex, foreign.id.hex]
    organizer.submit(at, {"ids": ids}, form="approve")
    assert [row.state for row in (held[0], nameless, foreign)] == [
        "pending",
        "unverified",
        "review",
    ]
    assert [mail.to for mail in outbox()] == [held[0].email]
    assert queries.count(mine.id) == queries.Counts(0, 1)
    page = organizer.get(outbox()[0].link("confirm"))
    assert "Is this right" in read(page).text
    done = organizer.submit(at, {"ids": [held[1].id.hex]}, form="approve") and organizer.post(
        f"{at}/reject",
        data={
            "csrf_token": dict(read(organizer.get(at)).forms[-1]["fields"])["csrf_token"],
            "ids": [held[2].id.hex],
        },
        follow_redirects=True,
    )
    assert held[2].state == SignatureState.INVALIDATED
    undo = next(form for form in read(done).forms if "/review/again" in form["action"])
    organizer.post(undo["action"], data=dict(undo["fields"]))
    assert held[2].state == SignatureState.REVIEW


def test_invalidation_shows_the_count_first_and_can_be_taken_back(
    organizer: Client, mine: Petition, organization: Organization
) -> None:
    make_wards()
    bad = [make_signature(mine, email=f"x{n}@spam.example", postal_code="60637") for n in range(3)]
    waiting = make_signature(mine, SignatureState.PENDING, email="y@SPAM.example")
    good = make_signature(mine, email="good@notspam.example")
    foreign = make_signature(email="z@spam.example")
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/invalidate"
    looked = organizer.submit(at, {"domain": "@Spam.example"}, form=-1)
    assert "4 signatures fit. 3 of them are counted now." in read(looked).text
    assert queries.count(mine.id).confirmed == 4
    fields = dict(read(looked).forms[-1]["fields"])
    unsaid = organizer.post(at, data=fields | {"step": "do"})
    assert "Write why" in read(unsaid).text
    assert queries.count(mine.id).confirmed == 4
    done = organizer.post(
        at, data=fields | {"step": "do", "reason": "A script"}, follow_redirects=True
    )
    assert "4 signatures are out of the count." in read(done).text
    assert queries.count(mine.id) == queries.recount(mine.id) == queries.Counts(1, 0)
    assert queries.counts_by_ward(mine.id) == {"20": 1}
    assert {row.state for row in (*bad, waiting)} == {"invalidated"}
    assert (good.state, foreign.state) == ("confirmed", "confirmed")
    invalidation = db.session.scalars(select(Invalidation)).one()
    assert (invalidation.count, invalidation.reason) == (4, "A script")
    undo = next(form for form in read(done).forms if "/restore" in form["action"])
    for _ in range(2):
        organizer.post(undo["action"], data=dict(undo["fields"]))
    assert queries.count(mine.id) == queries.recount(mine.id) == queries.Counts(4, 0)
    assert waiting.state == "pending"
    assert [one for one in actions(organization) if "signatures." in one] == [
        "signatures.invalidated",
        "signatures.restored",
    ]


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        ({"name": "ana ruiz"}, {"a"}),
        ({"email": "A.na+tag@Gmail.com"}, {"a"}),
        ({"ip": "203.0.113.9"}, {"a"}),
        ({"ip": "203.0.113.0/24"}, {"a", "b"}),
        ({"ip": "2001:db8::/64"}, {"c"}),
        ({"postal_code": "60609-1234"}, {"b"}),
        ({"from_at": "2026-01-02T00:00"}, {"b", "c"}),
        ({"until_at": "2026-01-02T00:00"}, {"a"}),
        ({"ip": "203.0.113.0/24", "postal_code": "60637"}, {"a"}),
        ({"name": "100%"}, set()),
        ({"domain": "%"}, set()),
    ],
)
def test_rules_mean_what_they_say(
    organizer: Client, mine: Petition, rule: dict[str, str], hits: set[str]
) -> None:
    from datetime import UTC, datetime

    make_signature(
        mine,
        first_name="Ana",
        last_name="Ruiz",
        email="ana@gmail.com",
        ip="203.0.113.9",
        source="a",
        created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    )
    make_signature(
        mine,
        ip="203.0.113.0/24",
        postal_code="60609",
        source="b",
        created_at=datetime(2026, 1, 2, 12, tzinfo=UTC),
    )
    make_signature(
        mine, ip="2001:db8::1", source="c", created_at=datetime(2026, 1, 3, 12, tzinfo=UTC)
    )
    db.session.commit()
    at = f"/organize/petitions/{mine.id}/invalidate"
    looked = organizer.submit(at, rule, form=-1)
    assert f"{len(hits)} signature" in read(looked).text
    if hits:
        fields = dict(read(looked).forms[-1]["fields"])
        organizer.post(at, data=fields | {"step": "do", "reason": "Test"})
        gone = db.session.scalars(select(Signature.source).where(Signature.state == "invalidated"))
        assert set(gone) == hits
    kept = db.session.scalar(select(Invalidation))
    assert kept is None or (
        "gmail" not in str(kept.rule.get("name", "")) and "ana@gmail.com" not in str(kept.rule)
    )


@pytest.mark.parametrize(
    "rule", [{}, {"ip": "not an ip"}, {"from_at": "yesterday"}, {"name": "a\x00"}]
)
def test_rules_that_mean_nothing_are_refused(
    organizer: Client, mine: Petition, rule: dict[str, str]
) -> None:
    make_signature(mine)
    db.session.commit()
    response = organizer.submit(
        f"/organize/petitions/{mine.id}/invalidate", rule | {"step": "do", "reason": "x"}, form=-1
    )
    assert response.status_code == 200
    assert 'role="alert"' in response.get_data(as_text=True)
    assert queries.count(mine.id).confirmed == 1


PAGES = ("", "/edit", "/preview", "/signatures", "/comments", "/review", "/invalidate")
POSTS = (
    "/publish",
    "/close",
    "/edit",
    "/signatures/lower",
    "/comments/approved",
    "/review/approve",
    "/review/reject",
    "/review/again",
    "/invalidate",
    f"/invalidate/{uuid.uuid4()}/restore",
)


def test_another_organizations_petition_is_not_there(organizer: Client, mine: Petition) -> None:
    theirs = make_petition()
    signature = make_signature(
        theirs, SignatureState.REVIEW, comment="x", comment_state="waiting", display="full"
    )
    db.session.commit()
    before = (
        theirs.state,
        theirs.updated_at,
        signature.state,
        signature.display,
        signature.comment_state,
    )
    token = dict(read(organizer.get(f"/organize/petitions/{mine.id}")).forms[0]["fields"])[
        "csrf_token"
    ]
    for petition_id in (theirs.id, uuid.uuid4()):
        for page in PAGES:
            assert organizer.get(f"/organize/petitions/{petition_id}{page}").status_code == 404, (
                page
            )
        for page in POSTS:
            data = {
                "csrf_token": token,
                "ids": signature.id.hex,
                "step": "do",
                "reason": "x",
                "postal_code": "60637",
            }
            assert (
                organizer.post(f"/organize/petitions/{petition_id}{page}", data=data).status_code
                == 404
            ), page
    assert (
        theirs.state,
        theirs.updated_at,
        signature.state,
        signature.display,
        signature.comment_state,
    ) == before
    assert theirs.title["en"] not in read(organizer.get("/organize/petitions/")).text


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {"", "/preview"}),
        (Role.DATA_ENTRY, {"", "/preview", "/signatures"}),
        (Role.PARTNER, set()),
    ],
)
def test_roles_see_what_the_matrix_says(
    client: Client, organization: Organization, mine: Petition, role: str, allowed: set[str]
) -> None:
    log_in(client, make_member(organization, role), organization)
    for page in PAGES:
        status = client.get(f"/organize/petitions/{mine.id}{page}").status_code
        assert status == (200 if page in allowed else 403), page


def test_public_page_shows_a_change_at_once(organizer: Client, mine: Petition) -> None:
    organizer.get(f"/p/{mine.slug}")
    organizer.submit(f"/organize/petitions/{mine.id}", {}, form="close")
    assert "This petition is closed" in read(organizer.get(f"/p/{mine.slug}")).text


def test_empty_console_says_what_to_do_next(organizer: Client, organization: Organization) -> None:
    db.session.commit()
    assert "A petition needs a campaign" in read(organizer.get("/organize/petitions/")).text
    make_campaign(organization)
    db.session.commit()
    assert "Write your first petition" in read(organizer.get("/organize/petitions/")).text


def test_closing_time_that_passed_goes_when_opened_again(app: Flask) -> None:
    petition = make_petition(closes_at=clock.now() - timedelta(days=1))
    petition.publish(clock.now())
    assert petition.closes_at is None
    assert petition.is_open(clock.now())
    assert petition.state == PetitionState.PUBLISHED
