"""Rows of organizations and accounts, and a log-in without the cost of a password hash."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import Session, User, email_key
from campaign.db import db
from campaign.organizations.models import Membership, Organization, Role

if TYPE_CHECKING:
    from tests.conftest import Client

_number = itertools.count(1)


def make_organization(**values: Any) -> Organization:
    """An organization that may send e-mail: it has a postal address."""
    n = next(_number)
    given: dict[str, Any] = {
        "slug": f"organization-{n}",
        "name": f"Organization {n}",
        "postal_address": f"{n} Main St, Chicago, IL 60637",
        "sender_name": f"Organization {n}",
        "sender_email": f"hello@organization-{n}.example",
    }
    organization = Organization(**(given | values))
    db.session.add(organization)
    db.session.flush()
    return organization


def make_user(*, password: str = "", **values: Any) -> User:
    """A user; without `password` only `log_in` lets them in."""
    n = next(_number)
    given: dict[str, Any] = {"email": f"user-{n}@example.org", "name": f"User {n}"}
    user = User(**(given | values))
    user.email_key = email_key(user.email)
    if password:
        user.password_hash = accounts.hash_password(password)
    db.session.add(user)
    db.session.flush()
    return user


def make_membership(user: User, organization: Organization, role: str = Role.OWNER) -> Membership:
    """`user` working for `organization`."""
    membership = Membership(
        organization_id=organization.id, user_id=user.id, role=role, created_at=clock.now()
    )
    db.session.add(membership)
    db.session.flush()
    return membership


def make_member(
    organization: Organization | None = None, role: str = Role.OWNER, **values: Any
) -> User:
    """A user who works for `organization` (or a new one) in `role`."""
    user = make_user(**values)
    make_membership(user, organization or make_organization(), role)
    return user


def log_in(client: Client, user: User, organization: Organization | None = None) -> Session:
    """Log `client` in as `user` by a session row and its cookie; commits what the test made."""
    session = accounts.begin_session(user, ip="203.0.113.7", user_agent="Test browser")
    if organization is not None:
        session.organization_id = organization.id
    token = session.token
    db.session.commit()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = token
        cookie["_fresh"] = True
    return session
