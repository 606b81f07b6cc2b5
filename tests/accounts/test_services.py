from __future__ import annotations

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from campaign import clock
from campaign.accounts import delivery, queries, services
from campaign.accounts.devices import device
from campaign.accounts.models import AccountToken, Session, email_key
from campaign.db import db
from campaign.errors import Conflict, Gone, Invalid
from campaign.tokens import fingerprint
from tests.factories.organizations import make_user
from tests.factories.outbox import outbox

PASSWORD = "four words in a row"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ana@Example.org", "ana@example.org"),
        (" ana@example.org ", "ana@example.org"),
        ("ana@ｅxample.org", "ana@example.org"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("ana@example.org.", "ana@example.org"),
    ],
)
def test_spellings_of_one_address_are_one_log_in(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


def test_a_tag_makes_a_log_in_of_its_own() -> None:
    assert email_key("ana+owner@gmail.com") != email_key("ana@gmail.com")


@given(st.text(max_size=80))
def test_the_key_of_any_text_is_stable(text: str) -> None:
    assert email_key(email_key(text)) == email_key(text)


class TestAuthenticate:
    def test_right_password(self, app: Flask) -> None:
        user = make_user(email="Ana@Example.org", password=PASSWORD)
        assert services.authenticate("ana@example.ORG", PASSWORD) is user

    @pytest.mark.parametrize(
        "password", ["", "wrong", PASSWORD.upper(), PASSWORD + " ", "x" * 5000]
    )
    def test_wrong_password_counts(self, app: Flask, password: str) -> None:
        user = make_user(password=PASSWORD)
        assert services.authenticate(user.email, password) is None
        db.session.flush()
        db.session.refresh(user)
        assert user.failed_login_count == 1

    def test_inactive_and_without_password(self, app: Flask) -> None:
        gone = make_user(password=PASSWORD, is_active=False)
        new = make_user()
        assert services.authenticate(gone.email, PASSWORD) is None
        assert services.authenticate(new.email, "") is None

    def test_unknown_costs_one_verification_like_known(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified: list[str] = []
        real = services._hasher.verify

        class Spy:
            check_needs_rehash = staticmethod(services._hasher.check_needs_rehash)

            def verify(self, hashed: str, password: str) -> bool:
                verified.append(hashed.split("$")[3])
                return real(hashed, password)

        user = make_user(password=PASSWORD)
        monkeypatch.setattr(services, "_hasher", Spy())
        services.authenticate(user.email, "wrong")
        services.authenticate("nobody@example.org", "wrong")
        assert verified == ["m=19456,t=2,p=1"] * 2

    def test_hash_moves_to_todays_parameters(self, app: Flask) -> None:
        user = make_user()
        user.password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(
            PASSWORD
        )
        assert services.authenticate(user.email, PASSWORD) is user
        assert "$m=19456,t=2,p=1$" in (user.password_hash or "")
        assert services.is_password_of(user, PASSWORD)


class TestPasswords:
    @pytest.mark.parametrize(
        "password",
        [
            "short",
            "password",
            "Password1",
            "12345678",
            "aaaaaaaaaaaa",
            "x" * 201,
            "ana@example.org",
            "Ana Lopez",
        ],
    )
    def test_easy_ones_are_refused_at_the_field(self, app: Flask, password: str) -> None:
        with app.test_request_context(), pytest.raises(Invalid) as caught:
            services.check_password(password, email="ana@example.org", name="Ana Lopez")
        assert caught.value.field == "password"
        assert caught.value.message

    @pytest.mark.parametrize(
        "password", [PASSWORD, "пароль из слов", "🌻🌷🌹🌺🌼🥀💐🪷", "Tr0ub4dor&3"]
    )
    def test_good_ones_pass_in_any_script(self, password: str) -> None:
        services.check_password(password, email="ana@example.org")

    def test_create_refuses_a_known_address(self, app: Flask) -> None:
        make_user(email="ana@example.org")
        with app.test_request_context(), pytest.raises(Conflict):
            services.create_user("ANA@example.org", password=PASSWORD)


class TestSessions:
    def test_only_the_hash_is_stored(self, app: Flask) -> None:
        session = services.begin_session(make_user(), ip="203.0.113.7", user_agent="x" * 500)
        assert session.token_hash == fingerprint(session.token)
        assert len(session.user_agent) == 300
        assert queries.session_by_token(session.token, clock.now()) is session

    @pytest.mark.parametrize(
        ("seen", "begun", "is_alive"),
        [(29, 29, True), (31, 31, False), (0, 12 * 60 - 1, True), (0, 12 * 60 + 1, False)],
    )
    def test_idle_and_absolute_end(self, app: Flask, seen: int, begun: int, is_alive: bool) -> None:
        session = services.begin_session(make_user(), ip="", user_agent="")
        now = clock.now()
        session.seen_at = now - timedelta(minutes=seen)
        session.created_at = now - timedelta(minutes=begun)
        db.session.flush()
        assert (queries.session_by_token(session.token, now) is not None) is is_alive
        assert (session in queries.live_sessions(session.user_id)) is is_alive

    def test_switched_off_user_is_out(self, app: Flask) -> None:
        session = services.begin_session(make_user(), ip="", user_agent="")
        session.user.is_active = False
        db.session.flush()
        assert queries.session_by_token(session.token, clock.now()) is None

    def test_seen_is_written_once_a_minute(self, app: Flask) -> None:
        session = services.begin_session(make_user(), ip="", user_agent="")
        assert services.see_session(session) is False
        session.seen_at = clock.now() - timedelta(seconds=61)
        db.session.flush()
        assert services.see_session(session) is True

    def test_end_all_but_one_leaves_other_users_alone(self, app: Flask) -> None:
        user, other = make_user(), make_user()
        keep, first, second = (services.begin_session(user, ip="", user_agent="") for _ in "123")
        theirs = services.begin_session(other, ip="", user_agent="")
        assert services.end_sessions(user.id, but=keep.id) == 2
        assert [bool(row.ended_at) for row in (keep, first, second, theirs)] == [
            False,
            True,
            True,
            False,
        ]

    def test_old_rows_go(self, app: Flask) -> None:
        user = make_user()
        old, new = (services.begin_session(user, ip="203.0.113.7", user_agent="") for _ in "12")
        old.created_at = clock.now() - timedelta(days=31)
        services.make_password_link(user)
        db.session.scalars(select(AccountToken)).one().expires_at = clock.now() - timedelta(days=1)
        db.session.flush()
        assert delivery.drop_old_sessions() == 1
        assert db.session.scalars(select(Session)).all() == [new]
        assert db.session.scalars(select(AccountToken)).all() == []


class TestReset:
    def test_link_works_once_ends_sessions_and_tells_the_owner(self, app: Flask) -> None:
        with app.test_request_context():
            user = make_user(email="ana@example.org", password="the one before it")
            session = services.begin_session(user, ip="", user_agent="")
            assert services.request_reset("Ana@example.org") is True
            (letter,) = outbox("ana@example.org", "password-reset")
            token = letter.values["url"].split("/reset/")[1].split("?")[0]
            assert letter.values["url"].startswith("http://127.0.0.1:8000/reset/")
            services.reset_password(token, PASSWORD)
            assert services.is_password_of(user, PASSWORD)
            assert session.ended_at is not None
            assert len(outbox("ana@example.org", "password-changed")) == 1
            with pytest.raises(Gone):
                services.reset_password(token, PASSWORD)

    def test_stored_as_hash_and_gone_after_an_hour(self, app: Flask) -> None:
        with app.test_request_context():
            user = make_user(password=PASSWORD)
            token = services.make_password_link(user)
            (row,) = db.session.scalars(select(AccountToken)).all()
            assert row.token_hash == fingerprint(token)
            assert row.expires_at - row.created_at == timedelta(hours=1)
            row.expires_at = clock.now()
            db.session.flush()
            with pytest.raises(Gone):
                services.reset_password(token, "another four words")
            assert services.is_password_of(user, PASSWORD)

    def test_a_new_link_ends_the_one_before(self, app: Flask) -> None:
        with app.test_request_context():
            user = make_user()
            first, second = services.make_password_link(user), services.make_password_link(user)
            with pytest.raises(Gone):
                services.reset_password(first, PASSWORD)
            assert services.reset_password(second, PASSWORD) is user

    def test_weak_password_leaves_the_link_open(self, app: Flask) -> None:
        with app.test_request_context():
            token = services.make_password_link(make_user())
            with pytest.raises(Invalid):
                services.reset_password(token, "password")
            services.reset_password(token, PASSWORD)

    def test_unknown_and_switched_off_get_nothing(self, app: Flask) -> None:
        with app.test_request_context():
            off = make_user(is_active=False)
            assert services.request_reset("nobody@example.org") is False
            assert services.request_reset(off.email) is False
            assert outbox() == []


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox, Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge, Windows",
        ),
        ("", ""),
        ("\x00<script>", ""),
    ],
)
def test_devices_in_words(agent: str, words: str) -> None:
    assert device(agent) == words
