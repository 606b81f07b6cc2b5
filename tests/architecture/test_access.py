"""Who may use what, walked over every route: a new one is covered by being there.

A route that names a row by a parameter that no factory makes fails here: add the row to
`tests/factories/worlds.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import AnyConverter, Rule, UUIDConverter

from campaign.db import Model, db
from campaign.organizations.models import MATRIX, Membership, Permission, Role
from campaign.web.access import Access, Who, access_of
from campaign.web.csrf import SAFE
from tests.conftest import Client
from tests.factories.worlds import World, make_world

WITHOUT_MARK = {"static"}
"""WhiteNoise answers before Flask does; the rule is only there for `url_for`."""
WITHOUT_FORM_TOKEN = {
    "unsubscribe.stop": "RFC 8058: the mail program posts one fixed body",
    "webhook.sendgrid": "proven by its signature",
}
COVERED = {Who.ROLE, Who.SIGNED_IN}


def rules(app: Flask) -> list[Rule]:
    return sorted(
        (rule for rule in app.url_map.iter_rules() if rule.endpoint not in WITHOUT_MARK),
        key=lambda rule: (str(rule), sorted(rule.methods or ())),
    )


def mark_of(app: Flask, rule: Rule) -> Access:
    access = access_of(app.view_functions[rule.endpoint])
    assert access is not None, rule.endpoint
    return access


def methods_of(rule: Rule) -> list[str]:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def id_names(rule: Rule) -> list[str]:
    return [name for name, kind in rule._converters.items() if isinstance(kind, UUIDConverter)]


def path_of(app: Flask, rule: Rule, ids: dict[str, Any]) -> str:
    """The path with these ids and names; other parameters get a word that names nothing."""
    values = {
        name: ids.get(name, min(kind.items) if isinstance(kind, AnyConverter) else "no-such-thing")
        for name, kind in rule._converters.items()
    }
    found: str = app.url_map.bind("127.0.0.1").build(rule.endpoint, values)
    return found


def snapshot() -> dict[str, list[Any]]:
    """All rows of all tables, past the ORM."""
    db.session.expire_all()
    return {
        table.name: sorted(map(repr, db.session.execute(select(table)).all()))
        for table in Model.metadata.sorted_tables
    }


def changes(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


def enter(client: Client, world: World) -> None:
    with client.session_transaction() as cookie:
        cookie["_user_id"] = world.session.token


def form_token(app: Flask, world: World) -> str:
    signed: str = app.extensions["signer"].sign(
        "form", f"{world.session.id}:{world.organization.id}"
    )
    return signed


WALKERS = (Role.OWNER, Role.LEGAL)
"""Who walks the routes: together they may open everything."""


def work_as(world: World, role: Role) -> None:
    """Give the one who walks this role."""
    member = db.session.scalars(
        select(Membership).where(
            Membership.user_id == world.owner.id,
            Membership.organization_id == world.organization.id,
        )
    ).one()
    member.role = role
    db.session.commit()


def routes_with_ids(app: Flask, role: Role) -> Iterator[tuple[Rule, Access]]:
    """The routes with ids that this role may open, and none of the walkers before it."""
    before = WALKERS[: WALKERS.index(role)]
    for rule in rules(app):
        access = mark_of(app, rule)
        if access.who not in COVERED or not id_names(rule):
            continue
        if access.who is not Who.ROLE:
            opens = role is WALKERS[0]
        else:
            opens = access.permission in MATRIX[role] and not any(
                access.permission in MATRIX[earlier] for earlier in before
            )
        if opens:
            yield rule, access


def test_the_walkers_may_open_every_route_together(app: Flask) -> None:
    walked = {rule.endpoint for role in WALKERS for rule, _access in routes_with_ids(app, role)}
    named = {
        rule.endpoint for rule in rules(app) if mark_of(app, rule).who in COVERED and id_names(rule)
    }
    assert named == walked


def test_every_endpoint_says_who_may_use_it(app: Flask) -> None:
    without = [
        rule.endpoint for rule in rules(app) if access_of(app.view_functions[rule.endpoint]) is None
    ]
    assert without == []


def test_permissions_asked_for_exist_and_are_used(app: Flask) -> None:
    asked = {mark.permission for rule in rules(app) if (mark := mark_of(app, rule)).who is Who.ROLE}
    assert asked <= set(Permission)
    assert set(Permission) - asked == set(), "a permission that no endpoint asks for"


def test_console_paths_are_guarded(app: Flask) -> None:
    """Nothing below /organize and /partner is open by mistake, and nothing else asks for a role."""
    for rule in rules(app):
        mark = mark_of(app, rule)
        if str(rule).startswith(("/organize", "/partner")):
            assert mark.who in COVERED, rule
        else:
            assert mark.who is not Who.ROLE, rule


def test_reading_is_not_writing(app: Flask) -> None:
    """Only a page that says so (`writes`) leaves a trace on GET; it must then ask for a role."""
    for rule in rules(app):
        mark = mark_of(app, rule)
        if mark.writes:
            assert mark.who is Who.ROLE, rule


@pytest.mark.parametrize("role", WALKERS)
def test_unsafe_requests_need_a_form_token(app: Flask, client: Client, role: Role) -> None:
    world = make_world()
    work_as(world, role)
    enter(client, world)
    before = snapshot()
    answers = {}
    for rule in rules(app):
        permission = mark_of(app, rule).permission
        if permission and permission not in MATRIX[role]:
            continue
        if not mark_of(app, rule).csrf:
            assert rule.endpoint in WITHOUT_FORM_TOKEN or set(methods_of(rule)) <= SAFE, rule
            continue
        ids = world.slugs | {name: world.id_for(rule.endpoint, name) for name in id_names(rule)}
        for method in set(methods_of(rule)) - SAFE:
            for data in ({}, {"csrf_token": "forged"}):
                response = client.open(path_of(app, rule, ids), method=method, data=data)
                answers[f"{method} {rule} {data}"] = response.status_code
    assert answers
    assert {key: code for key, code in answers.items() if code != 400} == {}
    assert changes(before, snapshot()) == []


@pytest.mark.parametrize("role", WALKERS)
def test_ids_of_others_are_unknown(app: Flask, client: Client, role: Role) -> None:
    """Every id of every route, exchanged for one of another organization: 404, no row changed."""
    mine, theirs = make_world(), make_world()
    work_as(mine, role)
    enter(client, mine)
    token = form_token(app, mine)
    before = snapshot()
    wrong = {}
    for rule, _access in routes_with_ids(app, role):
        names = id_names(rule)
        for worlds in itertools.product((mine, theirs), repeat=len(names)):
            if theirs not in worlds:
                continue
            ids = {
                name: world.id_for(rule.endpoint, name)
                for name, world in zip(names, worlds, strict=True)
            }
            for method in methods_of(rule):
                data = None if method in SAFE else {"csrf_token": token}
                response = client.open(path_of(app, rule, ids), method=method, data=data)
                if response.status_code != 404:
                    wrong[f"{method} {rule}"] = response.status_code
    assert wrong == {}
    assert changes(before, snapshot()) == []


@pytest.mark.parametrize("role", WALKERS)
def test_own_ids_are_known(app: Flask, client: Client, role: Role) -> None:
    """The counterpart: the same walk with own ids meets the rows, so the 404s above say something."""
    world = make_world()
    work_as(world, role)
    enter(client, world)
    wrong = {}
    for rule, _access in routes_with_ids(app, role):
        ids = {name: world.id_for(rule.endpoint, name) for name in id_names(rule)}
        if "GET" in methods_of(rule):
            code = client.get(path_of(app, rule, ids)).status_code
            if code not in {200, 302, 303, 409, 410}:
                wrong[str(rule)] = code
    assert wrong == {}


@pytest.mark.parametrize("role", list(Role))
def test_roles_open_what_the_matrix_says(app: Flask, client: Client, role: Role) -> None:
    world = make_world()
    member = db.session.scalars(
        select(Membership).where(Membership.user_id == world.owner.id)
    ).one()
    member.role = role
    db.session.commit()
    enter(client, world)
    token = form_token(app, world)
    before = snapshot()
    wrong = {}
    for rule in rules(app):
        access = mark_of(app, rule)
        if access.who is not Who.ROLE or access.permission in MATRIX[role]:
            continue
        ids = {name: world.id_for(rule.endpoint, name) for name in id_names(rule)}
        for method in methods_of(rule):
            data = None if method in SAFE else {"csrf_token": token}
            response = client.open(path_of(app, rule, ids), method=method, data=data)
            is_shown_home = role is Role.PARTNER and response.location == "/partner/"
            if response.status_code != 403 and not is_shown_home:
                wrong[f"{method} {rule}"] = response.status_code
    assert wrong == {}
    assert changes(before, snapshot()) == []
    for rule in rules(app):
        access = mark_of(app, rule)
        if (
            access.who is Who.ROLE
            and access.permission in MATRIX[role]
            and "GET" in methods_of(rule)
        ):
            ids = {name: world.id_for(rule.endpoint, name) for name in id_names(rule)}
            code = client.get(path_of(app, rule, ids)).status_code
            if code == 403 or code >= 500:
                wrong[str(rule)] = code
    assert wrong == {}


def test_strangers_are_asked_to_log_in(app: Flask, client: Client) -> None:
    world = make_world()
    before = snapshot()
    for rule in rules(app):
        if mark_of(app, rule).who not in COVERED:
            continue
        ids = {name: world.id_for(rule.endpoint, name) for name in id_names(rule)}
        for method in methods_of(rule):
            response = client.open(path_of(app, rule, ids), method=method)
            if method in SAFE:
                assert response.status_code == 303, rule
                assert response.location.startswith("/login"), rule
            else:
                assert response.status_code == 401, rule
    assert changes(before, snapshot()) == []


def test_public_pages_neither_set_nor_read_a_cookie(app: Flask, client: Client) -> None:
    enter(client, make_world())
    for rule in rules(app):
        if mark_of(app, rule).who is Who.PUBLIC and not rule.arguments and str(rule) != "/login":
            response = client.get(str(rule))
            assert "Set-Cookie" not in response.headers, rule
            assert "Cookie" not in response.headers.get("Vary", ""), rule
