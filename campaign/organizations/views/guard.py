"""Who may use an endpoint, decided before any view runs.

Public pages pass untouched: neither the cookie nor the database is looked at. For the others the
guard finds the session, the organization it works for and the role there, and sets the Actor.
"""

from __future__ import annotations

import uuid
from typing import Any

from flask import Flask, current_app, g, redirect, render_template, request
from flask_login import current_user

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import SEEN_EVERY, Session, User
from campaign.db import db, writing
from campaign.organizations import queries, services
from campaign.organizations.forms import ROLE_WORDS
from campaign.organizations.models import Membership, Role
from campaign.web.access import Access, Who
from campaign.web.actor import Actor, set_actor
from campaign.web.csrf import SAFE

UNGUARDED = frozenset({Who.PUBLIC, Who.LINK, Who.MACHINE, Who.DEVELOPMENT})
PARTNER_HOME = "/partner/"


def init_app(app: Flask) -> None:
    """Register the guard, and write log-ins and the like into the audit log."""
    app.extensions.setdefault("guards", []).append(guard)
    app.extensions["account_witnesses"].append(witness)


def guard(access: Access | None) -> Any:
    """None to go on; else the answer instead of the view's."""
    if access is None or access.who in UNGUARDED:
        return None
    session = current_user._get_current_object()
    if not isinstance(session, Session):
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
    _see(session)
    membership = _enter(session)
    if access.who is Who.ROLE:
        if membership is None:
            return render_template("organizations/no_organization.html"), 403
        if not membership.can(access.permission):
            if membership.role == Role.PARTNER and request.path == "/organize/":
                return redirect(PARTNER_HOME, 303)
            return _not_for_this_role(membership)
    if access.fresh and not session.is_fresh(clock.now()):
        return current_app.login_manager.needs_refresh()  # type: ignore[attr-defined]
    return None


def _not_for_this_role(membership: Membership) -> Any:
    """A page of the console that says whom to ask."""
    team = queries.members(membership.organization_id)
    owners = [row.user.name or row.user.email for row in team if row.role == Role.OWNER]
    page = render_template(
        "organizations/not_for_this_role.html",
        role=ROLE_WORDS[Role(membership.role)],
        owners=owners,
    )
    return page, 403


def _see(session: Session) -> None:
    """Note that somebody is there: once a minute, in a transaction of its own.

    What a page loads by itself, a progress bar that asks every second, is nobody being there.
    """
    is_by_itself = "HX-Request" in request.headers and request.method in SAFE
    if is_by_itself or clock.now() - session.seen_at < SEEN_EVERY:
        return
    with writing():
        accounts.see_session(session)
        db.session.commit()


def _enter(session: Session) -> Membership | None:
    """Set who asks, from the session and its place in the organization it works for."""
    user = session.user
    g.user_language, g.time_zone = user.language, user.time_zone
    g.account_session, g.account_user = session, user
    g.form_subject = f"session:{session.id}"
    membership = queries.working_membership(user.id, session.organization_id)
    g.membership = membership
    if membership is not None:
        set_actor(
            Actor(
                user_id=user.id,
                organization_id=membership.organization_id,
                role=membership.role,
                permissions=membership.permissions,
                session_id=session.id,
                is_fresh=session.is_fresh(clock.now()),
            )
        )
    return membership


def witness(event: str, user: User, session: Session | None, details: dict[str, Any]) -> None:
    """Write what happened to an account into the logs of the organizations it works for.

    What belongs to one session goes to the organization of that session; what belongs to the
    account (a new password) to all.
    """
    if event == "account.log_in" and session is not None:
        session.organization_id = services.organization_to_begin_with(user.id)
    here = session.organization_id if session is not None else None
    for organization_id in [here] if here else _organizations_of(user.id):
        services.record(
            event,
            organization_id=organization_id,
            user_id=user.id,
            subject_kind="session" if session is not None else "user",
            subject_id=session.id if session is not None else user.id,
            details=details,
        )


def _organizations_of(user_id: uuid.UUID) -> list[uuid.UUID]:
    return [row.organization_id for row in queries.memberships_of(user_id)]
