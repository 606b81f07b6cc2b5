"""Response headers of every page: a strict content policy, no referrers, nothing sniffed."""

from __future__ import annotations

import secrets

from flask import Flask, Response, g, request

from campaign.settings import Settings
from campaign.web.access import Who, access_of

NO_STORE = "no-store"


def csp_nonce() -> str:
    """The nonce of this response, for the page's own inline style or script element."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(12)
    return str(g.csp_nonce)


def content_policy(nonce: str | None, *, frame_ancestors: str = "'none'") -> str:
    """The Content-Security-Policy: everything from here, nothing from elsewhere."""
    own = f"'self' 'nonce-{nonce}'" if nonce else "'self'"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-src 'self'; frame-ancestors {frame_ancestors}"
    )


def init_app(app: Flask, settings: Settings) -> None:
    app.jinja_env.globals["csp_nonce"] = csp_nonce
    personal = {Who.LINK, Who.SIGNED_IN, Who.ROLE, Who.DEVELOPMENT}

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        if "Content-Security-Policy" not in headers:
            headers["Content-Security-Policy"] = content_policy(g.get("csp_nonce"))
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if settings.is_secure:
            headers.setdefault("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
        access = access_of(app.view_functions.get(request.endpoint or ""))
        if "Cache-Control" not in headers and (
            access is None or access.who in personal or request.method not in {"GET", "HEAD"}
        ):
            headers["Cache-Control"] = NO_STORE
        return response
