from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from campaign import clock
from campaign.accounts import services as accounts
from campaign.db import db
from campaign.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from campaign.organizations import queries, services
from campaign.organizations.models import AuditEntry, AuditHead, Invitation, Membership, Role
from campaign.organizations.services import Profile
from campaign.tokens import fingerprint
from tests.factories.organizations import make_member, make_membership, make_organization, make_user
from tests.factories.outbox import outbox


@pytest.fixture(autouse=True)
def _request(app: Flask):  # type: ignore[no-untyped-def]
    with app.test_request_context():
        yield


class TestRecord:
    def test_lines_are_chained(self) -> None:
        here, there = uuid.uuid4(), uuid.uuid4()
        first = services.record("a.b", organization_id=here, details={"count": 3})
        theirs = services.record("a.b", organization_id=there)
        second = services.record("c.d", organization_id=here, user_id=uuid.uuid4())
        assert (first.n, second.n, theirs.n) == (1, 2, 1)
        assert first.previous_hash == ""
        assert second.previous_hash == first.hash
        assert queries.check_chain(here).is_whole
        assert queries.check_chain(here).count == 2

    def test_survives_the_round_trip(self) -> None:
        here = uuid.uuid4()
        details = {
            "ids": [uuid.uuid4()],
            "share": 0.25,
            "text": "ñ",
            "none": None,
            "nested": {"b": 1, "a": 2},
        }
        services.record("a.b", organization_id=here, subject_id=uuid.uuid4(), details=details)
        db.session.commit()
        db.session.expire_all()
        assert queries.check_chain(here).is_whole

    def test_no_address_gets_in(self) -> None:
        with pytest.raises(ValueError, match="never an address"):
            services.record("a.b", organization_id=uuid.uuid4(), details={"who": "ana@example.org"})

    @pytest.fixture
    def chain(self) -> uuid.UUID:
        here = uuid.uuid4()
        for n in range(5):
            services.record("a.b", organization_id=here, details={"n": n})
        return here

    def test_changed_line(self, chain: uuid.UUID) -> None:
        db.session.execute(update(AuditEntry).where(AuditEntry.n == 3).values(details={"n": 9}))
        db.session.expire_all()
        assert queries.check_chain(chain).broken_at == 3

    @pytest.mark.parametrize("column", ["action", "user_id", "at", "subject_id", "subject_kind"])
    def test_every_column_counts(self, chain: uuid.UUID, column: str) -> None:
        values = {
            "action": "x",
            "user_id": uuid.uuid4(),
            "at": clock.now(),
            "subject_id": uuid.uuid4(),
            "subject_kind": "x",
        }
        db.session.execute(
            update(AuditEntry).where(AuditEntry.n == 2).values({column: values[column]})
        )
        db.session.expire_all()
        assert queries.check_chain(chain).broken_at == 2

    def test_changed_line_with_its_hash_made_anew(self, chain: uuid.UUID) -> None:
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.n == 3)).one()
        entry.action = "forged"
        entry.hash = entry.computed_hash()
        db.session.flush()
        assert queries.check_chain(chain).broken_at == 4

    def test_removed_line(self, chain: uuid.UUID) -> None:
        db.session.delete(db.session.scalars(select(AuditEntry).where(AuditEntry.n == 2)).one())
        db.session.flush()
        assert queries.check_chain(chain).broken_at == 2

    def test_cut_off_end(self, chain: uuid.UUID) -> None:
        db.session.delete(db.session.scalars(select(AuditEntry).where(AuditEntry.n == 5)).one())
        db.session.flush()
        assert queries.check_chain(chain).broken_at == 5

    def test_all_gone(self, chain: uuid.UUID) -> None:
        for row in db.session.scalars(select(AuditEntry)):
            db.session.delete(row)
        db.session.flush()
        assert not queries.check_chain(chain).is_whole
        assert db.session.get(AuditHead, chain) is not None

    def test_long_chains_are_read_in_steps(
        self, chain: uuid.UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "CHAIN_STEP", 2)
        assert queries.check_chain(chain).count == 5
        assert queries.check_chain(chain).is_whole


class TestProfile:
    def test_change_is_logged_by_field_names(self) -> None:
        organization, user = make_organization(name="Old"), make_user()
        profile = Profile(name="New", postal_address="1 Main St", accent="0B5D5A")
        services.change_profile(organization, profile, by=user.id)
        assert organization.accent == "#0b5d5a"
        assert "--accent:#0b5d5a" in organization.accent_css
        assert "prefers-color-scheme:dark" in organization.accent_css
        (entry,) = db.session.scalars(select(AuditEntry)).all()
        assert entry.user_id == user.id
        assert set(entry.details["fields"]) >= {"name", "postal_address", "accent"}
        assert "New" not in str(entry.details)

    def test_nothing_changed_nothing_logged(self) -> None:
        organization = make_organization()
        profile = Profile(
            name=organization.name,
            postal_address=organization.postal_address,
            sender_name=organization.sender_name,
            sender_email=organization.sender_email,
        )
        services.change_profile(organization, profile, by=None)
        assert db.session.scalars(select(AuditEntry)).all() == []

    @pytest.mark.parametrize(
        ("accent", "dark", "field", "words"),
        [
            ("#ffcc00", "", "accent", "light page"),
            ("#777777", "", "accent", "light page"),
            ("#0b5d5a", "#0b5d5a", "accent_dark", "dark page"),
            ("purple", "", "accent", "six digits"),
        ],
    )
    def test_colours_nobody_can_read(self, accent: str, dark: str, field: str, words: str) -> None:
        organization = make_organization(name="Old")
        with pytest.raises(Invalid) as caught:
            services.change_profile(
                organization, Profile(name="New", accent=accent, accent_dark=dark), by=None
            )
        assert caught.value.field == field
        assert words in caught.value.message
        assert organization.name == "Old"

    def test_no_accent_no_style(self) -> None:
        organization = make_organization()
        services.change_profile(organization, Profile(name="A", accent="#0b5d5a"), by=None)
        services.change_profile(organization, Profile(name="A"), by=None)
        assert organization.accent_css == ""

    def test_taken_short_name(self) -> None:
        make_organization(slug="stop")
        with pytest.raises(Conflict):
            services.create_organization("stop", Profile(name="Another"))

    def test_sender(self) -> None:
        organization = make_organization(
            name="STOP", sender_name="", sender_email="a@stop.example", reply_to="b@stop.example"
        )
        sender = services.sender_of(organization)
        assert (sender.name, sender.email, sender.reply_to) == (
            "STOP",
            "a@stop.example",
            "b@stop.example",
        )


class TestTeam:
    def test_role_changes_are_logged(self) -> None:
        organization = make_organization()
        owner = make_member(organization)
        member = make_membership(make_user(), organization, Role.VIEWER)
        services.change_role(member, Role.ORGANIZER, by=owner.id)
        assert member.role == Role.ORGANIZER
        (entry,) = db.session.scalars(select(AuditEntry)).all()
        assert entry.details == {"from": "viewer", "to": "organizer"}
        assert entry.subject_id == member.user_id

    def test_the_last_owner_stays(self) -> None:
        organization = make_organization()
        owner = make_membership(make_user(), organization, Role.OWNER)
        make_member()  # an owner of another organization does not count
        with pytest.raises(Conflict):
            services.change_role(owner, Role.VIEWER, by=owner.user_id)
        with pytest.raises(Conflict):
            services.remove_member(owner, by=owner.user_id)
        assert owner.role == Role.OWNER
        make_member(organization)
        services.change_role(owner, Role.VIEWER, by=owner.user_id)
        assert queries.owner_count(organization.id) == 1

    def test_remove(self) -> None:
        organization = make_organization()
        owner = make_member(organization)
        member = make_membership(make_user(), organization, Role.ORGANIZER)
        services.remove_member(member, by=owner.id)
        assert [row.user_id for row in queries.members(organization.id)] == [owner.id]

    def test_switch_only_to_own_organizations(self) -> None:
        user = make_member()
        session = accounts.begin_session(user, ip="", user_agent="")
        with pytest.raises(NotFound):
            services.switch_organization(session, make_organization().id)
        second = make_organization()
        make_membership(user, second, Role.VIEWER)
        assert services.switch_organization(session, second.id).role == Role.VIEWER
        assert session.organization_id == second.id

    def test_a_session_begins_where_the_last_one_was(self) -> None:
        user = make_member(make_organization(name="Alpha"))
        zeta = make_organization(name="Zeta")
        assert services.organization_to_begin_with(user.id) != zeta.id
        membership = make_membership(user, zeta)
        session = accounts.begin_session(user, ip="", user_agent="")
        services.switch_organization(session, zeta.id)
        assert services.organization_to_begin_with(user.id) == zeta.id
        db.session.delete(membership)
        db.session.flush()
        assert services.organization_to_begin_with(user.id) != zeta.id


class TestInvitations:
    def invite(
        self, email: str = "bo@example.org", role: Role = Role.VIEWER
    ) -> tuple[Invitation, str]:
        organization = make_organization(name="Southside Together")
        return services.invite(organization, email, role, by=make_member(organization, name="Ana"))

    def test_letter_with_the_link_and_a_neutral_subject(self) -> None:
        invitation, token = self.invite()
        (letter,) = outbox("bo@example.org", "invitation")
        assert letter.values["url"].startswith(f"http://127.0.0.1:8000/invitation/{token}")
        assert token in letter.text
        assert token in letter.html
        assert "Southside" not in letter.subject
        assert "Ana invites you to work with Southside Together." in letter.text
        assert invitation.token_hash == fingerprint(token)
        assert invitation.expires_at - invitation.created_at >= timedelta(days=7)

    def test_accepted_once_by_its_own_address(self) -> None:
        invitation, _ = self.invite()
        with pytest.raises(Forbidden):
            services.accept_invitation(invitation, make_user(email="eve@example.org"))
        user = make_user(email="Bo@example.org")
        member = services.accept_invitation(invitation, user)
        assert member.role == Role.VIEWER
        with pytest.raises(Gone):
            services.accept_invitation(invitation, user)

    def test_expired_and_revoked(self) -> None:
        user = make_user(email="bo@example.org")
        invitation, _ = self.invite()
        invitation.expires_at = clock.now()
        with pytest.raises(Gone):
            services.accept_invitation(invitation, user)
        other, _ = self.invite()
        services.revoke_invitation(other, by=make_user())
        with pytest.raises(Gone):
            services.accept_invitation(other, user)
        assert (
            db.session.scalars(select(Membership).where(Membership.user_id == user.id)).all() == []
        )

    def test_again_ends_the_old_link_and_begins_seven_days(self) -> None:
        invitation, first = self.invite()
        invitation.expires_at = clock.now() - timedelta(days=1)
        second = services.invite_again(invitation, by=make_user())
        assert queries.invitation_by_token(first) is None
        assert queries.invitation_by_token(second) is invitation
        assert invitation.is_open(clock.now())
        assert len(outbox("bo@example.org")) == 2

    def test_a_second_invitation_ends_the_first(self) -> None:
        organization = make_organization()
        owner = make_member(organization)
        first, _ = services.invite(organization, "bo@example.org", Role.VIEWER, by=owner)
        second, _ = services.invite(organization, "BO@example.org", Role.OWNER, by=owner)
        assert list(queries.open_invitations(organization.id)) == [second]
        assert first.revoked_at is not None

    def test_members_are_not_invited(self) -> None:
        organization = make_organization()
        owner = make_member(organization, email="ana@example.org")
        with pytest.raises(Conflict):
            services.invite(organization, "Ana@example.org", Role.VIEWER, by=owner)

    def test_a_member_meanwhile_keeps_the_role(self) -> None:
        invitation, _ = self.invite(role=Role.OWNER)
        user = make_user(email="bo@example.org")
        make_membership(user, invitation.organization, Role.VIEWER)
        assert services.accept_invitation(invitation, user).role == Role.VIEWER
