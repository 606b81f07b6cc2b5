"""The link of an invitation."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask import session as cookie
from flask_babel import gettext as _
from flask_login import current_user, login_user

from campaign import clock
from campaign.accounts import queries as account_queries
from campaign.accounts import services as accounts
from campaign.accounts.models import Session, User, email_key
from campaign.db import db
from campaign.errors import Conflict, Invalid
from campaign.organizations import queries, services
from campaign.organizations.forms import ROLE_WORDS, JoinForm
from campaign.organizations.models import Invitation, Role
from campaign.web.access import link
from campaign.web.flashes import done
from campaign.web.limits import source_network

blueprint = Blueprint("invitations", __name__)


@blueprint.route("/invitation/<token>", methods=["GET", "POST"])
@link
def invitation(token: str) -> Any:
    """What the invitation is for; POST joins.

    Somebody with an account logs in and joins with a button; somebody new says a name and sets a
    password. Only the invited address can join: a forwarded link gives nothing away.
    """
    found = queries.invitation_by_token(token)
    if found is None or not found.is_open(clock.now()):
        return render_template("organizations/invitation_over.html"), 410
    form = JoinForm()
    session = current_user._get_current_object()
    here = session if isinstance(session, Session) else None
    known = account_queries.user_by_email(found.email)
    if here is not None and email_key(found.email) == here.user.email_key:
        if form.is_submitted():
            return _join(found, here)
    elif known is None and here is None and form.is_posted_and_valid():
        try:
            user = services.accept_as_new(
                found, name=form.name.data or "", password=form.password.data or ""
            )
        except (Invalid, Conflict) as error:
            form.add_error(error.field, error.message)
        else:
            return _begin(found, user)
    return render_template(
        "organizations/invitation.html",
        form=form,
        invitation=found,
        organization=found.organization,
        role=ROLE_WORDS[Role(found.role)],
        here=here,
        is_own=here is not None and email_key(found.email) == here.user.email_key,
        has_account=known is not None,
        token=token,
    )


def _begin(found: Invitation, user: User) -> Any:
    """Log somebody in who has just made an account, under a token of their own."""
    session = accounts.begin_session(
        user, ip=source_network(), user_agent=request.user_agent.string
    )
    services.switch_organization(session, found.organization_id)
    db.session.commit()
    cookie.clear()
    login_user(session)
    done(_("Welcome to the team."))
    return redirect("/organize/", 303)


def _join(found: Invitation, session: Session) -> Any:
    services.accept_invitation(found, session.user)
    if session.organization_id != found.organization_id:
        services.switch_organization(session, found.organization_id)
    db.session.commit()
    done(_("Welcome to the team."))
    return redirect("/organize/", 303)
