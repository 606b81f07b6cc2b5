from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from campaign import clock
from campaign.accounts import services
from campaign.accounts.models import Session, User
from campaign.accounts.views import login
from campaign.accounts.views.login import HOME, own_path
from campaign.db import db
from campaign.organizations.models import AuditEntry
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


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "RESET_ANSWER_SECONDS", 0.0)


def member(**values: str) -> User:
    user = make_member(email="ana@example.org", password=PASSWORD, **values)
    db.session.commit()
    return user


def another(app: Flask) -> Client:
    client = app.test_client()
    assert isinstance(client, Client)
    return client


def without_tokens(text: str) -> str:
    """A page without what differs each time: tokens, nonces, request ids."""
    return re.sub(r'(?<=value=")[\w.-]{40,}|(?<=nonce=")[^"]+|<code>\w+</code>', "…", text)


class TestLogIn:
    def test_right_password_leads_to_the_console(self, client: Client) -> None:
        user = member()
        response = client.submit("/login", {"email": "Ana@Example.org", "password": PASSWORD})
        assert (response.status_code, response.location) == (303, "/organize/")
        assert client.get("/organize/").status_code == 200
        (session,) = db.session.scalars(select(Session)).all()
        assert session.user_id == user.id
        assert session.organization_id is not None
        assert user.last_login_at is not None

    def test_failures_are_told_alike_and_counted(self, client: Client) -> None:
        user = member()
        make_user(email="new@example.org")
        db.session.commit()
        bodies = set()
        for address in ("ana@example.org", "new@example.org", "nobody@example.org"):
            response = client.submit("/login", {"email": address, "password": "not this one"})
            assert response.status_code == 200
            assert "do not go together" in read(response).text
            assert "Set-Cookie" not in response.headers
            bodies.add(without_tokens(response.get_data(as_text=True)).replace(address, "…"))
        assert len(bodies) == 1
        assert user.failed_login_count == 1
        assert db.session.scalars(select(Session)).all() == []

    def test_the_log_says_how_many_tries_failed(self, client: Client) -> None:
        user = member()
        client.submit("/login", {"email": "ana@example.org", "password": "no"})
        client.submit("/login", {"email": "ana@example.org", "password": PASSWORD})
        (entry,) = db.session.scalars(select(AuditEntry)).all()
        assert entry.action == "account.log_in"
        assert entry.user_id == user.id
        assert entry.details == {"failed_attempts": 1}
        assert user.failed_login_count == 0

    @pytest.mark.parametrize("value", ["", "\x00", "x" * 300, "a@b\r\nBcc: c@d", "💥", "\ud800"])
    def test_odd_input_is_an_answer_not_an_error(self, client: Client, value: str) -> None:
        text = value.encode("utf-8", "surrogatepass")
        page = client.get("/login")
        token = dict(read(page).forms[0]["fields"])["csrf_token"]
        data = {"csrf_token": token, "email": text, "password": text}
        assert client.post("/login", data=data).status_code in {200, 400}

    def test_without_form_token(self, client: Client) -> None:
        member()
        response = client.post("/login", data={"email": "ana@example.org", "password": PASSWORD})
        assert response.status_code == 400
        assert db.session.scalars(select(Session)).all() == []

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_no_other_site_can_log_a_visitor_in(self, client: Client, site: str) -> None:
        member()
        data = {"email": "ana@example.org", "password": PASSWORD}
        response = client.submit("/login", data, headers={"Sec-Fetch-Site": site})
        assert response.status_code == 400
        assert "Set-Cookie" not in response.headers

    def test_page_sets_no_cookie_and_is_not_cached(self, client: Client) -> None:
        response = client.get("/login")
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"

    def test_somebody_logged_in_goes_on(self, client: Client) -> None:
        log_in(client, member())
        assert client.get("/login?next=/organize/account").location == "/organize/account"

    def test_a_planted_cookie_is_replaced(self, client: Client, app: Flask) -> None:
        """Session fixation: whatever the browser brought along, the log-in gets a new token."""
        user = member()
        planted = log_in(client, make_member())
        with client.session_transaction() as cookie:
            before = cookie["_user_id"]
            cookie["planted"] = "yes"
        services.end_session(planted)
        db.session.commit()
        client.submit("/login", {"email": user.email, "password": PASSWORD})
        with client.session_transaction() as cookie:
            assert cookie["_user_id"] != before
            assert "planted" not in cookie

    def test_secure_cookie(
        self, app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        member()
        monkeypatch.setitem(app.config, "SESSION_COOKIE_NAME", "__Host-session")
        monkeypatch.setitem(app.config, "SESSION_COOKIE_SECURE", True)
        response = client.submit("/login", {"email": "ana@example.org", "password": PASSWORD})
        cookie = response.headers["Set-Cookie"]
        assert cookie.startswith("__Host-session=")
        for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
            assert part in cookie
        assert "Domain" not in cookie
        assert PASSWORD not in cookie


class TestNext:
    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example/",
            "\\\\evil.example",
            "/\tevil",
            "https:evil.example",
            "javascript:alert(1)",
            " /organize/",
            "/organize/\r\nSet-Cookie: a=b",
            "organize/",
            "///evil.example",
            "/" + "x" * 3000,
            "/login?next=/login",
            "",
        ],
    )
    def test_nothing_but_own_paths(self, client: Client, target: str) -> None:
        member()
        data = {"email": "ana@example.org", "password": PASSWORD, "next": target}
        assert client.submit("/login", data).location == HOME

    @pytest.mark.parametrize(
        "target", ["/organize/account", "/organize/people/?q=a&tag=b", "/partner/"]
    )
    def test_own_paths(self, client: Client, target: str) -> None:
        member()
        data = {"email": "ana@example.org", "password": PASSWORD, "next": target}
        assert client.submit("/login", data).location == target

    @given(st.text(alphabet="/\\:.?#@%a \t\r\n\x00", max_size=30))
    def test_any_text_stays_here(self, text: str) -> None:
        path = own_path(text)
        assert path.startswith("/")
        assert not path.startswith(("//", "/\\"))

    def test_page_asked_for_before_the_log_in_comes_after_it(self, client: Client) -> None:
        member()
        response = client.get("/organize/account/sessions?x=1")
        assert response.status_code == 303
        assert response.location == "/login?next=/organize/account/sessions?x%3D1"
        data = {"email": "ana@example.org", "password": PASSWORD}
        assert client.submit(response.location, data).location == "/organize/account/sessions?x=1"


class TestThrottle:
    def fail(
        self, client: Client, times: int, email: str = "ana@example.org", ip: str = "198.51.100.1"
    ) -> int:
        code = 0
        for _ in range(times):
            code = client.submit(
                "/login", {"email": email, "password": "no"}, environ_base={"REMOTE_ADDR": ip}
            ).status_code
        return code

    @pytest.fixture(autouse=True)
    def _cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hashing is not what these tests are about."""
        monkeypatch.setattr(services, "_verify", lambda _hashed, password: password == PASSWORD)

    def test_ten_failures_then_a_pause_with_its_length(self, client: Client) -> None:
        member()
        assert self.fail(client, 10) == 200
        data = {"email": "ana@example.org", "password": PASSWORD}
        response = client.submit("/login", data, environ_base={"REMOTE_ADDR": "198.51.100.1"})
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) == 900
        assert "wait" in read(response).text
        other = client.submit("/login", data, environ_base={"REMOTE_ADDR": "198.51.100.2"})
        assert other.status_code == 303

    def test_unknown_addresses_pause_alike(self, client: Client) -> None:
        assert self.fail(client, 11, email="nobody@example.org") == 429

    def test_successes_do_not_count(self, client: Client) -> None:
        member()
        for _ in range(3):
            assert self.fail(client, 9) == 200
            data = {"email": "ana@example.org", "password": PASSWORD}
            ok = client.submit("/login", data, environ_base={"REMOTE_ADDR": "198.51.100.1"})
            assert ok.status_code == 303
            with client.session_transaction() as cookie:
                cookie.clear()

    def test_a_source_is_counted_over_accounts(self, client: Client) -> None:
        for n in range(10):
            self.fail(client, 5, email=f"user-{n}@example.org")
        assert self.fail(client, 1, email="other@example.org") == 429
        assert self.fail(client, 1, email="other@example.org", ip="198.51.100.9") == 200

    def test_strangers_cannot_lock_a_known_device(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = member()
        services.begin_session(user, ip="203.0.113.7", user_agent="")
        db.session.commit()
        monkeypatch.setattr(login, "PER_ACCOUNT", "4 per 15 minutes")
        for n in range(4):
            self.fail(client, 1, ip=f"198.51.100.{n}")
        assert self.fail(client, 1, ip="198.51.100.99") == 429
        data = {"email": user.email, "password": PASSWORD}
        response = client.submit("/login", data, environ_base={"REMOTE_ADDR": "203.0.113.7"})
        assert response.status_code == 303

    def test_addresses_are_no_keys_of_the_counter(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys: list[str] = []
        real = login.limiter().__class__.hit
        monkeypatch.setattr(
            "campaign.web.limits.Limiter.hit",
            lambda self, rule, *key, **more: keys.extend(key) or real(self, rule, *key, **more),
        )
        self.fail(client, 1)
        assert keys
        assert "@" not in "".join(keys)


class TestEnd:
    def test_log_out_ends_the_row_and_the_cookie(self, client: Client) -> None:
        session = log_in(client, member())
        response = client.submit("/organize/account", {}, form="/logout")
        assert response.location == "/login"
        db.session.refresh(session)
        assert session.ended_at is not None
        assert client.get("/organize/account").status_code == 303

    def test_log_out_by_get_does_nothing(self, client: Client) -> None:
        session = log_in(client, member())
        assert client.get("/logout").status_code == 405
        db.session.refresh(session)
        assert session.ended_at is None

    def test_revoked_in_another_browser(self, client: Client, app: Flask) -> None:
        user = member()
        log_in(client, user)
        stolen = another(app)
        theirs = log_in(stolen, user)
        assert stolen.get("/organize/account").status_code == 200
        client.submit("/organize/account/sessions", {}, form=f"/{theirs.id}/end")
        assert stolen.get("/organize/account").status_code == 303
        assert client.get("/organize/account").status_code == 200

    def test_all_others_at_once(self, client: Client, app: Flask) -> None:
        user = member()
        log_in(client, user)
        others = [another(app), another(app)]
        for other in others:
            log_in(other, user)
        response = client.submit(
            "/organize/account/sessions", {}, form="end-others", follow_redirects=True
        )
        assert "2 devices are logged out" in read(response).text
        assert [other.get("/organize/account").status_code for other in others] == [303, 303]

    def test_a_session_of_somebody_else_is_unknown(self, client: Client, app: Flask) -> None:
        theirs = log_in(another(app), make_member())
        log_in(client, member())
        page = read(client.get("/organize/account/sessions"))
        token = dict(page.forms[-1]["fields"])["csrf_token"]
        path = f"/organize/account/sessions/{theirs.id}/end"
        assert client.post(path, data={"csrf_token": token}).status_code == 404
        db.session.refresh(theirs)
        assert theirs.ended_at is None

    def test_idle_for_half_an_hour(self, client: Client) -> None:
        start = clock.now()
        with time_machine.travel(start, tick=False) as now:
            session = log_in(client, member())
            for minutes in (20, 40, 60):
                now.move_to(start + timedelta(minutes=minutes))
                assert client.get("/organize/account").status_code == 200
            db.session.refresh(session)
            assert session.seen_at == start + timedelta(minutes=60)
            now.move_to(start + timedelta(minutes=91))
            assert client.get("/organize/account").status_code == 303

    def test_a_progress_bar_is_nobody(self, client: Client) -> None:
        start = clock.now()
        with time_machine.travel(start, tick=False) as now:
            log_in(client, member())
            for minutes in (10, 20, 30):
                now.move_to(start + timedelta(minutes=minutes))
                polled = client.get("/organize/account", headers={"HX-Request": "true"})
                assert polled.status_code == 200
            now.move_to(start + timedelta(minutes=31))
            assert client.get("/organize/account").status_code == 303

    def test_logging_in_from_another_tab_ends_the_session_before(
        self, client: Client, app: Flask
    ) -> None:
        token = dict(read(another(app).get("/login")).forms[0]["fields"])["csrf_token"]
        before = log_in(client, make_member())
        member()
        data = {"csrf_token": token, "email": "ana@example.org", "password": PASSWORD}
        assert client.post("/login", data=data).status_code == 303
        db.session.refresh(before)
        assert before.ended_at is not None
        assert "ana@example.org" in read(client.get("/organize/account")).text

    def test_twelve_hours_are_the_most(self, client: Client) -> None:
        start = clock.now()
        with time_machine.travel(start, tick=False) as now:
            log_in(client, member())
            codes = []
            for n in range(1, 38):
                now.move_to(start + timedelta(minutes=20 * n))
                codes.append(client.get("/organize/account").status_code)
            assert codes[:36] == [200] * 36
            assert codes[36] == 303

    def test_a_form_sent_too_late_gets_a_page_that_says_how_to_go_on(self, client: Client) -> None:
        response = client.post("/organize/account", data={"name": "Ana"})
        assert response.status_code == 401
        assert "logged out" in read(response).text

    def test_htmx_is_told_to_load_the_log_in(self, client: Client) -> None:
        response = client.get(
            "/organize/account",
            headers={
                "HX-Request": "true",
                "HX-Current-URL": "http://127.0.0.1:8000/organize/people/",
            },
        )
        assert response.status_code == 401
        assert response.headers["HX-Redirect"] == "/login?next=/organize/people/"

    def test_public_pages_do_not_look_at_the_cookie(self, client: Client) -> None:
        log_in(client, member())
        response = client.get("/healthz")
        assert "Cookie" not in response.headers.get("Vary", "")
        assert "Set-Cookie" not in response.headers


class TestAgain:
    """Pages that ask for the password unless it was given a moment ago."""

    def log_in_long_ago(self, client: Client) -> Session:
        session = log_in(client, member())
        session.authenticated_at = clock.now() - timedelta(minutes=16)
        db.session.commit()
        return session

    def test_a_form_on_its_way_is_kept(self, client: Client) -> None:
        session = self.log_in_long_ago(client)
        page = client.submit("/organize/organization/team", {"email": "bo@example.org"}, form=-1)
        assert page.status_code == 200
        assert "Your password, please" in read(page).text
        assert outbox("bo@example.org") == []
        kept = dict(read(page).forms[0]["fields"])
        assert kept["replay-email"] == "bo@example.org"
        wrong = client.post("/login/again", data=kept | {"password": "no"})
        assert "not your password" in read(wrong).text
        kept = dict(read(wrong).forms[0]["fields"])
        right = client.post("/login/again", data=kept | {"password": PASSWORD})
        assert "One more click" in read(right).text
        form = read(right).forms[0]
        assert form["action"] == "/organize/organization/team"
        sent = client.post(form["action"], data=dict(form["fields"]))
        assert sent.status_code == 303
        assert len(outbox("bo@example.org", "invitation")) == 1
        db.session.refresh(session)
        assert session.is_fresh(clock.now())

    def test_a_strangers_form_is_not_carried_along(self, client: Client) -> None:
        self.log_in_long_ago(client)
        response = client.post("/organize/organization/team", data={"email": "evil@example.org"})
        assert response.status_code == 400
        assert "evil@example.org" not in response.get_data(as_text=True)

    def test_tries_are_throttled(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log_in_long_ago(client)
        monkeypatch.setattr(services, "_verify", lambda _hashed, _password: False)
        codes = [client.submit("/login/again", {"password": "no"}).status_code for _ in range(11)]
        assert codes == [200] * 10 + [429]


class TestReset:
    def test_whole_way(self, client: Client, app: Flask) -> None:
        user = member()
        old = another(app)
        log_in(old, user)
        response = client.submit("/reset", {"email": "ANA@example.org"})
        assert response.status_code == 200
        (letter,) = outbox("ana@example.org", "password-reset")
        path = letter.values["url"].removeprefix("http://127.0.0.1:8000")
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
        response = client.submit(path, {"password": "five words in a row"}, follow_redirects=True)
        assert "new password is set" in read(response).text
        assert old.get("/organize/account").status_code == 303
        assert client.get(path).status_code == 410
        assert (
            client.submit("/login", {"email": user.email, "password": PASSWORD}).status_code == 200
        )
        data = {"email": user.email, "password": "five words in a row"}
        assert client.submit("/login", data).status_code == 303
        actions = [
            row.action for row in db.session.scalars(select(AuditEntry).order_by(AuditEntry.n))
        ]
        assert "account.password_reset" in actions

    def test_the_answer_is_the_same_for_all(self, client: Client) -> None:
        member()
        bodies = set()
        for address in ("ana@example.org", "nobody@example.org"):
            response = client.submit("/reset", {"email": address})
            assert response.status_code == 200
            bodies.add(without_tokens(response.get_data(as_text=True)).replace(address, "…"))
        assert len(bodies) == 1
        assert [letter.to for letter in outbox()] == ["ana@example.org"]

    def test_three_an_hour_to_one_address(self, client: Client) -> None:
        member()
        for _ in range(5):
            assert client.submit("/reset", {"email": "ana@example.org"}).status_code == 200
        assert len(outbox("ana@example.org")) == 3

    @pytest.mark.parametrize("token", ["x", "A" * 22, "%00", "..", "é" * 30])
    def test_forged_links_are_over(self, client: Client, token: str) -> None:
        assert client.get(f"/reset/{token}").status_code in {404, 410}

    def test_weak_password_is_told_at_the_field(self, client: Client) -> None:
        token = services.make_password_link(member())
        db.session.commit()
        response = client.submit(f"/reset/{token}", {"password": "password"})
        assert "easy to guess" in read(response).text


class TestAccount:
    def test_profile(self, client: Client) -> None:
        user = member()
        log_in(client, user)
        data = {"name": "Ana López", "language": "es", "time_zone": "America/Denver"}
        assert client.submit("/organize/account", data).status_code == 303
        db.session.refresh(user)
        assert (user.name, user.language, user.time_zone) == ("Ana López", "es", "America/Denver")
        page = client.get("/organize/account", headers={"Accept-Language": "en"})
        assert '<html lang="es"' in page.get_data(as_text=True)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "a\x00b"),
            ("name", "a\u202eb"),
            ("name", "x" * 121),
            ("language", "xx"),
            ("time_zone", "Mars/Base"),
            ("time_zone", "../../etc/passwd"),
        ],
    )
    def test_profile_refuses_what_it_cannot_take(
        self, client: Client, field: str, value: str
    ) -> None:
        user = member(name="Ana")
        log_in(client, user)
        data = {"name": "Ana L", "language": "en", "time_zone": "UTC"} | {field: value}
        response = client.submit("/organize/account", data)
        assert response.status_code == 200
        assert read(response).text.count("Please look at this again") == 1
        db.session.refresh(user)
        assert user.name == "Ana"

    def test_new_password(self, client: Client, app: Flask) -> None:
        user = member()
        log_in(client, user)
        other = another(app)
        log_in(other, user)
        data = {"present": PASSWORD, "password": "five words in a row"}
        assert client.submit("/organize/account/password", data).status_code == 303
        assert client.get("/organize/account").status_code == 200
        assert other.get("/organize/account").status_code == 303
        assert len(outbox(user.email, "password-changed")) == 1
        assert services.is_password_of(user, "five words in a row")

    def test_new_password_needs_the_present_one(self, client: Client) -> None:
        user = member()
        log_in(client, user)
        data = {"present": "no", "password": "five words in a row"}
        response = client.submit("/organize/account/password", data)
        assert "not your password" in read(response).text
        assert services.is_password_of(user, PASSWORD)
        assert outbox() == []

    def test_devices_are_named(self, client: Client) -> None:
        user = member()
        log_in(client, user)
        services.begin_session(
            user, ip="198.51.100.3", user_agent="Mozilla/5.0 (X11; Linux) Firefox/140.0"
        )
        db.session.commit()
        text = read(client.get("/organize/account/sessions")).text
        assert "Firefox, Linux" in text
        assert "198.51.100.3" in text
        assert "this one" in text


class TestFormToken:
    def test_bound_to_the_session(self, client: Client, app: Flask) -> None:
        log_in(client, member())
        stranger = another(app)
        log_in(stranger, make_member())
        token = dict(read(stranger.get("/organize/account")).forms[-1]["fields"])["csrf_token"]
        data = {"csrf_token": token, "name": "Eve", "language": "en", "time_zone": "UTC"}
        assert client.post("/organize/account", data=data).status_code == 400

    def test_public_tokens_do_not_open_the_console(self, client: Client) -> None:
        token = dict(read(client.get("/login")).forms[0]["fields"])["csrf_token"]
        log_in(client, member())
        data = {"csrf_token": token, "name": "Eve", "language": "en", "time_zone": "UTC"}
        assert client.post("/organize/account", data=data).status_code == 400

    def test_bound_to_the_organization(self, client: Client) -> None:
        """A tab left open from before a switch writes into neither organization."""
        user = member()
        second = make_organization(name="Zeta")
        make_membership(user, second)
        log_in(client, user)
        token = dict(read(client.get("/organize/organization")).forms[-1]["fields"])["csrf_token"]
        assert client.submit("/organize/", {}, form=f"/switch/{second.id}").status_code == 303
        response = client.post(
            "/organize/organization", data={"csrf_token": token, "name": "Wrong"}
        )
        assert response.status_code == 400
        db.session.refresh(second)
        assert second.name == "Zeta"
