"""Log in, log out, the password again, and a new password by e-mail.

A device is logged in by a random token in the signed cookie; its SHA-256 is a row of `sessions`,
so that ending the row ends the log-in. Public pages never look at the cookie.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import flask
from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request
from flask import session as cookie
from flask_babel import gettext as _
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import BadRequest

from campaign import clock
from campaign.accounts import queries, services
from campaign.accounts.forms import AgainForm, AskResetForm, LoginForm, SetPasswordForm
from campaign.accounts.models import Session, User, email_key
from campaign.db import db
from campaign.errors import Forbidden, Invalid, TooMany
from campaign.tokens import fingerprint
from campaign.web import csrf
from campaign.web.access import link, public, signed_in
from campaign.web.csrf import SAFE
from campaign.web.flashes import done
from campaign.web.limits import limiter, source_network

blueprint = Blueprint("accounts", __name__)

HOME = "/organize/"
PER_ACCOUNT_AND_SOURCE = "10 per 15 minutes"
PER_SOURCE = "50 per 15 minutes"
PER_ACCOUNT = "100 per 15 minutes"  # from sources this account never used
WINDOW_SECONDS = 15 * 60
RESETS_PER_ADDRESS = "3 per hour"
RESETS_PER_SOURCE = "20 per hour"
RESET_ANSWER_SECONDS = 0.25
REPLAY = "replay-"

Witness = Callable[[str, User, Session | None, dict[str, Any]], None]


class SessionManager(LoginManager):  # type: ignore[misc]  # flask_login has no types
    """Flask-Login over our own rows. It never writes a "remember me" cookie, and so never looks
    at the cookie of a public page."""

    def _update_remember_cookie(self, response: Response) -> Response:
        return response


def init_app(app: Flask) -> None:
    """Flask-Login finds the session of a cookie's token.

    `app.extensions["account_witnesses"]` are functions that storeys above add: they are told, in
    the same transaction, of log-ins and changed passwords (the audit log is theirs).
    """
    app.extensions["account_witnesses"] = []
    manager = SessionManager()
    manager.session_protection = None
    manager.init_app(app, add_context_processor=False)
    manager.user_loader(lambda token: queries.session_by_token(token, clock.now()))
    manager.unauthorized_handler(ask_to_log_in)
    manager.needs_refresh_handler(ask_again)


def tell(event: str, user: User, session: Session | None = None, **details: Any) -> None:
    """Tell the witnesses what happened to an account."""
    witnesses: list[Witness] = current_app.extensions["account_witnesses"]
    for witness in witnesses:
        witness(event, user, session, details)


def own_path(target: str | None) -> str:
    """`target` if it is a path of ours, else the console's first page.

    One leading slash, no backslash, no control character, no host: "//evil", "/\\evil" and
    "https:evil" are none.
    """
    path = target or ""
    if (
        not path.startswith("/")
        or path.startswith(("//", "/login", "/logout"))
        or "\\" in path
        or not path.isprintable()
        or len(path) > 2000
    ):
        return HOME
    parts = urlsplit(path)
    return HOME if parts.scheme or parts.netloc else path


def present_session() -> Session | None:
    """The session this request was logged in by, or None."""
    found = current_user._get_current_object()
    return found if isinstance(found, Session) else None


def here() -> Session:
    """The session of a page that the guard opens only to somebody logged in."""
    found = present_session()
    if found is None:
        raise Forbidden
    return found


def begin_session(user: User) -> None:
    """Log this browser in as `user`, under a new token whatever its cookie held; commits."""
    before = present_session()
    if before is not None:
        services.end_session(before)
    failed = user.failed_login_count
    session = services.begin_session(
        user, ip=source_network(), user_agent=request.user_agent.string
    )
    tell("account.log_in", user, session, **({"failed_attempts": failed} if failed else {}))
    db.session.commit()
    cookie.clear()
    login_user(session)


def ask_to_log_in() -> Any:
    """What a request without a log-in gets: a page is asked for again after the log-in."""
    cookie.pop("_user_id", None)
    if "HX-Request" in request.headers:
        page = own_path(urlsplit(request.headers.get("HX-Current-URL", "")).path)
        return Response(status=401, headers={"HX-Redirect": _login_url("accounts.login", page)})
    if request.method in SAFE:
        return redirect(_login_url("accounts.login", _own_address()), 303)
    page = render_template("accounts/logged_out.html", login_url=flask.url_for("accounts.login"))
    return page, 401


def ask_again() -> Any:
    """What a request gets that needs the password of a moment ago; a form sent is kept."""
    if "HX-Request" in request.headers:
        page = own_path(urlsplit(request.headers.get("HX-Current-URL", "")).path)
        again = _login_url("accounts.login_again", page)
        return Response(status=401, headers={"HX-Redirect": again})
    if request.method in SAFE:
        return redirect(_login_url("accounts.login_again", _own_address()), 303)
    csrf.check()  # a stranger's form must not be carried over into one of ours
    kept = [pair for pair in request.form.items(multi=True) if pair[0] != csrf.FIELD]
    return unstored(
        render_template(
            "accounts/again.html", form=AgainForm(formdata=None), next=_own_address(), kept=kept
        )
    )


def _own_address() -> str:
    return own_path(request.full_path.rstrip("?"))


def _login_url(endpoint: str, target: str) -> str:
    return flask.url_for(endpoint, next=None if target == HOME else target)


def unstored(page: str) -> Response:
    """A page that no cache keeps."""
    response = flask.make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


def refuse_cross_site() -> None:
    """No other site may log a visitor in as somebody else: browsers say where a post is from."""
    if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise BadRequest(_("Please log in on this site itself."))


def count_attempt(address: str) -> None:
    """Raise TooMany after too many failures, by account and source, by source, by account.

    The last one never holds where the account logged in from before: strangers cannot lock it.
    """
    source, account = source_network(), fingerprint(email_key(address))
    is_within = limiter().is_within(PER_SOURCE, "login", source) and limiter().hit(
        PER_ACCOUNT_AND_SOURCE, "login", account, source
    )
    if is_within and not limiter().is_within(PER_ACCOUNT, "login", account):
        user = queries.user_by_email(address)
        is_within = user is not None and queries.has_logged_in_from(user.id, source)
    if not is_within:
        raise TooMany(
            _("There were many tries to log in. Nothing is locked: please wait a little."),
            retry_after=WINDOW_SECONDS,
        )


def count_failure(address: str) -> None:
    """Only failures count against the source and the account."""
    limiter().hit(PER_SOURCE, "login", source_network())
    limiter().hit(PER_ACCOUNT, "login", fingerprint(email_key(address)))


def forget_attempts(address: str) -> None:
    """A success ends the count of this account from this source."""
    limiter().clear(
        PER_ACCOUNT_AND_SOURCE, "login", fingerprint(email_key(address)), source_network()
    )


@blueprint.route("/login", methods=["GET", "POST"])
@public
def login() -> Any:
    """Log in with e-mail and password."""
    form = LoginForm()
    target = own_path(request.values.get("next"))
    if request.method == "GET" and present_session() is not None:
        return redirect(target, 303)
    if form.is_posted_and_valid():
        refuse_cross_site()
        address = form.email.data or ""
        count_attempt(address)
        user = services.authenticate(address, form.password.data or "")
        if user is not None:
            forget_attempts(address)
            begin_session(user)
            return redirect(target, 303)
        count_failure(address)
        db.session.commit()
        form.add_error("", _("That email and password do not go together. Please try again."))
    return unstored(render_template("accounts/login.html", form=form, next=target))


@blueprint.post("/logout")
@signed_in
def logout() -> Any:
    """End this session."""
    session = here()
    services.end_session(session)
    tell("account.log_out", session.user, session)
    db.session.commit()
    logout_user()
    cookie.clear()
    done(_("You are logged out."))
    return redirect(flask.url_for("accounts.login"), 303)


@blueprint.route("/login/again", methods=["GET", "POST"])
@signed_in
def login_again() -> Any:
    """The password once more, before something that cannot be taken back.

    A form that was on its way is carried along in hidden fields and offered again afterwards.
    """
    session = here()
    form = AgainForm()
    target = own_path(request.values.get("next"))
    kept = [
        (name.removeprefix(REPLAY), value)
        for name, value in request.form.items(multi=True)
        if name.startswith(REPLAY)
    ]
    if form.is_posted_and_valid():
        address = session.user.email
        count_attempt(address)
        if services.is_password_of(session.user, form.password.data or ""):
            forget_attempts(address)
            services.refresh_session(session)
            db.session.commit()
            if kept:
                return render_template("accounts/go_on.html", target=target, kept=kept)
            return redirect(target, 303)
        count_failure(address)
        form.add_error("password", _("That is not your password. Please try again."))
    return render_template("accounts/again.html", form=form, next=target, kept=kept)


@blueprint.route("/reset", methods=["GET", "POST"])
@public
def ask_reset() -> Any:
    """Ask for a link to set a new password. The answer is the same for every address."""
    form = AskResetForm()
    if form.is_posted_and_valid():
        started = time.monotonic()
        address = form.email.data or ""
        if not limiter().hit(RESETS_PER_SOURCE, "reset", source_network()):
            raise TooMany(retry_after=3600)
        if limiter().hit(RESETS_PER_ADDRESS, "reset", fingerprint(email_key(address))):
            services.request_reset(address)
            db.session.commit()
        time.sleep(max(0.0, RESET_ANSWER_SECONDS - (time.monotonic() - started)))
        return unstored(render_template("accounts/reset_sent.html", address=address))
    return unstored(render_template("accounts/reset.html", form=form))


@blueprint.route("/reset/<token>", methods=["GET", "POST"])
@link
def set_password(token: str) -> Any:
    """Set a new password by the link of an e-mail."""
    form = SetPasswordForm()
    if queries.open_token(token, clock.now()) is None:
        return unstored(render_template("accounts/reset_over.html")), 410
    if form.is_posted_and_valid():
        try:
            user = services.reset_password(token, form.password.data or "")
        except Invalid as error:
            form.add_error(error.field, error.message)
        else:
            tell("account.password_reset", user)
            db.session.commit()
            logout_user()
            cookie.clear()
            done(_("Your new password is set. You can log in now."))
            return redirect(flask.url_for("accounts.login"), 303)
    return render_template("accounts/set_password.html", form=form)
