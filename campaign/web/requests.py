"""What happens before every view, in this order: who may write, who asks, is the form ours."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, abort, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from campaign import db as database
from campaign.settings import Settings
from campaign.web import csrf
from campaign.web.access import Who, access_of


def settings() -> Settings:
    """The application's settings."""
    found: Settings = current_app.extensions["settings"]
    return found


def _as_it_is(function: Any) -> Any:
    return function


class QuietSessions(SecureCookieSessionInterface):
    """Flask's sessions, at no cost where a visitor brings no cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session or session.modified:
            super().save_session(app, session, response)
        elif session.accessed:
            response.vary.add("Cookie")


def init_app(app: Flask, settings: Settings) -> None:
    app.session_interface = QuietSessions()
    setattr(app, "ensure_sync", _as_it_is)  # noqa: B010 - nothing here is async
    app.jinja_env.globals["config_development"] = settings.is_development
    guards = app.extensions.setdefault("guards", [])

    @app.before_request
    def begin() -> None:
        access = access_of(app.view_functions.get(request.endpoint or ""))
        if request.method in csrf.SAFE and not (access is not None and access.writes):
            g.read_only = database.reading()
            g.read_only.__enter__()
        if access is not None and access.who is Who.DEVELOPMENT and not settings.is_development:
            abort(404)
        for guard in guards:
            answer = guard(access)
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        if access is not None and access.upload:
            request.max_content_length = access.upload
            database.db.session.commit()  # nobody waits for our transaction while a file comes in
        csrf.check()
        return None

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        read_only = g.pop("read_only", None)
        if read_only is not None:
            read_only.__exit__(None, None, None)
