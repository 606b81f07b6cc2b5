"""What holds when two do the same at once: on real connections, outside any test's transaction."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.accounts.models import User
from campaign.app import create_app
from campaign.db import Model, db
from campaign.errors import Conflict, Gone
from campaign.organizations import queries, services
from campaign.organizations.models import AuditEntry, Membership, Role
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.organizations import make_membership, make_organization, make_user


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Flask]:
    """An application with a database that other connections see, too."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = database_url(f"campaign_organizations_{worker}")
    app = create_app(Settings(secret_key=TEST_KEY, data_dir=tmp_path, database_url=url))
    with app.app_context():
        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


def together(app: Flask, jobs: list[Callable[[], None]]) -> list[BaseException]:
    """Run jobs at the same time, each in a request of its own; what they raised."""
    raised: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        with app.test_request_context():
            start.wait(10)
            try:
                job()
                db.session.commit()
            except Exception as error:  # noqa: BLE001 - handed to the test
                db.session.rollback()
                raised.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_the_chain_holds_with_many_writers(own: Flask) -> None:
    with own.app_context():
        here = make_organization().id
        db.session.commit()

    def write() -> None:
        for n in range(5):
            services.record("a.b", organization_id=here, details={"n": n})
            db.session.commit()

    assert together(own, [write] * 8) == []
    with own.app_context():
        check = queries.check_chain(here)
        assert (check.is_whole, check.count) == (True, 40)
        assert len(db.session.scalars(select(AuditEntry)).all()) == 40


def test_two_owners_who_leave_at_once_do_not_both_leave(own: Flask) -> None:
    with own.app_context():
        organization = make_organization()
        members = [make_membership(make_user(), organization, Role.OWNER).id for _ in range(2)]
        here = organization.id
        db.session.commit()

    def leave(membership_id: object) -> Callable[[], None]:
        def job() -> None:
            member = db.session.get_one(Membership, membership_id)
            services.remove_member(member, by=member.user_id)

        return job

    raised = together(own, [leave(row) for row in members])
    assert [type(error) for error in raised] == [Conflict]
    with own.app_context():
        assert queries.owner_count(here) == 1


def test_one_invitation_taken_twice_at_once_makes_one_member(own: Flask) -> None:
    with own.test_request_context():
        organization = make_organization()
        owner = make_user()
        make_membership(owner, organization)
        user_id = make_user(email="bo@example.org").id
        _invitation, token = services.invite(organization, "bo@example.org", Role.VIEWER, by=owner)
        here = organization.id
        db.session.commit()

    def join() -> None:
        found = queries.invitation_by_token(token)
        assert found is not None
        services.accept_invitation(found, db.session.get_one(User, user_id))

    assert [type(error) for error in together(own, [join] * 4)] == [Gone] * 3
    with own.app_context():
        assert [row.role for row in queries.members(here) if row.user_id == user_id] == ["viewer"]


def test_an_account_is_made_once_by_two_clicks(own: Flask) -> None:
    with own.test_request_context():
        organization = make_organization()
        owner = make_user()
        make_membership(owner, organization)
        _invitation, token = services.invite(organization, "bo@example.org", Role.VIEWER, by=owner)
        db.session.commit()

    def join() -> None:
        found = queries.invitation_by_token(token)
        assert found is not None
        services.accept_as_new(found, name="Bo", password="four words in a row")

    assert [type(error) for error in together(own, [join] * 4)] == [Gone] * 3
    with own.app_context():
        assert len(db.session.scalars(select(User)).all()) == 2
