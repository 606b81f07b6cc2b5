"""From errors to pages, once: a status, human words, and a number to name when asking for help.

JSON is answered where JSON was asked. The page needs no database, so that it also shows when
there is none.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from random import getrandbits
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    make_response,
    render_template,
    request,
)
from flask.globals import request_ctx
from flask_babel import gettext as _
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, SecurityError

from campaign import errors
from campaign.db import db
from campaign.settings import Settings

log = logging.getLogger(__name__)

STATUS: dict[type[errors.CampaignError], int] = {
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Forbidden: 403,
    errors.Invalid: 400,
    errors.Conflict: 409,
    errors.TooMany: 429,
    errors.Busy: 503,
}


def request_id() -> str:
    """The number of this request, in the log and on the error page."""
    if "request_id" not in g:
        g.request_id = f"{getrandbits(48):012x}"  # a name to ask by, no secret
    return str(g.request_id)


def words(code: int) -> tuple[str, str]:
    """Title and what to do, in the person's language."""
    texts = {
        400: (_("We could not read that"), _("Go back, check what you typed, and send it again.")),
        401: (_("Please log in"), _("You need to log in to see this page.")),
        403: (
            _("This page is not open to you"),
            _("Ask an owner of your organization for access."),
        ),
        404: (
            _("There is no page here"),
            _("The link may be old or mistyped. Start from the front page."),
        ),
        405: (_("That does not work here"), _("Go back and use the buttons on the page.")),
        409: (_("Something changed meanwhile"), _("Reload the page to see how it stands now.")),
        410: (
            _("This link is over"),
            _("It was used already or it is too old. You can ask for a new one."),
        ),
        413: (_("That is too large"), _("Send something smaller, or a shorter text.")),
        415: (
            _("We cannot read that kind of file"),
            _("Send it in one of the formats the page names."),
        ),
        422: (_("We could not use that"), _("Go back, check what you typed, and send it again.")),
        429: (_("That was a lot at once"), _("Please wait a little, then try again.")),
        500: (
            _("Something broke on our side"),
            _("It is not your fault. We have noted it. Please try again."),
        ),
        503: (
            _("We are not able to save right now"),
            _(
                "Please try again in a minute. What you typed is still on the page before: go back to find it."
            ),
        ),
    }
    return texts.get(code, texts[500] if code >= 500 else texts[400])


def error_page(code: int, message: str = "", *, retry_after: int | None = None) -> Response:
    """The page (or JSON) for a status."""
    if request_ctx.url_adapter is None:  # a host that is not ours: our own pages are still links
        base = urlsplit(_base_url())
        request_ctx.url_adapter = current_app.url_map.bind(base.netloc, url_scheme=base.scheme)
    title, hint = words(code)
    if request.accept_mimetypes.best == "application/json" or request.path.endswith(".json"):
        response = jsonify(error=message or title, status=code, request_id=request_id())
    else:
        response = make_response(
            render_template(
                "errors/error.html",
                code=code,
                title=title,
                message=message,
                hint=hint,
                request_id=request_id(),
                retry_after=retry_after,
            )
        )
    response.status_code = code
    response.headers["Cache-Control"] = "no-store"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _base_url() -> str:
    settings: Settings = current_app.extensions["settings"]
    return settings.base_url


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached, or its disk is full, rather than misused."""
    if isinstance(error, PoolTimeout | InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError)


def init_app(app: Flask) -> None:
    """Register the handlers and the request's number."""
    app.jinja_env.globals["request_id"] = request_id

    @app.errorhandler(errors.CampaignError)
    def domain_error(error: errors.CampaignError) -> Response:
        db.session.rollback()
        code = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
        return error_page(code, str(error.message), retry_after=getattr(error, "retry_after", None))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response | HTTPException:
        code = error.code or 500
        if code < 400:
            return error
        standard = HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else ""
        message = error.description or ""
        own = message if message and not _is_standard(type(error), message, standard) else ""
        if isinstance(error, SecurityError):  # Werkzeug's words are for whoever set it up
            own = _("This address is not ours. Please start at %(address)s.", address=_base_url())
        response = error_page(code, own)
        if code == 405 and getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
        return response

    @app.errorhandler(DBAPIError)
    @app.errorhandler(PoolTimeout)
    def database_error(error: Exception) -> Response:
        db.session.rollback()
        if is_outage(error):
            log.error("database unavailable", extra={"request_id": request_id()})
            return error_page(503, retry_after=30)
        return unexpected(error)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        db.session.rollback()
        if app.config.get("PROPAGATE_EXCEPTIONS"):
            raise error
        log.exception("unexpected error", extra={"request_id": request_id()})
        return error_page(500)

    @app.after_request
    def add_request_id(response: Response) -> Response:
        response.headers.setdefault("X-Request-Id", request_id())
        return response


def _is_standard(kind: type[HTTPException], message: str, phrase: str) -> bool:
    return message in {phrase, kind.description or ""} or "browser" in message
