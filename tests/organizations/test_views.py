from __future__ import annotations

import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import User
from campaign.db import db
from campaign.organizations import queries, services
from campaign.organizations.cli import roles_page
from campaign.organizations.forms import ACTION_WORDS
from campaign.organizations.models import (
    MATRIX,
    MEANING,
    AuditEntry,
    Invitation,
    Membership,
    Organization,
    Permission,
    Role,
)
from campaign.organizations.views.organize import shown_details
from tests.conftest import Client
from tests.factories.organizations import (
    log_in,
    make_member,
    make_membership,
    make_organization,
    make_user,
)
from tests.factories.outbox import outbox
from tests.factories.pages import read

PASSWORD = "four words in a row"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(slug="stop", name="Southside Together")


@pytest.fixture
def owner(client: Client, organization: Organization) -> User:
    user = make_member(organization, name="Ana")
    log_in(client, user, organization)
    return user


def another(app: Flask) -> Client:
    client = app.test_client()
    assert isinstance(client, Client)
    return client


class TestRoles:
    def test_docs_print_the_matrix(self, project: Path) -> None:
        assert (project / "docs" / "roles.md").read_text("utf-8") == roles_page()

    def test_every_permission_has_its_words_and_an_owner(self) -> None:
        assert set(MEANING) == set(Permission)
        # Who risks arrest is for the legal role alone: not even an owner looks.
        assert MATRIX[Role.OWNER] == frozenset(Permission) - {Permission.ARRESTS_VIEW}
        assert [role for role in Role if Permission.ARRESTS_VIEW in MATRIX[role]] == [Role.LEGAL]
        assert set(MATRIX) == set(Role)

    def test_fewer_rights_further_down(self) -> None:
        assert (
            MATRIX[Role.VIEWER]
            < MATRIX[Role.DATA_ENTRY]
            < MATRIX[Role.ORGANIZER]
            < MATRIX[Role.OWNER]
        )
        for forbidden in (Permission.PEOPLE_VIEW, Permission.SIGNATURES_VIEW, Permission.DASHBOARD):
            assert forbidden not in MATRIX[Role.PARTNER]


class TestGuard:
    def test_partner_people_come_to_their_own_pages(
        self, client: Client, organization: Organization
    ) -> None:
        log_in(client, make_member(organization, Role.PARTNER), organization)
        assert client.get("/organize/").location == "/partner/"
        assert client.get("/organize/organization").status_code == 403
        assert client.get("/organize/account").status_code == 200

    def test_no_team(self, client: Client) -> None:
        user = make_user(email="ana@example.org")
        log_in(client, user)
        response = client.get("/organize/")
        assert response.status_code == 403
        assert "on no team yet" in read(response).text
        assert "ana@example.org" in read(response).text
        assert client.get("/organize/account").status_code == 200

    def test_taken_off_the_team_at_the_next_click(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        assert client.get("/organize/organization").status_code == 200
        make_member(organization)
        member = queries.membership(owner.id, organization.id)
        assert member is not None
        services.remove_member(member, by=owner.id)
        db.session.commit()
        assert client.get("/organize/organization").status_code == 403

    def test_another_role_at_the_next_click(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        db.session.execute(update(Membership).values(role=Role.VIEWER))
        db.session.commit()
        assert client.get("/organize/organization").status_code == 403
        assert client.get("/organize/").status_code == 200

    def test_an_organization_of_others_in_the_session_is_not_entered(self, client: Client) -> None:
        theirs = make_organization(name="Theirs")
        mine = make_organization(name="Mine")
        session = log_in(client, make_member(mine), mine)
        session.organization_id = theirs.id
        db.session.commit()
        text = read(client.get("/organize/")).text
        assert "Mine" in text
        assert "Theirs" not in text

    def test_role_without_right_on_a_page(self, client: Client, organization: Organization) -> None:
        log_in(client, make_member(organization, Role.ORGANIZER), organization)
        response = client.get("/organize/organization/team")
        assert response.status_code == 403
        assert "not open to you" in read(response).text


class TestProfile:
    def data(self, **values: str) -> dict[str, str]:
        return {
            "name": "Southside Together",
            "postal_address": "1 Main St\nChicago",
            "website": "https://stop.example",
            "crisis_line": "Warmline, 555-0134",
            "sender_name": "Southside",
            "sender_email": "hello@stop.example",
            "reply_to": "",
            "accent": "#0b5d5a",
            "accent_dark": "",
            "language": "es",
            "time_zone": "America/Chicago",
        } | values

    def test_saved(self, client: Client, owner: User, organization: Organization) -> None:
        assert client.submit("/organize/organization", self.data()).status_code == 303
        db.session.refresh(organization)
        assert organization.postal_address == "1 Main St\nChicago"
        assert organization.language == "es"
        assert organization.accent_css.startswith(":root{--accent:#0b5d5a")
        entry = db.session.scalars(select(AuditEntry)).one()
        assert entry.action == "organization.changed"
        assert entry.user_id == owner.id

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "a\x00"),
            ("name", "a\u202eb"),
            ("name", "a\r\nBcc: x@example.org"),
            ("name", "x" * 201),
            ("sender_name", "a\nb"),
            ("sender_email", "nobody"),
            ("reply_to", "a@b@c"),
            ("website", "javascript:alert(1)"),
            ("website", "stop.example"),
            ("accent", "#ffcc00"),
            ("accent", "red"),
            ("accent_dark", "#111111"),
            ("time_zone", "Mars"),
            ("language", "xx"),
            ("postal_address", "x" * 301),
        ],
    )
    def test_refused_with_words_and_nothing_lost(
        self, client: Client, owner: User, organization: Organization, field: str, value: str
    ) -> None:
        response = client.submit(
            "/organize/organization", self.data(crisis_line="Kept words") | {field: value}
        )
        assert response.status_code == 200
        page = read(response)
        assert "Please look at this again" in page.text
        assert ("crisis_line", "Kept words") in page.forms[-1]["fields"]
        db.session.refresh(organization)
        assert organization.crisis_line == ""


class TestTeam:
    def member(self, organization: Organization, role: Role = Role.VIEWER) -> Membership:
        member = make_membership(make_user(name="Bo", email="bo@example.org"), organization, role)
        db.session.commit()
        return member

    def test_change_and_remove(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        member = self.member(organization)
        path = "/organize/organization/team"
        response = client.submit(
            path, {"role": "organizer"}, form=f"{member.id}/role", follow_redirects=True
        )
        assert "The role is changed" in read(response).text
        db.session.refresh(member)
        assert member.role == Role.ORGANIZER
        response = client.submit(path, {}, form=f"{member.id}/remove", follow_redirects=True)
        assert "no longer on the team" in read(response).text
        assert [row.user_id for row in queries.members(organization.id)] == [owner.id]
        actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.n)))
        assert actions == ["team.role_changed", "team.removed"]

    def test_last_owner(self, client: Client, owner: User, organization: Organization) -> None:
        member = queries.membership(owner.id, organization.id)
        assert member is not None
        for form, data in ((f"{member.id}/role", {"role": "viewer"}), (f"{member.id}/remove", {})):
            response = client.submit(
                "/organize/organization/team", data, form=form, follow_redirects=True
            )
            assert "needs an owner" in read(response).text
        db.session.refresh(member)
        assert member.role == Role.OWNER

    def test_unknown_role(self, client: Client, owner: User, organization: Organization) -> None:
        member = self.member(organization)
        response = client.submit(
            "/organize/organization/team", {"role": "god"}, form=f"{member.id}/role"
        )
        assert response.status_code == 400
        db.session.refresh(member)
        assert member.role == Role.VIEWER

    def test_asks_for_the_password_after_a_while(
        self, client: Client, organization: Organization
    ) -> None:
        session = log_in(client, make_member(organization), organization)
        member = self.member(organization)
        session.authenticated_at = clock.now() - timedelta(minutes=20)
        db.session.commit()
        response = client.submit(
            "/organize/organization/team", {"role": "owner"}, form=f"{member.id}/role"
        )
        assert "Your password, please" in read(response).text
        db.session.refresh(member)
        assert member.role == Role.VIEWER


class TestInvitation:
    def invite(self, client: Client, email: str = "bo@example.org", role: str = "viewer") -> str:
        response = client.submit(
            "/organize/organization/team",
            {"email": email, "role": role},
            form=-1,
            follow_redirects=True,
        )
        assert "on its way" in read(response).text
        return outbox(email, "invitation")[-1].values["url"].removeprefix("http://127.0.0.1:8000")

    def test_new_person(
        self, client: Client, owner: User, organization: Organization, app: Flask
    ) -> None:
        path = self.invite(client)
        guest = another(app)
        assert guest.get(path).status_code == 200
        assert guest.head(path).status_code == 200
        assert db.session.scalar(select(Invitation.accepted_at)) is None
        response = guest.submit(path, {"name": "Bo", "password": PASSWORD})
        assert (response.status_code, response.location) == (303, "/organize/")
        assert guest.get("/organize/").status_code == 200
        bo = db.session.scalars(select(User).where(User.email_key == "bo@example.org")).one()
        member = queries.membership(bo.id, organization.id)
        assert member is not None
        assert member.role == Role.VIEWER
        assert accounts.is_password_of(bo, PASSWORD)
        assert guest.get(path).status_code == 410
        actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.n)))
        assert actions[:2] == ["team.invited", "team.joined"]

    def test_weak_password_keeps_what_was_typed(
        self, client: Client, owner: User, app: Flask
    ) -> None:
        path = self.invite(client)
        response = another(app).submit(path, {"name": "Bo", "password": "password"})
        assert "easy to guess" in read(response).text
        assert ("name", "Bo") in read(response).forms[0]["fields"]
        assert db.session.scalar(select(Invitation.accepted_at)) is None

    def test_person_with_an_account(
        self, client: Client, owner: User, organization: Organization, app: Flask
    ) -> None:
        bo = make_user(email="bo@example.org", password=PASSWORD)
        db.session.commit()
        path = self.invite(client)
        guest = another(app)
        page = read(guest.get(path))
        assert page.forms == []
        login_link = next(href for href, _ in page.links if href.startswith("/login?next="))
        back = guest.submit(login_link, {"email": "bo@example.org", "password": PASSWORD})
        assert back.status_code == 303
        assert back.location.split("?")[0] == path.split("?")[0]
        assert guest.submit(back.location, {}).location == "/organize/"
        assert queries.membership(bo.id, organization.id) is not None

    def test_the_inviter_learns_nothing(self, client: Client, owner: User) -> None:
        make_user(email="known@example.org")
        db.session.commit()
        texts = set()
        for address in ("known@example.org", "new@example.org"):
            data = {"email": address, "role": "viewer"}
            response = client.submit("/organize/organization/team", data, form=-1)
            assert response.status_code == 303
            texts.add(response.get_data())
        assert len(texts) == 1

    def test_somebody_else_cannot_take_it(
        self, client: Client, owner: User, organization: Organization, app: Flask
    ) -> None:
        path = self.invite(client)
        eve = another(app)
        user = make_member(email="eve@example.org")
        log_in(eve, user)
        page = eve.get(path)
        assert "another address" in read(page).text
        assert read(page).forms == []
        token = dict(read(eve.get("/login/again")).forms[0]["fields"])["csrf_token"]
        eve.post(path, data={"csrf_token": token})
        assert queries.membership(user.id, organization.id) is None

    def test_over(self, client: Client, owner: User, app: Flask) -> None:
        path = self.invite(client)
        guest = another(app)
        response = client.submit(
            "/organize/organization/team", {}, form="/revoke", follow_redirects=True
        )
        assert "taken back" in read(response).text
        assert guest.get(path).status_code == 410
        later = self.invite(client)
        db.session.execute(update(Invitation).values(expires_at=clock.now()))
        db.session.commit()
        assert guest.get(later).status_code == 410
        assert guest.get("/invitation/forged").status_code == 410

    def test_again(self, client: Client, owner: User, app: Flask) -> None:
        first = self.invite(client)
        client.submit("/organize/organization/team", {}, form="/again")
        second = outbox("bo@example.org")[-1].values["url"].removeprefix("http://127.0.0.1:8000")
        assert another(app).get(first).status_code == 410
        assert another(app).get(second).status_code == 200

    def test_member_is_told_at_the_field(self, client: Client, owner: User) -> None:
        response = client.submit(
            "/organize/organization/team", {"email": owner.email, "role": "viewer"}, form=-1
        )
        assert "on the team already" in read(response).text


class TestAudit:
    def test_filters_and_pages(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        bo = make_member(organization, Role.ORGANIZER, name="Bo")
        for n in range(60):
            services.record(
                "people.viewed",
                organization_id=organization.id,
                user_id=bo.id,
                details={"count": n},
            )
        services.record("team.invited", organization_id=organization.id, user_id=owner.id)
        services.record(
            "team.invited", organization_id=make_organization().id, details={"count": 987_654}
        )
        db.session.commit()
        page = read(client.get("/organize/organization/audit"))
        assert "Invited somebody" in page.text
        assert "count: 59" in page.text
        assert "count: 1 " not in page.text
        assert "987654" not in page.text
        older = next(href for href, attributes in page.links if attributes.get("rel") == "next")
        assert "count: 0" in read(client.get(older)).text
        text = read(client.get(f"/organize/organization/audit?person={owner.id}")).text
        assert "Invited somebody" in text
        assert "count: 59" not in text
        text = read(client.get("/organize/organization/audit?action=people.viewed")).text
        assert "count: 59" in text
        tomorrow = (clock.now() + timedelta(days=2)).date().isoformat()
        assert (
            "Nothing like this"
            in read(client.get(f"/organize/organization/audit?since={tomorrow}")).text
        )

    @pytest.mark.parametrize(
        "query",
        [
            "person=x",
            "since=yesterday",
            "since=0001-01-01&until=9999-12-31",
            "action=%00",
            "after=x",
            "person=%00",
        ],
    )
    def test_odd_filters(self, client: Client, owner: User, query: str) -> None:
        assert client.get(f"/organize/organization/audit?{query}").status_code == 200

    def test_chain_can_be_checked(
        self, client: Client, owner: User, organization: Organization
    ) -> None:
        for _ in range(3):
            services.record("a.b", organization_id=organization.id)
        db.session.commit()
        assert "The log is whole" in read(client.get("/organize/organization/audit?check=1")).text
        db.session.execute(update(AuditEntry).where(AuditEntry.n == 2).values(action="x"))
        db.session.commit()
        text = read(client.get("/organize/organization/audit?check=1")).text
        assert "not whole" in text
        assert "Line 2" in text

    def test_every_action_has_its_words(self, project: Path) -> None:
        call = re.compile(
            r"\b(?:record|_record\w*|_note|_delete|tell)\(\s*(?:[\w.]+,\s*)?f?\"([a-z_.{}()]+)\""
        )
        kinds = {
            "{export.kind}": ("people", "partner"),
            "{type(thing).__name__.lower()}": ("list", "segment"),
            "{state}": ("approved", "hidden", "waiting"),
        }
        found: set[str] = set()
        for path in (project / "campaign").rglob("*.py"):
            for action in call.findall(path.read_text("utf-8")):
                known = next(
                    ((mark, names) for mark, names in kinds.items() if mark in action), None
                )
                found |= (
                    {action.replace(known[0], name) for name in known[1]} if known else {action}
                )
        found = {action for action in found if "." in action}
        assert len(found) > 40
        assert found - set(ACTION_WORDS) == set()

    def test_details_are_short(self) -> None:
        entry = AuditEntry(
            details={
                "list": str(uuid.UUID(int=5)),
                "none": None,
                "fields": ["name", "reply_to"],
                "sha256": "ab" * 32,
                "row_count": 0,
            }
        )
        assert shown_details(entry) == (
            "list: 00000000…; fields: name, reply_to; sha256: abababab…; row count: 0"
        )


class TestSwitch:
    def test_to_another_organization(self, client: Client, owner: User) -> None:
        second = make_organization(name="Zeta")
        make_membership(owner, second, Role.VIEWER)
        db.session.commit()
        response = client.submit(
            "/organize/", {}, form=f"/switch/{second.id}", follow_redirects=True
        )
        assert "You now work for Zeta" in read(response).text
        assert client.get("/organize/organization").status_code == 403
        entry = db.session.scalars(
            select(AuditEntry).where(AuditEntry.organization_id == second.id)
        ).one()
        assert entry.action == "account.switched"

    def test_not_to_one_of_others(self, client: Client, owner: User) -> None:
        theirs = make_organization()
        db.session.commit()
        token = dict(read(client.get("/organize/account")).forms[-1]["fields"])["csrf_token"]
        for target in (theirs.id, uuid.uuid4()):
            response = client.post(f"/organize/switch/{target}", data={"csrf_token": token})
            assert response.status_code == 404
