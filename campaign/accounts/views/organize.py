"""One's own account: name and language, password, devices logged in."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from campaign.accounts import queries, services
from campaign.accounts.devices import device
from campaign.accounts.forms import ChangePasswordForm, ProfileForm
from campaign.accounts.views.login import (
    count_attempt,
    count_failure,
    forget_attempts,
    here,
    tell,
)
from campaign.db import db
from campaign.errors import Invalid, NotFound
from campaign.web.access import signed_in
from campaign.web.flashes import done

blueprint = Blueprint("account", __name__, url_prefix="/organize/account")


@blueprint.route("", methods=["GET", "POST"])
@signed_in
def profile() -> Any:
    """Name, language and time zone."""
    user = here().user
    form = ProfileForm(obj=user)
    if form.is_posted_and_valid():
        services.change_profile(
            user,
            name=form.name.data or "",
            language=form.language.data,
            time_zone=form.time_zone.data,
        )
        db.session.commit()
        done(_("Saved."))
        return redirect(url_for(".profile"), 303)
    return render_template("accounts/profile.html", form=form, user=user)


@blueprint.route("/password", methods=["GET", "POST"])
@signed_in
def password() -> Any:
    """A new password; every other device is logged out."""
    session = here()
    form = ChangePasswordForm()
    if form.is_posted_and_valid():
        address = session.user.email
        count_attempt(address)
        if not services.is_password_of(session.user, form.present.data or ""):
            count_failure(address)
            form.add_error("present", _("That is not your password. Please try again."))
        else:
            forget_attempts(address)
            try:
                services.change_password(session.user, form.password.data or "", keep=session.id)
            except Invalid as error:
                form.add_error(error.field, error.message)
            else:
                services.refresh_session(session)
                tell("account.password_changed", session.user)
                db.session.commit()
                done(_("Your new password is set. All other devices are logged out."))
                return redirect(url_for(".profile"), 303)
    return render_template("accounts/password.html", form=form)


@blueprint.get("/sessions")
@signed_in
def sessions() -> str:
    """The devices on which this person is logged in."""
    session = here()
    rows = [
        (row, device(row.user_agent), row.id == session.id)
        for row in queries.live_sessions(session.user_id)
    ]
    return render_template("accounts/sessions.html", rows=rows)


@blueprint.post("/sessions/<uuid:session_id>/end")
@signed_in
def end_session(session_id: uuid.UUID) -> Any:
    """Log one device out."""
    session = here()
    row = queries.session_of(session.user_id, session_id)
    if row is None:
        raise NotFound
    services.end_session(row)
    tell("account.session_ended", session.user, session, ended=row.id)
    db.session.commit()
    done(_("That device is logged out."))
    return redirect(url_for(".sessions"), 303)


@blueprint.post("/sessions/end-others")
@signed_in
def end_others() -> Any:
    """Log all other devices out."""
    session = here()
    count = services.end_sessions(session.user_id, but=session.id)
    tell("account.sessions_ended", session.user, session, count=count)
    db.session.commit()
    done(ngettext("%(num)d device is logged out.", "%(num)d devices are logged out.", count))
    return redirect(url_for(".sessions"), 303)
