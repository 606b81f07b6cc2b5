"""The organization's profile, its team and its audit log in the console."""

from __future__ import annotations

import re
import uuid
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from campaign import clock
from campaign.db import db
from campaign.errors import Conflict, Invalid, NotFound, TooMany
from campaign.mail import domains, verdicts
from campaign.mail import queries as mail
from campaign.organizations import queries, services
from campaign.organizations.forms import (
    ROLE_MEANING,
    ROLE_WORDS,
    AuditFilter,
    InviteForm,
    OrganizationForm,
    RoleForm,
    action_words,
)
from campaign.organizations.models import AuditEntry, Invitation, Membership, Permission, Role
from campaign.web.access import allow, signed_in
from campaign.web.actor import actor
from campaign.web.flashes import done, failed
from campaign.web.limits import limiter
from campaign.web.pagination import keyset_page
from campaign.web.requests import settings

blueprint = Blueprint("organizations", __name__, url_prefix="/organize")

INVITATIONS = "50 per hour"
LOOKS = "12 per hour"
LONG_ID = re.compile(r"[0-9a-f-]{32,64}")


@blueprint.route("/organization", methods=["GET", "POST"])
@allow(Permission.ORGANIZATION_EDIT)
def profile() -> Any:
    """What the organization says about itself."""
    organization = g.membership.organization
    form = OrganizationForm(obj=organization)
    if form.is_posted_and_valid():
        try:
            services.change_profile(organization, form.profile(), by=actor().user_id)
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("Saved."))
            return redirect(url_for(".profile"), 303)
    return render_template("organizations/profile.html", form=form)


@blueprint.get("/organization/sending")
@allow(Permission.MAILINGS_EDIT)
def sending() -> str:
    """Whether the organization's e-mail will arrive. The part alone while a look is on its way."""
    organization = g.membership.organization
    domain = domains.domain_of(organization.sender_email)
    row = mail.sender_domain(domain) if domain else None
    part = "HX-Request" in request.headers
    return render_template(
        "organizations/_sending.html" if part else "organizations/sending.html",
        organization=organization,
        domain=domain,
        is_free=domains.is_free_mailer(domain),
        is_kept_here=settings().mail_transport == "mailbox",
        row=row,
        is_late=row is not None and row.is_late(clock.now()),
        findings=domains.stored(row.findings) if row is not None else {},
        records=verdicts.RECORDS,
        states=verdicts.STATES,
        verdicts=verdicts.VERDICTS,
        reason_words=verdicts.reason_words,
    )


@blueprint.post("/organization/sending")
@allow(Permission.ORGANIZATION_EDIT)
def look_again() -> Any:
    """Have DNS asked again."""
    if not limiter().hit(LOOKS, "look", str(actor().organization_id)):
        failed(_("You have looked many times this hour. Changes in DNS take a while to be seen."))
    elif services.look_at_sender(g.membership.organization):
        db.session.commit()
    return redirect(url_for(".sending"), 303)


@blueprint.get("/organization/team")
@allow(Permission.TEAM_MANAGE)
def team() -> str:
    """Who works here, in which role, and who is invited."""
    return _team_page(InviteForm(formdata=None))


@blueprint.post("/organization/team")
@allow(Permission.TEAM_MANAGE, fresh=True)
def invite() -> Any:
    """Invite somebody by e-mail."""
    form = InviteForm()
    if form.is_posted_and_valid():
        if not limiter().hit(INVITATIONS, "invite", str(actor().organization_id)):
            raise TooMany(retry_after=3600)
        try:
            services.invite(
                g.membership.organization, form.email.data, Role(form.role.data), by=_user()
            )
        except Conflict as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            done(_("The invitation is on its way."))
            return redirect(url_for(".team"), 303)
    return _team_page(form)


@blueprint.post("/organization/team/<uuid:membership_id>/role")
@allow(Permission.TEAM_MANAGE, fresh=True)
def change_role(membership_id: uuid.UUID) -> Any:
    """Give a member another role."""
    member = _member(membership_id)
    form = RoleForm()
    if not form.is_posted_and_valid():
        raise Invalid(_("Please choose a role from the list."))
    try:
        services.change_role(member, Role(form.role.data), by=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        failed(error.message)
    else:
        db.session.commit()
        done(_("The role is changed."))
    return redirect(url_for(".team"), 303)


@blueprint.post("/organization/team/<uuid:membership_id>/remove")
@allow(Permission.TEAM_MANAGE, fresh=True)
def remove_member(membership_id: uuid.UUID) -> Any:
    """Take a member off the team."""
    member = _member(membership_id)
    try:
        services.remove_member(member, by=actor().user_id)
    except Conflict as error:
        db.session.rollback()
        failed(error.message)
    else:
        db.session.commit()
        done(_("This person is no longer on the team."))
    return redirect(url_for(".team"), 303)


@blueprint.post("/organization/invitations/<uuid:invitation_id>/again")
@allow(Permission.TEAM_MANAGE, fresh=True)
def invite_again(invitation_id: uuid.UUID) -> Any:
    """Send an invitation once more, with a new link."""
    found = _invitation(invitation_id)
    if not limiter().hit(INVITATIONS, "invite", str(actor().organization_id)):
        raise TooMany(retry_after=3600)
    services.invite_again(found, by=_user())
    db.session.commit()
    done(_("The invitation is on its way. The earlier link no longer works."))
    return redirect(url_for(".team"), 303)


@blueprint.post("/organization/invitations/<uuid:invitation_id>/revoke")
@allow(Permission.TEAM_MANAGE)
def revoke_invitation(invitation_id: uuid.UUID) -> Any:
    """Take an invitation back."""
    services.revoke_invitation(_invitation(invitation_id), by=_user())
    db.session.commit()
    done(_("The invitation is taken back. Its link no longer works."))
    return redirect(url_for(".team"), 303)


@blueprint.get("/organization/audit")
@allow(Permission.AUDIT_VIEW)
def audit() -> str:
    """The audit log, filtered; `check` recomputes the chain."""
    organization_id = actor().organization_id
    form = AuditFilter(request.args)
    actions = queries.audit_actions(organization_id)
    people = {user.id: user for user in queries.audit_users(organization_id)}
    form.action.choices = [("", _("Everything")), *((name, action_words(name)) for name in actions)]
    form.person.choices = [
        ("", _("Everybody")),
        *((str(user.id), user.name or user.email) for user in people.values()),
    ]
    form.validate()
    entries = queries.audit_entries(
        organization_id,
        action=form.action.data if form.action.data in actions else "",
        user_id=_id(form.person.data),
        begin=_midnight(form.since.data),
        end=_midnight(form.until.data, after=1),
    )
    return render_template(
        "organizations/audit.html",
        form=form,
        page=keyset_page(entries, AuditEntry.id),
        people=people,
        action_words=action_words,
        details=shown_details,
        check=queries.check_chain(organization_id) if "check" in request.args else None,
    )


@blueprint.post("/switch/<uuid:organization_id>")
@signed_in
def switch(organization_id: uuid.UUID) -> Any:
    """Work for another organization one belongs to."""
    member = services.switch_organization(g.account_session, organization_id)
    name = member.organization.name
    db.session.commit()
    done(_("You now work for %(name)s.", name=name))
    return redirect("/organize/", 303)


def shown_details(entry: AuditEntry) -> str:
    """The details of a line on one line: ids and checksums by their beginning, empty ones not."""
    parts = []
    for name, value in entry.details.items():
        values = value if isinstance(value, list) else [value]
        texts = [
            f"{text[:8]}…" if LONG_ID.fullmatch(text) else text
            for text in (str(part) for part in values if part not in (None, ""))
        ]
        if texts:
            parts.append(f"{name.replace('_', ' ')}: {', '.join(texts)}")
    return "; ".join(parts)


def _team_page(form: InviteForm) -> str:
    organization_id = actor().organization_id
    return render_template(
        "organizations/team.html",
        form=form,
        members=queries.members(organization_id),
        invitations=queries.open_invitations(organization_id),
        role_words=ROLE_WORDS,
        role_meaning=ROLE_MEANING,
        now=clock.now(),
    )


def _user() -> Any:
    return current_user.user


def _member(membership_id: uuid.UUID) -> Membership:
    found = queries.member(actor().organization_id, membership_id)
    if found is None:
        raise NotFound
    return found


def _invitation(invitation_id: uuid.UUID) -> Invitation:
    found = queries.invitation(actor().organization_id, invitation_id)
    if found is None:
        raise NotFound
    return found


def _id(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None


def _midnight(day: date | None, *, after: int = 0) -> datetime | None:
    """The beginning of a day, or of `after` days later, where the reader lives."""
    if day is None:
        return None
    try:
        wall = datetime.combine(day + timedelta(days=after), time())
        return clock.to_utc(wall, str(g.time_zone))
    except OverflowError:
        return None
