from __future__ import annotations

import pytest
from flask import Flask

from campaign.accounts import queries as accounts
from campaign.accounts import services
from campaign.db import db
from campaign.organizations import queries
from tests.conftest import Client
from tests.factories.organizations import make_organization, make_user

PASSWORD = "four words in a row"


def run(app: Flask, *arguments: str, stdin: str = "") -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["accounts", *arguments], input=stdin)
    return result.exit_code, result.output


def create(
    app: Flask, *more: str, email: str = "ana@example.org", stdin: str = ""
) -> tuple[int, str]:
    return run(
        app, "create", email, "--organization", "stop", "--role", "owner", *more, stdin=stdin
    )


def test_password_from_standard_input(app: Flask, client: Client) -> None:
    make_organization(slug="stop")
    db.session.commit()
    code, output = create(app, "--password-stdin", "--name", "Ana", stdin=PASSWORD + "\n")
    assert code == 0, output
    assert PASSWORD not in output
    user = accounts.user_by_email("ana@example.org")
    assert user is not None
    assert user.name == "Ana"
    assert (
        client.submit("/login", {"email": "ana@example.org", "password": PASSWORD}).status_code
        == 303
    )
    assert client.get("/organize/organization").status_code == 200


def test_without_a_terminal_it_prints_a_link(app: Flask, client: Client) -> None:
    make_organization(slug="stop")
    db.session.commit()
    code, output = create(app)
    assert code == 0, output
    link = output.strip().splitlines()[-1]
    assert link.startswith("http://127.0.0.1:8000/reset/")
    path = link.removeprefix("http://127.0.0.1:8000")
    assert client.submit(path, {"password": PASSWORD}).status_code == 303
    assert services.authenticate("ana@example.org", PASSWORD) is not None


def test_unknown_organization_is_not_made_by_a_typo(app: Flask) -> None:
    code, output = create(app, "--password-stdin", stdin=PASSWORD)
    assert code == 1
    assert "--organization-name" in output
    assert accounts.user_by_email("ana@example.org") is None


def test_organization_made_when_asked(app: Flask) -> None:
    code, output = create(
        app, "--organization-name", "Southside Together", "--password-stdin", stdin=PASSWORD
    )
    assert code == 0, output
    organization = queries.organization_by_slug("stop")
    assert organization is not None
    assert organization.name == "Southside Together"
    assert [row.role for row in queries.members(organization.id)] == ["owner"]


@pytest.mark.parametrize("slug", ["Stop", "a b", "-a", "a--b", "x" * 81, "../x"])
def test_short_names(app: Flask, slug: str) -> None:
    code, _ = run(
        app,
        "create",
        "a@example.org",
        "--organization",
        slug,
        "--role",
        "owner",
        "--organization-name",
        "X",
    )
    assert code == 1


def test_an_account_joins_a_second_organization_and_keeps_its_password(app: Flask) -> None:
    make_organization(slug="stop")
    user = make_user(email="ana@example.org", password=PASSWORD)
    db.session.commit()
    code, output = create(app, "--password-stdin", stdin="another four words")
    assert code == 0
    assert "password is as it was" in output
    assert services.is_password_of(user, PASSWORD)
    assert len(queries.memberships_of(user.id)) == 1


def test_twice_is_once_and_another_role_is_refused(app: Flask) -> None:
    make_organization(slug="stop")
    db.session.commit()
    assert create(app, "--password-stdin", stdin=PASSWORD)[0] == 0
    assert create(app, "--password-stdin", stdin=PASSWORD)[0] == 0
    code, output = run(
        app, "create", "ana@example.org", "--organization", "stop", "--role", "viewer"
    )
    assert code == 1
    assert "as owner already" in output


def test_weak_password_and_wrong_use(app: Flask) -> None:
    make_organization(slug="stop")
    db.session.commit()
    code, output = create(app, "--password-stdin", stdin="password")
    assert code == 1
    assert "easy to guess" in output
    assert accounts.user_by_email("ana@example.org") is None
    assert create(app, email="nobody")[0] == 2
    assert run(app, "create", "a@example.org", "--organization", "stop", "--role", "god")[0] == 2


def test_help_has_examples_and_exit_codes(app: Flask) -> None:
    code, output = run(app, "create", "--help")
    assert code == 0
    assert "Examples:" in output
    assert "Exit codes:" in output
