"""What happens before every view, in this order: who may write, who asks, is the form ours."""

from __future__ import annotations

from flask import Flask, Request, abort, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from campaign import db as database
from campaign.settings import Settings
from campaign.web import csrf
from campaign.web.access import Who, access_of


def settings() -> Settings:
    """The application's settings."""
    found: Settings = current_app.extensions["settings"]
    return found


class QuietSessions(SecureCookieSessionInterface):
    """Flask's sessions, at no cost where a visitor brings no cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if not request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def init_app(app: Flask, settings: Settings) -> None:
    app.session_interface = QuietSessions()
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
        csrf.check()
        return None

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        read_only = g.pop("read_only", None)
        if read_only is not None:
            read_only.__exit__(None, None, None)
